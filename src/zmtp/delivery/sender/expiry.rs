//! When messages are over that have a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages that wait somewhere else than in front are searched for so often at the most: it takes a look at all that wait.
const SEARCH_AFTER: Duration = Duration::from_millis(10);

/// The times of messages, of which nothing is here when none has one.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// Times with numbers and keys, the earliest first. Those of messages that are finished stay for a while.
    times: VecDeque<(Instant, u64, usize)>,
    /// So many messages are over, are not out, and have not been found where they wait.
    lost: usize,
    searched: Option<Instant>,
    /// Connections, and tags of messages to be given back.
    revoked: Vec<(usize, Vec<u64>)>,
}

impl Expiry {
    /// Another message, beside `held` others; `lives` says whether one is still held.
    pub(super) fn add(
        &mut self,
        at: Instant,
        number: u64,
        key: usize,
        held: usize,
        lives: impl Fn(usize, u64) -> bool,
    ) {
        if self.times.len() > 2 * held + 64 {
            self.times.retain(|&(_, number, key)| lives(key, number));
        }
        // All have the same time to live, and come in order, but for those of an earlier process.
        if self.times.back().is_none_or(|&(last, ..)| last <= at) {
            self.times.push_back((at, number, key));
        } else {
            let place = self.times.partition_point(|&(other, ..)| other <= at);
            self.times.insert(place, (at, number, key));
        }
    }

    /// The next message whose time is over: its number and its key.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u64, usize)> {
        let &(at, number, key) = self.times.front()?;
        if at > now {
            return None;
        }
        self.times.pop_front();
        Some((number, key))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Passes over messages that are finished, so that nobody comes for them.
    pub(super) fn skip(&mut self, lives: impl Fn(usize, u64) -> bool) {
        while let Some(&(_, number, key)) = self.times.front()
            && !lives(key, number)
        {
            self.times.pop_front();
        }
    }

    /// A message is over that waits somewhere.
    pub(super) fn lost(&mut self) {
        self.lost += 1;
    }

    pub(super) fn len_lost(&self) -> usize {
        self.lost
    }

    pub(super) fn found(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// Whether those that are lost are to be searched for now.
    pub(super) fn is_search_due(&mut self, now: Instant) -> bool {
        let is_due = self.lost > 0 && self.search_at().is_none_or(|at| at <= now);
        if is_due {
            self.searched = Some(now);
        }
        is_due
    }

    fn search_at(&self) -> Option<Instant> {
        self.searched.map(|at| at + SEARCH_AFTER)
    }

    pub(super) fn revoke(&mut self, connection: usize, tags: impl Iterator<Item = u64>) {
        let mut tags: Vec<u64> = tags.collect();
        if !tags.is_empty() {
            tags.sort_unstable();
            self.revoked.push((connection, tags));
        }
    }

    pub(super) fn revoked(&mut self) -> Vec<(usize, Vec<u64>)> {
        std::mem::take(&mut self.revoked)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let next = self.times.front().map(|&(at, ..)| at);
        let search = self.search_at().filter(|_| self.lost > 0);
        next.into_iter().chain(search).min()
    }
}
