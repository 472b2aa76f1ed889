//! Which topics a subscriber wants: the receiving side of PUB/SUB.

use std::num::NonZeroUsize;

use super::prefix_trie::{Label, PrefixTrie};

/// The topics of one subscriber. A topic subscribed to twice must be unsubscribed from twice.
///
/// The publisher knows no such count: send it a topic when the first reference comes, or again to a publisher
/// that has just connected, and take it back when the last one goes.
#[derive(Debug)]
pub(crate) struct TopicFilter {
    references: PrefixTrie<NonZeroUsize>,
    /// The only topic, as long as there has been no other: most subscribers have one, and every message is compared with it.
    only: Option<Label>,
    /// Wanted is what no topic matches.
    inverted: bool,
    /// Bytes of all different topics.
    bytes: usize,
}

impl TopicFilter {
    pub(crate) fn new() -> Self {
        Self {
            references: PrefixTrie::new(),
            only: None,
            inverted: false,
            bytes: 0,
        }
    }

    /// One that wants what no topic matches, if so told.
    pub(crate) fn inverted(self, inverted: bool) -> Self {
        Self { inverted, ..self }
    }

    /// Whether it wants what no topic matches, from now on.
    pub(crate) fn invert(&mut self, inverted: bool) {
        if inverted {
            self.only = None;
        }
        self.inverted = inverted;
    }

    /// Adds a reference; says whether it is the first.
    pub(crate) fn subscribe(&mut self, topic: &[u8]) -> bool {
        if let Some(id) = self.references.find(topic)
            && let Some(count) = self.references.value_mut(id)
        {
            *count = count.saturating_add(1);
            return false;
        }
        let is_only = self.references.is_empty() && !self.inverted;
        self.only = is_only.then(|| Label::new(topic));
        self.references.insert(topic, NonZeroUsize::MIN);
        self.bytes += topic.len();
        true
    }

    /// Drops a reference; says whether it was the last. A topic without references stays so.
    pub(crate) fn unsubscribe(&mut self, topic: &[u8]) -> bool {
        let Some(id) = self.references.find(topic) else {
            return false;
        };
        let Some(count) = self.references.value_mut(id) else {
            return false;
        };
        if let Some(fewer) = NonZeroUsize::new(count.get() - 1) {
            *count = fewer;
            return false;
        }
        self.references.remove(id);
        self.bytes -= topic.len();
        self.only = None;
        true
    }

    /// Whether a message that starts with these bytes is wanted.
    #[inline]
    pub(crate) fn matches(&self, topic: &[u8]) -> bool {
        match &self.only {
            Some(only) => only.is_prefix_of(topic),
            None => self.matches_any(topic),
        }
    }

    /// Whether this very topic is there.
    pub(crate) fn contains(&self, topic: &[u8]) -> bool {
        self.references.find(topic).is_some()
    }

    #[inline(never)]
    fn matches_any(&self, topic: &[u8]) -> bool {
        self.references.prefixes(topic).next().is_some() != self.inverted
    }

    /// Each topic once, whatever its references, in no useful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Vec<u8>> {
        self.references.ids().map(|id| {
            let mut topic = Vec::new();
            self.references.read_topic(id, &mut topic);
            topic
        })
    }

    /// Bytes of all different topics.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of different topics.
    pub(crate) fn len(&self) -> usize {
        self.references.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.references.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wanted_without_a_subscription() {
        let filter = TopicFilter::new();
        assert!(!filter.matches(b""));
        assert!(!filter.matches(b"a"));
        assert!(filter.is_empty());
    }

    #[test]
    fn the_empty_topic_wants_everything() {
        let mut filter = TopicFilter::new();
        assert!(filter.subscribe(b""));
        assert!(filter.matches(b""));
        assert!(filter.matches(b"anything"));
        assert!(filter.unsubscribe(b""));
        assert!(!filter.matches(b"anything"));
    }

    #[test]
    fn a_topic_is_a_byte_prefix() {
        let mut filter = TopicFilter::new();
        filter.subscribe(b"weather");
        assert!(filter.matches(b"weather"));
        assert!(filter.matches(b"weather.eu"));
        assert!(!filter.matches(b"weathe"));
        assert!(!filter.matches(b"wealth"));
        assert!(!filter.matches(b""));
    }

    #[test]
    fn inverted_it_wants_what_no_topic_matches() {
        let mut filter = TopicFilter::new().inverted(true);
        assert!(filter.matches(b"") && filter.matches(b"weather.eu"));
        filter.subscribe(b"weather");
        assert!(!filter.matches(b"weather.eu"));
        assert!(filter.matches(b"weathe") && filter.matches(b""));
        filter.subscribe(b"sport");
        assert!(!filter.matches(b"weather") && !filter.matches(b"sport"));
        filter.unsubscribe(b"weather");
        assert!(filter.matches(b"weather") && !filter.matches(b"sport"));
    }

    #[test]
    fn references_are_counted_per_topic() {
        let mut filter = TopicFilter::new();
        assert!(filter.subscribe(b"ab"));
        assert!(!filter.subscribe(b"ab"));
        assert!(filter.subscribe(b"abc"));
        assert_eq!(filter.len(), 2);
        assert!(!filter.unsubscribe(b"ab"));
        assert!(filter.matches(b"ab"));
        assert!(filter.unsubscribe(b"ab"));
        assert!(!filter.matches(b"ab"));
        assert!(filter.matches(b"abc"));
        assert!(!filter.unsubscribe(b"ab"));
        assert!(!filter.unsubscribe(b"never there"));
        assert!(filter.unsubscribe(b"abc"));
        assert!(filter.is_empty());
    }

    #[test]
    fn iter_names_each_topic_once() {
        let mut filter = TopicFilter::new();
        let long = vec![7; 5000];
        for topic in [&b""[..], b"a", b"abc", b"abd", b"abd", &long, b"b\0"] {
            filter.subscribe(topic);
        }
        filter.unsubscribe(b"a");
        let mut topics: Vec<_> = filter.iter().collect();
        topics.sort();
        assert_eq!(topics, [&b""[..], &long, b"abc", b"abd", b"b\0"]);
    }
}
