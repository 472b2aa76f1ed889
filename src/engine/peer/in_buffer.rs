//! What a peer has sent and nobody has taken yet.
//!
//! Reads go into pooled chunks. Right after a read the new bytes are *scanned* once: limits are checked,
//! commands are handled and cut out, whole messages counted. A frame is decoded a second time, and copied out, when
//! the application takes it; that costs two nanoseconds and means that no message held by the application
//! ever pins a read buffer.
//!
//! What is kept are the frames of messages only. A command is done with once it has been handled: if it stayed, commands
//! would pile up for as long as no message is taken, and on a socket that never receives for ever.
//!
//! What is whole before a violation is kept as if it had come by itself ([`ReadOutcome::violation`]); what follows it is not
//! looked at.
//!
//! ```text
//!   front        segments                                 partial            large
//!  [..|msg msg]  [msg msg hdr][body, own memory][msg]     [first bytes of    or a large frame's body,
//!     ^ position                                           a small frame]    read straight into place
//! ```

mod large;

use std::collections::VecDeque;
use std::io;

use large::{LargeFrame, PEEK};

use super::out_buffer::{OutBuffer, Segment, encoded};
use super::outgoing::Outgoing;
use super::pool::{CHUNK, ChunkPool};
use super::wire::{Came, Reader};
use crate::engine::inproc::channel::{Channel, Received};
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

/// A chunk is kept as it is from so many bytes on. With fewer, it would be mostly empty.
const TRICKLE: usize = CHUNK / 8;

/// Behind so many bytes that wait, a chunk has to be nearly full to be kept. How much of one is filled is up to the peer's writes and to who is run
/// when, and of what is left of it the system has given a page, or all if it was used before.
const BACKLOG: usize = 4 * CHUNK;

/// So much of a chunk is nearly full.
const NEARLY_FULL: usize = CHUNK - CHUNK / 16;

/// So far behind the end of a frame is the middle of the next one, if that is short: in the line of the cache after the one
/// with its header, which is here already.
const NEXT_FRAME: usize = 64;

/// What a read brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadOutcome {
    /// Bytes read.
    pub(crate) bytes: usize,
    /// Whole messages that came with them.
    pub(crate) messages: usize,
    /// There may be more to read: see [`Came::more`].
    pub(crate) more: bool,
    /// The peer has closed its side.
    pub(crate) eof: bool,
    /// How the peer has broken the protocol, behind what was whole: the connection has to be closed.
    pub(crate) violation: Option<Box<ProtocolError>>,
}

impl From<Came> for ReadOutcome {
    fn from(came: Came) -> Self {
        ReadOutcome {
            bytes: came.bytes,
            more: came.more,
            eof: came.eof,
            ..ReadOutcome::default()
        }
    }
}

impl ReadOutcome {
    fn add(&mut self, accepted: Accepted) {
        self.messages += accepted.messages;
        self.violation = accepted.violation;
    }

    /// Behind what was read and accepted, there may be something that the reader does not give out.
    #[inline]
    fn then(&mut self, reader: &mut Reader) {
        if self.violation.is_none() {
            self.violation = reader.take_violation();
        }
    }
}

/// What a chunk held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Messages that became whole.
    pub(crate) messages: usize,
    /// See [`ReadOutcome::violation`].
    pub(crate) violation: Option<Box<ProtocolError>>,
}

/// What comes next in a chunk, behind messages that were passed over.
enum Next {
    /// A frame of a message, of this length.
    Frame(usize),
    /// A command of this length, which has been handled.
    Command(usize),
    /// Less than a frame; its header, if it is there and of a message.
    Rest(Option<Header>),
    /// Something that must not be there.
    Violation(Box<ProtocolError>),
}

/// See the module.
///
/// All that a short message is taken by is in one cache line, the first: of many peers, each has left the cache nearest to the processor when its turn comes.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct InBuffer {
    front: Vec<u8>,
    position: usize,
    messages: usize,
    /// See [`notice_below`](InBuffer::notice_below).
    notice_below: u32,
    /// Memory is scarce: no chunk is kept, but the bytes in it.
    pub(super) keeps_exactly: bool,
    /// Memory is accounted for: a large frame gets all of its own at once, and none before there is a share for it.
    reserves_exactly: bool,
    expect_large: bool,
    segments: VecDeque<Segment>,
    /// Bytes in `segments`; not kept for what a sender in the same process has appended.
    queued: usize,
    /// What these take in memory, and the front with them.
    memory: usize,
    partial: Vec<u8>,
    large: Option<Box<LargeFrame>>,
}

