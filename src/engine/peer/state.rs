//! The state of one peer: where it came from, its connection, its buffers and its counters.
//!
//! A dialed peer keeps its place through every connection; what belongs to one connection is in [`Link`].

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::bytes::ByteLimits;
use super::dialer::Dialer;
use super::in_buffer::InBuffer;
use super::limits::Takes;
use super::out_buffer::OutBuffer;
use super::wire::{Reader, Writer};
use crate::auth::Verdict;
use crate::engine::Question;
use crate::engine::inproc::link::InprocLink;
use crate::engine::inproc::offerer::Offerer;
use crate::message::RoutingId;
use crate::monitor::{ConnectionId, ConnectionInfo};
use crate::transport::{Address, Endpoint, SEGMENT, Stream};
use crate::zmtp::{self, Handshake, Heartbeat, PeerFacts, Principal, Scanner, Version};

/// Names a peer within its socket, for as long as it is there.
pub(crate) type PeerId = usize;

/// A peer's buffer is written by the caller itself, streaming or not, when one more message like the last would not fit
/// into this many bytes. What is that long no longer gains by being written together, and loses its place in the cache.
pub(crate) const WRITE_AT: usize = 2 * SEGMENT;

/// The same where messages are kept by reference, and need no place in the cache.
pub(crate) const WRITE_KEPT_AT: usize = 8 * SEGMENT;

/// While so many bytes of commands (PONGs, PINGs, subscriptions) wait for a peer that does not read, it is sent no more PINGs,
/// and only its newest PING is answered, once there is room. It is read from all the same, or the end of its connection would go
/// unnoticed. libzmq has a single PONG waiting at a time.
pub(crate) const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// The high-water mark of a peer that is gone and whose subscriptions are still being forgotten: nothing is queued for it, and nothing
/// counts as dropped.
pub(crate) const NOT_SENT_TO: usize = 0;

/// See the module.
pub(crate) struct Peer {
    pub(super) link: Link,
    pub(super) origin: Origin,
    pub(super) inbound: InBuffer,
    pub(super) outbound: OutBuffer,
    /// Messages taken out of `outbound` by a write that is under way without the lock.
    pub(super) in_flight: usize,
    /// Bytes of commands taken out with them.
    pub(super) commands_in_flight: usize,
    /// Such a write is under way; nobody else may write.
    pub(super) being_written: bool,
    pub(super) send_hwm: usize,
    pub(super) recv_hwm: usize,
    /// Limits in bytes, if there are any.
    pub(super) bytes: Option<Box<ByteLimits>>,
    /// The short way gathers up to so many bytes.
    pub(super) gathered_at_most: usize,
    /// The pattern knows the peer as one to send to.
    pub(super) attached: bool,
    /// The application has ended its connection, which goes once all has left, or at that time; if it is gone, messages may be left.
    pub(super) ending: bool,
    pub(super) ends_at: Option<Instant>,
    /// The pattern holds what is queued for the peer, and queues it anew for another connection.
    pub(super) held: bool,
    /// In the list of peers with something to write.
    pub(super) dirty: bool,
    /// Not read from, because of `recv_hwm`.
    pub(super) paused: bool,
    pub(super) connection: ConnectionId,
    /// The first of its connections: tells it from an earlier peer at the same place.
    pub(super) birth: ConnectionId,
    /// The endpoint it was accepted at, or is dialed by.
    pub(super) label: Arc<str>,
    /// Its address; for one that is dialed, as of the last connection.
    pub(super) address: Arc<str>,
    pub(super) facts: Option<Arc<PeerFacts>>,
    /// What it takes, as it has announced on its present connection.
    pub(super) takes: Takes,
    /// It counts for this address, as long as its connection is there.
    pub(super) counted: Option<IpAddr>,
    pub(super) counters: Counters,
    /// A subscriber: what had been queued for it when it last had no room.
    pub(super) slow_at: Option<u64>,
    /// Messages that have come since the pattern last asked, if it asks.
    pub(super) arrived: u64,
}

/// Where a peer came from.
pub(crate) enum Origin {
    /// We dial it, again and again.
    Dialed(Box<Dialer>),
    /// Its connection was accepted by the listener at this index.
    Accepted(usize),
    /// A socket of this process that has connected to this name, which we have bound.
    Bound(Arc<str>),
    /// One that has bound a name, or is yet to, which we have connected to.
    Offered(Box<Offerer>),
}

