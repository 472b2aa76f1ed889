//! Sending by way of a spool: a message is on disk before `send` says that it is sent.
//!
//! ```text
//!   reserve   ── under the state lock: a place within `send_hwm`
//!   append    ── the spool gives the message its number; files are touched, so no lock of the socket is held
//!   send      ── under the state lock again: it leaves now, in parallel with the sync
//!   commit    ── waits for the write, or the sync, together with others that do
//! ```
//!
//! What becomes of messages is learned under the state lock, noted ([`Notes`]), and written by a thread of the spool's own. The same thread
//! reads what the spool holds of an earlier socket, as far as there is room for it, and commits for tasks, which must not wait for a disk.

mod batch;
mod dead;
mod keeper;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
#[cfg(feature = "futures")]
use std::task::Poll;
use std::time::SystemTime;

use super::futures::Unsent;
use super::{Refused, Socket, send_error, send_error_kind};
use crate::engine::{ContextInner, Core, Interest, Outgoing, Shut, TaskCall, Wait};
use crate::error::{SendError, SendErrorKind, Shortage};
use crate::message::Payload;
use crate::pattern::{JobId, Pattern, Sending, SpoolNote};
use crate::process::Process;
use crate::spool::{Notes, OpenSpool, Spool, SpoolError};
use crate::sync::{Condvar, Mutex, PoisonError, lock};

/// The spool of a socket.
pub(crate) struct SocketSpool {
    /// `None`: it is closed.
    spool: Mutex<Option<Arc<OpenSpool>>>,
    notes: Arc<Notes<SpoolNote>>,
    /// Held by whoever takes notes and writes them, so that they stay in order.
    writing: Mutex<()>,
    end: Mutex<End>,
    ended: Condvar,
    /// Nothing is locked before it is known to be this one.
    process: Process,
}

/// How the spool has ended.
#[derive(Default)]
struct End {
    /// It is closed, and all messages with lower numbers are safe.
    safe: Option<u64>,
    /// Waits for the end.
    context: Option<Arc<ContextInner>>,
}

impl SocketSpool {
    /// Opens the spool for a socket that is being made.
    pub(super) fn open<P: Pattern>(
        settings: &Spool,
        pattern: &mut P,
    ) -> Result<Arc<SocketSpool>, SpoolError> {
        Ok(SocketSpool::of(settings.open()?, pattern))
    }

    /// The same for one that is open.
    fn of<P: Pattern>(spool: OpenSpool, pattern: &mut P) -> Arc<SocketSpool> {
        let notes = Arc::new(Notes::new());
        if let Some(acked) = pattern.acked_out() {
            acked.store_in(&spool, Arc::clone(&notes));
        }
        Arc::new(SocketSpool {
            spool: Mutex::new(Some(Arc::new(spool))),
            notes,
            writing: Mutex::new(()),
            end: Mutex::default(),
            ended: Condvar::new(),
            process: Process::current(),
        })
    }

    /// The spool, while it is open.
    fn opened(&self) -> Result<Arc<OpenSpool>, SpoolError> {
        if !self.process.is_current() {
            return Err(SpoolError::Forked);
        }
        lock(&self.spool).clone().ok_or(SpoolError::Closed)
    }

    fn append(&self, outgoing: Outgoing<'_>) -> Result<u64, SpoolError> {
        let spool = self.opened()?;
        match outgoing {
            Outgoing::Slice(slice) => spool.append(slice),
            outgoing => spool.append(outgoing.to_message()),
        }
    }

    /// Waits until all messages up to this one are as safe as was asked for.
    pub(super) fn commit(&self, number: u64) -> Result<(), SpoolError> {
        match self.opened() {
            Ok(spool) => spool.commit(number),
            Err(SpoolError::Forked) => Err(SpoolError::Forked),
            Err(closed) => match lock(&self.end).safe {
                Some(safe) if number < safe => Ok(()),
                Some(_) | None => Err(closed),
            },
        }
    }

    /// Whether a message is as safe as was asked for. `false` in a forked child, which cannot know it.
    pub(super) fn is_safe(&self, number: u64) -> bool {
        match self.opened() {
            Ok(spool) => number < spool.committed(),
            Err(SpoolError::Forked) => false,
            Err(_) => lock(&self.end).safe.is_some_and(|safe| number < safe),
        }
    }

    /// Asks that a message be made safe, without waiting for that.
    pub(super) fn want(&self, number: u64) {
        if self.process.is_current() {
            self.notes.want(number.saturating_add(1));
        }
    }

    /// The same, and there is time: nobody waits for it yet.
    pub(super) fn want_later(&self, number: u64) {
        if self.process.is_current() {
            self.notes.want_later(number.saturating_add(1));
        }
    }

    /// Messages that were stored are not sent.
    fn forget(&self, numbers: impl IntoIterator<Item = Range<u64>>) {
        let runs = numbers.into_iter().filter(|run| !run.is_empty());
        // What cannot be noted comes again, as may be.
        let _ = self.opened().and_then(|spool| {
            spool.settle(runs.map(|run| run.start..=run.end - 1))?;
            spool.flush()
        });
    }

