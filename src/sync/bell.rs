//! Hand-over: those who leave work → the one thread that does it.
//!
//! Whoever has left work somewhere rings. The thread sleeps until somebody has, takes the ring, and then looks for work. Rings do not count: one
//! stands for all work that was left before it was taken.
//!
//! Invariants: a ring after which nobody has looked is never lost; after [`stop`](Bell::stop) the thread sleeps no more.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, lock};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    stopped: bool,
}

/// Why the thread has woken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    Work,
    TimedOut,
    Stopped,
}

impl Bell {
    /// There is work.
    pub(crate) fn ring(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.rung, true) {
            self.rung.notify_one();
        }
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.rung.notify_one();
    }

    /// Whether it is to end, without waiting.
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// Sleeps for this time, however often somebody rings; less if it is stopped.
    pub(crate) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = lock(&self.state);
        while !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.rung.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(crate::sync::PoisonError::into_inner);
        }
    }

    /// Sleeps until somebody rings, or has rung, or the time is up.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Rung {
        let mut state = lock(&self.state);
        let mut timed_out = false;
        loop {
            if state.stopped {
                return Rung::Stopped;
            }
            if std::mem::take(&mut state.rung) {
                return Rung::Work;
            }
            if timed_out {
                return Rung::TimedOut;
            }
            state = match timeout {
                None => self
                    .rung
                    .wait(state)
                    .unwrap_or_else(crate::sync::PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.rung.wait_timeout(state, timeout);
                    let (state, waited) =
                        waited.unwrap_or_else(crate::sync::PoisonError::into_inner);
                    timed_out = waited.timed_out();
                    state
                }
            };
        }
    }
}
