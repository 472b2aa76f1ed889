//! A connected byte stream, over TCP or a Unix domain socket.

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::net::IpAddr;
#[cfg(feature = "cli-internals")]
use std::os::fd::OwnedFd;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::credentials;
use super::dial::SocketAddress;
use super::transit::{self, Transit};
use super::uninit;
use crate::process::Process;
use crate::zmtp::IpcCredentials;

/// Writing to a closed connection must be an error and never a `SIGPIPE`, which would kill a host program that
/// did not ask for it: a Rust `main` ignores that signal, but this library also runs under others.
/// Where sends have no such flag the sockets have an option instead, see [`prepare`].
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_FLAGS: i32 = 0x4000;
#[cfg(target_os = "freebsd")]
const SEND_FLAGS: i32 = 0x2_0000;
#[cfg(target_os = "netbsd")]
const SEND_FLAGS: i32 = 0x800;
#[cfg(any(target_os = "openbsd", target_os = "dragonfly"))]
const SEND_FLAGS: i32 = 0x400;
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
const SEND_FLAGS: i32 = 0;

/// Room for an address with a port.
const USUAL_LABEL: usize = 32;

/// `IOV_MAX` of Linux and macOS: with more the system would refuse them all.
const MAX_SLICES: usize = 1024;

/// What a TCP segment carries at most on a loopback interface: 64 KiB less 40 bytes for IPv6, 20 for TCP and 12 for time stamps.
///
/// A write that is a little longer ends in a segment of a few bytes, which costs sender and receiver nearly as much as a full
/// one. Between machines, where segments are shorter but the system handles about as many bytes of them at a time, writes of this size do no harm.
pub(crate) const SEGMENT: usize = 65_464;

/// A non-blocking stream of bytes to one peer.
///
/// Reads and writes are one system call each, repeated only if a signal interrupted it. `WouldBlock` means: wait
/// for the next readiness event.
#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    peer: SocketAddress,
    process: Process,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(any(test, feature = "fuzzing"))]
    Memory(super::memory::End),
}

impl Stream {
    /// `socket` must be non-blocking and [`prepare`]d.
    pub(super) fn tcp(socket: TcpStream, peer: SocketAddress) -> Stream {
        Stream {
            io: Io::Tcp(socket),
            peer,
            process: Process::current(),
        }
    }