    /// Writes what has been noted so far.
    pub(super) fn catch_up(&self, spool: &OpenSpool) -> Result<(), SpoolError> {
        let _writing = lock(&self.writing);
        let notes = self.notes.take();
        if notes.is_empty() {
            return Ok(());
        }
        let mut settled = Vec::new();
        for note in notes {
            let noted = match note {
                SpoolNote::Settled { first, count } => {
                    settled.push((first, count));
                    Ok(())
                }
                SpoolNote::Returned {
                    number,
                    deliveries,
                    due,
                } => {
                    let now = SystemTime::now();
                    let wait =
                        due.map(|due| due.saturating_duration_since(std::time::Instant::now()));
                    let due = wait.and_then(|wait| now.checked_add(wait)).unwrap_or(now);
                    spool.retry_at_soon(number, due, deliveries)
                }
                SpoolNote::Dead {
                    number,
                    deliveries,
                    reason,
                } => spool.dead_soon(number, &reason, deliveries),
            };
            passing(noted)?;
        }
        settled.sort_unstable();
        let follows = |(first, count): &(u64, u64), (next, _): &(u64, u64)| first + count == *next;
        let runs = settled.chunk_by(follows);
        let noted = spool.settle(runs.filter_map(|run| {
            let ((first, _), (last, count)) = (run.first()?, run.last()?);
            Some(*first..=last + count - 1)
        }));
        passing(noted.map(drop))?;
        spool.flush()
    }

    /// Has a context wait until the spool is closed.
    pub(super) fn linger(&self, context: &Arc<ContextInner>) {
        let mut end = lock(&self.end);
        if end.safe.is_none() && end.context.is_none() {
            context.socket_lingers();
            end.context = Some(Arc::clone(context));
        }
    }

    /// Waits until the spool of a socket that is closed is closed, too.
    pub(super) fn wait_for_end(&self) {
        let mut end = lock(&self.end);
        while end.safe.is_none() {
            end = self.ended.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set_ended(&self, safe: u64) {
        let mut end = lock(&self.end);
        end.safe = Some(safe);
        self.ended.notify_all();
        let context = end.context.take();
        drop(end);
        if let Some(context) = context {
            context.socket_closed();
        }
    }
}

/// What concerns one message alone, or is noted when there is room for it, is no reason to end.
fn passing(noted: Result<(), SpoolError>) -> Result<(), SpoolError> {
    match noted {
        Err(SpoolError::NoSuchMessage { .. }) => Ok(()),
        Err(error) if error.is_no_room() => Ok(()),
        noted => noted,
    }
}

/// A place that is given back unless the message gets into the socket.
struct Place<'a, P: Pattern> {
    core: &'a Core<P>,
    spool: &'a SocketSpool,
    /// The message in the spool.
    number: Option<u64>,
    taken: bool,
}

impl<'a, P: Pattern> Place<'a, P> {
    fn new(core: &'a Core<P>, spool: &'a SocketSpool) -> Self {
        Place {
            core,
            spool,
            number: None,
            taken: false,
        }
    }

    fn store(&mut self, outgoing: Outgoing<'_>) -> Result<u64, SpoolError> {
        let number = self.spool.append(outgoing)?;
        self.number = Some(number);
        Ok(number)
    }

    /// Sends the message that has been stored as this.
    fn send(
        mut self,
        outgoing: Outgoing<'_>,
        number: u64,
        receipt: bool,
    ) -> Result<JobId, Refused> {
        let sent = self.core.until(Wait::Forever, |pattern, net| {
            let acked = pattern.acked_out()?;
            let id = acked.send_stored(&mut net.peers, outgoing, number, receipt);
            let look = acked.is_look_due();
            net.pace(pattern, outgoing, true);
            Some((id, look))
        });
        self.taken = sent.is_ok();
        let (id, look) = sent.map_err(send_error_kind)?;
        if look {
            // While the application sends, nobody else may read for several milliseconds.
            let _ = self.core.until(Wait::Not, |_, _| None::<()>);
        }
        Ok(id)
    }
}

impl<P: Pattern> Drop for Place<'_, P> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        if let Some(number) = self.number {
            self.spool.forget(std::iter::once(number..number + 1));
        }
        self.core.give_up(|pattern, _| {
            if let Some(acked) = pattern.acked_out() {
                acked.release(1);
            }
        });
    }
}

