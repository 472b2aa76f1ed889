//! The SUB socket.

use super::{Socket, common, recv_error};
use crate::engine::{Stop, Wait};
use crate::error::{RecvError, SubscribeError};
use crate::message::Message;
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
            .map_err(subscribe_error)
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
            .map_err(subscribe_error)
    }

    #[inline]
    fn recv_into_by(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        let core = self.socket.core();
        let received = core.at_once(|pattern, net| pattern.recv(&mut net.peers, message));
        match received {
            Some(()) => Ok(()),
            None => self.recv_slowly(message, wait),
        }
    }

    #[inline(never)]
    fn recv_slowly(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        let received = self
            .socket
            .core()
            .until(wait, |pattern, net| pattern.recv(&mut net.peers, message));
        received.map_err(recv_error)
    }

    fn recv_batch_by(
        &self,
        max: usize,
        batch: &mut Vec<Message>,
        wait: Wait,
    ) -> Result<(), RecvError> {
        let received = self.socket.core().until(wait, |pattern, net| {
            super::fill(batch, max, |message| pattern.recv(&mut net.peers, message))
        });
        received.map_err(recv_error)
    }
}

fn subscribe_error(stop: Stop) -> SubscribeError {
    match stop {
        Stop::ContextClosed => SubscribeError::ContextClosed,
        Stop::Closed | Stop::WouldBlock | Stop::TimedOut => SubscribeError::Closed,
    }
}
