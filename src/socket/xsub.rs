//! The XSUB socket.

use super::common::common;
use super::receiving::receiving;
use super::{SendSocket, Socket};
use crate::engine::Wait;
use crate::error::{SendError, SubscribeError};
use crate::message::Payload;
use crate::pattern::{Published, XsubPattern};

/// A [`Sub`](crate::Sub) that sends as well: the upstream side of a proxy, or a subscriber that talks back to its publishers.
///
/// - Subscriptions are sent to all publishers, present and future. They are counted: the end of one is sent when a topic has been
///   unsubscribed as often as subscribed (but see [`xsub_verbose_unsubscribe`](crate::Options::xsub_verbose_unsubscribe)). Each `subscribe` is sent, also that of a topic which is wanted already: behind a proxy a
///   publisher may want to hear of every one.
/// - [`send`](Self::send) takes subscriptions in libzmq's form, as an [`Xpub`](crate::Xpub) receives them: a frame that begins with 1, or 0
///   for its end, and goes on with the topic. Everything else goes as a message to all publishers; an XPUB receives it, a PUB does not.
/// - What comes is received as it comes. Whoever has subscribed to several publishers through several proxies may get what it no
///   longer wants: there is no filter on arrival, as in libzmq.
///
/// RFC 29; libzmq: `ZMQ_XSUB`.
///
/// ```
/// use zerohop::{Context, Pub, Sub, Xpub, Xsub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// // A proxy between a publisher and a subscriber …
/// let (xsub, xpub) = (Xsub::new(&context)?, Xpub::new(&context)?);
/// let publisher = Pub::new(&context)?;
/// xsub.connect(publisher.bind("tcp://127.0.0.1:*")?)?;
/// let sub = Sub::new(&context)?;
/// sub.connect(xpub.bind("tcp://127.0.0.1:*")?)?;
///
/// // … passes what is wanted up, and what is published down.
/// sub.subscribe("review.")?;
/// xsub.send(xpub.recv()?)?;
/// # publisher.wait_for_subscribers("review.", 1, std::time::Duration::from_secs(10))?;
/// publisher.send(["review.42", "five stars"])?;
/// xpub.send(xsub.recv()?)?;
/// assert_eq!(sub.recv()?, ["review.42", "five stars"]);
/// # Ok(())
/// # }
/// ```
pub struct Xsub {
    pub(super) socket: Socket<XsubPattern>,
}

common!(Xsub, "XSUB", options => XsubPattern::new(
    options.max_delivery_attempts,
    options.xsub_verbose_unsubscribe,
));

receiving!(Xsub);

impl Xsub {
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

    /// How many different topics it has subscribed to.
    ///
    /// libzmq: `ZMQ_TOPICS_COUNT`, a draft.
    pub fn topics_count(&self) -> usize {
        self.socket.count(|pattern| pattern.topics())
    }

    /// Subscribes, unsubscribes, or sends a message to all publishers, and says to how many. Never waits: a publisher that is at its
    /// high-water mark misses the message, which is counted.
    ///
    /// # Errors
    ///
    /// Closed; the error gives the message back.
    pub fn send(&self, message: impl Payload) -> Result<Published, SendError> {
        self.socket.send(message, Wait::Not)
    }
}

impl SendSocket for Xsub {
    type Sent = Published;
}
