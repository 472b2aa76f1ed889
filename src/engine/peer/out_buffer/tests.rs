//! What is counted, and what is left when parts of it go.

use super::*;
use crate::engine::Outgoing;

/// All that is still to be written.
fn unwritten(buffer: &OutBuffer) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = buffer.slices(&mut slices, usize::MAX);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!(bytes.len(), buffer.unwritten());
    bytes
}

const PONG: &[u8] = b"\x04\x05\x04PONG";

#[test]
fn commands_count_apart_from_messages() {
    let pool = &mut ChunkPool::default();
    let mut buffer = OutBuffer::default();
    buffer.push(Outgoing::Slice(b"first"), pool);
    buffer.push_commands(&[PONG, PONG].concat(), pool);
    buffer.push(Outgoing::Slice(b"second"), pool);
    let counts = |buffer: &OutBuffer| (buffer.messages(), buffer.commands(), buffer.unwritten());
    assert_eq!(counts(&buffer), (2, 14, 29));
    buffer.advance(7 + 6, pool);
    assert_eq!(counts(&buffer), (1, 14, 16), "a half is not gone");
    buffer.advance(1 + 7, pool);
    assert_eq!(counts(&buffer), (1, 0, 8));
    let mut later = OutBuffer::default();
    later.push_commands(PONG, pool);
    buffer.append(later, pool);
    assert_eq!(counts(&buffer), (1, 7, 15));
    buffer.rewind(pool);
    assert_eq!(counts(&buffer), (1, 0, 8));
}

/// For peers of before ZMTP 3.1 they are frames of messages, which nobody has counted.
#[test]
fn subscriptions_that_look_like_messages_count_as_nothing() {
    let pool = &mut ChunkPool::default();
    let mut buffer = OutBuffer::default();
    for _ in 0..3 {
        buffer.push_subscription(b"\0\x02\x01a", pool);
    }
    buffer.advance(5, pool);
    assert_eq!((buffer.messages(), buffer.commands()), (0, 0));
    assert_eq!(unwritten(&buffer), b"\x02\x01a\0\x02\x01a");
}

#[test]
fn only_messages_not_begun_are_dropped() {
    let pool = &mut ChunkPool::default();
    for written in 0..20 {
        let mut buffer = OutBuffer::default();
        buffer.push_commands(PONG, pool);
        let multipart = Message::from_frames([&b"a"[..], b"bc"]);
        buffer.push(Outgoing::Message(&multipart), pool);
        buffer.push_commands(PONG, pool);
        buffer.push(Outgoing::Slice(b"last"), pool);
        let all = unwritten(&buffer);
        buffer.advance(written, pool);
        let begun = (8..14).contains(&written);
        let dropped = buffer.drop_unstarted(pool);
        let expected = if written < 8 { 2 } else { 1 };
        assert_eq!(dropped, expected, "{written} written");
        let left = match written {
            0..=7 => [&all[written..7], PONG].concat(),
            8..=20 => all[written..21].to_vec(),
            _ => Vec::new(),
        };
        assert_eq!(unwritten(&buffer), left, "{written} written");
        assert_eq!(buffer.messages(), usize::from(begun), "{written} written");
    }
}