    /// `peer` is the address that was dialed or, as who dials a Unix socket has no address, the listener's.
    pub(super) fn unix(socket: UnixStream, peer: SocketAddress) -> Stream {
        Stream {
            io: Io::Unix(socket),
            peer,
            process: Process::current(),
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn memory(end: super::memory::End, peer: SocketAddress) -> Stream {
        Stream {
            io: Io::Memory(end),
            peer,
            process: Process::current(),
        }
    }

    /// Reads what is there into `buffer`. `Ok(0)` is the end of the stream, given that `buffer` is not empty.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| match &self.io {
            Io::Tcp(socket) => io::Read::read(&mut &*socket, buffer),
            Io::Unix(socket) => io::Read::read(&mut &*socket, buffer),
            #[cfg(any(test, feature = "fuzzing"))]
            Io::Memory(end) => end.read(buffer),
        })
    }

    /// Appends at most `max` bytes to `buffer`, within its capacity: it is never reallocated and its spare
    /// memory never zeroed. `Ok(0)` is the end of the stream; no room at all is `InvalidInput`.
    pub(crate) fn read_spare(&self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return end.read_spare(buffer, max);
        }
        let socket = self.socket();
        uninterrupted(|| uninit::recv_spare(&socket, buffer, max))
    }

    /// Appends at most `max` bytes to `first`, and what comes after those, at most `more` bytes, to `second`: otherwise as
    /// [`read_spare`](Self::read_spare).
    pub(crate) fn read_spare_two(
        &self,
        first: &mut Vec<u8>,
        max: usize,
        second: &mut Vec<u8>,
        more: usize,
    ) -> io::Result<usize> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return end.read_spare_two((first, max), (second, more));
        }
        let socket = self.socket();
        uninterrupted(|| uninit::recv_spare_two(&socket, first, max, second, more))
    }

    /// Writes a prefix of `bytes` and returns its length.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return end.write(bytes);
        }
        let socket = self.socket();
        uninterrupted(|| socket.send_with_flags(bytes, SEND_FLAGS))
    }

    /// Writes a prefix of the slices, taken as one, and returns its length.
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return end.write_vectored(slices);
        }
        let socket = self.socket();
        let slices = &slices[..slices.len().min(MAX_SLICES)];
        uninterrupted(|| socket.send_vectored_with_flags(slices, SEND_FLAGS))
    }

    /// Whether a dialed connection is there; to be asked after a writable event. `false`: the event came early,
    /// wait for another. An error: the connection has failed.
    ///
    /// TCP can connect a stream to itself: when a port of this machine is dialed that nobody listens on, and the system picks
    /// the very same port as the source. It looks like a peer, and keeps the server that is to come off its port, so it counts as
    /// refused, and is reset when it is dropped: closed in good order it would stay in TIME_WAIT for a minute.
    pub(crate) fn finish_connect(&self) -> io::Result<bool> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return Ok(!end.is_closed());
        }
        let socket = self.socket();
        let peer = match socket.peer_addr() {
            Ok(peer) => peer,
            Err(without) => {
                return match socket.take_error()? {
                    Some(error) => Err(error),
                    None if without.kind() == io::ErrorKind::NotConnected => Ok(false),
                    None => Err(without),
                };
            }
        };
        if matches!(self.io, Io::Tcp(_)) && socket.local_addr().is_ok_and(|local| local == peer) {
            // If this fails, TIME_WAIT it is.
            let _ = socket.set_linger(Some(Duration::ZERO));
            let text = "nobody listens there: the connection came back to its own socket";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
        }
        Ok(true)
    }

    /// A second descriptor of the connection, which outlives this one. Both are in blocking mode from now on: not for a
    /// stream that the engine drives.
    #[cfg(feature = "cli-internals")]
    pub(crate) fn blocking_copy(&self) -> io::Result<OwnedFd> {
        let socket = self.socket();
        socket.set_nonblocking(false)?;
        Ok(OwnedFd::from(socket.try_clone()?))
    }

    /// The peer's address as an endpoint would spell it: `tcp://10.0.0.1:4711`. For an accepted ipc stream it is
    /// the listener's, since who connects has none.
    pub(crate) fn peer_label(&self) -> String {
        let mut label = String::with_capacity(USUAL_LABEL);
        // Into a string, writing does not fail.
        let _ = write!(label, "{}", self.peer);
        label
    }

    /// The peer's address, over TCP.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        match self.peer {
            SocketAddress::Inet(address) => Some(address.ip().to_canonical()),
            SocketAddress::Unix(_) | SocketAddress::Abstract(_) => None,
        }
    }

    /// The peer's process, over a Unix socket, if the system tells.
    pub(crate) fn ipc_credentials(&self) -> Option<IpcCredentials> {
        match &self.io {
            Io::Unix(socket) => credentials::of(socket.as_fd()),
            Io::Tcp(_) => None,
            #[cfg(any(test, feature = "fuzzing"))]
            Io::Memory(_) => None,
        }
    }

    /// This side's address, spelled in the same way.
    #[cfg(test)]
    pub(crate) fn local_label(&self) -> String {
        match &self.io {
            Io::Tcp(socket) => match socket.local_addr() {
                Ok(address) => SocketAddress::Inet(address).to_string(),
                Err(_) => "tcp://".to_owned(),
            },
            // One side is unnamed, so both are known by the one name there is.
            Io::Unix(_) | Io::Memory(_) => self.peer.to_string(),
        }
    }

    /// Whether the system reports room for writing whenever the peer has read something, asked for or not: a
    /// Unix socket does, TCP only after it has refused bytes.
    pub(crate) fn reports_all_room(&self) -> bool {
        matches!(self.io, Io::Unix(_))
    }

    /// Changes what a registered stream is watched for. What is there already is reported anew.
    pub(crate) fn watch(
        &self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(_) = &self.io {
            return Ok(());
        }
        let fd = self.socket().as_raw_fd();
        SourceFd(&fd).reregister(registry, token, interests)
    }

    /// Reads up to `times` times, `size` bytes each, and throws them away; says whether it came to the end of the stream.
    /// An error is also what it means that there is nothing more for now.
    pub(crate) fn discard(&self, times: usize, size: usize) -> io::Result<bool> {
        let mut sink = Vec::with_capacity(size);
        for _ in 0..times {
            sink.clear();
            if self.read_spare(&mut sink, size)? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What has become of the bytes that were written. `None`: this system does not say.
    pub(crate) fn transit(&self) -> Option<Transit> {
        match &self.io {
            Io::Tcp(socket) => transit::tcp(socket.as_fd()),
            Io::Unix(socket) => transit::unix(socket.as_fd()),
            #[cfg(any(test, feature = "fuzzing"))]
            Io::Memory(_) => None,
        }
    }

    /// Tells the peer that nothing more comes; what it sends can still be read.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Io::Memory(end) = &self.io {
            return end.shutdown_write();
        }
        self.socket().shutdown(std::net::Shutdown::Write)
    }

    pub(super) fn socket(&self) -> SockRef<'_> {
        match &self.io {
            Io::Tcp(socket) => SockRef::from(socket),
            Io::Unix(socket) => SockRef::from(socket),
            #[cfg(any(test, feature = "fuzzing"))]
            Io::Memory(_) => unreachable!("asked of streams with a socket only"),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.io {
            Io::Tcp(socket) => socket,
            Io::Unix(socket) => socket,
            #[cfg(any(test, feature = "fuzzing"))]
            Io::Memory(end) => end,
        }
    }
}

impl Drop for Stream {
    /// Closing alone would leave the connection open as long as a forked child has a copy of the descriptor.
    fn drop(&mut self) {
        #[cfg(any(test, feature = "fuzzing"))]
        if matches!(self.io, Io::Memory(_)) {
            return;
        }
        if self.process.has_forked() {
            // Fails if the connection has ended by itself.
            let _ = self.socket().shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// What every stream's socket needs once, besides its options: see [`SEND_FLAGS`].
#[cfg(target_vendor = "apple")]
pub(super) fn prepare(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_nosigpipe(true)
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn prepare(_socket: &SockRef<'_>) -> io::Result<()> {
    Ok(())
}

/// Repeats a system call that a signal cut short.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
