//! Who wants which topics: the publisher's side of PUB/SUB.
//!
//! A subscription is a byte prefix. Each peer's subscriptions are a set: subscribing twice changes nothing, and one
//! unsubscribe ends it (the subscriber counts references, see [`TopicFilter`](super::TopicFilter)).
//!
//! ```text
//!   trie:  topic ─► seats: (peer, at) (peer, at) …      who subscribed to this topic
//!                              │  ▲
//!                              ▼  │
//!   held:  peer  ─► (node, seat) (node, seat) …         what this peer subscribed to
//! ```
//!
//! The two lists point into each other, so that a peer with a million topics, or a topic with ten thousand
//! peers, loses one subscription in constant time and a whole peer in linear time.

use std::collections::VecDeque;

use super::prefix_trie::{NodeId, PrefixTrie};

/// So many subscriptions are removed before anybody looks at the clock.
const REMOVED_AT_ONCE: usize = 32;

/// What [`Subscriptions::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// Nobody had this topic before.
    First,
    /// Other peers have this topic too.
    Added,
    /// This peer had this topic already; nothing has changed.
    Duplicate,
}

/// What [`Subscriptions::remove`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// Nobody has this topic any more.
    Last,
    /// Other peers still have this topic.
    NotLast,
    /// This peer did not have this topic; nothing has changed.
    NotThere,
}

/// The subscriptions of all peers of a publisher.
///
/// Matching runs once per published message. It takes `&mut self` because a peer that several matching topics lead to is
/// recognised by a stamp, which costs a load and a store and no hashing.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    trie: PrefixTrie<Seats>,
    held: Vec<Vec<Held>>,
    /// For each peer the last match that named it.
    stamps: Vec<u64>,
    /// Peers that have gone and whose subscriptions are being removed, some at a time.
    leaving: VecDeque<usize>,
    /// The number of the current match; at a billion matches a second it lasts 580 years.
    generation: u64,
}

/// One peer in the list of a topic.
///
/// Four-byte fields, because a peer may have a million of these; a peer number beyond them would need a
/// peer table of 100 GiB.
#[derive(Clone, Copy, Debug)]
struct Seat {
    peer: u32,
    /// Where in the peer's list this subscription is.
    at: u32,
}

/// One topic in the list of a peer.
#[derive(Clone, Copy, Debug)]
struct Held {
    node: NodeId,
    /// Where in the topic's list this subscription is.
    seat: u32,
}

/// The peers of a topic, at least one. Most topics have exactly one, which then needs no allocation.
#[derive(Debug)]
enum Seats {
    One(Seat),
    Many(Box<Crowd>),
}

