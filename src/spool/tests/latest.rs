//! A log that keeps the newest messages of each topic alone: what is left of it on a disk, and after crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::memory::{MemoryDisk, Random};
use super::super::{LogReader, OpenSpool, Spool, SpoolError, Sync};
use crate::Message;

fn settings(sync: Sync, keep: u64) -> Spool {
    let settings = Spool::at("memory").sync(sync).segment_size(4096);
    settings.keep_last(Some(keep))
}

fn append(spool: &OpenSpool, message: &Message) -> u64 {
    loop {
        match spool.append_message_now(message).expect("a log") {
            Some(seq) => return seq,
            None => spool.make_room(message.size() + 100).expect("room"),
        }
    }
}

fn message(topic: usize, text: u64, len: usize) -> Message {
    let text = format!("{text:<len$}");
    match topic {
        // One frame: its topic is all of it.
        0 => Message::from("a topic"),
        _ => Message::from([format!("topic {topic}"), text]),
    }
}

/// What is in the log.
fn contents(spool: &OpenSpool) -> BTreeMap<u64, Message> {
    let (mut reader, mut from) = (LogReader::new(), 0);
    let mut found = BTreeMap::new();
    while let Some(seq) = spool.next_in_log(from) {
        let stored = spool.read_in_log(&mut reader, seq).expect("readable");
        found.insert(seq, stored.expect("a message").message);
        from = seq + 1;
    }
    found
}

#[test]
fn the_disk_holds_twice_what_is_kept_and_some_pieces() {
    for topics in [1, 100] {
        let disk = MemoryDisk::new();
        let settings = settings(Sync::Os, 1);
        let spool = settings.open_on(disk.boxed()).expect("a log");
        // Half of the topics have one message each, and the others ever more.
        let mut last = BTreeMap::new();
        for number in 0..20_000 {
            let topic = match number {
                0..100 => 1 + number as usize % (2 * topics),
                _ => 1 + number as usize % topics,
            };
            let message = message(topic, number, 60);
            let seq = append(&spool, &message);
            last.insert(topic, (seq, message));
            if number % 50 == 0 {
                spool.make_room(0).expect("written");
                spool.clean().expect("cleaned");
            }
        }
        spool.make_room(0).expect("written");
        spool.clean().expect("cleaned");
        let expected: BTreeMap<_, _> = last.into_values().collect();
        assert_eq!(contents(&spool), expected);
        // A record has 24 bytes more, at most 7 to fill it up, 4 for each frame, and 28 as a copy.
        let kept: u64 = expected.values().map(|kept| kept.size() as u64 + 67).sum();
        assert!(
            spool.size() <= 2 * kept + 8 * 4096,
            "{} bytes",
            spool.size()
        );
        let files = disk.files();
        let files: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(files as u64 <= spool.size() + 4096 + 64, "{files} bytes");
        assert!(!spool.clean().expect("nothing to clean"));
        assert!(spool.lost_between(0, 20_000).is_empty());
        let next = spool.next_seq();
        spool.close_for_test();
        let spool = settings.open_on(disk.kill().boxed()).expect("a log");
        assert_eq!(contents(&spool), expected);
        assert_eq!(spool.next_seq(), next);
        assert!(spool.lost_between(0, 20_000).is_empty());
    }
}

#[test]
fn what_is_over_the_bounds_is_lost_message_by_message() {
    let disk = MemoryDisk::new();
    let settings = settings(Sync::Os, 1);
    let spool = settings.open_on(disk.boxed()).expect("a log");
    for number in 0..200 {
        append(&spool, &message(1 + number as usize, number, 60));
    }
    append(&spool, &message(2, 200, 60));
    let size = 200 * 104;
    assert_eq!(
        spool.outdated(Some(size - 4000), None).0,
        None,
        "a piece more may stay"
    );
    let (upto, _) = spool.outdated(Some(size - 5000), None);
    // Message 2 has gone already.
    assert_eq!(upto, Some(1 + 1 + 48));
    let (none, again) = spool.outdated(None, Some(Duration::from_secs(3600)));
    assert_eq!(none, None);
    assert!(again.is_some_and(|again| again > Duration::from_secs(1800)));
    spool.settle([0..=49]).expect("let go");
    assert_eq!(spool.next_in_log(0), Some(50));
    assert_eq!(spool.lost_between(1, 60), [(1, 49)]);
    for number in 0..2000 {
        append(&spool, &message(1, number, 60));
    }
    spool.make_room(0).expect("written");
    assert!(spool.clean().expect("cleaned"));
    assert_eq!(spool.next_in_log(0), Some(50));
    spool.make_room(0).expect("written");
    let spool = settings.open_on(disk.kill().boxed()).expect("a log");
    // It may have published more than is left.
    assert_eq!(
        spool.lost_between(1, u64::MAX),
        [(1, 49), (2202, (2 << 32) - 1)]
    );
    assert_eq!(spool.next_in_log(0), Some(50));
    assert_eq!(spool.next_in_log(201), Some(201));
    assert_eq!(spool.next_in_log(202), Some(2201));
}

