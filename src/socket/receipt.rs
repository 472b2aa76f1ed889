//! What says that a message has been settled.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::futures::poll_once;
use super::routing::attempt_later as attempt_to;
use super::stored::{SocketSpool, wait_until_safe};
use super::{Push, Refused, Router, Socket, send_error, send_error_kind};
use crate::engine::{Core, Interest, Net, Outgoing, Shut, Stop, TaskCall, Wait};
use crate::error::{ReceiptError, SendError, SendErrorKind, Shortage};
use crate::message::Payload;
use crate::pattern::{DeadLetter, JobId, Pattern, Sending, Settled};

/// Tells what becomes of a message; given by [`Push::send_later`], [`Dealer::send_later`](crate::Dealer::send_later) and
/// [`Router::send_to_later`]. It can be dropped at any time: the message goes its way all the same.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Delivery, Options, Pull, Push, Settled};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new();
/// # let options = Options::new().delivery(Delivery::at_least_once());
/// # let pull = Pull::with_options(&context, options.clone())?;
/// # let push = Push::with_options(&context, options)?;
/// # push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
/// let first = push.send_later("order 1")?;
/// let second = push.send_later("order 2")?;
/// # std::thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
/// # let worker = scope.spawn(move || {
/// #     pull.recv_job().unwrap().settle().unwrap();
/// #     pull.recv_job().unwrap().reject("sold out").unwrap();
/// #     pull
/// # });
/// assert_eq!(first.settled()?, Settled::Done);
/// let Settled::Dead(reason) = second.settled_timeout(Duration::from_secs(5))? else {
///     panic!("it is rejected");
/// };
/// assert_eq!(reason.to_string(), "rejected: sold out");
/// # drop(worker.join());
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Receipt {
    /// `None`: nobody is going to settle the message.
    waits: Option<Waits>,
}

/// Of what a receipt tells.
struct Waits {
    id: JobId,
    holder: Arc<dyn Holder>,
    spool: Option<Arc<SocketSpool>>,
}

/// What a task waits for, in a box since nobody knows of which type the socket is.
type Told<'a, T> = Pin<Box<dyn Future<Output = Result<T, Shut>> + Send + 'a>>;

/// What a receipt asks its socket, of whichever type that is.
trait Holder: Send + Sync {
    fn settled(&self, number: u64, wait: Wait) -> Result<Settled, Stop>;

    fn settled_in_task(&self, number: u64) -> Told<'_, Settled>;

    /// What had become of a message by the time the socket was closed: it is known as long as the receipt is there.
    fn known_at_last(&self, number: u64) -> Option<Settled>;

    fn safe(&self, number: u64, wait: Wait) -> Result<bool, Stop>;

    fn safe_in_task<'a>(&'a self, spool: &'a SocketSpool, number: u64) -> Told<'a, bool>;

    /// There is no receipt any more.
    fn forget(&self, number: u64);
}

impl<P: Pattern + 'static> Holder for Core<P> {
    fn settled(&self, number: u64, wait: Wait) -> Result<Settled, Stop> {
        self.until(wait, |pattern, _| pattern.settled_as(number))
    }

    fn settled_in_task(&self, number: u64) -> Told<'_, Settled> {
        let mut call = TaskCall::new(self);
        Box::pin(poll_fn(move |context| {
            call.poll(context, Interest::Ended(number), |pattern, _| {
                pattern.settled_as(number)
            })
        }))
    }

    fn known_at_last(&self, number: u64) -> Option<Settled> {
        let known = self.inspect(|pattern, _| pattern.settled_as(number));
        known.ok().flatten()
    }

    fn safe(&self, number: u64, wait: Wait) -> Result<bool, Stop> {
        self.until(wait, |pattern, _| pattern.acked_out()?.is_durable(number))
    }

    fn safe_in_task<'a>(&'a self, spool: &'a SocketSpool, number: u64) -> Told<'a, bool> {
        let mut call = TaskCall::new(self);
        Box::pin(async move { wait_until_safe(&mut call, spool, number).await })
    }

    fn forget(&self, number: u64) {
        // In a forked child there is nothing to forget.
        let _ = self.inspect(|pattern, _| pattern.forget_receipt(number));
    }
}

