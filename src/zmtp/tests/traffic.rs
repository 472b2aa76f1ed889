//! The scanner against limits, huge lengths and a model of what was sent.

use super::Random;
use crate::fuzzing::{Event, LIMITS, Peer};
use crate::zmtp::{
    Command, FrameKind, Header, Limits, Passed, ProtocolError, Scanned, Scanner, encode_header,
    put_frame,
};

const UNLIMITED: Limits = Limits {
    max_message_size: u64::MAX,
    max_parts: u32::MAX,
    min_parts: 1,
    max_command_size: u64::MAX,
};

fn long(flags: u8, size: u64) -> Vec<u8> {
    let mut bytes = vec![flags];
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes
}

#[test]
fn any_length_is_survived() {
    for size in [
        u64::MAX,
        u64::MAX - 9,
        1 << 63,
        (1 << 63) - 1,
        u64::from(u32::MAX) + 1,
    ] {
        let header = Header {
            kind: FrameKind::Last,
            header_len: 9,
            body_len: size,
        };
        let mut scanner = Scanner::new(UNLIMITED);
        assert_eq!(
            scanner.scan(&long(2, size)),
            Ok(Scanned::Partial { header })
        );
        assert_eq!(scanner.scan(&long(6, size)), Ok(Scanned::Incomplete));
        // With one byte in the message already, the largest size no longer adds up.
        assert_eq!(
            scanner.scan(b"\x01\x01a"),
            Ok(Scanned::Frame {
                len: 3,
                last: false
            })
        );
        let expected = match size {
            u64::MAX => Err(ProtocolError::MessageTooLarge {
                limit: u64::MAX,
                announced: u64::MAX,
            }),
            _ => Ok(Scanned::Partial { header }),
        };
        assert_eq!(scanner.scan(&long(2, size)), expected);

        let mut scanner = Scanner::new(LIMITS);
        let limit = LIMITS.max_message_size;
        let error = ProtocolError::MessageTooLarge {
            limit,
            announced: size,
        };
        assert_eq!(scanner.scan(&long(2, size)), Err(error));
        let limit = LIMITS.max_command_size;
        let error = ProtocolError::CommandTooLarge {
            limit,
            announced: size.saturating_add(9),
        };
        assert_eq!(scanner.scan(&long(6, size)), Err(error));
    }
}

#[test]
fn limits_are_exact_and_start_anew_with_each_message() {
    let limits = Limits {
        max_message_size: 10,
        max_parts: 3,
        min_parts: 1,
        max_command_size: 20,
    };
    let mut scanner = Scanner::new(limits);
    for _ in 0..3 {
        assert_eq!(
            scanner.scan(b"\x01\x04abcd"),
            Ok(Scanned::Frame {
                len: 6,
                last: false
            })
        );
        assert!(scanner.mid_message());
        assert_eq!(
            scanner.scan(b"\x01\x04abcd"),
            Ok(Scanned::Frame {
                len: 6,
                last: false
            })
        );
        // The header alone is enough to refuse.
        let error = ProtocolError::MessageTooLarge {
            limit: 10,
            announced: 11,
        };
        assert_eq!(scanner.scan(b"\x00\x03"), Err(error));
        assert_eq!(
            scanner.scan(b"\x00\x02ab"),
            Ok(Scanned::Frame { len: 4, last: true })
        );
        assert!(!scanner.mid_message());
        for _ in 0..3 {
            assert_eq!(
                scanner.scan(b"\x01\x00"),
                Ok(Scanned::Frame {
                    len: 2,
                    last: false
                })
            );
        }
        assert_eq!(
            scanner.scan(b"\x00\x00"),
            Err(ProtocolError::TooManyParts { limit: 3 })
        );
        scanner = Scanner::new(limits);
    }
    let command = Command::Subscribe(b"12345678");
    assert_eq!(
        scanner.scan(b"\x04\x12\x09SUBSCRIBE12345678"),
        Ok(Scanned::Command { len: 20, command })
    );
    let error = ProtocolError::CommandTooLarge {
        limit: 20,
        announced: 21,
    };
    assert_eq!(scanner.scan(b"\x04\x13"), Err(error));
}

