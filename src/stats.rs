//! What a socket has done so far, in numbers.

mod export;
#[cfg(feature = "serde")]
mod with_serde;

use crate::{ConnectionId, Principal};

/// A socket's counters since it was made, and those of its present peers.
///
/// The counters of the socket include those of peers that are gone. They never decrease; take two and subtract
/// for a rate.
///
/// ```
/// # use std::time::Duration;
/// # use zerohop::Stats;
/// fn messages_per_second(before: &Stats, after: &Stats, between: Duration) -> f64 {
///     (after.messages_in - before.messages_in) as f64 / between.as_secs_f64()
/// }
/// # assert_eq!(messages_per_second(&Stats::default(), &Stats::default(), Duration::from_secs(1)), 0.0);
/// ```
///
/// `Display` gives a line, [`prometheus`](Stats::prometheus) a page for Prometheus, and the feature `serde` `Serialize`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// The peers there are now, one for each connection that has shaken hands and for each endpoint
    /// that messages may wait for.
    pub peers: Vec<PeerStats>,
    /// Messages that have arrived whole, whether the application has taken them yet or not: those that wait for it are
    /// [`PeerStats::queued_in`].
    pub messages_in: u64,
    /// Messages that were accepted for sending; for a PUB, one per peer that it goes to. What was accepted for a peer
    /// that has gone, and then went to another, counts for each of the two, but only once here.
    pub messages_out: u64,
    /// Bytes that have come over connections after their handshakes: frames with their headers, of messages and
    /// commands, half a message too.
    pub bytes_in: u64,
    /// The same bytes in the other direction, as handed to the system: less than `messages_out` would have by what is
    /// still queued.
    pub bytes_out: u64,
    /// Messages that were accepted or have arrived, and then were dropped, by reason.
    pub dropped: Dropped,
    /// Topics that a SUB did not tell a publisher of, because that one does not take them; counted with each connection. See
    /// [`Event::SubscriptionRefused`](crate::Event::SubscriptionRefused).
    pub subscriptions_withheld: u64,
    /// Connections that were made again after a loss, handshake included. Attempts do not count, nor do peers that
    /// come back to an endpoint that is bound here.
    pub reconnects: u64,
    /// Connections that ended before their handshake did.
    pub handshakes_failed: u64,
    /// Peers that were not let in, because of what they have shown of who they are
    /// ([`DisconnectCause::Denied`](crate::DisconnectCause::Denied)). Those that have not let us in count as
    /// `protocol_errors`.
    pub denied: u64,
    /// Connections that ended because the peer broke the protocol or a limit, in the handshake or later.
    pub protocol_errors: u64,
    /// Connections now in their handshake.
    pub handshakes_pending: usize,
    /// What has become of messages that are to be settled: of a PUSH with [`Options::delivery`](crate::Options::delivery), and, as far as requests are sent again, of a
    /// REQ or REP.
    pub delivery: DeliveryStats,
}

/// What has become of the messages of a PUSH, DEALER or ROUTER that are to be settled by who receives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DeliveryStats {
    /// Messages that are held now: neither settled nor dead.
    pub unsettled: usize,
    /// Messages that a PULL has settled.
    pub settled: u64,
    /// Deliveries that came to nothing, and were or will be followed by another one. With [`Options::idempotent`](crate::Options::idempotent) it is the requests that a
    /// REQ has sent again, and those that a REP has not worked on again.
    pub retried: u64,
    /// Messages that have become [dead letters](crate::Push::dead_letters).
    pub dead: u64,
    /// Those of them that were dropped, since [more](crate::Delivery::keep_dead_letters) came than are kept.
    pub dead_dropped: u64,
}

impl DeliveryStats {
    pub(crate) fn add(&mut self, other: DeliveryStats) {
        let DeliveryStats {
            unsettled,
            settled,
            retried,
            dead,
            dead_dropped,
        } = other;
        self.unsettled += unsettled;
        self.settled += settled;
        self.retried += retried;
        self.dead += dead;
        self.dead_dropped += dead_dropped;
    }
}

