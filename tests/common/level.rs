//! Whether a descriptor is readable: asked of the system, once and without remembering anything.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

mod system {
    use std::ffi::{c_int, c_short};

    #[repr(C)]
    pub(super) struct PollFd {
        pub(super) fd: c_int,
        pub(super) events: c_short,
        pub(super) revents: c_short,
    }

    #[cfg(target_os = "linux")]
    pub(super) type Count = std::ffi::c_ulong;
    #[cfg(not(target_os = "linux"))]
    pub(super) type Count = std::ffi::c_uint;

    unsafe extern "C" {
        pub(super) fn poll(fds: *mut PollFd, count: Count, timeout: c_int) -> c_int;
    }

    pub(super) const POLLIN: c_short = 1;
}

/// Waits with poll(2) until one of the descriptors is readable or the time is up; says which are.
pub(crate) fn wait_readable(fds: &[&dyn AsFdDyn], timeout: Duration) -> Vec<bool> {
    let mut asked: Vec<_> = fds
        .iter()
        .map(|fd| system::PollFd {
            fd: fd.raw(),
            events: system::POLLIN,
            revents: 0,
        })
        .collect();
    let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the array is there for the whole call, and as long as the count says.
    let _ = unsafe { system::poll(asked.as_mut_ptr(), asked.len() as system::Count, timeout) };
    asked.iter().map(|fd| fd.revents != 0).collect()
}

/// Whether it is readable now.
pub(crate) fn is_readable(fd: &impl AsFd) -> bool {
    wait_readable(&[fd], Duration::ZERO)[0]
}

/// Descriptors of different kinds.
pub(crate) trait AsFdDyn {
    fn raw(&self) -> i32;
}

impl<T: AsFd> AsFdDyn for T {
    fn raw(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}
