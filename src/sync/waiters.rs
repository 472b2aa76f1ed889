//! Hand-over: whoever drives a socket goes on only after somebody else who waits for its state has had it.
//!
//! A lock does not see to that by itself. Who gives it up and comes back at once finds it free, since whoever waits for it
//! takes a while to wake up. That is as it should be for calls, each of which is over soon: to pass the lock on each time would make
//! every one of them wait for another thread. Who drives, though, may come back without end.
//!
//! Invariant: **who [lets one in](Waiters::let_one_in) does not go on while one who had [arrived](Waiters::arrive) by then still
//! waits and no other has been [served](Waiters::serve) since; and does not wait for longer.** Both sides write first, pass
//! a full barrier, and then look, so that one of them sees the other.

use super::{AtomicUsize, Condvar, Mutex, Ordering, PoisonError, fence, lock};

/// See the module.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Who has arrived and is not served.
    waiting: AtomicUsize,
    /// Counts who has been served.
    served: AtomicUsize,
    /// Who lets others in first.
    polite: AtomicUsize,
    telling: Mutex<()>,
    told: Condvar,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Waiters {
            waiting: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            polite: AtomicUsize::new(0),
            telling: Mutex::new(()),
            told: Condvar::new(),
        }
    }

    /// The lock is taken, and this thread waits for it from now on.
    pub(super) fn arrive(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// This thread waits no longer: it has the lock.
    pub(super) fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.polite.load(Ordering::Relaxed) > 0 {
            drop(lock(&self.telling));
            self.told.notify_all();
        }
    }

    /// Waits until one of those who wait now is served. Not for who has the lock.
    pub(super) fn let_one_in(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let served = self.served.load(Ordering::Relaxed);
        self.polite.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut telling = lock(&self.telling);
        while self.waiting.load(Ordering::Relaxed) > 0
            && self.served.load(Ordering::Relaxed) == served
        {
            telling = self
                .told
                .wait(telling)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.polite.fetch_sub(1, Ordering::Relaxed);
    }
}
