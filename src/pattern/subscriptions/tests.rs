use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::matching::{Groups, Matching, Topics};
use super::*;

/// A fixed sequence, so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// Mostly short topics of few letters, so that they nest, part and coincide; some longer than a node holds, some
    /// whose letters fill a row of children and a little of the next.
    fn topic(&mut self) -> Vec<u8> {
        let (len, letters) = match self.below(8) {
            0 => (self.below(60), 1),
            1 => (self.below(3), 256),
            2 => (self.below(4), 20),
            _ => (self.below(7), 3),
        };
        (0..len).map(|_| self.below(letters) as u8).collect()
    }
}

/// The same, as simple as can be.
#[derive(Default)]
struct Model {
    topics: BTreeMap<Vec<u8>, BTreeSet<usize>>,
}

impl Model {
    fn insert(&mut self, peer: usize, topic: &[u8]) -> Inserted {
        let first = !self.topics.contains_key(topic);
        let new = self.topics.entry(topic.to_vec()).or_default().insert(peer);
        match (first, new) {
            (true, _) => Inserted::First,
            (false, true) => Inserted::Added,
            (false, false) => Inserted::Duplicate,
        }
    }

    fn remove(&mut self, peer: usize, topic: &[u8]) -> Removed {
        let Some(peers) = self.topics.get_mut(topic) else {
            return Removed::NotThere;
        };
        if !peers.remove(&peer) {
            return Removed::NotThere;
        }
        if peers.is_empty() {
            self.topics.remove(topic);
            return Removed::Last;
        }
        Removed::NotLast
    }

    fn remove_peer(&mut self, peer: usize) -> Vec<Vec<u8>> {
        self.topics.values_mut().for_each(|peers| {
            peers.remove(&peer);
        });
        let gone = self.topics.iter().filter(|(_, peers)| peers.is_empty());
        let gone = gone.map(|(topic, _)| topic.clone()).collect();
        self.topics.retain(|_, peers| !peers.is_empty());
        gone
    }

    fn count(&self, peer: usize) -> usize {
        let topics = self.topics.values();
        topics.filter(|peers| peers.contains(&peer)).count()
    }

    fn matching(&self, topic: &[u8]) -> Vec<usize> {
        let matching = self.topics.iter().filter(|(t, _)| topic.starts_with(t));
        let peers: BTreeSet<_> = matching.flat_map(|(_, peers)| peers).collect();
        peers.into_iter().copied().collect()
    }
}

fn matching(subscriptions: &mut Subscriptions, topic: &[u8]) -> Vec<usize> {
    let mut peers = Vec::new();
    subscriptions.for_each_match(topic, |peer| peers.push(peer));
    assert_eq!(subscriptions.matching::<Topics>(topic), peers.len());
    peers
}

#[test]
fn the_peers_of_a_topic_leave_a_node_the_size_of_a_cache_line() {
    assert_eq!(size_of::<Option<Subscribers>>(), 16);
    assert_eq!(PrefixTrie::<Subscribers>::NODE_SIZE, 64);
}

#[test]
fn nobody_wants_anything_at_first() {
    let mut subscriptions = Subscriptions::new();
    assert!(subscriptions.is_empty());
    assert!(matching(&mut subscriptions, b"").is_empty());
    assert!(matching(&mut subscriptions, b"topic").is_empty());
    assert_eq!(subscriptions.remove(3, b""), Removed::NotThere);
    assert_eq!(subscriptions.count(3), 0);
    remove_peer(&mut subscriptions, 3, |_| panic!("had no topic"));
}

#[test]
fn a_peer_has_a_set_of_topics() {
    let mut subscriptions = Subscriptions::new();
    assert_eq!(subscriptions.insert(1, b"a"), Inserted::First);
    assert_eq!(subscriptions.insert(1, b"a"), Inserted::Duplicate);
    assert_eq!(subscriptions.insert(2, b"a"), Inserted::Added);
    assert_eq!(subscriptions.distinct_topics(), 1);
    assert_eq!((subscriptions.count(1), subscriptions.count(2)), (1, 1));
    assert_eq!(subscriptions.remove(1, b"a"), Removed::NotLast);
    assert_eq!(subscriptions.remove(1, b"a"), Removed::NotThere);
    assert_eq!(subscriptions.remove(2, b""), Removed::NotThere);
    assert_eq!(subscriptions.remove(2, b"a"), Removed::Last);
    assert!(subscriptions.is_empty());
}

#[test]
fn a_topic_matches_what_starts_with_it() {
    let mut subscriptions = Subscriptions::new();
    for (peer, topic) in ["", "a", "ab", "abc", "b"].into_iter().enumerate() {
        subscriptions.insert(peer, topic.as_bytes());
    }
    assert_eq!(matching(&mut subscriptions, b""), [0]);
    assert_eq!(matching(&mut subscriptions, b"abd"), [0, 1, 2]);
    assert_eq!(matching(&mut subscriptions, b"abcd"), [0, 1, 2, 3]);
    assert_eq!(matching(&mut subscriptions, b"c"), [0]);
}

