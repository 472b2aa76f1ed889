//! Bytes in from established connections.

use std::io;
use std::time::{Duration, Instant};

use super::in_buffer::{Accepted, ReadOutcome};
use super::net::Net;
use super::pool::CHUNK;
use super::state::{Link, MAX_COMMAND_BYTES, Peer, PeerId, WRITE_AT};
use super::turn::Turn;
use crate::engine::driving::attention::Changes;
use crate::monitor::DisconnectCause;
use crate::pattern::Pattern;
use crate::transport::Stream;
use crate::zmtp::{Command, MAX_HEADER, ProtocolError, put_pong};

/// What the kernel is asked for at once, at the least. It is what libzmq's decoder always reads …
const SMALL_READ: usize = 8 * 1024;

/// … and so much for each message up to the high-water mark, so that a small mark means a small read-ahead.
const READ_PER_MESSAGE: usize = 64;

/// From a peer that sends PINGs so many bytes are read beyond the high-water mark, so that a PING is answered that lies behind no more.
const BEYOND_MARK: usize = 64 * 1024;

/// What all peers together may read ahead in one round, as far as each gets its [`SMALL_READ`]: as much as stays in the
/// cache until the application has taken it, one message from each peer in turn.
const READ_AHEAD: usize = 512 * 1024;

/// What is asked for where each few bytes are a topic to find in a large table. It holds some 300 of the shortest.
const ACTED_ON_READ: usize = 4 * 1024;

/// What is a message of its own where no ZMTP is spoken, at the most: as much as libzmq reads. With the header that it gets here.
const RAW_READ: usize = SMALL_READ + MAX_HEADER;

/// So often a peer is read from to take in all that the system has of it. That is enough for what systems keep of a connection, as a
/// rule, and the end for a peer that goes on sending.
const MOST_TAKEN_IN: usize = 128;

/// Reads ahead of the application, in one turn and for one peer, before the others get theirs.
const READS_PER_TURN: usize = 4;

