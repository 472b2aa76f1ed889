//! The SUB socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use crate::error::SubscribeError;
use crate::pattern::SubPattern;

/// Receives what it has subscribed to, from all its publishers, fairly.
///
/// Subscriptions may be made before and after connecting; every connection, new or renewed, is told all
/// of them. They are counted: a topic subscribed twice is to be unsubscribed twice.
///
/// A publisher is not told of topics that it does not take, and all others hold: those beyond its limits, if it has announced
/// them, and otherwise one over which it has ended as many connections as
/// [`max_delivery_attempts`](crate::Options::max_delivery_attempts) allows, in a row. A monitor is told of each
/// ([`Event::SubscriptionRefused`](crate::Event::SubscriptionRefused)).
///
/// RFC 29; libzmq: `ZMQ_SUB`. For an example see [`Pub`](crate::Pub).
pub struct Sub {
    pub(super) socket: Socket<SubPattern>,
}

common!(Sub, "SUB", options => SubPattern::with_options(options));

receiving!(Sub);

impl Sub {
    /// Wants messages whose first frame begins with `topic`. The empty topic wants all.
    ///
    /// # Errors
    ///
    /// The socket is closed, or the context shut down.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let topic = topic.as_ref();
        let core = self.socket.core();
        core.change(|pattern, net| pattern.subscribe(&mut net.peers, topic))
            .map_err(SubscribeError::from)
    }

    /// Takes one [`subscribe`](Self::subscribe) of the same topic back. A topic that was not subscribed is
    /// ignored, as libzmq does. If it has a cursor ([`ReplayFrom::Resume`](crate::ReplayFrom::Resume)), that is written and not touched any more.
    ///
    /// # Errors
    ///
    /// The socket is closed, or the context shut down. [`SubscribeError::Cursor`]: the topic is unsubscribed, and the file has not been written.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        self.take_back(topic.as_ref())
    }

    /// How many different topics it has subscribed to.
    ///
    /// libzmq: `ZMQ_TOPICS_COUNT`, a draft.
    pub fn topics_count(&self) -> usize {
        self.socket.count(|pattern| pattern.topics())
    }
}
