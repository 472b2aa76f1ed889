//! A runtime of a few lines, so that futures are tested without a library: one task in its thread.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::deadline::DEADLINE;

/// Wakes the thread that sleeps in [`block_on`].
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Polls a future until it is ready, sleeping in between; fails if that takes too long.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_for(DEADLINE, future).expect("a task was not woken")
}

/// The same, for at most this time. `None`: not in time.
pub(crate) fn block_on_for<T>(timeout: Duration, future: impl Future<Output = T>) -> Option<T> {
    let unpark = Arc::new(Unpark {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    let end = Instant::now() + timeout;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(result);
        }
        while !unpark.woken.swap(false, Ordering::SeqCst) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(left);
        }
    }
}
