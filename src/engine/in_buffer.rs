//! What a peer has sent and nobody has taken yet.
//!
//! Reads go into pooled chunks. Right after a read the new bytes are *scanned* once: limits are checked,
//! commands are handled, whole messages counted. A frame is decoded a second time, and copied out, when
//! the application takes it; that costs two nanoseconds and means that no message held by the application
//! ever pins a read buffer.
//!
//! ```text
//!   front        segments                                 partial            large
//!  [..|msg msg]  [msg msg hdr][body, own memory][msg]     [first bytes of    or a large frame's body,
//!     ^ position                                           a small frame]    read straight into place
//! ```

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::inproc::{Channel, Received};
use super::out_buffer::{OutBuffer, Outgoing, Segment};
use super::pool::{CHUNK, ChunkPool};
use crate::message::{Frame, Message};
use crate::prefetch::prefetch;
use crate::transport::Stream;
use crate::zmtp::{
    Command, FrameKind, Header, ProtocolError, SHORT_HEADER, Scanned, Scanner, decode_header,
    long_message, short_message,
};

/// Frames from this size on are read straight into memory of their own. Below, one more copy out of the
/// chunk is cheaper than a system call for each.
const LARGE: u64 = 16 * 1024;

/// With the end of a large frame only this much is fetched of what follows: enough for the header of the next one, so
/// that most of its body can again be read into place.
const PEEK: usize = 2 * 1024;

/// First allocation for a large body, of which the system provides only what is written to; from there it doubles with
/// what really arrives, so that an announced length by itself costs nothing.
const LARGE_START: usize = 1024 * 1024;

/// So far behind the end of a frame is the middle of the next one, if that is short: in the line of the cache after the one
/// with its header, which is here already.
const NEXT_FRAME: usize = 64;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadOutcome {
    /// Bytes read.
    pub(crate) bytes: usize,
    /// Whole messages that came with them.
    pub(crate) messages: usize,
    /// The kernel may hold more: the read filled all the room it was given.
    pub(crate) more: bool,
    /// The peer has closed its side.
    pub(crate) eof: bool,
}

/// Why a read failed.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Protocol(ProtocolError),
}

impl From<ProtocolError> for ReadError {
    fn from(error: ProtocolError) -> Self {
        ReadError::Protocol(error)
    }
}

/// A frame whose body is read straight into place.
#[derive(Debug)]
struct LargeFrame {
    header: Header,
    body: Vec<u8>,
}

