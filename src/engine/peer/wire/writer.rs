//! Bytes out: what an out-buffer holds, up to the kernel.

use std::io::{self, IoSlice};

use crate::engine::peer::out_buffer::{MAX_SLICES, OutBuffer};
use crate::engine::peer::outgoing::Outgoing;
use crate::engine::peer::pool::ChunkPool;
use crate::engine::peer::state::WRITE_KEPT_AT;
use crate::transport::{SEGMENT, Stream};
use crate::zmtp::{FrameKind, encode_header};

/// A longer message is offered in pieces: while the kernel copies, it does not go on with what it has copied already.
const PIECE: usize = 4 * SEGMENT;

/// The outgoing half of a connection: what is put around messages, and what of that has not left yet.
#[derive(Debug)]
pub(crate) enum Writer {
    /// Nothing: the frames of the out-buffer leave from its memory.
    Frames,
    /// The bodies of frames leave alone.
    Raw(super::raw::RawWriter),
    /// Frames are sealed.
    #[cfg(feature = "curve")]
    Sealed(Box<super::sealed::SealedWriter>),
    #[cfg(test)]
    Records(super::records::RecordWriter),
}

/// What a write came to.
#[derive(Debug)]
pub(crate) struct Written {
    /// Bytes that the kernel has taken.
    pub(crate) bytes: usize,
    /// `WouldBlock`: it takes no more for now.
    pub(crate) result: io::Result<()>,
}

impl Writer {
    /// Writes until the buffer is empty or the kernel takes no more.
    pub(crate) fn write(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        pool: &mut ChunkPool,
    ) -> Written {
        match self {
            Writer::Frames => write_frames(stream, buffer, pool),
            Writer::Raw(raw) => raw.write(stream, buffer, pool),
            #[cfg(feature = "curve")]
            Writer::Sealed(sealed) => sealed.write(stream, buffer, pool),
            #[cfg(test)]
            Writer::Records(records) => records.write(stream, buffer, pool),
        }
    }

    /// Writes what the buffer holds, and behind it a message of one frame from the memory where it is. Only if a part of it is left, it is
    /// appended to the buffer, whole. Returns how many bytes the kernel has taken; why no more, the next write finds out.
    pub(crate) fn write_with_tail(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        body: &[u8],
        pool: &mut ChunkPool,
    ) -> usize {
        match self {
            Writer::Frames => write_frames_with_tail(stream, buffer, body, pool),
            Writer::Raw(raw) => {
                buffer.push(Outgoing::Slice(body), pool);
                raw.write(stream, buffer, pool).bytes
            }
            #[cfg(feature = "curve")]
            Writer::Sealed(sealed) => sealed.write_with_tail(stream, buffer, body, pool),
            #[cfg(test)]
            Writer::Records(records) => {
                buffer.push(Outgoing::Slice(body), pool);
                records.write(stream, buffer, pool).bytes
            }
        }
    }
}

fn write_frames(stream: &Stream, buffer: &mut OutBuffer, pool: &mut ChunkPool) -> Written {
    let mut bytes = 0;
    while !buffer.is_empty() {
        let (offered, written) = match buffer.only_slice(WRITE_KEPT_AT) {
            Some(only) => (only.len(), stream.write(only)),
            None => write_slices(stream, buffer),
        };
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                let result = Err(error);
                return Written { bytes, result };
            }
        };
        buffer.advance(written, pool);
        bytes += written;
        if written < offered {
            // A short write means that the kernel's buffer is full: asking again would only tell the same.
            let result = Err(io::ErrorKind::WouldBlock.into());
            return Written { bytes, result };
        }
    }
    Written {
        bytes,
        result: Ok(()),
    }
}

/// Offers the kernel several slices at once. Returns how many bytes that was, and how many it has taken.
///
/// By itself, as it fills a kilobyte of the stack first, which takes longer than all else that is done for a short message.
#[inline(never)]
fn write_slices(stream: &Stream, buffer: &OutBuffer) -> (usize, io::Result<usize>) {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = buffer.slices(&mut slices, WRITE_KEPT_AT);
    let slices = &slices[..count];
    let offered = slices.iter().map(|slice| slice.len()).sum();
    let written = match slices {
        [single] => stream.write(single),
        many => stream.write_vectored(many),
    };
    (offered, written)
}

fn write_frames_with_tail(
    stream: &Stream,
    buffer: &mut OutBuffer,
    body: &[u8],
    pool: &mut ChunkPool,
) -> usize {
    let (header, header_len) = encode_header(FrameKind::Last, body.len());
    let queued = buffer.unwritten();
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let mut count = buffer.slices(&mut slices, usize::MAX);
    let room = PIECE.saturating_sub(queued + header_len);
    let (first_piece, rest) = body.split_at(body.len().min(room));
    // If the queue is too long, a part of it is all that is offered.
    if let Some([first, second, ..]) = slices.get_mut(count..) {
        *first = IoSlice::new(&header[..header_len]);
        *second = IoSlice::new(first_piece);
        count += 2;
    }
    let mut written = stream.write_vectored(&slices[..count]).unwrap_or(0);
    let mut offered = queued + header_len + first_piece.len();
    for piece in rest.chunks(PIECE) {
        if written < offered {
            break;
        }
        written += stream.write(piece).unwrap_or(0);
        offered += piece.len();
    }
    let of_queued = written.min(queued);
    buffer.advance(of_queued, pool);
    if written < queued + header_len + body.len() {
        buffer.push(Outgoing::Slice(body), pool);
        buffer.advance(written - of_queued, pool);
    }
    written
}
