//! Which peer has which routing id: the table of a ROUTER, and of SERVER and PEER, where the id is a number.
//!
//! ```text
//!            assign                      release                     forget
//!  (nobody) ────────▶ named and routable ────────▶ named: messages ────────▶ (nobody)
//!                         ▲                        of it may wait
//!                         └── assign ──────────────────┘
//! ```
//!
//! No two routable peers have the same id. A peer keeps its name when it is no longer routable, for messages of it that have yet
//! to be received; another may have the same name by then.
//!
//! Most messages that a ROUTER sends are answers to the peer that it has just heard. That one is compared with first, which spares the table: a hash, and with
//! many peers memory that no cache holds.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::engine::{PeerId, Peers};
use crate::message::RoutingId;
use crate::monitor::PeerRefusal;

/// What peers are known by.
pub(crate) trait Name: Borrow<Self::Key> + Clone + Eq + Hash + Send + 'static {
    /// What is looked for in the table.
    type Key: ?Sized + Eq + Hash;

    /// Every peer has one from the beginning, even before it is connected, and none asks for one; messages have one frame.
    const NUMBERED: bool;

    /// One that is made up. `None`: with this number there is none.
    fn automatic(number: u32) -> Option<Self>;

    /// The one that the application has given to a peer when it connected to it.
    fn given(peers: &Peers, id: PeerId) -> Option<Self>;

    /// What it is outside, where peers are known by routing ids.
    fn routing_id(&self) -> Option<RoutingId>;

    /// The one that a peer asks for, if it does.
    fn asked(peers: &Peers, id: PeerId) -> Result<Option<Self>, PeerRefusal>;
}

impl Name for RoutingId {
    type Key = [u8];

    const NUMBERED: bool = false;

    fn automatic(number: u32) -> Option<Self> {
        Some(RoutingId::automatic(number))
    }

    fn given(peers: &Peers, id: PeerId) -> Option<Self> {
        peers.given_name(id).cloned()
    }

    fn routing_id(&self) -> Option<RoutingId> {
        Some(self.clone())
    }

    fn asked(peers: &Peers, id: PeerId) -> Result<Option<Self>, PeerRefusal> {
        match peers.facts(id).map(|facts| facts.routing_id()) {
            Some(asked) if !asked.is_empty() => {
                let asked = RoutingId::from(asked);
                match asked.is_valid() {
                    true => Ok(Some(asked)),
                    false => Err(PeerRefusal::RoutingIdReserved),
                }
            }
            Some(_) | None => Ok(None),
        }
    }
}

/// Of SERVER and PEER (RFC 41): zero is no number.
impl Name for u32 {
    type Key = u32;

    const NUMBERED: bool = true;

    fn automatic(number: u32) -> Option<Self> {
        (number != 0).then_some(number)
    }

    fn given(_peers: &Peers, _id: PeerId) -> Option<Self> {
        None
    }

    fn routing_id(&self) -> Option<RoutingId> {
        None
    }

