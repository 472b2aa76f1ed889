//! What is known of a peer once its handshake is done.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{IpcCredentials, Principal, SocketType, metadata};

/// A version of ZMTP: the one spoken on a connection, which is the lower of the two sides'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The number before the dot.
    pub major: u8,
    /// The number after the dot.
    pub minor: u8,
}

impl Version {
    /// Of peers that speak no ZMTP, but bytes of any protocol.
    pub(crate) const NONE: Self = Self { major: 0, minor: 0 };
    /// ZMTP 2.0, spoken by libzmq 3.x: no commands, no metadata, no security.
    pub const V2_0: Self = Self { major: 2, minor: 0 };
    /// ZMTP 3.0, spoken by libzmq 4.0 to 4.3.2: subscriptions travel as messages.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// ZMTP 3.1, the current version: subscriptions travel as commands.
    pub const V3_1: Self = Self { major: 3, minor: 1 };

    /// Whether there are command frames after the handshake, and so PING and PONG.
    pub fn has_commands(self) -> bool {
        self >= Self::V3_0
    }

    /// Whether subscriptions travel as SUBSCRIBE and CANCEL commands rather than as messages.
    pub(crate) fn has_subscribe_commands(self) -> bool {
        self >= Self::V3_1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The limits that a side announces in its handshake, so that its peers need not find them out by losing their connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Bytes, all frames of a message together.
    pub(crate) max_message_size: Option<u64>,
    /// Frames of a message.
    pub(crate) max_parts: Option<u32>,
    /// Bytes of a topic.
    pub(crate) max_subscription_length: Option<u64>,
    /// Topics of one subscriber.
    pub(crate) max_subscriptions: Option<u64>,
}

/// Names and values.
pub(super) type Properties = Arc<[(Cow<'static, str>, Bytes)]>;

/// What a peer said of itself in its handshake, which is its own claim; and what was found out about it, which is
/// [`principal`](PeerFacts::principal) and [`granted`](PeerFacts::granted).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    pub(crate) version: Version,
    pub(crate) socket_type: SocketType,
    pub(crate) routing_id: Bytes,
    pub(crate) mechanism: &'static str,
    pub(crate) properties: Properties,
    pub(crate) principal: Option<Principal>,
    pub(crate) ipc: Option<IpcCredentials>,
    pub(crate) granted: Vec<(String, Bytes)>,
}

impl PeerFacts {
    /// What a socket of this process says of itself, where no bytes are exchanged.
    pub(crate) fn local(socket_type: SocketType, routing_id: Bytes) -> Self {
        Self {
            version: Version::V3_1,
            socket_type,
            routing_id,
            mechanism: "NULL",
            properties: Properties::default(),
            principal: None,
            ipc: None,
            granted: Vec::new(),
        }
    }

    /// Has what is the same with another peer in memory once: all of it, or what both have sent.
    pub(crate) fn shared_with(mut self, other: Option<Arc<PeerFacts>>) -> Arc<PeerFacts> {
        match other {
            Some(other) if *other == self => return other,
            Some(other) if other.properties == self.properties => {
                self.properties = Arc::clone(&other.properties);
            }
            Some(_) | None => {}
        }
        Arc::new(self)
    }

    /// The version of ZMTP spoken with this peer; 0.0 where there is none, as with the peers of a [`Stream`](crate::Stream).
    pub fn version(&self) -> Version {
        self.version
    }

    /// The peer's socket type, which goes with ours. Where no ZMTP is spoken it is [`SocketType::Stream`].
    pub fn socket_type(&self) -> SocketType {
        self.socket_type
    }

    /// The routing id the peer asks to be known by; empty if it asks for none.
    pub fn routing_id(&self) -> &Bytes {
        &self.routing_id
    }

    /// The security mechanism in use, by its wire name; empty where no ZMTP is spoken.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// Who the peer is, as far as that has been shown: by its password, its key, or what the system says of it over `ipc`. None
    /// where the mechanism is NULL over tcp, and on the client's side of PLAIN.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// The process at the other end of an `ipc` connection, as the system tells it; none over `tcp` and `inproc`. `Some` also where
    /// [`principal`](Self::principal) is a key or a user's name.
    pub fn ipc_credentials(&self) -> Option<IpcCredentials> {
        self.ipc
    }

    /// What whoever let the peer in said of it: the metadata of a ZAP reply (RFC 27), by its name in any case. No peer can have put
    /// it there.
    pub fn granted(&self, name: &str) -> Option<&Bytes> {
        let mut granted = self.granted.iter();
        granted
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of a property, by its name in any case.
    pub fn property(&self, name: &str) -> Option<&Bytes> {
        let mut properties = self.properties.iter();
        properties
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The limits that the peer has announced. What is no decimal number in range announces nothing.
    pub(crate) fn announced(&self) -> Announced {
        Announced {
            max_message_size: self.number(metadata::MAX_MESSAGE_SIZE),
            max_parts: self.number(metadata::MAX_PARTS),
            max_subscription_length: self.number(metadata::MAX_SUBSCRIPTION_LENGTH),
            max_subscriptions: self.number(metadata::MAX_SUBSCRIPTIONS),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        let value = str::from_utf8(self.property(name)?).ok()?;
        // `parse` would take a sign.
        value
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(())?;
        value.parse().ok()
    }

    /// Every property the peer sent, in its order and spelling, `Socket-Type` included.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.properties.iter().map(|(name, value)| (&**name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        assert!(Version::V2_0 < Version::V3_0 && Version::V3_0 < Version::V3_1);
        assert!(!Version::V2_0.has_commands() && Version::V3_0.has_commands());
        assert!(!Version::V3_0.has_subscribe_commands());
        assert!(Version::V3_1.has_subscribe_commands());
        assert_eq!(Version::V3_1.to_string(), "3.1");
    }

    #[test]
    fn properties_are_found_in_any_case() {
        let facts = PeerFacts {
            version: Version::V3_1,
            socket_type: SocketType::Push,
            routing_id: Bytes::new(),
            mechanism: "NULL",
            properties: [("X-Region".into(), Bytes::from_static(b"north"))].into(),
            principal: None,
            ipc: None,
            granted: Vec::new(),
        };
        assert_eq!(
            facts.property("x-region"),
            Some(&Bytes::from_static(b"north"))
        );
        assert_eq!(facts.property("x-other"), None);
        assert_eq!(facts.properties().count(), 1);
    }

    #[test]
    fn what_is_the_same_is_in_memory_once() {
        let facts = |region, routing_id| {
            let mut facts = PeerFacts::local(SocketType::Push, Bytes::from_static(routing_id));
            facts.properties = [("X-Region".into(), Bytes::from_static(region))].into();
            facts
        };
        let first = facts(b"north", b"one").shared_with(None);
        let same = facts(b"north", b"one").shared_with(Some(Arc::clone(&first)));
        assert!(Arc::ptr_eq(&first, &same));
        let named = facts(b"north", b"two").shared_with(Some(Arc::clone(&first)));
        assert_eq!(*named, facts(b"north", b"two"));
        assert!(Arc::ptr_eq(&first.properties, &named.properties));
        let other = facts(b"south", b"one").shared_with(Some(first));
        assert_eq!(*other, facts(b"south", b"one"));
    }

    #[test]
    fn limits_are_decimal_numbers_or_nothing() {
        let announced = |value: &'static str| {
            let value = Bytes::from_static(value.as_bytes());
            let mut facts = PeerFacts::local(SocketType::Pull, Bytes::new());
            facts.properties = [("max-PARTS".into(), value)].into();
            facts.announced().max_parts
        };
        assert_eq!(announced("0"), Some(0));
        assert_eq!(announced("4096"), Some(4096));
        assert_eq!(announced("4294967295"), Some(u32::MAX));
        for garbage in [
            "",
            "4294967296",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x10",
            "1e3",
            "\u{661}",
        ] {
            assert_eq!(announced(garbage), None, "{garbage:?}");
        }
    }
}
