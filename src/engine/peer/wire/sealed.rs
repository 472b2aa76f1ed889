//! Around each frame: a MESSAGE of CURVE, which nobody else can read or alter.
//!
//! ```text
//!  OutBuffer ──▶ [MESSAGE MESSAGE MES… ] ──▶ kernel ──▶ [ …AGE MESSAGE MESS] ──▶ InBuffer
//!  plain          sealed, a batch at a time               input: not opened yet    plain, opened into place
//! ```
//!
//! - Frames are sealed when they leave, and not before: what has not left goes to another peer, or to the next connection, as it was.
//!   What was sealed is never sealed again on the same connection, and so is written to its end or goes with the connection. The counter is with
//!   the writer, whoever writes.
//! - Frames are opened as there is room for them. One for which there is not enough is opened beside, and given out in pieces.
//! - A frame's length is held to the limits when its header is read, and memory grows with what really comes. Nothing of a frame is
//!   given out before all of it has been found to be genuine.
//! - An idle connection holds no buffers.

use std::collections::VecDeque;
use std::io;

use super::reader::Came;
use super::writer::Written;
use crate::engine::peer::out_buffer::OutBuffer;
use crate::engine::peer::pool::{CHUNK, ChunkPool};
use crate::transport::Stream;
use crate::zmtp::{
    FrameKind, Limits, MESSAGE_OVERHEAD, Opener, ProtocolError, Sealer, decode_header,
};

/// What the kernel is asked for at once, at the least.
const READ: usize = CHUNK;

/// Longer frames get memory of their own where it is accounted for; others are read into what every connection may have.
const USUAL: usize = READ;

/// Memory that is longer is not kept for the next frame.
const KEPT: usize = 1024 * 1024;

/// The outgoing half.
#[derive(Debug)]
pub(crate) struct SealedWriter {
    sealer: Sealer,
    /// Frames that have been sealed and have not wholly left, and how many bytes of them have.
    bytes: Vec<u8>,
    written: usize,
    /// For each of them, where it ends in `bytes`, and the length of the plain frame.
    frames: VecDeque<(usize, usize)>,
    /// These lengths together: what has been taken of the out-buffer and not let go.
    held: usize,
}

impl SealedWriter {
    pub(crate) fn new(sealer: Sealer) -> SealedWriter {
        SealedWriter {
            sealer,
            bytes: Vec::new(),
            written: 0,
            frames: VecDeque::new(),
            held: 0,
        }
    }

    pub(super) fn write(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        pool: &mut ChunkPool,
    ) -> Written {
        let mut bytes = 0;
        loop {
            if self.written == self.bytes.len()
                && let Err(error) = self.seal(buffer, pool)
            {
                let result = Err(error);
                return Written { bytes, result };
            }
            let left = &self.bytes[self.written..];
            if left.is_empty() {
                self.release(pool);
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

    /// Seals the next frames: a chunk full of them, or one that is longer.
    fn seal(&mut self, buffer: &mut OutBuffer, pool: &mut ChunkPool) -> io::Result<()> {
        self.bytes.clear();
        self.written = 0;
        let mut outcome = Ok(());
        for (kind, body, frame_len) in buffer.untaken_frames() {
            let len = Sealer::sealed_len(body.len());
            if self.bytes.is_empty() && self.bytes.capacity() < len.max(CHUNK) {
                Self::give(std::mem::take(&mut self.bytes), pool);
                self.bytes = match len <= CHUNK {
                    true => pool.take(),
                    false => pool.take_body(len),
                };
            }
            if self.bytes.capacity() - self.bytes.len() < len {
                if self.bytes.is_empty() {
                    outcome = Err(io::ErrorKind::OutOfMemory.into());
                }
                break;
            }
            if !self.sealer.seal(kind, body, &mut self.bytes) {
                outcome = Err(io::Error::other(
                    "all the numbers of the session are used up",
                ));
                break;
            }
            self.frames.push_back((self.bytes.len(), frame_len));
            self.held += frame_len;
        }
        buffer.take(self.held);
        outcome
    }

    fn wrote(&mut self, n: usize) {
        self.written += n;
        while let Some(&(end, frame_len)) = self.frames.front()
            && end <= self.written
        {
            self.frames.pop_front();
            self.held -= frame_len;
        }
    }

    /// All has left.
    fn release(&mut self, pool: &mut ChunkPool) {
        self.written = 0;
        Self::give(std::mem::take(&mut self.bytes), pool);
        self.frames = VecDeque::new();
        self.sealer.rest();
    }

    fn give(bytes: Vec<u8>, pool: &mut ChunkPool) {
        match bytes.capacity() > CHUNK {
            true => pool.give_body(bytes),
            false => pool.give(bytes),
        }
    }
}

/// The incoming half.
#[derive(Debug)]
pub(crate) struct SealedReader {
    opener: Opener,
    limits: Limits,
    /// The bodies of the frames so far of a message that is not whole.
    message_bytes: u64,
    /// Memory is accounted for: a long frame gets all that it takes at once, as soon as there is a share for that, and nothing is kept in reserve.
    exact: bool,
    /// What has been read, and from where on it has not been opened.
    input: Vec<u8>,
    position: usize,
    /// A frame for which there was not room enough, and how much of it has been given out.
    plain: Vec<u8>,
    given: usize,
    /// What is wrong with the bytes behind those.
    violation: Option<Box<ProtocolError>>,
}

/// Where a vector ends that is to be filled.
struct Room<'a> {
    into: &'a mut Vec<u8>,
    end: usize,
}

impl Room<'_> {
    fn left(&self) -> usize {
        self.end - self.into.len()
    }
}

impl SealedReader {
    pub(crate) fn new(opener: Opener, limits: Limits, exact: bool) -> SealedReader {
        SealedReader {
            opener,
            limits,
            message_bytes: 0,
            exact,
            input: Vec::new(),
            position: 0,
            plain: Vec::new(),
            given: 0,
            violation: None,
        }
    }

