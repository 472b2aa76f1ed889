//! Spools that have no room left: they open, they give what they hold, and settling makes room.

use std::time::{Duration, SystemTime};

use super::super::memory::MemoryDisk;
use super::super::{OpenSpool, Spool, SpoolError, Sync};

/// What leaves a spool without room.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Limit,
    Disk,
}

const BOUNDS: [Bound; 2] = [Bound::Limit, Bound::Disk];

const ROOM: u64 = 64 << 10;

fn settings(bound: Bound, sync: Sync) -> Spool {
    let settings = Spool::at("memory").sync(sync).segment_size(4096);
    match bound {
        Bound::Limit => settings.limit(ROOM),
        Bound::Disk => settings,
    }
}

fn disk(bound: Bound) -> MemoryDisk {
    let disk = MemoryDisk::new();
    if let Bound::Disk = bound {
        disk.room(Some(ROOM));
    }
    disk
}

fn open(settings: &Spool, disk: &MemoryDisk) -> OpenSpool {
    let spool = settings.clone().open_on(disk.boxed());
    spool.expect("a spool that opens")
}

/// Appends until there is no room, and gives the numbers of what was taken.
fn fill(spool: &OpenSpool, len: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    loop {
        match spool.append(vec![1; len]) {
            Ok(seq) => taken.push(seq),
            Err(error) => {
                assert!(error.is_no_room(), "{error}");
                break;
            }
        }
    }
    let last = taken.last().expect("some messages");
    spool.commit(*last).expect("what was taken is safe");
    taken
}

/// Where there is no room to note it, it is noted later.
fn settle(spool: &OpenSpool, seq: u64) {
    match spool.settle([seq..=seq]) {
        Ok(settled) => assert_eq!(settled, 1),
        Err(error) => assert!(error.is_no_room(), "{error}"),
    }
}

fn held(spool: &OpenSpool) -> Vec<u64> {
    let all = spool.unsettled();
    all.map(|stored| stored.expect("a message that can be read").seq)
        .collect()
}

#[test]
fn a_full_spool_opens_after_a_kill_and_gives_what_it_holds() {
    for (bound, sync) in BOUNDS
        .into_iter()
        .flat_map(|bound| [(bound, Sync::Os), (bound, Sync::Disk)])
    {
        for len in [8, 80, 500, 3000] {
            let (settings, disk) = (settings(bound, sync), disk(bound));
            let spool = open(&settings, &disk);
            let taken = fill(&spool, len);
            let disk = disk.kill();
            let spool = open(&settings, &disk);
            assert_eq!(held(&spool), taken, "{bound:?}, {sync:?}, {len}");
            for seq in &taken {
                settle(&spool, *seq);
            }
            fill(&spool, len);
        }
    }
}

/// Others have filled the disk: not even `spool.id` can be written.
#[test]
fn a_spool_opens_on_a_disk_without_any_room() {
    for clean in [false, true] {
        let settings = Spool::at("memory").segment_size(4096);
        let disk = MemoryDisk::new();
        let spool = open(&settings, &disk);
        let last = (0..100)
            .map(|_| spool.append([1; 100]).expect("room"))
            .last();
        spool.commit(last.expect("messages")).expect("safe");
        let taken = held(&spool);
        if clean {
            spool.close().expect("closed");
        }
        let disk = disk.kill();
        disk.room(Some(0));
        let spool = open(&settings, &disk);
        assert_eq!(held(&spool), taken);
        // More than it held may have been given out by now, and be known to others.
        let next = spool.next_seq();
        assert_eq!(next > *taken.last().expect("messages") + 1, !clean);
        disk.room(None);
        let seq = spool.append("room again").expect("appended");
        assert!(seq >= next);
        spool.commit(seq).expect("safe");
        let spool = open(&settings, &disk.kill());
        assert!(spool.next_seq() > seq);
        // Where a segment was begun, numbers of that time are known to have been given out.
        assert_eq!(spool.incarnation(), 2 + u64::from(!clean));
    }
}

#[test]
fn one_message_that_stays_does_not_keep_a_spool_full() {
    for bound in BOUNDS {
        let (settings, disk) = (settings(bound, Sync::Disk), disk(bound));
        let spool = open(&settings, &disk);
        let taken = fill(&spool, 80);
        spool.dead(taken[0], "rejected: bad", 1).expect("known");
        spool
            .settle([taken[1]..=u64::MAX])
            .expect("room for a settlement");
        assert!(fill(&spool, 80).len() > taken.len() / 2, "{bound:?}");
        let spool = open(&settings, &disk.kill());
        assert_eq!(spool.dead_count(), 1);
        assert_eq!(spool.range().map(|range| *range.start()), Some(taken[0]));
    }
}

