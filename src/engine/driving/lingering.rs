//! Hand-over: sockets that still have something to send: the thread that closes one → the thread that drives it to the end → the
//! thread that drops the context.
//!
//! Invariant: `count` is the number of sockets announced by [`Lingering::add`] that are not closed yet;
//! it is changed under the lock, and whoever brings it down notifies.

use crate::sync::{Condvar, Mutex, PoisonError, lock};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    count: Mutex<usize>,
    done: Condvar,
}

impl Lingering {
    /// A socket is about to be left to the caretaker for closing.
    pub(crate) fn add(&self) {
        *lock(&self.count) += 1;
    }

    /// Such a socket is closed.
    pub(crate) fn remove(&self) {
        let mut count = lock(&self.count);
        *count = count.saturating_sub(1);
        self.done.notify_all();
    }

    /// Waits until all of them are closed.
    pub(crate) fn wait(&self) {
        let mut count = lock(&self.count);
        while *count > 0 {
            count = self
                .done
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
