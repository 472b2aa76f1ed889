//! What the messages of a benchmark hold, so that the receiver can tell a lost, repeated or damaged one.
//!
//! ```text
//! long (32 bytes and more after the topic):
//!   topic(n)  seq(8)  stamp(8)  check(8)  pattern …  check(8)
//!             the upper 16 bits of seq are the sender's number; stamp is a time, or zero
//! short (8 bytes and more):
//!   topic(n)  seq(4)  check(4)  pattern …
//! ```
//!
//! The check mixes sequence number, stamp, kind and length. The pattern is the same in every message, and is
//! compared in full on one message in [`FULL_CHECK_EVERY`]: comparing each would measure the comparison. The two
//! checks at the ends show every message that is cut, shifted or put together from two.

use super::{Fallible, Fault, TOPIC_LEN};

/// One message in so many has its whole body compared. A prime, so that it does not follow the senders' turns.
const FULL_CHECK_EVERY: u64 = 61;

const LONG: usize = 32;
const SHORT: usize = 8;
const SOURCE_SHIFT: u32 = 48;

/// What a message means to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counts.
    Data,
    /// Counts too; the warm-up is over.
    Mark,
    /// Does not count; its sequence number is the number of messages sent before.
    End,
    /// Does not count; asks whether anybody is there.
    Probe,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) source: usize,
    pub(crate) seq: u64,
    pub(crate) stamp: u64,
}

/// Writes messages of one size into a few buffers: whoever sends a message right after it was written waits for the
/// processor to finish the writing, and a batch that is written first and sent then doesn't.
pub(crate) struct Writer {
    buffers: Vec<u8>,
    size: usize,
    has_topic: bool,
}

/// The buffers of a writer stay within so many bytes, so that they stay in the cache.
const BUFFERS_BYTES: usize = 8 * 1024;

/// More would not help.
const MOST_BUFFERS: usize = 16;

impl Writer {
    pub(crate) fn new(topic_len: usize, size: usize) -> Fallible<Writer> {
        if size < topic_len + SHORT {
            return Err(Fault::from("the size leaves no room for a sequence number"));
        }
        let count = (BUFFERS_BYTES / size).clamp(1, MOST_BUFFERS);
        Ok(Writer {
            buffers: pattern(size).repeat(count),
            size,
            has_topic: topic_len > 0,
        })
    }

    /// The number of messages that can be written before the first of them is overwritten.
    pub(crate) fn batch(&self) -> usize {
        self.buffers.len() / self.size
    }

    /// The message that was last written into that buffer.
    #[inline]
    pub(crate) fn message(&self, buffer: usize) -> &[u8] {
        &self.buffers[buffer * self.size..][..self.size]
    }

    /// Writes a message into that buffer.
    #[inline]
    pub(crate) fn write(&mut self, buffer: usize, header: Header, topic: &[u8; TOPIC_LEN]) {
        let size = self.size;
        let mut body = &mut self.buffers[buffer * size..][..size];
        if self.has_topic {
            let (head, rest) = body.split_at_mut(TOPIC_LEN);
            head.copy_from_slice(topic);
            body = rest;
        }
        if body.len() < LONG {
            let check = check(header.seq, 0, header.kind, size) as u32;
            body[..4].copy_from_slice(&(header.seq as u32).to_le_bytes());
            body[4..8].copy_from_slice(&check.to_le_bytes());
            return;
        }
        let seq = header.seq | (header.source as u64) << SOURCE_SHIFT;
        let check = check(seq, header.stamp, header.kind, size).to_le_bytes();
        let tail = body.len() - 8;
        body[..8].copy_from_slice(&seq.to_le_bytes());
        body[8..16].copy_from_slice(&header.stamp.to_le_bytes());
        body[16..24].copy_from_slice(&check);
        body[tail..].copy_from_slice(&check);
    }

    /// The only message of a batch of one.
    #[inline]
    pub(crate) fn write_one(&mut self, header: Header, topic: &[u8; TOPIC_LEN]) -> &[u8] {
        self.write(0, header, topic);
        self.message(0)
    }
}

/// Reads messages of one size and refuses what no [`Writer`] wrote.
pub(crate) struct Reader {
    expected: Vec<u8>,
    topic_len: usize,
}

impl Reader {
    pub(crate) fn new(topic_len: usize, size: usize) -> Reader {
        Reader {
            expected: pattern(size),
            topic_len,
        }
    }

