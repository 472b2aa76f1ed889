//! Hand-over: a lock that costs next to nothing to the thread that takes it again and again.
//!
//! A socket is used by one thread, as a rule, millions of times a second, and looked at by the caretaker a thousand
//! times. An ordinary lock makes every use pay two atomic read-modify-writes, which was a third of all
//! time. Here a thread that has locked many times in a row is granted the *bias*: from then on it locks and unlocks by plain stores
//! to a [`Mark`] of its own. Any other thread first revokes the bias, which costs a system call. Then all threads
//! use the mutex, until again one of them has locked many times in a row: more of them, if the last bias was revoked soon. (The JVM had *biased locking* of this kind.)
//!
//! ```text
//!  the owner:  mark = this lock;  light barrier;  still owner?  yes: inside.   no: mark = empty, enter by the mutex
//!  another:    lock the mutex; owner = nobody; heavy barrier; wait until the owner's mark is not this lock;  inside.
//! ```
//!
//! Invariant: **the thread inside either holds the mutex, and then no owner is inside, or is the owner, and its mark says so.**
//! The two barriers ensure one of two things: the owner reads that its bias is revoked, or the other thread reads that the owner is
//! inside.
//!
//! A thread that locks again while it is inside blocks for ever, as with any mutex, and never gets the value twice. So an
//! owner checks that its mark is empty before it sets it, and a thread that is granted the bias while it is inside sets its mark as
//! well.
//!
//! A thread has one mark for all locks. So it is inside one lock at a time by the bias, and meanwhile enters any other
//! by the mutex. A thread whose bias is revoked between its two reads of `owner` clears its own mark, and never
//! that of the next owner.

use super::barrier;
use super::mark::Mark;
use super::waiters::Waiters;
use super::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, lock};
use super::{LONGEST_STREAK, SOON, SPINS, STREAK, current_mark};
use std::sync::TryLockError;
use std::time::{Duration, Instant};

/// The value of `owner` when no thread has the bias; no mark has this address.
const NOBODY: usize = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct Bias {
    /// The address of the mark of the thread with the bias.
    owner: AtomicUsize,
    mutex: Mutex<History>,
    waiters: Waiters,
    /// For a thread that waits until an owner is no longer inside.
    exit: Mutex<()>,
    exited: Condvar,
}

/// The threads that have entered by the mutex.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The address of the mark of the last one.
    last: usize,
    /// How often in a row.
    streak: u32,
    /// How often in a row is enough for the bias.
    enough: Enough,
    /// The mark whose address `owner` is.
    owner: Option<&'static Mark>,
}

/// How often in a row a thread has to enter by the mutex before it is granted the bias. Where threads take turns, a bias is revoked
/// before it has saved what that costs: after one that was held for a short time the next is granted later.
#[derive(Debug)]
struct Enough {
    streak: u32,
    /// When the bias was granted, if a thread has it.
    granted: Option<Instant>,
}

impl Default for Enough {
    fn default() -> Self {
        Enough {
            streak: STREAK,
            granted: None,
        }
    }
}

impl Enough {
    fn grant(&mut self) {
        self.granted = Some(Instant::now());
    }

    fn revoke(&mut self) {
        if let Some(granted) = self.granted.take() {
            self.adapt(granted.elapsed());
        }
    }

    fn adapt(&mut self, held: Duration) {
        self.streak = match held < SOON {
            true => (2 * self.streak).min(LONGEST_STREAK),
            false => STREAK,
        };
    }
}

/// The right to be inside, by the bias; ends when dropped. Two plain words, which stay in registers where this is done for each
/// message.
#[derive(Debug)]
pub(crate) struct OwnerPass<'a> {
    bias: &'a Bias,
    /// The owner's mark, which is set for this.
    mark: &'static Mark,
}

/// The right to be inside, by the bias or by the mutex; ends when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    bias: &'a Bias,
    /// Of a thread that entered by the bias, or was granted it just now. Dropped before the mutex is unlocked.
    owner: Option<OwnerPass<'a>>,
    /// Of a thread that entered by the mutex, also if it was granted the bias just now.
    mutex: Option<MutexGuard<'a, History>>,
}

impl Bias {
    pub(super) fn new() -> Self {
        Bias {
            owner: AtomicUsize::new(NOBODY),
            mutex: Mutex::new(History::default()),
            waiters: Waiters::new(),
            exit: Mutex::new(()),
            exited: Condvar::new(),
        }
    }

