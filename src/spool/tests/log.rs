//! A spool as the log of a publisher: what is appended without waiting, what goes, and what is read on.

use std::time::Duration;

use super::super::memory::MemoryDisk;
use super::super::{LogReader, OpenSpool, Spool, SpoolError, Sync};
use crate::Message;

/// With 700 messages in segments of 4 KiB, which have one frame or two.
fn filled(disk: &MemoryDisk) -> OpenSpool {
    let settings = Spool::at("memory").sync(Sync::Os).segment_size(4096);
    let spool = settings.open_on(Box::new(disk.clone())).expect("a spool");
    for number in 0_u64..700 {
        let message = match number % 2 {
            0 => Message::from(number.to_string()),
            _ => Message::from([number.to_string(), "more".to_owned()]),
        };
        loop {
            match spool.append_message_now(&message) {
                Ok(Some(seq)) => break assert_eq!(seq, number + 1),
                Ok(None) => spool.make_room(100).expect("room"),
                Err(error) => panic!("{error}"),
            }
        }
    }
    spool.make_room(100).expect("written");
    assert!(!spool.is_uncommitted() && spool.has_room_now(100));
    spool
}

#[test]
fn nothing_waits_for_a_file() {
    let disk = MemoryDisk::new();
    let settings = Spool::at("memory").segment_size(4096);
    let spool = settings.open_on(Box::new(disk.clone())).expect("a spool");
    assert_eq!(spool.append_slice_now(b"one"), Ok(Some(1)));
    assert!(spool.is_uncommitted());
    // One that is longer than a segment gets one of its own.
    let long = Message::from(vec![7; 10_000]);
    assert_eq!(spool.append_message_now(&long), Ok(None));
    spool.make_room(10_000).expect("room");
    assert_eq!(spool.append_message_now(&long), Ok(Some(2)));
    disk.room(Some(0));
    assert_eq!(spool.append_message_now(&long), Ok(None));
    let full = spool.make_room(10_000);
    assert!(matches!(full, Err(SpoolError::Full { .. })), "{full:?}");
    disk.room(None);
    spool.make_room(10_000).expect("room again");
    assert_eq!(spool.append_message_now(&long), Ok(Some(3)));
}

#[test]
fn the_oldest_go_by_size_and_by_age() {
    let hour = Duration::from_secs(3600);
    let spool = filled(&MemoryDisk::new());
    let segments = spool.segments();
    assert!(segments.len() > 4);
    let all: u64 = segments.iter().map(|segment| segment.used).sum();
    assert_eq!(spool.outdated(None, None), (None, None));
    assert_eq!(spool.outdated(Some(all), None), (None, None));
    let (none, again) = spool.outdated(Some(all), Some(hour));
    assert_eq!(none, None);
    assert!(again.is_some_and(|again| again <= hour && again > hour / 2));
    // All but the last one.
    let last = segments.last().expect("a segment").unsettled;
    assert_eq!(
        spool.outdated(None, Some(Duration::ZERO)),
        (Some(701 - last), None)
    );
    // As many bytes stay, at least, and no segment more than that takes.
    let (upto, _) = spool.outdated(Some(all - 1), None);
    assert_eq!(upto, None, "without the first there would be less");
    let keep = all - segments[0].used;
    let (upto, _) = spool.outdated(Some(keep), None);
    let upto = upto.expect("the first may go");
    assert_eq!(upto, 1 + segments[0].unsettled);
    spool.settle([0..=upto - 1]).expect("settled");
    assert_eq!(spool.next_in_log(0), Some(upto));
    assert_eq!(spool.outdated(Some(keep), None).0, None);
}

#[test]
fn it_is_read_from_record_to_record() {
    let spool = filled(&MemoryDisk::new());
    for begin in [1, 2, 100, 699, 700] {
        let (mut reader, mut position, mut looks) = (LogReader::new(), begin, 0);
        while position <= 700 {
            let stored = spool.read_in_log(&mut reader, position);
            let stored = stored.expect("readable").expect("a message");
            let text = |first: &[u8]| String::from_utf8_lossy(first).into_owned();
            assert_eq!(text(stored.message.first()), (position - 1).to_string());
            position += 1;
            looks += 1;
            spool.read_on(&mut reader, position, &mut |seq, first, whole| {
                assert_eq!(seq, position);
                assert_eq!(text(first), (seq - 1).to_string());
                let whole = whole().expect("a message");
                assert_eq!(whole.parts(), 1 + (seq as usize - 1) % 2);
                assert_eq!(whole.first().as_slice(), first);
                position += 1;
                true
            });
        }
        assert!(
            looks <= spool.segments().len(),
            "{looks} looks at the index"
        );
    }
}
