//! The end of a connection: lost and dialed again, given up, or closed by us.

use std::sync::Arc;

use super::super::limits::Takes;
use super::super::net::Net;
use super::super::notices::Happened;
use super::super::reading::discard_input;
use super::super::state::{Link, NOT_SENT_TO, Origin, Peer, PeerId};
use super::super::turn::Turn;
use super::{Loss, unlimited};
use crate::engine::Deadline;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::timers::Timer;
use crate::monitor::{ConnectionId, ConnectionInfo, DisconnectCause, Event, PeerRefusal};
use crate::pattern::Admission;
use crate::transport::Stream;

impl Turn<'_> {
    /// The connection has failed or ended. A dialed peer keeps its place and its queue and is dialed
    /// again; an accepted one is gone, once what it sent has been read.
    pub(crate) fn connection_lost(&mut self, id: PeerId, cause: DisconnectCause) {
        let keep = self.pattern.keeps_unsent();
        // It is still there, and goes on sending.
        let violated = matches!(cause, DisconnectCause::Protocol(_));
        let unread = violated.then(|| self.maybe_unread(id)).flatten();
        let link = self.net.peers.slab.get(id).map(|peer| &peer.link);
        let was_up = matches!(link, Some(Link::Up(_)));
        self.net.protocol_errors += u64::from(violated);
        let loss = self.loss(id, &cause).filter(|_| keep);
        self.net.disconnect_link(id, &cause);
        self.blame_peer(id, loss);
        if let Some(stream) = unread {
            self.net.bid_farewell(stream, self.violators_time());
        }
        self.end_input(id);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let goes = matches!(peer.origin, Origin::Accepted(_)) || peer.ending;
        if was_up {
            self.put_notices(id, Happened::Ended);
        }
        if goes {
            return self.retire(id);
        }
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        if keep {
            peer.counters.withdrawn += peer.outbound.unwanted() as u64;
            peer.outbound.rewind(&mut self.net.peers.pool);
        } else {
            peer.counters.dropped_disconnect += peer.outbound.messages() as u64;
            peer.outbound.clear(&mut self.net.peers.pool);
        }
        peer.review_room();
        if was_up {
            self.net.changes.add(Changes::PEERS);
            self.pattern.lost(&mut self.net.peers, id);
        }
        self.begins_to_forget(id);
        if self.net.immediate {
            self.detach(id);
        }
        if self.net.peers.has_room(id) {
            self.announce_room(id);
        }
        self.redial_later(id);
    }

    /// Nothing more comes by the connection of a peer. Half a message is dropped.
    fn end_input(&mut self, id: PeerId) {
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.inbound.rollback(&mut self.net.peers.pool);
            peer.resume();
            peer.has_read(self.now);
        }
    }

    /// Counts a loss against what was being written, or leaves that to whoever is writing it.
    fn blame_peer(&mut self, id: PeerId, loss: Option<Loss>) {
        let (Some(loss), Some(peer)) = (loss, self.net.peers.slab.get_mut(id)) else {
            return;
        };
        if peer.held {
            return;
        }
        if peer.being_written {
            self.net.lost_while_written = Some(Box::new(loss));
            return;
        }
        let mut buffer = std::mem::take(&mut peer.outbound);
        self.blame(id, &mut buffer, loss);
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.outbound = buffer;
        }
    }

    pub(super) fn redial_later(&mut self, id: PeerId) {
        let told = self.net.peers.wants_events();
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Origin::Dialed(dialer) = &mut peer.origin else {
            return;
        };
        dialer.addresses.clear();
        if self.net.options.reconnect_interval.is_none() {
            return;
        }
        let (delay, attempt) = (dialer.next_delay(), dialer.begin());
        let event = told.then(|| Event::RetryIn {
            endpoint: dialer.label.to_string(),
            delay,
        });
        self.net.peers.tell(event);
        // One that is refused at once is not dialed again and again in one turn.
        let at = (self.now + delay).max(self.next_turn());
        self.net.timers.arm(at, Timer::Redial(id, attempt));
    }

    /// Asks the pattern whether to let a peer in, and sends the one away that has to go for it.
    pub(in crate::engine::peer) fn let_in(&mut self, id: PeerId) -> Result<(), PeerRefusal> {
        if !self.net.peers.news.is_empty() {
            // The pattern may still know a peer that has gone, and refuse this one because of it.
            self.take_news();
        }
        match self.pattern.admit(&mut self.net.peers, id) {
            Admission::Granted => Ok(()),
            Admission::Replaces(other, refusal) => {
                self.send_away(other, refusal);
                Ok(())
            }
            Admission::Refused(refusal) => Err(refusal),
        }
    }

    /// Closes a connection for the sake of another one.
    fn send_away(&mut self, id: PeerId, refusal: PeerRefusal) {
        match self.net.peers.slab.get(id).map(|peer| &peer.link) {
            Some(Link::Up(_)) => self.connection_lost(id, DisconnectCause::Refused(refusal)),
            Some(Link::Inproc(_)) => self.send_away_inproc(id),
            // It will ask again.
            Some(Link::Down | Link::Connecting(_) | Link::Handshaking(_) | Link::Gone) | None => {}
        }
    }

    /// Closes the connection of a peer that is not let in. One that we dial keeps its place and its queue, and is dialed again after a
    /// wait, which grows each time.
    pub(super) fn refuse_peer(&mut self, id: PeerId, refusal: PeerRefusal) {
        self.net
            .disconnect_link(id, &DisconnectCause::Refused(refusal));
        let peer = self.net.peers.slab.get(id);
        match peer.is_some_and(|peer| matches!(peer.origin, Origin::Accepted(_))) {
            true => self.retire(id),
            false => self.redial_later(id),
        }
    }

    fn detach(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        if !std::mem::take(&mut peer.attached) {
            return;
        }
        peer.counters.withdrawn += peer.outbound.unwanted() as u64;
        let unsent = match &peer.link {
            // What another socket has taken up is that one's to read.
            Link::Inproc(link) if link.remote.get().is_none() => {
                let reclaimed = link.outbox.reclaim(&mut self.net.peers.pool);
                peer.counters.withdrawn += reclaimed.unwanted as u64;
                reclaimed.messages
            }
            _ => peer.outbound.drain(&mut self.net.peers.pool),
        };
        if !self.pattern.moves_unsent() {
            peer.counters.dropped_disconnect += unsent.len() as u64;
        }
        self.net.changes.add(Changes::PEERS);
        self.pattern.detached(&mut self.net.peers, id, unsent);
        self.arm_delivery();
    }

    /// A peer that will never have a connection again: its place goes as soon as it is read empty.
    pub(crate) fn retire(&mut self, id: PeerId) {
        self.detach(id);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        peer.link = Link::Gone;
        self.net.peers.gone += 1;
        self.let_go(id);
    }

    /// The place of a peer that is gone is free once its messages have been taken, and once the pattern has forgotten it.
    pub(crate) fn let_go(&mut self, id: PeerId) {
        let waits = self.net.peers.messages(id) + self.pattern.waiting(id) > 0;
        if !self.begins_to_forget(id) && !waits {
            self.net.changes.add(Changes::PEERS);
            self.net.peers.remove(id, self.pattern);
        }
    }

    /// Whether it takes a while to forget what a peer wanted whose connection is gone. Meanwhile it is not sent anything.
    fn begins_to_forget(&mut self, id: PeerId) -> bool {
        let forgets = self.pattern.remembers(id);
        if forgets && let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.set_send_hwm(NOT_SENT_TO);
            self.net.forgets = true;
        }
        forgets
    }

    /// Forgets more of what peers wanted, until the turn is over.
    pub(crate) fn forget_more(&mut self) {
        self.net.changes.add(Changes::PEERS);
        while let Some(id) = self.pattern.forget_more(&|| self.slice.is_over()) {
            let Some(peer) = self.net.peers.slab.get_mut(id) else {
                continue;
            };
            peer.set_send_hwm(unlimited(self.net.options.send_hwm));
            if matches!(peer.link, Link::Gone) {
                self.let_go(id);
            }
        }
        self.net.forgets = self.pattern.is_forgetting();
    }

    /// Drops a peer at the application's wish, and all that it still had. What it has been sent it can read `until` then.
    pub(crate) fn drop_peer(&mut self, id: PeerId, cause: DisconnectCause, until: Deadline) {
        self.hang_up(id, &cause, until);
        self.net.changes.add(Changes::PEERS);
        self.net.peers.remove(id, self.pattern);
    }

    /// The same where it is to show that messages are dropped that had arrived.
    pub(in crate::engine::peer) fn cut_off(&mut self, id: PeerId, until: Deadline) {
        self.hang_up(id, &DisconnectCause::LocalClose, until);
        self.net.peers.count_unreceived(id);
        self.net.changes.add(Changes::PEERS);
        self.net.peers.remove(id, self.pattern);
    }

    /// Ends the connection of a peer that we have accepted, at the application's wish. What has come whole by now can still be received, and
    /// then its place goes, as when the peer has ended it. What it has been sent it can read `until` then.
    pub(in crate::engine::peer) fn part_with(&mut self, id: PeerId, until: Deadline) {
        // Nobody can tell whether it is with us or with the system.
        self.take_in(id);
        let Some(peer) = self.net.peers.slab.get(id) else {
            return;
        };
        match &peer.link {
            // It has ended by itself.
            Link::Gone => {}
            Link::Inproc(_) => self.part_with_inproc(id),
            Link::Up(_) if !peer.ending => {
                self.hang_up(id, &DisconnectCause::LocalClose, until);
                self.end_input(id);
                self.retire(id);
                if let Some(peer) = self.net.peers.slab.get_mut(id) {
                    peer.ending = true;
                }
            }
            Link::Up(_) | Link::Down | Link::Connecting(_) | Link::Handshaking(_) => {
                self.drop_peer(id, DisconnectCause::LocalClose, until);
            }
        }
    }

    /// Ends the connection of a peer, which is not sent to any more, but for what it has to read `until` then.
    fn hang_up(&mut self, id: PeerId, cause: &DisconnectCause, until: Deadline) {
        self.net.close_inproc(id);
        let unread = self.maybe_unread(id);
        self.net.disconnect_link(id, cause);
        if let Some(stream) = unread {
            self.net.bid_farewell(stream, until);
        }
        self.detach(id);
    }

    /// The stream of a connection that has carried messages to a peer which, for all we know, has not read them yet.
    /// Not while messages are being written to it: that is for `end_write` to see to.
    fn maybe_unread(&self, id: PeerId) -> Option<Arc<Stream>> {
        if self.pattern.has_been_read(id) {
            return None;
        }
        let peer = self.net.peers.slab.get(id)?;
        let Link::Up(up) = &peer.link else {
            return None;
        };
        let unread = up.carried && peer.in_flight == 0;
        unread.then(|| Arc::clone(&up.stream))
    }
}

