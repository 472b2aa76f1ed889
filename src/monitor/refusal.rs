//! Why a message was given up, and why a peer was not let in.

use std::fmt;

/// Why a message was given up that had been accepted by `send`, a subscriber was passed over, or a publisher was not told of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCause {
    /// The peer has announced a smaller [`max_message_size`](crate::Options::max_message_size), or of a topic
    /// [`max_subscription_length`](crate::Options::max_subscription_length).
    TooLarge {
        /// The most bytes that it takes in one message, all frames together, or in one topic.
        limit: u64,
    },
    /// The peer has announced a smaller [`max_parts`](crate::Options::max_parts).
    TooManyParts {
        /// The frames of the message.
        parts: usize,
        /// The most frames that it takes in one message.
        limit: u32,
    },
    /// The publisher has announced to hold no more topics of one subscriber
    /// ([`max_subscriptions`](crate::Options::max_subscriptions)), and holds that many.
    TooManySubscriptions {
        /// The most topics that it holds.
        limit: u64,
    },
    /// Peers have ended their connections, so many in a row, while this message was being written to them, or before this topic was
    /// known to have arrived; see
    /// [`max_delivery_attempts`](crate::Options::max_delivery_attempts). What they had against it they did not say.
    BrokeConnections {
        /// How many connections.
        count: u32,
    },
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefusalCause::TooLarge { limit } => {
                write!(f, "the peer takes at most {limit} bytes")
            }
            RefusalCause::TooManyParts { parts, limit } => {
                write!(f, "it has {parts} frames, the peer takes at most {limit}")
            }
            RefusalCause::TooManySubscriptions { limit } => {
                write!(f, "the peer holds {limit} topics, and takes no more")
            }
            RefusalCause::BrokeConnections { count: 1 } => {
                f.write_str("the peer ended the connection while it was being sent")
            }
            RefusalCause::BrokeConnections { count } => write!(
                f,
                "{count} connections in a row were ended by the peer while it was being sent"
            ),
        }
    }
}

/// Why a socket let a peer go that it could have talked to: told by [`DisconnectCause::Refused`](crate::DisconnectCause::Refused).
///
/// A peer that has connected is free to try again, and one that this socket has connected to is tried again, each time after a longer wait
/// ([`reconnect_interval`](crate::Options::reconnect_interval)): what stands in its way may be gone by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerRefusal {
    /// A PAIR has a peer, and has one only.
    HasPeer,
    /// A ROUTER has a peer with this routing id.
    RoutingIdTaken,
    /// Another peer has come with the same routing id, and this one had to give way, as
    /// [`router_handover`](crate::Options::router_handover) asks.
    RoutingIdHandedOver,
    /// The peer asks to be known by a routing id that no peer may have: it starts with a zero byte, as those do that a ROUTER gives
    /// to peers without one, or is longer than 255 bytes.
    RoutingIdReserved,
    /// The peer does not know acknowledged delivery, which is [required](crate::Delivery::required) here.
    NoDelivery,
    /// What the peer said of acknowledged delivery, or of requests that are sent again, makes no sense.
    MalformedDelivery,
    /// The peer does not know requests that are sent again, which is [required](crate::Idempotent::required) here.
    NotIdempotent,
}

impl fmt::Display for PeerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeerRefusal::HasPeer => "there is a peer already",
            PeerRefusal::RoutingIdTaken => "another peer has its routing id",
            PeerRefusal::RoutingIdHandedOver => "another peer has come with its routing id",
            PeerRefusal::NoDelivery => "it does not know acknowledged delivery",
            PeerRefusal::MalformedDelivery => {
                "what it said of acknowledged delivery makes no sense"
            }
            PeerRefusal::NotIdempotent => "it does not know requests that are sent again",
            PeerRefusal::RoutingIdReserved => {
                "its routing id starts with a zero byte, or is too long"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_the_end_of_a_sentence() {
        let causes = [
            RefusalCause::TooLarge { limit: 10 },
            RefusalCause::TooManyParts { parts: 5, limit: 4 },
            RefusalCause::TooManySubscriptions { limit: 9 },
            RefusalCause::BrokeConnections { count: 1 },
            RefusalCause::BrokeConnections { count: 2 },
        ];
        assert_eq!(
            causes.map(|cause| cause.to_string()),
            [
                "the peer takes at most 10 bytes",
                "it has 5 frames, the peer takes at most 4",
                "the peer holds 9 topics, and takes no more",
                "the peer ended the connection while it was being sent",
                "2 connections in a row were ended by the peer while it was being sent",
            ]
        );
    }
}