#[test]
fn a_peer_is_named_once_per_match() {
    let mut subscriptions = Subscriptions::new();
    for topic in [&b""[..], b"a", b"ab"] {
        subscriptions.insert(5, topic);
        subscriptions.insert(3, topic);
    }
    subscriptions.insert(4, b"a");
    for _ in 0..3 {
        assert_eq!(matching(&mut subscriptions, b"abc"), [5, 3, 4]);
    }
}

#[test]
fn a_leaving_peer_takes_its_last_topics_along() {
    let mut subscriptions = Subscriptions::new();
    for topic in ["common", "com", "mine"] {
        subscriptions.insert(0, topic.as_bytes());
    }
    subscriptions.insert(1, b"common");
    let mut gone = Vec::new();
    remove_peer(&mut subscriptions, 0, |topic| gone.push(topic.to_vec()));
    gone.sort();
    assert_eq!(gone, [&b"com"[..], b"mine"]);
    assert_eq!(subscriptions.count(0), 0);
    assert_eq!(matching(&mut subscriptions, b"common"), [1]);
    assert!(matching(&mut subscriptions, b"mine").is_empty());
    remove_peer(&mut subscriptions, 0, |_| panic!("is gone already"));
}

#[test]
fn agrees_with_a_naive_model() {
    let mut subscriptions = Subscriptions::new();
    let mut model = Model::default();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for step in 0..60_000 {
        let (peer, topic) = (random.below(6), random.topic());
        // Grows for a while, then shrinks: the table must get through both.
        let removals = if step / 5000 % 2 == 0 { 3 } else { 7 };
        match random.below(10) {
            0 if random.below(100) == 0 => {
                let mut gone = Vec::new();
                remove_peer(&mut subscriptions, peer, |topic| gone.push(topic.to_vec()));
                gone.sort();
                assert_eq!(gone, model.remove_peer(peer));
            }
            n if n < removals => {
                let removed = subscriptions.remove(peer, &topic);
                assert_eq!(removed, model.remove(peer, &topic));
            }
            _ => {
                let inserted = subscriptions.insert(peer, &topic);
                assert_eq!(inserted, model.insert(peer, &topic));
            }
        }
        if step % 16 == 0 {
            let topic = random.topic();
            let mut peers = matching(&mut subscriptions, &topic);
            peers.sort_unstable();
            assert_eq!(peers, model.matching(&topic));
            assert_eq!(subscriptions.count(peer), model.count(peer));
            assert_eq!(subscriptions.distinct_topics(), model.topics.len());
        }
    }
}

