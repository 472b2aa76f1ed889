//! Hand-over: who waits for a socket, and for what: whoever changes the socket's state → the threads and tasks that wait for it.
//!
//! | who waits | how | hears of |
//! |---|---|---|
//! | a thread in the seat | in the kernel, with the socket's poll | events; and what others change, by the poll's waker |
//! | a thread beside it | on `changed` | every batch that is processed, and that the seat falls free |
//! | a task | its waker lies here, under a [`Key`] | what it is [interested](Interest) in, and the end |
//! | whoever watches from outside | by an observer of a [level](super::levels) | that the level has changed |
//!
//! [`Waiting`], which says who waits, lies under the state lock. Whoever changes the state collects meanwhile [what has
//! changed](Changes), and [tells](Attention::tell) before the lock is released. So who has looked at the state and is about to
//! wait misses nothing. Wakers are code of the application: here they are only handed out, to be woken when the lock has been
//! released.
//!
//! Invariants, whenever the state lock is free:
//!
//! - **While a message is there and a task waits for one, another task has been woken for a message that has neither looked since nor
//!   been dropped.** A new message wakes one task, not all. That one looks, and if there is more, wakes the next; if it is dropped
//!   instead, [`Attention::deregister`] says so, and the wake-up is passed on. Of the tasks that wait for requests or messages of theirs to
//!   end, those are woken whose have, and of those that wait until messages are safe, those of which that is known. Tasks that wait for something else are all woken: what suits one of them need not suit another.
//! - **While a task waits, or an observer shows a low level, somebody hears of the kernel's events at once**: a caller in the seat, or
//!   the caretaker, which watches the socket or has been told to; or the observer itself, if nobody else waits. See [`Presence::tasks_wait`].

use std::collections::BTreeMap;
use std::task::Waker;

use super::levels::{Levels, Side};
use super::presence::Presence;
use crate::sync::Condvar;

/// What has changed since those who wait were last told: a set.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changes(u8);

impl Changes {
    /// There are messages to take.
    pub(crate) const READABLE: Changes = Changes(1);
    /// A peer has room again.
    pub(crate) const WRITABLE: Changes = Changes(2);
    /// Peers have come or gone, or have said what they take or want.
    pub(crate) const PEERS: Changes = Changes(4);
    /// No call does anything any more.
    pub(crate) const CLOSED: Changes = Changes(8);
    /// Nothing by itself: the socket has [levels](super::levels), which whoever releases the lock is to update. Always there while
    /// it has.
    pub(crate) const LEVELS: Changes = Changes(16);

    #[inline]
    pub(crate) fn add(&mut self, other: Changes) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, change: Changes) -> bool {
        self.0 & change.0 != 0
    }

    /// Takes a change out; says whether it was in.
    pub(crate) fn remove(&mut self, change: Changes) -> bool {
        let had = self.has(change);
        self.0 &= !change.0;
        had
    }
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// A message, whichever it is: what one task takes, no other needs to look for.
    Message,
    /// Something of its own: room for its message.
    Own,
    /// The end of the request with this number, or what becomes of the message. The pattern says which have ended.
    Ended(u64),
    /// That the message with this number is safe, or never will be. The pattern says of which ones that is known.
    Safe(u64),
}

impl Interest {
    /// Whether peers have to do something for it.
    pub(crate) fn is_in_peers(self) -> bool {
        matches!(self, Interest::Message | Interest::Ended(_))
    }
}

/// Names a task that waits, or has been woken and not looked since.
#[derive(Debug)]
pub(crate) struct Key {
    number: u64,
    interest: Interest,
}

/// Who waits. Under the state lock.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Threads that wait for `changed`.
    threads: usize,
    /// Tasks that wait for any message and have not been woken, by number: the one that has waited for longest first.
    for_messages: BTreeMap<u64, Waker>,
    /// The same for those that wait for something of their own.
    for_their_own: BTreeMap<u64, Waker>,
    /// Those that wait for requests or messages to end, by the numbers of those and their own.
    for_ends: BTreeMap<(u64, u64), Waker>,
    /// Those that wait until messages are safe, likewise.
    for_safety: BTreeMap<(u64, u64), Waker>,
    next: u64,
    /// Those who watch from outside of the calls, if there are any.
    pub(crate) levels: Option<Box<Levels>>,
}

/// What is to be done for a task that waits no longer.
#[derive(Debug)]
pub(crate) enum Deregistered {
    /// Its waker, to be dropped when the lock has been released.
    Waker(Waker),
    /// It had been woken for a message and has not looked: another task has to.
    WakeUp,
    Nothing,
}

impl Waiting {
    /// Whether somebody waits who does not sit in the seat, and is not a thread in a call.
    pub(crate) fn is_anybody_outside(&self) -> bool {
        self.has_tasks() || self.levels.as_ref().is_some_and(|levels| levels.any_low())
    }

