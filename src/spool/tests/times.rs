//! What is told of times, whatever becomes of the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::memory::MemoryDisk;
use super::super::{LogReader, OpenSpool, Spool, SpoolError, Sync};
use crate::sync::lock;

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;
const YEARS: u64 = 3650 * DAY;

fn open(disk: &MemoryDisk) -> OpenSpool {
    let settings = Spool::at("memory").sync(Sync::Os).segment_size(65_536);
    settings.open_on(disk.boxed()).expect("a spool")
}

fn append(spool: &OpenSpool, time: u64) -> Result<u64, SpoolError> {
    spool
        .append_some([&b"a message"[..]], time)
        .map(|seqs| seqs.start)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the end of time")
}

fn times(spool: &OpenSpool) -> Vec<u64> {
    let all = spool.unsettled();
    all.map(|stored| millis(stored.expect("readable").time))
        .collect()
}

/// A segment has 32 bits for the time since it was begun.
#[test]
fn a_message_has_its_time_however_old_its_segment_is() {
    let disk = MemoryDisk::new();
    let spool = open(&disk);
    let now = OpenSpool::now();
    let late = now + 60 * DAY;
    let appended = [
        now - YEARS,
        now - YEARS + u64::from(u32::MAX) - 1,
        now,
        now + 49 * DAY,
        late,
        late + YEARS,
        // The clock is set back.
        now,
        now - YEARS,
        // By so little that the segment stays, and the time is that of its beginning.
        now - YEARS - 30 * SECOND,
    ];
    for time in appended {
        append(&spool, time).expect("appended");
    }
    let mut expected = appended;
    expected[8] = now - YEARS;
    assert_eq!(times(&spool), expected);
    // One was there when it was opened.
    assert_eq!(spool.segments().len(), 1 + 6);
    spool.close_for_test();
    assert_eq!(times(&open(&disk.kill())), expected);
}

#[test]
fn a_full_disk_takes_what_has_room_whatever_the_clock_says() {
    let disk = MemoryDisk::new();
    let spool = open(&disk);
    let now = OpenSpool::now();
    append(&spool, now).expect("appended");
    spool.flush().expect("written");
    let segments = spool.segments().len();
    disk.room(Some(0));
    let late = now + 60 * DAY;
    append(&spool, late).expect("there is room for it");
    append(&spool, late + SECOND).expect("there is room for it");
    assert_eq!(spool.segments().len(), segments);
    assert!(times(&spool)[1] < now + 50 * DAY, "no more bits");
    spool.settle([1..=1]).expect("settled");
    disk.room(None);
    append(&spool, late + 2 * SECOND).expect("appended");
    assert_eq!(spool.segments().len(), segments, "that was tried just now");
    append(&spool, late + 120 * SECOND).expect("appended");
    assert_eq!(times(&spool).last(), Some(&(late + 120 * SECOND)));
}

#[test]
fn a_log_has_the_time_of_what_is_published_after_a_long_silence() {
    for full in [false, true] {
        let disk = MemoryDisk::new();
        let spool = open(&disk);
        let old = OpenSpool::now() - 60 * DAY;
        append(&spool, old).expect("appended");
        spool.flush().expect("written");
        // A log keeps none for what is noted of messages.
        lock(&spool.state).spares.clear();
        disk.room(full.then_some(0));
        assert!(!spool.has_room_now(9));
        assert_eq!(spool.append_slice_now(b"a message"), Ok(None));
        spool.make_room(9).expect("room");
        assert!(spool.has_room_now(9));
        let before = OpenSpool::now();
        let seq = spool.append_slice_now(b"a message").expect("appended");
        let seq = seq.expect("at once");
        let read = spool.read_in_log(&mut LogReader::one(), seq);
        let time = millis(read.expect("readable").expect("a message").time);
        assert_eq!((before..=OpenSpool::now()).contains(&time), !full);
    }
}

#[test]
fn old_messages_go_by_age_although_the_clock_was_ahead_once() {
    let spool = open(&MemoryDisk::new());
    let hour = 3600 * SECOND;
    let now = OpenSpool::now();
    for time in [now - 3 * hour, now + YEARS, now - hour] {
        append(&spool, time).expect("appended");
    }
    let outdated = |minutes: u64| spool.outdated(None, Some(Duration::from_secs(60 * minutes)));
    let (none, again) = outdated(120);
    assert_eq!(none, None);
    assert!(again.is_some_and(|again| again <= Duration::from_secs(3600)));
    assert_eq!(outdated(30), (Some(3), None));
}

/// When a message is due, and whether it is so long from now on.
fn due(spool: &OpenSpool, wait: u64) -> (u64, bool) {
    let before = OpenSpool::now();
    let stored = spool.read(1).expect("readable");
    let due = millis(stored.due.expect("it waits"));
    (due, (before..=OpenSpool::now()).contains(&(due - wait)))
}

#[test]
fn a_wait_is_no_longer_than_it_was_noted() {
    let disk = MemoryDisk::new();
    let spool = open(&disk);
    let ahead = OpenSpool::now() + YEARS;
    append(&spool, ahead).expect("appended");
    let noted = (ahead + 10 * SECOND, ahead + 12 * SECOND);
    spool.retry_from(1, noted, 1).expect("noted");
    // The clock is put right now.
    assert!(due(&spool, 2 * SECOND).1);
    spool.close_for_test();
    let disk = disk.kill();
    let spool = open(&disk);
    assert!(due(&spool, 2 * SECOND).1);
    spool.copy_forward(1).expect("copied");
    let (copied, _) = due(&spool, 2 * SECOND);
    spool.close_for_test();
    let spool = open(&disk.kill());
    assert_eq!(due(&spool, 2 * SECOND).0, copied);
}

#[test]
fn a_wait_ends_when_it_was_to_end_where_the_clock_goes_on() {
    let disk = MemoryDisk::new();
    let spool = open(&disk);
    let now = OpenSpool::now();
    // The segment is of a clock that was ahead.
    append(&spool, now + YEARS).expect("appended");
    let then = now + 3600 * SECOND;
    spool.retry_from(1, (now, then), 1).expect("noted");
    assert_eq!(due(&spool, 0).0, then);
    spool.copy_forward(1).expect("copied");
    assert_eq!(due(&spool, 0).0, then);
    spool.close_for_test();
    assert_eq!(due(&open(&disk.kill()), 0).0, then);
}
