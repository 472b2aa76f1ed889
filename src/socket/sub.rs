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
/// RFC 29; libzmq: `ZMQ_SUB`. For an example see [`Pub`](crate::Pub).
pub struct Sub {
    pub(super) socket: Socket<SubPattern>,
}

common!(Sub, "SUB", _options => SubPattern::new());

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
    /// ignored, as libzmq does.
    ///
    /// # Errors
    ///
    /// The socket is closed, or the context shut down.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let topic = topic.as_ref();
        let core = self.socket.core();
        core.change(|pattern, net| pattern.unsubscribe(&mut net.peers, topic))
            .map_err(SubscribeError::from)
    }
}