impl Push {
    /// Sends a message as [`send`](Push::send) does, and gives a receipt that tells when a worker has settled it. Without the option
    /// [`delivery`](crate::Options::delivery) it tells that nobody will.
    ///
    /// # Errors
    ///
    /// As with [`send`](Push::send): the message has not been sent, and the error gives it back.
    pub fn send_later(&self, message: impl Payload) -> Result<Receipt, SendError> {
        self.socket.send_later(message)
    }

    /// The same in a task: waits for room as [`send_async`](Push::send_async) does, and for no disk. Until it is ready the future has sent nothing.
    ///
    /// # Errors
    ///
    /// As with [`send`](Push::send): the message has not been sent, and the error gives it back.
    pub fn send_later_async(
        &self,
        message: impl Payload,
    ) -> impl Future<Output = Result<Receipt, SendError>> {
        self.socket.send_later_async(message)
    }
}

impl Router {
    /// Sends a message to the peer with this routing id as [`send_to`](Router::send_to) does, and gives a receipt that tells when the peer has settled it. Without the
    /// option [`delivery`](crate::Options::delivery), or with a peer that settles nothing, it tells that nobody will.
    ///
    /// ```
    /// # use zerohop::{Context, Dealer, Delivery, Options, Router, Settled};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// # let options = Options::new().delivery(Delivery::at_least_once());
    /// let router = Router::with_options(&context, options.clone())?;
    /// let worker = Dealer::with_options(&context, options.routing_id("worker-1"))?;
    /// worker.connect(router.bind("tcp://127.0.0.1:*")?)?;
    /// # worker.send("ready")?;
    /// # router.recv()?;
    /// let receipt = router.send_to_later("worker-1", "order 1")?;
    /// worker.recv_job()?.settle()?;
    /// assert_eq!(receipt.settled()?, Settled::Done);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As with [`send_to`](Router::send_to): the message has not been sent, and the error gives it back.
    pub fn send_to_later(
        &self,
        peer: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> Result<Receipt, SendError> {
        let message = message.into_message();
        let outgoing = Outgoing::of(&message);
        let socket = &self.socket;
        let sent = socket.core().until(socket.send_wait(), |pattern, net| {
            attempt_to(pattern, net, peer.as_ref(), outgoing)
        });
        match sent.unwrap_or_else(|stop| Err(send_error_kind(stop))) {
            Ok(id) => Ok(self.receipt(id)),
            Err(kind) => Err(send_error(kind, message)),
        }
    }

    /// The same in a task: waits for room as [`send_to_async`](Router::send_to_async) does. Until it is ready the future has sent nothing.
    ///
    /// # Errors
    ///
    /// As with [`send_to`](Router::send_to): the message has not been sent, and the error gives it back.
    pub fn send_to_later_async(
        &self,
        peer: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> impl Future<Output = Result<Receipt, SendError>> {
        let sent = super::futures::send(
            self.socket.core(),
            message,
            move |pattern, net, outgoing| attempt_to(pattern, net, peer.as_ref(), outgoing),
        );
        let mut given = Some(Box::pin(async move {
            let id = sent.await?;
            Ok(self.receipt(id))
        }));
        poll_fn(move |context| poll_once(&mut given, context))
    }

    fn receipt(&self, id: Option<JobId>) -> Receipt {
        Receipt {
            waits: id.map(|id| self.socket.held_later(id)),
        }
    }
}

impl<P: Sending + 'static> Socket<P> {
    pub(super) fn send_later(&self, message: impl Payload) -> Result<Receipt, SendError> {
        let message = message.into_message();
        let outgoing = Outgoing::of(&message);
        let sent = match self.spool() {
            Some(spool) => self.store_later(spool, outgoing),
            None => self.hold_later(outgoing),
        };
        match sent {
            Ok(waits) => Ok(Receipt { waits }),
            Err(refused) => Err(send_error(refused, message)),
        }
    }

    pub(super) fn send_later_async(
        &self,
        message: impl Payload,
    ) -> impl Future<Output = Result<Receipt, SendError>> {
        let mut sent = Some(Box::pin(self.later_in_task(message)));
        poll_fn(move |context| poll_once(&mut sent, context))
    }

    async fn later_in_task(&self, message: impl Payload) -> Result<Receipt, SendError> {
        let message = message.into_message();
        let outgoing = Outgoing::of(&message);
        let sent = match self.spool() {
            Some(spool) => match self.store_later_in_task(spool, outgoing).await {
                Ok(id) => Ok(Some(self.stored_later(spool, id))),
                Err(refused) => Err(refused),
            },
            None => self.hold_later_in_task(outgoing).await,
        };
        match sent {
            Ok(waits) => Ok(Receipt { waits }),
            Err(refused) => Err(send_error(refused, message)),
        }
    }

    async fn hold_later_in_task(&self, outgoing: Outgoing<'_>) -> Result<Option<Waits>, Refused> {
        let mut call = TaskCall::new(self.core());
        let sent = poll_fn(|context| {
            call.poll(context, Interest::Own, |pattern, net| {
                attempt_later(pattern, net, outgoing)
            })
        });
        match sent.await {
            Ok(Ok(id)) => Ok(id.map(|id| self.held_later(id))),
            Ok(Err(refused)) => Err(refused),
            Err(shut) => Err(SendErrorKind::from(shut).into()),
        }
    }

    fn hold_later(&self, outgoing: Outgoing<'_>) -> Result<Option<Waits>, Refused> {
        let mut shortage = Shortage::default();
        let sent = self.core().until(self.send_wait(), |pattern, net| {
            let sent = attempt_later(pattern, net, outgoing);
            if sent.is_none() {
                shortage = net.shortage();
            }
            sent
        });
        match sent {
            Ok(sent) => Ok(sent?.map(|id| self.held_later(id))),
            Err(stop) => Err(Refused::new(send_error_kind(stop), shortage)),
        }
    }

    fn store_later(
        &self,
        spool: &Arc<SocketSpool>,
        outgoing: Outgoing<'_>,
    ) -> Result<Option<Waits>, Refused> {
        let id = self.store(spool, outgoing, self.send_wait(), &|| false, true)?;
        Ok(id.map(|id| self.stored_later(spool, id)))
    }

    fn stored_later(&self, spool: &Arc<SocketSpool>, id: JobId) -> Waits {
        // It becomes safe, whether somebody waits for that or not.
        spool.want_later(id.number);
        Waits {
            id,
            holder: self.holder(),
            spool: Some(Arc::clone(spool)),
        }
    }
}

impl<P: Pattern + 'static> Socket<P> {
    /// The messages that are delivered no more, since this was last asked.
    pub(super) fn take_dead(&self) -> Vec<DeadLetter> {
        let dead = self.core().inspect(|pattern, _| pattern.take_dead());
        dead.unwrap_or_default()
    }

