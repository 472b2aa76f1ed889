//! The peers of a socket: what a pattern sees of the network.
//!
//! A peer is a place that messages go to and come from. One that we dial keeps its place, and its queue,
//! through every reconnect; one that we accepted lives as long as its connection, and then until what it
//! sent has been read. Patterns know peers by their [`PeerId`] and touch them through [`Peers`] only.

use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::dialer::Dialer;
use super::direct::DIRECT;
use super::in_buffer::InBuffer;
use super::limits::{Takes, Tried};
use super::out_buffer::{OutBuffer, Outgoing};
use super::pool::ChunkPool;
use crate::engine::Note;
use crate::engine::inproc::local::InprocLink;
use crate::message::Message;
use crate::monitor::{ConnectionId, Monitors};
use crate::pattern::Pattern;
use crate::transport::{Address, Endpoint, SEGMENT, Stream};
use crate::zmtp::{self, Handshake, Heartbeat, PeerFacts, Scanner, Version};

/// Names a peer within its socket, for as long as it is there.
pub(crate) type PeerId = usize;

/// A peer's buffer is written by the caller itself, streaming or not, when one more message like the last would not fit
/// into this many bytes. What is that long no longer gains by being written together, and loses its place in the cache.
pub(crate) const WRITE_AT: usize = 2 * SEGMENT;

/// The same where messages are kept by reference, and need no place in the cache.
pub(crate) const WRITE_KEPT_AT: usize = 8 * SEGMENT;

/// With so many bytes of commands (PONGs, PINGs, subscriptions) waiting for a peer that does not read, it is sent no more PINGs,
/// and of its own only the newest is answered, once there is room. Not to read from it either would mean not to see it go.
/// libzmq has a single PONG waiting at a time.
pub(crate) const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// The high-water mark of a peer that is gone and whose subscriptions are still being forgotten: of those it misses nothing.
pub(crate) const NOT_SENT_TO: usize = 0;

/// See the module.
pub(crate) struct Peer {
    pub(in crate::engine) link: Link,
    pub(in crate::engine) origin: Origin,
    pub(super) inbound: InBuffer,
    pub(super) outbound: OutBuffer,
    /// Messages taken out of `outbound` by a write that is under way without the lock.
    pub(super) in_flight: usize,
    /// Bytes of commands taken out with them.
    pub(super) commands_in_flight: usize,
    /// Such a write is under way; nobody else may write.
    pub(super) being_written: bool,
    pub(in crate::engine) send_hwm: usize,
    pub(super) recv_hwm: usize,
    /// The pattern knows the peer as one to send to.
    pub(in crate::engine) attached: bool,
    /// In the list of peers with something to write.
    pub(super) dirty: bool,
    /// There is more to do than to take a message, if it is one of so few: see `after_take`.
    pub(super) notice_at: usize,
    /// Not read from, because of `recv_hwm`.
    pub(super) paused: bool,
    pub(in crate::engine) connection: ConnectionId,
    /// The first of its connections: tells it from an earlier peer at the same place.
    pub(super) birth: ConnectionId,
    /// The endpoint it was accepted at, or is dialed by.
    pub(in crate::engine) label: Arc<str>,
    /// Its address; for one that is dialed, as of the last connection.
    pub(super) address: Arc<str>,
    pub(in crate::engine) facts: Option<Box<PeerFacts>>,
    /// What it takes, as it has announced on its present connection.
    pub(super) takes: Takes,
    pub(in crate::engine) counters: Counters,
}

/// Where a peer came from.
pub(crate) enum Origin {
    /// We dial it, again and again.
    Dialed(Box<Dialer>),
    /// Its connection was accepted by the listener at this index.
    Accepted(usize),
    /// A socket of this process; the name it was bound or connected by.
    Inproc { name: Arc<str>, bound: bool },
}

