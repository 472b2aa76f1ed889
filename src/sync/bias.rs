//! Hand-over: a lock that costs next to nothing to the thread that takes it again and again.
//!
//! A socket is used by one thread, as a rule, millions of times a second, and looked at by the caretaker a thousand
//! times. An ordinary lock makes every use pay two atomic read-modify-writes, which was a third of all
//! time. Here a thread that has come many times in a row is given the *bias*: it goes in and out by plain stores to a
//! flag of its own. Anyone else takes the bias away first, which costs a system call, and from then on all
//! go by the mutex, until again one comes many times in a row.
//!
//! ```text
//!  the owner:  inside = true;  light barrier;  still owner?  yes: in.   no: inside = false, go by the mutex
//!  another:    lock the mutex; owner = nobody; heavy barrier; wait until inside is false;              in.
//! ```
//!
//! Invariant: **whoever is in either holds the mutex, and then no owner is inside, or is the owner with `inside` set.** The
//! two barriers see to it that the owner reads that it is one no more, or the other reads that it is inside.
//!
//! A thread that comes in while it is in waits for itself, for ever, as at any mutex: it does not become two. So an
//! owner looks at its flag before it sets it, and the thread that is being made the owner sets its flag as well.
//!
//! Each thread that is ever given the bias has a flag of its own: one that was delayed between the two looks at
//! `owner`, and comes too late, withdraws its own flag and not that of the next owner.

use super::barrier;
use super::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, PoisonError, lock};
use super::{SPINS, STREAK, thread_token};
use std::time::Duration;

/// Threads that can be given the bias of one lock, one after the other. A lock that is passed
/// around among more is a plain mutex for the others.
const OWNERS: usize = 1 << OWNER_BITS;
const OWNER_BITS: u32 = 2;

/// The value of `owner` when nobody is.
const NOBODY: u64 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct Bias {
    /// The token of the thread with the bias, and the number of its flag in the low bits.
    owner: AtomicU64,
    inside: [AtomicBool; OWNERS],
    mutex: Mutex<History>,
    /// For whoever waits for an owner to leave.
    leaving: Mutex<()>,
    left: Condvar,
}

/// Who has come by the mutex.
#[derive(Debug, Default)]
pub(super) struct History {
    last: u64,
    /// How often in a row.
    streak: u32,
    /// The threads that have had the bias; their flags have the same numbers.
    owners: [u64; OWNERS],
}

/// The right to be in by the bias; ends when dropped. Two plain words, which never leave the registers of a caller who comes
/// for each message.
#[derive(Debug)]
pub(crate) struct OwnerPass<'a> {
    bias: &'a Bias,
    /// The word of the owner whose flag is set for this.
    owner: u64,
}

/// The right to be in, by either way; ends when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    bias: &'a Bias,
    /// Who came by the bias, or is just being made the owner. Given up before the mutex.
    owner: Option<OwnerPass<'a>>,
    /// Held by all others, and by who is just being made the owner.
    mutex: Option<MutexGuard<'a, History>>,
}

impl Bias {
    pub(super) fn new() -> Self {
        Bias {
            owner: AtomicU64::new(NOBODY),
            inside: std::array::from_fn(|_| AtomicBool::new(false)),
            mutex: Mutex::new(History::default()),
            leaving: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Waits until nobody else is in, and goes in.
    pub(super) fn enter(&self) -> Pass<'_> {
        match self.enter_as_owner() {
            Some(owner) => Pass::from(owner),
            None => self.enter_by_mutex(),
        }
    }

    /// Goes in if this thread has the bias.
    #[inline]
    pub(super) fn enter_as_owner(&self) -> Option<OwnerPass<'_>> {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner >> OWNER_BITS != thread_token() || self.flag(owner).load(Ordering::Relaxed) {
            return None;
        }
        self.flag(owner).store(true, Ordering::Relaxed);
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != owner {
            self.leave(owner);
            return None;
        }
        Some(OwnerPass { bias: self, owner })
    }

    /// Goes in by the mutex, whoever has the bias.
    #[cold]
    fn enter_by_mutex(&self) -> Pass<'_> {
        self.go_in(lock(&self.mutex))
    }

    #[inline]
    fn flag(&self, owner: u64) -> &AtomicBool {
        &self.inside[owner as usize % OWNERS]
    }

    /// The owner goes out.
    #[inline]
    fn leave(&self, owner: u64) {
        self.flag(owner).store(false, Ordering::Release);
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != owner {
            self.tell_that_i_left();
        }
    }

    #[cold]
    fn tell_that_i_left(&self) {
        drop(lock(&self.leaving));
        self.left.notify_all();
    }

    /// The holder of the mutex goes in, once nobody else is.
    fn go_in<'a>(&'a self, mut history: MutexGuard<'a, History>) -> Pass<'a> {
        self.take_bias_away();
        Pass {
            bias: self,
            owner: self.consider(&mut history),
            mutex: Some(history),
        }
    }

    /// Makes sure that no owner is in nor can come in. Only for the holder of the mutex.
    fn take_bias_away(&self) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner == NOBODY {
            return;
        }
        self.owner.store(NOBODY, Ordering::Relaxed);
        barrier::heavy();
        let inside = self.flag(owner);
        for _ in 0..SPINS {
            if !inside.load(Ordering::Acquire) {
                return;
            }
            std::hint::spin_loop();
        }
        let mut leaving = lock(&self.leaving);
        while inside.load(Ordering::Acquire) {
            leaving = self
                .left
                .wait(leaving)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the bias to a thread that has come often enough, from its next time on. Until it goes out it is inside, by
    /// its flag too.
    fn consider(&self, history: &mut History) -> Option<OwnerPass<'_>> {
        let me = thread_token();
        if history.last != me {
            history.last = me;
            history.streak = 0;
        }
        history.streak = history.streak.saturating_add(1);
        if history.streak < STREAK || !barrier::available() {
            return None;
        }
        let mut owners = history.owners.iter();
        let number = owners.position(|owner| *owner == me || *owner == NOBODY)?;
        history.owners[number] = me;
        history.streak = 0;
        let owner = me << OWNER_BITS | number as u64;
        self.flag(owner).store(true, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Relaxed);
        Some(OwnerPass { bias: self, owner })
    }
}

impl<'a> Pass<'a> {
    /// Lets others in until `changed` is notified or the time is up, or for no reason at all, and goes in again.
    ///
    /// Whoever notifies after a change that was made inside cannot be missed: this waits only by the mutex, and nobody
    /// comes in between giving that up and being heard.
    pub(super) fn wait(self, changed: &Condvar, timeout: Option<Duration>) -> Pass<'a> {
        let Pass { bias, owner, mutex } = self;
        // An owner goes out by its flag. Where there is the mutex, nobody comes in for that.
        drop(owner);
        let Some(history) = mutex else {
            // It comes back by the mutex and looks again; next time it waits.
            return bias.enter_by_mutex();
        };
        let history = match timeout {
            None => changed
                .wait(history)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = changed.wait_timeout(history, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        bias.go_in(history)
    }
}

impl<'a> From<OwnerPass<'a>> for Pass<'a> {
    fn from(owner: OwnerPass<'a>) -> Self {
        Pass {
            bias: owner.bias,
            owner: Some(owner),
            mutex: None,
        }
    }
}

impl Drop for OwnerPass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.bias.leave(self.owner);
    }
}
