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

use std::fmt;
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
    observers: Vec<(ObserverId, Arc<dyn Observer>)>,
}

impl Levels {
    /// Adds an observer, which shows a low level so far.
    pub(crate) fn add(&mut self, side: Side, observer: Arc<dyn Observer>) -> ObserverId {
        self.next += 1;
        let id = ObserverId(self.next);
        let level = self.level(side);
        if level.high {
            observer.set(true);
        }
        level.observers.push((id, observer));
        id
    }

    pub(crate) fn remove(&mut self, id: ObserverId) {
        for level in [&mut self.receive, &mut self.send] {
            level.observers.retain(|(observer, _)| *observer != id);
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
        for (_, observer) in &level.observers {
            observer.set(high);
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
        let id = levels.add(Side::Receive, Arc::clone(&receive) as _);
        levels.add(Side::Send, Arc::clone(&send) as _);
        assert!(levels.any_low());
        for high in [true, true, false, true] {
            levels.set(Side::Receive, high);
        }
        assert_eq!(receive.told(), [true, false, true]);
        assert!(send.told().is_empty());
        let late = Arc::new(Record::default());
        levels.add(Side::Receive, Arc::clone(&late) as _);
        assert_eq!(late.told(), [true]);
        levels.remove(id);
        levels.set(Side::Receive, false);
        assert_eq!((receive.told(), late.told()), (vec![], vec![false]));
    }

    #[test]
    fn who_is_gone_waits_for_nothing() {
        let mut levels = Levels::default();
        let id = levels.add(Side::Receive, Arc::new(Record::default()));
        levels.set(Side::Receive, true);
        assert!(!levels.any_low() && !levels.is_empty());
        levels.remove(id);
        assert!(levels.is_empty() && !levels.any_low());
        let after = Arc::new(Record::default());
        levels.add(Side::Receive, Arc::clone(&after) as _);
        assert!(after.told().is_empty());
        assert!(levels.any_low());
    }
}
