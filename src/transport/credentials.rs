//! Who is at the other end of a Unix socket: what the system knows, whatever the peer says. And who we are.

#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use crate::zmtp::IpcCredentials;

unsafe extern "C" {
    safe fn geteuid() -> u32;
}

/// The user that this process acts as: what it makes belongs to that one.
pub(super) fn own_uid() -> u32 {
    geteuid()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::ffi::{c_int, c_void};
    use std::os::fd::{AsRawFd, BorrowedFd};

    use crate::zmtp::IpcCredentials;

    // MIPS and SPARC have other numbers, and there the system says that it knows no such option, or gives what has another length.
    const SOL_SOCKET: c_int = 1;
    const SO_PEERCRED: c_int = 17;

    unsafe extern "C" {
        fn getsockopt(
            fd: c_int,
            level: c_int,
            name: c_int,
            value: *mut c_void,
            length: *mut u32,
        ) -> c_int;
    }

    pub(in crate::transport) fn of(fd: BorrowedFd<'_>) -> Option<IpcCredentials> {
        // pid, uid, gid
        let mut found = [0_u32; 3];
        let mut length = size_of_val(&found) as u32;
        let value = found.as_mut_ptr().cast::<c_void>();
        // SAFETY: the descriptor is open as long as it is borrowed. `value` is `length` bytes of ours, of which the system writes no
        // more, and any bytes are valid there; it writes how many they were to `length`.
        let result = unsafe {
            getsockopt(
                fd.as_raw_fd(),
                SOL_SOCKET,
                SO_PEERCRED,
                value,
                &raw mut length,
            )
        };
        let whole = result == 0 && length as usize == size_of_val(&found);
        whole.then(|| IpcCredentials::new(found[1], found[2], found[0]))
    }
}

/// Where the C library asks for it; the number of the process is not told.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::ffi::c_int;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use crate::zmtp::IpcCredentials;

    unsafe extern "C" {
        fn getpeereid(fd: c_int, uid: *mut u32, gid: *mut u32) -> c_int;
    }

    pub(in crate::transport) fn of(fd: BorrowedFd<'_>) -> Option<IpcCredentials> {
        let (mut uid, mut gid) = (0, 0);
        // SAFETY: the descriptor is open as long as it is borrowed, and the call writes one number to each of two places of ours.
        let result = unsafe { getpeereid(fd.as_raw_fd(), &raw mut uid, &raw mut gid) };
        (result == 0).then(|| IpcCredentials::new(uid, gid, 0))
    }
}

/// The process at the other end of a Unix socket, if the system tells.
pub(super) fn of(fd: BorrowedFd<'_>) -> Option<IpcCredentials> {
    system::of(fd)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pair_of_our_own_is_ours_at_both_ends() {
        let (one, other) = UnixStream::pair().unwrap();
        let credentials = of(one.as_fd()).expect("the system tells");
        let path = std::env::temp_dir().join(format!("zerohop-own-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        assert_eq!(credentials.uid, own_uid());
        assert_eq!(credentials.uid, std::fs::metadata(&path).unwrap().uid());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of(other.as_fd()), Some(credentials));
        if cfg!(target_os = "linux") {
            assert_eq!(credentials.pid, std::process::id());
        }
    }

    #[test]
    fn a_tcp_socket_has_no_such_thing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(of(stream.as_fd()).is_none_or(|found| found.pid == 0));
    }
}
