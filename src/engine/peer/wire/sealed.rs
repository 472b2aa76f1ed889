//! Around each frame: a MESSAGE of CURVE, which nobody else can read or alter.
//!
//! ```text
//!  OutBuffer ──▶ [MESSAGE MESSAGE MES… ] ──▶ kernel ──▶ [ …AGE MESSAGE MESS] ──▶ InBuffer
//!  plain          sealed, a batch at a time               input: opened in place   plain
//! ```
//!
//! - Frames are sealed when they leave, and not before: what has not left goes to another peer, or to the next connection, as it was.
//!   What was sealed is never sealed again on the same connection, and so is written to its end or goes with the connection. The counter is with
//!   the writer, whoever writes.
//! - Frames are opened one by one where they were read to, and copied from there. One for which there is not room enough is given out in pieces.
//! - A frame's length is held to the limits when its header is read, and memory grows with what really comes. Nothing of a frame is
//!   given out before all of it has been found to be genuine.
//! - An idle connection holds no buffers.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::reader::Came;
use super::writer::Written;
use crate::engine::peer::out_buffer::{OutBuffer, frame_len};
use crate::engine::peer::outgoing::Outgoing;
use crate::engine::peer::pool::{CHUNK, ChunkPool};
use crate::transport::{SEGMENT, Stream};
use crate::zmtp::{
    FrameKind, Header, Limits, LongFrame, MESSAGE_OVERHEAD, Opener, ProtocolError, SealedEnd,
    Sealer, decode_header,
};

/// What the kernel is asked for at once, at the least.
const READ: usize = CHUNK;

/// Longer frames get memory of their own where it is accounted for; others are read into what every connection may have.
const USUAL: usize = READ;

/// With the end of a long frame only this much is fetched of what follows, as that is moved to the front before the next read.
const PEEK: usize = 2 * 1024;

/// The first memory for a long frame, of which the system provides only what is written to; from there it doubles with what really arrives,
/// so that an announced length by itself costs nothing.
const LONG_START: usize = 1024 * 1024 + READ;

/// Memory that is longer is not kept for the next frame.
const KEPT: usize = 2 * 1024 * 1024;

/// What is offered to the kernel at once: while it copies, it does not go on with what it has copied already.
const PIECE: usize = 4 * SEGMENT;

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
            let left = self.piece();
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

    /// Writes what the buffer holds, and behind it a message of one frame, sealed from the memory where it is. Only if a part of it is left, it is
    /// appended to the buffer, whole.
    pub(super) fn write_with_tail(
        &mut self,
        stream: &Stream,
        buffer: &mut OutBuffer,
        body: &[u8],
        pool: &mut ChunkPool,
    ) -> usize {
        let Written { bytes, result } = self.write(stream, buffer, pool);
        let sealed = result
            .and_then(|()| self.seal_frame(FrameKind::Last, body, frame_len(body.len()), pool));
        if !matches!(sealed, Ok(true)) {
            buffer.push(Outgoing::Slice(body), pool);
            return bytes;
        }
        let mut written = 0;
        loop {
            let offered = self.piece().len();
            let taken = stream.write(self.piece()).unwrap_or(0);
            self.wrote(taken);
            written += taken;
            if taken < offered || self.held == 0 {
                break;
            }
        }
        if self.held > 0 {
            buffer.push(Outgoing::Slice(body), pool);
            buffer.take(self.held);
        } else {
            self.release(pool);
        }
        bytes + written
    }

    /// Seals the next frames: a chunk full of them, or one that is longer.
    fn seal(&mut self, buffer: &mut OutBuffer, pool: &mut ChunkPool) -> io::Result<()> {
        self.bytes.clear();
        self.written = 0;
        let mut outcome = Ok(true);
        for (kind, body, frame_len) in buffer.untaken_frames() {
            outcome = self.seal_frame(kind, body, frame_len, pool);
            if !matches!(outcome, Ok(true)) {
                break;
            }
        }
        buffer.take(self.held);
        outcome.map(|_| ())
    }

    /// Seals one more frame, whose length in plain is given, too. `Ok(false)`: there is no room for it behind those before.
    fn seal_frame(
        &mut self,
        kind: FrameKind,
        body: &[u8],
        frame_len: usize,
        pool: &mut ChunkPool,
    ) -> io::Result<bool> {
        let len = Sealer::sealed_len(body.len());
        if self.bytes.is_empty() && self.bytes.capacity() < len.max(CHUNK) {
            give(std::mem::take(&mut self.bytes), pool);
            self.bytes = match len <= CHUNK {
                true => pool.take(),
                false => pool.take_body(len),
            };
        }
        if self.bytes.capacity() - self.bytes.len() < len {
            return match self.bytes.is_empty() {
                true => Err(io::ErrorKind::OutOfMemory.into()),
                false => Ok(false),
            };
        }
        if !self.sealer.seal(kind, body, &mut self.bytes) {
            return Err(io::Error::other(
                "all the numbers of the session are used up",
            ));
        }
        self.frames.push_back((self.bytes.len(), frame_len));
        self.held += frame_len;
        Ok(true)
    }

    /// What is to be written next.
    fn piece(&self) -> &[u8] {
        let left = &self.bytes[self.written..];
        &left[..left.len().min(PIECE)]
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
        give(std::mem::take(&mut self.bytes), pool);
        self.frames = VecDeque::new();
        self.sealer.rest();
    }
}

