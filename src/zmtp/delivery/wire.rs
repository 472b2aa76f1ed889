//! What is said of deliveries, as bytes.
//!
//! ```text
//! property Delivery = version(1) id(16) window             window: varint, 0 from a sender
//!
//! RUN    = 03 "RUN" tag number stride deliveries           all varints
//! SETTLE = 06 "SETTLE" 00 (skip length)+                   done: ranges of tags, ascending
//!        | 06 "SETTLE" 01 tag delay                        to be delivered again
//!        | 06 "SETTLE" 02 tag reason                       refused for good
//!        | 06 "SETTLE" 03 tag                              given back, as was asked for
//! REVOKE = 06 "REVOKE" (skip length)+                       to be given back if nobody has it: ranges of tags, ascending
//! varint = 7 bits a byte, the lowest first, bit 7 set in all but the last; below 2^64
//! ```

use super::{DeliveryError, Id};
use crate::zmtp::command::put_command;

/// The name of the property.
pub(crate) const PROPERTY: &str = "Delivery";

pub(crate) const RUN: &[u8] = b"RUN";
pub(crate) const SETTLE: &[u8] = b"SETTLE";
pub(crate) const REVOKE: &[u8] = b"REVOKE";

/// The version of the protocol that is spoken here. A peer of a later one speaks this one, too.
const VERSION: u8 = 1;

const DONE: u8 = 0;
const RETRY: u8 = 1;
const REJECTED: u8 = 2;
const REVOKED: u8 = 3;

/// The most ranges of one SETTLE: as many as fit into the shortest limit for a command that can be set, and more than a window has gaps as a rule.
pub(crate) const MAX_RANGES: usize = 64;

/// The most bytes of a reason; what is more is cut off.
pub(crate) const MAX_REASON: usize = 255;

/// What a side says of itself with its READY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Of the stream, from a sender; of the receiver, from that.
    pub(crate) id: Id,
    /// The most messages that may be unsettled on the connection; from a receiver.
    pub(crate) window: u64,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        value.extend_from_slice(&self.id);
        put_varint(&mut value, self.window);
        value
    }

    /// Reads the value of the property; later versions may say more behind it.
    pub(crate) fn parse(value: &[u8]) -> Option<Hello> {
        let (&version, rest) = value.split_first()?;
        let (&id, rest) = rest.split_first_chunk::<16>()?;
        let (window, _) = varint(rest)?;
        (version >= VERSION).then_some(Hello { id, window })
    }
}

/// Which numbers messages have: that with this tag, and those that follow, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) tag: u64,
    /// The number of the first one.
    pub(crate) number: u64,
    /// What is added to it for each one that follows.
    pub(crate) stride: u64,
    /// How often they have been delivered before, as far as the sender knows.
    pub(crate) deliveries: u64,
}

impl Run {
    /// The number of the message with this tag, which is not before the run.
    pub(crate) fn number_of(&self, tag: u64) -> Option<u64> {
        let steps = tag.checked_sub(self.tag)?.checked_mul(self.stride)?;
        self.number.checked_add(steps)
    }
}

