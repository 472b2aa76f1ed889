use std::io::IoSlice;

use super::*;
use crate::engine::Outgoing;
use crate::engine::peer::out_buffer::MAX_SLICES;
use crate::engine::peer::stand::Random;
use crate::engine::peer::wire::Reader;
use crate::message::Message;
use crate::zmtp::{Limits, Scanner};

const UNLIMITED: Limits = Limits {
    max_message_size: u64::MAX,
    max_parts: u32::MAX,
    min_parts: 1,
    max_command_size: u64::MAX,
};

/// Messages around all lengths where something changes, with runs long enough to fill chunks, and now and then one that ends a run.
fn messages(random: &mut Random) -> Vec<Message> {
    let mut messages = Vec::new();
    for number in 0..700_u32 {
        let len = random.of(&[0, 1, 63, 255, 256, 1_000, 1_000, 9_000]);
        let body = vec![number as u8; len];
        messages.push(match random.below(100) {
            0 => Message::from_frames([body, vec![1]]),
            1 => Message::from(vec![7; 40_000]),
            _ => Message::from(body),
        });
    }
    messages
}

fn bytes_of(buffer: &OutBuffer) -> Vec<u8> {
    let frames = buffer.frames_from(0);
    frames
        .flat_map(|(kind, body, _)| {
            let mut frame = OutBuffer::default();
            frame.push_frame(kind, body, &mut ChunkPool::default());
            let slice = frame.only_slice(usize::MAX);
            slice.map(<[u8]>::to_vec).unwrap_or_default()
        })
        .collect()
}

/// Whether a chunk of the buffer, of the first dozens, is at this place.
fn lies_at(buffer: &OutBuffer, place: *const u8) -> bool {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = buffer.slices(&mut slices, usize::MAX);
    slices[..count].iter().any(|slice| slice.as_ptr() == place)
}

/// What is passed on and what goes the general way come out in their order, as if all had been encoded there.
#[test]
fn what_is_passed_on_is_what_came() {
    let (mut passed, mut handed_over) = (0, 0);
    for seed in 1..=30 {
        let random = &mut Random::new(seed);
        let (pool, to_pool) = (&mut ChunkPool::default(), &mut ChunkPool::default());
        let sent = messages(random);
        let mut encoded = OutBuffer::default();
        for message in &sent {
            encoded.push(Outgoing::Message(message), pool);
        }
        let bytes = bytes_of(&encoded);
        let mut buffer = InBuffer::new(false);
        let mut scanner = Scanner::new(UNLIMITED);
        let mut out = OutBuffer::default();
        let (mut size, mut rest) = (0, sent.as_slice());
        let mut message = Message::new();
        while !rest.is_empty() {
            let (read, behind) = rest.split_at(random.of(&[1, 5, 30]).min(rest.len()));
            rest = behind;
            let mut piece = OutBuffer::default();
            read.iter()
                .for_each(|message| piece.push(Outgoing::Message(message), pool));
            buffer.preload(
                &mut Reader::Frames,
                &bytes_of(&piece),
                &mut scanner,
                pool,
                &mut |_| Ok(()),
            );
            while buffer.messages() > 0 {
                let wanted = Wanted {
                    messages: random.of(&[0, 1, 2, 1_000, usize::MAX]),
                    below: random.of(&[0, 1, 256, 1_000, usize::MAX, usize::MAX]),
                };
                let next = buffer.next_bytes(pool).as_ptr();
                let before = (out.messages(), out.bytes());
                let now = buffer.pass_on(wanted, &mut out, pool, to_pool);
                handed_over += usize::from(lies_at(&out, next));
                assert!(now.messages <= wanted.messages);
                assert_eq!(out.messages(), before.0 + now.messages);
                passed += now.messages;
                size += now.size;
                if now.messages > 0 {
                    continue;
                }
                assert_eq!(out.bytes(), before.1);
                assert!(buffer.take(&mut message, pool));
                size += message.size();
                out.push(Outgoing::Message(&message), to_pool);
            }
        }
        let sizes = sent.iter().map(Message::size).sum::<usize>();
        assert_eq!((out.messages(), size), (sent.len(), sizes));
        assert!(bytes_of(&out) == bytes, "seed {seed}");
        let came = out.drain(to_pool).into_iter().map(|unsent| unsent.message);
        assert!(came.eq(sent), "seed {seed}");
    }
    assert!(
        passed > 5_000 && handed_over > 30,
        "{passed}, {handed_over}"
    );
}

/// The out-buffer counts on headers as it makes them. Others may come: the long form of a short length, and bits that mean nothing.
#[test]
fn only_frames_in_our_own_form_are_passed_on() {
    let pool = &mut ChunkPool::default();
    let to_pool = &mut ChunkPool::default();
    for (bytes, passes) in [
        (&b"\0\x01a"[..], true),
        (b"\x02\0\0\0\0\0\0\0\x01a", false),
        (b"\x08\x01a", false),
    ] {
        let mut buffer = InBuffer::new(false);
        let mut scanner = Scanner::new(UNLIMITED);
        buffer.preload(&mut Reader::Frames, bytes, &mut scanner, pool, &mut |_| {
            Ok(())
        });
        let mut out = OutBuffer::default();
        let wanted = Wanted {
            messages: 1,
            below: 2,
        };
        let passed = buffer.pass_on(wanted, &mut out, pool, to_pool);
        assert_eq!(passed.messages, usize::from(passes), "{bytes:?}");
        assert_eq!(out.messages() + buffer.messages(), 1);
    }
}
