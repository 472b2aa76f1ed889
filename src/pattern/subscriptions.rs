//! Who wants which topics: the publisher's side of PUB/SUB.
//!
//! A subscription is a byte prefix. Each peer's subscriptions are a set: subscribing twice changes nothing, and one
//! unsubscribe ends it (the subscriber counts references, see [`TopicFilter`](super::TopicFilter)).
//!
//! ```text
//!   trie:    topic ─► subscribers: (peer, at) (peer, at) …   who subscribed to this topic
//!                                      │  ▲
//!                                      ▼  │
//!   topics:  peer  ─► (node, index) (node, index) …          what this peer subscribed to
//! ```
//!
//! The two lists point into each other, so that a peer with a million topics, or a topic with ten thousand
//! peers, loses one subscription in constant time and a whole peer in linear time.

use std::collections::VecDeque;

use super::matching::Matching;
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

/// Who is told of each subscription that ends with its peer, and of whether others have the same; nobody, where that is not asked for:
/// it takes longer than ending it.
pub(crate) type Told<'a> = Option<&'a mut dyn FnMut(&[u8], Removed)>;

/// The subscriptions of all peers of a publisher.
///
/// Matching runs once per published message. It takes `&mut self` because a peer that several matching topics lead to is
/// recognised by a stamp, which costs a load and a store and no hashing.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    trie: PrefixTrie<Subscribers>,
    /// The topics of each peer.
    topics: Vec<Vec<Topic>>,
    /// For each peer the last match that named it.
    stamps: Vec<u64>,
    /// Peers that have gone and whose subscriptions are being removed, some at a time.
    removing: VecDeque<usize>,
    /// The number of the current match; at a billion matches a second it lasts 580 years.
    generation: u64,
}

/// One peer in the list of a topic.
///
/// Four-byte fields, because a peer may have a million of these; a peer number beyond them would need a
/// peer table of 100 GiB.
#[derive(Clone, Copy, Debug)]
struct Subscriber {
    peer: u32,
    /// Where in the peer's list this subscription is.
    at: u32,
}

/// One topic in the list of a peer.
#[derive(Clone, Copy, Debug)]
struct Topic {
    node: NodeId,
    /// Where in the topic's list this subscription is.
    index: u32,
}

/// The peers of a topic, at least one. Most topics have exactly one, which then needs no allocation.
#[derive(Debug)]
enum Subscribers {
    One(Subscriber),
    Many(Box<List>),
}

