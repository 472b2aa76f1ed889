//! What is unsettled on a connection, by its tag.
//!
//! Tags are given one after the other, and as a rule settled nearly so. So there is a queue with 4 bytes for each tag, from the oldest that is unsettled on. When most of it is
//! settled, those that are left are put into a table: what one worker never settles keeps no room for all that comes behind it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// In the queue, for a tag that is settled, or in the table.
const NONE: u32 = u32::MAX;

/// A queue that is as short is left as it is.
const SHORT: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Tags {
    /// The tag that is first in the queue.
    first: u64,
    queue: VecDeque<u32>,
    /// So many in the queue are unsettled.
    queued: usize,
    apart: HashMap<u64, usize, BuildHasherDefault<TagHasher>>,
}

/// Tags are counted here, and those of others are only looked up: they need no better one.
#[derive(Default)]
struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, tag: u64) {
        // The table takes its index from the low bits and seven more from the top.
        self.0 = (self.0 ^ tag)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}

impl Tags {
    pub(super) fn len(&self) -> usize {
        self.queued + self.apart.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next tag, or a later one, with the key of its message.
    pub(super) fn insert(&mut self, tag: u64, key: usize) {
        if self.queue.is_empty() {
            self.first = tag;
        }
        let follows = self.first + self.queue.len() as u64 == tag;
        match u32::try_from(key) {
            Ok(short) if follows && short != NONE => {
                self.queue.push_back(short);
                self.queued += 1;
            }
            Ok(_) | Err(_) => {
                self.apart.insert(tag, key);
                if follows && !self.queue.is_empty() {
                    self.queue.push_back(NONE);
                }
            }
        }
    }

    /// The key of the message, which is settled.
    pub(super) fn remove(&mut self, tag: u64) -> Option<usize> {
        let place = tag.checked_sub(self.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let queued = place.and_then(|place| self.queue.get_mut(place));
        let Some(short) = queued.filter(|short| **short != NONE) else {
            return self.apart.remove(&tag);
        };
        let key = std::mem::replace(short, NONE) as usize;
        self.queued -= 1;
        self.tidy();
        Some(key)
    }

    /// The queue begins with what is unsettled, and not much of it is settled.
    fn tidy(&mut self) {
        while self.queue.front() == Some(&NONE) {
            self.queue.pop_front();
            self.first += 1;
        }
        if self.queue.len() > SHORT && self.queued < self.queue.len() / 4 {
            self.put_apart();
        }
    }

    /// The same for this tag and those behind it, up to `most` of them, as far as their messages have one key after the other: the first key, and how
    /// many these are.
    pub(super) fn remove_run(&mut self, tag: u64, most: u64) -> Option<(usize, usize)> {
        let place = tag.checked_sub(self.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let place = place.filter(|place| *place < self.queue.len());
        let first = place.and_then(|place| self.queue.get(place).copied());
        let (Some(place), Some(first)) = (place, first.filter(|first| *first != NONE)) else {
            return self.apart.remove(&tag).map(|key| (key, 1));
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let most = most.min(self.queue.len() - place);
        let mut count = 0;
        for short in self.queue.range_mut(place..place + most) {
            let follows = u32::try_from(count).ok();
            let follows = follows.and_then(|count| first.checked_add(count));
            if follows != Some(*short) || *short == NONE {
                break;
            }
            *short = NONE;
            count += 1;
        }
        self.queued -= count;
        if place == 0 {
            self.queue.drain(..count);
            self.first += count as u64;
        }
        self.tidy();
        Some((first as usize, count))
    }

    fn put_apart(&mut self) {
        for (tag, short) in (self.first..).zip(self.queue.drain(..)) {
            if short != NONE {
                self.apart.insert(tag, short as usize);
            }
        }
        self.queued = 0;
    }

    /// Tags and keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, usize)> {
        let queued = (self.first..).zip(&self.queue);
        let queued = queued.filter(|(_, short)| **short != NONE);
        let queued = queued.map(|(tag, short)| (tag, *short as usize));
        queued.chain(self.apart.iter().map(|(tag, key)| (*tag, *key)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_table() {
        let mut random = 7_u64;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) % limit
        };
        let (mut tags, mut model) = (Tags::default(), BTreeMap::new());
        let mut next = 0;
        let (mut apart, mut runs, mut last) = (0, 0, 0);
        for round in 0..40_000_u64 {
            // It grows and shrinks in turn.
            if below(5) < 1 + round / 2_000 % 4 {
                next += u64::from(below(50) == 0);
                let key = match below(40) {
                    0 => u32::MAX as usize + below(3) as usize,
                    1..20 => below(1 << 32) as usize,
                    _ => last + 1,
                };
                last = key;
                tags.insert(next, key);
                model.insert(next, key);
                next += 1;
            } else {
                let oldest = model.keys().next().copied().unwrap_or(0);
                let tag = match below(4) {
                    0 => below(next + 3),
                    _ => oldest + below(30),
                };
                if below(2) == 0 {
                    assert_eq!(tags.remove(tag), model.remove(&tag));
                } else {
                    let most = 1 + below(4);
                    let removed = tags.remove_run(tag, most);
                    assert_eq!(removed.is_some(), model.contains_key(&tag));
                    let (first, count) = removed.unwrap_or_default();
                    assert!(count as u64 <= most);
                    for follows in 0..count {
                        let removed = model.remove(&(tag + follows as u64));
                        assert_eq!(removed, Some(first + follows));
                        runs += usize::from(follows > 0);
                    }
                }
            }
            assert_eq!(
                (tags.len(), tags.is_empty()),
                (model.len(), model.is_empty())
            );
            apart = apart.max(tags.apart.len());
            assert!(tags.queue.len() <= SHORT || tags.queue.len() <= 4 * tags.queued + 4);
        }
        assert!(apart > 50 && runs > 20, "{apart}, {runs}");
        let mut all: Vec<_> = tags.iter().collect();
        all.sort_unstable();
        assert!(all.len() > 10);
        assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}
