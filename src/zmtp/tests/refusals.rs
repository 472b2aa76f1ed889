//! What is refused, with which error, and what is let through although it is odd.

use bytes::Bytes;

use super::{SocketType, greeting, ready};
use crate::fuzzing::{LIMITS, Peer, Seen};
use crate::zmtp::{ForeignProtocol, ProtocolError, Version};

/// Feeds the input whole and byte by byte; both must come to the same.
fn feed(socket_type: SocketType, input: &[u8]) -> Seen {
    let mut whole = Peer::connecting(socket_type);
    whole.feed(input);
    let mut bytewise = Peer::connecting(socket_type);
    input.chunks(1).for_each(|byte| bytewise.feed(byte));
    assert_eq!(whole.seen, bytewise.seen);
    whole.seen
}

/// What a PULL makes of a good greeting with this after it.
fn after_greeting(input: &[u8]) -> Seen {
    feed(SocketType::Pull, &[&greeting(3, 1, "NULL"), input].concat())
}

/// What a PULL makes of a good handshake with this after it.
fn after_ready(input: &[u8]) -> Seen {
    after_greeting(&[&ready(SocketType::Push), input].concat())
}

fn unexpected(name: &str) -> ProtocolError {
    ProtocolError::UnexpectedCommand {
        name: name.to_owned(),
    }
}

fn malformed(name: &str) -> ProtocolError {
    ProtocolError::MalformedCommand {
        name: name.to_owned(),
    }
}

#[test]
fn greetings() {
    use ProtocolError::{MechanismMismatch, Zmtp10};
    let cases = [
        (b"\x01\x00".to_vec(), Zmtp10 { looks_like: None }),
        (
            b"\xff\0\0\0\0\0\0\0\x01\x00".to_vec(),
            Zmtp10 { looks_like: None },
        ),
        (
            b"\xff\0\0\0\0\0\0\0\x01\x7f\0".to_vec(),
            Zmtp10 { looks_like: None },
        ),
        (
            b"GET / HTTP/1.1\r\n".to_vec(),
            Zmtp10 {
                looks_like: Some(ForeignProtocol::Http),
            },
        ),
        (
            b"\x16\x03\x01\0\xc8".to_vec(),
            Zmtp10 {
                looks_like: Some(ForeignProtocol::Tls),
            },
        ),
        (
            b"SSH-2.0-x".to_vec(),
            Zmtp10 {
                looks_like: Some(ForeignProtocol::Ssh),
            },
        ),
        (
            greeting(3, 1, "PLAIN"),
            MechanismMismatch {
                ours: "NULL",
                theirs: "PLAIN".to_owned(),
            },
        ),
        (
            greeting(3, 0, "\x1b[2J"),
            MechanismMismatch {
                ours: "NULL",
                theirs: "\\x1b[2J".to_owned(),
            },
        ),
        (
            greeting(2, 0, ""),
            MechanismMismatch {
                ours: "NULL",
                theirs: String::new(),
            },
        ),
    ];
    for (input, error) in cases {
        let seen = feed(SocketType::Pull, &input);
        assert_eq!(seen.error, Some(error), "{}", input.escape_ascii());
        let said = seen.out.strip_prefix(b"\xff\0\0\0\0\0\0\0\0\x7f\x03");
        let rest = [&greeting(3, 1, "NULL")[11..], &ready(SocketType::Pull)].concat();
        assert!(
            said.is_some_and(|said| said.is_empty() || said == rest),
            "nothing but greeting and READY to a peer that is not let in: {}",
            seen.out.escape_ascii()
        );
    }
}

#[test]
fn handshake_commands() {
    let limit = LIMITS.max_command_size;
    let too_large = |announced| ProtocolError::CommandTooLarge { limit, announced };
    let peer_error = |reason: &str| ProtocolError::PeerError {
        reason: reason.to_owned(),
    };
    let cases: [(&[u8], ProtocolError); 16] = [
        (b"\x04\x00", unexpected("")),
        (b"\x04\x07\x04PING\0\0", unexpected("PING")),
        (b"\x04\x05\x04PING", unexpected("PING")),
        (b"\x04\x06\x05HELLO", unexpected("HELLO")),
        (b"\x04\x0a\x09SUBSCRIBE", unexpected("SUBSCRIBE")),
        (b"\x04\x06\x05ready", unexpected("ready")),
        (b"\x00\x02\x01m", unexpected("m")),
        (b"\x04\x05\x05READ", malformed("")),
        (b"\x04\x06\x05ERROR", malformed("ERROR")),
        (b"\x04\x09\x05ERROR\x0340", malformed("ERROR")),
        (b"\x04\x0a\x05ERROR\x03400", peer_error("400")),
        (b"\x04\x08\x05ERROR\x01\n", peer_error("\\n")),
        (
            b"\x04\x07\x05READYx",
            ProtocolError::MalformedMetadata { offset: 0 },
        ),
        (b"\x06\xff\xff\xff\xff\xff\xff\xff\xff", too_large(u64::MAX)),
        (
            b"\x06\x7f\xff\xff\xff\xff\xff\xff\xff",
            too_large((1 << 63) + 8),
        ),
        (b"\x06\0\0\0\0\0\0\x01\x24", too_large(limit + 1)),
    ];
    for (input, error) in cases {
        let seen = after_greeting(input);
        assert_eq!(seen.error, Some(error), "{}", input.escape_ascii());
        assert_eq!(seen.established, None);
    }
    // The longest command is still read.
    let mut longest =
        b"\x06\0\0\0\0\0\0\x01\x23\x05READY\x0bSocket-Type\0\0\0\x04PUSH\x01X\0\0\x01\x03".to_vec();
    longest.resize(LIMITS.max_command_size as usize, b'v');
    let seen = after_greeting(&longest);
    assert_eq!(seen.error, None);
    assert!(seen.established.is_some());
}

