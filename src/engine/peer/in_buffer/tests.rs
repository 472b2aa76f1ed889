//! What is read, and what of it is kept.

use super::*;
use crate::zmtp::Limits;

const UNLIMITED: Limits = Limits {
    max_message_size: u64::MAX,
    max_parts: u32::MAX,
    min_parts: 1,
    max_command_size: u64::MAX,
};

/// Messages of all lengths around those where the way of handling changes, some in parts.
fn messages() -> Vec<Message> {
    let lengths = [0, 1, 2, 62, 63, 64, 65, 66, 254, 255, 256, 300, 1000];
    let mut messages = Vec::new();
    for (index, &len) in lengths.iter().cycle().take(500).enumerate() {
        let body = vec![index as u8; len];
        messages.push(match index % 11 {
            10 => Message::from_frames([body, vec![1], Vec::new()]),
            _ => Message::from(body),
        });
    }
    messages
}

/// Encoded the short way where that is possible, and the other where not.
fn encode(messages: &[Message], pool: &mut ChunkPool) -> (Vec<u8>, usize) {
    let mut out = OutBuffer::default();
    let mut short = 0;
    for message in messages {
        let single = !message.is_multipart();
        if single && out.push_single(message.first(), usize::MAX) {
            short += 1;
        } else {
            out.push(Outgoing::Message(message), pool);
        }
    }
    assert_eq!(out.messages(), messages.len());
    let mut slices = [io::IoSlice::new(&[]); crate::engine::peer::out_buffer::MAX_SLICES];
    let count = out.slices(&mut slices, usize::MAX);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!(bytes.len(), out.unwritten());
    (bytes, short)
}

#[test]
fn what_goes_and_comes_the_short_way_is_what_goes_and_comes_the_other() {
    let pool = &mut ChunkPool::default();
    let sent = messages();
    let (bytes, short) = encode(&sent, pool);
    assert!(short > 300, "only {short} went the short way");
    for takes_short in [false, true] {
        let mut buffer = InBuffer::new(false);
        let mut scanner = Scanner::new(UNLIMITED);
        // In pieces that cut messages apart, and fit into a chunk.
        for piece in bytes.chunks(1009) {
            let read = [buffer.partial.as_slice(), piece].concat();
            let got = buffer.preload(&mut Reader::Frames, &read, &mut scanner, pool, &mut |_| {
                Ok(())
            });
            assert_eq!(got.violation, None);
        }
        assert_eq!(buffer.messages(), sent.len());
        let mut taken_short = 0;
        let mut message = Message::new();
        for expected in &sent {
            let next = buffer.next_frames();
            assert!(
                next.into_iter()
                    .eq(expected.frames().map(|frame| &frame[..]))
            );
            if takes_short && buffer.take_single(&mut message) {
                taken_short += 1;
            } else {
                assert!(buffer.take(&mut message, pool));
            }
            assert_eq!(message, *expected);
        }
        assert_eq!(buffer.messages(), 0);
        assert!(!buffer.take(&mut message, pool));
        assert_eq!(taken_short > 100, takes_short, "{taken_short}");
    }
}

#[test]
fn a_long_queue_takes_little_more_than_its_bytes() {
    let pool = &mut ChunkPool::default();
    let mut frames = OutBuffer::default();
    frames.push(Outgoing::Slice(&[7; 100]), pool);
    let frame = frames.unwritten();
    let (bytes, _) = encode(&vec![Message::from(vec![7; 100]); 500], pool);
    for read in [frame, 10 * frame + 3, 90 * frame, 200 * frame + 50] {
        let mut buffer = InBuffer::new(false);
        let mut scanner = Scanner::new(UNLIMITED);
        let mut stream = bytes.iter().copied().cycle();
        while buffer.messages() < 30_000 {
            let mut piece = buffer.partial.clone();
            piece.extend(stream.by_ref().take(read));
            let reader = &mut Reader::Frames;
            let got = buffer.preload(reader, &piece, &mut scanner, pool, &mut |_| Ok(()));
            assert_eq!(got.violation, None);
        }
        // The beginning of the queue is kept as it has come.
        let beginning = (BACKLOG / TRICKLE + 2) * CHUNK;
        let (held, memory) = (buffer.bytes(), buffer.memory());
        assert!(
            memory < beginning + held + held / 12,
            "{read}: {memory} of {held}"
        );
        let mut message = Message::new();
        for _ in 0..buffer.messages() {
            assert!(buffer.take(&mut message, pool));
            assert_eq!(message, [7; 100]);
        }
        buffer.release(pool);
        assert_eq!(buffer.memory(), buffer.partial.capacity());
    }
}

#[test]
fn the_short_way_keeps_to_its_limits() {
    let pool = &mut ChunkPool::default();
    let chunk = pool.take();
    pool.give(chunk);
    let mut out = OutBuffer::default();
    assert!(!out.push_single(b"a", usize::MAX), "there is no chunk yet");
    out.push(Outgoing::Slice(b"first"), pool);
    assert_eq!(out.unwritten(), 7);
    assert!(!out.push_single(b"a", 12), "no room for a second one");
    assert!(out.push_single(b"a", 13));
    assert_eq!(out.unwritten(), 10);
    assert!(!out.push_single(&[0; 256], 539), "a long header");
    assert!(out.push_single(&[0; 256], 540));
    assert_eq!(out.unwritten(), 275);
    let mut messages = 3;
    while out.push_single(&[0; 256], usize::MAX) {
        messages += 1;
    }
    assert!(out.unwritten() <= CHUNK && CHUNK < out.unwritten() + 265);
    assert!(!out.push_single(&[0; CHUNK], usize::MAX), "needs its own");
    assert_eq!(out.messages(), messages);
}

