//! Which messages of a log a subscriber wants, and has not had.
//!
//! Both ends of a connection have one, and come to the same conclusions. There is one position. Before it a subscriber has had
//! everything of its topics, from where each began. When a topic begins further back, the position goes back there; where it has been is
//! noted (*marks*), since of what is before a mark topics that were there already have had their part.

use std::collections::{BTreeMap, HashMap};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    position: u64,
    topics: HashMap<Vec<u8>, Topic>,
    /// How many topics there are of each length.
    lengths: BTreeMap<usize, usize>,
    /// Topics that have begun.
    active: usize,
    /// No topic has had anything from here on, but for what is before the position or a mark.
    high: u64,
    /// Where the position was when it went back, and which topics came later. Sorted by both: a later one that is higher takes the place of those
    /// before it.
    marks: Vec<Mark>,
    /// Counts the times that the position went back.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Topic {
    /// The offset that it begins with.
    start: u64,
    /// Before this it has had all on earlier connections.
    until: u64,
    /// Marks of this turn and later ones hold for it. `None`: it has not begun on this connection, and the position says nothing of it.
    turn: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    turn: u64,
    position: u64,
}

impl Progress {
    /// One without topics, that is at this offset.
    pub(crate) fn new(position: u64) -> Progress {
        Progress {
            position,
            ..Progress::default()
        }
    }

    /// The offset up to which all has been had.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// All up to this offset has been had, or is not wanted.
    pub(crate) fn advance(&mut self, position: u64) {
        self.position = self.position.max(position);
        while self
            .marks
            .last()
            .is_some_and(|mark| mark.position <= self.position)
        {
            self.marks.pop();
        }
    }

    /// A topic is wanted from this offset on; if it was wanted before, that counts no more.
    pub(crate) fn begin(&mut self, topic: &[u8], start: u64) {
        self.add(topic, start, start, start);
    }

    /// The same, where what was had of the topic on earlier connections still counts.
    pub(crate) fn resume(&mut self, topic: &[u8], from: u64) {
        match self.topics.get(topic).copied() {
            Some(Topic {
                start,
                until,
                turn: None,
            }) if (start..=until).contains(&from) => {
                self.add(topic, start, until, from);
            }
            Some(_) | None => self.begin(topic, from),
        }
    }

    fn add(&mut self, topic: &[u8], start: u64, until: u64, from: u64) {
        self.end(topic);
        self.go_back(from);
        self.high = self.high.max(until);
        self.active += 1;
        let added = Topic {
            start,
            until,
            turn: Some(self.turn),
        };
        self.topics.insert(topic.to_vec(), added);
        *self.lengths.entry(topic.len()).or_default() += 1;
    }

    fn go_back(&mut self, to: u64) {
        if self.active == 0 {
            self.position = to;
            self.marks.clear();
            return;
        }
        if to >= self.position {
            return;
        }
        self.marks.retain(|mark| mark.position > self.position);
        self.marks.push(Mark {
            turn: self.turn,
            position: self.position,
        });
        self.turn += 1;
        self.position = to;
    }

    /// There is a new connection, on which no topic has begun.
    pub(crate) fn suspend(&mut self) {
        let mut topics = std::mem::take(&mut self.topics);
        for topic in topics.values_mut() {
            topic.until = self.until(*topic);
            topic.turn = None;
            self.high = self.high.max(topic.until);
        }
        self.topics = topics;
        self.active = 0;
        self.marks.clear();
    }