/// Messages that were dropped, by reason.
///
/// Only the first is part of normal work: a PUB drops for peers that are too slow. Where replies are late, so are `unexpected` and
/// `withdrawn` of a REQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Dropped {
    /// The peer was at its high-water mark.
    pub high_water_mark: u64,
    /// The message was replaced by a newer one, as [`conflate`](crate::Options::conflate) asks, on its way out or in.
    pub conflated: u64,
    /// The message could go to none but a peer that is gone, as replies do.
    pub peer_gone: u64,
    /// The peer does not take the message: it is larger than the peer has announced to take, or has broken as many
    /// connections as [`max_delivery_attempts`](crate::Options::max_delivery_attempts) allows.
    pub refused: u64,
    /// The message has arrived but means nothing to this socket: a reply that nobody waits for any more, or a message
    /// without the envelope that it needs. Counted for the socket as a whole, not by peer.
    pub unexpected: u64,
    /// No peer of a ROUTER had the routing id that the message was for. Counted for the socket as a whole.
    pub unroutable: u64,
    /// The call that had sent the message stopped waiting before it left: a [`Req::request`](crate::Req::request) that timed out.
    pub withdrawn: u64,
    /// The message has arrived, and the application had not received it when it ended the connection: by `disconnect`, or, of a STREAM, by an
    /// empty message.
    pub unreceived: u64,
}

impl Dropped {
    /// All of them together.
    ///
    /// ```
    /// assert_eq!(zerohop::Dropped::default().total(), 0);
    /// ```
    pub fn total(&self) -> u64 {
        let Dropped {
            high_water_mark,
            conflated,
            peer_gone,
            refused,
            unexpected,
            unroutable,
            withdrawn,
            unreceived,
        } = self;
        [
            high_water_mark,
            conflated,
            peer_gone,
            refused,
            unexpected,
            unroutable,
            withdrawn,
            unreceived,
        ]
        .into_iter()
        .sum()
    }
}

/// The counters of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PeerStats {
    /// The present connection; `None` while there is none.
    pub connection: Option<ConnectionId>,
    /// The endpoint of this socket that the peer belongs to: as reported by `bind`, or as given to `connect`.
    pub endpoint: String,
    /// The other side, in the form of an endpoint as far as it has an address; empty while there is no connection.
    pub peer: String,
    /// Messages that have arrived from this peer, `queued_in` included.
    pub messages_in: u64,
    /// Messages that were accepted for this peer, `queued_out` included.
    pub messages_out: u64,
    /// Bytes that have come from this peer, counted as in [`Stats::bytes_in`].
    pub bytes_in: u64,
    /// Bytes that have gone to this peer, counted as in [`Stats::bytes_out`].
    pub bytes_out: u64,
    /// Messages that came from this peer and wait for the application.
    pub queued_in: usize,
    /// Messages that wait to be handed to the kernel.
    pub queued_out: usize,
    /// Messages for or from this peer that were dropped, by reason.
    pub dropped: Dropped,
    /// Topics that this publisher was not told of, counted as in [`Stats::subscriptions_withheld`].
    pub subscriptions_withheld: u64,
    /// How often the connection was made again after a loss; 0 for a peer that connects to us.
    pub reconnects: u64,
    /// The security mechanism of the last connection; empty before there was one.
    pub mechanism: &'static str,
    /// Who the peer is, as far as that has been shown: see [`PeerFacts::principal`](crate::PeerFacts::principal).
    pub principal: Option<Principal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_count() {
        let dropped = Dropped {
            high_water_mark: 1,
            conflated: 10,
            peer_gone: 100,
            refused: 1000,
            unexpected: 10_000,
            withdrawn: 100_000,
            unroutable: 1_000_000,
            unreceived: 10_000_000,
        };
        assert_eq!(dropped.total(), 11_111_111);
    }

    #[test]
    fn a_new_socket_has_done_nothing() {
        let stats = Stats::default();
        assert!(stats.peers.is_empty());
        assert_eq!((stats.messages_in, stats.dropped.total()), (0, 0));
        assert_eq!(PeerStats::default().connection, None);
    }
}