impl Net {
    /// Ends whatever connection a peer has, and says so.
    pub(super) fn disconnect_link(&mut self, id: PeerId, cause: &DisconnectCause) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        // There is nothing behind the end of the stream.
        let unread = !matches!(cause, DisconnectCause::PeerClosed);
        let failed_handshake = match std::mem::replace(&mut peer.link, Link::Down) {
            Link::Connecting(mut stream) => {
                self.registry.deregister(&mut stream);
                None
            }
            Link::Handshaking(mut state) => {
                if matches!(peer.origin, Origin::Accepted(_)) {
                    self.pending_count = self.pending_count.saturating_sub(1);
                }
                self.registry.deregister(&mut state.stream);
                state.say_goodbye();
                if unread {
                    discard_input(&state.stream);
                }
                self.handshakes_failed += 1;
                Some(true)
            }
            Link::Up(up) => {
                self.tempo.rhythm().writable(up.writable, true);
                if unread {
                    discard_input(&up.stream);
                }
                Some(false)
            }
            link @ (Link::Down | Link::Inproc(_) | Link::Gone) => {
                peer.link = link;
                None
            }
        };
        if let Some(address) = peer.counted.take() {
            if failed_handshake == Some(true) {
                self.addresses.shaken_hands(address);
            }
            self.addresses.closed(address);
        }
        // What it takes it said of that connection.
        peer.takes = Takes::default();
        let Some(failed_handshake) = failed_handshake else {
            return;
        };
        let event = self.peers.wants_events().then(|| {
            let (connection, cause) = (self.info(id), cause.clone());
            match failed_handshake {
                true => Event::HandshakeFailed { connection, cause },
                false => Event::Disconnected { connection, cause },
            }
        });
        self.peers.tell(event);
    }

    /// What events say of a peer's connection.
    pub(crate) fn info(&self, id: PeerId) -> ConnectionInfo {
        let peer = self.peers.slab.get(id);
        peer.map_or_else(
            || ConnectionInfo::new(ConnectionId::default(), "", ""),
            Peer::info,
        )
    }
}
