//! Futures that are always ready leave the runtime its turn.
//!
//! A task that receives from a peer which sends fast enough never has to wait, nor has one that sends where there is always room; so the runtime would get
//! no turn, and see to no timer and no other task. Where futures have been ready one after the other for a while, the next one wakes its task, and is
//! pending once, before it has done anything.
//!
//! A turn costs some runtimes two system calls, and so it is time that counts, not messages; the clock is looked at once for several of these.

use std::cell::Cell;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// For so long they may be ready one after the other. Timers of runtimes are a millisecond apart.
const ROW: Duration = Duration::from_micros(500);

/// With so many of them there is a look at the clock. The first one begins to measure, so that no fewer than twice as many are ready in a row.
const LOOK_EACH: u32 = 16;

thread_local! {
    /// How many have been ready at their first poll, since one gave way or had to wait.
    static READY: Cell<u32> = const { Cell::new(0) };
    /// When the first look at the clock was.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be asked by a future that is polled for the first time, before it does anything: whether it gives way. Then its task has been woken already.
#[inline]
pub(super) fn gives_way(context: &Context<'_>) -> bool {
    looks_at_clock() && is_due(READY.get(), context)
}

/// Whether [`gives_way`] would look at the clock now. While it would not, a future that is always ready does not give way.
#[inline]
pub(super) fn looks_at_clock() -> bool {
    let ready = READY.get();
    ready >= LOOK_EACH && ready.is_multiple_of(LOOK_EACH)
}

#[cold]
fn is_due(ready: u32, context: &Context<'_>) -> bool {
    let now = Instant::now();
    match SINCE.get().filter(|_| ready > LOOK_EACH) {
        None => {
            SINCE.set(Some(now));
            false
        }
        Some(since) if now.saturating_duration_since(since) < ROW => false,
        Some(_) => {
            READY.set(0);
            context.waker().wake_by_ref();
            true
        }
    }
}

/// Notes what has come of a poll, and whether it was a future's first.
#[inline]
pub(super) fn note<T>(is_first: bool, polled: Poll<T>) -> Poll<T> {
    if polled.is_pending() {
        READY.set(0);
    } else if is_first {
        note_ready();
    }
    polled
}

/// Notes that a future was ready at its first poll: for one whose output is not best moved once more.
#[inline]
pub(super) fn note_ready() {
    READY.set(READY.get().wrapping_add(1));
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// How many are ready one after the other if each takes so long.
    fn row(each: Duration) -> u32 {
        let context = Context::from_waker(Waker::noop());
        let mut ready = 0;
        while !gives_way(&context) {
            std::thread::sleep(each);
            assert!(note(true, Poll::Ready(())).is_ready());
            ready += 1;
        }
        ready
    }

    #[test]
    fn slow_ones_give_way_sooner_than_many() {
        assert_eq!(row(Duration::from_micros(100)), 2 * LOOK_EACH);
        assert_eq!(row(Duration::from_micros(100)), 2 * LOOK_EACH, "again");
        assert!(row(Duration::ZERO) >= 2 * LOOK_EACH);
    }

    #[test]
    fn one_that_waits_gives_the_runtime_its_turn() {
        let context = Context::from_waker(Waker::noop());
        for _ in 0..10 * LOOK_EACH {
            assert!(!gives_way(&context));
            note(true, Poll::Ready(())).is_ready();
            std::thread::sleep(Duration::from_micros(100));
            if READY.get() == 2 * LOOK_EACH - 1 {
                assert!(note(true, Poll::<()>::Pending).is_pending());
            }
        }
    }
}
