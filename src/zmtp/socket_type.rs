//! The socket types ZMTP knows, and who may talk to whom.

use std::fmt;
use std::ops::RangeInclusive;

/// What a socket is: its role in one of the messaging patterns.
///
/// The discriminant is the type byte of a ZMTP 2.0 greeting; [`Display`](fmt::Display) gives the
/// name that ZMTP 3.x puts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SocketType {
    /// Exclusive pair: exactly one peer, both ways.
    Pair = 0,
    /// Publisher: sends to every subscriber, never receives.
    Pub = 1,
    /// Subscriber: receives what it subscribed to.
    Sub = 2,
    /// Requester: each request has one reply.
    Req = 3,
    /// Replier: answers requests.
    Rep = 4,
    /// Requester without the lock-step: load-balanced sending, fair-queued receiving.
    Dealer = 5,
    /// Replier without the lock-step: addresses peers by routing id.
    Router = 6,
    /// Receiving end of a pipeline.
    Pull = 7,
    /// Sending end of a pipeline.
    Push = 8,
    /// Publisher that sees the subscriptions of its peers.
    Xpub = 9,
    /// Subscriber that writes its subscriptions as messages.
    Xsub = 10,
    /// Bytes of any protocol over TCP, without ZMTP.
    Stream = 11,
    /// Draft: replier that knows its clients by number, and whose messages have one frame.
    Server = 12,
    /// Draft: requester whose messages have one frame.
    Client = 13,
    /// Draft: sends to the members of a group.
    Radio = 14,
    /// Draft: receives what is sent to the groups that it has joined.
    Dish = 15,
    /// Draft: receiving end of a pipeline whose messages have one frame.
    Gather = 16,
    /// Draft: sending end of a pipeline whose messages have one frame.
    Scatter = 17,
    /// Draft: one of many that connect to each other, and know each other by number.
    Peer = 19,
    /// Draft: exclusive pair whose messages have one frame.
    Channel = 20,
}

impl SocketType {
    /// Every type, in the order of the codes.
    pub(crate) const ALL: [Self; 20] = [
        Self::Pair,
        Self::Pub,
        Self::Sub,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
        Self::Pull,
        Self::Push,
        Self::Xpub,
        Self::Xsub,
        Self::Stream,
        Self::Server,
        Self::Client,
        Self::Radio,
        Self::Dish,
        Self::Gather,
        Self::Scatter,
        Self::Peer,
        Self::Channel,
    ];

