//! A message that its receiver settles.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Pull, futures, recv_error};
use crate::engine::{Core, Net, Wait};
use crate::error::{RecvError, SettleError};
use crate::message::Message;
use crate::origin::Origin;
use crate::pattern::{HeldJob, JobId, PullPattern, Receiving};
use crate::zmtp::delivery::Settling;

/// A message that is to be settled by who works on it; given by [`Pull::recv_job`].
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
    core: Arc<Core<PullPattern>>,
}

impl Job {
    /// The message.
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
    pub fn settle(mut self) -> Result<(), SettleError> {
        match self.held {
            Some(_) => self.say(Settling::Done),
            None => Ok(()),
        }
    }

    /// The work could not be done now: the message is to be delivered again after this time, to this worker or another one.
    ///
    /// # Errors
    ///
    /// As with [`settle`](Job::settle); and where the sender does not know acknowledged delivery, so that it does not come again.
    pub fn retry_in(mut self, delay: Duration) -> Result<(), SettleError> {
        self.say(Settling::Retry(Some(delay)))
    }

    /// The work can never be done. Of the reason the sender keeps 255 bytes.
    ///
    /// # Errors
    ///
    /// As with [`retry_in`](Job::retry_in).
    pub fn reject(mut self, reason: impl Into<String>) -> Result<(), SettleError> {
        self.say(Settling::Rejected(reason.into()))
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
        let extended = self.core.until(Wait::Not, |pattern, _| {
            Some(pattern.acked().is_some_and(|acked| acked.extend(key)))
        });
        match extended {
            Ok(true) => Ok(()),
            Ok(false) => Err(SettleError::TimedOut),
            Err(stop) => Err(stop.into()),
        }
    }

    fn say(&mut self, settling: Settling) -> Result<(), SettleError> {
        let held = self.held.take().ok_or(SettleError::Unacknowledged)?;
        settle(&self.core, held, settling)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.held.is_some() {
            // If nobody can be told, the sender finds out.
            let _ = self.say(Settling::Retry(None));
        }
    }
}

/// Says what has become of a job.
pub(super) fn settle(
    core: &Core<PullPattern>,
    held: HeldJob,
    settling: Settling,
) -> Result<(), SettleError> {
    let mut settling = Some(settling);
    let mut settle = |pattern: &mut PullPattern, net: &mut Net| {
        let settling = settling.take()?;
        let acked = pattern.acked()?;
        Some(acked.settle(&mut net.peers, held.key, settling))
    };
    let settled = match core.at_once(&mut settle) {
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

fn take_job(
    message: &mut Message,
    pattern: &mut PullPattern,
    net: &mut Net,
) -> Option<Option<HeldJob>> {
    let Some(acked) = pattern.acked() else {
        return pattern.recv(&mut net.peers, message).map(|()| None);
    };
    let held = acked.recv_job(&mut net.peers, message)?;
    let deadline = acked.deadline();
    if net.arm_delivery(deadline) {
        net.peers.prompt();
    }
    Some(held)
}

fn take_job_from(
    message: &mut Message,
    pattern: &mut PullPattern,
    net: &mut Net,
) -> Option<(Option<HeldJob>, Origin)> {
    let (held, from) = match pattern.acked() {
        None => (None, pattern.recv_from(&mut net.peers, message)?),
        Some(acked) => {
            let taken = acked.recv_job_from(&mut net.peers, message)?;
            let deadline = acked.deadline();
            if net.arm_delivery(deadline) {
                net.peers.prompt();
            }
            taken
        }
    };
    let origin = from.map(|id| net.peers.origin(id)).unwrap_or_default();
    Some((held, origin))
}

impl Pull {
    /// Receives the next message as a job, which is to be settled; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout). A
    /// message that is received in any other way is settled when it is handed over.
    ///
    /// Without the option [`delivery`](crate::Options::delivery), or from a peer without it, it is a job without [`id`](Job::id).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_job(&self) -> Result<Job, RecvError> {
        self.job(self.socket.recv_wait())
    }

    /// Receives a job if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    pub fn try_recv_job(&self) -> Result<Job, RecvError> {
        self.job(Wait::Not)
    }

    /// Receives the next job, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_job_timeout(&self, timeout: Duration) -> Result<Job, RecvError> {
        self.job(Wait::AtMost(timeout))
    }

    /// Receives the next job, in a task: see [`recv_async`](Pull::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_job_async(&self) -> impl Future<Output = Result<Job, RecvError>> {
        let take = |pattern: &mut PullPattern, net: &mut Net| {
            let mut message = Message::new();
            take_job(&mut message, pattern, net).map(|held| (message, held))
        };
        let made = |(message, held)| self.made(message, held);
        futures::receive_as(self.socket.core(), take, made)
    }

    /// Receives the next job as [`recv_job`](Pull::recv_job) does, with what is known of the peer that it comes from.
    ///
    /// # Errors
    ///
    /// As [`recv_job`](Pull::recv_job).
    pub fn recv_job_from(&self) -> Result<(Job, Origin), RecvError> {
        self.job_from(self.socket.recv_wait())
    }

    /// The same if there is a job now, as [`try_recv_job`](Pull::try_recv_job).
    ///
    /// # Errors
    ///
    /// As [`try_recv_job`](Pull::try_recv_job).
    pub fn try_recv_job_from(&self) -> Result<(Job, Origin), RecvError> {
        self.job_from(Wait::Not)
    }

    /// The same, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_job_timeout`](Pull::recv_job_timeout).
    pub fn recv_job_from_timeout(&self, timeout: Duration) -> Result<(Job, Origin), RecvError> {
        self.job_from(Wait::AtMost(timeout))
    }

    /// The same, in a task, as [`recv_job_async`](Pull::recv_job_async).
    ///
    /// # Errors
    ///
    /// As [`recv_job_async`](Pull::recv_job_async).
    pub fn recv_job_from_async(&self) -> impl Future<Output = Result<(Job, Origin), RecvError>> {
        let take = |pattern: &mut PullPattern, net: &mut Net| {
            let mut message = Message::new();
            let (held, origin) = take_job_from(&mut message, pattern, net)?;
            Some((message, held, origin))
        };
        let made = |(message, held, origin)| (self.made(message, held), origin);
        futures::receive_as(self.socket.core(), take, made)
    }

    fn job_from(&self, wait: Wait) -> Result<(Job, Origin), RecvError> {
        let mut message = Message::new();
        let take =
            |pattern: &mut PullPattern, net: &mut Net| take_job_from(&mut message, pattern, net);
        let (held, origin) = self.socket.core().until(wait, take).map_err(recv_error)?;
        Ok((self.made(message, held), origin))
    }

    fn job(&self, wait: Wait) -> Result<Job, RecvError> {
        let core = self.socket.core();
        let mut message = Message::new();
        let mut take =
            |pattern: &mut PullPattern, net: &mut Net| take_job(&mut message, pattern, net);
        let held = match core.at_once(&mut take) {
            Some(held) => held,
            None => core.until(wait, take).map_err(recv_error)?,
        };
        Ok(self.made(message, held))
    }

    fn made(&self, message: Message, held: Option<HeldJob>) -> Job {
        Job {
            message,
            held,
            core: Arc::clone(self.socket.core()),
        }
    }
}
