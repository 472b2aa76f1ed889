//! What a publisher with a log and its subscribers say, as bytes.
//!
//! ```text
//! property Log = version(1) id(16)         of a publisher: the name of its log
//!              | version(1)                of a subscriber
//!
//! REPLAY = 06 "REPLAY" 00 topic            the subscriber wants a topic: what is published from now on
//!        | 06 "REPLAY" 01 offset topic     from this offset on
//!        | 06 "REPLAY" 02 count topic      the last so many, and what follows
//!        | 06 "REPLAY" 03 millis topic     what was published since then, in milliseconds since 1970
//! START  = 05 "START" tag offset           answers the oldest REPLAY that has no answer: the topic begins at this offset
//! AT     = 02 "AT" tag offset              the message with this tag has this offset, the next one that and one, and so on
//! GAP    = 03 "GAP" tag first last         no message with these offsets is left
//! NEXT   = 04 "NEXT" tag offset            of what is before this offset, all has been sent
//! tag    = how many messages the publisher has sent on the connection before
//! ```
//!
//! All numbers are varints, as in [`delivery`](crate::zmtp::delivery).

use super::super::command::put_command;
use super::super::delivery::DeliveryError;
use super::super::delivery::wire::{put_varint, varint};

/// The name of the property.
pub(crate) const PROPERTY: &str = "Log";

pub(crate) const REPLAY: &[u8] = b"REPLAY";
pub(crate) const START: &[u8] = b"START";
pub(crate) const AT: &[u8] = b"AT";
pub(crate) const GAP: &[u8] = b"GAP";
pub(crate) const NEXT: &[u8] = b"NEXT";

/// The version of the protocol that is spoken here.
const VERSION: u8 = 1;

/// Names a log: at random, when its folder is made.
pub(crate) type LogId = [u8; 16];

/// What a subscriber says of itself with its READY.
pub(crate) fn subscriber_property() -> Vec<u8> {
    vec![VERSION]
}

/// What a publisher says.
pub(crate) fn publisher_property(log: &LogId) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(log);
    value
}

/// Whether this is the property of a subscriber. Later versions may say more.
pub(crate) fn is_subscriber(value: &[u8]) -> bool {
    value.first().is_some_and(|version| *version >= VERSION)
}

/// The log that a publisher has. Later versions may say more.
pub(crate) fn log_of(value: &[u8]) -> Option<LogId> {
    let (&version, rest) = value.split_first()?;
    let (&log, _) = rest.split_first_chunk::<16>()?;
    (version >= VERSION).then_some(log)
}

/// A command as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogNotice<'a> {
    Replay(&'a [u8]),
    Start(&'a [u8]),
    At(&'a [u8]),
    Gap(&'a [u8]),
    Next(&'a [u8]),
}

impl LogNotice<'_> {
    /// The name of the command.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            LogNotice::Replay(_) => "REPLAY",
            LogNotice::Start(_) => "START",
            LogNotice::At(_) => "AT",
            LogNotice::Gap(_) => "GAP",
            LogNotice::Next(_) => "NEXT",
        }
    }
}

/// Where a topic begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Now,
    /// With this offset, or the next that there is.
    Offset(u64),
    /// With the last so many messages of the topic.
    Last(u64),
    /// With what was published since then, in milliseconds since 1970.
    Time(u64),
}

/// Appends a REPLAY.
pub(crate) fn put_replay(out: &mut Vec<u8>, topic: &[u8], start: Start) {
    let (kind, value) = match start {
        Start::Now => (0, None),
        Start::Offset(offset) => (1, Some(offset)),
        Start::Last(count) => (2, Some(count)),
        Start::Time(millis) => (3, Some(millis)),
    };
    let mut fields = vec![kind];
    if let Some(value) = value {
        put_varint(&mut fields, value);
    }
    put_command(out, REPLAY, &[&fields, topic]);
}

/// Reads a REPLAY.
pub(crate) fn parse_replay(data: &[u8]) -> Result<(Start, &[u8]), DeliveryError> {
    let malformed = DeliveryError::Malformed { command: "REPLAY" };
    let (&kind, rest) = data.split_first().ok_or(malformed)?;
    let valued = |make: fn(u64) -> Start| {
        let (value, topic) = varint(rest).ok_or(malformed)?;
        Ok((make(value), topic))
    };
    match kind {
        0 => Ok((Start::Now, rest)),
        1 => valued(Start::Offset),
        2 => valued(Start::Last),
        3 => valued(Start::Time),
        _ => Err(malformed),
    }
}

/// Appends a command of numbers.
fn put_numbers(out: &mut Vec<u8>, name: &[u8], numbers: &[u64]) {
    let mut fields = Vec::with_capacity(24);
    for number in numbers {
        put_varint(&mut fields, *number);
    }
    put_command(out, name, &[&fields]);
}