/// A command as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice<'a> {
    Run(&'a [u8]),
    Settle(&'a [u8]),
    Revoke(&'a [u8]),
}

/// Appends a RUN.
pub(crate) fn put_run(out: &mut Vec<u8>, run: Run) {
    let mut fields = Vec::with_capacity(16);
    for field in [run.tag, run.number, run.stride, run.deliveries] {
        put_varint(&mut fields, field);
    }
    put_command(out, RUN, &[&fields]);
}

/// Reads a RUN.
pub(crate) fn parse_run(data: &[u8]) -> Result<Run, DeliveryError> {
    let fields = || {
        let (tag, rest) = varint(data)?;
        let (number, rest) = varint(rest)?;
        let (stride, rest) = varint(rest)?;
        let (deliveries, rest) = varint(rest)?;
        let run = Run {
            tag,
            number,
            stride,
            deliveries,
        };
        (rest.is_empty() && stride > 0).then_some(run)
    };
    fields().ok_or(DeliveryError::Malformed { command: "RUN" })
}

/// Appends what settles ranges of tags, `(first, length)`, ascending and apart, as done. There are no more of them than
/// [`MAX_RANGES`].
pub(crate) fn put_done(out: &mut Vec<u8>, ranges: &[(u64, u64)]) {
    let mut fields = vec![DONE];
    put_ranges(&mut fields, ranges);
    put_command(out, SETTLE, &[&fields]);
}

fn put_ranges(fields: &mut Vec<u8>, ranges: &[(u64, u64)]) {
    let mut end = 0;
    for &(first, length) in ranges {
        put_varint(fields, first - end);
        put_varint(fields, length);
        end = first + length;
    }
}

/// Appends that messages with these tags, which ascend, are to be given back.
pub(crate) fn put_revoke(out: &mut Vec<u8>, tags: &[u64]) {
    let ranges: Vec<(u64, u64)> = tags
        .chunk_by(|before, next| before + 1 == *next)
        .filter_map(|run| Some((*run.first()?, run.len() as u64)))
        .collect();
    for ranges in ranges.chunks(MAX_RANGES) {
        let mut fields = Vec::new();
        put_ranges(&mut fields, ranges);
        put_command(out, REVOKE, &[&fields]);
    }
}

/// Appends that a message is given back.
pub(crate) fn put_revoked(out: &mut Vec<u8>, tag: u64) {
    let mut fields = vec![REVOKED];
    put_varint(&mut fields, tag);
    put_command(out, SETTLE, &[&fields]);
}

/// Appends that a message is to be delivered again: after so many milliseconds, or when the sender thinks fit.
pub(crate) fn put_retry(out: &mut Vec<u8>, tag: u64, delay: Option<u64>) {
    let mut fields = vec![RETRY];
    put_varint(&mut fields, tag);
    put_varint(
        &mut fields,
        delay.map_or(0, |delay| delay.saturating_add(1)),
    );
    put_command(out, SETTLE, &[&fields]);
}

/// Appends that a message is refused for good.
pub(crate) fn put_rejected(out: &mut Vec<u8>, tag: u64, reason: &str) {
    let mut fields = vec![REJECTED];
    put_varint(&mut fields, tag);
    put_command(out, SETTLE, &[&fields, cut(reason).as_bytes()]);
}

/// The reason, as far as it goes into a command.
pub(crate) fn cut(reason: &str) -> &str {
    let most = MAX_REASON.min(reason.len());
    let end = (0..=most).rev().find(|&end| reason.is_char_boundary(end));
    &reason[..end.unwrap_or(0)]
}

/// What a SETTLE says, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled<'a> {
    Done(Ranges<'a>),
    /// With the milliseconds to wait, if the receiver says.
    Retry(u64, Option<u64>),
    /// The reason may be no text.
    Rejected(u64, &'a [u8]),
    /// It is given back.
    Revoked(u64),
}

/// Ranges of tags, `(first, length)`, that have been looked at: they ascend, and end below 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranges<'a> {
    fields: &'a [u8],
    end: u64,
}

impl Iterator for Ranges<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let (skip, rest) = varint(self.fields)?;
        let (length, rest) = varint(rest)?;
        let first = self.end.checked_add(skip)?;
        self.end = first.checked_add(length)?;
        self.fields = rest;
        (length > 0).then_some((first, length))
    }
}

/// Reads a SETTLE.
pub(crate) fn parse_settle(data: &[u8]) -> Result<Settled<'_>, DeliveryError> {
    let malformed = DeliveryError::Malformed { command: "SETTLE" };
    let (&outcome, fields) = data.split_first().ok_or(malformed)?;
    match outcome {
        DONE => Ok(Settled::Done(parse_ranges(fields, malformed)?)),
        RETRY => {
            let (tag, rest) = varint(fields).ok_or(malformed)?;
            match varint(rest) {
                Some((delay, [])) => Ok(Settled::Retry(tag, delay.checked_sub(1))),
                _ => Err(malformed),
            }
        }
        REJECTED => {
            let (tag, reason) = varint(fields).ok_or(malformed)?;
            match reason.len() <= MAX_REASON {
                true => Ok(Settled::Rejected(tag, reason)),
                false => Err(malformed),
            }
        }
        REVOKED => match varint(fields) {
            Some((tag, [])) => Ok(Settled::Revoked(tag)),
            _ => Err(malformed),
        },
        _ => Err(malformed),
    }
}

fn parse_ranges(fields: &[u8], malformed: DeliveryError) -> Result<Ranges<'_>, DeliveryError> {
    let ranges = Ranges { fields, end: 0 };
    let (mut look, mut count) = (ranges, 0);
    while !look.fields.is_empty() {
        look.next().ok_or(malformed)?;
        count += 1;
        if count > MAX_RANGES {
            return Err(DeliveryError::TooManyRanges { limit: MAX_RANGES });
        }
    }
    match count {
        0 => Err(malformed),
        _ => Ok(ranges),
    }
}

