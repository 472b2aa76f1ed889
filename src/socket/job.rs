//! A message that its receiver settles.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Dealer, Pull, Router, Socket, futures, recv_error};
use crate::engine::{Core, Net, PeerId, Stop, Wait};
use crate::error::{RecvError, SettleError};
use crate::message::{Message, RoutingId};
use crate::origin::Origin;
use crate::pattern::{HeldJob, JobId, Pattern, Receiving, RouterPattern};
use crate::zmtp::delivery::{HeldKey, Settling};

/// A message that is to be settled by who works on it; given by [`Pull::recv_job`], [`Router::recv_job`] and [`Dealer::recv_job`].
///
/// | what becomes of the job | what becomes of the message |
/// |---|---|
/// | [`settle`](Job::settle) | it is done: the sender forgets it |
/// | [`retry_in`](Job::retry_in) | it is delivered again after that time, to whichever worker |
/// | [`reject`](Job::reject) | it is a [dead letter](crate::Push::dead_letters) with the sender |
/// | dropped, by an unwinding panic too | it is delivered again after the sender's [back-off](crate::Delivery::backoff) |
/// | kept for longer than the [job timeout](crate::Delivery::job_timeout) | the same |
/// | the process or the connection dies | it is delivered again, after the sender's [grace](crate::Delivery::grace) |
///
/// **A message may be delivered again though it was done**, if the worker dies before the sender knows. Work that must not be done twice
/// stores [`id`](Job::id) in the same transaction, and looks there first.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, DeadReason, Delivery, Options, Pull, Push};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new();
/// let options = Options::new().delivery(Delivery::at_least_once());
/// let pull = Pull::with_options(&context, options.clone())?;
/// let push = Push::with_options(&context, options)?;
/// push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
/// push.send_batch(["7", "seven"])?;
///
/// let job = pull.recv_job()?;
/// assert_eq!(job.message(), "7");
/// job.retry_in(Duration::from_millis(10))?; // the database is busy
///
/// let job = pull.recv_job()?;
/// assert_eq!(job.message(), "seven");
/// job.reject("not a number")?;
///
/// let job = pull.recv_job()?;
/// assert_eq!((job.message().to_str()?, job.deliveries()), ("7", 1));
/// job.settle()?;
///
/// while push.stats().delivery.unsettled > 0 {
///     std::thread::yield_now();
/// }
/// let dead = push.dead_letters();
/// assert_eq!(dead[0].message, "seven");
/// assert_eq!(dead[0].reason, DeadReason::Rejected("not a number".into()));
/// # Ok(())
/// # }
/// ```
#[must_use = "a job that is dropped is delivered again"]
pub struct Job {
    message: Message,
    /// `None`: nobody waits for a word, or it has been said.
    held: Option<HeldJob>,
    settler: Arc<dyn Settler>,
}

/// What a job asks its socket, of whichever type that is.
trait Settler: Send + Sync {
    fn settle(&self, key: HeldKey, settling: &Settling) -> Result<(), SettleError>;

    /// `false`: its time was over.
    fn extend(&self, key: HeldKey) -> Result<bool, Stop>;
}

impl<P: Pattern + 'static> Settler for Core<P> {
    fn settle(&self, key: HeldKey, settling: &Settling) -> Result<(), SettleError> {
        settle(self, key, settling)
    }

    fn extend(&self, key: HeldKey) -> Result<bool, Stop> {
        self.until(Wait::Not, |pattern, _| {
            Some(pattern.acked_in().is_some_and(|acked| acked.extend(key)))
        })
    }
}

impl Job {
    /// The message.
    #[inline]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The name of the message, which is the same with each delivery, here or elsewhere. `None`: its sender does not know acknowledged
    /// delivery, and nothing that is said of the job reaches anyone.
    pub fn id(&self) -> Option<JobId> {
        self.held.as_ref().map(|held| held.id)
    }