impl Turn<'_> {
    /// Reads from every readable peer, each in its turn, until this turn of ours is over. Those left come first in the next.
    pub(crate) fn read_round(&mut self) {
        while let Some(id) = self.net.peers.resumable.pop() {
            if let Some(peer) = self.net.peers.slab.get_mut(id)
                && let Link::Up(up) = &mut peer.link
            {
                up.heartbeat.resume(self.now);
            }
            self.net.queue_read(id);
        }
        let readers = self.net.readable.len().max(1);
        self.net.peers.pool.serves(readers);
        self.net.read_share = (READ_AHEAD / readers).clamp(SMALL_READ, CHUNK);
        for _ in 0..readers {
            let Some(id) = self.net.readable.pop_front() else {
                return;
            };
            self.net.served += 1;
            let link = self.net.peers.slab.get_mut(id).map(|peer| &mut peer.link);
            match link {
                Some(Link::Up(up)) => {
                    up.queued = false;
                    self.read_peer(id);
                }
                Some(Link::Handshaking(state)) => {
                    state.queued = false;
                    self.advance_handshake(id);
                }
                _ => continue,
            }
            if !self.net.readable.is_empty() && self.slice.is_over() {
                return;
            }
        }
    }

    /// Reads what the system has of a peer in another process, reported or not: where it matters whether that came before
    /// something else. The pattern is to take what it is told of, or reading ends at the mark.
    pub(crate) fn take_in(&mut self, id: PeerId) {
        if let Some(Link::Up(up)) = self.net.peers.slab.get_mut(id).map(|peer| &mut peer.link) {
            up.readable = true;
        }
        let mut left = MOST_TAKEN_IN;
        while left > 0 && self.net.may_have_more(id) {
            left -= 1;
            self.read_peer(id);
        }
    }

    pub(super) fn read_peer(&mut self, id: PeerId) {
        let mut arrived = false;
        for _ in 0..READS_PER_TURN {
            let outcome = match self.read_once(id) {
                None => break,
                Some(Ok(outcome)) => outcome,
                Some(Err(cause)) => {
                    if self.announce(id) {
                        self.connection_lost(id, cause);
                    }
                    return;
                }
            };
            arrived |= outcome.messages > 0;
            if outcome.messages > 0 || !outcome.more || self.slice.is_over() {
                break;
            }
        }
        if !arrived || self.announce(id) {
            self.net.queue_read(id);
        }
    }

    /// Tells the pattern of whole messages, if there are any. `false`: one of them breaks the protocol, and the connection is
    /// closed.
    #[inline(always)]
    pub(crate) fn announce(&mut self, id: PeerId) -> bool {
        if self.net.peers.messages(id) == 0 {
            return true;
        }
        if self.net.raw && self.net.peers.is_ending(id) {
            self.net.peers.count_unreceived(id);
            self.net.peers.discard_inbound(id);
            return true;
        }
        self.net.changes.add(Changes::READABLE);
        match self.pattern.readable(&mut self.net.peers, id) {
            Ok(()) => true,
            Err(error) => self.close_for_violation(error, id),
        }
    }

    #[cold]
    fn close_for_violation(&mut self, error: ProtocolError, id: PeerId) -> bool {
        // Such a pattern takes messages when it is told of them, so nobody would ever take those behind that one.
        self.net.peers.discard_inbound(id);
        self.connection_lost(id, DisconnectCause::Protocol(error));
        false
    }

    /// One read. `None`: nothing to read, or not now.
    fn read_once(&mut self, id: PeerId) -> Option<Result<ReadOutcome, DisconnectCause>> {
        let peer = self.net.peers.slab.get_mut(id)?;
        let mut effects = CommandEffects::of(peer);
        let here = peer.inbound.messages() + self.pattern.waiting(id);
        let beyond = here >= peer.recv_hwm || peer.holds_enough_bytes(here);
        let may_read = match beyond {
            true => peer.may_read_beyond(),
            false => peer.may_read(self.now),
        };
        let Link::Up(up) = &mut peer.link else {
            return None;
        };
        let room = match (beyond, up.sends_pings) {
            (false, _) => {
                up.read_beyond = 0;
                may_read.most()
            }
            // Its next PING is to be found, if there is no more before it than this.
            (true, true) => BEYOND_MARK
                .saturating_sub(up.read_beyond)
                .min(may_read.most()),
            (true, false) => 0,
        };
        if room == 0 {
            up.heartbeat.suspend(self.now);
            peer.pause_at_limit(here);
            self.watch_budget(id);
            return None;
        }
        let limit = peer.recv_hwm.saturating_mul(READ_PER_MESSAGE);
        let limit = limit.clamp(SMALL_READ, self.net.read_share);
        // What takes long for each byte is read in small pieces, as nobody looks at the clock in between.
        let limit = match self.pattern.holds_subscriptions() {
            true => ACTED_ON_READ,
            false if self.net.raw => RAW_READ,
            false => limit.min(room),
        };
        let result = peer.inbound.read(
            &mut up.reader,
            &up.stream,
            &mut up.scanner,
            &mut self.net.peers.pool,
            limit,
            &mut |command| effects.handle(id, command, self.pattern, self.now),
        );
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                up.readable = false;
                up.hung_up = false;
                // Mostly reading finds the same. But a peer may only have ceased to read, or the system have had no memory for what was written.
                let failed = up.write_failed.take();
                if peer.is_in_budget() {
                    peer.has_read(self.now);
                }
                return failed.map(|error| Err(DisconnectCause::from(&error)));
            }
            Err(error) => return Some(Err(DisconnectCause::from(&error))),
        };
        if outcome.eof {
            return Some(Err(DisconnectCause::PeerClosed));
        }
        up.readable = outcome.more || up.hung_up;
        if beyond {
            up.read_beyond += outcome.bytes;
        }
        up.heartbeat.received(self.now);
        peer.counters.bytes_in += outcome.bytes as u64;
        self.after_read(id, outcome.messages, effects);
        if let Some(error) = outcome.violation {
            return Some(Err(DisconnectCause::Protocol(*error)));
        }
        Some(Ok(outcome))
    }

    /// Bytes that came in one piece with the end of the handshake.
    pub(crate) fn preload(&mut self, id: PeerId, bytes: &[u8]) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let mut effects = CommandEffects::of(peer);
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        let Accepted {
            messages,
            violation,
        } = peer.inbound.preload(
            &mut up.reader,
            bytes,
            &mut up.scanner,
            &mut self.net.peers.pool,
            &mut |command| effects.handle(id, command, self.pattern, self.now),
        );
        peer.counters.bytes_in += bytes.len() as u64;
        self.after_read(id, messages, effects);
        if self.announce(id)
            && let Some(error) = violation
        {
            self.connection_lost(id, DisconnectCause::Protocol(*error));
        }
    }

    /// So many messages have become whole, and commands have had these effects.
    #[inline(always)]
    fn after_read(&mut self, id: PeerId, messages: usize, effects: CommandEffects) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        peer.counters.messages_in += messages as u64;
        if let Some(arrivals) = &mut self.net.peers.arrivals {
            arrivals.extend((peer.arrived == 0 && messages > 0).then_some(id));
            peer.arrived += messages as u64;
        }
        let in_budget = peer.is_in_budget();
        if in_budget {
            peer.has_read(self.now);
        }
        if self.net.peers.conflate {
            let replaced = peer.inbound.keep_newest(&mut self.net.peers.pool);
            peer.counters.dropped_conflated += replaced as u64;
        }
        if effects.any {
            self.after_commands(id, effects);
        }
        self.net.arm_heartbeat(id);
        if in_budget {
            self.watch_budget(id);
        }
    }

    #[cold]
    fn after_commands(&mut self, id: PeerId, effects: CommandEffects) {
        if let Some(peer) = self.net.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
        {
            if let Some(ttl) = effects.ttl {
                up.heartbeat.peer_ttl(ttl, self.now);
                up.sends_pings = true;
            }
            if !effects.held_pong.is_empty() {
                up.held_pong = effects.held_pong;
                self.watch_answers(id);
            }
        }
        if effects.topics {
            self.net.changes.add(Changes::PEERS);
        }
        if !effects.pongs.is_empty() {
            self.net.peers.send_commands(id, &effects.pongs);
        }
        if effects.settled {
            self.after_settled(id);
        }
        if effects.answered {
            self.after_answer(id, effects.goes_on);
        }
    }
}

