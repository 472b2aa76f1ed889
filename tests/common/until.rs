//! Asking again and again, within the deadline.

use std::time::{Duration, Instant};

use super::deadline::DEADLINE;

/// How long one look lasts where a test asks again and again, and doing so moves things along.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// Calls `step` until it gives a value; panics with `what` when the deadline passes first.
///
/// `step` must itself wait a [`GLANCE`] or do some work: this loop never sleeps.
pub(crate) fn until<T>(what: &str, mut step: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = step() {
            return value;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
    }
}