    /// How often the message has been delivered before, as far as its sender knows: 0 at the first time.
    pub fn deliveries(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.deliveries)
    }

    /// The work is done. The sender learns of it at once if there is nothing else to receive, and otherwise together with other settlements.
    ///
    /// # Errors
    ///
    /// It is too late, or the connection is lost: see [`SettleError`]. The work is done all the same.
    #[inline(never)]
    pub fn settle(mut self) -> Result<(), SettleError> {
        match self.held {
            Some(_) => self.say(&Settling::Done),
            None => Ok(()),
        }
    }

    /// The work could not be done now: the message is to be delivered again after this time, to this worker or another one.
    ///
    /// # Errors
    ///
    /// As with [`settle`](Job::settle); and where the sender does not know acknowledged delivery, so that it does not come again.
    pub fn retry_in(mut self, delay: Duration) -> Result<(), SettleError> {
        self.say(&Settling::Retry(Some(delay)))
    }

    /// The work can never be done. Of the reason the sender keeps 255 bytes.
    ///
    /// # Errors
    ///
    /// As with [`retry_in`](Job::retry_in).
    pub fn reject(mut self, reason: impl Into<String>) -> Result<(), SettleError> {
        self.say(&Settling::Rejected(reason.into()))
    }

    /// The work takes longer: the [job timeout](crate::Delivery::job_timeout) runs from now on.
    ///
    /// # Errors
    ///
    /// It was over already, or the socket is closed.
    pub fn extend(&self) -> Result<(), SettleError> {
        let Some(key) = self.held.as_ref().map(|held| held.key) else {
            return Ok(());
        };
        match self.settler.extend(key) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SettleError::TimedOut),
            Err(stop) => Err(stop.into()),
        }
    }

    fn say(&mut self, settling: &Settling) -> Result<(), SettleError> {
        let held = self.held.take().ok_or(SettleError::Unacknowledged)?;
        self.settler.settle(held.key, settling)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.held.is_some() {
            // If nobody can be told, the sender finds out.
            let _ = self.say(&Settling::Retry(None));
        }
    }
}

/// Says what has become of a job.
pub(super) fn settle<P: Pattern + 'static>(
    core: &Core<P>,
    key: HeldKey,
    settling: &Settling,
) -> Result<(), SettleError> {
    let settle = |pattern: &mut P, net: &mut Net| {
        let acked = pattern.acked_in()?;
        Some(acked.settle(&mut net.peers, key, settling))
    };
    let settled = match core.at_once(settle) {
        Some(settled) => settled,
        None => core.until(Wait::Not, settle)?,
    };
    Ok(settled?)
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("message", &self.message)
            .field("id", &self.id())
            .field("deliveries", &self.deliveries())
            .finish_non_exhaustive()
    }
}

/// A job that a ROUTER has received, and who sent it; given by [`Router::recv_job`].
#[derive(Debug)]
#[must_use = "a job that is dropped is delivered again"]
pub struct IncomingJob {
    /// The name of the peer, to [answer](Router::send_to) it.
    pub peer: RoutingId,
    /// The message, which is to be settled.
    pub job: Job,
}

/// Takes the next message to where it stays, and what is held of it. Gives the peer it is of, if that is known.
fn take_job<P: Receiving>(
    message: &mut Message,
    held: &mut Option<HeldJob>,
    pattern: &mut P,
    net: &mut Net,
) -> Option<Option<PeerId>> {
    let Some(acked) = pattern.acked_in() else {
        return pattern.recv_from(&mut net.peers, message);
    };
    let from = acked.recv_job(&mut net.peers, message, held)?;
    arm(pattern, net);
    Some(Some(from))
}

fn take_incoming(
    pattern: &mut RouterPattern,
    net: &mut Net,
) -> Option<(Message, Option<HeldJob>, RoutingId, Origin)> {
    let (mut message, mut held) = (Message::new(), None);
    let (from, name) = pattern.recv_job(&mut net.peers, &mut message, &mut held)?;
    let name = name.clone();
    arm(pattern, net);
    Some((message, held, name, origin_of(net, from)))
}

/// The time of a job has begun.
fn arm<P: Pattern>(pattern: &mut P, net: &mut Net) {
    let deadline = match pattern.acked_in() {
        Some(acked) => acked.deadline(),
        None => None,
    };
    if net.arm_delivery(deadline) {
        net.peers.prompt();
    }
}

