//! Which process an object was made in: a child made by `fork` holds copies of its parent's sockets, and must not use them.
//!
//! What the kernel keeps is shared between the two, and not copied: to deregister a stream from the child's poll takes it out of
//! the parent's, to shut it down ends the connection for both, and a byte that the child writes is missing from the
//! parent's. Besides, a lock that another thread of the parent held just then is held for ever in the child, which
//! has no such thread.
//!
//! So each object that holds descriptors or locks remembers its [`Process`], and asks before it touches either. The C library
//! tells of a `fork` by a handler that runs in the child before `fork` returns there. It counts, and takes from the child's only thread
//! the bias of all state locks (see [`forked`](crate::sync::forked)), so that the short way, which is open to the owner of a
//! bias only, needs no check of its own.
//!
//! The other way round, what the parent closes stays open for the peer as long as a child has a copy. So a process that has ever
//! forked shuts down what it closes ([`Process::has_forked`]).
//!
//! Not noticed: children that are made past the C library, by a bare `clone` or `_Fork`. A child of `vfork` shares all memory and
//! is not a copy.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// The forks between the first process that used this library and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// This process may have children that hold copies of its descriptors.
static HAS_FORKED: AtomicBool = AtomicBool::new(false);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u64);

impl Process {
    /// This one. From now on a `fork` is noticed.
    pub(crate) fn current() -> Process {
        watch_for_forks();
        Process(FORKS.load(Ordering::Relaxed))
    }

    /// Whether it still is this one.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }

    /// Its number, from 1 on: for an atomic in which 0 is no process.
    #[cfg(feature = "async-io")]
    pub(crate) fn number(self) -> u64 {
        self.0 + 1
    }

    /// Whether it still is this one, and has forked.
    pub(crate) fn has_forked(self) -> bool {
        HAS_FORKED.load(Ordering::Relaxed) && self.is_current()
    }
}

/// Registers the handler. Threads that come at the same time register it more than once, which makes no difference: none waits for
/// another, which a child might do for ever.
fn watch_for_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.load(Ordering::Relaxed) {
        // SAFETY: the handlers may be called at any time, and do only what handlers may: see there.
        let failed = unsafe { pthread_atfork(Some(before_fork), None, Some(in_child)) };
        // It can fail for want of memory. Then the next context tries again.
        WATCHED.store(failed == 0, Ordering::Relaxed);
    }
}

/// Runs in the parent, before there is a child.
extern "C" fn before_fork() {
    HAS_FORKED.store(true, Ordering::Relaxed);
}

/// Runs in the child, before `fork` returns there. It takes no lock and no memory, and calls nothing of the system.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    HAS_FORKED.store(false, Ordering::Relaxed);
    crate::sync::forked();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_process_until_there_is_a_fork() {
        let process = Process::current();
        assert!(process.is_current());
        assert_eq!(process, Process::current());
    }
}
