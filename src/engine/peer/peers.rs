//! The peers of a socket: what a pattern sees of the network.
//!
//! A peer is a place that messages go to and come from. One that we dial keeps its place, and its queue,
//! through every reconnect; one that we accepted lives as long as its connection, and then until what it
//! sent has been read. Patterns know peers by their [`PeerId`] and touch them through [`Peers`] only.

use std::time::{Duration, Instant};

use slab::Slab;

use super::direct::{DIRECT, Due};
use super::limits::Tried;
use super::out_buffer::{OutBuffer, Unsent};
use super::outgoing::Outgoing;
use super::pool::ChunkPool;
use super::state::{
    Counters, Link, MAX_COMMAND_BYTES, NOT_SENT_TO, Peer, PeerId, Place, WRITE_AT, WRITE_KEPT_AT,
};
use crate::engine::Note;
use crate::message::{Message, RoutingId};
use crate::monitor::{Event, Journal, Monitors};
use crate::origin::Origin;
use crate::pattern::Pattern;
use crate::zmtp::replay::Start;
use crate::zmtp::replay::wire::put_replay;
use crate::zmtp::{self, PeerFacts, Version};

/// All peers of a socket, and what they share.
#[derive(Default)]
pub(crate) struct Peers {
    pub(super) slab: Slab<Peer>,
    pub(super) pool: ChunkPool,
    /// Peers with bytes to write that the kernel may take.
    pub(super) dirty: Vec<PeerId>,
    /// Whether there are peers that have to be written now: full, or at [`WRITE_AT`], or a message was set aside for them.
    pub(super) due: Due,
    /// Peers whose connection is to be closed, as they do not read.
    pub(super) too_slow: Vec<Place>,
    /// Peers for which the message that is being sent was set aside; reused.
    pub(super) aside: Vec<PeerId>,
    /// Peers whose reading was paused and may go on.
    pub(super) resumable: Vec<PeerId>,
    /// Inproc peers that have topics for us or have gone, and peers that are gone and of which the last message has been taken.
    pub(super) news: Vec<PeerId>,
    /// Peers that messages have come from since the pattern last asked. `None` if it never has.
    pub(super) arrivals: Option<Vec<PeerId>>,
    /// Messages appended since the buffers were last written.
    pub(super) gathered: usize,
    /// Messages that callers have written without queueing them.
    pub(super) written_directly: u64,
    /// Only the newest message of each peer counts, in either direction.
    pub(super) conflate: bool,
    /// Peers that are gone, but for messages that nobody has taken yet.
    pub(super) gone: usize,
    /// Totals of peers that are no more, once there are any.
    pub(super) past: Option<Box<Counters>>,
    /// Messages that went from one peer's queue to another's, and so are in the counters of both.
    pub(super) moved: u64,
    pub(super) monitors: Monitors,
    pub(super) journal: Journal,
}

impl Peers {
    /// Where peers that are no more are counted.
    pub(super) fn past(&mut self) -> &mut Counters {
        self.past.get_or_insert_default()
    }

    /// Whether anybody is to be told of events: a monitor, or the log. Without, none is made.
    pub(crate) fn wants_events(&self) -> bool {
        self.monitors.is_watched() || Journal::is_kept()
    }

