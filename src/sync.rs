//! The synchronisation primitives that the hand-overs between threads are made of.
//!
//! Every hand-over is a file that uses these and nothing else of the crate. The model checks under
//! `tests/` compile the very same files against loom's versions.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Locks, whatever happened to another holder: the guarded values are valid between any two statements
/// that could unwind, and the library itself does not panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
