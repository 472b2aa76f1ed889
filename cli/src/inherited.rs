//! What whoever started us wants of signals.
//!
//! `nohup` starts its command with SIGHUP ignored, and a shell that is not interactive starts what it puts into the background
//! with SIGINT ignored. A program that installs a handler all the same takes that back.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

/// Whether the signal is ignored now. To be asked before a handler is installed.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call changes nothing; the old one is written to memory of its type.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: numbers, and a pointer that may be null: zeros are a valid value, which the call has overwritten if it
    // succeeded.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // The runtime of Rust ignores it in every program.
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGUSR2));
        assert!(!is_ignored(-1));
    }
}
