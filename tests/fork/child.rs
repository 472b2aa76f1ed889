//! A child made by `fork`, and how it ended.

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::common::deadline::DEADLINE;

mod system {
    use std::ffi::c_int;

    unsafe extern "C" {
        pub(super) fn fork() -> c_int;
        pub(super) fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        pub(super) fn kill(pid: c_int, signal: c_int) -> c_int;
        pub(super) fn _exit(status: c_int) -> !;
        pub(super) fn exit(status: c_int) -> !;
    }

    pub(super) const WNOHANG: c_int = 1;
    pub(super) const SIGKILL: c_int = 9;
}

/// How a child leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Without another word, as a worker of Python's `multiprocessing` does.
    AtOnce,
    /// Through the exit handlers of the C library.
    Normally,
}

/// A value that others lend, as if it were one's own. In a child only, which ends without dropping the lender's.
pub(crate) fn inherit<T>(lent: &T) -> T {
    // SAFETY: the copy is the only one that is used or dropped from here on: the threads that had the other are
    // not in the child, and `Forked::start` ends the child before its own is dropped.
    unsafe { std::ptr::read(lent) }
}

/// Ends the threads of a test when it is dropped, so also if the test fails.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A child; killed and reaped when this is dropped.
pub(crate) struct Forked {
    pid: i32,
    reaped: bool,
}

impl Forked {
    /// Forks; the child does `work`, and then ends with 0, or with 1 if it panicked.
    pub(crate) fn start(leaving: Leaving, work: impl FnOnce()) -> Forked {
        // SAFETY: the child has this thread alone. Whatever `work` does it does with the library under test, which is to
        // bear that, and with the allocator, which the C library keeps usable.
        let pid = unsafe { system::fork() };
        assert!(pid >= 0, "no child");
        if pid == 0 {
            let failed = catch_unwind(AssertUnwindSafe(work)).is_err();
            match leaving {
                // SAFETY: ends the process; nothing comes after it.
                Leaving::AtOnce => unsafe { system::_exit(failed.into()) },
                // Not by `std::process::exit`: it waits for a lock of the standard library, which another thread, that is not in the child,
                // may have had when it was forked.
                // SAFETY: as above. The handlers are those of the C library alone, which is made for this.
                Leaving::Normally => unsafe { system::exit(failed.into()) },
            }
        }
        Forked { pid, reaped: false }
    }

    /// Waits until the child has ended well.
    pub(crate) fn succeed(mut self) {
        let end = Instant::now() + DEADLINE;
        let mut status = 0;
        // SAFETY: `status` is there to be written to, and the child is ours.
        while unsafe { system::waitpid(self.pid, &mut status, system::WNOHANG) } == 0 {
            assert!(Instant::now() < end, "the child hangs");
            std::thread::yield_now();
        }
        self.reaped = true;
        assert_eq!(status, 0, "the child failed");
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            let mut status = 0;
            // SAFETY: the child is ours and not reaped, so its number names no other process.
            unsafe {
                system::kill(self.pid, system::SIGKILL);
                system::waitpid(self.pid, &mut status, 0);
            }
        }
    }
}
