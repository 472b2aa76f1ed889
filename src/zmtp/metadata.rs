//! Property lists, as the last command of every mechanism's handshake carries them.
//!
//! ```text
//! property = name_len(1) name value_len(4, BE) value      repeated to the end of the command
//! ```
//!
//! Names are compared without regard to case, as the RFC asks, but sent in their canonical spelling:
//! libzmq knows no other. Of two properties with one name the first counts.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;

use super::{Announced, ProtocolError, SocketType};

/// The property that names the socket type.
pub(crate) const SOCKET_TYPE: &str = "Socket-Type";
/// The property that holds the routing id.
pub(crate) const IDENTITY: &str = "Identity";
/// Properties of our own, which others ignore: the limits of this side, in decimal digits. Where there is no limit there is
/// no property.
pub(crate) const MAX_MESSAGE_SIZE: &str = "Max-Message-Size";
pub(crate) const MAX_PARTS: &str = "Max-Parts";
pub(crate) const MAX_SUBSCRIPTION_LENGTH: &str = "Max-Subscription-Length";
pub(crate) const MAX_SUBSCRIPTIONS: &str = "Max-Subscriptions";

/// Names that need no memory of their own.
const KNOWN: [&str; 6] = [
    SOCKET_TYPE,
    IDENTITY,
    MAX_MESSAGE_SIZE,
    MAX_PARTS,
    MAX_SUBSCRIPTION_LENGTH,
    MAX_SUBSCRIPTIONS,
];

/// The most properties read from one peer. libzmq sends two, and applications a few of their own; the
/// limit keeps a command full of five-byte properties from becoming a hundred times its size here.
const MAX_PROPERTIES: usize = 256;

/// A property list, decoded: each name once, in the peer's order and spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) properties: Vec<(Cow<'static, str>, Bytes)>,
}

impl Metadata {
    /// Reads a property list that must fill `input` exactly.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, ProtocolError> {
        let mut metadata = Self::default();
        let mut rest = input;
        while !rest.is_empty() {
            let malformed = ProtocolError::MalformedMetadata {
                offset: input.len() - rest.len(),
            };
            let Some((name, value, after)) = split_property(rest) else {
                return Err(malformed);
            };
            let Ok(name) = str::from_utf8(name) else {
                return Err(malformed);
            };
            if metadata.get(name).is_none() {
                if metadata.properties.len() == MAX_PROPERTIES {
                    return Err(ProtocolError::TooManyProperties {
                        limit: MAX_PROPERTIES,
                    });
                }
                let known = KNOWN.iter().find(|known| **known == name);
                let name =
                    known.map_or_else(|| name.to_owned().into(), |known| Cow::Borrowed(*known));
                let property = (name, Bytes::copy_from_slice(value));
                metadata.properties.push(property);
            }
            rest = after;
        }
        Ok(metadata)
    }

    /// The value of the property with this name, in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        let mut properties = self.properties.iter();
        properties
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// The property list that a side sends: in the order and spelling of libzmq. Limits are behind what that sends, too.
pub(crate) fn own_metadata(
    socket_type: SocketType,
    routing_id: &[u8],
    announced: Announced,
) -> Vec<u8> {
    let mut list = Vec::with_capacity(128);
    put_property(&mut list, SOCKET_TYPE, socket_type.name().as_bytes());
    if socket_type.sends_routing_id() {
        put_property(&mut list, IDENTITY, routing_id);
    }
    let limits = [
        (MAX_MESSAGE_SIZE, announced.max_message_size),
        (MAX_PARTS, announced.max_parts.map(u64::from)),
        (MAX_SUBSCRIPTION_LENGTH, announced.max_subscription_length),
        (MAX_SUBSCRIPTIONS, announced.max_subscriptions),
    ];
    let mut digits = String::new();
    for (name, limit) in limits {
        if let Some(limit) = limit {
            digits.clear();
            // Into a string, writing does not fail.
            let _ = write!(digits, "{limit}");
            put_property(&mut list, name, digits.as_bytes());
        }
    }
    list
}

