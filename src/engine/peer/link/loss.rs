//! What the end of a connection says of the peer, and of the message that was being written to it.

use super::super::out_buffer::OutBuffer;
use super::super::state::{Link, Origin, PeerId};
use super::super::turn::Turn;
use crate::monitor::{ConnectionId, ConnectionInfo, DisconnectCause, Event, RefusalCause};

/// How an established connection ended.
pub(crate) struct Loss {
    pub(crate) connection: ConnectionInfo,
    /// Whose connection it was: there may be another peer at its place by now.
    birth: ConnectionId,
    /// The peer has ended it, and not the network or we.
    by_peer: bool,
}

impl Turn<'_> {
    /// What is to be known of a connection that is about to be let go of. `None`: it was not established.
    pub(super) fn loss(&mut self, id: PeerId, cause: &DisconnectCause) -> Option<Loss> {
        let connection = self.net.info(id);
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
        Some(Loss {
            connection,
            birth: peer.birth,
            by_peer,
        })
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
            Some(_) | None => self.net.peers.past.dropped_refused += 1,
        }
        let connection = loss.connection;
        self.net.monitors.emit(|| Event::MessageRefused {
            connection,
            size,
            cause,
        });
        self.pattern.given_up(&refused.message, cause);
    }
}