    fn asked(_peers: &Peers, _id: PeerId) -> Result<Option<Self>, PeerRefusal> {
        Ok(None)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Routes<N = RoutingId> {
    routable: HashMap<N, PeerId>,
    /// By peer.
    names: Vec<Option<Named<N>>>,
    /// The peer that was heard last, whoever has this id by now.
    heard: PeerId,
    /// For the next peer without a name.
    next: u32,
}

/// The name of a peer.
#[derive(Debug, Clone)]
struct Named<N> {
    name: N,
    /// Messages for the name go to this peer: just as `routable` says.
    routable: bool,
}

impl<N: Name> Named<N> {
    #[inline]
    fn is(&self, id: &N::Key) -> bool {
        let name: &N::Key = self.name.borrow();
        name == id
    }
}

impl<N: Name> Routes<N> {
    /// Automatic ids begin with this number.
    pub(crate) fn new(first: u32) -> Self {
        Routes {
            routable: HashMap::new(),
            names: Vec::new(),
            heard: 0,
            next: first,
        }
    }

    /// The peer that messages for this id go to.
    #[inline]
    pub(crate) fn peer(&self, id: &N::Key) -> Option<PeerId> {
        match self.named(self.heard) {
            Some(named) if named.routable && named.is(id) => Some(self.heard),
            _ => self.routable.get(id).copied(),
        }
    }

    /// The name of a peer, routable or not.
    #[inline]
    pub(crate) fn name(&self, peer: PeerId) -> Option<&N> {
        self.named(peer).map(|named| &named.name)
    }

    /// The same of one that a message has come from: the next one to be sent may be the answer.
    #[inline]
    pub(crate) fn heard(&mut self, peer: PeerId) -> Option<&N> {
        self.heard = peer;
        self.name(peer)
    }

    #[inline]
    fn named(&self, peer: PeerId) -> Option<&Named<N>> {
        self.names.get(peer)?.as_ref()
    }

    /// The ids that messages may be sent to.
    pub(crate) fn routable(&self) -> impl Iterator<Item = (&N, PeerId)> {
        self.routable.iter().map(|(name, &peer)| (name, peer))
    }

    /// Gives a peer this name. Returns the peer that had it, if that was another one.
    pub(crate) fn assign(&mut self, peer: PeerId, name: N) -> Option<PeerId> {
        self.release(peer);
        if peer >= self.names.len() {
            self.names.resize(peer + 1, None);
        }
        self.names[peer] = Some(Named {
            name: name.clone(),
            routable: true,
        });
        let had = self.routable.insert(name, peer)?;
        self.set_unroutable(had);
        Some(had)
    }

    /// Gives a peer a name that nobody has, of the next number.
    pub(crate) fn assign_any(&mut self, peer: PeerId) {
        loop {
            let name = N::automatic(self.next);
            self.next = self.next.wrapping_add(1);
            // It may have been given a long time ago, after so many numbers, or to a peer by name.
            if let Some(name) = name.filter(|name| !self.routable.contains_key(name.borrow())) {
                self.assign(peer, name);
                return;
            }
        }
    }

    /// Messages no longer go to this peer; it keeps its name.
    pub(crate) fn release(&mut self, peer: PeerId) {
        let named = self.names.get_mut(peer).and_then(Option::as_mut);
        if let Some(Named { name, routable }) = named
            && std::mem::take(routable)
        {
            self.routable.remove((*name).borrow());
        }
    }

    fn set_unroutable(&mut self, peer: PeerId) {
        if let Some(Some(named)) = self.names.get_mut(peer) {
            named.routable = false;
        }
    }

    /// The id of the peer may name another one from now on.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.release(peer);
        if let Some(name) = self.names.get_mut(peer) {
            *name = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RoutingId {
        RoutingId::from(text)
    }

    #[test]
    fn names_lead_to_peers_and_back() {
        let mut routes = Routes::new(0);
        assert_eq!(routes.assign(3, id("a")), None);
        assert_eq!(routes.assign(0, id("b")), None);
        assert_eq!((routes.peer(b"a"), routes.peer(b"b")), (Some(3), Some(0)));
        assert_eq!(routes.peer(b"c"), None);
        assert_eq!(routes.name(3), Some(&id("a")));
        assert_eq!((routes.name(1), routes.name(9)), (None, None));
    }

    #[test]
    fn a_peer_that_has_gone_keeps_its_name_until_it_is_forgotten() {
        let mut routes = Routes::new(0);
        routes.assign(0, id("a"));
        routes.release(0);
        assert_eq!((routes.peer(b"a"), routes.name(0)), (None, Some(&id("a"))));
        // Its successor has the same name, and is not to lose it with the first one.
        routes.assign(1, id("a"));
        routes.release(0);
        routes.forget(0);
        assert_eq!((routes.peer(b"a"), routes.name(0)), (Some(1), None));
    }

    #[test]
    fn a_name_that_is_taken_over_goes_with_nobody_else() {
        let mut routes = Routes::new(0);
        routes.assign(0, id("a"));
        assert_eq!(routes.assign(1, id("a")), Some(0));
        routes.release(0);
        routes.forget(0);
        assert_eq!(routes.peer(b"a"), Some(1));
        // Another name for the same peer frees the first.
        routes.assign(1, id("b"));
        assert_eq!((routes.peer(b"a"), routes.peer(b"b")), (None, Some(1)));
    }

    /// Whom was heard makes no difference, whatever has become of that peer and its name.
    #[test]
    fn who_was_heard_is_found_as_the_others_are() {
        let mut routes = Routes::new(0);
        routes.assign(0, id("a"));
        routes.assign(1, id("b"));
        assert_eq!(routes.heard(1), Some(&id("b")));
        assert_eq!((routes.peer(b"a"), routes.peer(b"b")), (Some(0), Some(1)));
        // It is heard once more after it has gone, and when another has its name.
        routes.release(1);
        assert_eq!(routes.heard(1), Some(&id("b")));
        assert_eq!(routes.peer(b"b"), None);
        routes.assign(2, id("b"));
        assert_eq!(routes.heard(1), Some(&id("b")));
        assert_eq!(routes.peer(b"b"), Some(2));
        // A name is taken over from the one that was heard.
        assert_eq!(routes.heard(2), Some(&id("b")));
        assert_eq!(routes.assign(3, id("b")), Some(2));
        assert_eq!(routes.peer(b"b"), Some(3));
        // Another peer has its place by now.
        routes.forget(2);
        assert_eq!(routes.peer(b"b"), Some(3));
        routes.assign(2, id("c"));
        assert_eq!((routes.peer(b"b"), routes.peer(b"c")), (Some(3), Some(2)));
        assert_eq!(routes.heard(9), None);
        assert_eq!(routes.peer(b"c"), Some(2));
    }

    #[test]
    fn automatic_names_are_never_given_twice_at_a_time() {
        let mut routes = Routes::<RoutingId>::new(u32::MAX);
        routes.assign(7, RoutingId::from(b"\0\0\0\0\0"));
        for peer in 0..3 {
            routes.assign_any(peer);
        }
        assert_eq!(routes.peer(b"\0\xff\xff\xff\xff"), Some(0));
        assert_eq!(routes.peer(b"\0\0\0\0\0"), Some(7));
        assert_eq!(routes.peer(b"\0\0\0\0\x01"), Some(1));
        assert_eq!(routes.peer(b"\0\0\0\0\x02"), Some(2));
    }

    #[test]
    fn no_peer_has_the_number_zero() {
        let mut routes = Routes::<u32>::new(u32::MAX);
        (0..3).for_each(|peer| routes.assign_any(peer));
        assert_eq!(routes.peer(&u32::MAX), Some(0));
        assert_eq!((routes.peer(&0), routes.peer(&1)), (None, Some(1)));
        assert_eq!((routes.peer(&2), routes.name(2)), (Some(2), Some(&2)));
    }
}
