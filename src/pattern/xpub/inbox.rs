//! What an XPUB receives, and what has come and waits for the application.

use std::collections::VecDeque;

use crate::engine::PeerId;
use crate::message::{Frame, Message};

/// What an XPUB receives: see [`Xpub::recv_upstream`](crate::Xpub::recv_upstream).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// A topic has its first subscriber; with [`xpub_verbose`](crate::Options::xpub_verbose), or
    /// [`xpub_manual`](crate::Options::xpub_manual), any.
    Subscribe(Subscription),
    /// A topic has lost its last subscriber; with [`xpub_verboser`](crate::Options::xpub_verboser), or
    /// [`xpub_manual`](crate::Options::xpub_manual), any.
    Unsubscribe(Subscription),
    /// An XSUB has sent a message.
    Message(Message),
}

/// A topic, and the peer that has subscribed to it or does so no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    topic: Frame,
    subscriber: Option<Subscriber>,
}

/// A peer on one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(super) id: PeerId,
    /// How often a connection of that peer had ended before.
    pub(super) ends: u64,
}

impl Subscription {
    fn new(topic: &[u8], subscriber: Subscriber) -> Self {
        Subscription {
            topic: Frame::copy_from_slice(topic),
            subscriber: Some(subscriber),
        }
    }

    /// What the first frame of a message is to begin with.
    pub fn topic(&self) -> &Frame {
        &self.topic
    }

    /// The topic itself.
    pub fn into_topic(self) -> Frame {
        self.topic
    }

    pub(crate) fn subscriber(&self) -> Option<Subscriber> {
        self.subscriber
    }
}

impl Upstream {
    /// As libzmq has it: a subscription is a frame of which the first byte is 1, or 0 for its end, and the rest the topic.
    pub fn into_message(self) -> Message {
        let (first, subscription) = match self {
            Upstream::Subscribe(subscription) => (1, subscription),
            Upstream::Unsubscribe(subscription) => (0, subscription),
            Upstream::Message(message) => return message,
        };
        let mut bytes = Vec::with_capacity(1 + subscription.topic.len());
        bytes.push(first);
        bytes.extend_from_slice(&subscription.topic);
        Message::from(bytes)
    }
}

/// What has come and the application has not taken.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) queue: VecDeque<Waiting>,
    /// How much of it is from each peer.
    pub(super) counts: Vec<usize>,
    /// How often the connection of each peer has ended, so that it is known later whether that is the same one.
    ends: Vec<u64>,
    /// The socket is closed: nobody will take anything.
    pub(super) closed: bool,
}

pub(super) struct Waiting {
    /// Its place is kept until this is taken.
    pub(super) from: Option<PeerId>,
    pub(super) what: Upstream,
}

impl Inbox {
    pub(super) fn push(&mut self, from: PeerId, what: Upstream) {
        if self.closed {
            return;
        }
        if from >= self.counts.len() {
            self.counts.resize(from + 1, 0);
        }
        self.counts[from] += 1;
        let from = Some(from);
        self.queue.push_back(Waiting { from, what });
    }

    pub(super) fn push_subscription(&mut self, from: PeerId, topic: &[u8], subscribe: bool) {
        let subscription = Subscription::new(topic, self.subscriber(from));
        self.push(
            from,
            match subscribe {
                true => Upstream::Subscribe(subscription),
                false => Upstream::Unsubscribe(subscription),
            },
        );
    }

    /// The subscription of a peer whose connection [has ended](Self::ended). Nothing can be granted to it any more, and the next peer
    /// at its place is another subscriber.
    pub(super) fn push_end(&mut self, from: PeerId, topic: &[u8]) {
        let mut subscriber = self.subscriber(from);
        subscriber.ends = subscriber.ends.saturating_sub(1);
        let subscription = Subscription::new(topic, subscriber);
        self.push(from, Upstream::Unsubscribe(subscription));
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        if let Some(from) = waiting.from {
            self.counts[from] -= 1;
        }
        Some(waiting)
    }

    pub(super) fn count(&self, from: PeerId) -> usize {
        self.counts.get(from).copied().unwrap_or_default()
    }

    pub(super) fn ends(&self, id: PeerId) -> u64 {
        self.ends.get(id).copied().unwrap_or_default()
    }

    pub(super) fn subscriber(&self, id: PeerId) -> Subscriber {
        let ends = self.ends(id);
        Subscriber { id, ends }
    }

    pub(super) fn ended(&mut self, id: PeerId) {
        if id >= self.ends.len() {
            self.ends.resize(id + 1, 0);
        }
        self.ends[id] += 1;
    }

    /// The peer is no more, and what it sent still waits.
    pub(super) fn forget(&mut self, id: PeerId) {
        if self.count(id) == 0 {
            return;
        }
        let its = |waiting: &&mut Waiting| waiting.from == Some(id);
        for waiting in self.queue.iter_mut().filter(its) {
            waiting.from = None;
        }
        self.counts[id] = 0;
    }
}