    /// Waits until no other thread is inside, and enters.
    pub(super) fn enter(&self) -> Pass<'_> {
        match self.enter_as_owner() {
            Some(owner) => Pass::from(owner),
            None => self.enter_by_mutex(),
        }
    }

    /// Enters if this thread has the bias.
    #[inline]
    pub(super) fn enter_as_owner(&self) -> Option<OwnerPass<'_>> {
        let mark = current_mark()?;
        if self.owner.load(Ordering::Relaxed) != mark.address() || !mark.is_empty() {
            return None;
        }
        mark.set(self.address());
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != mark.address() {
            self.exit(mark);
            return None;
        }
        Some(OwnerPass { bias: self, mark })
    }

    /// Enters by the mutex, for a thread that is inside another lock and so must not wait. `None`: another thread has the mutex or the bias.
    pub(super) fn try_enter_beside(&self) -> Option<Pass<'_>> {
        let mark = current_mark()?;
        let mut history = self.mutex.try_lock().ok()?;
        match history.owner {
            None => {}
            // This thread gives its own bias up. It needs no barrier for that, and has nobody to wait for: it is not inside.
            Some(owner)
                if owner.address() == mark.address() && !owner.is_inside(self.address()) =>
            {
                history.owner = None;
                self.owner.store(NOBODY, Ordering::Relaxed);
            }
            Some(_) => return None,
        }
        Some(Pass {
            bias: self,
            owner: None,
            mutex: Some(history),
        })
    }

    /// Enters if no thread was inside when this process was forked. Only in that child: it has no other threads, so one that was
    /// inside stays there for ever.
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

    /// The same for a thread that enters again and again: if others wait, one of them enters first.
    pub(super) fn enter_after_a_waiter(&self) -> Pass<'_> {
        self.waiters.yield_to_one();
        self.enter()
    }

    /// Enters by the mutex, whoever has the bias.
    #[cold]
    fn enter_by_mutex(&self) -> Pass<'_> {
        let history = match self.mutex.try_lock() {
            Ok(history) => history,
            Err(TryLockError::Poisoned(history)) => history.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.waiters.begin();
                let history = lock(&self.mutex);
                self.waiters.end();
                history
            }
        };
        self.enter_with_mutex(history)
    }

    /// The value of the mark of a thread that is inside this lock.
    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The owner is inside no longer. If its bias has been revoked, a thread may wait for that.
    #[inline]
    fn exit(&self, mark: &'static Mark) {
        mark.clear();
        barrier::light();
        if self.owner.load(Ordering::Relaxed) != mark.address() {
            self.notify_exit();
        }
    }

    #[cold]
    fn notify_exit(&self) {
        drop(lock(&self.exit));
        self.exited.notify_all();
    }

    /// The thread that holds the mutex enters, once no owner is inside.
    fn enter_with_mutex<'a>(&'a self, mut history: MutexGuard<'a, History>) -> Pass<'a> {
        self.revoke(&mut history);
        Pass {
            bias: self,
            owner: self.grant_if_earned(&mut history),
            mutex: Some(history),
        }
    }

    /// Takes the bias away from its owner, and waits until the owner is not inside.
    fn revoke(&self, history: &mut History) {
        let Some(owner) = history.owner.take() else {
            return;
        };
        history.enough.revoke();
        self.owner.store(NOBODY, Ordering::Relaxed);
        barrier::heavy();
        for _ in 0..SPINS {
            if !owner.is_inside(self.address()) {
                return;
            }
            std::hint::spin_loop();
        }
        let mut exit = lock(&self.exit);
        while owner.is_inside(self.address()) {
            exit = self
                .exited
                .wait(exit)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Grants the bias to this thread, which has just entered by the mutex, if it has done so often enough in a row. Then its mark says
    /// that it is inside, too.
    fn grant_if_earned(&self, history: &mut History) -> Option<OwnerPass<'_>> {
        let mark = current_mark()?;
        if history.last != mark.address() {
            history.last = mark.address();
            history.streak = 0;
        }
        history.streak = history.streak.saturating_add(1);
        // A thread that is inside another lock by the bias has its mark there.
        if history.streak < history.enough.streak || !mark.is_empty() || !barrier::available() {
            return None;
        }
        history.streak = 0;
        history.enough.grant();
        history.owner = Some(mark);
        mark.set(self.address());
        self.owner.store(mark.address(), Ordering::Relaxed);
        Some(OwnerPass { bias: self, mark })
    }
}

impl<'a> Pass<'a> {
    /// Unlocks, waits until `changed` is notified or the time is up, and locks again. May return early for no reason, as any
    /// [`Condvar`] may.
    ///
    /// A notification that follows a change made inside is not missed: only a thread that holds the mutex waits here, and the
    /// condition variable unlocks it and begins to wait in one step.
    pub(super) fn wait(self, changed: &Condvar, timeout: Option<Duration>) -> Pass<'a> {
        let Pass { bias, owner, mutex } = self;
        // With the mutex held, no other thread enters because the mark is cleared.
        drop(owner);
        let Some(history) = mutex else {
            // An owner has no mutex to wait with. It returns early, and holds the mutex the next time.
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
        bias.enter_with_mutex(history)
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
        self.bias.exit(self.mark);
    }
}
