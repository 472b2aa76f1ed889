//! What the application may know of a socket's peers: counters and, through monitors, events.

use std::sync::Arc;

use super::net::Net;
use super::state::{Counters, Peer};
use crate::Endpoint;
use crate::monitor::Monitor;
use crate::pattern::Pattern;
use crate::stats::{Dropped, PeerStats, Stats};
use crate::zmtp::PeerFacts;

impl Net {
    /// All counters, with those of the pattern.
    pub(crate) fn stats(&self, pattern: &dyn Pattern) -> Stats {
        let mut total = self.peers.past.as_deref().copied().unwrap_or_default();
        let mut peers = Vec::with_capacity(self.peers.slab.len());
        for (_, peer) in &self.peers.slab {
            total.add(&peer.counters);
            peers.push(peer_stats(peer));
        }
        Stats {
            peers,
            messages_in: total.messages_in,
            messages_out: total.messages_out - self.peers.moved,
            bytes_in: total.bytes_in,
            bytes_out: total.bytes_out,
            dropped: Dropped {
                unexpected: pattern.unexpected(),
                unroutable: pattern.unroutable(),
                ..dropped(&total)
            },
            subscriptions_withheld: total.topics_withheld,
            reconnects: total.reconnects,
            handshakes_failed: self.handshakes_failed,
            denied: self.denied,
            protocol_errors: self.protocol_errors,
            handshakes_pending: self.pending_count,
            delivery: pattern.delivery_stats(),
        }
    }

    /// Watches what happens to the connections from now on.
    pub(crate) fn monitor(&self) -> Monitor {
        self.peers.monitors.subscribe()
    }

    pub(crate) fn set_last_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        self.last_endpoint = Some(endpoint);
    }

    /// The endpoint last bound or connected.
    pub(crate) fn last_endpoint(&self) -> Option<Endpoint> {
        self.last_endpoint.as_deref().cloned()
    }
}

fn peer_stats(peer: &Peer) -> PeerStats {
    let counters = &peer.counters;
    let facts = peer.facts.as_deref();
    PeerStats {
        connection: peer.is_connected().then_some(peer.connection),
        endpoint: peer.label.to_string(),
        peer: peer.address.to_string(),
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        queued_in: peer.inbound.messages(),
        queued_out: peer.queued_out(),
        dropped: dropped(counters),
        subscriptions_withheld: counters.topics_withheld,
        reconnects: counters.reconnects,
        mechanism: facts.map_or("", PeerFacts::mechanism),
        principal: facts.and_then(PeerFacts::principal).cloned(),
    }
}

/// What is counted by peer.
fn dropped(counters: &Counters) -> Dropped {
    Dropped {
        high_water_mark: counters.dropped_hwm,
        conflated: counters.dropped_conflated,
        peer_gone: counters.dropped_disconnect,
        refused: counters.dropped_refused,
        withdrawn: counters.withdrawn,
        unreceived: counters.unreceived,
        ..Dropped::default()
    }
}