    /// Tells monitors of an event, and the log as soon as no lock is held.
    pub(crate) fn tell(&mut self, event: Option<Event>) {
        if let Some(event) = event {
            let later = &mut self.pool.later;
            self.journal.enter(&event, Instant::now(), |level, text| {
                later.log_event(level, text)
            });
            self.monitors.emit(|| event);
        }
    }

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
                link.appended - link.outbox.await_released(wanted) >= peer.send_hwm
            }
            _ => {
                peer.review_room();
                peer.is_sent_to() && !peer.has_room()
            }
        }
    }

    /// Whether there is no room for this message. Then the peer tells when that changes, as of [`await_room`](Self::await_room).
    pub(crate) fn awaits_room(&mut self, id: PeerId, outgoing: Outgoing<'_>) -> bool {
        if !self.has_room(id) {
            return self.await_room(id);
        }
        let peer = self.slab.get_mut(id);
        let peer = peer.filter(|peer| peer.bytes.is_some());
        peer.is_some_and(|peer| !self.conflate && !peer.has_room_for(outgoing))
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
        let sent = peer.outbound.push_single(body, peer.gathered_at_most);
        peer.counters.messages_out += u64::from(sent);
        self.gathered += usize::from(sent);
        sent
    }

    /// Queues a whole message, if the peer takes one like it and has room. A long slice may be set aside instead, until
    /// [`Net::pace`](super::net::Net::pace).
    #[inline]
    pub(crate) fn try_send(&mut self, id: PeerId, outgoing: Outgoing<'_>) -> Tried {
        let Some(peer) = self.slab.get_mut(id) else {
            return Tried::NoRoom;
        };
        let fits = match outgoing {
            Outgoing::Slice(body) => body.len() < peer.takes.any_below,
            Outgoing::Message(_) | Outgoing::Rest(_) | Outgoing::Enveloped(_) => false,
        };
        let sent_to = peer.is_sent_to();
        if !fits && sent_to && peer.takes.excess(outgoing).is_some() {
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
            if peer.bytes.is_some() && !peer.has_room_for(outgoing) {
                return Tried::NoRoom;
            }
            if let Outgoing::Slice(body) = outgoing
                && (peer.send_within(body) || body.len() >= DIRECT && self.set_aside(id, body))
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
            self.due.write();
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
        let room = peers.filter(|peer| peer.is_sent_to());
        // In bytes it depends on the messages.
        let room = room.map(|peer| match peer.bytes {
            Some(_) => 0,
            None => peer.room(),
        });
        room.min().unwrap_or(0)
    }

    /// Queues messages again that were accepted for the same peer at an earlier place, whether there is room or not.
    pub(super) fn requeue(&mut self, id: PeerId, kept: &[Unsent]) {
        if let Some(peer) = self.slab.get_mut(id) {
            for unsent in kept {
                peer.outbound.push_again(unsent, &mut self.pool);
            }
            peer.counters.messages_out += kept.len() as u64;
            self.moved += kept.len() as u64;
        }
    }

    /// Hands what was queued for a peer of this process over to it, now that there is a channel.
    pub(super) fn hand_over_queue(&mut self, id: PeerId) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        let Link::Inproc(link) = &mut peer.link else {
            return;
        };
        for unsent in peer.outbound.drain(&mut self.pool) {
            link.appended += 1;
            let appended = link
                .outbox
                .append(&mut link.writer, self.conflate, |buffer, pool| {
                    buffer.push_again(&unsent, pool);
                });
            peer.counters.bytes_out += appended.bytes as u64;
            peer.counters.dropped_conflated += appended.replaced as u64;
            if appended.tell {
                link.tell(Note::InprocReadable);
            }
        }
    }

    /// Queues command frames, which no high-water mark holds back.
    pub(crate) fn send_commands(&mut self, id: PeerId, frames: &[u8]) {
        if let Some(peer) = self.slab.get_mut(id) {
            peer.outbound.push_commands(frames, &mut self.pool);
            self.mark_dirty(id);
        }
    }

    /// Says whether the pattern itself holds what is queued for this peer, until that has settled it.
    pub(crate) fn set_held(&mut self, id: PeerId, held: bool) {
        if let Some(peer) = self.slab.get_mut(id) {
            peer.held = held;
        }
    }

    /// Queues a message that the pattern holds; it was queued before, for whichever peer, if it goes out `again`.
    pub(crate) fn send_held(&mut self, id: PeerId, outgoing: Outgoing<'_>, again: bool) {
        self.send_with(id, |buffer, pool| buffer.push(outgoing, pool));
        self.moved += u64::from(again);
    }

    /// Bytes of commands, and of topics in whatever form, that this peer has yet to take.
    pub(crate) fn waiting_commands(&self, id: PeerId) -> usize {
        self.slab.get(id).map_or(0, Peer::waiting_commands)
    }

    /// Tells of a publisher that has no log, where one is asked for what was published before.
    pub(crate) fn tell_no_log(&mut self, id: PeerId) {
        let told = self.wants_events();
        let peer = self.slab.get(id).filter(|_| told);
        let event = peer.map(|peer| Event::NoLog {
            connection: peer.info(),
        });
        self.tell(event);
    }

    /// Tells of messages that are missing.
    pub(crate) fn tell_gap(&mut self, id: PeerId, first: u64, last: u64) {
        let told = self.wants_events();
        let peer = self.slab.get(id).filter(|_| told);
        let event = peer.map(|peer| Event::Gap {
            connection: peer.info(),
            first,
            last,
        });
        self.tell(event);
    }

    /// Makes the call that is going on, if it goes the short way, see to what is to be written.
    pub(crate) fn prompt(&mut self) {
        self.pool.later.prompt();
    }

    /// Tells of a peer that does not know acknowledged delivery.
    pub(crate) fn tell_unacknowledged(&mut self, id: PeerId) {
        let told = self.wants_events() && !self.is_within(id);
        let peer = self.slab.get(id).filter(|_| told);
        let event = peer.map(|peer| Event::Unacknowledged {
            connection: peer.info(),
        });
        self.tell(event);
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

    /// Asks a publisher whether it has taken all it was told before, by a PING with this number. One of ZMTP 2.0 knows none.
    pub(crate) fn ping(&mut self, id: PeerId, number: u64) {
        if let Some(peer) = self.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && up.version.has_commands()
        {
            up.pinged = Some(number);
            let mut ping = Vec::new();
            zmtp::put_ping(&mut ping, Duration::ZERO, &number.to_be_bytes());
            self.send_commands(id, &ping);
        }
    }

    /// Tells a publisher that we want, or no longer want, a topic.
    pub(crate) fn send_topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        self.send_wish(id, topic, subscribe, |frame, version| match subscribe {
            true => zmtp::put_subscribe(frame, version, topic),
            false => zmtp::put_cancel(frame, version, topic),
        });
    }

    /// Tells a publisher with a log that we want a topic, and from where on.
    pub(crate) fn send_replay(&mut self, id: PeerId, topic: &[u8], start: Start) {
        self.send_wish(id, topic, true, |frame, _| put_replay(frame, topic, start));
    }

    /// Tells a RADIO that we are in a group, or no longer. It is a command to peers of whatever version: older ones know no RADIO.
    pub(crate) fn send_membership(&mut self, id: PeerId, group: &[u8], join: bool) {
        self.send_wish(id, group, join, |frame, _| {
            zmtp::put_membership(frame, group, join);
        });
    }

    fn send_wish(
        &mut self,
        id: PeerId,
        topic: &[u8],
        subscribe: bool,
        put: impl FnOnce(&mut Vec<u8>, Version),
    ) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        let version = match &mut peer.link {
            Link::Inproc(link) => {
                link.outbox.append_topic(topic, subscribe);
                return link.tell(Note::InprocReadable);
            }
            Link::Up(up) => {
                up.told_at = Some(Instant::now());
                up.version
            }
            Link::Down | Link::Connecting(_) | Link::Handshaking(_) | Link::Gone => return,
        };
        let mut frame = Vec::with_capacity(topic.len() + 24);
        put(&mut frame, version);
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

    /// What `look` says of the frames of this peer's next message, which there is.
    pub(crate) fn look_at_next(&self, id: PeerId, look: impl FnOnce(&[&[u8]]) -> bool) -> bool {
        let peer = self.slab.get(id);
        peer.is_some_and(|peer| look(&peer.inbound.next_frames()))
    }

    /// Whether all peers that messages may be sent to have room. Whoever has none tells when that changes.
    pub(crate) fn all_have_room(&mut self) -> bool {
        let ids: Vec<PeerId> = self.slab.iter().map(|(id, _)| id).collect();
        let sent_to = |peers: &Self, id| {
            let peer: Option<&Peer> = peers.slab.get(id);
            peer.is_some_and(Peer::is_sent_to)
        };
        let mut full = 0;
        for id in ids {
            if sent_to(self, id) && !self.has_room(id) && self.await_room(id) {
                full += 1;
            }
        }
        full == 0
    }

    /// Takes the next message of this peer if it is of one frame, and there is nothing else to do about it: in a stream of
    /// such messages that is so for nearly every one.
    #[inline]
    pub(crate) fn take_single(&mut self, id: PeerId, message: &mut Message) -> bool {
        self.slab.get_mut(id).is_some_and(|peer| {
            peer.inbound.messages() > peer.inbound.notice_below()
                && peer.inbound.take_single(message)
        })
    }

    /// Takes the next message of this peer into `message`; says whether there are more, if there was one.
    pub(crate) fn take(&mut self, id: PeerId, message: &mut Message) -> Option<bool> {
        if self.conflate {
            // What was read may have been replaced since, and a sender in this process does not tell of that.
            self.receive_inproc(id);
        }
        let peer = self.slab.get_mut(id)?;
        if !peer.inbound.take(message, &mut self.pool) {
            return None;
        }
        if peer.inbound.messages() < peer.inbound.notice_below() {
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
    pub(super) fn after_take(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.slab.get_mut(id) else {
            return false;
        };
        let remaining = peer.inbound.messages();
        if let Link::Inproc(link) = &mut peer.link {
            link.release(remaining);
            peer.inbound
                .set_notice_below(remaining.saturating_sub(link.step) + 1);
            if remaining == 0 {
                self.receive_inproc(id);
                return self.messages(id) > 0;
            }
            return true;
        }
        if peer.paused && peer.may_resume(remaining) {
            peer.resume();
            self.resumable.push(id);
        }
        if remaining == 0 {
            peer.inbound.release(&mut self.pool);
        }
        peer.give_back();
        if remaining == 0 && matches!(peer.link, Link::Gone) {
            // It is the pattern that takes, and that has yet to forget the peer: the id stays taken until then.
            self.news.push(id);
        }
        remaining > 0
    }

    /// The pattern has handed on some of what it held of this peer, and still has `held` messages.
    pub(crate) fn handed_on(&mut self, id: PeerId, held: usize) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        let remaining = held + peer.inbound.messages();
        if peer.paused && peer.may_resume(remaining) {
            peer.resume();
            self.resumable.push(id);
        }
        if remaining == 0 && matches!(peer.link, Link::Gone) {
            self.news.push(id);
        }
    }

    /// Whether this is a socket of this process.
    pub(crate) fn is_within(&self, id: PeerId) -> bool {
        let peer = self.slab.get(id);
        peer.is_some_and(|peer| matches!(peer.link, Link::Inproc(_)))
    }

    /// Fetches what an inproc peer has appended meanwhile.
    pub(crate) fn receive_inproc(&mut self, id: PeerId) {
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        if let Link::Inproc(link) = &mut peer.link {
            link.read_rate.pause(|| link.inbox.lane_is_empty());
            let stream = link.read_rate.is_dense();
            let got = peer
                .inbound
                .receive_from(&link.inbox, &mut self.pool, stream);
            link.read_rate.record(got.messages);
            link.received += got.messages;
            peer.counters.messages_in += got.messages as u64;
            if let Some(arrivals) = &mut self.arrivals {
                arrivals.extend((peer.arrived == 0 && got.messages > 0).then_some(id));
                peer.arrived += got.messages as u64;
            }
            peer.counters.bytes_in += got.bytes as u64;
            if self.conflate {
                let replaced = peer.inbound.keep_newest(&mut self.pool);
                peer.counters.dropped_conflated += replaced as u64;
            }
            peer.inbound
                .set_notice_below(peer.inbound.messages().saturating_sub(link.step) + 1);
            if got.has_news {
                self.news.push(id);
            }
        }
    }

    /// How many messages have come from which peers since this was last asked, or was asked for the first time.
    pub(crate) fn take_arrivals(&mut self) -> Vec<(PeerId, u64)> {
        let arrivals = self.arrivals.replace(Vec::new()).unwrap_or_default();
        let mut counts = Vec::with_capacity(arrivals.len());
        for id in arrivals {
            if let Some(peer) = self.slab.get_mut(id) {
                counts.push((id, std::mem::take(&mut peer.arrived)));
            }
        }
        counts
    }

    /// Forgets all messages of this peer that nobody has taken, of a kind that we never read.
    pub(crate) fn discard_inbound(&mut self, id: PeerId) {
        let mut message = Message::new();
        while self.take(id, &mut message).is_some() {}
        self.discard(message);
    }

    /// What nobody has taken of this peer is about to be dropped.
    pub(super) fn count_unreceived(&mut self, id: PeerId) {
        if let Some(peer) = self.slab.get_mut(id) {
            peer.counters.unreceived += peer.inbound.messages() as u64;
        }
    }

    /// Ends the connection of a peer once all that is queued for it has left. Nothing is sent to it any more, and nothing
    /// received.
    pub(crate) fn end(&mut self, id: PeerId) {
        self.count_unreceived(id);
        self.discard_inbound(id);
        if let Some(peer) = self.slab.get_mut(id) {
            peer.ending = true;
            peer.set_send_hwm(NOT_SENT_TO);
            self.news.push(id);
        }
    }

    pub(super) fn is_ending(&self, id: PeerId) -> bool {
        self.slab.get(id).is_some_and(|peer| peer.ending)
    }

    /// Drops a message that came and is of no use, once no lock is held.
    pub(crate) fn discard(&mut self, message: Message) {
        self.pool.later.drop_message(message);
    }

    /// Counts a message that was not queued because the peer is at its high-water mark; `false` if it is not sent to any more.
    pub(crate) fn count_drop(&mut self, id: PeerId) -> bool {
        let peer = self.slab.get_mut(id);
        let Some(peer) = peer.filter(|peer| peer.is_sent_to()) else {
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

    /// What the peer has said of itself in its handshake, the last one if it has had several. `None`: it has had none yet.
    pub(crate) fn facts(&self, id: PeerId) -> Option<&PeerFacts> {
        self.slab.get(id)?.facts.as_deref()
    }

    /// Who a message of this peer comes from.
    pub(crate) fn origin(&self, id: PeerId) -> Origin {
        match self.slab.get(id) {
            Some(peer) => Origin::new(&peer.label, &peer.address, peer.facts.clone()),
            None => Origin::default(),
        }
    }

    /// The name that the application has given to a peer when it connected to it.
    pub(crate) fn given_name(&self, id: PeerId) -> Option<&RoutingId> {
        self.slab.get(id)?.origin.given_name()
    }

    /// Whether the peer is there, and has shaken hands.
    pub(crate) fn is_connected(&self, id: PeerId) -> bool {
        self.slab.get(id).is_some_and(Peer::is_connected)
    }

    /// All peers that have shaken hands.
    pub(crate) fn connected(&self) -> Vec<PeerId> {
        let peers = self.slab.iter();
        peers
            .filter(|(_, peer)| peer.is_connected())
            .map(|(id, _)| id)
            .collect()
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
            self.past().add(&peer.counters);
            self.dirty.retain(|dirty| *dirty != id);
            self.resumable.retain(|paused| *paused != id);
            if let Some(arrivals) = &mut self.arrivals {
                arrivals.retain(|arrived| *arrived != id);
            }
        }
    }
}
