//! The bell of a log's thread under a model checker: every interleaving, not just those that happen.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "../../src/sync/bell.rs"]
#[allow(dead_code, reason = "a pause hands nothing over")]
mod bell;

use bell::{Bell, Rung};

/// Work that is left before a ring is done; a ring that is lost would leave the thread asleep, which loom reports.
#[test]
fn no_ring_is_lost() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let left = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (bell, left) = (Arc::clone(&bell), Arc::clone(&left));
                thread::spawn(move || {
                    left.fetch_add(1, Ordering::Relaxed);
                    bell.ring();
                })
            })
            .collect();
        let mut done = 0;
        while done < 2 {
            assert_eq!(bell.wait(None), Rung::Work);
            done += left.swap(0, Ordering::Relaxed);
        }
        for caller in callers {
            caller.join().expect("a caller");
        }
        assert_eq!(left.load(Ordering::Relaxed), 0);
    });
}

/// Whoever is told to stop stops, whether it sleeps or works.
#[test]
fn it_stops() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let sleeper = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || while bell.wait(None) == Rung::Work {})
        };
        bell.ring();
        bell.stop();
        sleeper.join().expect("it has stopped");
        assert!(bell.is_stopped());
    });
}