impl Turn<'_> {
    /// A peer that was full has room again.
    pub(super) fn announce_room(&mut self, id: PeerId) {
        self.net.changes.add(Changes::WRITABLE);
        self.pattern.writable(&mut self.net.peers, id);
        if self.pattern.take_resumed() {
            self.net.changes.add(Changes::READABLE);
        }
        self.arm_delivery();
    }

    /// The peer has settled messages.
    #[cold]
    fn after_settled(&mut self, id: PeerId) {
        self.net.changes.add(Changes::WRITABLE);
        self.pattern.settled(&mut self.net.peers, id);
        if self.net.peers.due.is_send_away() {
            self.net.note_slow();
        }
        self.arm_delivery();
    }

    /// What acknowledged delivery has waited for has come.
    pub(super) fn delivery_due(&mut self) {
        self.net.delivery_armed.take_if(|at| *at <= self.now);
        self.net.changes.add(Changes::PEERS);
        self.pattern.handle_timeout(&mut self.net.peers, self.now);
        self.arm_delivery();
    }

    /// Sees to it that somebody comes when acknowledged delivery has something to do.
    pub(crate) fn arm_delivery(&mut self) {
        let at = self.pattern.deadline();
        self.net.arm_delivery(at);
    }

    /// The peer has answered what the pattern had asked.
    #[cold]
    fn after_answer(&mut self, id: PeerId, goes_on: bool) {
        if let Some(peer) = self.net.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
        {
            up.pinged = None;
        }
        if goes_on {
            self.pattern.go_on(&mut self.net.peers, id);
        }
    }
}

