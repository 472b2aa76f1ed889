//! What a receiver accepts, and what it sees.

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