    /// The name on the wire, as in the `Socket-Type` property.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "PAIR",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Pull => "PULL",
            Self::Push => "PUSH",
            Self::Xpub => "XPUB",
            Self::Xsub => "XSUB",
            Self::Stream => "STREAM",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Radio => "RADIO",
            Self::Dish => "DISH",
            Self::Gather => "GATHER",
            Self::Scatter => "SCATTER",
            Self::Peer => "PEER",
            Self::Channel => "CHANNEL",
        }
    }

    /// Whether it is one of the draft types of libzmq: their RFCs are not stable, and what they do may change with those.
    pub const fn is_draft(self) -> bool {
        self as u8 >= Self::Server as u8
    }

    /// The type byte of a ZMTP 2.0 greeting.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// Whether it speaks ZMTP, so that its name and its code may be on the wire.
    pub(crate) fn speaks_zmtp(self) -> bool {
        self != Self::Stream
    }

    /// The type with this wire name; the spelling is exact, as every implementation sends it.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let mut types = Self::ALL.into_iter().filter(|t| t.speaks_zmtp());
        types.find(|t| t.name().as_bytes() == name)
    }

    /// The type with this ZMTP 2.0 type byte.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let mut types = Self::ALL.into_iter().filter(|t| t.speaks_zmtp());
        types.find(|t| t.code() == code)
    }

    /// Whether RFC 37, or that of a draft type, lets a socket of this type talk to one of type `peer`.
    pub(crate) fn accepts(self, peer: SocketType) -> bool {
        let legal: &[SocketType] = match self {
            Self::Pair => &[Self::Pair],
            Self::Pub | Self::Xpub => &[Self::Sub, Self::Xsub],
            Self::Sub | Self::Xsub => &[Self::Pub, Self::Xpub],
            Self::Req => &[Self::Rep, Self::Router],
            Self::Rep => &[Self::Req, Self::Dealer],
            Self::Dealer => &[Self::Rep, Self::Dealer, Self::Router],
            Self::Router => &[Self::Req, Self::Dealer, Self::Router],
            Self::Pull => &[Self::Push],
            Self::Push => &[Self::Pull],
            Self::Stream => &[],
            Self::Server => &[Self::Client],
            Self::Client => &[Self::Server],
            Self::Radio => &[Self::Dish],
            Self::Dish => &[Self::Radio],
            Self::Gather => &[Self::Scatter],
            Self::Scatter => &[Self::Gather],
            Self::Peer => &[Self::Peer],
            Self::Channel => &[Self::Channel],
        };
        legal.contains(&peer)
    }

    /// How many frames a message may have that comes to a socket of this type. Draft types of one frame are not among those that are asked:
    /// as with libzmq, a message of more is no reason to end a connection.
    pub(crate) fn frames(self) -> RangeInclusive<u32> {
        match self {
            Self::Dish => 2..=2,
            Self::Pair
            | Self::Pub
            | Self::Sub
            | Self::Req
            | Self::Rep
            | Self::Dealer
            | Self::Router
            | Self::Pull
            | Self::Push
            | Self::Xpub
            | Self::Xsub
            | Self::Stream
            | Self::Server
            | Self::Client
            | Self::Radio
            | Self::Gather
            | Self::Scatter
            | Self::Peer
            | Self::Channel => 1..=u32::MAX,
        }
    }

    /// Whether this type announces its routing id: the types that a ROUTER or REP may have to route
    /// back to. They send the property even when the id is empty, as libzmq does.
    pub(crate) fn sends_routing_id(self) -> bool {
        match self {
            Self::Req | Self::Dealer | Self::Router => true,
            Self::Pair
            | Self::Pub
            | Self::Sub
            | Self::Rep
            | Self::Pull
            | Self::Push
            | Self::Xpub
            | Self::Xsub
            | Self::Stream
            | Self::Server
            | Self::Client
            | Self::Radio
            | Self::Dish
            | Self::Gather
            | Self::Scatter
            | Self::Peer
            | Self::Channel => false,
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of socket types.
///
/// [`Display`](fmt::Display) gives their names, separated by `, `.
///
/// ```
/// use zerohop::{SocketType, SocketTypes};
///
/// let types = SocketTypes::of(&[SocketType::Sub, SocketType::Pub]);
/// assert!(types.contains(SocketType::Pub));
/// assert!(!types.contains(SocketType::Req));
/// assert_eq!(types.to_string(), "PUB, SUB");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketTypes(u32);

impl SocketTypes {
    /// Every type.
    pub const ALL: SocketTypes = SocketTypes::of(&SocketType::ALL);

    /// All that speak ZMTP, which is every type but STREAM.
    pub(crate) const ZMTP: SocketTypes =
        SocketTypes(SocketTypes::ALL.0 & !SocketTypes::of(&[SocketType::Stream]).0);

    /// The set of these types.
    pub const fn of(types: &[SocketType]) -> SocketTypes {
        let (mut bits, mut rest) = (0, types);
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u32;
            rest = others;
        }
        SocketTypes(bits)
    }

    /// Whether the type is one of them.
    pub const fn contains(self, socket_type: SocketType) -> bool {
        self.0 & 1 << socket_type as u32 != 0
    }

    /// The types, in the order of their numbers in ZMTP 2.0.
    pub fn iter(self) -> impl Iterator<Item = SocketType> {
        let all = SocketType::ALL.into_iter();
        all.filter(move |socket_type| self.contains(*socket_type))
    }
}

impl fmt::Display for SocketTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, socket_type) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(socket_type.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for SocketTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_zmtp_2() {
        let codes: Vec<u8> = SocketType::ALL.iter().map(|t| t.code()).collect();
        let draft = [12, 13, 14, 15, 16, 17, 19, 20];
        assert_eq!(codes, (0..=11).chain(draft).collect::<Vec<u8>>());
        assert_eq!(SocketType::Dealer.code(), 5);
        assert_eq!(SocketType::Push.code(), 8);
        assert_eq!(SocketType::from_code(11), None);
        assert_eq!(SocketType::from_code(255), None);
    }

    #[test]
    fn names_and_codes_lead_back() {
        for socket_type in SocketType::ALL {
            assert_eq!(socket_type.to_string(), socket_type.name());
            if socket_type == SocketType::Stream {
                continue;
            }
            assert_eq!(
                SocketType::from_name(socket_type.name().as_bytes()),
                Some(socket_type)
            );
            assert_eq!(SocketType::from_code(socket_type.code()), Some(socket_type));
        }
        for wrong in [&b""[..], b"push", b"PUSH\0", b"PUS", b"DGRAM", b"STREAM"] {
            assert_eq!(SocketType::from_name(wrong), None);
        }
    }

    /// The table of RFC 37, with the draft types of libzmq, written out as a list of names rather than in the code's terms.
    #[test]
    fn matrix_is_the_one_of_rfc_37() {
        let legal = "PAIR-PAIR PUB-SUB PUB-XSUB XPUB-SUB XPUB-XSUB REQ-REP REQ-ROUTER REP-DEALER \
                     DEALER-DEALER DEALER-ROUTER ROUTER-ROUTER PUSH-PULL \
                     CLIENT-SERVER RADIO-DISH SCATTER-GATHER PEER-PEER CHANNEL-CHANNEL";
        let legal: Vec<&str> = legal.split_whitespace().collect();
        for a in SocketType::ALL {
            for b in SocketType::ALL {
                let named = legal.contains(&format!("{a}-{b}").as_str())
                    || legal.contains(&format!("{b}-{a}").as_str());
                assert_eq!(a.accepts(b), named, "{a} with {b}");
                assert_eq!(a.accepts(b), b.accepts(a), "{a} and {b} must agree");
            }
        }
    }

    #[test]
    fn three_types_send_a_routing_id() {
        let sending: Vec<_> = SocketType::ALL
            .into_iter()
            .filter(|t| t.sends_routing_id())
            .collect();
        assert_eq!(
            sending,
            [SocketType::Req, SocketType::Dealer, SocketType::Router]
        );
    }
}
