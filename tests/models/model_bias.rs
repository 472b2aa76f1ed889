//! The biased lock around a socket's state (`src/sync/bias.rs`), and the marks of its threads (`src/sync/mark.rs`), under a
//! model checker.
//!
//! The two barriers of unequal weight stand here as two full fences, which is what they amount to together. Each
//! coming by the mutex earns the bias, so that few steps pass through all states.

use std::cell::Cell;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use loom::thread;

#[allow(dead_code, reason = "no model forks")]
#[path = "../../src/sync/bias.rs"]
mod bias;
#[allow(dead_code, reason = "no model forks")]
#[path = "../../src/sync/mark.rs"]
mod mark;
#[path = "../../src/sync/waiters.rs"]
mod waiters;

use bias::Bias;
use mark::{Mark, SpareMarks};
use waiters::Waiters;

const STREAK: u32 = 1;
const LONGEST_STREAK: u32 = 1;
const SOON: Duration = Duration::ZERO;
const SPINS: usize = 1;

loom::thread_local! {
    static MARK: Cell<Option<&'static Mark>> = Cell::new(None);
}

/// Every modelled thread has a mark of its own, unless the model has given it another one.
fn current_mark() -> Option<&'static Mark> {
    MARK.with(|mine| {
        let mark = mine
            .get()
            .unwrap_or_else(|| Box::leak(Box::new(Mark::new())));
        mine.set(Some(mark));
        Some(mark)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding a lock")
}

#[path = "barrier.rs"]
mod barrier;

/// A number that only one may touch at a time: loom reports it when two do, or when one does not see what the other
/// has done.
struct Guarded {
    bias: Bias,
    value: UnsafeCell<usize>,
}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded {
            bias: Bias::new(),
            value: UnsafeCell::new(0),
        })
    }

    /// Only for who is in.
    #[allow(unsafe_code)]
    fn touch<T>(&self, touch: impl FnOnce(&mut usize) -> T) -> T {
        // SAFETY: whoever calls holds the pass; that there is one only is what loom checks here.
        self.value.with_mut(|value| touch(unsafe { &mut *value }))
    }

    fn add(&self) {
        let pass = self.bias.enter();
        self.touch(|value| *value += 1);
        drop(pass);
    }
}

fn check(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

fn two_threads() {
    let guarded = Guarded::new();
    let other = {
        let guarded = Arc::clone(&guarded);
        thread::spawn(move || (0..2).for_each(|_| guarded.add()))
    };
    (0..2).for_each(|_| guarded.add());
    other.join().expect("added");
    let _pass = guarded.bias.enter();
    assert_eq!(guarded.touch(|value| *value), 4);
}

#[test]
fn bias_lets_one_in_at_a_time() {
    check(6, two_threads);
}

/// Three threads: the bias passes on, and the one who had it may come late to the news.
#[test]
fn bias_passes_on() {
    check(3, || {
        let guarded = Guarded::new();
        guarded.add();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || (0..2).for_each(|_| guarded.add()))
            })
            .collect();
        guarded.add();
        for other in others {
            other.join().expect("added");
        }
        let _pass = guarded.bias.enter();
        assert_eq!(guarded.touch(|value| *value), 6);
    });
}

/// A thread that is inside one lock by its mark enters another whose bias it has, and gives that up; or another thread is there, and it does not.
#[test]
fn bias_is_given_up_for_a_lock_beside() {
    check(4, || {
        let (first, second) = (Guarded::new(), Guarded::new());
        first.add();
        second.add();
        let other = {
            let second = Arc::clone(&second);
            thread::spawn(move || (0..2).for_each(|_| second.add()))
        };
        let mut moved = 0;
        for _ in 0..2 {
            let pass = first.bias.enter();
            if let Some(beside) = second.bias.try_enter_beside() {
                second.touch(|value| *value += 1);
                moved += 1;
                drop(beside);
            }
            drop(pass);
        }
        other.join().expect("added");
        let _pass = second.bias.enter();
        assert_eq!(second.touch(|value| *value), 3 + moved);
    });
}

