//! A toy, for the tests: each frame goes in a record of its own, which is longer than the frame and cannot be read by itself, as with a
//! mechanism that encrypts.
//!
//! ```text
//! record:  length(4, BE)  number(4, BE)  kind(1) body, disguised  sum(1)
//! ```
//!
//! Records are numbered on each connection from 0 on: one that is left out, repeated or of an earlier connection is noticed.

use std::collections::VecDeque;
use std::io;

use super::reader::Came;
use super::writer::Written;
use crate::engine::peer::out_buffer::OutBuffer;
use crate::engine::peer::pool::ChunkPool;
use crate::transport::Stream;
use crate::transport::memory::take_front;
use crate::zmtp::{FrameKind, put_frame};

/// With so many bytes made, they are written before more are.
const AT_ONCE: usize = 1000;

/// What the kernel is asked for.
const READ: usize = 700;

/// Length and number.
const HEAD: usize = 8;

/// Around a frame's kind and body.
pub(super) const OVERHEAD: usize = HEAD + 2;

fn disguise(number: u32, bytes: &mut [u8]) {
    let mask = number.wrapping_mul(31) as u8;
    bytes.iter_mut().for_each(|byte| *byte ^= mask);
}

fn sum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(17, |sum, byte| sum.wrapping_mul(3) ^ byte)
}

/// The outgoing half.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    number: u32,
    /// Records that have not wholly left, and how many bytes of them have.
    bytes: Vec<u8>,
    written: usize,
    /// For each of them, where it ends in `bytes`, and the length of its frame.
    records: VecDeque<(usize, usize)>,
    /// The lengths of these frames together: what has been taken of the out-buffer and not let go.
    held: usize,
}

impl RecordWriter {
    pub(super) fn write(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        pool: &mut ChunkPool,
    ) -> Written {
        let mut bytes = 0;
        loop {
            if self.written == self.bytes.len() {
                self.make(buffer);
            }
            let left = &self.bytes[self.written..];
            if left.is_empty() {
                let result = Ok(());
                return Written { bytes, result };
            }
            let offered = left.len();
            let written = match stream.write(left) {
                Ok(written) => written,
                Err(error) => {
                    let result = Err(error);
                    return Written { bytes, result };
                }
            };
            bytes += written;
            self.wrote(written);
            buffer.let_go(self.held, pool);
            if written < offered {
                let result = Err(io::ErrorKind::WouldBlock.into());
                return Written { bytes, result };
            }
        }
    }

    /// Makes records of the next frames.
    fn make(&mut self, buffer: &mut OutBuffer) {
        self.bytes.clear();
        self.written = 0;
        for (kind, body, frame_len) in buffer.untaken_frames() {
            self.put(kind, body);
            self.records.push_back((self.bytes.len(), frame_len));
            self.held += frame_len;
            if self.bytes.len() >= AT_ONCE {
                break;
            }
        }
        buffer.take(self.held);
    }

    fn put(&mut self, kind: FrameKind, body: &[u8]) {
        let len = (body.len() + OVERHEAD) as u32;
        self.bytes.extend(len.to_be_bytes());
        self.bytes.extend(self.number.to_be_bytes());
        let start = self.bytes.len();
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(body);
        let sum = sum(&self.bytes[start..]);
        self.bytes.push(sum);
        disguise(self.number, &mut self.bytes[start..]);
        self.number += 1;
    }

    fn wrote(&mut self, n: usize) {
        self.written += n;
        while let Some(&(end, frame_len)) = self.records.front()
            && end <= self.written
        {
            self.records.pop_front();
            self.held -= frame_len;
        }
    }
}

/// The incoming half.
#[derive(Debug, Default)]
pub(crate) struct RecordReader {
    number: u32,
    /// Read, and not a whole record.
    input: Vec<u8>,
    /// Frames that have not been given out, the first of them perhaps in part.
    plain: VecDeque<u8>,
}

impl RecordReader {
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        into: &mut [(&mut Vec<u8>, usize)],
    ) -> io::Result<Came> {
        let mut came = Came {
            bytes: 0,
            // The kernel is not asked before all that was read has been given out.
            more: true,
            eof: false,
        };
        if self.plain.is_empty() {
            let mut read = Vec::with_capacity(READ);
            came.bytes = stream.read_spare(&mut read, READ)?;
            came.eof = came.bytes == 0;
            self.open(&read);
            came.more = came.bytes == READ;
        }
        for (into, room) in into {
            let room = self.plain.len().min(*room);
            take_front(&mut self.plain, room, into);
        }
        came.more |= !self.plain.is_empty();
        Ok(came)
    }

    pub(super) fn early(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        self.open(bytes);
        let count = self.plain.len();
        take_front(&mut self.plain, count, into);
    }

    fn open(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some((&len, _)) = self.input.split_first_chunk::<4>()
            && let len = u32::from_be_bytes(len) as usize
            && self.input.len() >= len
        {
            let rest = self.input.split_off(len);
            let mut record = std::mem::replace(&mut self.input, rest);
            assert_eq!(record[4..HEAD], self.number.to_be_bytes());
            disguise(self.number, &mut record[HEAD..]);
            self.number += 1;
            let (&found, plain) = record[HEAD..].split_last().expect("a sum");
            assert_eq!(found, sum(plain));
            let kind = match plain[0] {
                0 => FrameKind::Last,
                1 => FrameKind::More,
                _ => FrameKind::Command,
            };
            let mut frame = Vec::new();
            put_frame(&mut frame, kind, &plain[1..]);
            self.plain.extend(&frame);
        }
    }
}
