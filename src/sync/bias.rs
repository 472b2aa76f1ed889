//! Hand-over: a lock that costs next to nothing to the thread that takes it again and again.
//!
//! A socket is used by one thread, as a rule, millions of times a second, and looked at by the caretaker a thousand
//! times. An ordinary lock makes every use pay two atomic read-modify-writes, which was a third of all
//! time. Here a thread that has come many times in a row is given the *bias*: from then on it enters and leaves by plain stores
//! to a [`Mark`] of its own. Any other thread takes the bias away first, which costs a system call, and then all
//! enter by the mutex, until again one has come many times in a row.
//!
//! ```text
//!  the owner:  mark = this lock;  light barrier;  still owner?  yes: inside.   no: mark = empty, enter by the mutex
//!  another:    lock the mutex; owner = nobody; heavy barrier; wait until the owner's mark is not this lock;  inside.
//! ```
//!
//! Invariant: **the thread inside either holds the mutex, and then no owner is inside, or is the owner, and its mark says so.**
//! The two barriers ensure that the owner reads that it is one no more, or the other thread reads that it is inside.
//!
//! A thread that enters while it is inside waits for itself, for ever, as at any mutex: it does not become two. So an
//! owner looks at its mark before it sets it, and the thread that is being made the owner sets its mark as well.
//!
//! A thread has one mark for all locks. So it is inside one lock at a time by the bias, and enters any other
//! by the mutex meanwhile. A thread that lost the bias between its two looks at `owner` withdraws its own mark, and never
//! that of the next owner.

use super::barrier;
use super::mark::Mark;
use super::waiters::Waiters;
use super::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, lock};
use super::{SPINS, STREAK, current_mark};
use std::sync::TryLockError;
use std::time::Duration;

/// The value of `owner` when no thread has the bias; no mark has this address.
const NOBODY: usize = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct Bias {
    /// The address of the mark of the thread with the bias.
    owner: AtomicUsize,
    mutex: Mutex<History>,
    waiters: Waiters,
    /// For a thread that waits for an owner to leave.
    leaving: Mutex<()>,
    left: Condvar,
}

/// The threads that have entered by the mutex.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The address of the mark of the last one.
    last: usize,
    /// How often in a row.
    streak: u32,
    /// The mark whose address `owner` is.
    owner: Option<&'static Mark>,
}

/// The right to be in by the bias; ends when dropped. Two plain words, which never leave the registers of a caller who comes
/// for each message.
#[derive(Debug)]
pub(crate) struct OwnerPass<'a> {
    bias: &'a Bias,
    /// The owner's mark, which is set for this.
    mark: &'static Mark,
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
            owner: AtomicUsize::new(NOBODY),
            mutex: Mutex::new(History::default()),
            waiters: Waiters::new(),
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
        let mark = current_mark()?;
        if self.owner.load(Ordering::Relaxed) != mark.address() || !mark.is_empty() {
            return None;
        }
        mark.set(self.address());
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != mark.address() {
            self.leave(mark);
            return None;
        }
        Some(OwnerPass { bias: self, mark })
    }

    /// Goes in if nobody was in when this process was forked. Only in that child, where nobody else comes in and whoever was in
    /// never leaves.
    pub(super) fn enter_in_child(&self) -> Option<Pass<'_>> {
        let mut history = self.mutex.try_lock().ok()?;
        let owner = history.owner.take();
        if owner.is_some_and(|owner| owner.is_inside(self.address())) {
            return None;
        }
        self.owner.store(NOBODY, Ordering::Relaxed);
        Some(Pass {
            bias: self,
            owner: None,
            mutex: Some(history),
        })
    }

    /// The same for who comes back again and again: somebody else who waits goes in first.
    pub(super) fn enter_again(&self) -> Pass<'_> {
        self.waiters.let_one_in();
        self.enter()
    }

    /// Goes in by the mutex, whoever has the bias.
    #[cold]
    fn enter_by_mutex(&self) -> Pass<'_> {
        let history = match self.mutex.try_lock() {
            Ok(history) => history,
            Err(TryLockError::Poisoned(history)) => history.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.waiters.arrive();
                let history = lock(&self.mutex);
                self.waiters.serve();
                history
            }
        };
        self.go_in(history)
    }

    /// What a mark says of a thread that is inside this lock.
    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The owner goes out.
    #[inline]
    fn leave(&self, mark: &'static Mark) {
        mark.clear();
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != mark.address() {
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
        self.take_bias_away(&mut history);
        Pass {
            bias: self,
            owner: self.consider(&mut history),
            mutex: Some(history),
        }
    }

    /// Makes sure that no owner is in nor can come in.
    fn take_bias_away(&self, history: &mut History) {
        let Some(owner) = history.owner.take() else {
            return;
        };
        self.owner.store(NOBODY, Ordering::Relaxed);
        barrier::heavy();
        for _ in 0..SPINS {
            if !owner.is_inside(self.address()) {
                return;
            }
            std::hint::spin_loop();
        }
        let mut leaving = lock(&self.leaving);
        while owner.is_inside(self.address()) {
            leaving = self
                .left
                .wait(leaving)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the bias to a thread that has come often enough, from its next time on. Until it goes out it is inside, by
    /// its mark too.
    fn consider(&self, history: &mut History) -> Option<OwnerPass<'_>> {
        let mark = current_mark()?;
        if history.last != mark.address() {
            history.last = mark.address();
            history.streak = 0;
        }
        history.streak = history.streak.saturating_add(1);
        // A thread that is inside another lock by the bias has its mark there.
        if history.streak < STREAK || !mark.is_empty() || !barrier::available() {
            return None;
        }
        history.streak = 0;
        history.owner = Some(mark);
        mark.set(self.address());
        self.owner.store(mark.address(), Ordering::Relaxed);
        Some(OwnerPass { bias: self, mark })
    }
}

impl<'a> Pass<'a> {
    /// Lets others in until `changed` is notified or the time is up, or for no reason at all, and goes in again.
    ///
    /// Whoever notifies after a change that was made inside cannot be missed: this waits only by the mutex, and nobody
    /// comes in between giving that up and being heard.
    pub(super) fn wait(self, changed: &Condvar, timeout: Option<Duration>) -> Pass<'a> {
        let Pass { bias, owner, mutex } = self;
        // An owner goes out by its mark. Where there is the mutex, nobody comes in for that.
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
        self.bias.leave(self.mark);
    }
}