    /// What the message says, if it is whole.
    #[inline(always)] // Measured: out of line, the header goes through memory, and that costs more than the check.
    pub(crate) fn read(&self, message: &[u8]) -> Fallible<Header> {
        let size = self.expected.len();
        if message.len() != size {
            return Err(wrong_size(message.len(), size));
        }
        let header = match message.get(self.topic_len..) {
            Some(body) if body.len() >= LONG => header_of_long(body, size),
            Some(body) => header_of_short(body, size),
            None => None,
        };
        let header = header.ok_or_else(damaged)?;
        if header.seq.is_multiple_of(FULL_CHECK_EVERY) && !self.pattern_is_whole(message) {
            return Err(damaged());
        }
        Ok(header)
    }

    #[cold]
    fn pattern_is_whole(&self, message: &[u8]) -> bool {
        let body_len = message.len() - self.topic_len;
        let (head, tail) = if body_len < LONG { (8, 0) } else { (24, 8) };
        let range = self.topic_len + head..message.len() - tail;
        message[range.clone()] == self.expected[range]
    }
}

#[inline(always)]
fn header_of_long(body: &[u8], size: usize) -> Option<Header> {
    let seq = u64::from_le_bytes(*body.first_chunk()?);
    let stamp = u64::from_le_bytes(*body[8..].first_chunk()?);
    let found = u64::from_le_bytes(*body[16..].first_chunk()?);
    let again = u64::from_le_bytes(*body.last_chunk()?);
    if found != again {
        return None;
    }
    let kind = kind_of(|kind| check(seq, stamp, kind, size) == found)?;
    Some(Header {
        kind,
        source: (seq >> SOURCE_SHIFT) as usize,
        seq: seq & ((1 << SOURCE_SHIFT) - 1),
        stamp,
    })
}

#[inline(always)]
fn header_of_short(body: &[u8], size: usize) -> Option<Header> {
    let seq = u64::from(u32::from_le_bytes(*body.first_chunk()?));
    let found = u32::from_le_bytes(*body[4..].first_chunk()?);
    let kind = kind_of(|kind| check(seq, 0, kind, size) as u32 == found)?;
    Some(Header {
        kind,
        source: 0,
        seq,
        stamp: 0,
    })
}

/// Nearly all messages are data, and the others are looked for out of the way.
#[inline(always)]
fn kind_of(matches: impl Fn(Kind) -> bool) -> Option<Kind> {
    #[cold]
    fn other(matches: impl Fn(Kind) -> bool) -> Option<Kind> {
        let others = [Kind::Mark, Kind::End, Kind::Probe];
        others.into_iter().find(|&kind| matches(kind))
    }

    if matches(Kind::Data) {
        return Some(Kind::Data);
    }
    other(matches)
}

/// Counts the messages of one sender, and refuses a gap or a repetition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
}

impl Sequence {
    /// Takes the number of the next message; in a cycle, numbers start again at 0 after so many.
    #[inline(always)]
    pub(crate) fn accept(&mut self, seq: u64, cycle: Option<u64>) -> Fallible<()> {
        let due = cycle.map_or(self.next, |cycle| self.next % cycle);
        if seq != due {
            return Err(out_of_sequence(seq, due));
        }
        self.next += 1;
        Ok(())
    }
}

/// Two rounds of multiplying and folding: every bit of the input reaches every bit of the check.
#[inline]
fn check(seq: u64, stamp: u64, kind: Kind, size: usize) -> u64 {
    let salt = ((size as u64) << 8) | (kind as u64 + 1);
    let mixed = (seq ^ salt.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stamp;
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

/// Bytes without a period that a buffer size could have.
fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

#[cold]
fn wrong_size(found: usize, expected: usize) -> Fault {
    Fault::from(format!(
        "a message of {found} bytes, where all have {expected}"
    ))
}

#[cold]
fn damaged() -> Fault {
    Fault::from("a damaged message")
}

#[cold]
fn out_of_sequence(found: u64, expected: u64) -> Fault {
    let what = if found > expected { "lost" } else { "repeated" };
    Fault::from(format!(
        "messages were {what}: number {found} came where {expected} was due"
    ))
}

#[cfg(test)]
#[allow(dead_code)] // `cargo bench` includes this module, and has no test harness to call them.
mod tests;
