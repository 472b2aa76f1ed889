//! SUB: messages from all publishers, filtered once more on arrival.

use super::fair_turns::take_fairly;
use super::{FairQueue, Pattern, Receiving, TopicFilter};
use crate::engine::{PeerId, Peers, Unsent};
use crate::message::Message;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct SubPattern {
    filter: TopicFilter,
    queue: FairQueue,
    /// Peers whose handshake is done: who is told of a change.
    connected: Vec<PeerId>,
}

impl SubPattern {
    pub(crate) fn new() -> Self {
        SubPattern {
            filter: TopicFilter::new(),
            queue: FairQueue::new(),
            connected: Vec::new(),
        }
    }

    pub(crate) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if self.filter.subscribe(topic) {
            self.tell_all(peers, topic, true);
        }
    }

    pub(crate) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if self.filter.unsubscribe(topic) {
            self.tell_all(peers, topic, false);
        }
    }

    fn tell_all(&mut self, peers: &mut Peers, topic: &[u8], subscribe: bool) {
        for id in &self.connected {
            peers.send_topic(*id, topic, subscribe);
        }
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
        self.connected.push(id);
        for topic in self.filter.iter() {
            peers.send_topic(id, &topic, true);
        }
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.connected.retain(|connected| *connected != id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.connected.retain(|connected| *connected != id);
    }

    fn forget(&mut self, id: PeerId) {
        self.connected.retain(|connected| *connected != id);
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