/// A PING that asks for nothing, and its name as the scanner gives it.
const PING: &[u8] = b"\x04\x07\x04PING\0\0";

/// What a connection holds of bytes that came in these pieces; and how often it saw a PING.
fn read(pieces: &[&[u8]], pool: &mut ChunkPool) -> (InBuffer, usize, Option<Box<ProtocolError>>) {
    let limits = Limits {
        max_message_size: 1000,
        max_parts: 3,
        min_parts: 1,
        max_command_size: 100,
    };
    let mut buffer = InBuffer::new(false);
    let mut scanner = Scanner::new(limits);
    let mut pings = 0;
    for piece in pieces {
        let read = [buffer.partial.as_slice(), piece].concat();
        let accepted = buffer.preload(
            &mut Reader::Frames,
            &read,
            &mut scanner,
            pool,
            &mut |command| {
                pings += usize::from(matches!(command, Command::Ping { .. }));
                Ok(())
            },
        );
        if accepted.violation.is_some() {
            return (buffer, pings, accepted.violation);
        }
    }
    (buffer, pings, None)
}

fn take_all(buffer: &mut InBuffer, pool: &mut ChunkPool) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut message = Message::new();
    while buffer.take(&mut message, pool) {
        messages.push(std::mem::take(&mut message));
    }
    messages
}

/// Bytes of memory that the unread part takes, and that the rest of the buffer does.
fn held(buffer: &InBuffer) -> usize {
    let segments = buffer.segments.iter().map(|segment| match segment {
        Segment::Frames(chunk) => chunk.capacity(),
        Segment::Body(body) => body.len(),
    });
    segments.sum::<usize>() + buffer.front.capacity() + buffer.partial.capacity()
}

#[test]
fn commands_are_cut_out_wherever_they_stand() {
    let pool = &mut ChunkPool::default();
    let long = Message::from(vec![7; 300]);
    let parts = Message::from_frames([&b"a"[..], b"", b"c"]);
    let frames: [&[u8]; 5] = [
        b"\0\x05first",
        &[&b"\x02\0\0\0\0\0\0\x01\x2c"[..], &[7; 300]].concat(),
        b"\x01\x01a",
        b"\x01\0",
        b"\0\x01c",
    ];
    let mut input = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        input.extend(PING.repeat(index + 1));
        input.extend_from_slice(frame);
    }
    input.extend(PING.repeat(6));
    for size in (1..40).chain([input.len()]) {
        let pieces: Vec<&[u8]> = input.chunks(size).collect();
        let (mut buffer, pings, violation) = read(&pieces, pool);
        assert_eq!((pings, violation), (21, None), "{size} bytes at a time");
        let bytes: usize = buffer
            .segments
            .iter()
            .map(|segment| segment.as_slice().len())
            .sum();
        assert_eq!(bytes, frames.iter().map(|frame| frame.len()).sum::<usize>());
        let expected = [Message::from("first"), long.clone(), parts.clone()];
        assert_eq!(take_all(&mut buffer, pool), expected);
    }
}

#[test]
fn commands_leave_nothing_behind() {
    let pool = &mut ChunkPool::default();
    let flood = PING.repeat(1000);
    let begun: [&[u8]; 4] = [b"", b"\0\x01a", b"\x01\x01a", b"\0\x01a\x01\x01b"];
    for before in begun {
        for pieces in [vec![&flood[..]; 100], flood.chunks(10).collect()] {
            let pieces = [&[before], &pieces[..]].concat();
            let (buffer, ..) = read(&pieces, pool);
            assert!(held(&buffer) < 64, "{} bytes are held", held(&buffer));
        }
    }
}

/// However slowly they come, and although a chunk is far from full.
#[test]
fn what_waits_takes_little_more_memory_than_its_bytes() {
    let pool = &mut ChunkPool::default();
    let short = b"\0\x01a".repeat(10_000);
    let (buffer, ..) = read(&short.chunks(3).collect::<Vec<_>>(), pool);
    assert_eq!(buffer.messages(), 10_000);
    assert!(buffer.segments.len() < 10, "{}", buffer.segments.len());
    assert!(held(&buffer) < 2 * short.len(), "{}", held(&buffer));
}

#[test]
fn what_is_whole_before_a_violation_is_kept() {
    let too_large = b"\x02\0\0\0\0\0\0\x03\xe9";
    let violations: [&[u8]; 5] = [
        too_large,
        &[&b"\x01\x01a"[..], too_large].concat(),
        b"\x01\0\x01\0\x01\0\x01\0",
        b"\x04\x05\x04PING",
        b"\x06\0\0\0\0\0\0\x03\xe8",
    ];
    for violation in violations {
        let mut input = PING.to_vec();
        for number in 0..100u8 {
            input.extend_from_slice(&[0, 1, number]);
            input.extend_from_slice(PING);
        }
        input.extend_from_slice(violation);
        input.extend_from_slice(&b"\0\x01z".repeat(100));
        let pool = &mut ChunkPool::default();
        for size in [1, 2, 7, 100, input.len()] {
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            let (mut buffer, pings, seen) = read(&pieces, pool);
            assert_eq!(pings, 101);
            assert!(seen.is_some(), "{}", violation.escape_ascii());
            assert_eq!(buffer.messages(), 100);
            buffer.rollback(pool);
            let expected: Vec<Message> = (0..100).map(|number| Message::from([number])).collect();
            assert_eq!(take_all(&mut buffer, pool), expected);
        }
    }
}
