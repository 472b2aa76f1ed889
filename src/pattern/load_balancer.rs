//! Who takes the next message.

use super::FairQueue;
use super::preferences::Preferences;
use crate::engine::{PeerId, Peers, Tried};
use crate::options::{Choice, Share};

/// The peers a message can go to, taken in turn, without those that are full.
///
/// ```text
///            add                 set_full
///   (gone) ───────▶ ready, last ──────────▶ full
///                        ▲     set_ready     │
///                        └───────────────────┘      remove: from either
/// ```
///
/// A peer that has room again waits for all ready ones to have had their turn: it has just been sent plenty.
///
/// Where something else than turns decides, those with room are in `preferences`, and none is in `ready`: so nothing is asked of them where a message
/// goes the short way, which finds nobody to send to.
#[derive(Debug, Default)]
pub(crate) struct LoadBalancer {
    ready: FairQueue,
    /// Which ids are peers, ready or full.
    known: Vec<bool>,
    len: usize,
    preferences: Option<Box<Preferences>>,
}

impl LoadBalancer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a peer that has room; one that is known stays as it is.
    pub(crate) fn add(&mut self, id: usize) {
        if self.contains(id) {
            return;
        }
        if id >= self.known.len() {
            self.known.resize(id + 1, false);
        }
        self.known[id] = true;
        self.len += 1;
        match &mut self.preferences {
            Some(preferences) => preferences.add(id),
            None => self.ready.push(id),
        }
    }

    pub(crate) fn remove(&mut self, id: usize) {
        if self.contains(id) {
            self.known[id] = false;
            self.len -= 1;
            self.ready.remove(id);
            if let Some(preferences) = &mut self.preferences {
                preferences.remove(id);
            }
        }
    }

    /// Passes a peer over until it is ready again.
    pub(crate) fn set_full(&mut self, id: usize) {
        match &mut self.preferences {
            Some(preferences) => preferences.set_full(id),
            None => drop(self.ready.remove(id)),
        }
    }

    /// Gives a peer its turn again, after all others; one that is ready keeps its place.
    pub(crate) fn set_ready(&mut self, id: usize) {
        if !self.contains(id) {
            return;
        }
        match &mut self.preferences {
            Some(preferences) => preferences.set_ready(id),
            None => self.ready.push(id),
        }
    }

    /// Chooses like this from now on; `None` is in turn. `true`: that is another way than before, and whatever was known of the peers is to be told
    /// again.
    pub(crate) fn set_choice(&mut self, choice: Option<Choice>) -> bool {
        let before = self.preferences.as_ref();
        if before.map(|preferences| preferences.choice()) == choice {
            return false;
        }
        let preferences = choice.map(|choice| Box::new(Preferences::new(choice)));
        let new = LoadBalancer {
            preferences,
            ..LoadBalancer::default()
        };
        let before = std::mem::replace(self, new);
        for id in before.peers() {
            self.add(id);
            if !before.is_ready(id) {
                self.set_full(id);
            }
        }
        true
    }

    /// Whether peers have shares.
    pub(crate) fn weighs(&self) -> bool {
        let preferences = self.preferences.as_ref();
        preferences.is_some_and(|preferences| preferences.choice().weighs)
    }

    fn is_ready(&self, id: usize) -> bool {
        match &self.preferences {
            Some(preferences) => preferences.is_ready(id),
            None => self.ready.contains(id),
        }
    }

    /// The share of a peer is this. `None`: it is not known any more.
    pub(crate) fn set_share(&mut self, id: usize, share: Option<Share>) {
        if let Some(preferences) = &mut self.preferences {
            preferences.set_share(id, share);
        }
    }

    /// Whether it is to be told of messages that are finished.
    pub(crate) fn counts(&self) -> bool {
        let preferences = self.preferences.as_ref();
        preferences.is_some_and(|preferences| preferences.choice().least_outstanding)
    }

    /// So many of the messages that a peer was given are finished.
    pub(crate) fn finished(&mut self, id: usize, count: u64) {
        if let Some(preferences) = &mut self.preferences {
            preferences.finished(id, count);
        }
    }

    /// So many messages of a peer are outstanding, whatever was known before.
    pub(crate) fn set_outstanding(&mut self, id: usize, count: u64) {
        if let Some(preferences) = &mut self.preferences {
            preferences.set_outstanding(id, count);
        }
    }

    /// The peer to use now. It stays the same until [`advance`](Self::advance), so that a message that could not
    /// be handed over costs nobody a turn.
    #[inline]
    pub(crate) fn next(&self) -> Option<usize> {
        self.ready.front()
    }

    /// Ends the turn of the peer that [`next`](Self::next) named: it has been given a message. A peer which that
    /// message fills is to be advanced past first, then set full: in the other order the next one loses its turn.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.ready.rotate();
    }

    /// Gives a message to the next peer that `attempt` can queue it for, passing over those that are full or do not take it, and
    /// says which that was. `None`: there is none now.
    #[inline]
    pub(crate) fn give(
        &mut self,
        peers: &mut Peers,
        mut attempt: impl FnMut(&mut Peers, PeerId) -> Tried,
    ) -> Option<PeerId> {
        let mut refused = 0;
        loop {
            let Some(id) = self.next() else {
                return self.give_preferred(peers, &mut attempt);
            };
            match attempt(peers, id) {
                Tried::Queued => {
                    self.advance();
                    return Some(id);
                }
                Tried::NoRoom => {
                    if peers.await_room(id) {
                        self.set_full(id);
                    }
                }
                // It is another's turn, once around.
                Tried::Refused => {
                    refused += 1;
                    if refused >= self.ready_len() {
                        return None;
                    }
                    self.advance();
                }
            }
        }
    }

    #[cold]
    fn give_preferred(
        &mut self,
        peers: &mut Peers,
        attempt: &mut dyn FnMut(&mut Peers, PeerId) -> Tried,
    ) -> Option<PeerId> {
        self.preferences.as_mut()?.give(peers, attempt)
    }

    /// Whether a peer has room. Those that have none are set full on the way.
    pub(crate) fn has_room(&mut self, peers: &mut Peers) -> bool {
        if let Some(preferences) = &mut self.preferences {
            return preferences.has_room(peers);
        }
        while let Some(id) = self.next() {
            if peers.has_room(id) || !peers.await_room(id) {
                return true;
            }
            self.set_full(id);
        }
        false
    }

    /// Whether this is a peer, ready or full.
    #[inline]
    pub(crate) fn contains(&self, id: usize) -> bool {
        self.known.get(id).copied().unwrap_or(false)
    }

    /// All peers, ready and full.
    pub(crate) fn peers(&self) -> impl Iterator<Item = usize> {
        let known = self.known.iter().enumerate();
        known.filter_map(|(id, &known)| known.then_some(id))
    }

    /// The number of peers, ready and full.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of peers that have room.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(ids: &[usize]) -> LoadBalancer {
        let mut balancer = LoadBalancer::new();
        ids.iter().for_each(|&id| balancer.add(id));
        balancer
    }

    fn turns(balancer: &mut LoadBalancer, count: usize) -> Vec<usize> {
        let mut turns = Vec::new();
        for _ in 0..count {
            turns.extend(balancer.next());
            balancer.advance();
        }
        turns
    }

    #[test]
    fn nobody_to_send_to() {
        let mut balancer = balancer(&[]);
        balancer.advance();
        balancer.remove(1);
        balancer.set_full(1);
        balancer.set_ready(1);
        assert_eq!(balancer.next(), None);
        assert!(balancer.is_empty());
        assert_eq!(balancer.ready_len(), 0);
    }

    #[test]
    fn peers_take_turns() {
        let mut balancer = balancer(&[3, 1, 7]);
        assert_eq!(balancer.next(), Some(3));
        assert_eq!(balancer.next(), Some(3));
        assert_eq!(turns(&mut balancer, 7), [3, 1, 7, 3, 1, 7, 3]);
    }

    #[test]
    fn full_peers_are_passed_over() {
        let mut balancer = balancer(&[0, 1, 2]);
        balancer.set_full(1);
        assert_eq!((balancer.len(), balancer.ready_len()), (3, 2));
        assert_eq!(turns(&mut balancer, 4), [0, 2, 0, 2]);
        balancer.set_full(0);
        balancer.set_full(2);
        assert_eq!(balancer.next(), None);
        balancer.set_ready(2);
        balancer.set_ready(2);
        balancer.set_ready(1);
        assert_eq!(turns(&mut balancer, 4), [2, 1, 2, 1]);
    }

    #[test]
    fn filling_the_current_peer_passes_the_turn_on() {
        let mut balancer = balancer(&[0, 1, 2]);
        balancer.set_full(0);
        assert_eq!(balancer.next(), Some(1));
        balancer.advance();
        balancer.set_full(1);
        assert_eq!(turns(&mut balancer, 2), [2, 2]);
    }

    #[test]
    fn a_removed_peer_is_not_woken() {
        let mut balancer = balancer(&[0, 1]);
        balancer.set_full(0);
        balancer.remove(0);
        balancer.set_ready(0);
        assert!(!balancer.contains(0));
        assert_eq!(turns(&mut balancer, 2), [1, 1]);
        balancer.remove(1);
        assert_eq!((balancer.next(), balancer.len()), (None, 0));
    }

    #[test]
    fn adding_twice_changes_nothing() {
        let mut balancer = balancer(&[0, 1]);
        balancer.set_full(0);
        balancer.add(0);
        assert_eq!((balancer.len(), balancer.ready_len()), (2, 1));
        assert_eq!(balancer.next(), Some(1));
    }
}
