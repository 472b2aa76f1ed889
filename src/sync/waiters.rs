//! Hand-over: a thread that drives a socket turn after turn → the calls that wait for the socket's state lock.
//!
//! A mutex is not fair. A thread that unlocks it and locks it again at once finds it free, since a thread that waits for it
//! takes a while to wake up. For calls that is best, as each is over soon, and to pass the lock on each time would make
//! every one of them wait for another thread. A thread that drives, though, may lock again without end, and keep all calls out.
//!
//! Invariant: **[`yield_to_one`](Waiters::yield_to_one) returns when no thread waits for the lock, or one has got it since the call
//! began, and no later than that.** Both sides write first, pass a full barrier, and then read, so that one of them sees the other.

use super::{AtomicUsize, Condvar, Mutex, Ordering, PoisonError, fence, lock};

/// See the module.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Threads that wait for the lock.
    waiting: AtomicUsize,
    /// Threads that have waited for it and got it, ever.
    served: AtomicUsize,
    /// Threads in `yield_to_one`.
    yielding: AtomicUsize,
    mutex: Mutex<()>,
    /// Notified when `served` has changed, for those.
    changed: Condvar,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Waiters {
            waiting: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            yielding: AtomicUsize::new(0),
            mutex: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Another thread has the lock: this one waits for it from now on.
    pub(super) fn begin(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// This thread waits no longer: it has the lock.
    pub(super) fn end(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.yielding.load(Ordering::Relaxed) > 0 {
            drop(lock(&self.mutex));
            self.changed.notify_all();
        }
    }

    /// Waits until one of the threads that wait now has got the lock. Not for the thread that has it.
    pub(super) fn yield_to_one(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let served = self.served.load(Ordering::Relaxed);
        self.yielding.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut guard = lock(&self.mutex);
        while self.waiting.load(Ordering::Relaxed) > 0
            && self.served.load(Ordering::Relaxed) == served
        {
            guard = self
                .changed
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.yielding.fetch_sub(1, Ordering::Relaxed);
    }
}
