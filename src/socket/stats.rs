//! Reading the counters.

use super::Socket;
use crate::engine::{Counters, Peer};
use crate::pattern::Pattern;
use crate::stats::{Dropped, PeerStats, Stats};

impl<P: Pattern + 'static> Socket<P> {
    pub(super) fn stats(&self) -> Stats {
        let stats = self.core().inspect(|pattern, net| {
            let mut total = net.peers.past;
            let mut peers = Vec::with_capacity(net.peers.slab.len());
            for (_, peer) in &net.peers.slab {
                total.add(&peer.counters);
                peers.push(peer_stats(peer));
            }
            let unexpected = pattern.unexpected();
            let dropped = dropped(&total, unexpected);
            Stats {
                peers,
                messages_in: total.messages_in,
                messages_out: total.messages_out - net.peers.moved,
                bytes_in: total.bytes_in,
                bytes_out: total.bytes_out,
                dropped,
                reconnects: total.reconnects,
                handshakes_failed: net.handshakes_failed,
                protocol_errors: net.protocol_errors,
                handshakes_pending: net.pending_count,
            }
        });
        stats.unwrap_or_default()
    }
}

fn peer_stats(peer: &Peer) -> PeerStats {
    let counters = &peer.counters;
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
        // Not counted by peer.
        dropped: dropped(counters, 0),
        reconnects: counters.reconnects,
    }
}

fn dropped(counters: &Counters, unexpected: u64) -> Dropped {
    Dropped {
        high_water_mark: counters.dropped_hwm,
        conflated: counters.dropped_conflated,
        peer_gone: counters.dropped_disconnect,
        refused: counters.dropped_refused,
        unexpected,
        withdrawn: counters.withdrawn,
    }
}
