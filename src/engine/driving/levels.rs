//! Levels: whether a call would have to wait, for whoever watches that from outside of the calls.
//!
//! | side | high while |
//! |---|---|
//! | [`Side::Receive`] | a call that receives would not wait: there is a message, or the socket is closed |
//! | [`Side::Send`] | a call that sends would not wait: there is room for a message, or the socket is closed |
//!
//! An [`Observer`] makes something of a level that can be waited for: a descriptor that becomes readable, or an entry of a poller. A socket
//! with observers updates its levels with each call and each turn, before the state lock is released, so that what an observer
//! shows is never older than what the last call has left. A socket without observers has no levels, and pays nothing.
//!
//! The thread of a poller waits for the socket's events itself, and drives it, as a [reactor](super::reactor) does: it has the socket's poll in its own from the time on
//! when [`Observer::hears`] is asked. It hears of all events while it waits; while it does something else, the caretaker comes a little later. Where others wait
//! beside pollers, the caretaker hears of events as if there were no poller.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;

/// What a level is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Receive,
    Send,
}

/// Shows a level.
pub(crate) trait Observer: Send + Sync + fmt::Debug {
    /// The level has changed to this. Called under the socket's state lock: it does not block.
    fn set(&self, high: bool);

    /// The socket has this poll from now on. Whether the observer's thread waits for its events, and drives the socket then. Called under the
    /// socket's state lock.
    fn hears(&self, _poll: RawFd) -> bool {
        false
    }
}

/// Names an observer of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObserverId(u64);

/// The observers of a socket, and what they show. Under the state lock.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    receive: Level,
    send: Level,
    next: u64,
}

#[derive(Debug, Default)]
struct Level {
    high: bool,
    observers: Vec<Observed>,
}

#[derive(Debug)]
struct Observed {
    id: ObserverId,
    observer: Arc<dyn Observer>,
    /// Its thread hears of events.
    hears: bool,
}

impl Levels {
    /// Adds an observer, which shows a low level so far. `poll` is what the socket waits for the kernel with, if it is there.
    pub(crate) fn add(
        &mut self,
        side: Side,
        observer: Arc<dyn Observer>,
        poll: Option<RawFd>,
    ) -> ObserverId {
        self.next += 1;
        let id = ObserverId(self.next);
        let hears = poll.is_some_and(|poll| observer.hears(poll));
        let level = self.level(side);
        if level.high {
            observer.set(true);
        }
        level.observers.push(Observed {
            id,
            observer,
            hears,
        });
        id
    }

    /// The socket has something to wait for the kernel with.
    pub(crate) fn opened(&mut self, poll: RawFd) {
        for level in [&mut self.receive, &mut self.send] {
            for observed in &mut level.observers {
                observed.hears = observed.observer.hears(poll);
            }
        }
    }

    /// Whether all observers that wait for a low level hear of events themselves.
    pub(crate) fn all_hear(&self) -> bool {
        let hear = |level: &Level| level.high || level.observers.iter().all(|one| one.hears);
        hear(&self.receive) && hear(&self.send)
    }

    pub(crate) fn remove(&mut self, id: ObserverId) {
        for level in [&mut self.receive, &mut self.send] {
            level.observers.retain(|observed| observed.id != id);
            level.high &= !level.observers.is_empty();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.has(Side::Receive) && !self.has(Side::Send)
    }

    /// Whether anybody watches this level.
    pub(crate) fn has(&self, side: Side) -> bool {
        let level = match side {
            Side::Receive => &self.receive,
            Side::Send => &self.send,
        };
        !level.observers.is_empty()
    }

    /// Whether an observer waits for a level that is low.
    pub(crate) fn any_low(&self) -> bool {
        let low = |level: &Level| !level.high && !level.observers.is_empty();
        low(&self.receive) || low(&self.send)
    }

    /// Tells the observers if the level has changed.
    pub(crate) fn set(&mut self, side: Side, high: bool) {
        let level = self.level(side);
        if level.observers.is_empty() || level.high == high {
            return;
        }
        level.high = high;
        for observed in &level.observers {
            observed.observer.set(high);
        }
    }

    fn level(&mut self, side: Side) -> &mut Level {
        match side {
            Side::Receive => &mut self.receive,
            Side::Send => &mut self.send,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Record(Mutex<Vec<bool>>);

    impl Observer for Record {
        fn set(&self, high: bool) {
            self.0.lock().expect("nobody panics").push(high);
        }
    }

    impl Record {
        fn told(&self) -> Vec<bool> {
            std::mem::take(&mut self.0.lock().expect("nobody panics"))
        }
    }

    #[test]
    fn observers_are_told_of_changes_of_their_side() {
        let mut levels = Levels::default();
        let (receive, send) = (Arc::new(Record::default()), Arc::new(Record::default()));
        levels.set(Side::Receive, true);
        let id = levels.add(Side::Receive, Arc::clone(&receive) as _, None);
        levels.add(Side::Send, Arc::clone(&send) as _, None);
        assert!(levels.any_low());
        for high in [true, true, false, true] {
            levels.set(Side::Receive, high);
        }
        assert_eq!(receive.told(), [true, false, true]);
        assert!(send.told().is_empty());
        let late = Arc::new(Record::default());
        levels.add(Side::Receive, Arc::clone(&late) as _, None);
        assert_eq!(late.told(), [true]);
        levels.remove(id);
        levels.set(Side::Receive, false);
        assert_eq!((receive.told(), late.told()), (vec![], vec![false]));
    }

    #[test]
    fn who_is_gone_waits_for_nothing() {
        let mut levels = Levels::default();
        let id = levels.add(Side::Receive, Arc::new(Record::default()), None);
        levels.set(Side::Receive, true);
        assert!(!levels.any_low() && !levels.is_empty());
        levels.remove(id);
        assert!(levels.is_empty() && !levels.any_low());
        let after = Arc::new(Record::default());
        levels.add(Side::Receive, Arc::clone(&after) as _, None);
        assert!(after.told().is_empty());
        assert!(levels.any_low());
    }

    /// One that hears of events, or not, by the number of the poll.
    #[derive(Debug)]
    struct Hearing(RawFd);

    impl Observer for Hearing {
        fn set(&self, _high: bool) {}

        fn hears(&self, poll: RawFd) -> bool {
            poll == self.0
        }
    }

    #[test]
    fn all_hear_if_each_that_waits_does() {
        let mut levels = Levels::default();
        levels.add(Side::Receive, Arc::new(Hearing(7)), None);
        assert!(!levels.all_hear(), "there is no poll yet");
        levels.opened(7);
        assert!(levels.all_hear());
        let other = levels.add(Side::Receive, Arc::new(Hearing(8)), Some(7));
        levels.add(Side::Send, Arc::new(Hearing(7)), Some(7));
        assert!(!levels.all_hear());
        levels.set(Side::Receive, true);
        assert!(levels.all_hear(), "who has a message waits for none");
        levels.set(Side::Receive, false);
        assert!(!levels.all_hear());
        levels.remove(other);
        assert!(levels.all_hear());
    }
}
