//! Which messages a log has that keeps the newest of each topic alone: a new one takes the place of the oldest of its topic. Pure data.
//!
//! A topic is the first frame of a message, the whole of it. Nothing of this is written: who reads the log finds it out again, since the newest
//! messages of a topic are the same in whatever order it comes upon them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// So many ranges of lost messages are remembered.
const LOST_MAX: usize = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct Latest {
    /// So many messages of each topic are kept.
    keep: u64,
    topics: HashMap<Arc<[u8]>, Topic>,
    /// All messages that are kept.
    entries: BTreeMap<u64, Entry>,
    bytes: u64,
    /// Messages that are gone although none took their place.
    lost: Ranges,
}

#[derive(Debug)]
struct Topic {
    oldest: u64,
    newest: u64,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<[u8]>,
    /// The next message of the topic, or 0, which no message is.
    next: u64,
    /// Bytes of its record, in units of 8.
    len: u32,
    /// When it was appended, in seconds since 1970.
    time: u32,
}

/// What a message takes, and when it was appended in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) len: u64,
    pub(crate) time: u64,
}

impl Latest {
    pub(crate) fn new(keep: u64) -> Latest {
        Latest {
            keep: keep.max(1),
            topics: HashMap::new(),
            entries: BTreeMap::new(),
            bytes: 0,
            lost: Ranges::default(),
        }
    }

    /// Bytes of the records of all messages that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A message later than all others. Gives the one whose place it takes.
    pub(crate) fn push(&mut self, seq: u64, topic: &[u8], extent: Extent) -> Option<u64> {
        let known = self.topics.get_mut(topic);
        let name = match known {
            Some(known) => {
                let name = match self.entries.get_mut(&known.newest) {
                    Some(newest) => {
                        newest.next = seq;
                        Arc::clone(&newest.topic)
                    }
                    None => Arc::from(topic),
                };
                known.newest = seq;
                known.count += 1;
                name
            }
            None => {
                let name = Arc::from(topic);
                let alone = Topic {
                    oldest: seq,
                    newest: seq,
                    count: 1,
                };
                self.topics.insert(Arc::clone(&name), alone);
                name
            }
        };
        self.enter(seq, Entry::new(name, 0, extent));
        self.superseded(topic)
    }

    /// A message whose copy is found where a log is read: it may be older than others of its topic, and may have been found before. Gives the one that has to go
    /// for it, which may be itself.
    pub(crate) fn insert(&mut self, seq: u64, topic: &[u8], extent: Extent) -> Option<u64> {
        // What it was copied from may be gone.
        self.lost.remove(seq);
        if self.entries.contains_key(&seq) {
            self.moved(seq, extent.len);
            return None;
        }
        let Some(known) = self.topics.get(topic) else {
            return self.push(seq, topic, extent);
        };
        if seq > known.newest {
            return self.push(seq, topic, extent);
        }
        let (mut before, mut after) = (0, known.oldest);
        while after != 0 && after < seq {
            before = after;
            after = self.entries.get(&after).map_or(0, |entry| entry.next);
        }
        let name = match self.topics.get_key_value(topic) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(topic),
        };
        self.enter(seq, Entry::new(name, after, extent));
        match self.entries.get_mut(&before) {
            Some(before) => before.next = seq,
            None => {
                if let Some(known) = self.topics.get_mut(topic) {
                    known.oldest = seq;
                }
            }
        }
        if let Some(known) = self.topics.get_mut(topic) {
            known.count += 1;
        }
        self.superseded(topic)
    }

    fn enter(&mut self, seq: u64, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.insert(seq, entry);
    }

    /// Takes out what a topic has too much.
    fn superseded(&mut self, topic: &[u8]) -> Option<u64> {
        let known = self.topics.get_mut(topic)?;
        if known.count <= self.keep {
            return None;
        }
        let oldest = known.oldest;
        let entry = self.entries.remove(&oldest)?;
        known.oldest = entry.next;
        known.count -= 1;
        self.bytes -= entry.bytes();
        Some(oldest)
    }

    /// The record of a message has another length now.
    pub(crate) fn moved(&mut self, seq: u64, len: u64) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            self.bytes -= entry.bytes();
            entry.len = units(len);
            self.bytes += entry.bytes();
        }
    }

    /// Messages from `first` to `last` are gone for good.
    pub(crate) fn lose(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        while let Some((&seq, _)) = self.entries.range(first..=last).next() {
            self.remove(seq);
        }
        self.lost.add(first, last);
    }

    fn remove(&mut self, seq: u64) {
        let Some(entry) = self.entries.remove(&seq) else {
            return;
        };
        self.bytes -= entry.bytes();
        let Some(known) = self.topics.get_mut(&entry.topic) else {
            return;
        };
        known.count -= 1;
        if known.count == 0 {
            self.topics.remove(&entry.topic);
            return;
        }
        if known.oldest == seq {
            known.oldest = entry.next;
            return;
        }
        let mut before = known.oldest;
        while let Some(next) = self.entries.get(&before).map(|entry| entry.next)
            && next != seq
            && next != 0
        {
            before = next;
        }
        if let Some(before) = self.entries.get_mut(&before) {
            before.next = entry.next;
        }
        if known.newest == seq {
            known.newest = before;
        }
    }

    /// What is to go so that as few bytes stay as may, but `keep` at least, and nothing from before `since`: all messages up to this one. With the time of the
    /// oldest message that stays. Times are in milliseconds since 1970. One that is later than `now` is of a clock that was ahead: the message goes by age with those behind it.
    pub(crate) fn outdated(
        &self,
        keep: Option<u64>,
        since: Option<u64>,
        now: u64,
    ) -> (Option<u64>, Option<u64>) {
        let mut left = self.bytes;
        let (mut upto, mut ahead) = (None, None);
        for (seq, entry) in &self.entries {
            let large = keep.is_some_and(|keep| left - entry.bytes() >= keep);
            let old = since.is_some_and(|since| u64::from(entry.time) < since / 1000);
            let time = u64::from(entry.time) * 1000;
            left -= entry.bytes();
            if large || old {
                (upto, ahead) = (Some(*seq), None);
            } else if since.is_some() && time > now {
                ahead = ahead.or(Some(time));
            } else {
                return (upto, Some(time));
            }
        }
        (upto, ahead)
    }

    /// Ranges of messages that are gone although none took their place.
    pub(crate) fn lost(&self) -> &Ranges {
        &self.lost
    }
}