impl Origin {
    /// Whether the peer is there because the application has connected to this endpoint.
    pub(crate) fn is_dialed(&self, endpoint: &Endpoint) -> bool {
        match (self, endpoint.address()) {
            (Origin::Dialed(dialer), _) => *dialer.endpoint == *endpoint,
            (Origin::Offered(_), Address::Inproc(name)) => self.is_connected_to(name),
            (Origin::Bound(_) | Origin::Offered(_) | Origin::Accepted(_), _) => false,
        }
    }

    /// The same for an inproc name.
    pub(crate) fn is_connected_to(&self, wanted: &str) -> bool {
        matches!(self, Origin::Offered(offerer) if *offerer.name == *wanted)
    }

    /// The name that the application has given to the peer when it connected to it.
    pub(super) fn given_name(&self) -> Option<&RoutingId> {
        match self {
            Origin::Dialed(dialer) => dialer.given_name.as_deref(),
            Origin::Offered(offerer) => offerer.given_name.as_ref(),
            Origin::Accepted(_) | Origin::Bound(_) => None,
        }
    }
}

/// The state of a peer's connection.
///
/// ```text
///  dialed:    Down ──▶ Connecting ──▶ Handshaking ──▶ Up ──▶ Down …
///  accepted:                          Handshaking ──▶ Up ──▶ Gone, once it is drained
///  inproc:    Inproc ──▶ Gone, once it is drained; one that was refused has a place of its own, Down, until it is offered again
/// ```
pub(crate) enum Link {
    /// No connection; the dialer or offerer waits, or the name is being looked up.
    Down,
    /// The kernel is connecting.
    Connecting(Stream),
    Handshaking(Box<Handshaking>),
    Up(Box<Connected>),
    Inproc(Box<InprocLink>),
    /// There will never be a connection again; messages may still be here to read.
    Gone,
}

pub(crate) struct Handshaking {
    pub(super) stream: Stream,
    pub(super) machine: Handshake,
    /// Received, not yet understood.
    pub(super) input: Vec<u8>,
    /// To be sent.
    pub(super) output: Vec<u8>,
    /// The kernel may hold bytes, or the end of the stream, that no further event will report.
    pub(super) readable: bool,
    /// The peer has closed its side: a read that returns less than there was room for is not the last.
    pub(super) hung_up: bool,
    /// In the list of peers to go on with.
    pub(super) queued: bool,
    /// What the machine has found, once it is done; `output` may still have to leave.
    pub(super) finished: Option<zmtp::Established>,
    pub(super) deadline: Option<Instant>,
    /// The peer waits for somebody to say whether it is let in.
    pub(super) question: Option<Asked>,
    /// Who it is then.
    pub(super) principal: Option<Principal>,
}

/// A question whose answer is wanted for as long as this is there.
pub(crate) struct Asked(pub(super) Arc<Question<Verdict>>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

pub(crate) struct Connected {
    pub(super) stream: Arc<Stream>,
    /// `None`: it is with a write that is under way without the lock.
    pub(super) writer: Option<Writer>,
    pub(super) reader: Reader,
    pub(super) scanner: Scanner,
    pub(super) heartbeat: Heartbeat,
    /// When the handshake was done, and how many messages had come from the peer by then.
    pub(super) since: Instant,
    pub(super) received_before: u64,
    /// The earliest heartbeat timer armed for this connection.
    pub(super) armed: Option<Instant>,
    pub(super) version: Version,
    /// Messages have been handed to the system on this connection: when we end it, the peer may have yet to read them.
    pub(super) carried: bool,
    /// The PONG to the newest PING, while there is no room for it; empty if there is none.
    pub(super) held_pong: Vec<u8>,
    /// When there was no room for it for the first time, or was looked at last, and the bytes written to the peer by then.
    pub(super) unread_since: Option<(Instant, u64)>,
    /// The timer that was armed then.
    pub(super) answers_due: Option<Instant>,
    /// The number of the last PING by which the pattern asks, until it is answered.
    pub(super) pinged: Option<u64>,
    /// When the peer was last told of a topic.
    pub(super) told_at: Option<Instant>,
    /// The timer for what is to be said to it after it has had the time to take that.
    pub(super) topics_due: Option<Instant>,
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// The peer has closed its side: read to the end, whatever a short read seems to say.
    pub(super) hung_up: bool,
    /// A write has failed otherwise than for want of room. What the peer has sent is read before the connection ends.
    pub(super) write_failed: Option<io::Error>,
    /// In the list of peers to read from.
    pub(super) queued: bool,
    /// The peer has sent a PING on this connection, and so is going to send more.
    pub(super) sends_pings: bool,
    /// Bytes read since the peer is at its `recv_hwm`.
    pub(super) read_beyond: usize,
    /// The kernel may take bytes from us.
    pub(super) writable: bool,
    /// So many bytes waited for the kernel when it last refused some.
    pub(super) refused_at: usize,
    /// The kernel has said "writable" since that write began. The write may have been refused before:
    /// then this was the only time it will be said.
    pub(super) writable_again: bool,
    /// The kernel is to report room. Only while bytes wait for it, where each report would be a wake-up for nothing.
    pub(super) watches_room: bool,
}

/// A peer in another socket, and the connection it must still be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: PeerId,
    pub(crate) connection: ConnectionId,
}