impl<P: Receiving + 'static> Socket<P> {
    /// Not inlined, and written to where it is returned: otherwise the job is moved in pieces by which its parts were not written, and each of these moves
    /// waits for the last.
    #[inline(never)]
    fn job(&self, wait: Wait) -> Result<Job, RecvError> {
        let core = self.core();
        let mut result = Ok(self.made(Message::new(), None));
        if let Ok(Job { message, held, .. }) = &mut result {
            let mut take = |pattern: &mut P, net: &mut Net| {
                let taken = take_job(message, held, pattern, net);
                taken.map(drop)
            };
            if core.at_once(&mut take).is_none()
                && let Err(stop) = core.until(wait, take)
            {
                result = Err(recv_error(stop));
            }
        }
        result
    }

    fn job_in_task(&self) -> impl Future<Output = Result<Job, RecvError>> {
        let take = |pattern: &mut P, net: &mut Net| {
            let (mut message, mut held) = (Message::new(), None);
            take_job(&mut message, &mut held, pattern, net)?;
            Some((message, held))
        };
        let made = |(message, held)| self.made(message, held);
        futures::receive_as(self.core(), take, made)
    }

    fn job_from(&self, wait: Wait) -> Result<(Job, Origin), RecvError> {
        let (mut message, mut held) = (Message::new(), None);
        let take = |pattern: &mut P, net: &mut Net| {
            let from = take_job(&mut message, &mut held, pattern, net)?;
            Some(origin_of(net, from))
        };
        let origin = self.core().until(wait, take).map_err(recv_error)?;
        Ok((self.made(message, held), origin))
    }

    fn job_from_in_task(&self) -> impl Future<Output = Result<(Job, Origin), RecvError>> {
        let take = |pattern: &mut P, net: &mut Net| {
            let (mut message, mut held) = (Message::new(), None);
            let from = take_job(&mut message, &mut held, pattern, net)?;
            Some((message, held, origin_of(net, from)))
        };
        let made = |(message, held, origin)| (self.made(message, held), origin);
        futures::receive_as(self.core(), take, made)
    }
}

fn origin_of(net: &Net, from: Option<PeerId>) -> Origin {
    from.map(|id| net.peers.origin(id)).unwrap_or_default()
}

impl<P: Pattern + 'static> Socket<P> {
    fn made(&self, message: Message, held: Option<HeldJob>) -> Job {
        let settler: Arc<Core<P>> = Arc::clone(self.core());
        Job {
            message,
            held,
            settler,
        }
    }
}

impl Socket<RouterPattern> {
    fn incoming(&self, wait: Wait) -> Result<(IncomingJob, Origin), RecvError> {
        let core = self.core();
        let taken = match core.at_once(take_incoming) {
            Some(taken) => taken,
            None => core.until(wait, take_incoming).map_err(recv_error)?,
        };
        Ok(self.made_incoming(taken))
    }

    fn incoming_in_task(
        &self,
    ) -> impl Future<Output = Result<(IncomingJob, Origin), RecvError>> + Unpin {
        futures::receive_as(self.core(), take_incoming, |taken| {
            self.made_incoming(taken)
        })
    }

    fn made_incoming(
        &self,
        (message, held, peer, origin): (Message, Option<HeldJob>, RoutingId, Origin),
    ) -> (IncomingJob, Origin) {
        let job = self.made(message, held);
        (IncomingJob { peer, job }, origin)
    }
}

/// The calls that receive jobs, of a socket that receives messages one after the other.
macro_rules! jobs {
    ($name:ident) => {
        impl $name {
            /// Receives the next message as a job, which is to be settled; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout). A
            /// message that is received in any other way is settled when it is handed over.
            ///
            /// Without the option [`delivery`](crate::Options::delivery), or from a peer without it, it is a job without [`id`](Job::id).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_job(&self) -> Result<Job, RecvError> {
                self.socket.job(self.socket.recv_wait())
            }

            /// Receives a job if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed.
            pub fn try_recv_job(&self) -> Result<Job, RecvError> {
                self.socket.job(Wait::Not)
            }

            /// Receives the next job, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_job_timeout(&self, timeout: Duration) -> Result<Job, RecvError> {
                self.socket.job(Wait::AtMost(timeout))
            }

            /// Receives the next job, in a task: see [`recv_async`](Self::recv_async).
            ///
            /// # Errors
            ///
            /// Closed, or the context is shut down.
            pub fn recv_job_async(&self) -> impl Future<Output = Result<Job, RecvError>> {
                self.socket.job_in_task()
            }

            /// Receives the next job as [`recv_job`](Self::recv_job) does, with what is known of the peer that it comes from.
            ///
            /// # Errors
            ///
            /// As [`recv_job`](Self::recv_job).
            pub fn recv_job_from(&self) -> Result<(Job, Origin), RecvError> {
                self.socket.job_from(self.socket.recv_wait())
            }

            /// The same if there is a job now, as [`try_recv_job`](Self::try_recv_job).
            ///
            /// # Errors
            ///
            /// As [`try_recv_job`](Self::try_recv_job).
            pub fn try_recv_job_from(&self) -> Result<(Job, Origin), RecvError> {
                self.socket.job_from(Wait::Not)
            }

            /// The same, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`recv_job_timeout`](Self::recv_job_timeout).
            pub fn recv_job_from_timeout(
                &self,
                timeout: Duration,
            ) -> Result<(Job, Origin), RecvError> {
                self.socket.job_from(Wait::AtMost(timeout))
            }

            /// The same, in a task, as [`recv_job_async`](Self::recv_job_async).
            ///
            /// # Errors
            ///
            /// As [`recv_job_async`](Self::recv_job_async).
            pub fn recv_job_from_async(
                &self,
            ) -> impl Future<Output = Result<(Job, Origin), RecvError>> {
                self.socket.job_from_in_task()
            }
        }
    };
}

