//! Deadlines of a socket, soonest first.
//!
//! Entries are never cancelled. When one comes up, its owner compares with the deadline that it has by then, and arms another entry if
//! that is later. So to move a deadline, as each received byte does with that of the heartbeat, costs a store and no heap operation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::engine::peer::dialer::Attempt;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Handshake deadline, connect deadline or heartbeat of the connection with this token.
    Connection(usize),
    /// Next attempt of the dialer of this peer, if it still is at this attempt.
    Redial(usize, Attempt),
    /// Next offer of this inproc peer, if it still waits for it.
    Offer(usize, Attempt),
    /// The listener at this index accepts again.
    Listener(usize),
    /// Something of acknowledged delivery is due.
    Delivery,
    /// Peers that wait for some of the memory budget ask again.
    Budget,
    /// The connection at this index of those ended by us has been waited for long enough.
    Farewell(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// A deadline is sooner than what [`Timers::announce`] last said.
    sooner: bool,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) {
        self.sooner |= self.next().is_none_or(|next| at < next);
        self.heap.push(Reverse((at, timer)));
    }

    /// When the soonest deadline is.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Gives memory back that no timer takes.
    pub(crate) fn shrink(&mut self) {
        self.heap.shrink_to_fit();
    }

    /// Keeps the timers that `keep` wants.
    pub(crate) fn retain(&mut self, keep: impl Fn(Instant, &Timer) -> bool) {
        self.heap.retain(|Reverse((at, timer))| keep(*at, timer));
    }

    /// When the soonest deadline is, for the caretaker, which comes back for it.
    pub(crate) fn announce(&mut self) -> Option<Instant> {
        self.sooner = false;
        self.next()
    }

    /// Whether there is a deadline sooner than the one last announced.
    pub(crate) fn unannounced(&self) -> bool {
        self.sooner
    }

    /// Takes a deadline that has passed.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}