#[test]
fn whole_messages_of_one_frame_are_passed_over_within_the_limits() {
    let stream = b"\x00\x01a\x00\x00\xfa\0\0\0\0\0\0\0\x02bc\x00\x03d";
    let passed = |bytes, messages| Passed { bytes, messages };
    let mut scanner = Scanner::new(UNLIMITED);
    assert_eq!(scanner.pass_singles(stream), passed(16, 3));
    for len in 0..stream.len() {
        let messages = [3, 5, 16].into_iter().filter(|end| *end <= len).count();
        let cut = scanner.pass_singles(&stream[..len]);
        assert_eq!(cut.messages, messages, "of {len} bytes");
    }
    for flags in [1, 3, 4, 5, 6, 7] {
        let frame = [flags, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(scanner.pass_singles(&frame), passed(0, 0));
    }
    let endless = [2, 255, 255, 255, 255, 255, 255, 255, 255, 0];
    assert_eq!(scanner.pass_singles(&endless), passed(0, 0));
    let limited = [
        (2, 1, passed(16, 3)),
        (1, 1, passed(5, 2)),
        (2, 0, passed(0, 0)),
    ];
    for (max_message_size, max_parts, expected) in limited {
        let limits = Limits {
            max_message_size,
            max_parts,
            ..UNLIMITED
        };
        assert_eq!(Scanner::new(limits).pass_singles(stream), expected);
    }
    // Not within a message: its parts are counted.
    scanner.scan(b"\x01\x00").expect("a part");
    assert_eq!(scanner.pass_singles(stream), passed(0, 0));
    scanner.scan(b"\x00\x00").expect("the last part");
    assert_eq!(scanner.pass_singles(stream), passed(16, 3));
}

#[test]
fn a_body_read_elsewhere_counts_like_any_other() {
    let limits = Limits {
        max_message_size: 1000,
        ..UNLIMITED
    };
    let mut scanner = Scanner::new(limits);
    let (bytes, len) = encode_header(FrameKind::More, 600);
    let header = Header {
        kind: FrameKind::More,
        header_len: len,
        body_len: 600,
    };
    for _ in 0..3 {
        assert_eq!(scanner.scan(&bytes), Ok(Scanned::Partial { header }));
        assert!(
            !scanner.mid_message(),
            "looking at a header changes nothing"
        );
    }
    scanner.body_received(&header);
    assert!(scanner.mid_message());
    let error = ProtocolError::MessageTooLarge {
        limit: 1000,
        announced: 1200,
    };
    assert_eq!(scanner.scan(&bytes), Err(error));
    scanner.body_received(&Header {
        kind: FrameKind::Last,
        header_len: 9,
        body_len: 400,
    });
    assert!(!scanner.mid_message());
    assert_eq!(scanner.scan(&bytes), Ok(Scanned::Partial { header }));
}

#[test]
fn random_messages_in_random_pieces_arrive_as_sent() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for round in 0..300 {
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..random.below(20) {
            let parts = 1 + random.below(LIMITS.max_parts as usize);
            for part in 1..=parts {
                let len = [0, 1, random.below(120), 120][random.below(4)];
                let body: Vec<u8> = (0..len).map(|_| random.byte()).collect();
                let last = part == parts;
                let kind = if last {
                    FrameKind::Last
                } else {
                    FrameKind::More
                };
                if random.below(8) == 0 {
                    stream.extend(long(kind as u8 | 2, len as u64));
                    stream.extend_from_slice(&body);
                } else {
                    put_frame(&mut stream, kind, &body);
                }
                sent.push(Event::Part { body, last });
            }
        }
        let mut peer = Peer::established(LIMITS);
        peer.reads_elsewhere = round % 2 == 0;
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len().min(90)));
            peer.feed(piece);
            rest = after;
        }
        assert_eq!(peer.seen.error, None);
        assert_eq!(peer.seen.events, sent);
    }
}
