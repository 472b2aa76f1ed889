//! What of a message is compared with what peers want: what sets RADIO and DISH (RFC 48) apart from PUB and SUB.
//!
//! | | PUB, SUB | RADIO, DISH |
//! |---|---|---|
//! | the first frame is wanted | if it begins with a topic | if it is the name of a group |
//! | peers are told by | SUBSCRIBE, CANCEL | JOIN, LEAVE |
//! | a message has | any number of frames | two: the group, and the body |

use super::{Subscriptions, TopicFilter};
use crate::engine::{PeerId, Peers};
use crate::zmtp::SocketType;

/// See the module.
pub(crate) trait Matching: Send + 'static {
    const PUBLISHER: SocketType;
    const SUBSCRIBER: SocketType;
    /// Peers are told by JOIN and LEAVE.
    const GROUPS: bool;

    /// Calls `f` once with each peer that wants a message with this first frame.
    fn for_each(subscriptions: &mut Subscriptions, first: &[u8], f: impl FnMut(PeerId));

    /// Whether we want a message with this first frame.
    fn is_wanted(filter: &TopicFilter, first: &[u8]) -> bool;

    /// Tells a publisher that we want, or no longer want, messages.
    fn tell(peers: &mut Peers, id: PeerId, what: &[u8], wanted: bool);
}

/// Of PUB and SUB.
pub(crate) struct Topics;

impl Matching for Topics {
    const PUBLISHER: SocketType = SocketType::Pub;
    const SUBSCRIBER: SocketType = SocketType::Sub;
    const GROUPS: bool = false;

    #[inline]
    fn for_each(subscriptions: &mut Subscriptions, first: &[u8], f: impl FnMut(PeerId)) {
        subscriptions.for_each_match(first, f);
    }

    #[inline]
    fn is_wanted(filter: &TopicFilter, first: &[u8]) -> bool {
        filter.matches(first)
    }

    fn tell(peers: &mut Peers, id: PeerId, what: &[u8], wanted: bool) {
        peers.send_topic(id, what, wanted);
    }
}

/// Of RADIO and DISH.
pub(crate) struct Groups;

impl Matching for Groups {
    const PUBLISHER: SocketType = SocketType::Radio;
    const SUBSCRIBER: SocketType = SocketType::Dish;
    const GROUPS: bool = true;

    #[inline]
    fn for_each(subscriptions: &mut Subscriptions, first: &[u8], f: impl FnMut(PeerId)) {
        subscriptions.for_each_equal(first, f);
    }

    #[inline]
    fn is_wanted(filter: &TopicFilter, first: &[u8]) -> bool {
        filter.contains(first)
    }

    fn tell(peers: &mut Peers, id: PeerId, what: &[u8], wanted: bool) {
        peers.send_membership(id, what, wanted);
    }
}