pub(crate) fn put_start(out: &mut Vec<u8>, tag: u64, offset: u64) {
    put_numbers(out, START, &[tag, offset]);
}

pub(crate) fn put_at(out: &mut Vec<u8>, tag: u64, offset: u64) {
    put_numbers(out, AT, &[tag, offset]);
}

pub(crate) fn put_gap(out: &mut Vec<u8>, tag: u64, first: u64, last: u64) {
    put_numbers(out, GAP, &[tag, first, last]);
}

pub(crate) fn put_next(out: &mut Vec<u8>, tag: u64, offset: u64) {
    put_numbers(out, NEXT, &[tag, offset]);
}

/// The numbers of a command that has nothing else, each below 2^63: so that adding to them does not end anything.
pub(crate) fn numbers<const N: usize>(
    notice: LogNotice<'_>,
    mut data: &[u8],
) -> Result<[u64; N], DeliveryError> {
    let malformed = DeliveryError::Malformed {
        command: notice.name(),
    };
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (value, rest) = varint(data).ok_or(malformed)?;
        if value >> 63 != 0 {
            return Err(malformed);
        }
        *number = value;
        data = rest;
    }
    match data {
        [] => Ok(numbers),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::{Command, decode_header};

    fn notice(frames: &[u8]) -> LogNotice<'_> {
        let body = &frames[decode_header(frames).expect("a header").header_len..];
        match Command::parse(body) {
            Ok(Command::Log(notice)) => notice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        put_replay(&mut out, b"eur", Start::Now);
        assert_eq!(out, b"\x04\x0b\x06REPLAY\0eur");
        out.clear();
        put_replay(&mut out, b"eur", Start::Offset(300));
        assert_eq!(out, b"\x04\x0d\x06REPLAY\x01\xac\x02eur");
        out.clear();
        put_replay(&mut out, b"", Start::Last(10));
        put_replay(&mut out, b"", Start::Time(1));
        assert_eq!(out, b"\x04\x09\x06REPLAY\x02\x0a\x04\x09\x06REPLAY\x03\x01");
        out.clear();
        put_start(&mut out, 1, 2);
        put_at(&mut out, 3, 4);
        put_gap(&mut out, 5, 6, 7);
        put_next(&mut out, 8, 9);
        let all = b"\x04\x08\x05START\x01\x02\x04\x05\x02AT\x03\x04\x04\x07\x03GAP\x05\x06\x07\x04\x07\x04NEXT\x08\x09";
        assert_eq!(out, all);
        assert_eq!(subscriber_property(), [1]);
        assert_eq!(
            publisher_property(b"0123456789abcdef"),
            b"\x010123456789abcdef"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        for start in [
            Start::Now,
            Start::Offset(u64::MAX),
            Start::Last(1 << 40),
            Start::Time(0),
        ] {
            let mut out = Vec::new();
            put_replay(&mut out, b"topic", start);
            let LogNotice::Replay(data) = notice(&out) else {
                panic!("a REPLAY");
            };
            assert_eq!(parse_replay(data), Ok((start, &b"topic"[..])));
        }
        let mut out = Vec::new();
        put_gap(&mut out, 1, 1 << 20, 1 << 40);
        let read = notice(&out);
        let LogNotice::Gap(data) = read else {
            panic!("a GAP");
        };
        assert_eq!(numbers(read, data), Ok([1, 1 << 20, 1 << 40]));
        let id = *b"0123456789abcdef";
        let mut later = publisher_property(&id);
        later[0] = 2;
        later.extend_from_slice(b"more");
        assert_eq!(log_of(&later), Some(id), "a later version says more");
        assert!(is_subscriber(&later));
    }

    #[test]
    fn every_cut_and_every_lie_is_malformed() {
        let replay = DeliveryError::Malformed { command: "REPLAY" };
        for data in [&b""[..], b"\x01", b"\x01\x80", b"\x04\x01"] {
            assert_eq!(parse_replay(data), Err(replay), "{data:?}");
        }
        let gap = DeliveryError::Malformed { command: "GAP" };
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        for data in [
            &b""[..],
            b"\x01\x01",
            b"\x01\x01\x01\x01",
            &[&b"\x01\x01"[..], &too_large].concat(),
        ] {
            let read: Result<[u64; 3], _> = numbers(LogNotice::Gap(data), data);
            assert_eq!(read, Err(gap), "{data:?}");
        }
        for len in 0..17 {
            assert_eq!(log_of(&[1; 17][..len]), None);
        }
        assert_eq!(log_of(&[0; 17]), None, "there has been no such version");
        assert!(!is_subscriber(b"") && !is_subscriber(b"\0"));
    }
}