#[test]
fn nested_topics_cost_no_more_than_their_length() {
    let mut subscriptions = Subscriptions::new();
    let topic = [b'a'; 1000];
    for len in (0..=topic.len()).rev() {
        for peer in 0..2 {
            subscriptions.insert(peer, &topic[..len]);
        }
    }
    let started = Instant::now();
    for _ in 0..1000 {
        assert_eq!(subscriptions.matching::<Topics>(&topic), 2);
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    remove_peer(&mut subscriptions, 0, |_| panic!("peer 1 has the same"));
    let mut gone = 0;
    remove_peer(&mut subscriptions, 1, |_| gone += 1);
    assert_eq!(gone, 1001);
}

/// Not a benchmark: quadratic code would take hours, so the bound holds on any machine and in any build.
#[test]
fn a_million_topics_come_and_go() {
    let started = Instant::now();
    let mut subscriptions = Subscriptions::new();
    let topic = |n: u32| n.wrapping_mul(0x9E37_79B1).to_be_bytes();
    for n in 0..1_000_000 {
        assert_eq!(subscriptions.insert(0, &topic(n)), Inserted::First);
    }
    assert_eq!(subscriptions.insert(0, &topic(7)), Inserted::Duplicate);
    assert_eq!(subscriptions.insert(1, &topic(7)), Inserted::Added);
    assert_eq!(subscriptions.count(0), 1_000_000);
    let mut gone = 0;
    remove_peer(&mut subscriptions, 0, |_| gone += 1);
    assert_eq!(gone, 999_999);
    assert_eq!(matching(&mut subscriptions, &topic(7)), [1]);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn many_peers_on_one_topic_leave_in_any_order() {
    let mut subscriptions = Subscriptions::new();
    for peer in 0..1000 {
        subscriptions.insert(peer, b"");
        subscriptions.insert(peer, b"x");
    }
    for peer in (0..1000).step_by(3) {
        assert_eq!(subscriptions.remove(peer, b""), Removed::NotLast);
    }
    assert_eq!(subscriptions.matching::<Topics>(b"y"), 666);
    assert_eq!(subscriptions.matching::<Topics>(b"x"), 1000);
    for peer in (0..1000).rev() {
        remove_peer(&mut subscriptions, peer, |_| assert!(peer < 2));
    }
    assert!(subscriptions.is_empty());
}

#[test]
fn peers_count_once_and_only_while_subscribed() {
    let mut subscriptions = Subscriptions::new();
    assert_eq!(subscriptions.peers(), 0);
    subscriptions.insert(3, b"a");
    subscriptions.insert(3, b"b");
    subscriptions.insert(5, b"a");
    assert_eq!(subscriptions.peers(), 2);
    subscriptions.remove(5, b"a");
    assert_eq!(subscriptions.peers(), 1);
}

#[test]
fn a_peer_with_many_topics_leaves_bit_by_bit() {
    const LEAVING: usize = 3;
    const STAYING: usize = 1;
    let mut subscriptions = Subscriptions::new();
    let topic = |number: usize| format!("{number:04}").into_bytes();
    for number in 0..1_000 {
        subscriptions.insert(LEAVING, &topic(number));
        if number % 2 == 0 {
            subscriptions.insert(STAYING, &topic(number));
        }
    }
    subscriptions.begin_removing(LEAVING, None);
    subscriptions.begin_removing(LEAVING, None);
    let mut steps = 0;
    loop {
        assert!(subscriptions.is_removing(LEAVING));
        assert_eq!(subscriptions.peers(), 1, "the one that stays");
        assert_eq!(subscriptions.matching::<Topics>(&topic(500)), 1);
        assert_eq!(subscriptions.matching::<Topics>(&topic(501)), 0);
        match subscriptions.remove_more(&|| true, None) {
            None => steps += 1,
            Some(left) => break assert_eq!(left, LEAVING),
        }
    }
    assert_eq!(steps, 1_000 / REMOVED_AT_ONCE);
    assert!(!subscriptions.is_removing(LEAVING) && !subscriptions.is_removing_any());
    assert_eq!(subscriptions.count(LEAVING), 0);
    assert_eq!(subscriptions.count(STAYING), 500);
    assert_eq!(subscriptions.distinct_topics(), 500);
    assert_eq!(subscriptions.insert(LEAVING, &topic(501)), Inserted::First);
    assert_eq!(
        subscriptions.matching::<Topics>(&topic(501)),
        1,
        "it has come back"
    );
}

#[test]
fn a_peer_with_few_topics_leaves_at_once_and_one_that_is_dropped_too() {
    let mut subscriptions = Subscriptions::new();
    subscriptions.insert(0, b"few");
    subscriptions.begin_removing(0, None);
    assert!(subscriptions.is_empty() && !subscriptions.is_removing_any());
    for number in 0..=REMOVED_AT_ONCE {
        subscriptions.insert(0, format!("{number:04}").as_bytes());
    }
    subscriptions.begin_removing(0, None);
    assert!(subscriptions.is_removing(0));
    subscriptions.remove_peer(0, None);
    assert!(subscriptions.is_empty() && !subscriptions.is_removing_any());
    assert_eq!(subscriptions.remove_more(&|| false, None), None);
}

/// Calls `gone` with each topic that nobody has any more.
fn remove_peer(subscriptions: &mut Subscriptions, peer: usize, mut gone: impl FnMut(&[u8])) {
    let mut told = |topic: &[u8], removed| {
        if removed == Removed::Last {
            gone(topic);
        }
    };
    subscriptions.remove_peer(peer, Some(&mut told));
}

#[test]
fn others_are_those_without_a_subscription_that_matches() {
    let mut subscriptions = Subscriptions::new();
    subscriptions.insert(1, b"news");
    subscriptions.insert(1, b"n");
    subscriptions.insert(2, b"sport");
    // Nothing is known of a peer that has never subscribed.
    let connected = [2, 1, 7];
    let mut others = |topic: &[u8]| {
        let mut others = Vec::new();
        subscriptions.for_each_other(&connected, topic, |peer| others.push(peer));
        others
    };
    assert_eq!(others(b"newspaper"), [2, 7]);
    assert_eq!(others(b"sport"), [1, 7]);
    assert_eq!(others(b"else"), [2, 1, 7]);
    assert_eq!(others(b""), [2, 1, 7]);
    subscriptions.insert(7, b"");
    let mut others = Vec::new();
    subscriptions.for_each_other(&connected, b"else", |peer| others.push(peer));
    assert_eq!(others, [2, 1]);
}

/// A group is the whole of a first frame, and has members of its own beside the groups whose names begin like its.
#[test]
fn a_group_is_no_prefix() {
    let mut subscriptions = Subscriptions::new();
    subscriptions.insert(1, b"news");
    subscriptions.insert(2, b"newspaper");
    subscriptions.insert(3, b"");
    subscriptions.insert(4, b"news");
    let mut members = |group: &[u8]| {
        let mut members = Vec::new();
        Groups::for_each(&mut subscriptions, group, |peer| members.push(peer));
        assert_eq!(subscriptions.matching::<Groups>(group), members.len());
        members
    };
    assert_eq!(members(b"news"), [1, 4]);
    assert_eq!(members(b"newspaper"), [2]);
    assert_eq!(members(b""), [3]);
    assert!(members(b"newsp").is_empty());
}
