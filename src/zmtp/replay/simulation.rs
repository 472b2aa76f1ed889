//! Both ends over links that are cut anywhere, with a log whose oldest messages go: whatever the schedule, a subscriber has each message that it wants
//! once, in order, or is told that it is gone. With a log that keeps the newest messages of each topic alone, it has those of each, and is not told of others.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::super::delivery::DeliveryError;
use super::wire::put_replay;
use super::{Feed, Follower, LogNotice, Progress, Start, feed};
use crate::spool::{Extent, Latest};
use crate::zmtp::{Command, decode_header};

/// As many as run with every test. `ZEROHOP_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 2_000;

/// Messages on their way, at the most.
const ROOM: usize = 4;

const TOPICS: [&[u8]; 5] = [b"", b"a", b"ab", b"abc", b"b"];
const FIRSTS: [&[u8]; 5] = [b"abcd", b"ab", b"a", b"b", b"c"];

pub(super) fn notice(frames: &[u8]) -> (LogNotice<'_>, &[u8]) {
    let header = decode_header(frames).expect("a header");
    let (frame, rest) = frames.split_at(header.frame_len() as usize);
    match Command::parse(&frame[header.header_len..]) {
        Ok(Command::Log(notice)) => (notice, rest),
        other => panic!("{other:?}"),
    }
}

enum Item {
    Command(Vec<u8>),
    Message(u64),
}

/// A connection, and what the publisher knows of it.
struct Link {
    feed: Feed,
    searches: Vec<super::feed::Search>,
    to: VecDeque<Item>,
    back: VecDeque<Back>,
}

enum Back {
    Replay(Vec<u8>),
    Cancel(Vec<u8>),
}

