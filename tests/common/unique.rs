//! Names that no other test has.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A number that no other test of this process has.
pub(crate) fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A name that no other test of this or any other running process has.
pub(crate) fn name() -> String {
    format!("zerohop-test-{}-{}", process::id(), number())
}
