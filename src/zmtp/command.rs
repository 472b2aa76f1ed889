//! Commands: what the peers' engines say to each other, beside the messages.
//!
//! ```text
//! command   = name_len(1) name data                the body of a COMMAND frame
//!
//! READY     = 05 "READY" property*                 handshake
//! ERROR     = 05 "ERROR" reason_len(1) reason      handshake
//! SUBSCRIBE = 09 "SUBSCRIBE" topic                 to ZMTP 3.1; below it the message  01 topic
//! CANCEL    = 06 "CANCEL" topic                    to ZMTP 3.1; below it the message  00 topic
//! JOIN      = 04 "JOIN" group                      a DISH to a RADIO (RFC 48)
//! LEAVE     = 05 "LEAVE" group
//! PING      = 04 "PING" ttl(2, BE, 0.1 s) context(0..16)
//! PONG      = 04 "PONG" context(0..16)
//! RUN       = 03 "RUN" fields                     to and from peers that know acknowledged delivery (`delivery`)
//! SETTLE    = 06 "SETTLE" fields
//! REPLAY, START, AT, GAP, NEXT                    to and from peers that know logs (`replay`)
//! ```

use std::time::Duration;

use super::delivery::{Notice, wire};
use super::error::quote;
use super::frame::{FrameKind, put_frame, put_header};
use super::replay::LogNotice;
use super::replay::wire::{AT, GAP, NEXT, REPLAY, START};
use super::{ProtocolError, Version};

pub(super) const READY: &[u8] = b"READY";
pub(super) const ERROR: &[u8] = b"ERROR";
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";
const CANCEL: &[u8] = b"CANCEL";
const JOIN: &[u8] = b"JOIN";
const LEAVE: &[u8] = b"LEAVE";
const PING: &[u8] = b"PING";
const PONG: &[u8] = b"PONG";

/// The first byte of a message that subscribes, before ZMTP 3.1.
const LEGACY_SUBSCRIBE: u8 = 0x01;
/// The first byte of a message that cancels, before ZMTP 3.1.
const LEGACY_CANCEL: u8 = 0x00;

/// The longest context of a PING or PONG. A longer one is cut when echoed, as libzmq does, so that no
/// peer can make us send more than it is allowed to send.
const MAX_CONTEXT: usize = 16;

/// The longest time-to-live that is sent, in tenths of a second. libzmq turns it into milliseconds in
/// 16 bits: 65.6 s arrives there as 64 ms.
const MAX_TTL: u16 = 655;