    fn has_tasks(&self) -> bool {
        !self.for_messages.is_empty()
            || !self.for_their_own.is_empty()
            || !self.for_ends.is_empty()
            || !self.for_safety.is_empty()
    }

    /// Whether all of those hear of events themselves, as pollers do.
    fn all_hear(&self) -> bool {
        !self.has_tasks() && self.levels.as_ref().is_some_and(|levels| levels.all_hear())
    }

    /// Whether tasks wait for requests or messages to end.
    pub(crate) fn awaits_ends(&self) -> bool {
        !self.for_ends.is_empty()
    }

    /// Whether tasks wait until messages are safe.
    pub(crate) fn awaits_safety(&self) -> bool {
        !self.for_safety.is_empty()
    }

    fn waker(&mut self, key: &Key) -> Option<&mut Waker> {
        match key.interest {
            Interest::Message => self.for_messages.get_mut(&key.number),
            Interest::Own => self.for_their_own.get_mut(&key.number),
            Interest::Ended(what) => self.for_ends.get_mut(&(what, key.number)),
            Interest::Safe(what) => self.for_safety.get_mut(&(what, key.number)),
        }
    }

    fn insert(&mut self, key: &Key, waker: Waker) {
        match key.interest {
            Interest::Message => self.for_messages.insert(key.number, waker),
            Interest::Own => self.for_their_own.insert(key.number, waker),
            Interest::Ended(what) => self.for_ends.insert((what, key.number), waker),
            Interest::Safe(what) => self.for_safety.insert((what, key.number), waker),
        };
    }

    fn remove(&mut self, key: &Key) -> Option<Waker> {
        match key.interest {
            Interest::Message => self.for_messages.remove(&key.number),
            Interest::Own => self.for_their_own.remove(&key.number),
            Interest::Ended(what) => self.for_ends.remove(&(what, key.number)),
            Interest::Safe(what) => self.for_safety.remove(&(what, key.number)),
        }
    }

    /// Takes out the tasks that are to look.
    fn take(&mut self, changes: Changes, mut wake: impl FnMut(Waker)) {
        if changes.has(Changes::CLOSED) {
            let all = std::mem::take(&mut self.for_messages);
            all.into_values().for_each(&mut wake);
            for ends in [&mut self.for_ends, &mut self.for_safety] {
                let all = std::mem::take(ends);
                all.into_values().for_each(&mut wake);
            }
        } else if changes.has(Changes::READABLE)
            && let Some((_, waker)) = self.for_messages.pop_first()
        {
            wake(waker);
        }
        let all = std::mem::take(&mut self.for_their_own);
        all.into_values().for_each(wake);
    }

    /// Takes out those that wait until messages with lower numbers are safe.
    fn take_safe(&mut self, below: u64, mut wake: impl FnMut(Waker)) {
        while let Some(first) = self.for_safety.first_entry()
            && first.key().0 < below
        {
            wake(first.remove());
        }
    }
}

/// The part of it that threads wait for without the lock.
#[derive(Debug)]
pub(crate) struct Attention {
    changed: Condvar,
}

impl Attention {
    pub(crate) fn new() -> Self {
        Attention {
            changed: Condvar::new(),
        }
    }

    /// A thread finds the seat taken, and is going to wait for what this gives, until
    /// [`end_thread_wait`](Self::end_thread_wait).
    pub(crate) fn begin_thread_wait(&self, waiting: &mut Waiting) -> &Condvar {
        waiting.threads += 1;
        &self.changed
    }

    pub(crate) fn end_thread_wait(&self, waiting: &mut Waiting) {
        waiting.threads -= 1;
    }

    /// A task has looked in vain, and waits for what it is interested in; `key` is what it has from the last time. A task that has
    /// not been woken since keeps its turn, and its waker from then goes to `discard`, to be dropped when the lock has been
    /// released. `true`: the caretaker has to be told to watch the socket.
    #[must_use]
    pub(crate) fn register(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        key: &mut Option<Key>,
        interest: Interest,
        waker: Waker,
        discard: impl FnOnce(Waker),
    ) -> bool {
        let first = !waiting.is_anybody_outside();
        if let Some(key) = key
            && let Some(before) = waiting.waker(key)
        {
            discard(std::mem::replace(before, waker));
            return false;
        }
        waiting.next += 1;
        let number = waiting.next;
        let key = key.insert(Key { number, interest });
        waiting.insert(key, waker);
        let heard = presence.pollers_hear(false);
        (first || heard) && presence.tasks_wait()
    }

    /// A task waits no longer.
    pub(crate) fn deregister(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        key: &Key,
    ) -> Deregistered {
        let Some(waker) = waiting.remove(key) else {
            return match key.interest {
                Interest::Message => Deregistered::WakeUp,
                Interest::Own | Interest::Ended(_) | Interest::Safe(_) => Deregistered::Nothing,
            };
        };
        if !waiting.is_anybody_outside() {
            presence.no_task_waits();
        }
        Deregistered::Waker(waker)
    }