#[test]
fn what_stays_does_not_keep_what_comes_behind_it() {
    let settings = Spool::at("memory").sync(Sync::Os).segment_size(4096);
    let disk = MemoryDisk::new();
    let spool = open(&settings, &disk);
    for _ in 0..40 {
        let seq = spool.append([1; 40]).expect("room");
        spool.dead(seq, "rejected: bad", 1).expect("noted");
    }
    let letters = spool.size();
    for _ in 0..10_000 {
        let seq = spool.append([2; 80]).expect("room");
        spool.commit(seq).expect("safe");
        spool.settle([seq..=seq]).expect("noted");
        assert!(spool.size() <= 2 * letters + 5 * 4096, "{}", spool.size());
    }
    assert_eq!(spool.dead_count(), 40);
    let spool = open(&settings, &disk.kill());
    assert_eq!(spool.dead_count(), 40);
}

#[test]
fn what_is_noted_again_and_again_does_not_pile_up() {
    let settings = Spool::at("memory").sync(Sync::Os).segment_size(4096);
    let spool = open(&settings, &MemoryDisk::new());
    let seq = spool.append([1; 40]).expect("room");
    let due = SystemTime::now() + Duration::from_secs(1000);
    for deliveries in 0..10_000 {
        spool.retry_at(seq, due, deliveries).expect("noted");
        assert!(spool.size() <= 6 * 4096, "{}", spool.size());
    }
    let stored = spool
        .unsettled()
        .next()
        .expect("a message")
        .expect("readable");
    assert_eq!(stored.deliveries, 9_999);
}

/// A change that finds no room holds in memory, and takes nothing along: settlements make room, and then it is noted.
#[test]
fn what_finds_no_room_is_noted_when_there_is_some() {
    for bound in BOUNDS {
        let (settings, disk) = (settings(bound, Sync::Os), disk(bound));
        let spool = open(&settings, &disk);
        let taken = fill(&spool, 80);
        let (dead, settled): (Vec<u64>, Vec<u64>) = taken.iter().partition(|seq| *seq % 8 == 0);
        let reason = "a reason that takes more room than there is left for so many";
        let mut refused = 0;
        for seq in &dead {
            match spool.dead(*seq, reason, 3) {
                Ok(()) => {}
                Err(error) => {
                    assert!(error.is_no_room(), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "{bound:?}: there is room for all");
        assert_eq!(spool.dead_count(), dead.len() as u64);
        for seq in settled {
            settle(&spool, seq);
        }
        spool.append([1; 80]).expect("room again");
        spool.flush().expect("written");
        let spool = open(&settings, &disk.kill());
        assert_eq!(spool.dead_count(), dead.len() as u64, "{bound:?}");
        assert_eq!(spool.len(), dead.len() as u64 + 1);
    }
}

/// Also where it is noted when those are there.
#[test]
fn a_range_without_an_end_takes_nothing_that_comes_later() {
    let (settings, disk) = (settings(Bound::Limit, Sync::Os), disk(Bound::Limit));
    let spool = open(&settings, &disk);
    let taken = fill(&spool, 80);
    for seq in taken.iter().skip(1).step_by(2) {
        settle(&spool, *seq);
    }
    // It may find no room at once.
    let all = spool.settle([0..=u64::MAX]);
    assert!(all.err().is_none_or(|error| error.is_no_room()));
    assert!(spool.is_empty());
    let kept = spool.append([1; 80]).expect("room");
    spool.commit(kept).expect("safe");
    let spool = open(&settings, &disk.kill());
    assert_eq!(held(&spool), [kept]);
}

/// It has a segment of its own, which is the last one.
#[test]
fn a_long_message_that_is_settled_leaves_its_room() {
    for bound in BOUNDS {
        let (settings, disk) = (settings(bound, Sync::Disk), disk(bound));
        let spool = open(&settings, &disk);
        let len = match bound {
            Bound::Limit => 50_000,
            // Two of them are there at once.
            Bound::Disk => 22_000,
        };
        for _ in 0..5 {
            let long = spool.append(vec![1; len]).expect("room");
            spool.commit(long).expect("safe");
            spool.settle([long..=long]).expect("noted");
        }
        fill(&spool, 80);
    }
}

/// Segments are a quarter of the limit at the most, so that there is always one to empty another into.
#[test]
fn the_default_segment_is_no_larger_than_the_limit_allows() {
    let settings = Spool::at("memory").sync(Sync::Os).limit(1 << 20);
    let disk = MemoryDisk::new();
    let spool = open(&settings, &disk);
    let taken = fill(&spool, 1000);
    assert!(spool.size() <= 1 << 20);
    let spool = open(&settings, &disk.kill());
    assert_eq!(held(&spool), taken);
    spool.settle([0..=u64::MAX]).expect("room for a settlement");
    let error = spool
        .append(vec![1; 1 << 20])
        .expect_err("more than the limit");
    assert_eq!(error, SpoolError::Limit { limit: 1 << 20 });
    spool.append([1; 1000]).expect("room again");
}
