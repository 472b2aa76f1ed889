//! Hand-over: memory for what waits in the queues of a context's peers, from who needs it no more to who needs some.
//!
//! Nobody waits here. Who is refused asks again, when it needs less, or after a while.
//!
//! A quarter is kept in reserve: only one share at a time may take from it, so that the message which that share is for can be finished when
//! those of all others are stuck.
//!
//! Invariant: `used` is the sum of all [`Share`]s, and never more than the limit. At most one share has the reserve, and no other
//! becomes larger beyond the three quarters.

use std::sync::Arc;

use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// How much memory the peers of a context may hold. See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// A share has the reserve.
    reserved: AtomicBool,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Budget {
            limit,
            used: AtomicUsize::new(0),
            reserved: AtomicBool::new(false),
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// What only one share may take from. A message may be as long as this.
    pub(crate) fn reserve(&self) -> usize {
        self.limit / 4
    }

    /// Whether so little is left that what holds some without need is in the way of others.
    pub(crate) fn is_scarce(&self) -> bool {
        self.used() > self.limit / 2
    }

    fn take(&self, bytes: usize, limit: usize) -> bool {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let sum = used.saturating_add(bytes);
            if sum > limit {
                return false;
            }
            // Nothing but this number passes between threads.
            let exchanged =
                self.used
                    .compare_exchange_weak(used, sum, Ordering::Relaxed, Ordering::Relaxed);
            match exchanged {
                Ok(_) => return true,
                Err(now) => used = now,
            }
        }
    }
}

/// What one queue has of the budget. It goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
    has_reserve: bool,
}

impl Share {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Share {
            budget,
            bytes: 0,
            has_reserve: false,
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it so large. `false`: there is not that much, and it stays as it was.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            let kept_back = match self.has_reserve {
                true => 0,
                false => self.budget.reserve(),
            };
            let limit = self.budget.limit - kept_back;
            if !self.budget.take(bytes - self.bytes, limit) {
                return false;
            }
        } else if bytes < self.bytes {
            self.budget
                .used
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }

    /// The same with the reserve, if that is enough for all of it. Who has got that keeps it until [`Share::leave_reserve`], even if there is not enough yet.
    pub(crate) fn set_from_reserve(&mut self, bytes: usize) -> bool {
        if bytes > self.budget.reserve() {
            return false;
        }
        // Nothing but this mark passes between threads.
        let marked = || {
            self.budget
                .reserved
                .compare_exchange(false, true, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        self.has_reserve = self.has_reserve || marked();
        self.has_reserve && self.set(bytes)
    }

    /// Lets others have the reserve.
    pub(crate) fn leave_reserve(&mut self) {
        if std::mem::take(&mut self.has_reserve) {
            self.budget.reserved.store(false, Ordering::Relaxed);
        }
    }

    /// Makes it no larger than this.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let smaller = self.set(bytes.min(self.bytes));
        debug_assert!(smaller, "what becomes less is not refused");
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
        self.leave_reserve();
    }
}
