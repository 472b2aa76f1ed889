//! The biased lock around a socket's state (`src/sync/bias.rs`) under a model checker.
//!
//! The two barriers of unequal weight stand here as two full fences, which is what they amount to together. Each
//! coming by the mutex earns the bias, so that few steps pass through all states.

use std::cell::Cell;
use std::process::Command;
use std::sync::PoisonError;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use loom::thread;

#[path = "../src/sync/bias.rs"]
mod bias;

use bias::Bias;

const STREAK: u32 = 1;
const SPINS: usize = 1;

loom::thread_local! {
    static TOKEN: Cell<u64> = Cell::new(1);
}

/// Every modelled thread but the first gives itself a number.
fn thread_token() -> u64 {
    TOKEN.with(Cell::get)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding a lock")
}

#[path = "common/barrier.rs"]
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

fn spawn(token: u64, run: impl FnOnce() + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        TOKEN.with(|mine| mine.set(token));
        run();
    })
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
        spawn(2, move || (0..2).for_each(|_| guarded.add()))
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
        let others: Vec<_> = [2, 3]
            .map(|token| {
                let guarded = Arc::clone(&guarded);
                spawn(token, move || (0..2).for_each(|_| guarded.add()))
            })
            .into();
        guarded.add();
        for other in others {
            other.join().expect("added");
        }
        let _pass = guarded.bias.enter();
        assert_eq!(guarded.touch(|value| *value), 6);
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
            spawn(2, move || {
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
