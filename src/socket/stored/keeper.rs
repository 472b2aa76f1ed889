//! The thread of a socket's spool: it touches files, so that nobody has to who holds a lock or runs tasks.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::SocketSpool;
use crate::engine::{Core, contain};
use crate::pattern::{Pattern, Resumed};
use crate::spool::{OpenSpool, SpoolError, Stored, Unsettled};
use crate::sync::lock;

/// So many messages are read before some are sent.
const BATCH: usize = 1000;

/// Or messages of so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// So long this thread waits before it writes what has become of messages, or makes messages safe that nobody waits for. By then a caller has mostly done so, together with
/// messages of its own. Only one thread writes at a time, so that a write for each would be in the way of callers that wait for a sync.
const GATHER: Duration = Duration::from_millis(1);

impl SocketSpool {
    /// Starts the thread for a socket that has been made.
    pub(in crate::socket) fn start<P: Pattern + 'static>(
        self: &Arc<Self>,
        core: &Arc<Core<P>>,
    ) -> io::Result<()> {
        let (spool, core) = (Arc::clone(self), Arc::downgrade(core));
        let builder = std::thread::Builder::new().name("zerohop-spool".to_owned());
        let started = builder.spawn(move || spool.keep(&core));
        if started.is_err() {
            // There is nobody to wait for.
            self.close();
        }
        started.map(drop)
    }

    fn keep<P: Pattern>(&self, core: &Weak<Core<P>>) {
        if let Ok(spool) = self.opened() {
            // The application's logger may panic.
            contain(|| self.serve(&spool, core));
        }
        self.close();
    }

    fn serve<P: Pattern>(&self, spool: &OpenSpool, core: &Weak<Core<P>>) {
        let mut backlog = Backlog::new(spool);
        let mut safe = 0;
        let mut failed = false;
        loop {
            if let Some(core) = core.upgrade() {
                backlog.resume(&core);
            }
            // Each that is settled makes room for another of an earlier socket's.
            let gather = match backlog.left {
                0 => GATHER,
                _ => Duration::ZERO,
            };
            let asked = self.notes.wait(gather);
            let mut written = self.catch_up(spool);
            let wanted = asked.wanted > safe;
            let mut upto = None;
            if wanted {
                safe = asked.wanted;
                let committed = spool.commit(safe - 1);
                upto = committed.is_ok().then(|| spool.committed());
                written = written.and(committed);
            }
            if let Err(error) = written
                && !std::mem::replace(&mut failed, true)
            {
                log::error!(target: "zerohop", "what becomes of messages can no longer be written: {error}");
            }
            if wanted && let Some(core) = core.upgrade() {
                core.amend(|pattern, _| {
                    if let Some(acked) = pattern.acked_out() {
                        acked.set_durable(upto);
                    }
                });
            }
            if asked.closed {
                return;
            }
        }
    }

    /// Closes the spool, unless somebody is just using it: then that one does.
    fn close(&self) {
        let spool = lock(&self.spool).take();
        let safe = spool.map_or(0, |spool| {
            let committed = spool.committed();
            let next = spool.next_seq();
            match Arc::try_unwrap(spool).map(OpenSpool::close) {
                Ok(Ok(())) => next,
                Ok(Err(SpoolError::Closed)) | Err(_) => committed,
                Ok(Err(error)) => {
                    log::error!(target: "zerohop", "a spool could not be closed in good order: {error}");
                    committed
                }
            }
        });
        self.set_ended(safe);
    }
}

/// What the spool holds of an earlier socket and is not in memory yet.
struct Backlog<'a> {
    messages: Unsettled<'a>,
    /// About so many, and 0 when there are none.
    left: usize,
}

impl<'a> Backlog<'a> {
    fn new(spool: &'a OpenSpool) -> Backlog<'a> {
        let left = spool.len().saturating_sub(spool.dead_count());
        Backlog {
            messages: spool.unsettled(),
            left: usize::try_from(left).unwrap_or(usize::MAX),
        }
    }

    /// Hands on as many messages as there is room for. They are the first of all: nobody appends before they have gone.
    fn resume<P: Pattern>(&mut self, core: &Core<P>) {
        while self.left > 0 {
            let wanted =
                core.inspect(|pattern, _| pattern.acked_out().and_then(|acked| acked.wanted()));
            let Ok(Some(wanted @ 1..)) = wanted else {
                return;
            };
            let batch = self.read(wanted.min(BATCH));
            let left = self.left;
            core.amend(|pattern, net| {
                if let Some(acked) = pattern.acked_out() {
                    acked.resume(&mut net.peers, batch, left);
                }
            });
        }
    }

    fn read(&mut self, most: usize) -> Vec<Resumed> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < most && bytes < BATCH_BYTES && self.left > 0 {
            self.left = self.left.saturating_sub(1).max(1);
            match self.messages.next() {
                Some(Ok(stored)) => {
                    bytes += stored.message.size();
                    batch.push(resumed(stored));
                }
                Some(Err(error)) => {
                    log::error!(target: "zerohop", "a message stays in the spool, as it cannot be read: {error}");
                }
                None => self.left = 0,
            }
        }
        batch
    }
}

pub(super) fn resumed(stored: Stored) -> Resumed {
    let wait = stored
        .due
        .and_then(|due| due.duration_since(SystemTime::now()).ok())
        .filter(|wait| *wait > Duration::ZERO);
    Resumed {
        // A clock that was set back gives it more time.
        age: stored.time.elapsed().unwrap_or_default(),
        message: stored.message,
        number: stored.seq,
        deliveries: stored.deliveries,
        due: wait.and_then(|wait| Instant::now().checked_add(wait)),
        replayed: stored.replayed,
    }
}