struct Rig {
    random: u64,
    /// What is in the log. Offsets that are not there are gone, or never were.
    log: BTreeMap<u64, &'static [u8]>,
    all: BTreeMap<u64, &'static [u8]>,
    /// If the log keeps the newest messages of each topic alone: which those are.
    latest: Option<Latest>,
    /// Messages that newer ones have taken the place of.
    superseded: BTreeSet<u64>,
    next: u64,
    link: Option<Link>,
    follower: Follower,
    progress: Progress,
    /// What is wanted, from where.
    wanted: HashMap<&'static [u8], Start>,
    arrived: VecDeque<u64>,
    taken: HashMap<u64, u32>,
    gaps: Vec<(u64, u64)>,
    unsubscribes: bool,
    may_repeat: bool,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        Rig {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            log: BTreeMap::new(),
            all: BTreeMap::new(),
            latest: (!seed.is_multiple_of(3)).then(|| Latest::new(seed % 3)),
            superseded: BTreeSet::new(),
            next: 1,
            link: None,
            follower: Follower::default(),
            progress: Progress::default(),
            wanted: HashMap::new(),
            arrived: VecDeque::new(),
            taken: HashMap::new(),
            gaps: Vec::new(),
            unsubscribes: seed.is_multiple_of(2),
            may_repeat: false,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn step(&mut self) {
        match self.below(30) {
            0..7 => self.publish(),
            7 => self.subscribe(),
            8 if self.unsubscribes => self.unsubscribe(),
            9 => self.cut(),
            10 => self.connect(),
            11 => self.trim(),
            12 if self.below(4) == 0 => {
                let first = self.next;
                self.next += 1 + self.below(3);
                self.lose(first, self.next - 1);
            }
            12..16 => self.answer(),
            16..21 => self.pump(),
            21..26 => self.arrive(),
            _ => self.take(),
        }
    }

    fn publish(&mut self) {
        let first = FIRSTS[self.below(FIRSTS.len() as u64) as usize];
        let offset = self.next;
        self.next += 1;
        self.log.insert(offset, first);
        self.all.insert(offset, first);
        if let Some(latest) = &mut self.latest {
            let extent = Extent { len: 8, time: 0 };
            if let Some(old) = latest.push(offset, first, extent) {
                self.log.remove(&old);
                self.superseded.insert(old);
            }
        }
        let Some(link) = &mut self.link else {
            return;
        };
        if !link.feed.is_live() {
            return;
        }
        let (progress, _) = link.feed.to_read();
        if !progress.topics().any(|topic| first.starts_with(topic)) {
            return;
        }
        drop(progress);
        match link.room() {
            true => link.send(offset),
            false => link.feed.fall_behind(offset),
        }
    }

    fn subscribe(&mut self) {
        let topic = TOPICS[self.below(TOPICS.len() as u64) as usize];
        if self.wanted.contains_key(topic) {
            return;
        }
        let start = match self.below(5) {
            0 => Start::Now,
            1 => Start::Last(self.below(6)),
            2 => Start::Time(self.below(self.next)),
            _ => Start::Offset(self.below(self.next + 2)),
        };
        self.wanted.insert(topic, start);
        if self.link.is_some() {
            self.ask(topic, start);
        }
    }

    fn ask(&mut self, topic: &[u8], start: Start) {
        self.follower.ask(topic);
        let mut out = Vec::new();
        put_replay(&mut out, topic, start);
        let link = self.link.as_mut().expect("a link");
        link.back.push_back(Back::Replay(out));
    }

    fn unsubscribe(&mut self) {
        let topic = TOPICS[self.below(TOPICS.len() as u64) as usize];
        if self.wanted.remove(topic).is_none() {
            return;
        }
        // What it alone has had is not known of any more, and another topic that is behind brings it again.
        self.may_repeat = true;
        self.progress.end(topic);
        self.follower.cancel(topic);
        if let Some(link) = &mut self.link {
            link.back.push_back(Back::Cancel(topic.to_vec()));
        }
    }

    fn connect(&mut self) {
        if self.link.is_some() {
            return;
        }
        self.link = Some(Link {
            feed: Feed::new(self.next),
            searches: Vec::new(),
            to: VecDeque::new(),
            back: VecDeque::new(),
        });
        let end = self.follower.end(&self.progress);
        self.follower.opened();
        for (topic, start) in self.wanted.clone() {
            let start = match end.resume_at(topic) {
                Some(offset) => Start::Offset(offset),
                None => start,
            };
            self.ask(topic, start);
        }
    }

    fn cut(&mut self) {
        self.link = None;
    }

    /// The oldest messages go.
    fn trim(&mut self) {
        for _ in 0..self.below(5) {
            if let Some((offset, _)) = self.log.pop_first() {
                self.lose(0, offset);
            }
        }
    }

    fn lose(&mut self, first: u64, last: u64) {
        if let Some(latest) = &mut self.latest {
            latest.lose(first, last);
        }
    }

    /// The publisher hears something, and finds what it has searched for.
    fn answer(&mut self) {
        let next = self.next;
        let finds = self.below(2) == 0;
        let Some(link) = &mut self.link else {
            return;
        };
        match link.back.pop_front() {
            Some(Back::Replay(frames)) => {
                let (topic, start) = match notice(&frames).0 {
                    LogNotice::Replay(data) => {
                        let (start, topic) =
                            feed::parse(LogNotice::Replay(data)).expect("a REPLAY");
                        (topic.to_vec(), start)
                    }
                    other => panic!("{other:?}"),
                };
                link.searches.extend(link.feed.replay(&topic, start, next));
            }
            Some(Back::Cancel(topic)) => link.feed.cancel(&topic),
            None => {}
        }
        if finds && let Some(search) = link.searches.pop() {
            let offset = match search.start {
                Start::Last(count) => {
                    let matching = self.log.iter().rev();
                    let mut matching =
                        matching.filter(|(_, first)| first.starts_with(&search.topic));
                    let nth = matching.nth(count as usize - 1).map(|(offset, _)| *offset);
                    let oldest = self
                        .log
                        .first_key_value()
                        .map_or(next, |(offset, _)| *offset);
                    nth.unwrap_or(oldest)
                }
                Start::Time(time) => {
                    let mut since = self.log.range(time..);
                    since.next().map_or(next, |(offset, _)| *offset)
                }
                other => panic!("{other:?}"),
            };
            link.feed.found(search.number, offset);
        }
        let mut out = Vec::new();
        while link.feed.answer(next, &mut out).is_some() {
            link.to.push_back(Item::Command(std::mem::take(&mut out)));
        }
    }

    /// Reads from the log for a subscriber that is behind.
    fn pump(&mut self) {
        let most = self.below(4);
        let next = self.next;
        let Some(link) = &mut self.link else {
            return;
        };
        let (progress, _) = link.feed.to_read();
        let mut position = progress.position();
        for _ in 0..most {
            if link.feed.is_live() || !link.room() {
                break;
            }
            let there = self.log.range(position..next).next();
            let offset = there.map_or(next, |(offset, _)| *offset);
            if offset > position {
                let mut out = Vec::new();
                let gaps = match &self.latest {
                    Some(latest) => latest.lost().within(position, offset - 1),
                    None => vec![(position, offset - 1)],
                };
                for (first, last) in gaps {
                    link.feed.gap(first, last, &mut out);
                }
                if !out.is_empty() {
                    link.to.push_back(Item::Command(out));
                }
                link.feed.pass(offset, next);
            }
            let Some((_, first)) = there else {
                break;
            };
            if link.feed.to_read().0.wants(offset, first) {
                link.send(offset);
            }
            position = offset + 1;
            link.feed.pass(position, next);
        }
        let mut out = Vec::new();
        link.feed.tell_next(next, 3, &mut out);
        if !out.is_empty() {
            link.to.push_back(Item::Command(out));
        }
    }

    fn arrive(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        match link.to.pop_front() {
            Some(Item::Command(frames)) => {
                let mut rest = &frames[..];
                while !rest.is_empty() {
                    let (notice, after) = notice(rest);
                    self.follower.notice(notice).expect("what a publisher says");
                    rest = after;
                }
                self.settle();
            }
            Some(Item::Message(offset)) => {
                self.arrived.push_back(offset);
                let waiting = self.arrived.len() as u64;
                self.follower.arrived(waiting).expect("a message");
            }
            None => {}
        }
    }

    fn settle(&mut self) {
        while let Some((first, last)) = self.follower.settle(&mut self.progress) {
            for offset in first..=last {
                assert!(!self.log.contains_key(&offset), "{offset} is not gone");
            }
            if let Some(latest) = &self.latest {
                assert_eq!(latest.lost().within(first, last), [(first, last)]);
            }
            self.gaps.push((first, last));
        }
    }

    fn take(&mut self) {
        self.settle();
        let Some(offset) = self.arrived.pop_front() else {
            return;
        };
        let first = self.all[&offset];
        let before = self.progress.position();
        let fresh = self.follower.is_next_fresh(&self.progress, first);
        let numbered = self.follower.take(&mut self.progress, first);
        assert_eq!(fresh, numbered.is_some_and(|numbered| numbered.fresh));
        let numbered = numbered.expect("a message with an offset");
        assert_eq!(numbered.offset, offset);
        assert!(offset >= before || self.unsubscribes, "they ascend");
        if numbered.fresh && self.wanted.keys().any(|topic| first.starts_with(topic)) {
            *self.taken.entry(offset).or_default() += 1;
        }
        self.settle();
    }

    /// Lets all come that is to come.
    fn drain(&mut self) {
        self.connect();
        for _ in 0..10_000 {
            self.answer();
            self.pump();
            self.arrive();
            self.take();
            let link = self.link.as_ref().expect("a link");
            let idle = link.back.is_empty() && link.to.is_empty() && link.searches.is_empty();
            if idle && link.feed.is_live() && self.arrived.is_empty() {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    fn check(&self) {
        for (offset, first) in &self.all {
            let count = self.taken.get(offset).copied().unwrap_or(0);
            let told = self
                .gaps
                .iter()
                .any(|(first, last)| (*first..=*last).contains(offset));
            let due = self.wanted.keys().any(|topic| {
                let start = self.progress.start_of(topic);
                first.starts_with(topic) && start.is_some_and(|start| *offset >= start)
            });
            let had = count > 0 || told || self.superseded.contains(offset);
            assert!(!due || had, "{offset} is missing");
            assert!(count <= 1 || self.may_repeat, "{offset} came {count} times");
        }
    }
}

impl Link {
    fn room(&self) -> bool {
        let messages = self
            .to
            .iter()
            .filter(|item| matches!(item, Item::Message(_)));
        messages.count() < ROOM
    }

    fn send(&mut self, offset: u64) {
        let mut out = Vec::new();
        self.feed.send(offset, &mut out);
        if !out.is_empty() {
            self.to.push_back(Item::Command(out));
        }
        self.to.push_back(Item::Message(offset));
    }
}

#[test]
fn nothing_is_missing_and_nothing_comes_twice() {
    let schedules = std::env::var("ZEROHOP_SCHEDULES").ok();
    let schedules = schedules.and_then(|text| text.parse().ok());
    let (mut taken, mut gaps, mut superseded) = (0, 0, 0);
    for seed in 0..schedules.unwrap_or(SCHEDULES) {
        let run = std::panic::catch_unwind(|| {
            let mut rig = Rig::new(seed + 1);
            for _ in 0..200 {
                rig.step();
            }
            rig.drain();
            rig.check();
            let superseded = rig.superseded.iter();
            let passed = superseded.filter(|offset| !rig.taken.contains_key(offset));
            (rig.taken.len(), rig.gaps.len(), passed.count())
        });
        let (some, told, passed) = run.unwrap_or_else(|panic| {
            eprintln!("schedule {seed}");
            std::panic::resume_unwind(panic)
        });
        taken += some;
        gaps += told;
        superseded += passed;
    }
    assert!(
        taken > 10_000 && gaps > 500 && superseded > 1_000,
        "{taken} messages, {gaps} gaps, {superseded} passed over"
    );
}

/// Whatever a peer says, nothing panics.
#[test]
fn hostile_commands_are_refused() {
    let mut rig = Rig::new(5);
    for _ in 0..20_000 {
        let mut follower = Follower::default();
        follower.opened();
        let mut progress = Progress::default();
        let mut waiting = 0;
        for _ in 0..8 {
            let len = rig.below(12) as usize;
            let data: Vec<u8> = (0..len)
                .map(|_| (rig.below(40) as u8) | (rig.below(8) as u8) << 5)
                .collect();
            follower.ask(b"a");
            let said: Result<(), DeliveryError> = match rig.below(5) {
                0 => follower.notice(LogNotice::Start(&data)),
                1 => follower.notice(LogNotice::At(&data)),
                2 => follower.notice(LogNotice::Gap(&data)),
                3 => follower.notice(LogNotice::Next(&data)),
                _ => {
                    waiting += 1;
                    follower.arrived(waiting)
                }
            };
            let mut feed = Feed::new(1);
            if let Ok((start, topic)) = feed::parse(LogNotice::Replay(&data)) {
                feed.replay(topic, start, 9);
                feed.answer(9, &mut Vec::new());
            }
            if said.is_err() {
                break;
            }
            while follower.settle(&mut progress).is_some() {}
            if waiting > 0 && follower.take(&mut progress, b"a").is_some() {
                waiting -= 1;
            }
            let _ = follower.end(&progress);
        }
    }
}