impl Origin {
    /// Whether the peer is there because the application has connected to this endpoint.
    pub(crate) fn is_dialed(&self, endpoint: &Endpoint) -> bool {
        match (self, endpoint.address()) {
            (Origin::Dialed(dialer), _) => dialer.endpoint == *endpoint,
            (Origin::Inproc { .. }, Address::Inproc(name)) => self.is_connected_to(name),
            (Origin::Inproc { .. } | Origin::Accepted(_), _) => false,
        }
    }

    /// The same for an inproc name.
    pub(crate) fn is_connected_to(&self, wanted: &str) -> bool {
        matches!(self, Origin::Inproc { name, bound: false } if **name == *wanted)
    }
}

/// The state of a peer's connection.
///
/// ```text
///  dialed:    Down ──▶ Connecting ──▶ Handshaking ──▶ Up ──▶ Down …
///  accepted:                          Handshaking ──▶ Up ──▶ Gone, once it is drained
///  inproc:    Inproc ──▶ Gone, once it is drained
/// ```
pub(crate) enum Link {
    /// No connection; the dialer waits or looks the name up.
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
    /// In the list of peers to go on with.
    pub(super) queued: bool,
    /// What the machine has found, once it is done; `output` may still have to leave.
    pub(super) finished: Option<zmtp::Established>,
    pub(super) deadline: Option<Instant>,
}

pub(crate) struct Connected {
    pub(super) stream: Arc<Stream>,
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
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// The peer has closed its side: read to the end, whatever a short read seems to say.
    pub(super) hung_up: bool,
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
    pub(crate) dropped_refused: u64,
    pub(crate) reconnects: u64,
}

