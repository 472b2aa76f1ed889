//! What is counted, and what is left when parts of it go.

use super::*;
use crate::engine::Outgoing;

/// All that is still to be written.
fn unwritten(buffer: &OutBuffer) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = buffer.slices(&mut slices, usize::MAX);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!(bytes.len(), buffer.unwritten());
    if let Some(only) = buffer.only_slice(usize::MAX) {
        assert_eq!(only, bytes, "in one slice as in several");
    }
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

#[test]
fn what_fills_no_chunk_is_one_slice() {
    let pool = &mut ChunkPool::default();
    let mut buffer = OutBuffer::default();
    for body in ["first", "second"] {
        buffer.push(Outgoing::Slice(body.as_bytes()), pool);
    }
    buffer.advance(3, pool);
    assert_eq!(
        buffer.only_slice(usize::MAX),
        Some(&b"irst\0\x06second"[..])
    );
    assert_eq!(buffer.only_slice(5), Some(&b"irst\0"[..]));
    buffer.push(Outgoing::Slice(&[7; CHUNK]), pool);
    buffer.push(Outgoing::Slice(b"third"), pool);
    assert_eq!(buffer.only_slice(usize::MAX), None);
    assert!(unwritten(&buffer).starts_with(b"irst\0\x06second"));
}

/// Peers of before ZMTP 3.1 know subscriptions as frames of messages. Wherever a write has stopped and the buffer was put together, they
/// count as commands, and only messages are kept for another connection.
#[test]
fn subscriptions_that_look_like_messages_count_as_commands() {
    const TOPIC: &[u8] = b"\0\x02\x01a";
    let pool = &mut ChunkPool::default();
    let multipart = Message::from_frames([&b"a"[..], b"bc"]);
    for (parts, written) in (0..4).flat_map(|parts| (0..=39).map(move |written| (parts, written))) {
        let mut buffer = OutBuffer::default();
        // Where each piece ends, and how much of it counts as a message and as bytes of commands.
        let mut pieces = Vec::new();
        for round in 0..3 {
            let mut later = OutBuffer::default();
            let into = if round < parts {
                &mut later
            } else {
                &mut buffer
            };
            into.push_subscription(TOPIC, pool);
            into.push(Outgoing::Message(&multipart), pool);
            into.push_subscription(TOPIC, pool);
            buffer.append(later, pool);
            for piece in [(4, 0, 4), (7, 1, 0), (4, 0, 4)] {
                pieces.push(piece);
            }
        }
        buffer.advance(written.min(buffer.unwritten()), pool);
        let mut end = 0;
        let left = pieces.into_iter().filter(|(len, ..)| {
            end += len;
            end > written
        });
        let (messages, commands) = left.fold((0, 0), |sum, (_, message, command)| {
            (sum.0 + message, sum.1 + command)
        });
        let counts = (buffer.messages(), buffer.commands());
        assert_eq!(counts, (messages, commands), "{parts}, {written}");
        let blamed = buffer.blame(Some(1), pool).is_some();
        let is_begun = [4..=10, 19..=25, 34..=40].iter().any(|it| {
            let first = *it.start();
            (first + 1..first + 7).contains(&written)
        });
        assert_eq!(blamed, is_begun, "{parts}, {written}");
        let kept = buffer.drain(pool);
        assert_eq!(kept.len(), messages - usize::from(blamed));
        assert!(kept.iter().all(|unsent| unsent.message == multipart));
    }
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

/// Wherever a write has stopped: what is half written stays, the oldest behind it goes, and the others leave whole and in order.
#[test]
fn the_oldest_that_has_not_begun_is_dropped() {
    let pool = &mut ChunkPool::default();
    let messages: Vec<Message> = (0..20_u8)
        .map(|number| match number % 3 {
            0 => Message::from([vec![number; 3], vec![number; 300]]),
            1 => Message::from(vec![number]),
            _ => Message::from(vec![number; COPY_MAX]),
        })
        .collect();
    let filled = |pool: &mut ChunkPool| {
        let mut buffer = OutBuffer::default();
        for message in &messages {
            buffer.push(Outgoing::Message(message), pool);
        }
        buffer
    };
    let total = filled(pool).unwritten();
    for written in (0..total).step_by(7) {
        let mut buffer = filled(pool);
        buffer.advance(written, pool);
        let left = buffer.messages();
        let begun = usize::from(buffer.taken > 0);
        let dropped = buffer.drop_oldest(pool);
        let most = if begun == 0 { 1 } else { left.div_ceil(8) };
        assert_eq!(dropped, most.min(left - begun), "{written} written");
        assert_eq!(buffer.messages(), left - dropped);
        let mut expected: Vec<&Message> = messages[messages.len() - left..].iter().collect();
        expected.drain(begun..begun + dropped);
        let kept = buffer.drain(pool);
        let kept: Vec<&Message> = kept.iter().map(|unsent| &unsent.message).collect();
        assert_eq!(kept, expected, "{written} written");
        assert!(buffer.is_empty());
    }
}
