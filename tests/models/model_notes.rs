//! What is noted for a spool under a model checker: every interleaving, not just those that happen.

use loom::sync::Arc;
use loom::sync::Mutex;
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "../../src/spool/notes.rs"]
mod notes;

use notes::Notes;

/// Takes what is there, and writes it down, as one step.
fn catch_up(notes: &Notes<u32>, written: &Mutex<Vec<u32>>) {
    let mut written = sync::lock(written);
    written.extend(notes.take());
}

#[test]
fn all_that_was_added_is_written_in_order_before_the_thread_ends() {
    loom::model(|| {
        let notes = Arc::new(Notes::new());
        let written = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (notes, written) = (Arc::clone(&notes), Arc::clone(&written));
            thread::spawn(move || {
                loop {
                    let asked = notes.wait();
                    catch_up(&notes, &written);
                    if asked.closed {
                        break;
                    }
                }
            })
        };
        notes.add(&mut vec![1]);
        // Somebody who wants to see it now.
        catch_up(&notes, &written);
        notes.add(&mut vec![2, 3]);
        notes.close();
        let mut late = vec![4];
        notes.add(&mut late);
        thread.join().expect("it ends");
        assert!(late.is_empty());
        assert_eq!(*sync::lock(&written), [1, 2, 3]);
    });
}

#[test]
fn what_is_asked_for_is_seen() {
    loom::model(|| {
        let notes = Arc::new(Notes::<u32>::new());
        let asks: Vec<_> = [3, 7]
            .into_iter()
            .map(|upto| {
                let notes = Arc::clone(&notes);
                thread::spawn(move || notes.want(upto))
            })
            .collect();
        let mut seen = 0;
        while seen < 7 {
            let asked = notes.wait();
            assert!(asked.wanted > seen, "nothing else wakes the thread");
            assert!(!asked.closed);
            seen = asked.wanted;
        }
        for ask in asks {
            ask.join().expect("asked");
        }
        notes.close();
        assert_eq!((notes.wait().wanted, notes.wait().closed), (7, true));
    });
}

#[test]
fn what_is_hastened_is_seen_beside_what_is_asked_for() {
    loom::model(|| {
        let notes = Arc::new(Notes::<u32>::new());
        let other = Arc::clone(&notes);
        let ask = thread::spawn(move || {
            other.want(3);
            other.hasten(7);
        });
        notes.hasten(5);
        let mut seen = (0, 0);
        while seen != (3, 7) {
            let asked = notes.wait();
            let now = (asked.wanted, asked.hastened);
            assert_ne!(now, seen, "nothing else wakes the thread");
            assert!(now.0 >= seen.0 && now.1 >= seen.1 && !asked.closed);
            seen = now;
        }
        ask.join().expect("asked");
    });
}
