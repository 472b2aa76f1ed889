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
mod tests {
    use super::*;

    const TOPIC: [u8; TOPIC_LEN] = *b"t0000042";

    /// Lengths of topic and message: short and long ones, with and without a topic.
    const SHAPES: [(usize, usize); 6] = [(0, 8), (0, 31), (0, 32), (0, 64), (8, 16), (8, 1000)];

    fn header(kind: Kind, seq: u64) -> Header {
        Header {
            kind,
            source: 0,
            seq,
            stamp: 0,
        }
    }

    fn message((topic_len, size): (usize, usize), header: Header) -> Vec<u8> {
        let mut writer = Writer::new(topic_len, size).expect("a size with room");
        writer.write_one(header, &TOPIC).to_vec()
    }

    #[test]
    fn what_was_written_is_read() {
        for shape in SHAPES {
            let reader = Reader::new(shape.0, shape.1);
            for kind in [Kind::Data, Kind::Mark, Kind::End, Kind::Probe] {
                for seq in [0, 1, 61, 1 << 20] {
                    let read = reader.read(&message(shape, header(kind, seq)));
                    let read = read.expect("a whole message");
                    assert_eq!((read.kind, read.seq), (kind, seq), "{shape:?}");
                }
            }
        }
    }

    #[test]
    fn a_batch_keeps_its_messages_apart() {
        let mut writer = Writer::new(0, 64).expect("a size with room");
        assert_eq!(writer.batch(), MOST_BUFFERS);
        for buffer in 0..writer.batch() {
            writer.write(buffer, header(Kind::Data, buffer as u64), &TOPIC);
        }
        let reader = Reader::new(0, 64);
        for buffer in 0..writer.batch() {
            let read = reader
                .read(writer.message(buffer))
                .expect("a whole message");
            assert_eq!(read.seq, buffer as u64);
        }
        let large = Writer::new(0, 1 << 20).expect("a size with room");
        assert_eq!(large.batch(), 1);
    }

    #[test]
    fn every_changed_bit_of_what_is_checked_is_seen() {
        for shape in SHAPES {
            let reader = Reader::new(shape.0, shape.1);
            // The first is compared in full; of the other, numbers and checks.
            for (seq, pattern) in [(0, true), (1, false)] {
                let whole = message(shape, header(Kind::Data, seq));
                let head = if shape.1 - shape.0 < LONG { 8 } else { 24 };
                for at in shape.0..whole.len() {
                    let is_checked = at < shape.0 + head || head == 24 && at >= whole.len() - 8;
                    for bit in 0..8 {
                        let mut damaged = whole.clone();
                        damaged[at] ^= 1 << bit;
                        let is_seen = match reader.read(&damaged) {
                            Ok(read) => read.seq != seq || read.kind != Kind::Data,
                            Err(_) => true,
                        };
                        assert!(is_seen || !(is_checked || pattern), "{shape:?} {at}.{bit}");
                    }
                }
            }
        }
    }

    #[test]
    fn cut_and_mixed_messages_are_refused() {
        for shape in SHAPES {
            let reader = Reader::new(shape.0, shape.1);
            let one = message(shape, header(Kind::Data, 1));
            let two = message(shape, header(Kind::Data, 2));
            assert!(reader.read(&one[1..]).is_err(), "{shape:?}");
            assert!(
                reader.read(&[&one[..], &[0]].concat()).is_err(),
                "{shape:?}"
            );
            if shape.1 - shape.0 >= LONG {
                let mixed = [&one[..shape.1 / 2], &two[shape.1 / 2..]].concat();
                assert!(reader.read(&mixed).is_err(), "{shape:?}");
            }
        }
    }

    #[test]
    fn a_gap_and_a_repetition_are_refused() {
        let mut sequence = Sequence::default();
        assert!(sequence.accept(0, None).is_ok());
        assert!(sequence.accept(1, None).is_ok());
        let repeated = sequence.accept(1, None).expect_err("number 1 again");
        assert!(repeated.to_string().contains("repeated"), "{repeated}");
        let lost = sequence.accept(3, None).expect_err("number 2 is missing");
        assert!(lost.to_string().contains("lost"), "{lost}");
        assert!(sequence.accept(0, Some(2)).is_ok());
        assert!(sequence.accept(0, Some(2)).is_err());
    }
}