fn units(len: u64) -> u32 {
    u32::try_from(len / 8).unwrap_or(u32::MAX)
}

impl Entry {
    fn new(topic: Arc<[u8]>, next: u64, extent: Extent) -> Entry {
        Entry {
            topic,
            next,
            len: units(extent.len),
            time: u32::try_from(extent.time / 1000).unwrap_or(u32::MAX),
        }
    }

    fn bytes(&self) -> u64 {
        u64::from(self.len) * 8
    }
}

/// Ranges of numbers, by their first and last, none next to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(crate) fn add(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        while let Some((&from, &to)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if to.saturating_add(1) < first {
                break;
            }
            self.0.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        self.0.insert(first, last);
        if self.0.len() > LOST_MAX
            && let Some(second) = self.0.keys().nth(1).copied()
        {
            // The first is what was over the bounds of the log.
            self.0.remove(&second);
        }
    }

    pub(crate) fn remove(&mut self, number: u64) {
        let around = self.0.range(..=number).next_back();
        let Some((first, last)) = around.map(|(first, last)| (*first, *last)) else {
            return;
        };
        if last < number {
            return;
        }
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// The parts of them from `first` to `last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        if first > last {
            return Vec::new();
        }
        let before = self.0.range(..first).next_back();
        let ranges = before.into_iter().chain(self.0.range(first..=last));
        ranges
            .filter(|(_, to)| **to >= first)
            .map(|(from, to)| ((*from).max(first), (*to).min(last)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Random;
    use super::*;

    const TOPICS: [&[u8]; 4] = [b"", b"a", b"ab", b"b"];

    fn extent(seq: u64) -> Extent {
        Extent {
            len: 8 * (1 + seq % 5),
            time: seq * 500,
        }
    }

    /// What is kept, told without an index.
    #[derive(Default)]
    struct Model(Vec<(u64, usize)>);

    impl Model {
        fn add(&mut self, keep: u64, seq: u64, topic: usize) -> Option<u64> {
            self.0.push((seq, topic));
            self.0.sort_unstable();
            let of = |(_, other): &&(u64, usize)| *other == topic;
            let count = self.0.iter().filter(of).count() as u64;
            let oldest = self.0.iter().find(of).map(|(seq, _)| *seq);
            let gone = oldest.filter(|_| count > keep)?;
            self.0.retain(|(seq, _)| *seq != gone);
            Some(gone)
        }

        fn outdated(&self, keep: u64, since: u64) -> Option<u64> {
            let len = |seq: u64| extent(seq).len;
            let mut left: u64 = self.0.iter().map(|(seq, _)| len(*seq)).sum();
            let goes = self.0.iter().take_while(|(seq, _)| {
                let large = left - len(*seq) >= keep;
                left -= len(*seq);
                large || extent(*seq).time / 1000 < since / 1000
            });
            goes.last().map(|(seq, _)| *seq)
        }
    }

    #[test]
    fn the_newest_of_each_topic_are_kept() {
        for seed in 0..300 {
            let mut random = Random(seed);
            let keep = 1 + random.below(3) as u64;
            let (mut latest, mut model) = (Latest::new(keep), Model::default());
            let mut next = 1;
            for _ in 0..100 {
                let topic = random.below(TOPICS.len());
                match random.below(8) {
                    0 => {
                        // A number that may have been left out, or is there.
                        let seq = 1 + random.below(next as usize) as u64;
                        next = next.max(seq + 1);
                        let there = model.0.iter().find(|(other, _)| *other == seq);
                        let name = there.map_or(topic, |(_, name)| *name);
                        let expected = match there {
                            Some(_) => None,
                            None => model.add(keep, seq, name),
                        };
                        let gone = latest.insert(seq, TOPICS[name], extent(seq));
                        assert_eq!(gone, expected);
                    }
                    1 => {
                        let first = random.below(next as usize) as u64;
                        let last = first + random.below(4) as u64;
                        latest.lose(first, last);
                        model.0.retain(|(seq, _)| !(first..=last).contains(seq));
                        assert_eq!(latest.lost().within(first, last), [(first, last)]);
                    }
                    _ => {
                        next += random.below(2) as u64;
                        let expected = model.add(keep, next, topic);
                        assert_eq!(latest.push(next, TOPICS[topic], extent(next)), expected);
                        next += 1;
                    }
                }
                let kept: Vec<u64> = model.0.iter().map(|(seq, _)| *seq).collect();
                assert_eq!(latest.entries.keys().copied().collect::<Vec<_>>(), kept);
                let bytes: u64 = kept.iter().map(|seq| extent(*seq).len).sum();
                assert_eq!(latest.bytes(), bytes);
                let (size, since) = (random.below(60) as u64, random.below(20_000) as u64);
                let (gone, oldest) = latest.outdated(Some(size), Some(since), u64::MAX);
                assert_eq!(gone, model.outdated(size, since));
                let stays = kept.iter().find(|seq| gone.is_none_or(|gone| **seq > gone));
                assert_eq!(oldest, stays.map(|seq| extent(*seq).time / 1000 * 1000));
                let named: u64 = latest.topics.values().map(|topic| topic.count).sum();
                assert_eq!(named, kept.len() as u64);
            }
        }
    }

    #[test]
    fn messages_go_by_age_although_the_clock_was_ahead_once() {
        let mut latest = Latest::new(1);
        for (seq, time) in [(1, 10_000), (2, 9_000_000), (3, 20_000), (4, 9_000_000)] {
            let topic = [seq as u8];
            latest.push(seq, &topic, Extent { len: 8, time });
        }
        let outdated = |since| latest.outdated(None, Some(since), 50_000);
        assert_eq!(outdated(10_000), (None, Some(10_000)));
        assert_eq!(outdated(15_000), (Some(1), Some(20_000)));
        assert_eq!(outdated(25_000), (Some(3), Some(9_000_000)));
        // By size they go in their order.
        assert_eq!(latest.outdated(Some(16), None, 50_000).0, Some(2));
        assert_eq!(latest.outdated(Some(16), Some(25_000), 50_000).0, Some(3));
    }

    #[test]
    fn ranges_are_joined_and_bounded() {
        let mut ranges = Ranges::default();
        for (first, last) in [
            (10, 12),
            (5, 6),
            (13, 13),
            (9, 8),
            (20, 30),
            (25, 27),
            (7, 9),
        ] {
            ranges.add(first, last);
        }
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(5, 13), (20, 30)]);
        assert_eq!(ranges.within(0, 4), []);
        assert_eq!(ranges.within(13, 20), [(13, 13), (20, 20)]);
        assert_eq!(ranges.within(14, u64::MAX), [(20, 30)]);
        assert_eq!(ranges.within(6, 5), []);
        for number in [5, 4, 25, 30] {
            ranges.remove(number);
        }
        let left: Vec<_> = ranges.iter().collect();
        assert_eq!(left, [(6, 13), (20, 24), (26, 29)]);
        ranges.add(0, u64::MAX);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(0, u64::MAX)]);
        let mut many = Ranges::default();
        for number in 0..2 * LOST_MAX as u64 {
            many.add(2 * number, 2 * number);
        }
        assert_eq!(many.iter().count(), LOST_MAX);
        assert_eq!(many.within(0, 5), [(0, 0)]);
    }
}
