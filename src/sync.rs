//! The synchronisation primitives that the hand-overs between threads are made of.
//!
//! A hand-over in a file of its own takes its locks and atomics from here alone. The model checks under `tests/` compile the
//! very same files against loom's versions.

mod barrier;
mod bell;
mod bias;
mod lane;
mod mark;
mod state_lock;
mod waiters;

use std::cell::Cell;
use std::time::Duration;

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use crate::prefetch::prefetch_to_write;
pub(crate) use crate::process::Process;
pub(crate) use bell::{Bell, Rung};
pub(crate) use lane::{BLOCK, Blocks, Lane, Pushed, Writer};
use mark::{Mark, SpareMarks};
pub(crate) use state_lock::{StateGuard, StateLock};

/// Locks, whatever happened to another holder: the guarded values are valid between any two statements
/// that could unwind, and the library itself does not panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers the process for the barriers of [`barrier`]. That may take the system a while, and no call should have to wait for it.
pub(crate) fn prepare() {
    // It registers the process. Whether that has worked is asked again where the barriers are used.
    let _ = barrier::available();
}

/// A thread is granted the bias when it has entered by the mutex so many times in a row.
const STREAK: u32 = 16;

/// So many times at the most, where biases have been revoked soon.
const LONGEST_STREAK: u32 = 512;

/// A bias that is revoked sooner than this after it was granted has cost more than it has saved.
const SOON: Duration = Duration::from_micros(200);

/// So often a thread that waits for an owner looks whether it is still inside, before it sleeps.
const SPINS: usize = 100;

/// Words of 8 bytes in a lane: 128 KiB, nearly as many messages of 64 B as the default marks allow for.
const LANE_WORDS: usize = 16 * 1024;

/// The longest body that a lane takes. With longer ones a lock costs little in comparison.
const LANE_BODY: usize = 128;

thread_local! {
    static MARK: Cell<Option<&'static Mark>> = const { Cell::new(None) };
    static GIVE_BACK: GiveBack = const { GiveBack(Cell::new(None)) };
}

static SPARE: SpareMarks = Mutex::new(Vec::new());

/// The spare marks are those of the process that this one was forked from.
static SPARE_ARE_INHERITED: AtomicBool = AtomicBool::new(false);

/// Gives the mark back when the thread ends.
struct GiveBack(Cell<Option<&'static Mark>>);

impl Drop for GiveBack {
    fn drop(&mut self) {
        MARK.set(None);
        if let Some(mark) = self.0.take() {
            mark.give(&SPARE);
        }
    }
}

/// This process is a child that was forked just now. Its only thread loses its mark, and no thread of this process gets that mark or
/// a spare one of the parent. So no inherited lock is biased towards a thread of this process. The registration for the barriers,
/// which was the parent's, is done anew when it is needed.
///
/// Called from a handler of `fork`: only stores.
pub(crate) fn forked() {
    if MARK.take().is_some() {
        // It is there, as the thread has had a mark.
        let _ = GIVE_BACK.try_with(|give_back| give_back.0.set(None));
    }
    SPARE_ARE_INHERITED.store(true, Ordering::Relaxed);
    barrier::forked();
}

/// The mark of this thread. `None`: it has none for now, or, as it is ending, no longer.
#[inline]
fn current_mark() -> Option<&'static Mark> {
    #[cold]
    fn assign() -> Option<&'static Mark> {
        if SPARE_ARE_INHERITED.load(Ordering::Relaxed) {
            Mark::forget(&SPARE)?;
            SPARE_ARE_INHERITED.store(false, Ordering::Relaxed);
        }
        let take = |give_back: &GiveBack| {
            let mark = Mark::take(&SPARE)?;
            give_back.0.set(Some(mark));
            MARK.set(Some(mark));
            Some(mark)
        };
        // An error: the thread is ending, and has given its mark back.
        GIVE_BACK.try_with(take).ok().flatten()
    }
    MARK.get().or_else(assign)
}