impl LargeFrame {
    /// Sees to it that there is room for some more of the body; returns how much of it is still to come.
    fn make_room(&mut self) -> usize {
        let have = self.body.len();
        if have == self.body.capacity() {
            let capacity = large_capacity(have, self.header.body_len);
            self.body.reserve_exact(capacity - have);
        }
        usize::try_from(self.header.body_len).unwrap_or(usize::MAX) - have
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct InBuffer {
    front: Vec<u8>,
    position: usize,
    segments: VecDeque<Segment>,
    messages: usize,
    partial: Vec<u8>,
    large: Option<Box<LargeFrame>>,
    expect_large: bool,
}

impl InBuffer {
    /// Whole messages waiting to be taken.
    #[inline]
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Reads once from the stream. `limit` bounds the bytes that may be read ahead of the application.
    pub(crate) fn read(
        &mut self,
        stream: &Stream,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        limit: usize,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Result<ReadOutcome, ReadError> {
        if self.large.is_some() {
            return self.read_large(stream, scanner, pool, on_command);
        }
        let mut chunk = self.chunk_for_partial(pool);
        let limit = if self.expect_large { PEEK } else { limit };
        let room = limit.min(chunk.capacity() - chunk.len());
        let bytes = match stream.read_spare(&mut chunk, room) {
            Ok(bytes) => bytes,
            Err(error) => {
                pool.give(chunk);
                return Err(ReadError::Io(error));
            }
        };
        let messages = self.accept(chunk, scanner, pool, on_command)?;
        Ok(ReadOutcome {
            bytes,
            messages,
            more: bytes == room,
            eof: bytes == 0,
        })
    }

    /// A chunk that begins with the partial frame and has room for more.
    fn chunk_for_partial(&self, pool: &mut ChunkPool) -> Vec<u8> {
        let mut chunk = if self.partial.len() < CHUNK - LARGE as usize / 2 {
            pool.take()
        } else {
            // Only a command can be partial and this long: a subscription to a giant topic.
            Vec::with_capacity(self.partial.len() * 2)
        };
        chunk.extend_from_slice(&self.partial);
        chunk
    }

    /// Takes bytes that came with the handshake, as if they had just been read.
    pub(crate) fn preload(
        &mut self,
        bytes: &[u8],
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Result<usize, ProtocolError> {
        let mut chunk = pool.take();
        chunk.extend_from_slice(bytes);
        self.accept(chunk, scanner, pool, on_command)
    }

    /// Scans a chunk that begins at a frame boundary and keeps what it holds; returns the number of
    /// messages that became whole.
    fn accept(
        &mut self,
        mut chunk: Vec<u8>,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Result<usize, ProtocolError> {
        let mut position = 0;
        let mut messages = 0;
        let large = loop {
            let passed = scanner.pass_singles(&chunk[position..]);
            position += passed.bytes;
            messages += passed.messages;
            match scanner.scan(&chunk[position..])? {
                Scanned::Frame { len, last } => {
                    position += len;
                    messages += usize::from(last);
                }
                Scanned::Command { len, command } => {
                    on_command(command)?;
                    position += len;
                }
                Scanned::Incomplete => break None,
                Scanned::Partial { header } => break Some(header),
            }
        };
        self.partial.clear();
        let rest = &chunk[position..];
        match large.filter(|header| header.body_len >= LARGE && header.kind != FrameKind::Command) {
            Some(header) => {
                let have = rest.get(header.header_len..).unwrap_or_default();
                let mut body = pool.take_body(large_capacity(have.len(), header.body_len));
                body.extend_from_slice(have);
                self.large = Some(Box::new(LargeFrame { header, body }));
                position += header.header_len;
            }
            None => {
                if self.partial.capacity() < rest.len() {
                    self.partial = rest.to_vec();
                } else {
                    self.partial.extend_from_slice(rest);
                }
                self.expect_large = false;
            }
        }
        chunk.truncate(position);
        self.messages += messages;
        self.keep(chunk, pool);
        Ok(messages)
    }

    /// Appends a chunk of whole frames.
    fn keep(&mut self, chunk: Vec<u8>, pool: &mut ChunkPool) {
        if chunk.is_empty() {
            pool.give(chunk);
        } else if chunk.len() < CHUNK / 8 {
            // A trickle: keep the bytes, not a chunk for every few of them.
            self.segments
                .push_back(Segment::Frames(chunk.as_slice().to_vec()));
            pool.give(chunk);
        } else {
            self.segments.push_back(Segment::Frames(chunk));
        }
    }

    /// Reads on in a large frame, and at its end in the same go the beginning of what follows it. A chunk's worth at a time: during
    /// a longer read the kernel takes in nothing of what the peer sends meanwhile.
    fn read_large(
        &mut self,
        stream: &Stream,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Result<ReadOutcome, ReadError> {
        let mut outcome = ReadOutcome {
            bytes: 0,
            messages: 0,
            more: false,
            eof: false,
        };
        let Some(large) = self.large.as_mut() else {
            return Ok(outcome);
        };
        let missing = large.make_room();
        let room = large.body.capacity() - large.body.len();
        let room = room.min(missing).min(CHUNK);
        let peek = if room == missing { PEEK } else { 0 };
        let mut next = pool.take();
        let read = stream.read_spare_two(&mut large.body, room, &mut next, peek);
        outcome.bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                pool.give(next);
                return Err(ReadError::Io(error));
            }
        };
        outcome.eof = outcome.bytes == 0;
        outcome.more = outcome.bytes == room + peek;
        if outcome.bytes < missing {
            pool.give(next);
            return Ok(outcome);
        }
        if let Some(large) = self.large.take() {
            scanner.body_received(&large.header);
            outcome.messages = usize::from(large.header.kind == FrameKind::Last);
            self.segments
                .push_back(Segment::Body(Bytes::from(large.body)));
            self.messages += outcome.messages;
        }
        self.expect_large = true;
        if next.is_empty() {
            pool.give(next);
        } else {
            outcome.messages += self.accept(next, scanner, pool, on_command)?;
        }
        Ok(outcome)
    }

    /// Has the beginning of the next frame fetched into the cache.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(self.front.get(self.position..).unwrap_or_default());
    }

    /// Takes the next message, which there is, if it is one frame that is all in the front, and takes the place of such a
    /// message. `false`: it is not, and nothing was taken.
    #[inline]
    pub(crate) fn take_single(&mut self, message: &mut Message) -> bool {
        let rest = self.front.get(self.position..).unwrap_or_default();
        if let Some((len, body)) = short_message(rest)
            && message.set_short(body, len)
        {
            self.took_single(SHORT_HEADER + len);
            return true;
        }
        self.take_single_longer(message)
    }

    /// The same for what does not fit into a message by itself.
    #[inline(never)]
    fn take_single_longer(&mut self, message: &mut Message) -> bool {
        let rest = self.front.get(self.position..).unwrap_or_default();
        let Some((len, window)) = short_message(rest).or_else(|| long_message(rest)) else {
            return false;
        };
        let (Some(body), Some(frame)) = (window.get(..len), message.only_frame()) else {
            return false;
        };
        frame.set_from_window(body, len);
        let header_len = rest.len() - window.len();
        self.took_single(header_len + len);
        true
    }

    #[inline]
    fn took_single(&mut self, frame_len: usize) {
        self.position += frame_len;
        self.messages -= 1;
        // Other peers have their turns before this one's next frame: by then it is here.
        let rest = self.front.get(self.position + NEXT_FRAME..);
        prefetch(rest.unwrap_or_default());
    }

    /// Takes the next whole message into `message`; `false` if there is none.
    pub(crate) fn take(&mut self, message: &mut Message, pool: &mut ChunkPool) -> bool {
        if self.messages == 0 {
            return false;
        }
        let kind = match message.only_frame() {
            Some(frame) => self.take_frame(frame, pool),
            None => self.take_over(message, pool),
        };
        match kind {
            Some(FrameKind::Last) => {
                self.messages -= 1;
                true
            }
            Some(FrameKind::More | FrameKind::Command) => self.take_multipart(message, pool),
            None => false,
        }
    }

    /// Takes a frame in place of a message of several.
    fn take_over(&mut self, message: &mut Message, pool: &mut ChunkPool) -> Option<FrameKind> {
        let mut frame = Frame::new();
        let kind = self.take_frame(&mut frame, pool);
        *message = Message::from(frame);
        kind
    }

    fn take_multipart(&mut self, message: &mut Message, pool: &mut ChunkPool) -> bool {
        self.messages -= 1;
        loop {
            let mut frame = Frame::new();
            let kind = self.take_frame(&mut frame, pool);
            message.push_back(frame);
            match kind {
                Some(FrameKind::Last) => return true,
                Some(FrameKind::More | FrameKind::Command) => {}
                None => return false,
            }
        }
    }

    /// The next message frame; commands were handled when they arrived and are passed over.
    fn take_frame(&mut self, frame: &mut Frame, pool: &mut ChunkPool) -> Option<FrameKind> {
        loop {
            let rest = self.front.get(self.position..).unwrap_or_default();
            let Some(header) = decode_header(rest) else {
                self.next_segment(pool)?;
                continue;
            };
            let start = self.position + header.header_len;
            let len = header.body_len as usize;
            let end = start.saturating_add(len);
            if end > self.front.len() {
                return self.take_body(frame, header.kind, pool);
            }
            self.position = end;
            // Other peers have their turns before this one's next frame: by then it is here.
            prefetch(self.front.get(end + NEXT_FRAME..).unwrap_or_default());
            if header.kind != FrameKind::Command {
                frame.set_from_window(self.front.get(start..).unwrap_or_default(), len);
                return Some(header.kind);
            }
        }
    }

    /// Only the header is in the front: the body is the next segment.
    #[cold]
    fn take_body(
        &mut self,
        frame: &mut Frame,
        kind: FrameKind,
        pool: &mut ChunkPool,
    ) -> Option<FrameKind> {
        self.position = self.front.len();
        match self.segments.pop_front() {
            Some(Segment::Body(body)) => {
                let before = std::mem::replace(frame, Frame::from(body));
                if let Some(memory) = before.into_memory() {
                    pool.give_body(memory);
                }
                Some(kind)
            }
            Some(Segment::Frames(_)) | None => None,
        }
    }

    /// Makes the next segment the front; `None` if there is none.
    #[cold]
    fn next_segment(&mut self, pool: &mut ChunkPool) -> Option<()> {
        pool.give(std::mem::take(&mut self.front));
        self.position = 0;
        match self.segments.pop_front() {
            Some(Segment::Frames(chunk)) => {
                self.front = chunk;
                Some(())
            }
            Some(Segment::Body(_)) | None => None,
        }
    }

    /// Returns the front chunk once all of it has been taken.
    #[inline]
    pub(crate) fn release(&mut self, pool: &mut ChunkPool) {
        if self.position == self.front.len() && self.front.capacity() > 0 {
            pool.give(std::mem::take(&mut self.front));
            self.position = 0;
        }
    }

    /// The connection is gone: bytes of a message that was never finished are forgotten, whole messages
    /// stay readable.
    pub(crate) fn rollback(&mut self, pool: &mut ChunkPool) {
        self.partial = Vec::new();
        self.large = None;
        self.expect_large = false;
        if self.messages == 0 {
            return self.clear(pool);
        }
        // Whole messages are followed by frames of an unfinished one at the very end only: take all that
        // is whole and put it back.
        let mut whole = OutBuffer::default();
        let count = self.messages;
        let mut message = Message::new();
        while self.take(&mut message, pool) {
            whole.push(Outgoing::Message(&message), pool);
        }
        self.clear(pool);
        self.messages = whole.take_segments(&mut self.segments, pool);
        whole.clear(pool);
        debug_assert_eq!(self.messages, count);
    }

    /// Takes over what a sender in the same process has appended.
    pub(crate) fn receive_from(
        &mut self,
        inbox: &Channel,
        pool: &mut ChunkPool,
        stream: bool,
    ) -> Received {
        let received = inbox.receive(&mut self.segments, pool, stream);
        self.messages += received.messages;
        received
    }

    /// Drops all whole messages but the newest; returns how many.
    pub(crate) fn keep_newest(&mut self, pool: &mut ChunkPool) -> usize {
        let mut dropped = 0;
        let mut message = Message::new();
        while self.messages > 1 && self.take(&mut message, pool) {
            dropped += 1;
        }
        dropped
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut ChunkPool) {
        pool.give(std::mem::take(&mut self.front));
        for segment in self.segments.drain(..) {
            if let Segment::Frames(chunk) = segment {
                pool.give(chunk);
            }
        }
        *self = InBuffer::default();
    }
}

/// Capacity for a large body of which `have` bytes are here.
fn large_capacity(have: usize, body_len: u64) -> usize {
    let total = usize::try_from(body_len).unwrap_or(usize::MAX);
    total.min(LARGE_START.max(have.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::Limits;

    const UNLIMITED: Limits = Limits {
        max_message_size: u64::MAX,
        max_parts: u32::MAX,
        max_command_size: u64::MAX,
    };

    /// Messages of all lengths around those where the way of handling changes, some in parts.
    fn messages() -> Vec<Message> {
        let lengths = [0, 1, 2, 62, 63, 64, 65, 66, 254, 255, 256, 300, 1000];
        let mut messages = Vec::new();
        for (index, &len) in lengths.iter().cycle().take(500).enumerate() {
            let body = vec![index as u8; len];
            messages.push(match index % 11 {
                10 => Message::from_frames([body, vec![1], Vec::new()]),
                _ => Message::from(body),
            });
        }
        messages
    }

    /// Encoded the short way where that is possible, and the other where not.
    fn encode(messages: &[Message], pool: &mut ChunkPool) -> (Vec<u8>, usize) {
        let mut out = OutBuffer::default();
        let mut short = 0;
        for message in messages {
            let single = !message.is_multipart();
            if single && out.push_single(message.as_bytes(), usize::MAX) {
                short += 1;
            } else {
                out.push(Outgoing::Message(message), pool);
            }
        }
        assert_eq!(out.messages(), messages.len());
        let mut slices = [io::IoSlice::new(&[]); crate::engine::out_buffer::MAX_SLICES];
        let count = out.slices(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(bytes.len(), out.unwritten());
        (bytes, short)
    }

    #[test]
    fn what_goes_and_comes_the_short_way_is_what_goes_and_comes_the_other() {
        let pool = &mut ChunkPool::default();
        let sent = messages();
        let (bytes, short) = encode(&sent, pool);
        assert!(short > 300, "only {short} went the short way");
        for takes_short in [false, true] {
            let mut buffer = InBuffer::default();
            let mut scanner = Scanner::new(UNLIMITED);
            // In pieces that cut messages apart, and fit into a chunk.
            for piece in bytes.chunks(1009) {
                let read = [buffer.partial.as_slice(), piece].concat();
                let got = buffer.preload(&read, &mut scanner, pool, &mut |_| Ok(()));
                assert!(got.is_ok());
            }
            assert_eq!(buffer.messages(), sent.len());
            let mut taken_short = 0;
            let mut message = Message::new();
            for expected in &sent {
                if takes_short && buffer.take_single(&mut message) {
                    taken_short += 1;
                } else {
                    assert!(buffer.take(&mut message, pool));
                }
                assert_eq!(message, *expected);
            }
            assert_eq!(buffer.messages(), 0);
            assert!(!buffer.take(&mut message, pool));
            assert_eq!(taken_short > 100, takes_short, "{taken_short}");
        }
    }

    #[test]
    fn the_short_way_keeps_to_its_limits() {
        let pool = &mut ChunkPool::default();
        let mut out = OutBuffer::default();
        assert!(!out.push_single(b"a", usize::MAX), "there is no chunk yet");
        out.push(Outgoing::Slice(b"first"), pool);
        assert_eq!(out.unwritten(), 7);
        assert!(!out.push_single(b"a", 12), "no room for a second one");
        assert!(out.push_single(b"a", 13));
        assert_eq!(out.unwritten(), 10);
        assert!(!out.push_single(&[0; 256], 539), "a long header");
        assert!(out.push_single(&[0; 256], 540));
        assert_eq!(out.unwritten(), 275);
        let mut messages = 3;
        while out.push_single(&[0; 256], usize::MAX) {
            messages += 1;
        }
        assert!(out.unwritten() <= CHUNK && CHUNK < out.unwritten() + 265);
        assert!(!out.push_single(&[0; CHUNK], usize::MAX), "needs its own");
        assert_eq!(out.messages(), messages);
    }
}
