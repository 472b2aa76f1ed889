//! Which peer has which routing id: the table of a ROUTER.
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

use std::collections::HashMap;

use crate::engine::PeerId;
use crate::message::RoutingId;

/// See the module.
#[derive(Debug)]
pub(crate) struct Routes {
    routable: HashMap<RoutingId, PeerId>,
    /// By peer.
    names: Vec<Option<RoutingId>>,
    /// For the next peer without a name.
    next: u32,
}

impl Routes {
    /// Automatic ids begin with this number.
    pub(crate) fn new(first: u32) -> Self {
        Routes {
            routable: HashMap::new(),
            names: Vec::new(),
            next: first,
        }
    }

    /// The peer that messages for this id go to.
    #[inline]
    pub(crate) fn peer(&self, id: &[u8]) -> Option<PeerId> {
        self.routable.get(id).copied()
    }

    /// The name of a peer, routable or not.
    #[inline]
    pub(crate) fn name(&self, peer: PeerId) -> Option<&RoutingId> {
        self.names.get(peer)?.as_ref()
    }

    /// The ids that messages may be sent to.
    pub(crate) fn routable(&self) -> impl Iterator<Item = (&RoutingId, PeerId)> {
        self.routable.iter().map(|(name, &peer)| (name, peer))
    }

    /// Gives a peer this name. Returns the peer that had it, if that was another one.
    pub(crate) fn assign(&mut self, peer: PeerId, name: RoutingId) -> Option<PeerId> {
        self.release(peer);
        if peer >= self.names.len() {
            self.names.resize(peer + 1, None);
        }
        self.names[peer] = Some(name.clone());
        self.routable.insert(name, peer)
    }

    /// Gives a peer a name that nobody has: a zero byte, and the next number.
    pub(crate) fn assign_any(&mut self, peer: PeerId) {
        loop {
            let name = RoutingId::automatic(self.next);
            self.next = self.next.wrapping_add(1);
            // It has been given a long time ago, after so many numbers, or to a peer by name.
            if !self.routable.contains_key(&name) {
                self.assign(peer, name);
                return;
            }
        }
    }

    /// Messages no longer go to this peer; it keeps its name.
    pub(crate) fn release(&mut self, peer: PeerId) {
        let name = self.names.get(peer).and_then(Option::as_ref);
        if let Some(name) = name
            && self.routable.get(name) == Some(&peer)
        {
            self.routable.remove(name);
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

    #[test]
    fn automatic_names_are_never_given_twice_at_a_time() {
        let mut routes = Routes::new(u32::MAX);
        routes.assign(7, RoutingId::from(b"\0\0\0\0\0"));
        for peer in 0..3 {
            routes.assign_any(peer);
        }
        assert_eq!(routes.peer(b"\0\xff\xff\xff\xff"), Some(0));
        assert_eq!(routes.peer(b"\0\0\0\0\0"), Some(7));
        assert_eq!(routes.peer(b"\0\0\0\0\x01"), Some(1));
        assert_eq!(routes.peer(b"\0\0\0\0\x02"), Some(2));
    }
}
