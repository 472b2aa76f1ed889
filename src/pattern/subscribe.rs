//! SUB: messages from all publishers, filtered once more on arrival. And DISH, whose publishers are RADIOs.

use super::fair_turns::{next_is, take_fairly};
use super::matching::{Groups, Matching, Topics};
use super::upstream::Upstreams;
use super::{FairQueue, Pattern, Receiving, TopicFilter};
use crate::engine::{PeerId, Peers, Unsent};
use crate::message::Message;
use crate::options::Options;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct SubOf<M> {
    topics: Upstreams<M>,
    queue: FairQueue,
}

/// SUB.
pub(crate) type SubPattern = SubOf<Topics>;

/// DISH.
pub(crate) type DishPattern = SubOf<Groups>;

impl<M: Matching> SubOf<M> {
    /// A publisher may end so many connections over one topic.
    /// Inverted, it wants what no topic matches.
    pub(crate) fn new(most: Option<u32>, inverted: bool) -> Self {
        let filter = TopicFilter::new().inverted(inverted);
        SubOf {
            topics: Upstreams::new(most, filter),
            queue: FairQueue::new(),
        }
    }

    pub(crate) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        self.topics.subscribe(peers, topic);
    }

    pub(crate) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        self.topics.unsubscribe(peers, topic);
    }

    /// Whether it is subscribed to exactly this.
    pub(crate) fn has(&self, topic: &[u8]) -> bool {
        self.topics.filter.contains(topic)
    }

    /// Takes messages until one is wanted.
    #[cold]
    fn recv_wanted(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        loop {
            take_fairly(&mut self.queue, peers, message)?;
            if M::is_wanted(&self.topics.filter, message.first()) {
                return Some(());
            }
        }
    }
}

impl<M: Matching> Receiving for SubOf<M> {
    /// Takes the next message that matches. One that no longer does was under way when its topic was
    /// unsubscribed.
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_fairly(&mut self.queue, peers, message)?;
        if M::is_wanted(&self.topics.filter, message.first()) {
            return Some(());
        }
        self.recv_wanted(peers, message)
    }
}

impl<M: Matching> Pattern for SubOf<M> {
    fn socket_type(&self) -> SocketType {
        M::SUBSCRIBER
    }

    fn reconfigure(&mut self, _peers: &mut Peers, options: &Options) {
        self.topics.set_most(options.max_delivery_attempts);
        self.topics
            .filter
            .invert(options.invert_matching && !M::GROUPS);
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        !M::GROUPS
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        self.topics.established(peers, id);
    }

    fn ended_in_doubt(&mut self, id: PeerId) {
        self.topics.ended_in_doubt(id);
    }

    fn answered(&mut self, id: PeerId) -> bool {
        self.topics.answered(id)
    }

    fn go_on(&mut self, peers: &mut Peers, id: PeerId) {
        self.topics.go_on(peers, id);
    }

    fn awaits_answer(&self, id: PeerId) -> bool {
        self.topics.awaits_answer(id)
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.topics.lost(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.topics.lost(id);
    }

    fn forget(&mut self, id: PeerId) {
        self.topics.forget(id);
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        let filter = &self.topics.filter;
        next_is(&mut self.queue, peers, |message| {
            message
                .first()
                .is_some_and(|topic| M::is_wanted(filter, topic))
        })
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn connects_once(&self) -> bool {
        !M::GROUPS
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