#[test]
fn a_message_that_cannot_be_read_does_not_stay_for_ever() {
    let disk = MemoryDisk::new();
    let settings = settings(Sync::Os, 1);
    let spool = settings.open_on(disk.boxed()).expect("a log");
    let first = append(&spool, &message(1, 0, 60));
    for number in 0..40 {
        append(&spool, &message(2, number, 60));
    }
    spool.make_room(0).expect("written");
    let file = disk
        .files()
        .into_iter()
        .find(|(name, _)| name.ends_with("1.seg"));
    let (name, _) = file.expect("a segment");
    disk.spoil(&name, 128 + 24 + 20);
    let read = spool.read_in_log(&mut LogReader::one(), first);
    assert!(matches!(read, Err(SpoolError::Corrupt { .. })), "{read:?}");
    for number in 0..400 {
        append(&spool, &message(2, number, 60));
    }
    spool.make_room(0).expect("written");
    assert!(spool.clean().expect("cleaned"));
    assert_eq!(spool.lost_between(0, 1000), [(first, first)]);
}

/// Random schedules against a model.
struct Run {
    random: Random,
    settings: Spool,
    keep: usize,
    sync: Sync,
    disk: MemoryDisk,
    spool: OpenSpool,
    /// All that was published and may be there yet, with its topic.
    published: BTreeMap<u64, (usize, Message)>,
    /// Before these all is there after a kill, and after a crash.
    written: u64,
    synced: u64,
    /// These were let go. After a crash they may be there again.
    let_go: BTreeSet<u64>,
    /// Messages that were lost, and those that are no longer there since there are newer ones.
    lost: BTreeSet<u64>,
    superseded: BTreeSet<u64>,
    /// Messages that others had taken the place of when a crash may have taken them.
    unsure: BTreeSet<u64>,
    /// All before was let go some time.
    floor: u64,
    text: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random(seed);
        let sync = [Sync::Os, Sync::Disk][random.below(2)];
        let keep = 1 + random.below(3);
        let settings = settings(sync, keep as u64);
        let disk = MemoryDisk::new();
        let spool = settings.open_on(disk.boxed()).expect("a new log");
        Run {
            random,
            settings,
            keep,
            sync,
            disk,
            spool,
            published: BTreeMap::new(),
            written: 0,
            synced: 0,
            let_go: BTreeSet::new(),
            lost: BTreeSet::new(),
            superseded: BTreeSet::new(),
            unsure: BTreeSet::new(),
            floor: 0,
            text: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..14 => {
                for _ in 0..self.random.below(12) {
                    self.publish();
                }
            }
            14..17 => self.commit(),
            17..20 => {
                let cleaned = self.spool.clean().expect("cleaned");
                if cleaned {
                    self.written = self.spool.next_seq();
                    self.synced = self.written;
                }
            }
            20 => self.let_go(),
            21 => {
                let disk = self.disk.kill();
                self.reopen(disk, self.written, false);
            }
            22 => {
                let disk = self.disk.crash(&mut self.random);
                self.reopen(disk, self.synced, false);
            }
            _ => {
                self.spool.close_for_test();
                let (disk, next) = (self.disk.kill(), self.spool.next_seq());
                self.reopen(disk, next, true);
            }
        }
    }

    fn publish(&mut self) {
        self.text += 1;
        // Some topics are rare.
        let topic = self.random.below(8) * self.random.below(8);
        let len = match self.random.below(20) {
            0 => 5000,
            1..4 => self.random.below(1500),
            _ => self.random.below(120),
        };
        let message = message(topic, self.text, len);
        let seq = append(&self.spool, &message);
        assert!(self.published.keys().all(|other| *other < seq));
        self.published.insert(seq, (topic, message));
        self.supersede();
    }

    fn newer(&self, seq: u64, topic: usize, among: impl Fn(u64) -> bool) -> usize {
        let newer = self.published.range(seq + 1..);
        let of = |(seq, (other, _)): &(&u64, &(usize, Message))| *other == topic && among(**seq);
        newer.filter(of).count()
    }

    /// Notes what has been superseded for good: by messages that no crash takes away.
    fn supersede(&mut self) {
        let synced = self.synced;
        let gone: Vec<u64> = self
            .published
            .iter()
            .filter(|(seq, (topic, _))| {
                let safe = |newer| newer < synced && !self.let_go.contains(&newer);
                self.newer(**seq, *topic, safe) >= self.keep
            })
            .map(|(seq, _)| *seq)
            .collect();
        for seq in gone {
            self.published.remove(&seq);
            self.superseded.insert(seq);
        }
    }

    fn commit(&mut self) {
        self.spool.make_room(0).expect("written");
        self.written = self.spool.next_seq();
        if self.sync == Sync::Disk {
            self.synced = self.written;
        }
        self.supersede();
    }

    fn let_go(&mut self) {
        let Some(oldest) = self.spool.next_in_log(0) else {
            return;
        };
        let upto = oldest + self.random.below(4) as u64;
        let upto = upto.min(self.spool.next_seq() - 1);
        self.spool.settle([0..=upto]).expect("let go");
        self.floor = self.floor.max(upto + 1);
        let gone = self.published.range(..=upto);
        self.let_go.extend(gone.map(|(seq, _)| *seq));
    }

    fn reopen(&mut self, disk: MemoryDisk, safe: u64, clean: bool) {
        self.disk = disk;
        let spool = self.settings.open_on(self.disk.boxed());
        self.spool = spool.expect("a log that can be opened again");
        let found = contents(&self.spool);
        for (seq, message) in &found {
            assert!(!self.lost.contains(seq), "{seq} was lost");
            let known = self.published.get(seq).map(|(_, message)| message);
            assert_eq!(known, Some(message), "{seq}");
        }
        let lost = |seq: u64| !self.spool.lost_between(seq, seq).is_empty();
        let published = self
            .published
            .iter()
            .filter(|(seq, _)| !self.let_go.contains(seq));
        let mut now_lost = Vec::new();
        for (seq, (topic, _)) in published {
            let newer = self.newer(*seq, *topic, |newer| found.contains_key(&newer));
            if found.contains_key(seq) {
                assert!(newer < self.keep, "{seq} has been superseded");
                assert!(!lost(*seq), "{seq} is there");
            } else if newer < self.keep {
                assert!(*seq >= safe, "{seq} has vanished");
                assert!(lost(*seq), "{seq} is gone, and nobody says so");
                now_lost.push(*seq);
            } else if *seq >= safe {
                self.unsure.insert(*seq);
            }
        }
        for seq in &self.lost {
            assert!(lost(*seq), "it is forgotten that {seq} was lost");
        }
        for seq in self.superseded.range(self.floor..) {
            let told = lost(*seq) && !self.unsure.contains(seq);
            assert!(!told, "{seq} was superseded, and passes for lost");
        }
        for seq in now_lost {
            self.published.remove(&seq);
            self.lost.insert(seq);
        }
        for seq in found.keys() {
            let again = self.let_go.remove(seq);
            assert!(!again || !clean, "{seq} was let go");
        }
        self.written = self.spool.next_seq();
        if self.sync == Sync::Disk {
            self.synced = self.written;
        } else {
            self.synced = self.synced.min(self.written);
        }
        self.supersede();
    }
}

#[test]
fn no_crash_takes_the_last_values() {
    let schedules = std::env::var("ZEROHOP_SCHEDULES").ok();
    let schedules = schedules.and_then(|text| text.parse().ok());
    let mut superseded = 0;
    for seed in 0..schedules.unwrap_or(1_500) {
        let result = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            let steps = 10 + run.random.below(50);
            for _ in 0..steps {
                run.step();
            }
            let disk = run.disk.crash(&mut run.random);
            run.reopen(disk, run.synced, false);
            run.superseded.len()
        });
        superseded += result.unwrap_or_else(|panic| {
            println!("seed {seed}");
            std::panic::resume_unwind(panic)
        });
    }
    assert!(superseded > 10_000, "{superseded}");
}
