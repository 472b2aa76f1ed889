//! SUB: messages from all publishers, filtered once more on arrival.

use super::fair_turns::take_fairly;
use super::publisher::{Publisher, Tell};
use super::{FairQueue, Pattern, Receiving, TopicFilter};
use crate::engine::{PeerId, Peers, Unsent};
use crate::message::Message;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct SubPattern {
    filter: TopicFilter,
    queue: FairQueue,
    /// What those are told that have been connected at some time.
    publishers: Vec<(PeerId, Publisher)>,
    /// How many connections of a publisher may end over one topic.
    most: Option<u32>,
}

impl SubPattern {
    /// A publisher may end so many connections over one topic.
    pub(crate) fn new(most: Option<u32>) -> Self {
        SubPattern {
            filter: TopicFilter::new(),
            queue: FairQueue::new(),
            publishers: Vec::new(),
            most,
        }
    }

    pub(crate) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if self.filter.subscribe(topic) {
            for (id, publisher) in &mut self.publishers {
                publisher.subscribe(topic, &mut |what| tell(peers, *id, what));
            }
        }
    }

    pub(crate) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if self.filter.unsubscribe(topic) {
            for (id, publisher) in &mut self.publishers {
                publisher.unsubscribe(topic, &mut |what| tell(peers, *id, what));
            }
        }
    }

    fn publisher(&mut self, id: PeerId) -> Option<&mut Publisher> {
        let mut publishers = self.publishers.iter_mut();
        publishers
            .find(|(of, _)| *of == id)
            .map(|(_, publisher)| publisher)
    }

    /// Takes messages until one is wanted.
    #[cold]
    fn recv_wanted(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        loop {
            take_fairly(&mut self.queue, peers, message)?;
            if self.filter.matches(message.first()) {
                return Some(());
            }
        }
    }
}

/// Says it to the publisher, or of it.
fn tell(peers: &mut Peers, id: PeerId, what: Tell<'_>) {
    match what {
        Tell::Subscribe(topic) => peers.send_topic(id, topic, true),
        Tell::Cancel(topic) => peers.send_topic(id, topic, false),
        Tell::Ask(number) => peers.ask(id, number),
        Tell::Withheld(topic, cause) => peers.topic_withheld(id, topic.len(), cause),
    }
}

impl Receiving for SubPattern {
    /// Takes the next message that matches. One that no longer does was under way when its topic was
    /// unsubscribed.
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_fairly(&mut self.queue, peers, message)?;
        if self.filter.matches(message.first()) {
            return Some(());
        }
        self.recv_wanted(peers, message)
    }
}

impl Pattern for SubPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Sub
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        true
    }

    /// The publisher holds subscriptions per connection, so each connection is told all of them.
    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if self.publisher(id).is_none() {
            self.publishers.push((id, Publisher::new(self.most)));
        }
        let limits = peers.topic_limits(id);
        let mut publishers = self.publishers.iter_mut();
        if let Some((_, publisher)) = publishers.find(|(of, _)| *of == id) {
            publisher.established(limits, self.filter.iter(), &mut |what| {
                tell(peers, id, what);
            });
        }
    }

    fn ended_in_doubt(&mut self, id: PeerId) {
        if let Some(publisher) = self.publisher(id) {
            publisher.ended_in_doubt();
        }
    }

    fn answered(&mut self, id: PeerId, number: Option<u64>) -> bool {
        let publisher = self.publisher(id);
        publisher.is_some_and(|publisher| publisher.answered(number))
    }

    fn go_on(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(publisher) = self.publisher(id) {
            publisher.go_on(&mut |what| tell(peers, id, what));
        }
    }

    fn awaits_answer(&self, id: PeerId) -> bool {
        let mut publishers = self.publishers.iter();
        publishers.any(|(of, publisher)| *of == id && publisher.waits())
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        if let Some(publisher) = self.publisher(id) {
            publisher.lost();
        }
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        if let Some(publisher) = self.publisher(id) {
            publisher.lost();
        }
    }

    fn forget(&mut self, id: PeerId) {
        self.publishers.retain(|(of, _)| *of != id);
        self.queue.remove(id);
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn connects_once(&self) -> bool {
        true
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
