//! What the end of a connection says of the peer, and of the message that was being written to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::out_buffer::OutBuffer;
use super::super::state::{Connected, Link, Origin, PeerId};
use super::super::turn::Turn;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::timers::Timer;
use crate::monitor::{ConnectionId, ConnectionInfo, DisconnectCause, Event, RefusalCause};

/// A publisher that answers PINGs has as long as this to end the connection over a topic …
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// … and one that may be too old to answer. It refuses a topic when it has read the header, which takes a round trip.
const REFUSES_WITHIN: Duration = Duration::from_secs(5);

/// How an established connection ended.
pub(crate) struct Loss {
    pub(crate) connection: ConnectionId,
    label: Arc<str>,
    address: Arc<str>,
    /// Whose connection it was: there may be another peer at its place by now.
    birth: ConnectionId,
    /// The peer has ended it, and not the network or we.
    by_peer: bool,
}

impl Turn<'_> {
    /// What is to be known of a connection that is about to be let go of. `None`: it was not established.
    pub(super) fn loss(&mut self, id: PeerId, cause: &DisconnectCause) -> Option<Loss> {
        let peer = self.net.peers.slab.get_mut(id)?;
        let Link::Up(up) = &peer.link else {
            return None;
        };
        let lived = self.now.saturating_duration_since(up.since);
        if let Origin::Dialed(dialer) = &mut peer.origin {
            let received = peer.counters.messages_in > up.received_before;
            dialer.lost(lived, received);
        }
        let by_peer = matches!(cause, DisconnectCause::PeerClosed | DisconnectCause::Reset);
        if by_peer && up.topics_taken_at().is_some_and(|at| at > self.now) {
            self.pattern.ended_in_doubt(id);
        }
        Some(Loss {
            connection: peer.connection,
            label: Arc::clone(&peer.label),
            address: Arc::clone(&peer.address),
            birth: peer.birth,
            by_peer,
        })
    }

    /// Sees to it that a peer that does not answer is told the rest of what the pattern has to say.
    pub(super) fn watch_topics(&mut self, id: PeerId) {
        if !self.pattern.awaits_answer(id) {
            return;
        }
        let token = self.net.token_of(id);
        if let Some(peer) = self.net.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && let Some(at) = up.topics_taken_at()
        {
            up.topics_due = Some(at);
            self.net.timers.arm(at, Timer::Connection(token.0));
        }
    }

    /// Goes on with a peer that has not ended the connection in all the time that it had for it.
    pub(super) fn presume_topics_taken(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        if up.topics_due.take_if(|due| *due <= self.now).is_none() {
            return;
        }
        let had_time = up.topics_taken_at().is_some_and(|at| at <= self.now);
        if had_time && self.pattern.answered(id) {
            self.pattern.go_on(&mut self.net.peers, id);
        }
        self.watch_topics(id);
    }

    /// Counts the end of a connection against the message that was being written to it, and gives that one up if it was
    /// the last that it may break. However long the connection has lived: a peer may need that long to find out that it does
    /// not want the message.
    pub(crate) fn blame(&mut self, id: PeerId, buffer: &mut OutBuffer, loss: Loss) {
        if !loss.by_peer {
            return;
        }
        let most = self.net.options.max_delivery_attempts;
        let Some(refused) = buffer.blame(most, &mut self.net.peers.pool) else {
            return;
        };
        let size = refused.message.size();
        let cause = RefusalCause::BrokeConnections {
            count: refused.breaks,
        };
        match self.net.peers.slab.get_mut(id) {
            Some(peer) if peer.birth == loss.birth => peer.counters.dropped_refused += 1,
            Some(_) | None => self.net.peers.past().dropped_refused += 1,
        }
        let event = self
            .net
            .peers
            .wants_events()
            .then(|| Event::MessageRefused {
                connection: ConnectionInfo::new(loss.connection, &*loss.label, &*loss.address),
                size,
                cause,
            });
        self.net.peers.tell(event);
        self.net.changes.add(Changes::PEERS);
        self.pattern.given_up(&refused.message, cause);
    }
}

impl Connected {
    /// When the peer will have had the time to refuse the topics that it was last told of.
    fn topics_taken_at(&self) -> Option<Instant> {
        let time = match self.version.has_subscribe_commands() {
            true => ANSWERS_WITHIN,
            false => REFUSES_WITHIN,
        };
        self.told_at?.checked_add(time)
    }
}