    /// Makes those look again who wait outside of the seat. For whoever has driven in the seat. `wake` is given the wakers that are
    /// to be woken when the lock has been released.
    pub(crate) fn tell(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        changes: Changes,
        wake: impl FnMut(Waker),
    ) {
        if waiting.threads > 0 {
            self.changed.notify_all();
        }
        if !changes.is_empty() && waiting.is_anybody_outside() {
            waiting.take(changes, wake);
            if !waiting.is_anybody_outside() {
                presence.no_task_waits();
            }
        }
    }

    /// Wakes the tasks whose requests or messages have ended, and no others.
    pub(crate) fn tell_ended(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        ended: impl Iterator<Item = u64>,
        mut wake: impl FnMut(Waker),
    ) {
        let ends = &mut waiting.for_ends;
        for what in ended {
            // Several tasks may wait for one.
            while let Some((&key, _)) = ends.range((what, 0)..=(what, u64::MAX)).next() {
                ends.remove(&key).into_iter().for_each(&mut wake);
            }
        }
        if !waiting.is_anybody_outside() {
            presence.no_task_waits();
        }
    }

    /// Wakes the tasks that wait until messages are safe whose numbers are lower than this, and no others.
    pub(crate) fn tell_safe(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        below: u64,
        wake: impl FnMut(Waker),
    ) {
        waiting.take_safe(below, wake);
        if !waiting.is_anybody_outside() {
            presence.no_task_waits();
        }
    }

    /// Shows what the levels are now, if anybody watches them. `true`: the caretaker has to be told to watch the socket.
    #[must_use]
    pub(crate) fn set_levels(
        &self,
        waiting: &mut Waiting,
        presence: &Presence,
        level: impl Fn(Side) -> bool,
    ) -> bool {
        if let Some(levels) = &mut waiting.levels {
            for side in [Side::Receive, Side::Send] {
                levels.set(side, level(side));
            }
        }
        let before = presence.has_tasks();
        if !waiting.is_anybody_outside() {
            if before {
                presence.no_task_waits();
            }
            return false;
        }
        let heard = presence.pollers_hear(waiting.all_hear());
        (!before || heard) && presence.tasks_wait()
    }

    /// An observer has been taken out of the levels.
    pub(crate) fn observer_has_gone(&self, waiting: &mut Waiting, presence: &Presence) {
        if !waiting.is_anybody_outside() {
            presence.no_task_waits();
        }
    }

    /// Whether somebody sits in the seat who has to be woken as well. For whoever has changed the state from elsewhere: what the one
    /// in the seat waits for may have happened without an event of the kernel.
    pub(crate) fn must_wake_seat(&self, presence: &Presence) -> bool {
        presence.look().seat_taken()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A hundred tasks, each of which waits until a message is safe.
    fn crowd() -> (Waiting, Vec<Arc<Counted>>, Vec<Key>) {
        let mut waiting = Waiting::default();
        let tasks: Vec<Arc<Counted>> = (0..100).map(|_| Arc::default()).collect();
        let keys = (0..100).map(|number| Key {
            number: 1000 - number,
            interest: Interest::Safe(number),
        });
        let keys: Vec<Key> = keys.collect();
        for (task, key) in tasks.iter().zip(&keys) {
            waiting.insert(key, Waker::from(Arc::clone(task)));
        }
        (waiting, tasks, keys)
    }

    fn woken(tasks: &[Arc<Counted>]) -> Vec<usize> {
        let counts = tasks.iter();
        counts.map(|task| task.0.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn who_waits_for_safety_is_woken_once_and_when_it_is_known() {
        let (mut waiting, tasks, _) = crowd();
        let mut changes = Changes::default();
        for change in [Changes::READABLE, Changes::WRITABLE, Changes::PEERS] {
            changes.add(change);
        }
        for below in 0..=100 {
            waiting.take(changes, Waker::wake);
            waiting.take_safe(below, Waker::wake);
            let expected: Vec<usize> = (0..100).map(|n| usize::from(n < below)).collect();
            assert_eq!(woken(&tasks), expected);
        }
        assert!(!waiting.awaits_safety() && !waiting.is_anybody_outside());
    }

    #[test]
    fn the_end_wakes_all_who_still_wait_for_safety() {
        let (mut waiting, tasks, keys) = crowd();
        assert!(waiting.is_anybody_outside());
        assert!(waiting.waker(&keys[7]).is_some());
        assert!(waiting.remove(&keys[8]).is_some());
        assert!(waiting.remove(&keys[8]).is_none());
        waiting.take(Changes::CLOSED, Waker::wake);
        let expected: Vec<usize> = (0..100).map(|n| usize::from(n != 8)).collect();
        assert_eq!(woken(&tasks), expected);
        assert!(!waiting.is_anybody_outside());
    }
}