jobs!(Pull);

jobs!(Dealer);

impl Router {
    /// Receives the next message as a job, which is to be settled, with the name of the peer that sent it; waits for one, at most for
    /// [`recv_timeout`](crate::Options::recv_timeout). A message that is received in any other way is settled when it is handed over.
    ///
    /// Without the option [`delivery`](crate::Options::delivery), or from a peer without it, it is a job without [`id`](Job::id).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    ///
    /// ```
    /// use zerohop::{Context, Dealer, Delivery, Options, Router};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = Context::new();
    /// let options = Options::new().delivery(Delivery::at_least_once());
    /// let server = Router::with_options(&context, options.clone())?;
    /// let client = Dealer::with_options(&context, options.routing_id("client-1"))?;
    /// client.connect(server.bind("tcp://127.0.0.1:*")?)?;
    /// client.send("resize 42.jpg")?;
    ///
    /// let incoming = server.recv_job()?;
    /// assert_eq!(incoming.peer, "client-1");
    /// server.send_to(&incoming.peer, "42-small.jpg")?;
    /// incoming.job.settle()?;
    /// assert_eq!(client.recv()?, "42-small.jpg");
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_job(&self) -> Result<IncomingJob, RecvError> {
        let received = self.socket.incoming(self.socket.recv_wait());
        received.map(|(incoming, _)| incoming)
    }

    /// Receives a job if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    pub fn try_recv_job(&self) -> Result<IncomingJob, RecvError> {
        let received = self.socket.incoming(Wait::Not);
        received.map(|(incoming, _)| incoming)
    }

    /// Receives the next job, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_job_timeout(&self, timeout: Duration) -> Result<IncomingJob, RecvError> {
        let received = self.socket.incoming(Wait::AtMost(timeout));
        received.map(|(incoming, _)| incoming)
    }

    /// Receives the next job, in a task: see [`recv_async`](Router::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_job_async(&self) -> impl Future<Output = Result<IncomingJob, RecvError>> {
        futures::made_of(self.socket.incoming_in_task(), |(incoming, _)| incoming)
    }

    /// Receives the next job as [`recv_job`](Router::recv_job) does, with what else is known of the peer that it comes from.
    ///
    /// # Errors
    ///
    /// As [`recv_job`](Router::recv_job).
    pub fn recv_job_from(&self) -> Result<(IncomingJob, Origin), RecvError> {
        self.socket.incoming(self.socket.recv_wait())
    }

    /// The same if there is a job now, as [`try_recv_job`](Router::try_recv_job).
    ///
    /// # Errors
    ///
    /// As [`try_recv_job`](Router::try_recv_job).
    pub fn try_recv_job_from(&self) -> Result<(IncomingJob, Origin), RecvError> {
        self.socket.incoming(Wait::Not)
    }

    /// The same, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_job_timeout`](Router::recv_job_timeout).
    pub fn recv_job_from_timeout(
        &self,
        timeout: Duration,
    ) -> Result<(IncomingJob, Origin), RecvError> {
        self.socket.incoming(Wait::AtMost(timeout))
    }

    /// The same, in a task, as [`recv_job_async`](Router::recv_job_async).
    ///
    /// # Errors
    ///
    /// As [`recv_job_async`](Router::recv_job_async).
    pub fn recv_job_from_async(
        &self,
    ) -> impl Future<Output = Result<(IncomingJob, Origin), RecvError>> {
        self.socket.incoming_in_task()
    }
}
