//! Random schedules with crashes, against a model that knows which states of each message are allowed after each.

use std::collections::BTreeMap;

use super::super::memory::{MemoryDisk, Random};
use super::super::{OpenSpool, Spool, SpoolError, Sync};
use crate::Message;

/// What may become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Gone,
    Live {
        deliveries: u32,
        due: bool,
        replayed: bool,
    },
    Dead {
        deliveries: u32,
        reason: String,
    },
}

#[derive(Debug)]
struct Known {
    message: Message,
    /// All that it has been, in order.
    history: Vec<Fate>,
    /// If the process is killed, it is what it was from there on.
    written: usize,
    /// If the power fails, it is what it was from there on.
    synced: usize,
}

struct Run {
    random: Random,
    settings: Spool,
    disk: MemoryDisk,
    spool: OpenSpool,
    known: BTreeMap<u64, Known>,
    last: u64,
    text: u32,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random(seed);
        let sync = if random.one_in(2) {
            Sync::Os
        } else {
            Sync::Disk
        };
        let settings = Spool::at("memory").sync(sync).segment_size(4096);
        let disk = MemoryDisk::new();
        let spool = settings
            .open_on(Box::new(disk.clone()))
            .expect("a new spool");
        Run {
            random,
            settings,
            disk,
            spool,
            known: BTreeMap::new(),
            last: 0,
            text: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(32) {
            0..12 => self.append(),
            12..16 => self.commit(),
            16..21 => self.settle(),
            21 => self.dead(),
            22 => self.retry(),
            23 => self.replay(),
            24 => {
                self.spool.flush().expect("a flush");
                self.safe(true, false);
            }
            25 => {
                self.spool.compact().expect("room");
            }
            26 => {
                self.spool.sync().expect("a sync");
                self.safe(true, true);
            }
            27 => self.settle_most(),
            28 => self.reopen(|disk, _| disk.kill(), |known| known.written, false),
            29 => self.reopen(MemoryDisk::crash, |known| known.synced, false),
            30 => {
                self.spool.close_for_test();
                let disk = self.settings.sync == Sync::Disk;
                self.safe(true, disk);
                self.reopen(|disk, _| disk.kill(), |known| known.written, true);
            }
            _ => self.compare(|known| known.history.len() - 1),
        }
    }

    fn append(&mut self) {
        self.text += 1;
        let len = match self.random.below(20) {
            0 => 5000,
            1..4 => self.random.below(1500),
            _ => self.random.below(120),
        };
        let text = format!("{:<len$}", self.text);
        let message = match self.random.below(4) {
            0 => Message::from(vec![text, String::new(), "x".into()]),
            _ => Message::from(text),
        };
        let seq = self.spool.append(&message).expect("room");
        assert!(seq > self.last, "{seq} was given out before");
        self.last = seq;
        let live = Fate::Live {
            deliveries: 0,
            due: false,
            replayed: false,
        };
        let known = Known {
            message,
            history: vec![Fate::Gone, live],
            written: 0,
            synced: 0,
        };
        self.known.insert(seq, known);
    }

    fn commit(&mut self) {
        if self.last > 0 {
            self.spool.commit(self.last).expect("a commit");
            if self.spool.committed() > self.last {
                // What came after the last message need not be safe.
                let disk = self.settings.sync == Sync::Disk;
                for known in self.known.values_mut() {
                    let live = 1.min(known.history.len() - 1);
                    known.written = known.written.max(live);
                    if disk {
                        known.synced = known.synced.max(live);
                    }
                }
            }
        }
    }

    /// All is safe that has been done so far.
    fn safe(&mut self, written: bool, synced: bool) {
        for known in self.known.values_mut() {
            let last = known.history.len() - 1;
            if written {
                known.written = last;
            }
            if synced {
                known.synced = last;
            }
        }
    }

    fn some(&mut self) -> Option<u64> {
        let live: Vec<u64> = self.live().collect();
        let at = self.random.below(live.len());
        live.get(at).copied()
    }

    fn live(&self) -> impl Iterator<Item = u64> {
        let live = self.known.iter();
        live.filter(|(_, known)| known.history.last() != Some(&Fate::Gone))
            .map(|(seq, _)| *seq)
    }

    fn becomes(&mut self, seq: u64, fate: Fate) {
        let known = self.known.get_mut(&seq).expect("a known message");
        known.history.push(fate);
    }

    fn settle(&mut self) {
        let Some(first) = self.some() else { return };
        let last = first + self.random.below(6) as u64;
        let settled: Vec<u64> = self
            .live()
            .filter(|seq| (first..=last).contains(seq))
            .collect();
        let count = self.spool.settle([first..=last]).expect("room");
        assert_eq!(count, settled.len() as u64);
        for seq in settled {
            self.becomes(seq, Fate::Gone);
        }
    }

    /// All but some.
    fn settle_most(&mut self) {
        let mut ranges = Vec::new();
        let live: Vec<u64> = self.live().collect();
        for seq in live {
            if !self.random.one_in(30) {
                ranges.push(seq..=seq);
                self.becomes(seq, Fate::Gone);
            }
        }
        let count = ranges.len() as u64;
        assert_eq!(self.spool.settle(ranges).expect("room"), count);
    }