#[test]
fn wrong_socket_types_are_told_so() {
    let told = b"\x04\x1f\x05ERROR\x18incompatible socket type";
    let seen = after_greeting(&ready(SocketType::Sub));
    let (ours, theirs) = (SocketType::Pull, SocketType::Sub);
    assert_eq!(
        seen.error,
        Some(ProtocolError::IncompatibleSocketType { ours, theirs })
    );
    assert!(seen.out.ends_with(told));

    let seen = after_greeting(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03pus");
    assert_eq!(
        seen.error,
        Some(ProtocolError::UnknownSocketType {
            name: "pus".to_owned()
        })
    );
    assert!(seen.out.ends_with(told));
}

#[test]
fn zmtp_2_peers() {
    let opening = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01";
    let after = |rest: &[u8]| feed(SocketType::Pull, &[opening, rest].concat()).error;
    let (ours, theirs) = (SocketType::Pull, SocketType::Pub);
    assert_eq!(
        after(b"\x01"),
        Some(ProtocolError::IncompatibleSocketType { ours, theirs })
    );
    assert_eq!(
        after(b"\x0b"),
        Some(ProtocolError::UnknownSocketTypeCode { code: 11 })
    );
    let limit = LIMITS.max_command_size;
    let error = ProtocolError::CommandTooLarge {
        limit,
        announced: u64::MAX,
    };
    assert_eq!(
        after(b"\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff"),
        Some(error)
    );
    assert_eq!(after(b"\x08\x00\x02me"), None);
}

#[test]
fn traffic() {
    let message = |announced| {
        Some(ProtocolError::MessageTooLarge {
            limit: LIMITS.max_message_size,
            announced,
        })
    };
    let cases: [(&[u8], Option<ProtocolError>); 12] = [
        (
            b"\x04\x05\x04PING",
            Some(ProtocolError::ShortPing { len: 0 }),
        ),
        (
            b"\x04\x06\x04PING\0",
            Some(ProtocolError::ShortPing { len: 1 }),
        ),
        (b"\x02\xff\xff\xff\xff\xff\xff\xff\xff", message(u64::MAX)),
        (
            b"\x01\x01a\x02\xff\xff\xff\xff\xff\xff\xff\xff",
            message(u64::MAX),
        ),
        (b"\x01\x01a\x02\0\0\0\0\0\0\x02\x58", message(601)),
        (
            b"\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00\x00\x00",
            Some(ProtocolError::TooManyParts { limit: 5 }),
        ),
        (b"\x01\x00\x01\x00\x01\x00\x01\x00\x00\x00\x01\x00", None),
        (b"\x04\x00", None),
        (b"\x04\x04\xffabc", None),
        (b"\x04\x06\x05READY", None),
        (b"\x04\x06\x05HELLO", None),
        (b"\xf8\x01a", None),
    ];
    for (input, error) in cases {
        let seen = after_ready(input);
        assert_eq!(seen.error, error, "{}", input.escape_ascii());
        assert!(seen.established.is_some());
    }
}

#[test]
fn a_peer_says_of_which_type_it_is() {
    let told = b"\x04\x1a\x05ERROR\x13missing socket type";
    // Nothing at all, and a routing id only.
    for input in [
        &b"\x04\x06\x05READY"[..],
        b"\x04\x14\x05READY\x08Identity\0\0\0\x01i",
    ] {
        let seen = after_greeting(input);
        assert_eq!(seen.error, Some(ProtocolError::MissingSocketType));
        assert!(seen.established.is_none() && seen.out.ends_with(told));
    }
}

#[test]
fn odd_but_let_in() {
    let cases: [&[u8]; 5] = [
        // Without the COMMAND flag, with a long size, in another case, with reserved flags, with
        // properties nobody knows.
        b"\x00\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH",
        b"\x06\0\0\0\0\0\0\0\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH",
        b"\x04\x1a\x05READY\x0bSOCKET-type\0\0\0\x04PUSH",
        b"\xfd\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH",
        b"\x04\x22\x05READY\x02Xy\0\0\0\x01z\x0bSocket-Type\0\0\0\x04PUSH",
    ];
    for input in cases {
        let seen = after_greeting(input);
        assert_eq!(seen.error, None, "{}", input.escape_ascii());
        let facts = seen.established.expect("let in").facts;
        assert_eq!(facts.socket_type(), SocketType::Push);
        let unknown = facts.properties().find(|(name, _)| *name == "Xy");
        assert_eq!(
            unknown.is_some(),
            input.windows(2).any(|bytes| bytes == b"Xy")
        );
    }
}

#[test]
fn a_routing_id_is_taken_as_it_comes() {
    // RFC 37 allows no leading zero; libzmq takes it, and so do we.
    let mut id = vec![b'i'; 252];
    id[0] = 0;
    let mut input =
        b"\x06\0\0\0\0\0\0\x01\x23\x05READY\x0bSocket-Type\0\0\0\x04PUSH\x08Identity\0\0\0\xfc"
            .to_vec();
    input.extend_from_slice(&id);
    let facts = after_greeting(&input).established.expect("let in").facts;
    assert_eq!(facts.routing_id(), &Bytes::from(id));
    assert_eq!(facts.version(), Version::V3_1);
}