/// Takes one property off the list: its name, its value and the rest. `None` if its lengths do not fit.
fn split_property(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name_len, rest) = input.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let value_len = usize::try_from(u32::from_be_bytes(*value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((name, value, rest))
}

/// Appends one property to a list. Names come from this crate or are checked where they are set, so both
/// lengths fit; one that does not is left out rather than sent with a length that lies.
pub(crate) fn put_property(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let lengths = (u8::try_from(name.len()), u32::try_from(value.len()));
    let (Ok(name_len), Ok(value_len)) = lengths else {
        debug_assert!(
            false,
            "a property of {} and {} bytes",
            name.len(),
            value.len()
        );
        return;
    };
    out.push(name_len);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in properties {
            put_property(&mut out, name, value);
        }
        out
    }

    #[test]
    fn golden_bytes() {
        let bytes = list(&[(SOCKET_TYPE, b"DEALER"), (IDENTITY, b"")]);
        assert_eq!(
            bytes,
            b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"
        );
    }

    #[test]
    fn limits_are_behind_what_libzmq_sends() {
        let announced = Announced {
            max_message_size: Some(u64::MAX),
            max_parts: Some(7),
            ..Announced::default()
        };
        let expected = list(&[
            (SOCKET_TYPE, b"REQ"),
            (IDENTITY, b"me"),
            (MAX_MESSAGE_SIZE, b"18446744073709551615"),
            (MAX_PARTS, b"7"),
        ]);
        assert_eq!(own_metadata(SocketType::Req, b"me", announced), expected);
        let silent = own_metadata(SocketType::Pull, b"me", Announced::default());
        assert_eq!(silent, list(&[(SOCKET_TYPE, b"PULL")]));
    }

    #[test]
    fn usual_names_take_no_memory() {
        let borrowed = |name| {
            let metadata = Metadata::parse(&list(&[(name, b"1")])).unwrap();
            matches!(metadata.properties[..], [(Cow::Borrowed(_), _)])
        };
        assert!(KNOWN.iter().all(|name| borrowed(name)));
        assert!(!borrowed("socket-type"), "spelled so");
    }

    #[test]
    fn names_are_found_in_any_case_and_the_first_counts() {
        let bytes = list(&[
            ("socket-TYPE", b"PUSH"),
            ("Socket-Type", b"PULL"),
            ("X-a", b"1"),
        ]);
        let metadata = Metadata::parse(&bytes).unwrap();
        assert_eq!(
            metadata.get(SOCKET_TYPE),
            Some(&Bytes::from_static(b"PUSH"))
        );
        assert_eq!(metadata.get("x-A"), Some(&Bytes::from_static(b"1")));
        assert_eq!(metadata.properties.len(), 2);
        assert_eq!(metadata.properties[0].0, "socket-TYPE");
    }

    #[test]
    fn empty_lists_names_and_values_are_fine() {
        assert_eq!(Metadata::parse(b"").unwrap(), Metadata::default());
        let metadata = Metadata::parse(&list(&[("", b"")])).unwrap();
        assert_eq!(metadata.get(""), Some(&Bytes::new()));
    }

    #[test]
    fn every_cut_off_list_is_malformed_unless_it_ends_between_properties() {
        let bytes = list(&[("A", b"1"), ("B", b"22")]);
        let first = list(&[("A", b"1")]).len();
        for cut in 1..bytes.len() {
            let expected = match cut {
                cut if cut == first => Ok(1),
                cut if cut < first => Err(ProtocolError::MalformedMetadata { offset: 0 }),
                _ => Err(ProtocolError::MalformedMetadata { offset: first }),
            };
            assert_eq!(
                Metadata::parse(&bytes[..cut]).map(|m| m.properties.len()),
                expected
            );
        }
    }

    #[test]
    fn lies_are_malformed() {
        for bytes in [
            &b"\0"[..],
            b"\xff",
            b"\x01A\xff\xff\xff\xff",
            b"\x01\xff\0\0\0\0",
        ] {
            let expected = ProtocolError::MalformedMetadata { offset: 0 };
            assert_eq!(Metadata::parse(bytes), Err(expected));
        }
    }

    #[test]
    fn properties_are_counted() {
        let mut bytes = Vec::new();
        for n in 0..MAX_PROPERTIES {
            put_property(&mut bytes, &n.to_string(), b"");
        }
        assert_eq!(
            Metadata::parse(&bytes).map(|m| m.properties.len()),
            Ok(MAX_PROPERTIES)
        );
        put_property(&mut bytes, "one more", b"");
        let expected = ProtocolError::TooManyProperties {
            limit: MAX_PROPERTIES,
        };
        assert_eq!(Metadata::parse(&bytes), Err(expected));
    }
}
