//! Has the system begin to write a part of a file to the disk. Linux calls it `sync_file_range(2)`; elsewhere nothing is done, and all of the time is
//! that of the sync which follows.

#![allow(unsafe_code)]

use std::fs::File;

#[cfg(target_os = "linux")]
pub(super) fn begin(file: &File, at: u64, len: u64) {
    use std::ffi::{c_int, c_uint};
    use std::os::fd::AsRawFd;

    unsafe extern "C" {
        fn sync_file_range(fd: c_int, offset: i64, len: i64, flags: c_uint) -> c_int;
    }

    /// Begins with what is dirty, and waits for nothing but a place in the queue of the device.
    const WRITE: c_uint = 2;

    let (Ok(at), Ok(len)) = (i64::try_from(at), i64::try_from(len)) else {
        return;
    };
    // SAFETY: takes numbers, and a descriptor that is open for as long as the file is borrowed. An error of the disk is not taken from the sync by this,
    // which neither waits nor looks for one, so that its own result says nothing.
    let _ = unsafe { sync_file_range(file.as_raw_fd(), at, len, WRITE) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn begin(_file: &File, _at: u64, _len: u64) {}