    fn dead(&mut self) {
        let Some(seq) = self.some() else { return };
        let reason = "r".repeat(self.random.below(40));
        self.spool.dead(seq, &reason, 7).expect("room");
        let deliveries = 7;
        self.becomes(seq, Fate::Dead { deliveries, reason });
    }

    fn retry(&mut self) {
        let Some(seq) = self.some() else { return };
        let deliveries = self.random.below(9) as u32;
        let due = std::time::SystemTime::now();
        self.spool.retry_at(seq, due, deliveries).expect("room");
        let due = true;
        let replayed = false;
        self.becomes(
            seq,
            Fate::Live {
                deliveries,
                due,
                replayed,
            },
        );
    }

    fn replay(&mut self) {
        let Some(seq) = self.some() else { return };
        let is_dead = matches!(self.known[&seq].history.last(), Some(Fate::Dead { .. }));
        let replayed = self.spool.replay(seq);
        if is_dead {
            replayed.expect("a dead letter");
            let fate = Fate::Live {
                deliveries: 0,
                due: false,
                replayed: true,
            };
            self.becomes(seq, fate);
        } else {
            assert_eq!(replayed, Err(SpoolError::NoSuchMessage { seq }));
        }
    }

    fn reopen(
        &mut self,
        end: impl FnOnce(&MemoryDisk, &mut Random) -> MemoryDisk,
        from: impl Fn(&Known) -> usize,
        clean: bool,
    ) {
        self.disk = end(&self.disk, &mut self.random);
        self.spool = self
            .settings
            .open_on(Box::new(self.disk.clone()))
            .expect("a spool that can be opened again");
        assert!(self.spool.recovery().clean || !clean);
        self.compare(from);
        // Where nothing is synced, what the system has may yet be lost.
        let disk = self.settings.sync == Sync::Disk;
        self.safe(true, disk);
    }

    /// Each message is what it was at some time from there on.
    fn compare(&mut self, from: impl Fn(&Known) -> usize) {
        let mut found = BTreeMap::new();
        let mut before = 0;
        for stored in self.spool.unsettled() {
            let stored = stored.expect("a message that can be read");
            assert!(stored.seq > before);
            before = stored.seq;
            let fate = Fate::Live {
                deliveries: stored.deliveries,
                due: stored.due.is_some(),
                replayed: stored.replayed,
            };
            found.insert(stored.seq, (stored.message, fate));
        }
        for stored in self.spool.dead_letters() {
            let stored = stored.expect("a dead letter that can be read");
            let deliveries = stored.deliveries;
            let reason = stored.reason.expect("a dead letter has a reason");
            let fate = Fate::Dead { deliveries, reason };
            assert!(found.insert(stored.seq, (stored.message, fate)).is_none());
        }
        assert_eq!(self.spool.len(), found.len() as u64);
        for (seq, known) in &mut self.known {
            let fate = match found.remove(seq) {
                Some((message, fate)) => {
                    assert_eq!(message, known.message);
                    fate
                }
                None => Fate::Gone,
            };
            let allowed = &known.history[from(known)..];
            assert!(
                allowed.contains(&fate),
                "{seq} is {fate:?}, not {allowed:?}"
            );
            if known.history.last() != Some(&fate) {
                known.history.push(fate);
            }
        }
        assert!(found.is_empty(), "nobody appended {found:?}");
    }
}

fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            let steps = 10 + run.random.below(50);
            for _ in 0..steps {
                run.step();
            }
            run.reopen(MemoryDisk::crash, |known| known.synced, false);
        });
        if let Err(panic) = result {
            // Not eprintln: clippy knows why.
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// So many schedules in each of the tests, which run at the same time: 10^5 in all where `CI` is set or the code is optimised, and less
/// for a person who waits.
fn schedules() -> u64 {
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    if in_ci || !cfg!(debug_assertions) {
        25_000
    } else {
        2_000
    }
}

#[test]
fn no_crash_loses_what_was_committed_1() {
    run(0..schedules());
}

#[test]
fn no_crash_loses_what_was_committed_2() {
    run(100_000..100_000 + schedules());
}

#[test]
fn no_crash_loses_what_was_committed_3() {
    run(200_000..200_000 + schedules());
}

#[test]
fn no_crash_loses_what_was_committed_4() {
    run(300_000..300_000 + schedules());
}

#[test]
fn a_copy_that_is_settled_stays_settled() {
    let disk = MemoryDisk::new();
    let settings = Spool::at("memory").segment_size(4096);
    let spool = settings.open_on(disk.boxed()).expect("a spool");
    let mut last = 0;
    while spool.segments().len() < 4 {
        last = spool.append([7; 100]).expect("appended");
    }
    spool.commit(last).expect("safe");
    spool.settle([2..=last]).expect("settled");
    spool.compact().expect("compacted");
    let first = spool.segments()[0].file.clone();
    assert!(!first.ends_with("0000000000000001.seg"), "{first:?}");
    assert_eq!(spool.settle([1..=1]), Ok(1));
    spool.flush().expect("written");
    let spool = settings.open_on(disk.kill().boxed()).expect("a spool");
    assert_eq!(spool.len(), 0, "{:?}", spool.range());
}
