//! What a peer is still to be sent: encoded frames, in order, until the kernel has them.
//!
//! ```text
//!            head      taken                                           tail
//!             v           v                                              v
//! sealed  [..|msg msg ms:g msg hdr][body, shared][hdr][body, shared] [msg msg ....]
//!          ^ gone  ^ message boundary; bytes up to `taken` are in the kernel, or on their way
//! ```
//!
//! The buffer is self-delimiting: walking the frames finds every message boundary. Bytes are let go only
//! at such a boundary, so that when a connection breaks, everything not *wholly* written is still here,
//! whole, for the next connection ([`OutBuffer::rewind`]).
//!
//! The [`Writer`](super::wire::Writer) of the connection first *takes* bytes, and then says which of them have left. It does both at once
//! ([`OutBuffer::advance`]) where the kernel is given these very bytes. Where it makes others of them, it takes whole frames
//! ([`OutBuffer::take`]), and has them let go ([`OutBuffer::let_go`]) when all that it made of them has left. What is taken can no longer be
//! changed on this connection.

mod first;
mod lookalikes;
mod marks;
mod suspects;
mod withdraw;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
pub(super) use first::encoded;
use lookalikes::Lookalikes;
use marks::Mark;
pub(crate) use suspects::Unsent;

use super::pool::{CHUNK, ChunkPool};
use crate::message::{COPY_MAX, Message};
use crate::sync::{BLOCK, Blocks};
use crate::zmtp::{FrameKind, MAX_HEADER, decode_header, encode_header, long_header, short_header};

/// A run of encoded bytes.
#[derive(Debug)]
pub(crate) enum Segment {
    /// Whole frames; only the body of the last one may be the [`Segment::Body`] that follows.
    Frames(Vec<u8>),
    /// The body of one large frame, kept by reference.
    Body(Bytes),
}

impl Segment {
    /// How much memory it takes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Segment::Frames(chunk) => chunk.capacity(),
            Segment::Body(body) => body.len(),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Segment::Frames(chunk) => chunk,
            Segment::Body(body) => body,
        }
    }
}

/// The most slices that an iovec may carry in one write; Linux takes up to 1,024.
pub(crate) const MAX_SLICES: usize = 64;

/// Below this many bytes the frames before a shared body are copied out of their chunk.
const SPLIT: usize = 1024;

/// Encoded frames that wait for the kernel. See the module.
#[derive(Debug, Default)]
pub(crate) struct OutBuffer {
    sealed: VecDeque<Segment>,
    tail: Vec<u8>,
    /// Where the first message not wholly written starts, in the first segment.
    head: usize,
    /// Bytes from `head` that the kernel already has, or that are on their way to it.
    taken: usize,
    /// Bytes from `head` to the end.
    bytes: usize,
    /// Whole messages from `head` to the end, commands not counted.
    messages: usize,
    /// Bytes of commands from `head` to the end, and of subscriptions that look like messages.
    commands: usize,
    /// What is special about single messages, in the order of the queue. Nearly always empty.
    marks: Vec<Mark>,
    /// Where there are subscriptions that look like messages. `None` if there have been none.
    lookalikes: Option<Box<Lookalikes>>,
}

impl OutBuffer {
    /// Messages not yet wholly handed to the kernel.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes of all that is not yet wholly handed to the kernel.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that nobody has begun to hand to the kernel.
    pub(crate) fn unwritten(&self) -> usize {
        self.bytes - self.taken
    }

