//! Requests that may be sent again, as pure data: no sockets, no threads, no clock.
//!
//! Both sides say in their READY that they know it, by the property `Idempotent`:
//!
//! ```text
//! property Idempotent = version(1) id(16)      of a REQ: its name, at random, for as long as the socket is there
//!                     | version(1)             of a REP
//! ```
//!
//! Nothing else is added to what RFC 28 has on the wire. The id of such a request, its first frame, is a *number* of [`NUMBER_LEN`] bytes, which the REQ
//! never gives to another request, and which the request keeps however often, and to whomever, it is sent. So a REP knows by
//! the name and the number what it has been asked before. `docs/delivery.md` describes it for whoever wants to implement it.

mod memory;

use std::sync::Arc;

pub(crate) use memory::{Asked, Limits, Memory};

use super::Principal;
use super::delivery::Id;

/// The name of the property.
pub(crate) const PROPERTY: &str = "Idempotent";

/// The bytes of a request's number.
pub(crate) const NUMBER_LEN: usize = 8;

/// The version of the protocol that is spoken here. A peer of a later one speaks this one, too.
const VERSION: u8 = 1;

/// Who asks: the name that a REQ has given itself, which proves nothing, and who it is, as far as that was shown. A stranger who uses the name of another
/// is another requester, where peers show who they are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Requester {
    pub(crate) id: Id,
    pub(crate) principal: Option<Principal>,
}

/// Names a request, for a REP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) requester: Arc<Requester>,
    pub(crate) number: u64,
}

/// What a REQ says.
pub(crate) fn requester_value(id: Id) -> Vec<u8> {
    [&[VERSION], &id[..]].concat()
}

/// What a REP says.
pub(crate) fn replier_value() -> Vec<u8> {
    vec![VERSION]
}

/// Reads what a REQ says; later versions may say more behind it.
pub(crate) fn parse_requester(value: &[u8]) -> Option<Id> {
    let (&version, rest) = value.split_first()?;
    let (&id, _) = rest.split_first_chunk()?;
    (version >= VERSION).then_some(id)
}

/// Whether what a REP says makes sense.
pub(crate) fn parse_replier(value: &[u8]) -> Option<()> {
    (*value.first()? >= VERSION).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let id = *b"0123456789abcdef";
        assert_eq!(requester_value(id), b"\x010123456789abcdef");
        assert_eq!(replier_value(), b"\x01");
        assert_eq!(parse_requester(b"\x010123456789abcdef"), Some(id));
        assert_eq!(
            parse_requester(b"\x020123456789abcdefmore"),
            Some(id),
            "a later version says more"
        );
        assert_eq!(parse_replier(b"\x01"), Some(()));
        assert_eq!(parse_replier(b"\x02more"), Some(()));
    }

    #[test]
    fn every_cut_and_every_lie_is_refused() {
        for len in 0..17 {
            assert_eq!(parse_requester(&[1; 17][..len]), None);
        }
        assert_eq!(parse_requester(&[0; 17]), None, "there was no such version");
        assert_eq!(parse_replier(b""), None);
        assert_eq!(parse_replier(b"\0"), None);
    }
}