/// Who waits for a change is told of it, whichever way the two came in.
#[test]
fn bias_loses_no_notification() {
    check(3, || {
        let guarded = Guarded::new();
        let changed = Arc::new(Condvar::new());
        // The one who will wait has the bias.
        guarded.add();
        let other = {
            let (guarded, changed) = (Arc::clone(&guarded), Arc::clone(&changed));
            thread::spawn(move || {
                for _ in 0..2 {
                    let pass = guarded.bias.enter();
                    guarded.touch(|value| *value += 1);
                    changed.notify_all();
                    drop(pass);
                }
            })
        };
        let mut pass = guarded.bias.enter();
        while guarded.touch(|value| *value) < 3 {
            pass = pass.wait(&changed, None);
        }
        drop(pass);
        other.join().expect("added");
    });
}

/// A thread that gets the mark of one that has ended has that one's bias, too, and sees what it did inside.
/// A thread that gets the mark of one that has ended has that one's bias, too, and sees what it did inside.
#[test]
fn bias_passes_on_with_the_mark() {
    check(3, || {
        let guarded = Guarded::new();
        let spare: Arc<SpareMarks> = Arc::new(Mutex::new(Vec::new()));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (guarded, spare) = (Arc::clone(&guarded), Arc::clone(&spare));
                thread::spawn(move || {
                    let mark = Mark::take(&spare);
                    MARK.with(|mine| mine.set(mark));
                    guarded.add();
                    if let Some(mark) = mark {
                        mark.give(&spare);
                    }
                })
            })
            .collect();
        guarded.add();
        for other in others {
            other.join().expect("added");
        }
        let _pass = guarded.bias.enter();
        assert_eq!(guarded.touch(|value| *value), 3);
    });
}

/// Who goes on lets somebody in first who waits, and is not left waiting itself.
#[test]
fn bias_lets_others_in_between() {
    check(2, || {
        let guarded = Guarded::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || guarded.add())
            })
            .collect();
        for _ in 0..2 {
            let pass = guarded.bias.enter_after_a_waiter();
            guarded.touch(|value| *value += 1);
            drop(pass);
        }
        for other in others {
            other.join().expect("added");
        }
        let _pass = guarded.bias.enter();
        assert_eq!(guarded.touch(|value| *value), 4);
    });
}

/// Whoever is known to wait is served before the one who goes on.
#[test]
fn waiters_go_first() {
    loom::model(|| {
        let shared = Arc::new((Waiters::new(), Mutex::new(false), AtomicBool::new(false)));
        let held = lock(&shared.1);
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (waiters, served, arrived) = &*shared;
                waiters.begin();
                arrived.store(true, Ordering::Release);
                let mut served = lock(served);
                waiters.end();
                *served = true;
            })
        };
        let (waiters, served, arrived) = &*shared;
        let arrived = arrived.load(Ordering::Acquire);
        drop(held);
        waiters.yield_to_one();
        let served = *lock(served);
        assert!(served || !arrived, "went on before one who waited");
        waiter.join().expect("served");
    });
}

/// Set in a process of its own, whose model goes without the heavy barrier.
const WITHOUT: &str = "ZEROHOP_MODEL_WITHOUT_BARRIER";

/// The model sees what it is there to see. In a process of its own, since loom may abort.
#[test]
fn bias_needs_its_barriers() {
    if std::env::var_os(WITHOUT).is_some() {
        barrier::BROKEN.store(true, Ordering::Relaxed);
        return check(6, two_threads);
    }
    let this = std::env::current_exe().expect("this test binary");
    let output = Command::new(this)
        .args(["--exact", "bias_needs_its_barriers", "--nocapture"])
        .env(WITHOUT, "yes")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a child process");
    let text = String::from_utf8_lossy(&output.stderr);
    let found = !output.status.success() && text.contains("Causality violation");
    assert!(
        found,
        "without the barrier two were let in, and nobody noticed: {text}"
    );
}