    /// How much memory it takes beyond what every connection may. A long frame counts as often as it is going to be here, but not before there
    /// is memory for it.
    pub(super) fn memory(&self) -> usize {
        let input = self.input.capacity().saturating_sub(USUAL + READ);
        let plain = self.plain.capacity().saturating_sub(USUAL);
        match self.is_long_reserved() {
            true => 2 * input,
            false => input + plain,
        }
    }

    /// How much it will take when it has been read into once more.
    pub(super) fn memory_to_read(&self) -> usize {
        match self.awaits_memory() {
            true => 2 * self.next_len(),
            false => self.memory(),
        }
    }

    /// Whether a long frame is coming that there is no memory for yet.
    pub(super) fn awaits_memory(&self) -> bool {
        self.is_long_coming() && !self.is_long_reserved()
    }

    /// Whether the next frame is a long one, and not all there.
    fn is_long_coming(&self) -> bool {
        self.next_len() > USUAL && self.next_body().is_none()
    }

    fn is_long_reserved(&self) -> bool {
        let len = self.next_len();
        len > USUAL && self.position + len <= self.input.capacity()
    }

    /// How long the next frame is; 0 if its header is not there.
    fn next_len(&self) -> usize {
        let rest = self.input.get(self.position..).unwrap_or_default();
        decode_header(rest).map_or(0, |header| {
            usize::try_from(header.frame_len()).unwrap_or(usize::MAX)
        })
    }