    /// Bytes of commands not yet wholly handed to the kernel, and of subscriptions in whatever form.
    pub(crate) fn commands(&self) -> usize {
        self.commands
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether the newest message is kept by reference.
    pub(crate) fn ends_with_body(&self) -> bool {
        self.tail.is_empty() && matches!(self.sealed.back(), Some(Segment::Body(_)))
    }

    /// Appends one frame, copying its body. The caller sees to it that `More` is followed by `Last`.
    #[inline]
    pub(crate) fn push_frame(&mut self, kind: FrameKind, body: &[u8], pool: &mut ChunkPool) {
        let need = MAX_HEADER + body.len();
        if self.tail.capacity() - self.tail.len() < need {
            if body.len() > CHUNK - MAX_HEADER {
                return self.push_body(kind, Bytes::copy_from_slice(body), pool);
            }
            self.seal(need, pool);
        }
        let (header, header_len) = encode_header(kind, body.len());
        self.tail.extend_from_slice(&header[..header_len]);
        self.tail.extend_from_slice(body);
        self.account(kind, header_len + body.len());
    }

    /// Appends a message of one frame, if that needs no new chunk, and leaves room for another one like it before `limit`
    /// bytes are unwritten.
    #[inline]
    pub(crate) fn push_single(&mut self, body: &[u8], limit: usize) -> bool {
        match u8::try_from(body.len()) {
            Ok(size) => self.push_with(short_header(size), body, limit),
            Err(_) => self.push_long(body, limit),
        }
    }

    #[inline(never)]
    fn push_long(&mut self, body: &[u8], limit: usize) -> bool {
        self.push_with(long_header(body.len()), body, limit)
    }

    #[inline]
    fn push_with<const N: usize>(&mut self, header: [u8; N], body: &[u8], limit: usize) -> bool {
        let len = N + body.len();
        if self.tail.capacity() - self.tail.len() < len || self.unwritten() + 2 * len > limit {
            return false;
        }
        self.tail.extend_from_slice(&header);
        self.tail.extend_from_slice(body);
        self.bytes += len;
        self.messages += 1;
        true
    }

    /// Appends a message of one frame whose body, shorter than a chunk, comes in blocks, the last one filled up.
    #[inline]
    pub(crate) fn push_blocks(&mut self, len: usize, body: Blocks<'_>, pool: &mut ChunkPool) {
        let need = MAX_HEADER + len.next_multiple_of(BLOCK);
        if self.tail.capacity() - self.tail.len() < need {
            self.seal(need, pool);
        }
        let (header, header_len) = encode_header(FrameKind::Last, len);
        // Whole arrays, whose length the compiler knows, and then what is too much taken off.
        let body_start = self.tail.len() + header_len;
        self.tail.extend_from_slice(&header);
        self.tail.truncate(body_start);
        body.for_each(|block| self.tail.extend_from_slice(&block));
        self.tail.truncate(body_start + len);
        self.account(FrameKind::Last, header_len + len);
    }

    /// Appends one frame, keeping its body by reference.
    pub(crate) fn push_body(&mut self, kind: FrameKind, body: Bytes, pool: &mut ChunkPool) {
        if self.tail.capacity() - self.tail.len() < MAX_HEADER {
            self.seal(MAX_HEADER, pool);
        }
        let (header, header_len) = encode_header(kind, body.len());
        self.tail.extend_from_slice(&header[..header_len]);
        self.account(kind, header_len + body.len());
        if self.tail.len() < SPLIT {
            // A header or two: copied out, so that a queue of large messages does not pin a chunk each.
            self.sealed
                .push_back(Segment::Frames(self.tail.as_slice().to_vec()));
            self.tail.clear();
        } else {
            self.seal(MAX_HEADER, pool);
        }
        self.sealed.push_back(Segment::Body(body));
    }

    /// Appends bytes that are whole command frames already.
    pub(crate) fn push_commands(&mut self, frames: &[u8], pool: &mut ChunkPool) {
        if self.tail.capacity() - self.tail.len() < frames.len() {
            self.seal(frames.len(), pool);
        }
        self.tail.extend_from_slice(frames);
        self.bytes += frames.len();
        self.commands += frames.len();
    }

    /// Appends a frame that is a subscription as peers of before ZMTP 3.1 know it: it looks like a message, and counts as a command.
    pub(crate) fn push_subscription(&mut self, frame: &[u8], pool: &mut ChunkPool) {
        self.push_commands(frame, pool);
        let lookalikes = self.lookalikes.get_or_insert_default();
        lookalikes.push(self.messages);
    }

    /// Whether the first of all that looks like a message is a subscription, which leaves the buffer.
    fn pass_lookalike(&mut self) -> bool {
        let lookalikes = self.lookalikes.as_deref_mut();
        lookalikes.is_some_and(Lookalikes::pass)
    }

    /// Appends the bytes of so many messages, copying them.
    pub(super) fn push_run(&mut self, frames: &[u8], messages: usize, pool: &mut ChunkPool) {
        if self.tail.capacity() - self.tail.len() < frames.len() {
            self.seal(frames.len(), pool);
        }
        // More than a chunk only where a single command had needed more than that, before these messages.
        self.tail.extend_from_slice(frames);
        self.bytes += frames.len();
        self.messages += messages;
    }

    /// Appends a chunk of so many messages.
    pub(super) fn push_chunk(&mut self, chunk: Vec<u8>, messages: usize, pool: &mut ChunkPool) {
        if self.tail.is_empty() {
            pool.give(std::mem::take(&mut self.tail));
        } else {
            let tail = std::mem::take(&mut self.tail);
            self.sealed.push_back(Segment::Frames(tail));
        }
        self.bytes += chunk.len();
        self.messages += messages;
        self.sealed.push_back(Segment::Frames(chunk));
    }

    fn account(&mut self, kind: FrameKind, len: usize) {
        self.bytes += len;
        match kind {
            FrameKind::More => {}
            FrameKind::Last => self.messages += 1,
            FrameKind::Command => self.commands += len,
        }
    }

    #[cold]
    fn seal(&mut self, need: usize, pool: &mut ChunkPool) {
        let next = match self.tail.capacity() {
            0 => pool.take_first(need),
            _ => pool.take(),
        };
        let full = std::mem::replace(&mut self.tail, next);
        if full.is_empty() {
            pool.give(full);
        } else {
            self.sealed.push_back(Segment::Frames(full));
        }
    }

    /// The next bytes to write, `most` of them, as slices for a vectored write; returns how many were filled in.
    pub(crate) fn slices<'a>(
        &'a self,
        slices: &mut [IoSlice<'a>; MAX_SLICES],
        most: usize,
    ) -> usize {
        let mut skip = self.head + self.taken;
        let mut count = 0;
        let mut room = most;
        let sealed = self.sealed.iter().map(Segment::as_slice);
        for bytes in sealed.chain(std::iter::once(self.tail.as_slice())) {
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            if count == MAX_SLICES || room == 0 {
                break;
            }
            let bytes = &bytes[skip..];
            let bytes = &bytes[..bytes.len().min(room)];
            slices[count] = IoSlice::new(bytes);
            count += 1;
            room -= bytes.len();
            skip = 0;
        }
        count
    }

    /// What is to be written next, up to `most` bytes, if it is known at once that it is one slice: that of the messages which fill no
    /// chunk yet.
    pub(crate) fn only_slice(&self, most: usize) -> Option<&[u8]> {
        if !self.sealed.is_empty() {
            return None;
        }
        let rest = self.tail.get(self.head + self.taken..)?;
        Some(&rest[..rest.len().min(most)])
    }

    /// Notes that the kernel took the next `n` bytes.
    pub(crate) fn advance(&mut self, n: usize, pool: &mut ChunkPool) {
        self.take(n);
        self.let_go(0, pool);
    }

    /// Notes that the next `n` bytes are on their way to the kernel.
    pub(crate) fn take(&mut self, n: usize) {
        self.taken += n;
    }

    /// Notes that of all bytes that have been taken, the kernel has got those before the last `held`. Lets go of the messages and
    /// commands that are wholly among them.
    pub(crate) fn let_go(&mut self, held: usize, pool: &mut ChunkPool) {
        if self.taken - held >= self.bytes {
            return self.clear(pool);
        }
        while let Some((len, kind)) = self.first_message() {
            if len > self.taken - held {
                break;
            }
            self.taken -= len;
            match kind {
                FrameKind::More | FrameKind::Last if self.pass_lookalike() => self.commands -= len,
                FrameKind::More | FrameKind::Last => {
                    self.messages -= 1;
                    if !self.marks.is_empty() {
                        self.take_out_mark(0);
                    }
                }
                FrameKind::Command => self.commands -= len,
            }
            self.drop_front(len, pool);
        }
    }

    /// Length of the first message or command, and the kind of its last frame.
    fn first_message(&self) -> Option<(usize, FrameKind)> {
        let mut walk = Walk::new(self);
        let mut len = 0;
        loop {
            let (kind, frame_len) = walk.next()?;
            len += frame_len;
            match kind {
                FrameKind::More => {}
                FrameKind::Last | FrameKind::Command => return Some((len, kind)),
            }
        }
    }

    /// Lets the first `len` bytes go: a whole message or command.
    fn drop_front(&mut self, len: usize, pool: &mut ChunkPool) {
        self.bytes -= len;
        self.head += len;
        self.drop_read_segments(pool);
    }

    /// Lets go of the segments before the head.
    fn drop_read_segments(&mut self, pool: &mut ChunkPool) {
        while let Some(first) = self.sealed.front() {
            let size = first.as_slice().len();
            if self.head < size {
                break;
            }
            self.head -= size;
            if let Some(segment) = self.sealed.pop_front() {
                pool.give_segment(segment);
            }
        }
    }

    /// The connection is gone: what was not wholly written is to be written again from its start.
    /// Commands belonged to that connection and go with it.
    pub(crate) fn rewind(&mut self, pool: &mut ChunkPool) {
        let mut kept = OutBuffer::default();
        for unsent in self.drain(pool) {
            kept.push_again(&unsent, pool);
        }
        *self = kept;
    }

    /// Takes all messages out, from the first not wholly written on, and leaves the buffer empty. Without those that have been taken
    /// and that nobody waits for any more.
    pub(crate) fn drain(&mut self, pool: &mut ChunkPool) -> Vec<Unsent> {
        let mut messages = Vec::with_capacity(self.messages);
        let mut marks = std::mem::take(&mut self.marks).into_iter().peekable();
        let mut lookalikes = self.lookalikes.take();
        let mut index = 0;
        let mut frames = Vec::new();
        let mut walk = Walk::new(self);
        while let Some((kind, body)) = walk.next_body() {
            match kind {
                FrameKind::Command => {}
                FrameKind::More => frames.push(body),
                FrameKind::Last if lookalikes.as_deref_mut().is_some_and(Lookalikes::pass) => {}
                FrameKind::Last => {
                    frames.push(body);
                    let mark = marks.next_if(|mark| mark.index == index);
                    index += 1;
                    let message = Message::from_frames(frames.drain(..));
                    match mark {
                        Some(mark) if mark.unwanted => pool.later.drop_message(message),
                        mark => messages.push(Unsent {
                            message,
                            breaks: mark.map_or(0, |mark| mark.breaks),
                        }),
                    }
                }
            }
        }
        self.clear(pool);
        messages
    }

    /// Drops every message of which no byte has been taken; returns how many. Commands stay.
    pub(crate) fn drop_unstarted(&mut self, pool: &mut ChunkPool) -> usize {
        if self.messages == 0 {
            return 0;
        }
        if self.taken == 0 && self.commands == 0 {
            let dropped = self.messages;
            self.clear(pool);
            return dropped;
        }
        self.drop_unstarted_of(usize::MAX, pool)
    }

    /// Drops the oldest message of which no byte has been taken; returns how many it was. Behind one that is half written, what stays has to be copied:
    /// there it is an eighth of them at once.
    pub(crate) fn drop_oldest(&mut self, pool: &mut ChunkPool) -> usize {
        if self.messages == 0 {
            return 0;
        }
        if self.taken == 0
            && let Some((len, FrameKind::Last)) = self.first_message()
        {
            self.messages -= 1;
            if !self.marks.is_empty() {
                self.take_out_mark(0);
            }
            match len == self.bytes {
                true => self.clear(pool),
                false => self.drop_front(len, pool),
            }
            return 1;
        }
        self.drop_unstarted_of(self.messages.div_ceil(8), pool)
    }

    /// Drops so many messages, the oldest first, of those of which no byte has been taken; returns how many there were.
    fn drop_unstarted_of(&mut self, most: usize, pool: &mut ChunkPool) -> usize {
        debug_assert!(!self.has_lookalikes(), "publishers do not subscribe");
        let mut kept = OutBuffer::default();
        // What has been taken in part has to be finished.
        let (mut offset, mut begins, mut keeps) = (0, true, true);
        let (mut begun, mut dropped) = (0, 0);
        let mut walk = Walk::new(self);
        while let Some((kind, body)) = walk.next_body() {
            let is_begun = offset < self.taken;
            if begins && kind != FrameKind::Command {
                keeps = is_begun || dropped == most;
                begun += usize::from(is_begun);
                dropped += usize::from(!keeps);
            }
            begins = kind != FrameKind::More;
            offset += frame_len(body.len());
            if keeps || kind == FrameKind::Command {
                match body.shared() {
                    Some(shared) if shared.len() >= COPY_MAX => {
                        kept.push_body(kind, shared.clone(), pool);
                    }
                    _ => kept.push_frame(kind, &body, pool),
                }
            }
        }
        kept.taken = self.taken;
        kept.marks = std::mem::take(&mut self.marks);
        kept.marks
            .retain(|mark| mark.index < begun || mark.index >= begun + dropped);
        for mark in &mut kept.marks {
            if mark.index >= begun {
                mark.index -= dropped;
            }
        }
        self.clear(pool);
        *self = kept;
        dropped
    }

    /// Empties the buffer and returns its chunks.
    pub(crate) fn clear(&mut self, pool: &mut ChunkPool) {
        // Mostly there is none, and even to drain nothing takes dozens of instructions.
        if !self.sealed.is_empty() {
            for segment in self.sealed.drain(..) {
                pool.give_segment(segment);
            }
        }
        if self.sealed.capacity() > 4 {
            self.sealed = VecDeque::new();
        }
        pool.give(std::mem::take(&mut self.tail));
        self.head = 0;
        self.taken = 0;
        self.bytes = 0;
        self.messages = 0;
        self.commands = 0;
        self.marks.clear();
        self.lookalikes = None;
    }

    fn has_lookalikes(&self) -> bool {
        let lookalikes = self.lookalikes.as_deref();
        lookalikes.is_some_and(|lookalikes| !lookalikes.is_empty())
    }

    /// Appends all that `later` holds, which must start at a message boundary.
    pub(crate) fn append(&mut self, mut later: OutBuffer, pool: &mut ChunkPool) {
        debug_assert_eq!(later.taken, 0, "only the oldest buffer can be half written");
        if later.is_empty() {
            return later.clear(pool);
        }
        if later.head > 0 {
            for unsent in later.drain(pool) {
                self.push_again(&unsent, pool);
            }
            return;
        }
        let tail = std::mem::take(&mut self.tail);
        if tail.is_empty() {
            pool.give(tail);
        } else {
            self.sealed.push_back(Segment::Frames(tail));
        }
        for mark in later.marks.drain(..) {
            let index = mark.index + self.messages;
            self.marks.push(Mark { index, ..mark });
        }
        if let Some(more) = later.lookalikes.take() {
            let lookalikes = self.lookalikes.get_or_insert_default();
            lookalikes.append(self.messages, *more);
        }
        self.sealed.append(&mut later.sealed);
        self.tail = later.tail;
        self.bytes += later.bytes;
        self.messages += later.messages;
        self.commands += later.commands;
    }

    /// Hands all segments over, for a reader in the same process. Nothing of it may have been written.
    pub(crate) fn take_segments(
        &mut self,
        into: &mut VecDeque<Segment>,
        pool: &mut ChunkPool,
    ) -> usize {
        debug_assert_eq!(self.head + self.taken, 0, "segments are handed over whole");
        if !self.tail.is_empty() {
            let tail = std::mem::replace(&mut self.tail, pool.take());
            self.sealed.push_back(Segment::Frames(tail));
        }
        into.append(&mut self.sealed);
        self.marks.clear();
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

impl OutBuffer {
    /// The frames that have not been taken, with their lengths, if whole frames were taken so far.
    #[cfg(any(test, feature = "curve"))]
    pub(super) fn untaken_frames(&self) -> impl Iterator<Item = (FrameKind, &[u8], usize)> {
        self.frames_from(0)
    }

    /// The same, and before them those that the last `held` bytes that have been taken are.
    pub(super) fn frames_from(
        &self,
        held: usize,
    ) -> impl Iterator<Item = (FrameKind, &[u8], usize)> {
        let mut walk = Walk::new(self);
        let mut offset = 0;
        std::iter::from_fn(move || {
            loop {
                let (header_len, kind, body_len) = walk.header()?;
                let body = walk.body(header_len, body_len)?;
                walk.skip_body(header_len, body_len);
                let len = header_len + body_len;
                offset += len;
                if offset > self.taken - held {
                    return Some((kind, body, len));
                }
            }
        })
    }
}

/// How many bytes a frame with a body of this length takes.
#[inline]
pub(crate) fn frame_len(body_len: usize) -> usize {
    encode_header(FrameKind::Last, body_len).1 + body_len
}

/// Walks the frames of a buffer from its head.
struct Walk<'a> {
    buffer: &'a OutBuffer,
    segment: usize,
    position: usize,
}

impl<'a> Walk<'a> {
    fn new(buffer: &'a OutBuffer) -> Self {
        Walk {
            buffer,
            segment: 0,
            position: buffer.head,
        }
    }

    fn bytes(&self, segment: usize) -> Option<&'a [u8]> {
        match self.buffer.sealed.get(segment) {
            Some(segment) => Some(segment.as_slice()),
            None if segment == self.buffer.sealed.len() => Some(&self.buffer.tail),
            None => None,
        }
    }

    /// Kind and whole length of the next frame.
    fn next(&mut self) -> Option<(FrameKind, usize)> {
        let (header_len, kind, body_len) = self.header()?;
        self.skip_body(header_len, body_len);
        Some((kind, header_len + body_len))
    }

    /// Kind and length of the body of the next frame.
    fn next_size(&mut self) -> Option<(FrameKind, usize)> {
        let (header_len, kind, body_len) = self.header()?;
        self.skip_body(header_len, body_len);
        Some((kind, body_len))
    }

    /// Kind and body of the next frame; a body kept by reference stays shared.
    fn next_body(&mut self) -> Option<(FrameKind, crate::Frame)> {
        let (header_len, kind, body_len) = self.header()?;
        let start = self.position + header_len;
        let here = self.bytes(self.segment)?;
        let body = match here.get(start..start + body_len) {
            Some(body) => crate::Frame::copy_from_slice(body),
            None => match self.buffer.sealed.get(self.segment + 1) {
                Some(Segment::Body(body)) => crate::Frame::from(body.clone()),
                _ => return None,
            },
        };
        self.skip_body(header_len, body_len);
        Some((kind, body))
    }

    fn header(&mut self) -> Option<(usize, FrameKind, usize)> {
        loop {
            let bytes = self.bytes(self.segment)?;
            if self.position < bytes.len() {
                let header = decode_header(&bytes[self.position..])?;
                return Some((header.header_len, header.kind, header.body_len as usize));
            }
            self.position -= bytes.len();
            self.segment += 1;
        }
    }

    fn skip_body(&mut self, header_len: usize, body_len: usize) {
        let size = self.bytes(self.segment).map_or(0, <[u8]>::len);
        if self.position + header_len + body_len <= size {
            self.position += header_len + body_len;
        } else {
            // The body is the whole next segment.
            self.segment += 2;
            self.position = 0;
        }
    }
}

#[cfg(test)]
mod tests;