/// A list behind a pointer: inline it would make the trie's node larger than a cache line.
#[derive(Debug)]
struct List {
    subscribers: Vec<Subscriber>,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            trie: PrefixTrie::new(),
            topics: Vec::new(),
            stamps: Vec::new(),
            removing: VecDeque::new(),
            generation: 0,
        }
    }

    /// The number of different topics.
    pub(crate) fn topics(&self) -> usize {
        self.trie.len()
    }

    /// Subscribes a peer to every topic that starts with this one.
    pub(crate) fn insert(&mut self, peer: usize, topic: &[u8]) -> Inserted {
        if peer >= self.topics.len() {
            self.topics.resize_with(peer + 1, Vec::new);
            self.stamps.resize(peer + 1, 0);
        }
        let subscriber = Subscriber {
            peer: peer as u32,
            at: self.topics[peer].len() as u32,
        };
        let Some(node) = self.trie.find(topic) else {
            let node = self.trie.insert(topic, Subscribers::One(subscriber));
            self.topics[peer].push(Topic { node, index: 0 });
            return Inserted::First;
        };
        if self.index_of(peer, node).is_some() {
            return Inserted::Duplicate;
        }
        if let Some(subscribers) = self.trie.value_mut(node) {
            let index = subscribers.push(subscriber);
            self.topics[peer].push(Topic { node, index });
        }
        Inserted::Added
    }

    /// Ends one subscription.
    pub(crate) fn remove(&mut self, peer: usize, topic: &[u8]) -> Removed {
        let Some(node) = self.trie.find(topic) else {
            return Removed::NotThere;
        };
        let Some(index) = self.index_of(peer, node) else {
            return Removed::NotThere;
        };
        let (removed, last) = self.remove_subscriber(node, index);
        self.remove_topic(peer, removed.at);
        if last {
            self.trie.remove(node);
            return Removed::Last;
        }
        Removed::NotLast
    }

    /// Ends all subscriptions of a peer, and calls `told` with each topic.
    pub(crate) fn remove_peer(&mut self, peer: usize, mut told: Told<'_>) {
        self.removing.retain(|removing| *removing != peer);
        let Some(topics) = self.topics.get_mut(peer) else {
            return;
        };
        for topic in std::mem::take(topics) {
            self.end(topic, &mut told);
        }
    }

    /// Ends a subscription that is in its peer's list no more.
    fn end(&mut self, Topic { node, index }: Topic, told: &mut Told<'_>) {
        let (_, last) = self.remove_subscriber(node, index);
        let text = told.is_some().then(|| {
            let mut text = Vec::new();
            self.trie.read_topic(node, &mut text);
            text
        });
        if last {
            self.trie.remove(node);
        }
        if let (Some(told), Some(text)) = (told, text) {
            told(
                &text,
                if last {
                    Removed::Last
                } else {
                    Removed::NotLast
                },
            );
        }
    }

    /// A peer has gone: ends its subscriptions, at once if they are few. Many are ended by [`remove_more`](Self::remove_more), and until
    /// that returns this peer, matches still include it: the caller has to skip it.
    pub(crate) fn begin_removing(&mut self, peer: usize, told: Told<'_>) {
        if self.count(peer) <= REMOVED_AT_ONCE {
            return self.remove_peer(peer, told);
        }
        if !self.is_removing(peer) {
            self.removing.push_back(peer);
        }
    }

    /// Whether subscriptions of this peer are still to be removed.
    pub(crate) fn is_removing(&self, peer: usize) -> bool {
        self.removing.contains(&peer)
    }

    /// The peer whose subscriptions are removed next.
    pub(crate) fn removing(&self) -> Option<usize> {
        self.removing.front().copied()
    }

    /// The same for any peer.
    pub(crate) fn is_removing_any(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Removes subscriptions of peers that have gone, until the time is `over`, or one of the peers has no more: that is returned.
    pub(crate) fn remove_more(
        &mut self,
        over: &dyn Fn() -> bool,
        mut told: Told<'_>,
    ) -> Option<usize> {
        let peer = *self.removing.front()?;
        loop {
            for _ in 0..REMOVED_AT_ONCE {
                let topics = self.topics.get_mut(peer);
                let Some(topic) = topics.and_then(Vec::pop) else {
                    self.removing.pop_front();
                    if let Some(topics) = self.topics.get_mut(peer) {
                        *topics = Vec::new();
                    }
                    return Some(peer);
                };
                self.end(topic, &mut told);
            }
            if over() {
                return None;
            }
        }
    }

    /// How many peers have a subscription.
    pub(crate) fn peers(&self) -> usize {
        let all = self.topics.iter().filter(|topics| !topics.is_empty());
        let removing = self.removing.iter();
        all.count() - removing.filter(|&&peer| self.count(peer) > 0).count()
    }

    /// How many topics this peer has.
    pub(crate) fn count(&self, peer: usize) -> usize {
        self.topics.get(peer).map_or(0, Vec::len)
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
            return first.list().iter().for_each(|one| f(one.peer as usize));
        };
        self.generation += 1;
        for subscribers in [first, second].into_iter().chain(matches) {
            for subscriber in subscribers.list() {
                let peer = subscriber.peer as usize;
                let stamp = &mut self.stamps[peer]; // As long as the largest peer ever subscribed.
                if std::mem::replace(stamp, self.generation) != self.generation {
                    f(peer);
                }
            }
        }
    }

    /// Calls `f` once with each peer that has subscribed to exactly this.
    #[inline]
    pub(crate) fn for_each_equal(&mut self, topic: &[u8], mut f: impl FnMut(usize)) {
        let node = self.trie.find(topic);
        if let Some(subscribers) = node.and_then(|node| self.trie.value(node)) {
            subscribers
                .list()
                .iter()
                .for_each(|one| f(one.peer as usize));
        }
    }

    /// Calls `f` once with each of these peers that has no subscription this topic starts with.
    pub(crate) fn for_each_other(
        &mut self,
        among: &[usize],
        topic: &[u8],
        mut f: impl FnMut(usize),
    ) {
        self.generation += 1;
        for subscribers in self.trie.prefixes(topic) {
            for subscriber in subscribers.list() {
                self.stamps[subscriber.peer as usize] = self.generation;
            }
        }
        for &peer in among {
            if self.stamps.get(peer) != Some(&self.generation) {
                f(peer);
            }
        }
    }

    /// Whether this peer has a subscription that the topic starts with.
    pub(crate) fn is_wanted_by(&mut self, peer: usize, topic: &[u8]) -> bool {
        let mut wanted = false;
        self.for_each_match(topic, |it| wanted |= it == peer);
        wanted
    }

    /// How many peers want a message with this topic.
    pub(crate) fn matching<M: Matching>(&mut self, topic: &[u8]) -> usize {
        let removing = std::mem::take(&mut self.removing);
        let mut count = 0;
        M::for_each(self, topic, |peer| {
            count += usize::from(!removing.contains(&peer));
        });
        self.removing = removing;
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
    fn index_of(&self, peer: usize, node: NodeId) -> Option<u32> {
        let subscribers = self.trie.value(node)?.list();
        let topics = self.topics.get(peer)?;
        if subscribers.len() <= topics.len() {
            let index = subscribers.iter().position(|it| it.peer as usize == peer)?;
            Some(index as u32)
        } else {
            let topic = topics.iter().find(|topic| topic.node == node)?;
            Some(topic.index)
        }
    }

    /// Takes a peer out of a topic's list, and says whether it was the last. The last one stays, for
    /// the caller to remove the topic.
    fn remove_subscriber(&mut self, node: NodeId, index: u32) -> (Subscriber, bool) {
        let Some(subscribers) = self.trie.value_mut(node) else {
            debug_assert!(false, "a peer holds a topic that is not stored");
            return (Subscriber { peer: 0, at: 0 }, false);
        };
        match subscribers {
            Subscribers::One(only) => (*only, true),
            Subscribers::Many(list) => {
                let removed = list.subscribers.swap_remove(index as usize);
                if let Some(moved) = list.subscribers.get(index as usize) {
                    self.topics[moved.peer as usize][moved.at as usize].index = index;
                }
                if let [only] = list.subscribers[..] {
                    *subscribers = Subscribers::One(only);
                }
                (removed, false)
            }
        }
    }

    /// Takes a topic out of a peer's list.
    fn remove_topic(&mut self, peer: usize, at: u32) {
        let topics = &mut self.topics[peer];
        topics.swap_remove(at as usize);
        if let Some(&Topic { node, index }) = topics.get(at as usize)
            && let Some(subscribers) = self.trie.value_mut(node)
        {
            subscribers.list_mut()[index as usize].at = at;
        }
    }
}

impl Subscribers {
    #[inline]
    fn list(&self) -> &[Subscriber] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(list) => &list.subscribers,
        }
    }

    fn list_mut(&mut self) -> &mut [Subscriber] {
        match self {
            Self::One(only) => std::slice::from_mut(only),
            Self::Many(list) => &mut list.subscribers,
        }
    }

    /// Adds a peer and returns where.
    fn push(&mut self, subscriber: Subscriber) -> u32 {
        match self {
            Self::One(first) => {
                let subscribers = vec![*first, subscriber];
                *self = Self::Many(Box::new(List { subscribers }));
                1
            }
            Self::Many(list) => {
                list.subscribers.push(subscriber);
                list.subscribers.len() as u32 - 1
            }
        }
    }
}

#[cfg(test)]
mod tests;