// Every peer has one, and most are idle.
const _: () = assert!(size_of::<InBuffer>() <= 128);

impl InBuffer {
    /// An empty one, whose memory is accounted for or not.
    pub(super) fn new(reserves_exactly: bool) -> Self {
        InBuffer {
            front: Vec::new(),
            position: 0,
            messages: 0,
            notice_below: 1,
            keeps_exactly: false,
            reserves_exactly,
            expect_large: false,
            segments: VecDeque::new(),
            queued: 0,
            memory: 0,
            partial: Vec::new(),
            large: None,
        }
    }

    /// Whole messages waiting to be taken.
    #[inline]
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// When fewer messages than this are left, there is more to do than to take one: see `Peers::after_take`.
    #[inline]
    pub(super) fn notice_below(&self) -> usize {
        self.notice_below as usize
    }

    /// Sets that. More than four billion is as good as so many.
    #[inline]
    pub(super) fn set_notice_below(&mut self, messages: usize) {
        self.notice_below = u32::try_from(messages).unwrap_or(u32::MAX);
    }

    /// Bytes that wait to be taken, with those of a message that is not whole.
    pub(crate) fn bytes(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.received());
        self.front.len() - self.position + self.queued + self.partial.len() + large
    }

    /// Whether a large frame is coming that there is no memory for yet.
    pub(crate) fn awaits_memory(&self) -> bool {
        let large = self.large.as_ref();
        large.is_some_and(|large| large.reserved() < large.whole())
    }

    /// Whether there is some of a frame that is not whole.
    pub(crate) fn has_part_of_frame(&self) -> bool {
        self.large.is_some() || !self.partial.is_empty()
    }

    /// How much memory it takes. A large frame counts in full, but not before there is memory for all of it: until then it has less than
    /// a chunk.
    pub(crate) fn memory(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.reserved());
        self.memory + self.partial.capacity() + large
    }

    /// How much it will take when it has been read into once more: a large frame gets all of its memory then, and needs no chunk beside.
    pub(crate) fn memory_to_read(&self) -> usize {
        let more = match &self.large {
            Some(large) => large.whole() - large.reserved(),
            None => CHUNK,
        };
        self.memory().saturating_add(more)
    }

    /// Reads once from the stream. `limit` bounds the bytes that may be read ahead of the application.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader,
        stream: &Stream,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        limit: usize,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> io::Result<ReadOutcome> {
        if self.large.is_some() {
            return self.read_large(reader, stream, scanner, pool, on_command);
        }
        let mut chunk = self.chunk_for_partial(pool);
        let limit = if self.expect_large { PEEK } else { limit };
        let room = limit.min(chunk.capacity() - chunk.len());
        let came = match reader.read(stream, &mut chunk, room, pool) {
            Ok(came) => came,
            Err(error) => {
                pool.give(chunk);
                return Err(error);
            }
        };
        let mut outcome = ReadOutcome::from(came);
        outcome.add(self.accept(chunk, scanner, pool, on_command));
        outcome.then(reader);
        Ok(outcome)
    }

    /// A chunk that begins with the partial frame and has room for more.
    fn chunk_for_partial(&self, pool: &mut ChunkPool) -> Vec<u8> {
        let mut chunk = if self.partial.len() < CHUNK - LARGE as usize / 2 {
            pool.take_first(2 * self.partial.len())
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
        reader: &mut Reader,
        bytes: &[u8],
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Accepted {
        let mut chunk = pool.take_first(bytes.len());
        reader.early(bytes, &mut chunk);
        let mut accepted = self.accept(chunk, scanner, pool, on_command);
        if accepted.violation.is_none() {
            accepted.violation = reader.take_violation();
        }
        accepted
    }

    /// Scans a chunk that begins at a frame boundary and keeps the frames of messages that it holds.
    ///
    /// Frames behind a command are moved to its place, each byte once at most; where there are no commands, none is.
    fn accept(
        &mut self,
        mut chunk: Vec<u8>,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> Accepted {
        let mut position = 0;
        // Where the frames kept so far end: at `position`, unless there has been a command.
        let mut kept = 0;
        let mut accepted = Accepted::default();
        let partial = loop {
            let passed = scanner.pass_singles(&chunk[position..]);
            accepted.messages += passed.messages;
            let rest = &chunk[position + passed.bytes..];
            let scanned = match rest.is_empty() {
                true => Ok(Scanned::Incomplete),
                false => scanner.scan(rest),
            };
            let next = match scanned {
                Ok(Scanned::Frame { len, last }) => {
                    accepted.messages += usize::from(last);
                    Next::Frame(len)
                }
                Ok(Scanned::Command { len, command }) => match on_command(command) {
                    Ok(()) => Next::Command(len),
                    Err(error) => Next::Violation(Box::new(error)),
                },
                Ok(Scanned::Incomplete) => Next::Rest(None),
                Ok(Scanned::Partial { header }) => Next::Rest(Some(header)),
                Err(error) => Next::Violation(Box::new(error)),
            };
            let frames = match next {
                Next::Frame(len) => passed.bytes + len,
                Next::Command(_) | Next::Rest(_) | Next::Violation(_) => passed.bytes,
            };
            if kept != position {
                chunk.copy_within(position..position + frames, kept);
            }
            kept += frames;
            position += frames;
            match next {
                Next::Frame(_) => {}
                Next::Command(len) => position += len,
                Next::Rest(header) => break header,
                Next::Violation(error) => {
                    accepted.violation = Some(error);
                    // What is left is not to be read.
                    position = chunk.len();
                    break None;
                }
            }
        };
        self.partial.clear();
        let rest = &chunk[position..];
        match partial.filter(|header| header.body_len >= LARGE) {
            Some(header) => {
                let have = rest.get(header.header_len..).unwrap_or_default();
                self.large = Some(Box::new(LargeFrame::begin(
                    header,
                    have,
                    pool,
                    self.reserves_exactly,
                )));
                chunk.copy_within(position..position + header.header_len, kept);
                kept += header.header_len;
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
        chunk.truncate(kept);
        self.messages += accepted.messages;
        self.keep(chunk, pool);
        accepted
    }

    /// Appends a chunk of whole frames.
    fn keep(&mut self, chunk: Vec<u8>, pool: &mut ChunkPool) {
        let behind = self.queued >= BACKLOG;
        self.queued += chunk.len();
        let keeps_from = match (behind, self.reserves_exactly) {
            (true, _) => NEARLY_FULL,
            (false, true) => CHUNK / 2,
            (false, false) => TRICKLE,
        };
        if chunk.len() >= keeps_from && !self.keeps_exactly {
            self.memory += chunk.capacity();
            return self.segments.push_back(Segment::Frames(chunk));
        }
        // A trickle: keep the bytes, not a chunk for every few of them, nor an allocation where many such come.
        match self.segments.back_mut() {
            Some(Segment::Frames(last)) if last.len() + chunk.len() < TRICKLE => {
                let before = last.capacity();
                if behind {
                    last.reserve_exact(chunk.len());
                }
                last.extend_from_slice(&chunk);
                self.memory += last.capacity() - before;
            }
            _ if chunk.is_empty() => {}
            _ => {
                let bytes = chunk.as_slice().to_vec();
                self.memory += bytes.capacity();
                self.segments.push_back(Segment::Frames(bytes));
            }
        }
        pool.give(chunk);
    }

    /// Appends a message that the peer has not sent. There is no frame in part.
    pub(crate) fn push(&mut self, message: &Message, pool: &mut ChunkPool) {
        self.messages += 1;
        self.keep(encoded(message), pool);
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
        // What is in the way may not be dropped here.
        if frame.is_foreign() {
            return false;
        }
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

    /// The bytes of messages that come next, from the beginning of one on: as many as lie one behind the other.
    pub(super) fn next_bytes(&mut self, pool: &mut ChunkPool) -> &[u8] {
        if self.position == self.front.len() {
            // If there is no next one, there is none to be taken either.
            let _ = self.next_segment(pool);
        }
        self.front.get(self.position..).unwrap_or_default()
    }

    /// Notes that so many bytes of them have been taken, which are so many whole messages.
    pub(super) fn took(&mut self, bytes: usize, messages: usize) {
        self.position += bytes;
        self.messages -= messages;
    }

    /// Takes the chunk that these lie in, if it holds nothing else, and so many bytes are all of it.
    pub(super) fn take_front(&mut self, bytes: usize, messages: usize) -> Option<Vec<u8>> {
        if self.position > 0 || bytes < self.front.len() {
            return None;
        }
        self.memory = self.memory.saturating_sub(self.front.capacity());
        self.messages -= messages;
        Some(std::mem::take(&mut self.front))
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
        let before = std::mem::replace(message, Message::from(frame));
        pool.later.drop_message(before);
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

    /// The bodies of the next whole message, which there is, where they are.
    pub(crate) fn next_frames(&self) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        let mut rest = self.front.get(self.position..).unwrap_or_default();
        let mut segments = self.segments.iter();
        loop {
            let Some(header) = decode_header(rest) else {
                match segments.next() {
                    Some(Segment::Frames(chunk)) => rest = chunk,
                    Some(Segment::Body(_)) | None => return frames,
                }
                continue;
            };
            let end = header
                .header_len
                .saturating_add(usize::try_from(header.body_len).unwrap_or(usize::MAX));
            match rest.get(header.header_len..end) {
                Some(body) => {
                    frames.push(body);
                    rest = rest.get(end..).unwrap_or_default();
                }
                // It is the next segment.
                None => match segments.next() {
                    Some(Segment::Body(body)) => {
                        frames.push(body);
                        rest = &[];
                    }
                    Some(Segment::Frames(_)) | None => return frames,
                },
            }
            if header.kind == FrameKind::Last {
                return frames;
            }
        }
    }

    /// The next frame.
    fn take_frame(&mut self, frame: &mut Frame, pool: &mut ChunkPool) -> Option<FrameKind> {
        let (header, rest) = loop {
            let rest = self.front.get(self.position..).unwrap_or_default();
            match decode_header(rest) {
                Some(header) => break (header, rest),
                None => self.next_segment(pool)?,
            }
        };
        let len = header.body_len as usize;
        let end = header.header_len.saturating_add(len);
        if end > rest.len() {
            return self.take_body(frame, header.kind, pool);
        }
        // Other peers have their turns before this one's next frame: by then it is here.
        prefetch(rest.get(end + NEXT_FRAME..).unwrap_or_default());
        if frame.is_foreign() {
            // What is in the way may not be dropped here.
            let before = Message::from(std::mem::take(frame));
            pool.later.drop_message(before);
        }
        frame.set_from_window(rest.get(header.header_len..).unwrap_or_default(), len);
        self.position += end;
        Some(header.kind)
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
                self.queued = self.queued.saturating_sub(body.len());
                self.memory = self.memory.saturating_sub(body.len());
                let before = std::mem::replace(frame, Frame::from(body));
                if before.is_foreign() {
                    pool.later.drop_message(Message::from(before));
                } else if let Some(memory) = before.into_memory() {
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
        self.memory = self.memory.saturating_sub(self.front.capacity());
        pool.give(std::mem::take(&mut self.front));
        self.position = 0;
        match self.segments.pop_front() {
            Some(Segment::Frames(chunk)) => {
                self.queued = self.queued.saturating_sub(chunk.len());
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
            self.memory = self.memory.saturating_sub(self.front.capacity());
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
        self.queued = whole.bytes();
        self.messages = whole.take_segments(&mut self.segments, pool);
        self.memory = self.segments.iter().map(Segment::memory).sum();
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
        pool.later.drop_message(message);
        dropped
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut ChunkPool) {
        pool.give(std::mem::take(&mut self.front));
        for segment in self.segments.drain(..) {
            pool.give_segment(segment);
        }
        *self = InBuffer {
            notice_below: self.notice_below,
            ..InBuffer::new(self.reserves_exactly)
        };
    }
}

#[cfg(test)]
mod tests;
