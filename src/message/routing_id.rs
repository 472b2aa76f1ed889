//! The name that a ROUTER has for a peer.

use std::borrow::Borrow;
use std::fmt;

use super::Frame;

/// The name by which a [`Router`](crate::Router) knows a peer: 1 to 255 bytes.
///
/// It is what the peer asks to be known by ([`routing_id`](crate::Options::routing_id)), or, if it asks for nothing, five bytes that the
/// ROUTER makes up, of which the first is zero. `Display` gives it as text if it is printable, otherwise in hexadecimal digits after `0x`.
///
/// ```
/// use zerohop::RoutingId;
///
/// let id = RoutingId::from("worker-7");
/// assert_eq!(id.as_bytes(), b"worker-7");
/// assert_eq!(id.to_string(), "worker-7");
/// assert_eq!(RoutingId::from(b"\0\x01\x02\x03\x04").to_string(), "0x0001020304");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RoutingId(Frame);

impl RoutingId {
    /// One of those that a ROUTER makes up.
    pub(crate) fn automatic(number: u32) -> RoutingId {
        let mut bytes = [0; 5];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        RoutingId::from(&bytes)
    }

    /// Whether a peer may ask to be known by it: 1 to 255 bytes, of which the first is not zero.
    pub(crate) fn is_valid(&self) -> bool {
        let bytes = self.as_bytes();
        bytes.len() <= 255 && bytes.first().is_some_and(|&first| first != 0)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As a frame of a message, as in libzmq's envelopes.
    #[inline]
    pub fn into_frame(self) -> Frame {
        self.0
    }
}

impl<T: Into<Frame>> From<T> for RoutingId {
    #[inline]
    fn from(id: T) -> RoutingId {
        RoutingId(id.into())
    }
}

impl AsRef<[u8]> for RoutingId {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// `Frame` and slices hash and compare alike.
impl Borrow<[u8]> for RoutingId {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialOrd for RoutingId {
    fn partial_cmp(&self, other: &RoutingId) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoutingId {
    fn cmp(&self, other: &RoutingId) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialEq<str> for RoutingId {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for RoutingId {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<[u8]> for RoutingId {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl fmt::Display for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_str() {
            Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => f.pad(text),
            _ => {
                f.write_str("0x")?;
                self.as_bytes()
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingId({self})")
    }
}