impl Net {
    /// Whether the system may have bytes of this peer that are to be read now.
    fn may_have_more(&self, id: PeerId) -> bool {
        let peer = self.peers.slab.get(id);
        peer.is_some_and(|peer| match &peer.link {
            Link::Up(up) => up.readable && !peer.paused,
            _ => false,
        })
    }

    /// Puts a peer in the queue for reading, if there may be something.
    pub(super) fn queue_read(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && up.readable
            && !up.queued
            && !peer.paused
        {
            up.queued = true;
            self.readable.push_back(id);
        }
    }
}

/// What follows from the commands of one read.
struct CommandEffects {
    /// There was a command: what else is here may be more than nothing.
    any: bool,
    pongs: Vec<u8>,
    /// PONGs are made while they are no longer than this; of the others only the last.
    room: usize,
    held_pong: Vec<u8>,
    ttl: Option<Duration>,
    /// The number of the PING that we wait for the answer to …
    number: Option<u64>,
    /// … whether that has come, and whether the pattern has more to say then.
    answered: bool,
    goes_on: bool,
    /// The peer has subscribed to something, or no longer does.
    topics: bool,
    /// It has settled messages.
    settled: bool,
}

impl CommandEffects {
    /// Nothing yet.
    fn of(peer: &Peer) -> Self {
        CommandEffects {
            any: false,
            pongs: Vec::new(),
            room: MAX_COMMAND_BYTES.saturating_sub(peer.waiting_commands()),
            held_pong: Vec::new(),
            ttl: None,
            number: match &peer.link {
                Link::Up(up) => up.pinged,
                _ => None,
            },
            answered: false,
            goes_on: false,
            topics: false,
            settled: false,
        }
    }

    fn handle(
        &mut self,
        id: PeerId,
        command: Command<'_>,
        pattern: &mut dyn Pattern,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        self.any = true;
        match command {
            Command::Ping { ttl, context } => {
                self.ttl = Some(ttl);
                if self.pongs.len() < self.room {
                    put_pong(&mut self.pongs, context);
                } else {
                    self.held_pong.clear();
                    put_pong(&mut self.held_pong, context);
                }
            }
            Command::Subscribe(topic) => {
                self.topics = true;
                return pattern.topic(id, topic, true);
            }
            Command::Cancel(topic) => {
                self.topics = true;
                return pattern.topic(id, topic, false);
            }
            Command::Join(group) => {
                self.topics = true;
                return pattern.group(id, group, true);
            }
            Command::Leave(group) => {
                self.topics = true;
                return pattern.group(id, group, false);
            }
            Command::Delivery(notice) => {
                self.settled = true;
                return pattern.delivery(id, notice, now);
            }
            Command::Log(notice) => {
                self.settled = true;
                return pattern.log(id, notice);
            }
            // It counts as life like any byte, and may be the answer that the pattern waits for.
            Command::Pong { context } => {
                if self
                    .number
                    .take_if(|number| context == number.to_be_bytes())
                    .is_some()
                {
                    self.answered = true;
                    self.goes_on = pattern.answered(id);
                }
            }
            // These have no place after the handshake and are passed over, as libzmq does.
            Command::Ready { .. } | Command::Error { .. } | Command::Unknown(_) => {}
        }
        Ok(())
    }
}

/// Empties the kernel's receive buffer before a connection is closed by us. Closing over unread
/// bytes makes TCP send a reset, which can destroy what we have just sent and the peer not yet read.
pub(super) fn discard_input(stream: &Stream) {
    // To the end, to an error, or enough: in each case there is no more to do.
    let _ = stream.discard(WRITE_AT / SMALL_READ, SMALL_READ);
}
