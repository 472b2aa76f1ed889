//! What is noted for a spool under a model checker: every interleaving, not just those that happen.

use std::time::Duration;

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

/// For longer than a model takes: its clock stands still for those who wait, and so only what is urgent wakes the thread.
const GATHER: Duration = Duration::from_secs(3600);

/// Takes what is there, and writes it down, as one step.
fn catch_up(notes: &Notes<u32>, written: &Mutex<Vec<u32>>) {
    let mut written = sync::lock(written);
    written.extend(notes.take());
}

#[test]
fn all_that_was_added_is_written_in_order_before_the_thread_ends() {
    all_that_was_added_is_written(GATHER);
}

#[test]
fn all_that_was_added_is_written_in_order_where_none_gather() {
    all_that_was_added_is_written(Duration::ZERO);
}

fn all_that_was_added_is_written(gather: Duration) {
    loom::model(move || {
        let notes = Arc::new(Notes::new());
        let written = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (notes, written) = (Arc::clone(&notes), Arc::clone(&written));
            thread::spawn(move || {
                loop {
                    let asked = notes.wait(gather);
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
fn notes_alone_wake_the_thread() {
    loom::model(|| {
        let notes = Arc::new(Notes::new());
        let other = Arc::clone(&notes);
        let adds = thread::spawn(move || other.add(&mut vec![1]));
        let asked = notes.wait(Duration::ZERO);
        assert_eq!((asked.wanted, asked.closed), (0, false));
        assert_eq!(notes.take(), [1]);
        adds.join().expect("added");
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
            let asked = notes.wait(GATHER);
            assert!(asked.wanted > seen, "nothing else wakes the thread");
            assert!(!asked.closed);
            seen = asked.wanted;
        }
        for ask in asks {
            ask.join().expect("asked");
        }
        notes.close();
        assert_eq!(
            (notes.wait(GATHER).wanted, notes.wait(GATHER).closed),
            (7, true)
        );
    });
}

#[test]
fn what_there_was_time_for_is_seen_when_somebody_waits_for_it() {
    loom::model(|| {
        let notes = Arc::new(Notes::<u32>::new());
        let other = Arc::clone(&notes);
        let ask = thread::spawn(move || {
            other.want_later(5);
            other.want(5);
        });
        let mut seen = 0;
        while seen < 5 {
            seen = notes.wait(GATHER).wanted;
        }
        ask.join().expect("asked");
    });
}