fn give(bytes: Vec<u8>, pool: &mut ChunkPool) {
    match bytes.capacity() > CHUNK {
        true => pool.give_body(bytes),
        false => pool.give(bytes),
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
    /// How much of the last frame that was opened has not been given out. It ends at `position`.
    pending: usize,
    long: Long,
    /// How much memory the last frame took, if it was a long one: the next one is likely to take as much.
    expected: usize,
    /// What is wrong with the bytes behind those.
    violation: Option<Box<ProtocolError>>,
}

/// A long frame, of which neither the tag nor the text is computed in one go.
#[derive(Debug)]
enum Long {
    /// There is none.
    Not,
    /// The next frame is one, and not all there.
    Coming(Box<LongFrame>),
    /// The last one was. The end of what is pending is encrypted.
    Opened(Box<SealedEnd>),
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
            pending: 0,
            long: Long::Not,
            expected: 0,
            violation: None,
        }
    }

    /// How much memory it takes beyond what every connection may. A long frame counts twice, but not before there is memory for it: it is going to be here
    /// and, opened, with whoever it is given out to.
    pub(super) fn memory(&self) -> usize {
        let input = self.input.capacity().saturating_sub(USUAL + READ);
        match self.is_long_reserved() {
            true => 2 * input,
            false => input,
        }
    }

    /// How much it will take when it has been read into once more.
    pub(super) fn memory_to_read(&self) -> usize {
        match self.awaits_memory() {
            true => self.next_len().saturating_mul(2),
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
        len > USUAL && self.position.saturating_add(len) <= self.input.capacity()
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
            self.give_out(&mut Room { into, end });
        }
        came.more |= self.has_more();
        if !came.more && self.position == self.input.len() {
            // Nobody reads again before the kernel has more, which may be never.
            self.expected = match self.position > USUAL && !self.exact {
                true => self.input.capacity(),
                false => 0,
            };
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
        self.give_out(&mut Room { into, end });
    }

    /// What the peer has done wrong, once all that came before has been given out.
    pub(super) fn take_violation(&mut self) -> Option<Box<ProtocolError>> {
        match self.pending {
            0 => self.violation.take(),
            _ => None,
        }
    }

    /// Whether there is something to give out without the kernel, or to say.
    fn has_more(&self) -> bool {
        self.pending > 0 || self.violation.is_some() || self.next_body().is_some()
    }

    /// Where in `input` the body of the next frame is, if it is all there.
    fn next_body(&self) -> Option<Range<usize>> {
        let rest = self.input.get(self.position..)?;
        let header = decode_header(rest)?;
        let len = usize::try_from(header.frame_len()).ok()?;
        (len <= rest.len()).then(|| self.position + header.header_len..self.position + len)
    }

    /// Gives plain bytes out, as long as there is room and there are any. Also where the room ends with a frame, the next one is looked at: what is wrong
    /// with it is to be said now, as nothing more may come.
    fn give_out(&mut self, room: &mut Room<'_>) {
        loop {
            self.give_pending(room);
            if self.pending > 0 {
                return;
            }
            if self.exact && self.position == self.input.len() && self.position > USUAL {
                self.input = Vec::new();
                self.position = 0;
            }
            if self.violation.is_some() || !self.open_next() {
                return;
            }
        }
    }

    fn give_pending(&mut self, room: &mut Room<'_>) {
        let pending = &self.input[self.position - self.pending..self.position];
        let pending = &pending[..pending.len().min(room.left())];
        let left = self.pending - pending.len();
        let encrypted = match &self.long {
            Long::Opened(end) => end.left(),
            Long::Not | Long::Coming(_) => 0,
        };
        let (plain, end) = pending.split_at(pending.len().min(self.pending - encrypted));
        room.into.extend_from_slice(plain);
        if let Long::Opened(sealed) = &mut self.long {
            sealed.decrypt(end, room.into);
            if left == 0 {
                self.long = Long::Not;
            }
        }
        self.pending = left;
    }

    /// Opens the next frame, if it is there. `false`: there is none to be had.
    fn open_next(&mut self) -> bool {
        let opened = self.try_open();
        opened.unwrap_or_else(|error| {
            self.violation = Some(Box::new(error));
            self.long = Long::Not;
            false
        })
    }

    fn try_open(&mut self) -> Result<bool, ProtocolError> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let Some(header) = decode_header(rest) else {
            return Ok(false);
        };
        self.check(&header)?;
        let start = self.position + header.header_len;
        let whole = self.next_body();
        let is_whole = whole.is_some();
        let body = whole.unwrap_or(start..self.input.len());
        let (body_len, end) = (body.len(), body.end);
        let body = self.input.get_mut(body).unwrap_or_default();
        let long = match std::mem::replace(&mut self.long, Long::Not) {
            Long::Coming(long) => Some(long),
            _ if LongFrame::can_begin(header.body_len, body.len()) => {
                Some(Box::new(self.opener.begin(body)?))
            }
            _ => None,
        };
        let kind = match (long, is_whole) {
            (Some(mut long), false) => {
                long.came(body, false);
                self.long = Long::Coming(long);
                return Ok(false);
            }
            (None, false) => return Ok(false),
            (Some(long), true) => {
                let (kind, start, end) = self.opener.finish(*long, body)?;
                self.pending = body_len - start;
                self.long = Long::Opened(Box::new(end));
                kind
            }
            (None, true) => {
                let (kind, frame) = self.opener.open(body)?;
                self.pending = frame.len();
                kind
            }
        };
        self.position = end;
        self.account(kind, body_len);
        Ok(true)
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

    /// Holds a frame to the limits, as soon as its header is there. What kind it is of shows only when it is opened, so it may be as
    /// long as the longer of what is left for the message and of a command; the scanner holds it to the right one.
    fn check(&self, header: &Header) -> Result<(), ProtocolError> {
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

    /// Moves what has not been opened to the front, and sees to it that there is room behind it. Returns how much to read: what is
    /// usual, and not much beyond the end of a long frame.
    fn make_room(&mut self, pool: &mut ChunkPool) -> io::Result<usize> {
        if self.position > 0 {
            self.input.drain(..self.position);
            self.position = 0;
        }
        let have = self.input.len();
        let next = self.next_len();
        let missing = next.saturating_sub(have);
        let (room, capacity) = match (self.is_long_coming(), self.exact) {
            (true, true) => (missing.min(READ), next),
            (true, false) => {
                let room = missing.saturating_add(PEEK).min(READ);
                let most = LONG_START.max(have.saturating_mul(2));
                let capacity = next.saturating_add(PEEK).min(most);
                (room, capacity.max(have + room))
            }
            (false, _) => (READ, have + READ),
        };
        if self.input.capacity() < capacity {
            self.grow(capacity, pool)?;
        } else if have == 0 && self.input.capacity() > self.kept() {
            give(std::mem::replace(&mut self.input, pool.take()), pool);
        }
        Ok(room)
    }

    fn grow(&mut self, capacity: usize, pool: &mut ChunkPool) -> io::Result<()> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        if self.exact && capacity > CHUNK {
            let more = capacity - self.input.len();
            let reserved = self.input.try_reserve_exact(more);
            return reserved.map_err(|_| out_of_memory());
        }
        let capacity = capacity.max(self.expected);
        let mut larger = match capacity <= CHUNK {
            true => pool.take(),
            false => pool.take_body(capacity),
        };
        if larger.capacity() < capacity {
            return Err(out_of_memory());
        }
        larger.extend_from_slice(&self.input);
        give(std::mem::replace(&mut self.input, larger), pool);
        Ok(())
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
            give(std::mem::take(&mut self.input), pool);
            self.opener.rest();
        }
    }
}
