//! What says that a message has been settled.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use super::futures::poll_once;
use super::stored::{SocketSpool, wait_until_safe};
use super::{Push, Refused, send_error, send_error_kind};
use crate::engine::{Core, Interest, Net, Outgoing, Stop, TaskCall, Wait};
use crate::error::{ReceiptError, SendError, SendErrorKind, Shortage};
use crate::message::Payload;
use crate::pattern::{JobId, Pattern, PushPattern, Sending, Settled};

/// Tells what becomes of a message; given by [`Push::send_later`]. It can be dropped at any time: the message goes its way all the same.
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
    core: Arc<Core<PushPattern>>,
    spool: Option<Arc<SocketSpool>>,
}

impl Push {
    /// Sends a message as [`send`](Push::send) does, and gives a receipt that tells when a worker has settled it. Without the option
    /// [`delivery`](crate::Options::delivery) it tells that nobody will.
    ///
    /// # Errors
    ///
    /// As with [`send`](Push::send): the message has not been sent, and the error gives it back.
    pub fn send_later(&self, message: impl Payload) -> Result<Receipt, SendError> {
        let message = message.into_message();
        let outgoing = Outgoing::Message(&message);
        let sent = match self.socket.spool() {
            Some(spool) => self.store_later(spool, outgoing),
            None => self.hold_later(outgoing),
        };
        match sent {
            Ok(waits) => Ok(Receipt { waits }),
            Err(refused) => Err(send_error(refused, message)),
        }
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
        let mut sent = Some(Box::pin(self.later_in_task(message)));
        poll_fn(move |context| poll_once(&mut sent, context))
    }

    async fn later_in_task(&self, message: impl Payload) -> Result<Receipt, SendError> {
        let message = message.into_message();
        let outgoing = Outgoing::Message(&message);
        let sent = match self.socket.spool() {
            Some(spool) => match self.socket.store_later_in_task(spool, outgoing).await {
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
        let mut call = TaskCall::new(self.socket.core());
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
        let core = self.socket.core();
        let mut shortage = Shortage::default();
        let sent = core.until(self.socket.send_wait(), |pattern, net| {
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

    fn held_later(&self, id: JobId) -> Waits {
        Waits {
            id,
            core: Arc::clone(self.socket.core()),
            spool: None,
        }
    }

    fn store_later(
        &self,
        spool: &Arc<SocketSpool>,
        outgoing: Outgoing<'_>,
    ) -> Result<Option<Waits>, Refused> {
        let wait = self.socket.send_wait();
        let id = self.socket.store(spool, outgoing, wait, &|| false, true)?;
        Ok(id.map(|id| self.stored_later(spool, id)))
    }

    fn stored_later(&self, spool: &Arc<SocketSpool>, id: JobId) -> Waits {
        // It becomes safe, whether somebody waits for that or not.
        spool.want(id.number);
        Waits {
            id,
            core: Arc::clone(self.socket.core()),
            spool: Some(Arc::clone(spool)),
        }
    }
}

/// One attempt to send a message without a spool, and what it is named by if it is to be settled. `None`: there is no room.
fn attempt_later(
    pattern: &mut PushPattern,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<Option<JobId>, Refused>> {
    let sent = pattern.send_later(&mut net.peers, outgoing);
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

    /// Waits until the message is as safe as its [spool](crate::Delivery::spool) is to make it. It becomes so whether somebody waits or not; and it may be
    /// settled before.
    ///
    /// # Errors
    ///
    /// [`NoSpool`](ReceiptError::NoSpool), or [`SpoolFailed`](ReceiptError::SpoolFailed).
    pub fn durable(&self) -> Result<(), ReceiptError> {
        let (id, spool) = self.stored()?;
        Ok(spool.commit(id.number)?)
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
        let (id, spool) = self.stored()?;
        let Some(Waits { core, .. }) = &self.waits else {
            return Err(ReceiptError::NoSpool);
        };
        let mut call = TaskCall::new(core);
        match wait_until_safe(&mut call, spool, id.number).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReceiptError::SpoolFailed),
            // A spool that is closed in good order has made all safe.
            Err(_) if spool.is_safe(id.number) => Ok(()),
            Err(shut) => Err(Stop::Shut(shut).into()),
        }
    }

    fn stored(&self) -> Result<(JobId, &Arc<SocketSpool>), ReceiptError> {
        let waits = self.waits.as_ref().ok_or(ReceiptError::NoSpool)?;
        let spool = waits.spool.as_ref().ok_or(ReceiptError::NoSpool)?;
        Ok((waits.id, spool))
    }

    fn wait_durable(&self, wait: Wait) -> Result<(), ReceiptError> {
        let (id, spool) = self.stored()?;
        if spool.is_safe(id.number) {
            return Ok(());
        }
        let Some(Waits { core, .. }) = &self.waits else {
            return Err(ReceiptError::NoSpool);
        };
        spool.want(id.number);
        let safe = core.until(wait, |pattern, _| {
            pattern.acked_out()?.is_durable(id.number)
        });
        match safe {
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
        let Some(Waits { id, core, .. }) = &self.waits else {
            return Ok(Settled::Unacknowledged);
        };
        let settled = core.until(wait, |pattern, _| pattern.settled_as(id.number));
        Ok(settled.or_else(|stop| known_at_last(core, *id).ok_or(stop))?)
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
        let Some(Waits { id, core, .. }) = &self.waits else {
            return Ok(Settled::Unacknowledged);
        };
        let mut call = TaskCall::new(core);
        let settled = poll_fn(|context| {
            call.poll(context, Interest::Own, |pattern, _| {
                pattern.settled_as(id.number)
            })
        });
        let settled = settled.await;
        let settled = settled.or_else(|shut| known_at_last(core, *id).ok_or(Stop::Shut(shut)));
        Ok(settled?)
    }
}

/// What had become of a message by the time the socket was closed: it is known as long as the receipt is there.
fn known_at_last(core: &Core<PushPattern>, id: JobId) -> Option<Settled> {
    let known = core.inspect(|pattern, _| pattern.settled_as(id.number));
    known.ok().flatten()
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(Waits { id, core, .. }) = &self.waits {
            // In a forked child there is nothing to forget.
            let _ = core.inspect(|pattern, _| pattern.forget_receipt(id.number));
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
