//! A pair of barriers of unequal weight.
//!
//! Two threads that each write one flag and then read the other's need a full barrier between the two steps, or
//! both may read the old value. Where one of the threads does this millions of times a second and the other
//! a thousand times, the second can pay for both: [`heavy`] makes every running thread of the process pass through a
//! full barrier, so that [`light`] has to bind the compiler only. Linux calls it `membarrier(2)`.

#![allow(unsafe_code)]

use std::sync::atomic::{Ordering, compiler_fence};

pub(super) use system::{available, forked, heavy};

/// Keeps the compiler from moving memory accesses across. With [`heavy`] in another thread, nothing moves.
#[inline]
pub(super) fn light() {
    compiler_fence(Ordering::SeqCst);
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod system {
    use std::ffi::{c_int, c_long, c_uint};
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    use std::time::Duration;

    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }

    #[cfg(target_arch = "x86_64")]
    const MEMBARRIER: c_long = 324;
    #[cfg(target_arch = "aarch64")]
    const MEMBARRIER: c_long = 283;

    const GLOBAL: c_int = 1;
    const PRIVATE_EXPEDITED: c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

    /// No store stays in a core for anything near as long.
    const LONG_ENOUGH: Duration = Duration::from_millis(10);

    /// Whether this process is registered for the barriers. Threads that register it at the same time get the same result. None waits
    /// for another, since in a forked child that one may not exist.
    static REGISTRATION: AtomicU8 = AtomicU8::new(NONE);
    const NONE: u8 = 0;
    const DONE: u8 = 1;
    const REFUSED: u8 = 2;

    /// The system had the barriers, and refuses them now.
    static LOST: AtomicBool = AtomicBool::new(false);

    /// Whether the system has these barriers; a sandbox may forbid them. The first call registers the process, which takes some 15 ms
    /// if it has several threads.
    pub(in crate::sync) fn available() -> bool {
        let registration = match REGISTRATION.load(Ordering::Relaxed) {
            NONE => register(),
            registration => registration,
        };
        registration == DONE && !LOST.load(Ordering::Relaxed)
    }

    #[cold]
    fn register() -> u8 {
        let registration = match membarrier(REGISTER_PRIVATE_EXPEDITED) {
            true => DONE,
            false => REFUSED,
        };
        REGISTRATION.store(registration, Ordering::Relaxed);
        registration
    }

    /// This process is a forked child: it is not registered yet.
    pub(in crate::sync) fn forked() {
        REGISTRATION.store(NONE, Ordering::Relaxed);
    }

    /// A full barrier in every running thread of this process. Only for processes where [`available`] has been true.
    pub(in crate::sync) fn heavy() {
        // The first can fail for want of memory, the second takes milliseconds and needs none.
        if membarrier(PRIVATE_EXPEDITED) || membarrier(GLOBAL) {
            return;
        }
        // A program may put itself into a sandbox once it is set up. From then on no bias is granted. The last owners lose
        // theirs by a long enough wait: then all that their cores had stored before is visible.
        LOST.store(true, Ordering::Relaxed);
        std::thread::sleep(LONG_ENOUGH);
    }

    fn membarrier(command: c_int) -> bool {
        const FLAGS: c_uint = 0;
        const CPU: c_int = 0;
        // SAFETY: the call takes three integers, of these types, and touches no memory of ours.
        unsafe { syscall(MEMBARRIER, command, FLAGS, CPU) == 0 }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod system {
    pub(in crate::sync) fn available() -> bool {
        false
    }

    pub(in crate::sync) fn forked() {}

    pub(in crate::sync) fn heavy() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}
