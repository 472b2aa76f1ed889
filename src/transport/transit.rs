//! What the system knows of bytes on their way to a peer: how many have not arrived, and whether the other end answers at all.
//!
//! Neither question has a safe wrapper in the crates that we use, so this module asks the system itself. It is asked when a peer has
//! left a PING unanswered, and never on the way of a message.

#![allow(unsafe_code)]

use std::time::Duration;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transit {
    /// Bytes that we were told have been written, and that have not arrived: with TCP those that the peer's system has not acknowledged,
    /// and none with a Unix socket.
    pub(crate) unsent: u64,
    /// Bytes that wait for the peer: the same with TCP. With a Unix socket those that the peer has not read, and the system's memory around
    /// them.
    pub(crate) waiting: u64,
    /// For how long the peer's system has left something unanswered, though it was sent again; zero if it has not. It answers also when
    /// it has no room.
    pub(crate) silence: Duration,
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod system {
    use std::ffi::{c_int, c_ulong, c_void};
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::time::Duration;

    use super::Transit;

    unsafe extern "C" {
        fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
        fn getsockopt(
            fd: c_int,
            level: c_int,
            name: c_int,
            value: *mut c_void,
            length: *mut u32,
        ) -> c_int;
    }

    const SIOCOUTQ: c_ulong = 0x5411;
    const IPPROTO_TCP: c_int = 6;
    const TCP_INFO: c_int = 11;

    /// Between the first two probes at the least, and between any at the most.
    const SHORTEST_RTO: Duration = Duration::from_millis(200);
    const LONGEST_RTO: Duration = Duration::from_secs(120);

    /// Systems answer probes no more often than twice a second; with some time for the way.
    const ANSWERED_EVERY: Duration = Duration::from_millis(600);

    /// As much of `struct tcp_info` as is looked at; the system cuts its answer to that.
    const INFO: usize = 60;
    const RETRANSMITS: usize = 2;
    const PROBES: usize = 3;
    const BACKOFF: usize = 4;
    const RTO: usize = 8;
    const UNACKED: usize = 24;
    const LAST_ACK_RECV: usize = 56;

    pub(in crate::transport) fn tcp(fd: BorrowedFd<'_>) -> Option<Transit> {
        let unsent = out_queue(fd)?;
        Some(Transit {
            unsent,
            waiting: unsent,
            silence: silence(&tcp_info(fd)?)?,
        })
    }

    pub(in crate::transport) fn unix(fd: BorrowedFd<'_>) -> Option<Transit> {
        Some(Transit {
            unsent: 0,
            waiting: out_queue(fd)?,
            silence: Duration::ZERO,
        })
    }

    /// Segments that were sent are acknowledged, or sent again. While the peer's system has no room for another, none is
    /// on its way, and the system asks whether there is (*probes*), each time after twice the time as before; an answer sets their count
    /// to zero.
    fn silence(info: &[u8; INFO]) -> Option<Duration> {
        let number = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let since_answer = Duration::from_millis(number(LAST_ACK_RECV)?.into());
        if number(UNACKED)? > 0 {
            let repeated = info[RETRANSMITS] > 0;
            return Some(if repeated {
                since_answer
            } else {
                Duration::ZERO
            });
        }
        if info[PROBES] == 0 {
            return Some(Duration::ZERO);
        }
        let timeout = Duration::from_micros(number(RTO)?.into()).max(SHORTEST_RTO);
        let doublings = u32::from(info[BACKOFF]).saturating_sub(1).min(16);
        let before = timeout.saturating_mul(1 << doublings).min(LONGEST_RTO);
        // Probes that follow each other too soon are not answered. The one before the last may have been.
        let answered = before >= ANSWERED_EVERY;
        let since_probe = since_answer.saturating_sub(before);
        Some(if answered {
            since_probe
        } else {
            Duration::ZERO
        })
    }

    fn out_queue(fd: BorrowedFd<'_>) -> Option<u64> {
        let mut bytes: c_int = 0;
        // SAFETY: the descriptor is open as long as it is borrowed, and this request writes one `int` to where it is told, which is
        // ours alone.
        let result = unsafe { ioctl(fd.as_raw_fd(), SIOCOUTQ, &raw mut bytes) };
        (result == 0)
            .then_some(bytes)
            .and_then(|n| n.try_into().ok())
    }

    fn tcp_info(fd: BorrowedFd<'_>) -> Option<[u8; INFO]> {
        let mut info = [0; INFO];
        let mut length = INFO as u32;
        let value = info.as_mut_ptr().cast::<c_void>();
        // SAFETY: the descriptor is open as long as it is borrowed. `value` is `length` bytes of ours, of which the system writes no
        // more, and any bytes are valid there; it writes how many they were to `length`.
        let result = unsafe {
            getsockopt(
                fd.as_raw_fd(),
                IPPROTO_TCP,
                TCP_INFO,
                value,
                &raw mut length,
            )
        };
        (result == 0 && length as usize == INFO).then_some(info)
    }
}

/// Elsewhere nobody knows.
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod system {
    use std::os::fd::BorrowedFd;

    use super::Transit;

    pub(in crate::transport) fn tcp(_fd: BorrowedFd<'_>) -> Option<Transit> {
        None
    }

    pub(in crate::transport) fn unix(_fd: BorrowedFd<'_>) -> Option<Transit> {
        None
    }
}

pub(super) use system::{tcp, unix};

#[cfg(all(
    test,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_nobody_reads_waits_and_the_system_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _peer = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let transit = tcp(stream.as_fd()).unwrap();
        assert_eq!((transit.unsent, transit.waiting), (0, 0));
        while stream.write(&[0; 64 * 1024]).is_ok() {}
        let transit = tcp(stream.as_fd()).unwrap();
        assert!(transit.unsent > 0);
        assert_eq!(transit.unsent, transit.waiting);
        assert_eq!(transit.silence, Duration::ZERO);
    }

    #[test]
    fn what_the_reader_of_a_unix_socket_has_not_read_waits() {
        let (mut stream, mut peer) = UnixStream::pair().unwrap();
        assert_eq!(unix(stream.as_fd()).unwrap().waiting, 0);
        stream.write_all(&[0; 100]).unwrap();
        let transit = unix(stream.as_fd()).unwrap();
        assert!(transit.waiting >= 100);
        assert_eq!((transit.unsent, transit.silence), (0, Duration::ZERO));
        std::io::Read::read_exact(&mut peer, &mut [0; 100]).unwrap();
        assert_eq!(unix(stream.as_fd()).unwrap().waiting, 0);
    }
}