    /// A topic is no longer wanted; whether it was.
    pub(crate) fn end(&mut self, topic: &[u8]) -> bool {
        let Some(ended) = self.topics.remove(topic) else {
            return false;
        };
        self.active -= usize::from(ended.turn.is_some());
        if let Some(count) = self.lengths.get_mut(&topic.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&topic.len());
            }
        }
        true
    }

    pub(crate) fn has(&self, topic: &[u8]) -> bool {
        self.topics.contains_key(topic)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &[u8]> {
        self.topics.keys().map(Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Before this offset the topic has had all.
    fn until(&self, topic: Topic) -> u64 {
        let Some(turn) = topic.turn else {
            return topic.until;
        };
        let first = self.marks.partition_point(|mark| mark.turn < turn);
        let mark = self.marks.get(first).map_or(0, |mark| mark.position);
        topic.until.max(mark).max(self.position)
    }

    /// Where a topic is to go on.
    pub(crate) fn resume_at(&self, topic: &[u8]) -> Option<u64> {
        let topic = self.topics.get(topic)?;
        Some(self.until(*topic))
    }

    fn matching(&self, first: &[u8]) -> impl Iterator<Item = Topic> {
        let prefixes = self.lengths.keys().map_while(|length| first.get(..*length));
        prefixes.filter_map(|prefix| self.topics.get(prefix).copied())
    }

    /// Whether a message with this offset, which is not before the position, is wanted and has not been had.
    pub(crate) fn wants(&self, offset: u64, first: &[u8]) -> bool {
        let mut wanted = false;
        for topic in self.matching(first) {
            if offset >= self.until(topic) {
                wanted |= topic.turn.is_some();
            } else if offset >= topic.start {
                return false;
            }
        }
        wanted
    }

    /// Whether a message with this offset, whatever that is, has been had.
    pub(crate) fn has_had(&self, offset: u64, first: &[u8]) -> bool {
        if offset >= self.position && offset >= self.high && self.marks.is_empty() {
            return false;
        }
        self.matching(first)
            .any(|topic| (topic.start..self.until(topic)).contains(&offset))
    }

    #[cfg(test)]
    pub(crate) fn start_of(&self, topic: &[u8]) -> Option<u64> {
        self.topics.get(topic).map(|topic| topic.start)
    }

    /// The lowest offset that some topic wants and has not had.
    pub(crate) fn wanted_from(&self) -> Option<u64> {
        let untils = self.topics.values().map(|topic| self.until(*topic));
        untils.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_begins_further_back_gets_what_others_have_had() {
        let mut progress = Progress::new(100);
        progress.begin(b"a", 100);
        progress.advance(200);
        progress.begin(b"b", 50);
        assert_eq!(progress.position(), 50);
        assert!(progress.wants(50, b"b"));
        assert!(!progress.wants(150, b"a"), "it has had that");
        assert!(progress.wants(60, b"b1"));
        assert!(progress.wants(200, b"a"));
        assert_eq!(progress.resume_at(b"a"), Some(200));
        assert_eq!(progress.resume_at(b"b"), Some(50));
        progress.begin(b"bb", 40);
        assert_eq!(progress.resume_at(b"b"), Some(50));
        progress.advance(60);
        progress.begin(b"c", 55);
        assert!(!progress.wants(57, b"bb"), "both have had that");
        assert!(progress.wants(60, b"bb"));
        assert!(!progress.wants(199, b"a"));
        progress.advance(200);
        for topic in [&b"a"[..], b"b", b"bb", b"c"] {
            assert_eq!(progress.resume_at(topic), Some(200));
        }
        assert!(progress.marks.is_empty());
        assert!(progress.end(b"a") && !progress.end(b"a"));
        assert!(!progress.wants(200, b"a"));
    }

    /// Against one that notes what each topic has had.
    #[test]
    fn it_agrees_with_a_slow_one() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..300 {
            let mut progress = Progress::new(20);
            let mut had: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
            let mut starts: HashMap<Vec<u8>, u64> = HashMap::new();
            for _ in 0..60 {
                let topic = [&b""[..], b"a", b"ab", b"abc", b"b"][next(5) as usize].to_vec();
                match next(6) {
                    0 => {
                        let start = next(40);
                        progress.begin(&topic, start);
                        had.insert(topic.clone(), Vec::new());
                        starts.insert(topic, start);
                    }
                    1 => {
                        assert_eq!(progress.end(&topic), starts.remove(&topic).is_some());
                        had.remove(&topic);
                    }
                    _ => {
                        let offset = progress.position();
                        let first = [&b"abcd"[..], b"a", b"b", b"c"][next(4) as usize];
                        let of = |topic: &Vec<u8>| first.starts_with(topic);
                        let matching: Vec<_> =
                            starts.iter().filter(|(topic, _)| of(topic)).collect();
                        let wanting = matching.iter().any(|(topic, start)| {
                            offset >= **start && !had[*topic].contains(&offset)
                        });
                        let gone = matching
                            .iter()
                            .any(|(topic, _)| had[*topic].contains(&offset));
                        assert_eq!(progress.wants(offset, first), wanting && !gone);
                        for (topic, start) in &starts {
                            if offset >= *start {
                                had.entry(topic.clone()).or_default().push(offset);
                            }
                        }
                        progress.advance(offset + 1);
                    }
                }
            }
        }
    }
}
