//! What whoever started us wants of signals, and has opened for us.
//!
//! `nohup` starts its command with SIGHUP ignored, and a shell that is not interactive starts what it puts into the background
//! with SIGINT ignored. A program that installs a handler all the same takes that back.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, process, ptr};

/// The first descriptor that systemd hands down (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

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

/// The sockets that systemd, or who does as it, has opened for this process: `LISTEN_FDS` of them, if it is the one that `LISTEN_PID` names.
pub(crate) fn listeners() -> Result<Vec<OwnedFd>, String> {
    static TAKEN: AtomicBool = AtomicBool::new(false);

    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let (count, addressee) = (number("LISTEN_FDS"), number("LISTEN_PID"));
    let count = match (count, addressee) {
        (Some(count @ 1..=1024), Some(pid)) if pid == process::id() => count,
        (_, Some(pid)) if pid != process::id() => {
            return Err(format!(
                "--listen-fds: the sockets are for process {pid} (LISTEN_PID), and this is {}",
                process::id()
            ));
        }
        _ => {
            return Err(String::from(
                "--listen-fds: no sockets were handed down (LISTEN_FDS and LISTEN_PID); \
                 is there a .socket unit beside the service?",
            ));
        }
    };
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(String::from("--listen-fds: the sockets are in use"));
    }
    let last = FIRST + count as RawFd - 1;
    // SAFETY: reads a flag of a descriptor, if there is one of that number.
    let is_open = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    if let Some(closed) = (FIRST..=last).find(|fd| !is_open(fd)) {
        return Err(format!("--listen-fds: descriptor {closed} is not open"));
    }
    // SAFETY: they are open, who started us says that they are for us, and nobody has taken them before.
    Ok((FIRST..=last)
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect())
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
