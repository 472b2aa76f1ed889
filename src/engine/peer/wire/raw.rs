//! No ZMTP: on the wire there are the bodies of frames alone, one behind the other, and what comes is cut wherever a read ends.
//!
//! - *Out:* bodies leave from the memory of the out-buffer. A frame is taken when its first byte leaves.
//! - *In:* each read is a message of one frame, whose header is put before it here.

use std::io::{self, IoSlice};

use super::reader::Came;
use super::writer::Written;
use crate::engine::peer::out_buffer::{MAX_SLICES, OutBuffer};
use crate::engine::peer::pool::ChunkPool;
use crate::engine::peer::state::WRITE_KEPT_AT;
use crate::transport::Stream;
use crate::zmtp::{FrameKind, MAX_HEADER, encode_header};

/// The outgoing half.
#[derive(Debug, Default)]
pub(crate) struct RawWriter {
    /// The length of the frame that has left in part; 0 if there is none.
    begun: usize,
    /// So many bytes of its body have left.
    left: usize,
}

impl RawWriter {
    pub(super) fn write(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        pool: &mut ChunkPool,
    ) -> Written {
        let mut bytes = 0;
        while !buffer.is_empty() {
            let (written, offered) = match self.write_some(stream, buffer) {
                Ok(written) => written,
                Err(error) => {
                    let result = Err(error);
                    return Written { bytes, result };
                }
            };
            bytes += written;
            buffer.let_go(self.begun, pool);
            if written < offered {
                let result = Err(io::ErrorKind::WouldBlock.into());
                return Written { bytes, result };
            }
        }
        let result = Ok(());
        Written { bytes, result }
    }

    /// One write, of as many bodies as it carries. Returns how many bytes were taken of how many that were offered.
    fn write_some(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
    ) -> io::Result<(usize, usize)> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        // For each of them what is left of the body, and the length of the frame.
        let mut frames = [(0, 0); MAX_SLICES];
        let (mut count, mut offered) = (0, 0);
        for (_, body, frame_len) in buffer.frames_from(self.begun) {
            if count == MAX_SLICES || offered >= WRITE_KEPT_AT {
                break;
            }
            let done = if count == 0 { self.left } else { 0 };
            let body = body.get(done..).unwrap_or_default();
            slices[count] = IoSlice::new(body);
            frames[count] = (body.len(), frame_len);
            offered += body.len();
            count += 1;
        }
        let written = match &slices[..count] {
            _ if offered == 0 => 0,
            [single] => stream.write(single)?,
            many => stream.write_vectored(many)?,
        };
        let mut rest = written;
        for (body_len, frame_len) in frames.into_iter().take(count) {
            if rest < body_len {
                if rest > 0 {
                    buffer.take(frame_len - self.begun);
                    self.begun = frame_len;
                    self.left += rest;
                }
                break;
            }
            rest -= body_len;
            buffer.take(frame_len - self.begun);
            (self.begun, self.left) = (0, 0);
        }
        Ok((written, offered))
    }
}

/// Reads once, and puts the header of a frame before what has come.
pub(super) fn read(stream: &Stream, into: &mut Vec<u8>, room: usize) -> io::Result<Came> {
    let start = into.len();
    let body_start = start + MAX_HEADER;
    let room = room.saturating_sub(MAX_HEADER);
    into.resize(body_start, 0);
    let bytes = match stream.read_spare(into, room) {
        Ok(bytes) => bytes,
        Err(error) => {
            into.truncate(start);
            return Err(error);
        }
    };
    match bytes {
        0 => into.truncate(start),
        _ => put_header(into, start, bytes),
    }
    Ok(Came::filled(bytes, room))
}

/// Appends bytes as a frame.
pub(super) fn put(bytes: &[u8], into: &mut Vec<u8>) {
    let (header, header_len) = encode_header(FrameKind::Last, bytes.len());
    into.extend_from_slice(&header[..header_len]);
    into.extend_from_slice(bytes);
}

/// Puts the header of a frame into the room that was left for it before the body.
fn put_header(into: &mut Vec<u8>, start: usize, body_len: usize) {
    let (header, header_len) = encode_header(FrameKind::Last, body_len);
    into[start..start + header_len].copy_from_slice(&header[..header_len]);
    if header_len < MAX_HEADER {
        let body_start = start + MAX_HEADER;
        into.copy_within(body_start..body_start + body_len, start + header_len);
        into.truncate(start + header_len + body_len);
    }
}
