//! The options of a byte stream, and how they reach the system's sockets.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// What the application may choose about its streams and listeners. `None` leaves the system's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamOptions {
    /// Small writes leave at once. Batching is the engine's work; the kernel's would only add delay.
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Keepalive>,
    /// `SO_SNDBUF` and `SO_RCVBUF` in bytes.
    pub(crate) send_buffer: Option<usize>,
    pub(crate) recv_buffer: Option<usize>,
    /// The whole TOS byte of IPv4, the traffic class of IPv6.
    pub(crate) tos: Option<u32>,
    /// `*` means both families, and so do names that have addresses of both. Address literals work regardless.
    pub(crate) ipv6: bool,
    /// How many connections may wait to be accepted; the system may cut it.
    pub(crate) backlog: i32,
    /// For the engine's timer: nothing here keeps time.
    pub(crate) connect_timeout: Option<Duration>,
    /// No listener over TCP is to be reached from other machines.
    pub(crate) loopback_only: bool,
    /// The permissions of the file of a Unix socket.
    pub(crate) ipc_mode: u32,
}

/// TCP keep-alive probes, when they are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// The silence before the first probe.
    pub(crate) idle: Option<Duration>,
    /// Between probes.
    pub(crate) interval: Option<Duration>,
    /// How many unanswered probes end the connection.
    pub(crate) count: Option<u32>,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions {
            nodelay: true,
            keepalive: None,
            send_buffer: None,
            recv_buffer: None,
            tos: None,
            ipv6: false,
            // libzmq's 100 overflows when a thousand peers reconnect to a restarted server, and each that is
            // dropped waits a second for its SYN to be sent again. An unused place costs nothing.
            backlog: 1024,
            connect_timeout: None,
            loopback_only: false,
            ipc_mode: 0o600,
        }
    }
}

/// What the system is asked for where the application has not chosen; it may give less.
const UNIX_SEND_BUFFER: usize = 1024 * 1024;

impl StreamOptions {
    /// Before `listen` or `connect`, because TCP settles the window scale from the buffer in its first packet.
    /// An accepted stream has its listener's buffers.
    pub(crate) fn apply_buffers(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Some(size) = self.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(size) = self.recv_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        Ok(())
    }

    /// For a stream over a Unix domain socket, dialed or accepted: nothing is inherited from a listener, and
    /// the system's default is too small to keep both sides busy. A sender that has filled the buffer is only
    /// told to go on when three quarters of it have been read; with the default that leaves some 30 µs worth
    /// of small messages, less than it takes to wake up.
    pub(crate) fn apply_unix_buffers(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let size = self.send_buffer.unwrap_or(UNIX_SEND_BUFFER);
        socket.set_send_buffer_size(size)?;
        if let Some(size) = self.recv_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        Ok(())
    }

    /// For a TCP stream to that peer, dialed or accepted. Also for a listener at that address, so that an option the system
    /// refuses is an error of `bind` and not of every connection.
    pub(crate) fn apply_tcp(&self, socket: &SockRef<'_>, address: IpAddr) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(&keepalive.to_system())?;
        }
        if let Some(tos) = self.tos {
            if address.is_ipv6() {
                socket.set_tclass_v6(tos)?;
                // Packets to an IPv4 peer of a dual-stack socket carry the option of IPv4, where the system
                // lets an IPv6 socket have it.
                let _ = socket.set_tos_v4(tos);
            } else {
                socket.set_tos_v4(tos)?;
            }
        }
        unpace_local(socket, address);
        Ok(())
    }
}

impl Keepalive {
    fn to_system(&self) -> TcpKeepalive {
        let mut system = TcpKeepalive::new();
        if let Some(idle) = self.idle {
            system = system.with_time(idle);
        }
        if let Some(interval) = self.interval {
            system = system.with_interval(interval);
        }
        if let Some(count) = self.count {
            system = system.with_retries(count);
        }
        system
    }
}

/// What every stream over TCP to a peer on this machine needs.
pub(super) fn unpace_local(socket: &SockRef<'_>, peer: IpAddr) {
    if peer.to_canonical().is_loopback() {
        unpace(socket);
    }
}

/// What never leaves this machine meets no congestion. Some systems have a congestion control by default that
/// measures the path (BBR), and then lets each connection send by a timer at the rate that it has found: over the
/// loopback interface that only takes time, a third of it where many peers send. Reno does nothing of the kind as long
/// as no packet is lost, and every Linux has it and lets every user choose it.
#[cfg(target_os = "linux")]
fn unpace(socket: &SockRef<'_>) {
    // If it fails, the connection keeps what the system chose, and is slower.
    let _ = socket.set_tcp_congestion(b"reno");
}

#[cfg(not(target_os = "linux"))]
fn unpace(_socket: &SockRef<'_>) {}
