//! A direction from a PULL whose messages are to be settled: what is said of a message there is what has become of it behind the proxy.
//!
//! The job of a message goes with it into the backend, under the lock of that socket, and comes out of it with the word that the message is
//! finished. A second thread waits for that, and says it at the frontend. So nothing is shared between the two threads but the sockets, and
//! the word that it is over: [`Over`].
//!
//! ```text
//!   frontend ── recv_held ──▶ relay_unless ──▶ backend        this thread
//!   frontend ◀── settle_held ── next_relayed ── backend       the other
//! ```
//!
//! A backend that is no such PUSH, or has a spool, has a message when it has accepted it, which settles it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::ProxyEndCause;
use super::relay::{End, Leg, cause_of};
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::pattern::{DeadReason, HeldJob, RelayId, Settled};
use crate::socket::{Pull, Push, SendSocket};
use crate::zmtp::delivery::Settling;

/// Names the runs of proxies of this process.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Hand-over: the thread that passes messages on → the one that waits for what becomes of them: it is over. Set once, when this is dropped;
/// whoever waits in the socket is made to look again after that, under the socket's lock, and so cannot miss it.
struct Over<'a> {
    is_over: &'a AtomicBool,
    push: &'a Push,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.push.look_again();
    }
}

impl Leg<'_> {
    /// Passes jobs on.
    pub(super) fn pass_jobs<T: SendSocket>(&self, from: &Pull, to: &T) -> End {
        let push = (to as &dyn Any).downcast_ref::<Push>();
        let Some(push) = push.filter(|push| push.relays()) else {
            let give = |message: &Message, _: &mut Option<HeldJob>| self.give(to, message);
            return self.pass_each(from, &give);
        };
        let relay = RUNS.fetch_add(1, Ordering::Relaxed);
        let is_over = AtomicBool::new(false);
        let end = thread::scope(|scope| {
            let settle = || {
                let over = || is_over.load(Ordering::SeqCst);
                while let Some((job, settled)) = push.next_relayed(relay, &over) {
                    from.settle_held(job, settling_of(settled));
                }
            };
            let builder = thread::Builder::new().name("zerohop-settle".to_owned());
            if builder.spawn_scoped(scope, settle).is_err() {
                return End {
                    cause: ProxyEndCause::NoThread,
                    held: None,
                };
            }
            let _over = Over {
                is_over: &is_over,
                push,
            };
            let give = |message: &Message, job: &mut Option<HeldJob>| {
                self.relay(push, message, relay, job)
            };
            self.pass_each(from, &give)
        });
        // What is not finished comes again, as nobody will hear what becomes of it here.
        for (job, settled) in push.end_relay(relay) {
            from.settle_held(job, settled.map_or(Settling::Retry(None), settling_of));
        }
        end
    }

    fn pass_each(&self, from: &Pull, give: &Give<'_>) -> End {
        let mut message = Message::new();
        loop {
            let mut job = match self.take_job(from, &mut message) {
                Ok(job) => job,
                Err(cause) => return End { cause, held: None },
            };
            let size = message.size();
            self.counters.received(size);
            let copied = match self.capture {
                None => Ok(()),
                Some(capture) => self.copy(capture, &message),
            };
            let given = copied.and_then(|()| give(&message, &mut job));
            let (settling, cause) = match given {
                Ok(true) => {
                    self.counters.sent(size);
                    (Settling::Done, None)
                }
                // It will not be taken if it comes again.
                Ok(false) => {
                    self.counters.refused();
                    let reason = "refused behind a proxy".to_owned();
                    (Settling::Rejected(reason), None)
                }
                Err(cause) => (Settling::Retry(None), Some(cause)),
            };
            let had_job = job.is_some();
            if let Some(job) = job {
                from.settle_held(job, settling);
            }
            if let Some(cause) = cause {
                // A job comes again; any other message is the caller's.
                let held = (!had_job).then_some(message);
                return End { cause, held };
            }
        }
    }

    fn take_job(
        &self,
        from: &Pull,
        message: &mut Message,
    ) -> Result<Option<HeldJob>, ProxyEndCause> {
        let course = self.course;
        loop {
            if !course.goes() {
                self.await_go()?;
            }
            match from.recv_held(message, self.wait(), &|| !course.goes()) {
                Ok(Some(job)) => return Ok(job),
                Ok(None) => {}
                Err(RecvError::WouldBlock | RecvError::TimedOut) => self.check_idle()?,
                Err(RecvError::Closed) => return Err(ProxyEndCause::Closed),
                Err(RecvError::ContextClosed) => return Err(ProxyEndCause::ContextClosed),
                Err(RecvError::Forked) => return Err(ProxyEndCause::Forked),
            }
        }
    }

    /// `false`: it is refused, for good.
    fn relay(
        &self,
        to: &Push,
        message: &Message,
        relay: RelayId,
        job: &mut Option<HeldJob>,
    ) -> Result<bool, ProxyEndCause> {
        let course = self.course;
        loop {
            if !course.goes() {
                self.await_go()?;
            }
            match to.relay_unless(message, (relay, job), self.wait(), &|| !course.goes()) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(SendErrorKind::WouldBlock | SendErrorKind::TimedOut) => self.check_idle()?,
                Err(kind) => match cause_of(kind) {
                    Some(cause) => return Err(cause),
                    None => return Ok(false),
                },
            }
        }
    }
}

/// Gives a message on. What becomes of its job is said by who has taken it, or else, when the message is given, by the caller.
type Give<'a> = dyn Fn(&Message, &mut Option<HeldJob>) -> Result<bool, ProxyEndCause> + 'a;

fn settling_of(settled: Settled) -> Settling {
    match settled {
        Settled::Done | Settled::Unacknowledged => Settling::Done,
        Settled::Dead(DeadReason::Rejected(reason)) => Settling::Rejected(reason),
        Settled::Dead(reason) => Settling::Rejected(format!("{reason}, behind a proxy")),
    }
}
