//! Hand-over: whether messages gather on a socket: callers → the caretaker, which is told when they begin to.
//!
//! A caller that has written them by itself would have the caretaker lock the socket only to find nothing, and so lose its bias. So the caretaker looks
//! here first.
//!
//! Invariant: **while messages gather, the caretaker has been told of it and has yet to look, or has looked, seen that they do, and comes back.** Whether they do
//! changes under the state lock only. Who begins it sets the mark first, and then tells the caretaker.

use crate::sync::{AtomicBool, Ordering};

/// See the module.
#[derive(Debug)]
pub(crate) struct Gathers(AtomicBool);

impl Gathers {
    pub(crate) fn new() -> Self {
        Gathers(AtomicBool::new(false))
    }

    /// Messages begin to gather, or do so no longer. Only called under the socket's state lock.
    pub(crate) fn set(&self, gathers: bool) {
        self.0.store(gathers, Ordering::Relaxed);
    }

    /// Whether they do. `false`, for a caretaker that has been told that they do: it is told again when they do again.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
