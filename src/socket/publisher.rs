//! The PUB socket.

use std::time::Duration;

use super::common::common;
use super::{SendSocket, Socket};
use crate::engine::Wait;
use crate::error::{SendError, WaitError};
use crate::message::Payload;
use crate::pattern::{PubPattern, Published};

/// Sends each message to every peer that has subscribed to a prefix of its first frame.
///
/// - A subscriber that is at its high-water mark misses the message. `send` says how many got it and how
///   many were skipped, and [`stats`](Self::stats) counts per peer. With
///   [`pub_block`](crate::Options::pub_block) `send` waits instead.
/// - What is published before a subscription has arrived is not sent:
///   [`wait_for_subscribers`](Self::wait_for_subscribers) spares everybody the sleep.
///
/// RFC 29; libzmq: `ZMQ_PUB`.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Pub, Sub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let publisher = Pub::new(&context)?;
/// let endpoint = publisher.bind("tcp://127.0.0.1:*")?;
///
/// let sub = Sub::new(&context)?;
/// sub.subscribe("review.")?;
/// sub.connect(&endpoint)?;
///
/// publisher.wait_for_subscribers("review.", 1, Duration::from_secs(5))?;
/// publisher.send(["stock.42", "not wanted"])?;
/// assert_eq!(publisher.send(["review.42", "five stars"])?.sent, 1);
/// assert_eq!(sub.recv()?, ["review.42", "five stars"]);
/// # Ok(())
/// # }
/// ```
pub struct Pub {
    pub(super) socket: Socket<PubPattern>,
}

common!(Pub, "PUB", options => PubPattern::new(
    options.max_subscription_length,
    options.max_subscriptions,
    options.pub_block,
));

impl Pub {
    /// Publishes a message. Does not wait, unless [`pub_block`](crate::Options::pub_block) is set.
    ///
    /// # Errors
    ///
    /// Closed, or timed out with `pub_block`; the error gives the message back.
    #[inline]
    pub fn send(&self, message: impl Payload) -> Result<Published, SendError> {
        self.socket.send(message, self.socket.send_wait())
    }

    /// Publishes a message; with [`pub_block`](crate::Options::pub_block), only if every subscriber who
    /// wants it has room now.
    ///
    /// # Errors
    ///
    /// A subscriber has no room (with `pub_block`), or closed; the error gives the message back.
    pub fn try_send(&self, message: impl Payload) -> Result<Published, SendError> {
        self.socket.send(message, Wait::Not)
    }

    /// Publishes a message; with [`pub_block`](crate::Options::pub_block), waits for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out (with `pub_block`), or closed; the error gives the message back.
    pub fn send_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Published, SendError> {
        self.socket.send(message, Wait::AtMost(timeout))
    }

    /// Waits until a message with this topic would go to at least so many peers.
    ///
    /// # Errors
    ///
    /// There were fewer when the time was up, or the socket was closed.
    pub fn wait_for_subscribers(
        &self,
        topic: impl AsRef<[u8]>,
        count: usize,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let topic = topic.as_ref();
        self.socket
            .wait_for_count(count, timeout, |pattern, _| pattern.subscribers(topic))
    }

    /// Waits until at least so many peers have subscribed to something, whatever it is.
    ///
    /// # Errors
    ///
    /// There were fewer when the time was up, or the socket was closed.
    pub fn wait_for_any_subscribers(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        self.socket
            .wait_for_count(count, timeout, |pattern, _| pattern.any_subscribers())
    }
}

impl SendSocket for Pub {
    type Sent = Published;

    #[inline]
    fn send(&self, message: impl Payload) -> Result<Published, SendError> {
        Pub::send(self, message)
    }

    #[inline]
    fn try_send(&self, message: impl Payload) -> Result<Published, SendError> {
        Pub::try_send(self, message)
    }

    fn send_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Published, SendError> {
        Pub::send_timeout(self, message, timeout)
    }
}