/// What is counted for each peer.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) dropped_hwm: u64,
    pub(crate) dropped_conflated: u64,
    pub(crate) dropped_disconnect: u64,
    pub(crate) withdrawn: u64,
    pub(crate) unreceived: u64,
    pub(crate) dropped_refused: u64,
    pub(crate) topics_withheld: u64,
    pub(crate) reconnects: u64,
}

impl Peer {
    /// What events say of its connection. To be made only where somebody listens.
    pub(super) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::new(self.connection, &*self.label, &*self.address)
    }

    /// Stops reading from a peer of which as many messages wait as may.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.inbound.set_notice_below(self.resume_at() + 1);
    }

    /// With so few messages left, reading goes on.
    pub(super) fn resume_at(&self) -> usize {
        self.recv_hwm / 2
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.inbound.set_notice_below(1);
    }

    /// Whether another message may be queued.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more messages may be queued.
    #[inline]
    pub(super) fn room(&self) -> usize {
        let queued = match &self.link {
            Link::Inproc(link) => link.appended - link.outbox.released(),
            _ => self.outbound.messages() + self.in_flight,
        };
        self.send_hwm.saturating_sub(queued)
    }

    /// Hands over a message of one frame to a peer of this process, if it is one and has room.
    #[inline(never)]
    pub(super) fn send_within(&mut self, body: &[u8]) -> bool {
        let Link::Inproc(link) = &mut self.link else {
            return false;
        };
        if link.appended - link.outbox.released() >= self.send_hwm {
            return false;
        }
        self.counters.messages_out += 1;
        self.counters.bytes_out += link.send_frame(body) as u64;
        true
    }

    /// Messages accepted from the application and not yet handed on.
    pub(crate) fn queued_out(&self) -> usize {
        match &self.link {
            Link::Inproc(link) => link.outbox.queued(),
            _ => self.outbound.messages() + self.in_flight,
        }
    }

    /// Whether nothing is left that could still leave on its connection.
    pub(super) fn has_left(&self) -> bool {
        let leaves = matches!(self.link, Link::Up(_));
        !leaves || self.outbound.is_empty() && !self.being_written
    }

    /// Bytes of commands that the peer has not been handed yet.
    pub(crate) fn waiting_commands(&self) -> usize {
        self.outbound.commands() + self.commands_in_flight
    }

    /// Messages that would be lost if the socket closed now, and that somebody waits for. What is in the channel to a socket of this
    /// process is that socket's to read, closed or not.
    pub(crate) fn unsent(&self) -> usize {
        match &self.link {
            Link::Inproc(link) if link.remote.get().is_some() => 0,
            _ => self.queued_out() - self.outbound.unwanted(),
        }
    }

    /// The handshake is done, or the other end of an inproc pair has been found.
    pub(crate) fn is_connected(&self) -> bool {
        match &self.link {
            Link::Up(_) => true,
            Link::Inproc(link) => link.accepted,
            Link::Down | Link::Connecting(_) | Link::Handshaking(_) | Link::Gone => false,
        }
    }
}

impl Connected {
    /// Whether it is worth asking the kernel to take some of so many bytes. Once it is full it says when it no longer is,
    /// but not to a caller who has no time to listen: after so much that a call matters little, that one asks again.
    pub(crate) fn may_take_more(&self, bytes: usize) -> bool {
        self.writable || bytes >= self.refused_at.saturating_add(WRITE_AT)
    }
}

impl Counters {
    pub(crate) fn add(&mut self, other: &Counters) {
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.dropped_hwm += other.dropped_hwm;
        self.dropped_conflated += other.dropped_conflated;
        self.dropped_disconnect += other.dropped_disconnect;
        self.withdrawn += other.withdrawn;
        self.unreceived += other.unreceived;
        self.dropped_refused += other.dropped_refused;
        self.topics_withheld += other.topics_withheld;
        self.reconnects += other.reconnects;
    }
}