    fn held_later(&self, id: JobId) -> Waits {
        Waits {
            id,
            holder: self.holder(),
            spool: None,
        }
    }

    fn holder(&self) -> Arc<dyn Holder> {
        let core: Arc<Core<P>> = Arc::clone(self.core());
        core
    }
}

/// One attempt to send a message without a spool, and what it is named by if it is to be settled. `None`: there is no room.
fn attempt_later<P: Sending>(
    pattern: &mut P,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<Option<JobId>, Refused>> {
    let sent = match pattern.acked_out() {
        Some(acked) => acked.send_later(&mut net.peers, outgoing).map(Some),
        None => pattern.send_any(&mut net.peers, outgoing).map(|_| None),
    };
    net.pace(pattern, outgoing, sent.is_some());
    match sent {
        Some(id) => Some(Ok(id)),
        None => {
            let excess = pattern.excess(&net.peers, outgoing)?;
            Some(Err(Refused::new(excess.into(), net.shortage())))
        }
    }
}

impl Receipt {
    /// The name of the message, as [`Job::id`](crate::Job::id) gives it to the worker. `None` where messages are not settled.
    pub fn id(&self) -> Option<JobId> {
        self.waits.as_ref().map(|waits| waits.id)
    }

    /// Waits until the message is as safe as its [spool](crate::Delivery::spool) is to make it. It becomes so whether somebody waits or not, which begins within a millisecond; and it may be
    /// settled before.
    ///
    /// # Errors
    ///
    /// [`NoSpool`](ReceiptError::NoSpool), or [`SpoolFailed`](ReceiptError::SpoolFailed).
    pub fn durable(&self) -> Result<(), ReceiptError> {
        let (waits, spool) = self.stored()?;
        Ok(spool.commit(waits.id.number)?)
    }

    /// Whether the message is as safe as its spool is to make it.
    ///
    /// # Errors
    ///
    /// It is not yet, [`NoSpool`](ReceiptError::NoSpool), or [`SpoolFailed`](ReceiptError::SpoolFailed).
    pub fn try_durable(&self) -> Result<(), ReceiptError> {
        self.wait_durable(Wait::Not)
    }

    /// Waits for at most `timeout` until the message is as safe as its spool is to make it.
    ///
    /// # Errors
    ///
    /// Timed out, [`NoSpool`](ReceiptError::NoSpool), or [`SpoolFailed`](ReceiptError::SpoolFailed).
    pub fn durable_timeout(&self, timeout: Duration) -> Result<(), ReceiptError> {
        self.wait_durable(Wait::AtMost(timeout))
    }

    /// Waits in a task until the message is as safe as its spool is to make it.
    ///
    /// # Errors
    ///
    /// [`NoSpool`](ReceiptError::NoSpool), or [`SpoolFailed`](ReceiptError::SpoolFailed).
    pub fn durable_async(&self) -> impl Future<Output = Result<(), ReceiptError>> {
        let mut durable = Some(Box::pin(self.durable_in_task()));
        poll_fn(move |context| poll_once(&mut durable, context))
    }

    async fn durable_in_task(&self) -> Result<(), ReceiptError> {
        let (waits, spool) = self.stored()?;
        match waits.holder.safe_in_task(spool, waits.id.number).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReceiptError::SpoolFailed),
            // A spool that is closed in good order has made all safe.
            Err(_) if spool.is_safe(waits.id.number) => Ok(()),
            Err(shut) => Err(Stop::Shut(shut).into()),
        }
    }

    fn stored(&self) -> Result<(&Waits, &Arc<SocketSpool>), ReceiptError> {
        let waits = self.waits.as_ref().ok_or(ReceiptError::NoSpool)?;
        let spool = waits.spool.as_ref().ok_or(ReceiptError::NoSpool)?;
        Ok((waits, spool))
    }

    fn wait_durable(&self, wait: Wait) -> Result<(), ReceiptError> {
        let (Waits { id, holder, .. }, spool) = self.stored()?;
        if spool.is_safe(id.number) {
            return Ok(());
        }
        spool.want(id.number);
        match holder.safe(id.number, wait) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReceiptError::SpoolFailed),
            Err(_) if spool.is_safe(id.number) => Ok(()),
            Err(stop) => Err(stop.into()),
        }
    }

    /// Waits until it is known what has become of the message.
    ///
    /// # Errors
    ///
    /// The socket has been closed before that was known.
    pub fn settled(&self) -> Result<Settled, ReceiptError> {
        self.wait(Wait::Forever)
    }

    /// What has become of the message, if that is known now.
    ///
    /// # Errors
    ///
    /// It is not, or the socket has been closed before.
    pub fn try_settled(&self) -> Result<Settled, ReceiptError> {
        self.wait(Wait::Not)
    }

    /// Waits for at most `timeout` until it is known what has become of the message.
    ///
    /// # Errors
    ///
    /// Timed out, or the socket has been closed before.
    pub fn settled_timeout(&self, timeout: Duration) -> Result<Settled, ReceiptError> {
        self.wait(Wait::AtMost(timeout))
    }

    fn wait(&self, wait: Wait) -> Result<Settled, ReceiptError> {
        let Some(Waits { id, holder, .. }) = &self.waits else {
            return Ok(Settled::Unacknowledged);
        };
        let settled = holder.settled(id.number, wait);
        Ok(settled.or_else(|stop| holder.known_at_last(id.number).ok_or(stop))?)
    }

    /// Waits in a task until it is known what has become of the message. The future can be dropped at any time, and a receipt may have several.
    ///
    /// ```
    /// # use zerohop::{Push, Settled};
    /// async fn order(push: &Push) -> Result<Settled, Box<dyn std::error::Error>> {
    ///     let receipt = push.send_later_async("order 1").await?;
    ///     Ok(receipt.settled_async().await?)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The socket has been closed before that was known.
    pub fn settled_async(&self) -> impl Future<Output = Result<Settled, ReceiptError>> {
        let mut settled = Some(Box::pin(self.settled_in_task()));
        poll_fn(move |context| poll_once(&mut settled, context))
    }

    async fn settled_in_task(&self) -> Result<Settled, ReceiptError> {
        let Some(Waits { id, holder, .. }) = &self.waits else {
            return Ok(Settled::Unacknowledged);
        };
        let settled = holder.settled_in_task(id.number).await;
        let known = |shut| holder.known_at_last(id.number).ok_or(Stop::Shut(shut));
        Ok(settled.or_else(known)?)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(Waits { id, holder, .. }) = &self.waits {
            holder.forget(id.number);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
