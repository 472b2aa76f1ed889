//! The lock around a socket's state: a value behind a [`Bias`].

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::Condvar;
use super::bias::{Bias, OwnerPass, Pass};

/// Like [`Mutex`](std::sync::Mutex), but cheap for the thread that uses it again and again; see [`bias`](super::bias).
/// Not poisoned by a panic.
pub(crate) struct StateLock<T> {
    bias: Bias,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a `Guard`, which holds a pass, and there is never more than one
// pass at a time. So sharing the lock hands the value from thread to thread, and never shares it.
unsafe impl<T: Send> Sync for StateLock<T> {}

/// The value, as long as this lives.
pub(crate) type StateGuard<'a, T> = Guard<'a, T, Pass<'a>>;

/// The value, for the thread that uses it again and again.
pub(crate) type OwnerGuard<'a, T> = Guard<'a, T, OwnerPass<'a>>;

/// The value, by one of the two passes.
pub(crate) struct Guard<'a, T, P> {
    pass: P,
    lock: &'a StateLock<T>,
    /// A guard lends the value like an exclusive reference, so it may be shared only if that may.
    lent: PhantomData<&'a mut T>,
}

impl<T> StateLock<T> {
    pub(crate) fn new(value: T) -> Self {
        StateLock {
            bias: Bias::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until no other thread has the value. A thread that has it already would wait for ever.
    pub(crate) fn lock(&self) -> StateGuard<'_, T> {
        self.guard(self.bias.enter())
    }

    /// The value, which nobody else can have.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value, if no thread had it when this process was forked. Only in that child.
    pub(crate) fn lock_in_child(&self) -> Option<StateGuard<'_, T>> {
        Some(self.guard(self.bias.enter_in_child()?))
    }

    /// Like [`lock`](Self::lock), for a thread that locks again and again: if others wait, one of them gets the value first.
    pub(crate) fn lock_again(&self) -> StateGuard<'_, T> {
        self.guard(self.bias.enter_after_a_waiter())
    }

    /// The value, if this thread has the bias.
    #[inline]
    pub(crate) fn lock_as_owner(&self) -> Option<OwnerGuard<'_, T>> {
        Some(self.guard(self.bias.enter_as_owner()?))
    }

    /// The value, for a thread that has that of another lock, if nobody is to be waited for.
    pub(crate) fn try_lock_beside(&self) -> Option<StateGuard<'_, T>> {
        Some(self.guard(self.bias.try_enter_beside()?))
    }

    #[inline]
    fn guard<P>(&self, pass: P) -> Guard<'_, T, P> {
        Guard {
            pass,
            lock: self,
            lent: PhantomData,
        }
    }
}

impl<'a, T> From<OwnerGuard<'a, T>> for StateGuard<'a, T> {
    fn from(guard: OwnerGuard<'a, T>) -> Self {
        guard.lock.guard(guard.pass.into())
    }
}

impl<T> fmt::Debug for StateLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateLock").finish_non_exhaustive()
    }
}

impl<T> StateGuard<'_, T> {
    /// Unlocks, waits until `changed` is notified or the time is up, and locks again. May return early for no reason.
    pub(crate) fn wait(self, changed: &Condvar, timeout: Option<Duration>) -> Self {
        self.lock.guard(self.pass.wait(changed, timeout))
    }
}