impl Peer {
    /// Stops reading from a peer of which as many messages wait as may.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.notice_at = self.resume_at() + 1;
    }

    /// With so few messages left, reading goes on.
    fn resume_at(&self) -> usize {
        self.recv_hwm / 2
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.notice_at = 1;
    }

    /// Whether another message may be queued.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more messages may be queued.
    #[inline]
    fn room(&self) -> usize {
        let queued = match &self.link {
            Link::Inproc(link) => link.appended - link.outbox.released(),
            _ => self.outbound.messages() + self.in_flight,
        };
        self.send_hwm.saturating_sub(queued)
    }

    /// Hands over a message of one frame to a peer of this process, if it is one and has room.
    #[inline(never)]
    fn send_within(&mut self, body: &[u8]) -> bool {
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

/// All peers of a socket, and what they share.
#[derive(Default)]
pub(crate) struct Peers {
    pub(in crate::engine) slab: Slab<Peer>,
    pub(in crate::engine) pool: ChunkPool,
    /// Peers with bytes to write that the kernel may take.
    pub(super) dirty: Vec<PeerId>,
    /// Peers that have to be written now: full, or at [`WRITE_AT`].
    pub(super) due: bool,
    /// Peers whose reading was paused and may go on.
    pub(super) resumable: Vec<PeerId>,
    /// Inproc peers that have topics for us or have gone, and peers that are gone and of which the last message has been taken.
    pub(in crate::engine) news: Vec<PeerId>,
    /// Messages appended since the buffers were last written.
    pub(super) gathered: usize,
    /// Messages that callers have written without queueing them.
    pub(super) written_directly: u64,
    /// Only the newest message of each peer counts, in either direction.
    pub(super) conflate: bool,
    /// Peers that are gone, but for messages that nobody has taken yet.
    pub(in crate::engine) gone: usize,
    /// Totals of peers that are no more.
    pub(super) past: Counters,
    /// Messages that went from one peer's queue to another's, and so are in the counters of both.
    pub(super) moved: u64,
    pub(super) monitors: Arc<Monitors>,
}

impl Peers {
    /// Whether a message may be queued for this peer without passing its high-water mark.
    #[inline]
    pub(crate) fn has_room(&self, id: PeerId) -> bool {
        self.conflate || self.slab.get(id).is_some_and(Peer::has_room)
    }

    /// Asks to be told, by [`Pattern::writable`](crate::pattern::Pattern::writable), when a full peer has
    /// room again. `false`: it has room already.
    pub(crate) fn await_room(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.slab.get_mut(id) else {
            return true;
        };
        match &mut peer.link {
            Link::Inproc(link) => {
                // Half of the mark: a sender that has slept is not to sleep again at once.
                let wanted = link.appended.saturating_sub(peer.send_hwm / 2);
                link.appended - link.outbox.starve(wanted) >= peer.send_hwm
            }
            _ => peer.send_hwm != NOT_SENT_TO && !peer.has_room(),
        }
    }

    /// Queues a message of one frame to a peer for whom others are queued, if there is nothing else to do about it: in a stream of
    /// such messages that is so for nearly every one. `false`: it is not, and nothing was queued.
    #[inline(always)]
    pub(crate) fn send_single(&mut self, id: PeerId, outgoing: Outgoing<'_>) -> bool {
        let (Outgoing::Slice(body), Some(peer)) = (outgoing, self.slab.get_mut(id)) else {
            return false;
        };
        if self.conflate {
            return false;
        }
        // To be dirty, a peer has to be connected, and in another process.
        if !peer.dirty {
            return peer.send_within(body);
        }
        let queued = peer.outbound.messages() + peer.in_flight;
        if queued + 1 >= peer.send_hwm || body.len() >= peer.takes.any_below {
            return false;
        }
        let sent = peer.outbound.push_single(body, WRITE_AT);
        peer.counters.messages_out += u64::from(sent);
        self.gathered += usize::from(sent);
        sent
    }

    /// Queues a whole message, if the peer takes one like it and has room.
    #[inline]
    pub(crate) fn try_send(&mut self, id: PeerId, outgoing: Outgoing<'_>) -> Tried {
        let Some(peer) = self.slab.get_mut(id) else {
            return Tried::NoRoom;
        };
        let fits = match outgoing {
            Outgoing::Slice(body) => body.len() < peer.takes.any_below,
            Outgoing::Message(_) => false,
        };
        let sent_to = peer.send_hwm != NOT_SENT_TO;
        if !fits && sent_to && peer.takes.excess(outgoing, (0, 0)).is_some() {
            return Tried::Refused;
        }
        if self.conflate {
            if !sent_to {
                return Tried::NoRoom;
            }
        } else {
            if !peer.has_room() {
                return Tried::NoRoom;
            }
            if let Outgoing::Slice(body) = outgoing
                && (peer.send_within(body) || body.len() >= DIRECT && self.send_directly(id, body))
            {
                return Tried::Queued;
            }
        }
        self.send_with(id, |buffer, pool| buffer.push(outgoing, pool));
        Tried::Queued
    }

    /// Queues one whole message that `write` writes.
    #[inline]
    pub(crate) fn send_with(
        &mut self,
        id: PeerId,
        write: impl FnOnce(&mut OutBuffer, &mut ChunkPool),
    ) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        peer.counters.messages_out += 1;
        if let Link::Inproc(link) = &mut peer.link {
            link.appended += 1;
            let appended = link.outbox.append(&mut link.writer, self.conflate, write);
            peer.counters.bytes_out += appended.bytes as u64;
            peer.counters.dropped_conflated += appended.replaced as u64;
            if appended.tell {
                link.tell(Note::InprocReadable);
            }
            return;
        }
        if self.conflate {
            let replaced = peer.outbound.drop_unstarted(&mut self.pool);
            peer.counters.dropped_conflated += replaced as u64;
        }
        let before = peer.outbound.unwritten();
        write(&mut peer.outbound, &mut self.pool);
        self.gathered += 1;
        let unwritten = peer.outbound.unwritten();
        let len = unwritten - before;
        let write_at = match peer.outbound.ends_with_body() {
            true => WRITE_KEPT_AT,
            false => WRITE_AT,
        };
        if unwritten + len > write_at || !peer.has_room() {
            self.due = true;
        }
        if !peer.dirty {
            self.mark_dirty(id);
        }
    }

    /// Messages that may be sent, to whichever peers, before one of them can be at its high-water mark.
    pub(crate) fn least_room(&self) -> usize {
        if self.conflate {
            return usize::MAX;
        }
        let peers = self.slab.iter().map(|(_, peer)| peer);
        let room = peers.filter(|peer| peer.send_hwm != NOT_SENT_TO);
        room.map(Peer::room).min().unwrap_or(0)
    }

    /// Queues command frames, which no high-water mark holds back.
    pub(crate) fn send_commands(&mut self, id: PeerId, frames: &[u8]) {
        if let Some(peer) = self.slab.get_mut(id) {
            peer.outbound.push_commands(frames, &mut self.pool);
            self.mark_dirty(id);
        }
    }

    /// Queues the PONG that was held back, if there is room for it by now.
    #[inline]
    pub(crate) fn send_held_pong(&mut self, id: PeerId) {
        if let Some(peer) = self.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && !up.held_pong.is_empty()
            && peer.outbound.commands() + peer.commands_in_flight < MAX_COMMAND_BYTES
        {
            let pong = std::mem::take(&mut up.held_pong);
            self.send_commands(id, &pong);
        }
    }

    /// Tells a publisher that we want, or no longer want, a topic.
    pub(crate) fn send_topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        let version = match &mut peer.link {
            Link::Inproc(link) => {
                link.outbox.append_topic(topic, subscribe);
                return link.tell(Note::InprocReadable);
            }
            Link::Up(up) => up.version,
            Link::Down | Link::Connecting(_) | Link::Handshaking(_) | Link::Gone => return,
        };
        if peer.takes.refuses_topic(topic.len()) {
            return self.topic_refused(id, topic.len(), subscribe);
        }
        let mut frame = Vec::with_capacity(topic.len() + 24);
        if subscribe {
            zmtp::put_subscribe(&mut frame, version, topic);
        } else {
            zmtp::put_cancel(&mut frame, version, topic);
        }
        match version.has_subscribe_commands() {
            true => peer.outbound.push_commands(&frame, &mut self.pool),
            false => peer.outbound.push_subscription(&frame, &mut self.pool),
        }
        self.mark_dirty(id);
    }

    #[inline]
    pub(crate) fn mark_dirty(&mut self, id: PeerId) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        if peer.dirty || peer.outbound.is_empty() {
            return;
        }
        if let Link::Up(up) = &peer.link
            && up.may_take_more(peer.outbound.unwritten())
            && !peer.being_written
        {
            peer.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Whole messages that this peer has sent and nobody has taken.
    #[inline]
    pub(crate) fn messages(&self, id: PeerId) -> usize {
        self.slab.get(id).map_or(0, |peer| peer.inbound.messages())
    }

    /// Takes the next message of this peer if it is of one frame, and there is nothing else to do about it: in a stream of
    /// such messages that is so for nearly every one.
    #[inline]
    pub(crate) fn take_single(&mut self, id: PeerId, message: &mut Message) -> bool {
        self.slab.get_mut(id).is_some_and(|peer| {
            peer.inbound.messages() > peer.notice_at && peer.inbound.take_single(message)
        })
    }

    /// Takes the next message of this peer into `message`; says whether there are more, if there was one.
    pub(crate) fn take(&mut self, id: PeerId, message: &mut Message) -> Option<bool> {
        let peer = self.slab.get_mut(id)?;
        if !peer.inbound.take(message, &mut self.pool) {
            return None;
        }
        if peer.inbound.messages() < peer.notice_at {
            return Some(self.after_take(id));
        }
        Some(true)
    }

    /// Has the next message of this peer fetched into the cache.
    #[inline]
    pub(crate) fn prefetch(&self, id: PeerId) {
        if let Some(peer) = self.slab.get(id) {
            peer.inbound.prefetch();
        }
    }

    /// The rarer consequences of a message having been taken.
    fn after_take(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.slab.get_mut(id) else {
            return false;
        };
        let left = peer.inbound.messages();
        if let Link::Inproc(link) = &mut peer.link {
            link.release(left);
            peer.notice_at = left.saturating_sub(link.step) + 1;
            if left == 0 {
                self.receive_inproc(id);
                return self.messages(id) > 0;
            }
            return true;
        }
        if peer.paused && left <= peer.resume_at() {
            peer.resume();
            self.resumable.push(id);
        }
        if left == 0 {
            peer.inbound.release(&mut self.pool);
            if matches!(peer.link, Link::Gone) {
                // It is the pattern that takes, and that has yet to forget the peer: the id stays taken until then.
                self.news.push(id);
            }
        }
        left > 0
    }

    /// Fetches what an inproc peer has appended meanwhile.
    pub(crate) fn receive_inproc(&mut self, id: PeerId) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        if let Link::Inproc(link) = &mut peer.link {
            link.pulse.pause(|| link.inbox.lane_is_empty());
            let stream = link.pulse.streams();
            let got = peer
                .inbound
                .receive_from(&link.inbox, &mut self.pool, stream);
            link.pulse.found(got.messages);
            link.received += got.messages;
            peer.counters.messages_in += got.messages as u64;
            peer.counters.bytes_in += got.bytes as u64;
            if self.conflate {
                let replaced = peer.inbound.keep_newest(&mut self.pool);
                peer.counters.dropped_conflated += replaced as u64;
            }
            peer.notice_at = peer.inbound.messages().saturating_sub(link.step) + 1;
            if got.attention {
                self.news.push(id);
            }
        }
    }

    /// Forgets all messages of this peer that nobody has taken, of a kind that we never read.
    pub(crate) fn discard_inbound(&mut self, id: PeerId) {
        let mut message = Message::new();
        while self.take(id, &mut message).is_some() {}
        self.discard(message);
    }

    /// Drops a message that came and is of no use, once no lock is held.
    pub(crate) fn discard(&mut self, message: Message) {
        self.pool.later.drop_message(message);
    }

    /// Counts a message that was not queued because the peer is at its high-water mark; `false` if it is not sent to any more.
    pub(crate) fn count_drop(&mut self, id: PeerId) -> bool {
        let peer = self.slab.get_mut(id);
        let Some(peer) = peer.filter(|peer| peer.send_hwm != NOT_SENT_TO) else {
            return false;
        };
        peer.counters.dropped_hwm += 1;
        true
    }

    /// The peer and its connection, to find out later whether it still is the same one.
    pub(crate) fn place(&self, id: PeerId) -> Option<Place> {
        let connection = self.slab.get(id)?.connection;
        Some(Place { id, connection })
    }

    /// Whether the peer is there, and still on that connection.
    pub(crate) fn is_connected_at(&self, place: Place) -> bool {
        let peer = self.slab.get(place.id);
        peer.is_some_and(|peer| peer.connection == place.connection && peer.is_connected())
    }

    /// Messages accepted for this peer and not yet handed on.
    pub(crate) fn queued_out(&self, id: PeerId) -> usize {
        self.slab.get(id).map_or(0, Peer::queued_out)
    }

    /// Lets a peer go, keeping its totals. Its id is free from then on, so the pattern is made to forget it; this is the only way
    /// that an id becomes free.
    pub(crate) fn remove(&mut self, id: PeerId, pattern: &mut dyn Pattern) {
        if let Some(mut peer) = self.slab.try_remove(id) {
            debug_assert!(!peer.attached, "a peer is detached before it goes");
            pattern.forget(id);
            self.gone -= usize::from(matches!(peer.link, Link::Gone));
            if let Link::Inproc(link) = std::mem::replace(&mut peer.link, Link::Gone) {
                self.pool.later.drop_link(link);
            }
            peer.inbound.clear(&mut self.pool);
            peer.outbound.clear(&mut self.pool);
            self.past.add(&peer.counters);
            self.dirty.retain(|dirty| *dirty != id);
            self.resumable.retain(|paused| *paused != id);
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
        self.dropped_refused += other.dropped_refused;
        self.reconnects += other.reconnects;
    }
}