    pub(super) fn read(
        &mut self,
        stream: &Stream,
        into: &mut [(&mut Vec<u8>, usize)],
        pool: &mut ChunkPool,
    ) -> io::Result<Came> {
        let mut came = Came {
            bytes: 0,
            // The kernel is not asked before all that was read has been given out.
            more: true,
            eof: false,
        };
        if !self.has_more() {
            let room = self.make_room(pool)?;
            came.bytes = match stream.read_spare(&mut self.input, room) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.release_if_empty(pool);
                    return Err(error);
                }
            };
            came.eof = came.bytes == 0;
            came.more = came.bytes == room;
        }
        for (into, room) in into {
            let end = into.len() + *room;
            self.give_out(&mut Room { into, end })?;
        }
        came.more |= self.has_more();
        if !came.more && self.position == self.input.len() {
            // Nobody reads again before the kernel has more, which may be never.
            self.input.clear();
            self.position = 0;
            self.release_if_empty(pool);
        }
        Ok(came)
    }

    pub(super) fn early(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        self.input.extend_from_slice(bytes);
        let end = into.capacity();
        // There is room for what a handshake's last read can hold; what there is none for stays here.
        let _ = self.give_out(&mut Room { into, end });
    }

    /// What the peer has done wrong, once all that came before has been given out.
    pub(super) fn take_violation(&mut self) -> Option<Box<ProtocolError>> {
        match self.given == self.plain.len() {
            true => self.violation.take(),
            false => None,
        }
    }

    /// Whether there is something to give out without the kernel, or to say.
    fn has_more(&self) -> bool {
        self.given < self.plain.len() || self.violation.is_some() || self.next_body().is_some()
    }

    /// The body of the next frame, with the length of its header, if it is all there.
    fn next_body(&self) -> Option<(usize, &[u8])> {
        let rest = self.input.get(self.position..)?;
        let header = decode_header(rest)?;
        let end = usize::try_from(header.frame_len()).ok()?;
        let body = rest.get(header.header_len..end)?;
        Some((header.header_len, body))
    }

    /// Gives plain bytes out, as long as there is room and there are any.
    fn give_out(&mut self, room: &mut Room<'_>) -> io::Result<()> {
        loop {
            let pending = &self.plain[self.given..];
            let count = pending.len().min(room.left());
            room.into.extend_from_slice(&pending[..count]);
            self.given += count;
            if self.given < self.plain.len() || room.left() == 0 {
                return Ok(());
            }
            self.forget_plain();
            if self.violation.is_some() || !self.open_next(room)? {
                return Ok(());
            }
        }
    }

    fn forget_plain(&mut self) {
        self.plain.clear();
        self.given = 0;
        if self.plain.capacity() > self.kept() {
            self.plain = Vec::new();
        }
    }

    /// Opens the next frame, if it is there: into place, or beside if there is not room enough. `false`: there is none to be had.
    fn open_next(&mut self, room: &mut Room<'_>) -> io::Result<bool> {
        if let Err(error) = self.check_next() {
            self.violation = Some(Box::new(error));
            return Ok(false);
        }
        let Some((header_len, body)) = self.next_body() else {
            return Ok(false);
        };
        let (body_len, len) = (body.len(), Opener::opened_len(body.len()));
        let start = self.position + header_len;
        let body = &self.input[start..start + body_len];
        let out = match len <= room.left() {
            true => &mut *room.into,
            false => {
                let reserved = self.plain.try_reserve_exact(len);
                reserved.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
                &mut self.plain
            }
        };
        match self.opener.open(body, out) {
            Ok(kind) => {
                self.account(kind, body_len);
                self.position = start + body_len;
                if self.exact && self.position == self.input.len() && body_len > USUAL {
                    self.input = Vec::new();
                    self.position = 0;
                }
                Ok(true)
            }
            Err(error) => {
                self.violation = Some(Box::new(error));
                Ok(false)
            }
        }
    }

    fn account(&mut self, kind: FrameKind, body_len: usize) {
        match kind {
            FrameKind::Command => {}
            FrameKind::Last => self.message_bytes = 0,
            FrameKind::More => {
                let len = body_len.saturating_sub(MESSAGE_OVERHEAD) as u64;
                self.message_bytes = self.message_bytes.saturating_add(len);
            }
        }
    }

    /// Holds the next frame to the limits, as soon as its header is there. What kind it is of shows only when it is opened, so it may be as
    /// long as the longer of what is left for the message and of a command; the scanner holds it to the right one.
    fn check_next(&self) -> Result<(), ProtocolError> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let Some(header) = decode_header(rest) else {
            return Ok(());
        };
        let Limits {
            max_message_size,
            max_command_size,
            ..
        } = self.limits;
        let len = header.body_len.saturating_sub(MESSAGE_OVERHEAD as u64);
        let announced = self.message_bytes.saturating_add(len);
        if announced > max_message_size && len > max_command_size {
            return Err(ProtocolError::MessageTooLarge {
                limit: max_message_size,
                announced,
            });
        }
        Ok(())
    }

    /// Moves what has not been opened to the front, and sees to it that there is room behind it. Returns how much to read: at least what is
    /// usual, and of a long frame twice what is there.
    fn make_room(&mut self, pool: &mut ChunkPool) -> io::Result<usize> {
        if self.position > 0 {
            self.input.drain(..self.position);
            self.position = 0;
        }
        let have = self.input.len();
        let missing = self.next_len().saturating_sub(have);
        let (room, reserve) = match self.exact && self.is_long_coming() {
            true => (missing.min(READ), missing),
            false => {
                let room = missing.min(have).max(READ);
                (room, room)
            }
        };
        if self.input.capacity() == 0 && reserve <= CHUNK {
            self.input = pool.take();
        } else if self.input.capacity() - have < reserve {
            let reserved = self.input.try_reserve_exact(reserve);
            reserved.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        } else if have == 0 && self.input.capacity() > self.kept() {
            self.input = Vec::with_capacity(room);
        }
        Ok(room)
    }

    fn kept(&self) -> usize {
        match self.exact {
            true => USUAL,
            false => KEPT,
        }
    }

    /// There is nothing to read for now.
    fn release_if_empty(&mut self, pool: &mut ChunkPool) {
        if self.input.is_empty() {
            pool.give(std::mem::take(&mut self.input));
            self.opener.rest();
        }
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
    }
}