/// A list behind a pointer: inline it would make the trie's node larger than a cache line.
#[derive(Debug)]
struct Crowd {
    seats: Vec<Seat>,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            trie: PrefixTrie::new(),
            held: Vec::new(),
            stamps: Vec::new(),
            leaving: VecDeque::new(),
            generation: 0,
        }
    }

    /// Subscribes a peer to every topic that starts with this one.
    pub(crate) fn insert(&mut self, peer: usize, topic: &[u8]) -> Inserted {
        if peer >= self.held.len() {
            self.held.resize_with(peer + 1, Vec::new);
            self.stamps.resize(peer + 1, 0);
        }
        let seat = Seat {
            peer: peer as u32,
            at: self.held[peer].len() as u32,
        };
        let Some(node) = self.trie.find(topic) else {
            let node = self.trie.insert(topic, Seats::One(seat));
            self.held[peer].push(Held { node, seat: 0 });
            return Inserted::First;
        };
        if self.seat_of(peer, node).is_some() {
            return Inserted::Duplicate;
        }
        if let Some(seats) = self.trie.value_mut(node) {
            let index = seats.push(seat);
            self.held[peer].push(Held { node, seat: index });
        }
        Inserted::Added
    }

    /// Ends one subscription.
    pub(crate) fn remove(&mut self, peer: usize, topic: &[u8]) -> Removed {
        let Some(node) = self.trie.find(topic) else {
            return Removed::NotThere;
        };
        let Some(seat) = self.seat_of(peer, node) else {
            return Removed::NotThere;
        };
        let (left, last) = self.leave(node, seat);
        self.forget(peer, left.at);
        if last {
            self.trie.remove(node);
            return Removed::Last;
        }
        Removed::NotLast
    }

    /// Ends all subscriptions of a peer, and calls `gone` with each topic that nobody has any more.
    pub(crate) fn remove_peer(&mut self, peer: usize, mut gone: impl FnMut(&[u8])) {
        self.leaving.retain(|leaving| *leaving != peer);
        let Some(held) = self.held.get_mut(peer) else {
            return;
        };
        let mut topic = Vec::new();
        for Held { node, seat } in std::mem::take(held) {
            let (_, last) = self.leave(node, seat);
            if last {
                self.trie.read_topic(node, &mut topic);
                self.trie.remove(node);
                gone(&topic);
            }
        }
    }

    /// A peer has gone: ends its subscriptions, at once if they are few. Otherwise the peer *leaves*: matches still name it, and it is for
    /// the caller to pass over it, until [`remove_more`](Self::remove_more) names it as well.
    pub(crate) fn begin_removing(&mut self, peer: usize) {
        if self.count(peer) <= REMOVED_AT_ONCE {
            return self.remove_peer(peer, |_| {});
        }
        if !self.is_leaving(peer) {
            self.leaving.push_back(peer);
        }
    }

    pub(crate) fn is_leaving(&self, peer: usize) -> bool {
        self.leaving.contains(&peer)
    }

    pub(crate) fn any_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Removes subscriptions of peers that leave, until it is `over`, or until one of them has none left: that one.
    pub(crate) fn remove_more(&mut self, over: &dyn Fn() -> bool) -> Option<usize> {
        let peer = *self.leaving.front()?;
        loop {
            for _ in 0..REMOVED_AT_ONCE {
                let held = self.held.get_mut(peer);
                let Some(Held { node, seat }) = held.and_then(Vec::pop) else {
                    self.leaving.pop_front();
                    if let Some(held) = self.held.get_mut(peer) {
                        *held = Vec::new();
                    }
                    return Some(peer);
                };
                if self.leave(node, seat).1 {
                    self.trie.remove(node);
                }
            }
            if over() {
                return None;
            }
        }
    }

    /// How many peers have a subscription.
    pub(crate) fn peers(&self) -> usize {
        let held = self.held.iter().filter(|held| !held.is_empty());
        let leaving = self.leaving.iter();
        held.count() - leaving.filter(|&&peer| self.count(peer) > 0).count()
    }

    /// How many topics this peer has.
    pub(crate) fn count(&self, peer: usize) -> usize {
        self.held.get(peer).map_or(0, Vec::len)
    }

    /// Calls `f` once with each peer that has a subscription this topic starts with.
    ///
    /// Peers of shorter topics come first, peers of one topic in the order they subscribed; an unsubscribe moves
    /// the last one into the gap.
    #[inline]
    pub(crate) fn for_each_match(&mut self, topic: &[u8], mut f: impl FnMut(usize)) {
        let mut matches = self.trie.prefixes(topic);
        let Some(first) = matches.next() else {
            return;
        };
        let Some(second) = matches.next() else {
            // A topic lists a peer once: nothing to compare.
            return first.list().iter().for_each(|seat| f(seat.peer as usize));
        };
        self.generation += 1;
        for seats in [first, second].into_iter().chain(matches) {
            for seat in seats.list() {
                let peer = seat.peer as usize;
                let stamp = &mut self.stamps[peer]; // As long as the largest peer ever seated.
                if std::mem::replace(stamp, self.generation) != self.generation {
                    f(peer);
                }
            }
        }
    }

    /// How many peers have a subscription this topic starts with.
    pub(crate) fn matching(&mut self, topic: &[u8]) -> usize {
        let leaving = std::mem::take(&mut self.leaving);
        let mut count = 0;
        self.for_each_match(topic, |peer| count += usize::from(!leaving.contains(&peer)));
        self.leaving = leaving;
        count
    }

    /// How many different topics there are.
    #[cfg(test)]
    pub(crate) fn distinct_topics(&self) -> usize {
        self.trie.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.trie.len() == 0
    }

    /// Where in the topic's list the peer is: looks through whichever list is shorter.
    fn seat_of(&self, peer: usize, node: NodeId) -> Option<u32> {
        let seats = self.trie.value(node)?.list();
        let held = self.held.get(peer)?;
        if seats.len() <= held.len() {
            let index = seats.iter().position(|seat| seat.peer as usize == peer)?;
            Some(index as u32)
        } else {
            let entry = held.iter().find(|held| held.node == node)?;
            Some(entry.seat)
        }
    }

    /// Takes a seat out of a topic's list, and says whether it was the last. The last one stays, for
    /// the caller to remove the topic.
    fn leave(&mut self, node: NodeId, seat: u32) -> (Seat, bool) {
        let Some(seats) = self.trie.value_mut(node) else {
            debug_assert!(false, "a peer holds a topic that is not stored");
            return (Seat { peer: 0, at: 0 }, false);
        };
        match seats {
            Seats::One(only) => (*only, true),
            Seats::Many(crowd) => {
                let left = crowd.seats.swap_remove(seat as usize);
                if let Some(moved) = crowd.seats.get(seat as usize) {
                    self.held[moved.peer as usize][moved.at as usize].seat = seat;
                }
                if let [only] = crowd.seats[..] {
                    *seats = Seats::One(only);
                }
                (left, false)
            }
        }
    }

    /// Takes an entry out of a peer's list.
    fn forget(&mut self, peer: usize, at: u32) {
        let held = &mut self.held[peer];
        held.swap_remove(at as usize);
        if let Some(&Held { node, seat }) = held.get(at as usize)
            && let Some(seats) = self.trie.value_mut(node)
        {
            seats.list_mut()[seat as usize].at = at;
        }
    }
}

impl Seats {
    #[inline]
    fn list(&self) -> &[Seat] {
        match self {
            Self::One(seat) => std::slice::from_ref(seat),
            Self::Many(crowd) => &crowd.seats,
        }
    }

    fn list_mut(&mut self) -> &mut [Seat] {
        match self {
            Self::One(seat) => std::slice::from_mut(seat),
            Self::Many(crowd) => &mut crowd.seats,
        }
    }

    /// Adds a seat and returns where.
    fn push(&mut self, seat: Seat) -> u32 {
        match self {
            Self::One(first) => {
                let seats = vec![*first, seat];
                *self = Self::Many(Box::new(Crowd { seats }));
                1
            }
            Self::Many(crowd) => {
                crowd.seats.push(seat);
                crowd.seats.len() as u32 - 1
            }
        }
    }
}

#[cfg(test)]
mod tests;
