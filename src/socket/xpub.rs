//! The XPUB socket.

use std::time::Duration;

use super::common::common;
use super::publishing::publishing;
use super::receiving::receiving;
use super::{Socket, futures, recv_error};
use crate::engine::Wait;
use crate::error::{RecvError, SubscribeError};
use crate::pattern::{Subscriber, Subscription, Upstream, XpubPattern};

/// A [`Pub`](crate::Pub) that receives the subscriptions of its peers: the downstream side of a proxy, or a publisher that wants to know
/// what is wanted.
///
/// - [`recv_upstream`](Self::recv_upstream) says what a topic is and whether it is wanted; [`recv`](Self::recv) gives the same in
///   libzmq's form, a frame that begins with 1 or 0, which an [`Xsub`](crate::Xsub) takes as it is. Received are the first
///   subscription to each topic and the end of the last one, also where that ends because its peer has gone. For all of
///   them see [`xpub_verbose`](crate::Options::xpub_verbose) and [`xpub_verboser`](crate::Options::xpub_verboser).
/// - The messages of XSUB peers are received as well, unless their first frame begins with 0 or 1: then that is a subscription. What a
///   peer sends as messages may be received after subscriptions that it made later.
/// - What is not received counts: with [`recv_hwm`](crate::Options::recv_hwm) of it from one peer, that peer is not read from, so that
///   further subscriptions of it wait. Somebody has to receive; who does not care uses a [`Pub`](crate::Pub). libzmq keeps any number.
/// - With [`xpub_manual`](crate::Options::xpub_manual), peers are sent what the application subscribes them to.
///
/// RFC 29; libzmq: `ZMQ_XPUB`.
///
/// ```
/// use zerohop::{Context, Sub, Upstream, Xpub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let xpub = Xpub::new(&context)?;
/// let endpoint = xpub.bind("tcp://127.0.0.1:*")?;
///
/// let sub = Sub::new(&context)?;
/// sub.subscribe("stock.42")?;
/// sub.connect(&endpoint)?;
///
/// // Whoever wants to know of an article is told at once how many there are.
/// if let Upstream::Subscribe(subscription) = xpub.recv_upstream()? {
///     assert_eq!(*subscription.topic(), "stock.42");
///     xpub.send([subscription.topic().as_slice(), b"7"])?;
/// }
/// assert_eq!(sub.recv()?, ["stock.42", "7"]);
///
/// sub.unsubscribe("stock.42")?;
/// assert_eq!(xpub.recv()?, "\0stock.42");
/// # Ok(())
/// # }
/// ```
pub struct Xpub {
    pub(super) socket: Socket<XpubPattern>,
}

common!(Xpub, "XPUB", options => XpubPattern::new(options));

publishing!(Xpub);

receiving!(Xpub);

impl Xpub {
    /// Receives the next subscription, or message; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_upstream(&self) -> Result<Upstream, RecvError> {
        self.recv_upstream_for(self.socket.recv_wait())
    }

    /// Receives a subscription or message if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    pub fn try_recv_upstream(&self) -> Result<Upstream, RecvError> {
        self.recv_upstream_for(Wait::Not)
    }

    /// Receives the next subscription or message, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_upstream_timeout(&self, timeout: Duration) -> Result<Upstream, RecvError> {
        self.recv_upstream_for(Wait::AtMost(timeout))
    }

    /// Receives what comes next, in a task, and waits without end. It can be dropped at any time, as
    /// [`Pull::recv_async`](crate::Pull::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_upstream_async(&self) -> impl Future<Output = Result<Upstream, RecvError>> + Send {
        futures::receive(self.socket.core(), |pattern, net| {
            pattern.next(&mut net.peers)
        })
    }

    fn recv_upstream_for(&self, wait: Wait) -> Result<Upstream, RecvError> {
        let core = self.socket.core();
        let received = core.until(wait, |pattern, net| pattern.next(&mut net.peers));
        received.map_err(recv_error)
    }

    /// Sends the peer that made this subscription what begins with `topic`, from now on: with
    /// [`xpub_manual`](crate::Options::xpub_manual).
    ///
    /// # Errors
    ///
    /// The option is off, the peer has gone, or closed.
    ///
    /// ```
    /// # use zerohop::{Context, Options, Sub, Upstream, Xpub};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// let xpub = Xpub::with_options(&context, Options::new().xpub_manual(true))?;
    /// # let sub = Sub::new(&context)?;
    /// # sub.subscribe("stock.42")?;
    /// # sub.connect(xpub.bind("tcp://127.0.0.1:*")?)?;
    /// if let Upstream::Subscribe(subscription) = xpub.recv_upstream()? {
    ///     // It may have what it asks for, and hears of the end of the day.
    ///     xpub.subscribe_for(&subscription, subscription.topic())?;
    ///     xpub.subscribe_for(&subscription, "closing")?;
    /// }
    /// assert_eq!(xpub.send("stock.43")?.sent, 0);
    /// assert_eq!(xpub.send("closing")?.sent, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_for(
        &self,
        subscription: &Subscription,
        topic: impl AsRef<[u8]>,
    ) -> Result<(), SubscribeError> {
        self.grant(|_| subscription.subscriber(), topic.as_ref(), true)
    }

    /// Takes back what [`subscribe_for`](Self::subscribe_for) has made. If the peer has gone, there is nothing to take back, and that is no
    /// error.
    ///
    /// # Errors
    ///
    /// The option is off, or closed.
    pub fn unsubscribe_for(
        &self,
        subscription: &Subscription,
        topic: impl AsRef<[u8]>,
    ) -> Result<(), SubscribeError> {
        self.grant(|_| subscription.subscriber(), topic.as_ref(), false)
    }

    /// As [`subscribe_for`](Self::subscribe_for), for the peer whose subscription was received last, whichever thread it was that
    /// received it. libzmq: `ZMQ_SUBSCRIBE` of an XPUB.
    ///
    /// # Errors
    ///
    /// The option is off, the peer has gone, or closed.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        self.grant(XpubPattern::last, topic.as_ref(), true)
    }

    /// As [`unsubscribe_for`](Self::unsubscribe_for), for the peer whose subscription was received last. libzmq: `ZMQ_UNSUBSCRIBE` of an
    /// XPUB.
    ///
    /// # Errors
    ///
    /// The option is off, no subscription was received yet, or closed.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        self.grant(XpubPattern::last, topic.as_ref(), false)
    }

    fn grant(
        &self,
        to: impl FnOnce(&XpubPattern) -> Option<Subscriber>,
        topic: &[u8],
        subscribe: bool,
    ) -> Result<(), SubscribeError> {
        let core = self.socket.core();
        core.change(|pattern, _| {
            if !pattern.is_manual() {
                return Err(SubscribeError::NotManual);
            }
            let to = to(pattern);
            match to.map(|to| pattern.grant(to, topic, subscribe)) {
                Some(true) => Ok(()),
                // What it was granted has gone with it.
                Some(false) if !subscribe => Ok(()),
                Some(false) | None => Err(SubscribeError::SubscriberGone),
            }
        })?
    }
}