/// A command, decoded in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// The end of a handshake, with a property list.
    Ready { metadata: &'a [u8] },
    /// The peer gives up during the handshake.
    Error { reason: &'a [u8] },
    /// A topic the peer wants.
    Subscribe(&'a [u8]),
    /// A topic the peer no longer wants.
    Cancel(&'a [u8]),
    /// A group the peer is in from now on.
    Join(&'a [u8]),
    /// A group the peer is no longer in.
    Leave(&'a [u8]),
    /// A sign of life that wants a PONG with the same context. Unless `ttl` is zero, the peer wants to be
    /// given up when it stays silent for that long.
    Ping { ttl: Duration, context: &'a [u8] },
    /// The answer to a PING.
    Pong { context: &'a [u8] },
    /// Of acknowledged delivery; to be ignored where that was not agreed upon.
    Delivery(Notice<'a>),
    /// Of a publisher with a log and its subscribers; the same.
    Log(LogNotice<'a>),
    /// Any other command, by its name: to be ignored, so that later versions can add some.
    /// A body with no whole name is one too, with the name left empty.
    Unknown(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Reads the body of a command frame.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        let Some((name, data)) = split_name(body) else {
            return Ok(Self::Unknown(&[]));
        };
        Ok(match name {
            READY => Self::Ready { metadata: data },
            ERROR => Self::Error {
                reason: parse_reason(data)?,
            },
            SUBSCRIBE => Self::Subscribe(data),
            CANCEL => Self::Cancel(data),
            JOIN => Self::Join(data),
            LEAVE => Self::Leave(data),
            PING => {
                let Some((ttl, context)) = data.split_first_chunk::<2>() else {
                    return Err(ProtocolError::ShortPing { len: data.len() });
                };
                let deciseconds = u16::from_be_bytes(*ttl);
                Self::Ping {
                    ttl: Duration::from_millis(u64::from(deciseconds) * 100),
                    context,
                }
            }
            PONG => Self::Pong { context: data },
            wire::RUN => Self::Delivery(Notice::Run(data)),
            wire::SETTLE => Self::Delivery(Notice::Settle(data)),
            wire::REVOKE => Self::Delivery(Notice::Revoke(data)),
            REPLAY => Self::Log(LogNotice::Replay(data)),
            START => Self::Log(LogNotice::Start(data)),
            AT => Self::Log(LogNotice::At(data)),
            GAP => Self::Log(LogNotice::Gap(data)),
            NEXT => Self::Log(LogNotice::Next(data)),
            unknown => Self::Unknown(unknown),
        })
    }

    /// Reads a frame of a message as a subscription, in the form that peers use below ZMTP 3.1. `None`: it is not one.
    pub(crate) fn parse_legacy(frame: &'a [u8]) -> Option<Self> {
        match frame.split_first()? {
            (&LEGACY_SUBSCRIBE, topic) => Some(Self::Subscribe(topic)),
            (&LEGACY_CANCEL, topic) => Some(Self::Cancel(topic)),
            _ => None,
        }
    }
}

/// Parts a command's body into name and data; `None` if the body ends before the name does.
pub(super) fn split_name(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&name_len, rest) = body.split_first()?;
    rest.split_at_checked(usize::from(name_len))
}

/// Reads the data of an ERROR command. Bytes after the reason are ignored, as libzmq does.
pub(super) fn parse_reason(data: &[u8]) -> Result<&[u8], ProtocolError> {
    match split_name(data) {
        Some((reason, _)) => Ok(reason),
        None => Err(ProtocolError::MalformedCommand { name: quote(ERROR) }),
    }
}

/// Appends a READY with this property list.
pub(crate) fn put_ready(out: &mut Vec<u8>, metadata: &[u8]) {
    put_command(out, READY, &[metadata]);
}

/// Appends an ERROR; a reason beyond 255 bytes is cut, its length has one byte.
pub(crate) fn put_error(out: &mut Vec<u8>, reason: &str) {
    let reason = cut(reason.as_bytes(), usize::from(u8::MAX));
    // The cut above makes the length fit.
    put_command(out, ERROR, &[&[reason.len() as u8], reason]);
}

/// Appends a PING. The time-to-live is rounded down to tenths of a second and limited to 65.5 s, the context
/// cut to 16 bytes.
pub(crate) fn put_ping(out: &mut Vec<u8>, ttl: Duration, context: &[u8]) {
    let deciseconds = u16::try_from(ttl.as_millis() / 100)
        .unwrap_or(MAX_TTL)
        .min(MAX_TTL);
    put_command(
        out,
        PING,
        &[&deciseconds.to_be_bytes(), cut(context, MAX_CONTEXT)],
    );
}

/// Appends the PONG to a PING with this context, cut to 16 bytes.
pub(crate) fn put_pong(out: &mut Vec<u8>, context: &[u8]) {
    put_command(out, PONG, &[cut(context, MAX_CONTEXT)]);
}

/// Appends a subscription, in the form that a peer of this version understands.
pub(crate) fn put_subscribe(out: &mut Vec<u8>, version: Version, topic: &[u8]) {
    if version.has_subscribe_commands() {
        put_command(out, SUBSCRIBE, &[topic]);
    } else {
        put_legacy(out, LEGACY_SUBSCRIBE, topic);
    }
}

/// Appends the cancellation of a subscription, in the form that a peer of this version understands.
pub(crate) fn put_cancel(out: &mut Vec<u8>, version: Version, topic: &[u8]) {
    if version.has_subscribe_commands() {
        put_command(out, CANCEL, &[topic]);
    } else {
        put_legacy(out, LEGACY_CANCEL, topic);
    }
}

/// Appends that we join a group, or leave it.
pub(crate) fn put_membership(out: &mut Vec<u8>, group: &[u8], join: bool) {
    put_command(out, if join { JOIN } else { LEAVE }, &[group]);
}

pub(super) fn put_command(out: &mut Vec<u8>, name: &[u8], data: &[&[u8]]) {
    let data_len: usize = data.iter().map(|piece| piece.len()).sum();
    put_header(out, FrameKind::Command, 1 + name.len() + data_len);
    // Names are the constants above, none longer than nine bytes.
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    for piece in data {
        out.extend_from_slice(piece);
    }
}

fn put_legacy(out: &mut Vec<u8>, action: u8, topic: &[u8]) {
    let mut body = Vec::with_capacity(1 + topic.len());
    body.push(action);
    body.extend_from_slice(topic);
    put_frame(out, FrameKind::Last, &body);
}

fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::decode_header;

    fn encoded(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    #[test]
    fn golden_bytes() {
        let cases: [(Vec<u8>, &[u8]); 12] = [
            (encoded(|o| put_ready(o, b"")), b"\x04\x06\x05READY"),
            (
                encoded(|o| put_error(o, "400")),
                b"\x04\x0a\x05ERROR\x03400",
            ),
            (
                encoded(|o| put_ping(o, Duration::ZERO, b"")),
                b"\x04\x07\x04PING\0\0",
            ),
            (
                encoded(|o| put_ping(o, Duration::from_millis(1234), b"c")),
                b"\x04\x08\x04PING\0\x0cc",
            ),
            (encoded(|o| put_pong(o, b"ctx")), b"\x04\x08\x04PONGctx"),
            (
                encoded(|o| put_subscribe(o, Version::V3_1, b"a")),
                b"\x04\x0b\x09SUBSCRIBEa",
            ),
            (
                encoded(|o| put_cancel(o, Version::V3_1, b"a")),
                b"\x04\x08\x06CANCELa",
            ),
            (
                encoded(|o| put_subscribe(o, Version::V3_0, b"a")),
                b"\0\x02\x01a",
            ),
            (
                encoded(|o| put_cancel(o, Version::V2_0, b"a")),
                b"\0\x02\0a",
            ),
            (
                encoded(|o| put_membership(o, b"g", true)),
                b"\x04\x06\x04JOINg",
            ),
            (
                encoded(|o| put_membership(o, b"g", false)),
                b"\x04\x07\x05LEAVEg",
            ),
            (
                encoded(|o| put_membership(o, b"", true)),
                b"\x04\x05\x04JOIN",
            ),
        ];
        for (bytes, golden) in cases {
            assert_eq!(
                bytes.escape_ascii().to_string(),
                golden.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_subscription_of_before_3_1_is_read_as_it_was_written() {
        for topic in [&b""[..], b"a", b"\0", &[1; 300]] {
            let body = |bytes: &[u8]| bytes[decode_header(bytes).unwrap().header_len..].to_vec();
            let subscribe = body(&encoded(|o| put_subscribe(o, Version::V3_0, topic)));
            let cancel = body(&encoded(|o| put_cancel(o, Version::V2_0, topic)));
            let parsed = Command::parse_legacy(&subscribe);
            assert_eq!(parsed, Some(Command::Subscribe(topic)));
            let parsed = Command::parse_legacy(&cancel);
            assert_eq!(parsed, Some(Command::Cancel(topic)));
        }
        for message in [&b""[..], b"\x02a", b"a", b"\x09SUBSCRIBEa"] {
            assert_eq!(Command::parse_legacy(message), None);
        }
    }

    #[test]
    fn long_topics_take_a_long_frame_by_total_size() {
        for version in [Version::V2_0, Version::V3_0, Version::V3_1] {
            for len in [0, 244, 245, 246, 254, 255, 256, 70_000] {
                let topic = vec![b't'; len];
                for bytes in [
                    encoded(|o| put_subscribe(o, version, &topic)),
                    encoded(|o| put_cancel(o, version, &topic)),
                ] {
                    let header = decode_header(&bytes).unwrap();
                    assert_eq!(header.frame_len(), bytes.len() as u64);
                    assert_eq!(header.header_len, if header.body_len > 255 { 9 } else { 2 });
                    assert!(bytes.ends_with(&topic));
                }
            }
        }
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let context = [3; 16];
        let ttl = Duration::from_millis(65_500);
        let cases = [
            (
                encoded(|o| put_ready(o, b"meta")),
                Command::Ready { metadata: b"meta" },
            ),
            (
                encoded(|o| put_error(o, "500")),
                Command::Error { reason: b"500" },
            ),
            (
                encoded(|o| put_subscribe(o, Version::V3_1, b"t")),
                Command::Subscribe(b"t"),
            ),
            (
                encoded(|o| put_cancel(o, Version::V3_1, b"")),
                Command::Cancel(b""),
            ),
            (
                encoded(|o| put_membership(o, b"g", true)),
                Command::Join(b"g"),
            ),
            (
                encoded(|o| put_membership(o, b"", false)),
                Command::Leave(b""),
            ),
            (
                encoded(|o| put_ping(o, Duration::MAX, &[3; 99])),
                Command::Ping {
                    ttl,
                    context: &context,
                },
            ),
            (
                encoded(|o| put_pong(o, &[3; 99])),
                Command::Pong { context: &context },
            ),
        ];
        for (bytes, command) in cases {
            assert_eq!(Command::parse(&bytes[2..]), Ok(command));
        }
    }

    #[test]
    fn unknown_and_nameless_commands_are_unknown() {
        for (body, name) in [
            (&b""[..], &b""[..]),
            (b"\0", b""),
            (b"\xff", b""),
            (b"\x05READ", b""),
            (b"\x05HELLOxyz", b"HELLO"),
            (b"\x04ping\0\0", b"ping"),
            (b"\x04joingroup", b"join"),
        ] {
            assert_eq!(Command::parse(body), Ok(Command::Unknown(name)));
        }
    }

    #[test]
    fn short_pings_and_overlong_reasons_are_refused() {
        assert_eq!(
            Command::parse(b"\x04PING"),
            Err(ProtocolError::ShortPing { len: 0 })
        );
        assert_eq!(
            Command::parse(b"\x04PING\0"),
            Err(ProtocolError::ShortPing { len: 1 })
        );
        let malformed = ProtocolError::MalformedCommand {
            name: "ERROR".to_owned(),
        };
        for body in [&b"\x05ERROR"[..], b"\x05ERROR\x04400"] {
            assert_eq!(Command::parse(body), Err(malformed.clone()));
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let bytes = encoded(|o| put_error(o, &"r".repeat(999)));
        assert_eq!(
            Command::parse(&bytes[9..]),
            Ok(Command::Error {
                reason: &[b'r'; 255]
            })
        );
    }
}
