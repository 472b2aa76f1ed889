//! Bytes in: from the kernel, up to plain frames.

use std::io;

use super::raw;
use crate::engine::peer::pool::ChunkPool;
use crate::transport::Stream;
use crate::zmtp::ProtocolError;

/// The incoming half of a connection: what is around messages, and what has been read of them and not been given out.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Nothing: frames are read straight into the memory where they are to be.
    Frames,
    /// There are no frames: each read is one.
    Raw,
    /// Frames are sealed.
    #[cfg(feature = "curve")]
    Sealed(Box<super::sealed::SealedReader>),
    #[cfg(test)]
    Records(super::records::RecordReader),
}

/// What a read brought, besides what is in the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came {
    /// Bytes that the kernel has given.
    pub(crate) bytes: usize,
    /// There may be more: with the kernel, which has filled all the room it was given, or here.
    pub(crate) more: bool,
    /// The peer has closed its side, and all that came before has been given out.
    pub(crate) eof: bool,
}

impl Came {
    pub(super) fn filled(bytes: usize, room: usize) -> Came {
        Came {
            bytes,
            more: bytes == room,
            eof: bytes == 0,
        }
    }
}

#[cfg_attr(not(feature = "curve"), expect(unused_variables))]
impl Reader {
    /// Appends plain bytes to `into`, at most `room` and within its capacity. One system call at the most.
    #[inline]
    pub(crate) fn read(
        &mut self,
        stream: &Stream,
        into: &mut Vec<u8>,
        room: usize,
        pool: &mut ChunkPool,
    ) -> io::Result<Came> {
        match self {
            Reader::Frames => Ok(Came::filled(stream.read_spare(into, room)?, room)),
            Reader::Raw => raw::read(stream, into, room),
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.read(stream, &mut [(into, room)], pool),
            #[cfg(test)]
            Reader::Records(records) => records.read(stream, &mut [(into, room)]),
        }
    }

    /// The same, and what comes after so many bytes goes to `next`, at most `peek` bytes.
    #[inline]
    pub(crate) fn read_two(
        &mut self,
        stream: &Stream,
        into: &mut Vec<u8>,
        room: usize,
        (next, peek): (&mut Vec<u8>, usize),
        pool: &mut ChunkPool,
    ) -> io::Result<Came> {
        match self {
            Reader::Frames => {
                let bytes = stream.read_spare_two(into, room, next, peek)?;
                Ok(Came::filled(bytes, room + peek))
            }
            // Only of frames that come in parts, which these never do.
            Reader::Raw => raw::read(stream, into, room),
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.read(stream, &mut [(into, room), (next, peek)], pool),
            #[cfg(test)]
            Reader::Records(records) => records.read(stream, &mut [(into, room), (next, peek)]),
        }
    }

    /// How much memory it takes beyond what every connection may.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Reader::Frames | Reader::Raw => 0,
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.memory(),
            #[cfg(test)]
            Reader::Records(_) => 0,
        }
    }

    /// How much it will take when it has been read into once more.
    pub(crate) fn memory_to_read(&self) -> usize {
        match self {
            Reader::Frames | Reader::Raw => 0,
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.memory_to_read(),
            #[cfg(test)]
            Reader::Records(_) => 0,
        }
    }

    /// Whether it has to get some before it is read into again.
    pub(crate) fn awaits_memory(&self) -> bool {
        match self {
            Reader::Frames | Reader::Raw => false,
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.awaits_memory(),
            #[cfg(test)]
            Reader::Records(_) => false,
        }
    }

    /// Takes bytes that came in one piece with the end of the handshake, and appends what they hold to `into`, which has room.
    pub(crate) fn early(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        match self {
            Reader::Frames => into.extend_from_slice(bytes),
            Reader::Raw => raw::put(bytes, into),
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.early(bytes, into),
            #[cfg(test)]
            Reader::Records(records) => records.early(bytes, into),
        }
    }

    /// What is wrong with what has been read, behind all that has been given out: the connection is to be closed.
    #[inline]
    pub(crate) fn take_violation(&mut self) -> Option<Box<ProtocolError>> {
        match self {
            Reader::Frames | Reader::Raw => None,
            #[cfg(feature = "curve")]
            Reader::Sealed(sealed) => sealed.take_violation(),
            #[cfg(test)]
            Reader::Records(_) => None,
        }
    }
}