/// Reads a REVOKE.
pub(crate) fn parse_revoke(data: &[u8]) -> Result<Ranges<'_>, DeliveryError> {
    parse_ranges(data, DeliveryError::Malformed { command: "REVOKE" })
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off; `None` if it does not end, or is too large.
pub(crate) fn varint(input: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in input.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &input[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::{Command, decode_header};

    fn notice(frames: &[u8]) -> Notice<'_> {
        let body = &frames[decode_header(frames).expect("a header").header_len..];
        match Command::parse(body) {
            Ok(Command::Delivery(notice)) => notice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        put_run(
            &mut out,
            Run {
                tag: 0,
                number: 300,
                stride: 1,
                deliveries: 0,
            },
        );
        assert_eq!(out, b"\x04\x09\x03RUN\0\xac\x02\x01\0");
        out.clear();
        put_done(&mut out, &[(0, 5), (7, 1)]);
        assert_eq!(out, b"\x04\x0c\x06SETTLE\0\0\x05\x02\x01");
        out.clear();
        put_retry(&mut out, 3, None);
        put_retry(&mut out, 4, Some(0));
        assert_eq!(
            out,
            b"\x04\x0a\x06SETTLE\x01\x03\0\x04\x0a\x06SETTLE\x01\x04\x01"
        );
        out.clear();
        put_rejected(&mut out, 1, "no");
        assert_eq!(out, b"\x04\x0b\x06SETTLE\x02\x01no");
        out.clear();
        put_revoke(&mut out, &[2, 3, 4, 9]);
        put_revoked(&mut out, 3);
        assert_eq!(
            out,
            b"\x04\x0b\x06REVOKE\x02\x03\x04\x01\x04\x09\x06SETTLE\x03\x03"
        );
        let hello = Hello {
            id: *b"0123456789abcdef",
            window: 256,
        };
        assert_eq!(hello.encode(), b"\x010123456789abcdef\x80\x02");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let run = Run {
            tag: u64::MAX,
            number: 1 << 35,
            stride: 127,
            deliveries: 128,
        };
        put_run(&mut out, run);
        let Notice::Run(data) = notice(&out) else {
            panic!("a RUN");
        };
        assert_eq!(parse_run(data), Ok(run));
        let ranges = [(1, 1), (5, 200), (1000, 1 << 40)];
        out.clear();
        put_done(&mut out, &ranges);
        let Notice::Settle(data) = notice(&out) else {
            panic!("a SETTLE");
        };
        let Ok(Settled::Done(read)) = parse_settle(data) else {
            panic!("ranges");
        };
        assert_eq!(read.collect::<Vec<_>>(), ranges);
        let hello = Hello {
            id: [9; 16],
            window: u64::MAX,
        };
        assert_eq!(Hello::parse(&hello.encode()), Some(hello));
        let mut later = hello.encode();
        later[0] = 2;
        later.extend_from_slice(b"more");
        assert_eq!(
            Hello::parse(&later),
            Some(hello),
            "a later version says more"
        );
    }

    #[test]
    fn every_cut_and_every_lie_is_malformed() {
        let run = DeliveryError::Malformed { command: "RUN" };
        let settle = DeliveryError::Malformed { command: "SETTLE" };
        for data in [
            &b""[..],
            b"\0\x01\x01",
            b"\0\x01\0\0",
            b"\0\x01\x01\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01\x01\0",
            b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x01\x01\0",
        ] {
            assert_eq!(parse_run(data), Err(run), "{data:?}");
        }
        let past_the_end = [
            0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1,
        ];
        for data in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0\0\0",
            b"\0\0\x01\0",
            b"\x01",
            b"\x01\x01",
            b"\x01\x01\x01\x01",
            b"\x02",
            b"\x03",
            b"\x03\0\0",
            b"\x04\0",
            &past_the_end,
            &[&b"\x02\x01"[..], &[b'a'; 256]].concat(),
        ] {
            assert_eq!(parse_settle(data), Err(settle), "{data:?}");
        }
        let revoke = DeliveryError::Malformed { command: "REVOKE" };
        for data in [&b""[..], b"\0", b"\0\0", &past_the_end[1..]] {
            assert_eq!(parse_revoke(data), Err(revoke), "{data:?}");
        }
        for len in 0..17 {
            assert_eq!(Hello::parse(&[1; 18][..len]), None);
        }
        assert_eq!(
            Hello::parse(&[0; 18]),
            None,
            "there has been no such version"
        );
    }

    #[test]
    fn a_million_ranges_are_too_many() {
        let mut data = vec![0];
        for _ in 0..1_000_000 {
            data.extend_from_slice(b"\x01\x01");
        }
        let error = DeliveryError::TooManyRanges { limit: MAX_RANGES };
        assert_eq!(parse_settle(&data), Err(error));
        assert_eq!(parse_revoke(&data[1..]), Err(error));
        assert!(parse_settle(&data[..1 + 2 * MAX_RANGES]).is_ok());
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let reason = "é".repeat(200);
        let mut out = Vec::new();
        put_rejected(&mut out, 0, &reason);
        let Notice::Settle(data) = notice(&out) else {
            panic!("a SETTLE");
        };
        let Ok(Settled::Rejected(0, kept)) = parse_settle(data) else {
            panic!("rejected");
        };
        assert_eq!(kept, "é".repeat(127).as_bytes());
    }
}
