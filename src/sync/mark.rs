//! One mark per thread: the biased lock that the thread is inside by the bias, if it is inside one.
//!
//! A [`Bias`](super::bias::Bias) knows its owner by the address of the owner's mark, and whoever takes the bias away reads
//! there whether the owner is inside. So any number of threads can have the bias of a lock, one after the other, and a
//! lock needs no memory for those that had it before.
//!
//! Hand-over: the marks of threads that have ended → later threads. Invariant: **a mark belongs to one live thread, or is
//! among the spare ones and empty.** Marks are never freed, so that whoever has read an address may look at the mark at any
//! time; there are never more than threads have had one at the same time. A later thread gets, with the mark, the
//! biases that the ended thread still had. It sees all that the other did inside those locks, because the mark passed
//! through the mutex of the spare ones.

use std::sync::TryLockError;

use super::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// The value of a mark whose thread is inside no lock by the bias; no lock has this address.
const NOWHERE: usize = 0;

/// Attempts to give a mark back, before it is given up.
const ATTEMPTS: usize = 100;

/// See the module. On cache lines of its own, since its thread writes to it with each message.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Mark {
    inside: AtomicUsize,
}

/// The marks that belong to no thread.
pub(crate) type SpareMarks = Mutex<Vec<&'static Mark>>;

impl Mark {
    pub(crate) fn new() -> Mark {
        Mark {
            inside: AtomicUsize::new(NOWHERE),
        }
    }

    /// A mark for a thread that has none. `None`: another thread is taking or giving one just now.
    ///
    /// Nobody waits for that other thread: the caller goes without a mark and asks again the next time. So a process that
    /// was forked at such a moment goes on, too.
    pub(crate) fn take(spare: &SpareMarks) -> Option<&'static Mark> {
        let mark = try_lock(spare)?.pop();
        Some(mark.unwrap_or_else(|| Box::leak(Box::new(Mark::new()))))
    }

    /// Forgets all spare marks, which others may still look at. `None`: another thread is taking or giving one just now.
    pub(crate) fn forget(spare: &SpareMarks) -> Option<()> {
        try_lock(spare)?.clear();
        Some(())
    }

    /// Gives a mark back whose thread ends. A thread that ends inside a lock keeps it, so that it stays inside.
    pub(crate) fn give(&'static self, spare: &SpareMarks) {
        if !self.is_empty() {
            return;
        }
        for _ in 0..ATTEMPTS {
            if let Some(mut spare) = try_lock(spare) {
                return spare.push(self);
            }
            std::thread::yield_now();
        }
    }

    /// What a lock knows its owner by.
    #[inline]
    pub(super) fn address(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether its thread is inside no lock by the bias. Only for that thread.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.inside.load(Ordering::Relaxed) == NOWHERE
    }

    /// Its thread enters a lock. Only while the mark is empty.
    #[inline]
    pub(super) fn set(&self, lock: usize) {
        self.inside.store(lock, Ordering::Relaxed);
    }

    /// Its thread leaves the lock.
    #[inline]
    pub(super) fn clear(&self) {
        self.inside.store(NOWHERE, Ordering::Release);
    }

    /// Whether its thread is inside this lock by the bias. For any thread: after `false` it sees what was done inside.
    #[inline]
    pub(super) fn is_inside(&self, lock: usize) -> bool {
        self.inside.load(Ordering::Acquire) == lock
    }
}

fn try_lock(spare: &SpareMarks) -> Option<MutexGuard<'_, Vec<&'static Mark>>> {
    match spare.try_lock() {
        Ok(spare) => Some(spare),
        Err(TryLockError::Poisoned(spare)) => Some(spare.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
