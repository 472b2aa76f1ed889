//! The deadlines of many things that have one each, soonest first.
//!
//! A deadline that moves is not looked for in the heap: the owner of each thing keeps, as [`Armed`], the soonest entry that the heap
//! has for it. Only a sooner deadline makes another entry. When an entry comes up, the owner checks whether its deadline has moved to
//! a later time, or is gone, and arms an entry for what it is now. So a deadline that is pushed back again and again, as most are,
//! costs one heap operation each time that an entry comes up, and none in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

/// The soonest entry for one thing, if there is any.
#[derive(Debug, Default)]
pub(super) struct Armed(Option<Instant>);

impl Deadlines {
    /// Sees to it that there is an entry for `id` no later than its deadline.
    pub(super) fn arm(&mut self, id: usize, due: Option<Instant>, armed: &mut Armed) {
        if let Some(due) = due
            && armed.0.is_none_or(|armed| due < armed)
        {
            armed.0 = Some(due);
            self.heap.push(Reverse((due, id)));
        }
    }

    /// When the soonest entry comes up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes an entry that has come up by `now`. Its owner calls [`Armed::came_up`], and then [`arm`](Self::arm).
    pub(super) fn expired(&mut self, now: Instant) -> Option<(Instant, usize)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Armed {
    /// The entry with this time has come up. `false`: it is not the soonest one any more, and nothing is to be done.
    pub(super) fn came_up(&mut self, due: Instant) -> bool {
        self.0.take_if(|armed| *armed == due).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Random deadlines against a plain table: each comes up when it is due, and not before.
    #[test]
    fn each_deadline_comes_up_in_time() {
        const THINGS: usize = 20;
        let start = Instant::now();
        let at = |time: u64| start + Duration::from_millis(time);
        let mut random = 1u64;
        let mut random = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut deadlines = Deadlines::default();
        let mut things: Vec<(Option<Instant>, Armed)> = Vec::new();
        things.resize_with(THINGS, Default::default);
        let mut came_up = 0;
        for now in 0..10_000 {
            for _ in 0..random(4) {
                let id = random(THINGS as u64) as usize;
                let (due, armed) = &mut things[id];
                *due = (random(5) > 0).then(|| at(now + random(100)));
                deadlines.arm(id, *due, armed);
            }
            while let Some((entry, id)) = deadlines.expired(at(now)) {
                let (due, armed) = &mut things[id];
                if !armed.came_up(entry) {
                    continue;
                }
                if due.is_some_and(|due| due <= at(now)) {
                    *due = None;
                    came_up += 1;
                }
                deadlines.arm(id, *due, armed);
            }
            let late = things.iter().filter_map(|(due, _)| *due);
            assert_eq!(late.filter(|due| *due <= at(now)).count(), 0);
            let next = things.iter().filter_map(|(due, _)| *due).min();
            assert!(next.is_none_or(|next| deadlines.next().is_some_and(|entry| entry <= next)));
        }
        assert!(came_up > 1_000, "{came_up}");
    }

    /// As of a socket whose application stays active.
    #[test]
    fn a_deadline_that_moves_back_leaves_no_entries() {
        let start = Instant::now();
        let (mut deadlines, mut armed) = (Deadlines::default(), Armed::default());
        for step in 0..1_000 {
            let due = start + Duration::from_millis(step);
            deadlines.arm(7, Some(due), &mut armed);
        }
        assert_eq!(deadlines.heap.len(), 1);
        assert_eq!(deadlines.expired(start), Some((start, 7)));
        assert!(armed.came_up(start));
        assert_eq!(deadlines.next(), None);
    }
}