impl<T, P> Deref for Guard<'_, T, P> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the only pass, so nobody else reaches the value while it lives, and the
        // borrow of the guard keeps an exclusive one from this very guard away.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, P> DerefMut for Guard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};
    use std::thread;

    use super::*;
    use crate::sync::{LONGEST_STREAK, STREAK};

    /// Threads in turns of all lengths, so that the bias is given, used, taken away and passed on.
    #[test]
    fn nothing_is_lost_between_threads() {
        const TURNS: usize = 200;
        let lock = Arc::new(StateLock::new(0u64));
        let threads: Vec<_> = (1..=6)
            .map(|step: usize| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for turn in 0..TURNS {
                        for _ in 0..(turn * step) % 300 {
                            *lock.lock() += 1;
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().is_ok());
        }
        let wanted: usize = (1..=6)
            .flat_map(|step| (0..TURNS).map(move |turn| (turn * step) % 300))
            .sum();
        assert_eq!(*lock.lock(), wanted as u64);
    }

    /// A thread that has the lock nearly all of the time, and locks again and again, keeps no other thread out.
    #[test]
    fn who_goes_on_lets_others_in() {
        use std::sync::atomic::{AtomicBool, Ordering};
        const CALLS: u32 = 50;
        let shared = Arc::new((StateLock::new(0u32), AtomicBool::new(false)));
        let caller = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                (0..CALLS).for_each(|_| *shared.0.lock() += 1);
                shared.1.store(true, Ordering::Relaxed);
            })
        };
        let (lock, over) = &*shared;
        let mut turns = 0;
        while !over.load(Ordering::Relaxed) {
            let guard = lock.lock_again();
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_micros(100) {
                std::hint::spin_loop();
            }
            drop(guard);
            turns += 1;
        }
        assert!(caller.join().is_ok());
        assert_eq!(*lock.lock(), CALLS);
        // A call that finds the lock taken has it after that turn. Some turns are over before it has been found taken.
        assert!(turns < 100 * CALLS, "{turns} turns");
    }

    /// A thread that locks twice blocks, with the bias or without, and never has the value twice.
    #[test]
    fn who_is_in_does_not_come_in_again() {
        use std::sync::mpsc::{RecvTimeoutError, channel};
        // On the way to the bias and with it, and the very time it is given.
        for times in 0..2 * STREAK {
            let (tell, told) = channel();
            // It is stuck for good.
            thread::spawn(move || {
                let lock = StateLock::new(());
                for _ in 0..times {
                    drop(lock.lock());
                }
                let first = lock.lock();
                let _ = tell.send("first");
                let second = lock.lock();
                let _ = tell.send("second");
                drop((first, second));
            });
            assert_eq!(told.recv(), Ok("first"));
            let wait = Duration::from_millis(1);
            assert_eq!(told.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        }
    }

    /// Threads come and go, and each of them gets the bias in its turn.
    #[test]
    fn any_number_of_threads_get_the_bias() {
        if !super::super::barrier::available() {
            return;
        }
        let lock = Arc::new(StateLock::new(0u64));
        let enter_often = |lock: &StateLock<u64>| {
            // Another thread may have the spare marks just now, and then this one has none for a moment.
            (0..1_000 * STREAK).any(|_| {
                *lock.lock() += 1;
                lock.lock_as_owner().is_some()
            })
        };
        for turn in 0..20 {
            let lock = Arc::clone(&lock);
            let came = thread::spawn(move || enter_often(&lock)).join();
            assert_eq!(came.ok(), Some(true), "thread {turn}");
        }
        // As in a pool, where all threads live at the same time.
        let (done, wait) = (Arc::new(Barrier::new(10)), Arc::new(Mutex::new(0)));
        let pool: Vec<_> = (0..10)
            .map(|_| {
                let (lock, done, wait) = (Arc::clone(&lock), Arc::clone(&done), Arc::clone(&wait));
                thread::spawn(move || {
                    let turn = crate::sync::lock(&wait);
                    let came = enter_often(&lock);
                    drop(turn);
                    done.wait();
                    came
                })
            })
            .collect();
        for thread in pool {
            assert_eq!(thread.join().ok(), Some(true));
        }
    }

    /// Where threads take turns the bias is not worth what it costs to revoke: it takes longer to earn, but not for ever.
    #[test]
    fn a_bias_that_is_lost_soon_takes_longer_to_earn() {
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::time::Instant;
        if !super::super::barrier::available() {
            return;
        }
        let lock = StateLock::new(0u64);
        let earn = |times: u32| {
            (0..times).for_each(|_| *lock.lock() += 1);
            lock.lock_as_owner().is_some()
        };
        let (others_turn, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut longer = false;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    if others_turn.load(Ordering::Acquire) {
                        *lock.lock() += 1;
                        others_turn.store(false, Ordering::Release);
                    }
                    thread::yield_now();
                }
            });
            // Another thread or process may be in the way for so long that a bias has been worth it.
            while !longer && Instant::now() < deadline {
                longer = !earn(STREAK);
                others_turn.store(true, Ordering::Release);
                while others_turn.load(Ordering::Acquire) {
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::Release);
        });
        assert!(
            longer,
            "granted as soon as ever, after biases that were lost soon"
        );
        assert!(earn(LONGEST_STREAK));
    }

    /// A thread that is inside one lock by the bias enters others, and leaves them in any order.
    #[test]
    fn one_thread_is_inside_several_locks() {
        let locks = [StateLock::new(0u64), StateLock::new(0)];
        for _ in 0..3 * STREAK {
            for lock in &locks {
                *lock.lock() += 1;
            }
        }
        for _ in 0..3 * STREAK {
            let (mut first, mut second) = (locks[0].lock(), locks[1].lock());
            *first += 1;
            *second += 1;
            drop(first);
            *second += 1;
        }
        assert_eq!(*locks[0].lock(), u64::from(6 * STREAK));
        assert_eq!(*locks[1].lock(), u64::from(9 * STREAK));
    }

    /// A thread that moves something from one value to another has both, with the bias of the second or without; others come in between.
    #[test]
    fn what_is_moved_between_two_locks_is_always_in_one() {
        const MOVES: u32 = 5_000;
        let locks = Arc::new([StateLock::new(MOVES), StateLock::new(0)]);
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let watcher = {
            let (locks, over) = (Arc::clone(&locks), Arc::clone(&over));
            thread::spawn(move || {
                let mut last = 0;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let there = *locks[1].lock();
                    assert!(last <= there);
                    last = there;
                    thread::yield_now();
                }
            })
        };
        let (mut moved, mut tries) = (0, 0);
        while moved < MOVES {
            // So that it has the bias of each now and then.
            drop(locks[0].lock());
            drop(locks[1].lock());
            let mut from = locks[0].lock();
            if let Some(mut to) = locks[1].try_lock_beside() {
                *from -= 1;
                *to += 1;
                moved += 1;
            }
            tries += 1;
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watcher.join().is_ok());
        assert_eq!((*locks[0].lock(), *locks[1].lock()), (0, MOVES));
        assert!(tries >= MOVES);
    }

    #[test]
    fn who_waits_is_told_by_an_owner() {
        let shared = Arc::new((StateLock::new(0u64), Condvar::new()));
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, changed) = &*shared;
                let mut count = lock.lock();
                while *count < 10_000 {
                    count = count.wait(changed, None);
                }
                *count
            })
        };
        let (lock, changed) = &*shared;
        for _ in 0..10_000 {
            *lock.lock() += 1;
            changed.notify_all();
        }
        assert_eq!(waiter.join().ok(), Some(10_000));
    }
}