impl<P: Pattern + 'static> Socket<P> {
    /// Stores a message and sends it; [`SocketSpool::commit`] is to follow. `None`: it had to wait and was `halted`.
    #[inline(never)]
    pub(super) fn store(
        &self,
        spool: &SocketSpool,
        outgoing: Outgoing<'_>,
        wait: Wait,
        halted: &dyn Fn() -> bool,
        receipt: bool,
    ) -> Result<Option<JobId>, Refused> {
        let mut shortage = Shortage::default();
        let place = self.core.until(wait, |pattern, net| {
            let place = pattern.acked_out()?.reserve(&net.peers, outgoing);
            match place {
                Some(place) => Some(place.map(|()| true)),
                None if halted() => Some(Ok(false)),
                None => {
                    shortage = net.shortage();
                    None
                }
            }
        });
        match place {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(None),
            Ok(Err(excess)) => return Err(Refused::new(excess.into(), shortage)),
            Err(stop) => return Err(Refused::new(send_error_kind(stop), shortage)),
        }
        let mut place = Place::new(&self.core, spool);
        let number = place.store(outgoing)?;
        place.send(outgoing, number, receipt).map(Some)
    }

    /// The same, for a call that is done when the message is safe.
    pub(super) fn store_safely(
        &self,
        spool: &SocketSpool,
        outgoing: Outgoing<'_>,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, Refused> {
        let Some(id) = self.store(spool, outgoing, wait, halted, false)? else {
            return Ok(false);
        };
        spool.commit(id.number)?;
        Ok(true)
    }
}

impl<P: Sending + 'static> Socket<P> {
    /// Stores a message in a task. It is sent when it is safe, so that nothing is left of a future that is dropped before.
    pub(super) async fn store_in_task<M: Payload>(
        &self,
        spool: &SocketSpool,
        message: M,
    ) -> Result<(), SendError> {
        let message = Unsent::new(message);
        let Some(outgoing) = message.outgoing() else {
            return Ok(());
        };
        match self.store_outgoing(spool, outgoing).await {
            Ok(()) => Ok(()),
            Err(refused) => Err(send_error(refused, message.into_message())),
        }
    }

    async fn store_outgoing(
        &self,
        spool: &SocketSpool,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Refused> {
        let core = &*self.core;
        let mut call = TaskCall::new(core);
        reserve_in_task(&mut call, outgoing).await?;
        let mut place = Place::new(core, spool);
        let number = place.store(outgoing)?;
        match wait_until_safe(&mut call, spool, number).await {
            // What has failed stays so, and nothing is written here.
            Ok(false) => spool.commit(number)?,
            Ok(true) => {}
            Err(shut) => return Err(SendErrorKind::from(shut).into()),
        }
        place.send(outgoing, number, false)?;
        Ok(())
    }

    /// Stores a message in a task and sends it at once, with a receipt, which tells when it is safe.
    pub(super) async fn store_later_in_task(
        &self,
        spool: &SocketSpool,
        outgoing: Outgoing<'_>,
    ) -> Result<JobId, Refused> {
        let core = &*self.core;
        reserve_in_task(&mut TaskCall::new(core), outgoing).await?;
        // From here on it does not wait any more, so that it cannot be dropped.
        let mut place = Place::new(core, spool);
        let number = place.store(outgoing)?;
        place.send(outgoing, number, true)
    }

    /// Stores a message for a sink. Waits for the disk where it is called.
    #[cfg(feature = "futures")]
    pub(super) fn poll_store<M: Payload>(
        &self,
        spool: &SocketSpool,
        context: &std::task::Context<'_>,
        waits: &mut Option<crate::engine::Key>,
        message: &mut Unsent<M>,
    ) -> Poll<Result<(), SendError>> {
        let Some(outgoing) = message.outgoing() else {
            return Poll::Pending;
        };
        let reserved = self
            .core
            .poll_task(context, waits, Interest::Own, |pattern, net| {
                pattern.acked_out()?.reserve(&net.peers, outgoing)
            });
        let sent = match reserved {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(shut)) => Err(SendErrorKind::from(shut).into()),
            Poll::Ready(Ok(Err(excess))) => Err(SendErrorKind::from(excess).into()),
            Poll::Ready(Ok(Ok(()))) => {
                let mut place = Place::new(&self.core, spool);
                let stored = place.store(outgoing).map_err(Refused::from);
                stored
                    .and_then(|number| place.send(outgoing, number, false))
                    .and_then(|id| spool.commit(id.number).map_err(Refused::from))
            }
        };
        let message = std::mem::replace(message, Unsent::Gone);
        Poll::Ready(sent.map_err(|refused| send_error(refused, message.into_message())))
    }
}

/// Waits in a task for a place, which is to become a [`Place`] at once.
async fn reserve_in_task<P: Pattern>(
    call: &mut TaskCall<'_, P>,
    outgoing: Outgoing<'_>,
) -> Result<(), Refused> {
    let reserved = std::future::poll_fn(|context| {
        call.poll(context, Interest::Own, |pattern, net| {
            pattern.acked_out()?.reserve(&net.peers, outgoing)
        })
    });
    match reserved.await {
        Ok(reserved) => Ok(reserved.map_err(SendErrorKind::from)?),
        Err(shut) => Err(SendErrorKind::from(shut).into()),
    }
}

/// Waits in a task until a message is safe. `false`: it is not, and will not be.
pub(super) async fn wait_until_safe<P: Pattern>(
    call: &mut TaskCall<'_, P>,
    spool: &SocketSpool,
    number: u64,
) -> Result<bool, Shut> {
    if spool.is_safe(number) {
        return Ok(true);
    }
    spool.want(number);
    let safe = std::future::poll_fn(|context| {
        call.poll(context, Interest::Safe(number), |pattern, _| {
            pattern.acked_out()?.is_durable(number)
        })
    });
    safe.await
}
