//! The two barriers of unequal weight, for the models: two full fences, which is what they amount to together.

use loom::sync::atomic::{Ordering, fence};
use std::sync::atomic::AtomicBool;

/// Set to see what happens without the heavy one.
pub(crate) static BROKEN: AtomicBool = AtomicBool::new(false);

pub(crate) fn light() {
    fence(Ordering::SeqCst);
}

pub(crate) fn heavy() {
    if !BROKEN.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn available() -> bool {
    true
}
