//! How events get from the threads that drive a socket to those that watch it.
//!
//! ```text
//!  socket                                                              application
//!  Monitors --Arc--> Hub { listening, queues: [ Arc, Arc ] } <--Arc--  Monitor (Subscription)
//!                                                |    +--> EventQueue <--Arc--+
//!                                                +-------> EventQueue <------ another Monitor
//! ```
//!
//! What must hold:
//!
//! 1. *A monitor never holds up the socket.* A thread that emits waits for locks only, and no lock is held over
//!    anything but moving an event. In particular a reader waits on its condition variable, with no lock held.
//! 2. *Nobody listening costs one relaxed load.* `Hub::listening` is true exactly when `Hub::queues` is not empty; it is
//!    written under the lock of `queues`. Relaxed is enough: a thread that knows of the subscription (because the
//!    subscribing call happened before its emit) can't read an older value, and for one that doesn't,
//!    the event is as good as earlier than the subscription.
//! 3. *A reader sees events in the order they were emitted*, each once; where some are missing, `Lost` stands in
//!    their place with their number. So after the first event is dropped, none is queued until there is room for
//!    `Lost` and that event.
//! 4. *No wake-up is lost.* A reader decides to wait under the queue's lock, and the queue changes under that
//!    lock; whoever changes it notifies afterwards.
//!
//! Locks nest in one order: `Hub::queues`, then one `EventQueue::state`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Event, Monitor};
use crate::RecvError;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, PoisonError, Process, lock};

/// The most events that wait for a reader: enough for a thousand peers to come, shake hands and go while the
/// reader is elsewhere; a megabyte or so at worst.
pub(super) const CAPACITY: usize = 4096;

/// The socket's end: where its events go out.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    pub(super) hub: Arc<Hub>,
}

/// What the socket and its monitors share.
#[derive(Debug, Default)]
pub(super) struct Hub {
    pub(super) listening: AtomicBool,
    pub(super) queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) open: Vec<Arc<EventQueue>>,
    /// The socket is closed: no events will come.
    closed: bool,
}

impl Monitors {
    pub(crate) fn new() -> Monitors {
        Monitors::default()
    }

    /// A new monitor, which sees every event emitted from now on. After [`close`](Monitors::close) it sees its end at
    /// once.
    pub(crate) fn subscribe(&self) -> Monitor {
        let queue = Arc::new(EventQueue::default());
        let mut queues = lock(&self.hub.queues);
        if queues.closed {
            queue.close();
        } else {
            queues.open.push(Arc::clone(&queue));
            self.hub.listening.store(true, Ordering::Relaxed);
        }
        drop(queues);
        Monitor::new(Subscription {
            hub: Arc::clone(&self.hub),
            queue,
            process: Process::current(),
        })
    }

    /// Whether there is a monitor.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.hub.listening.load(Ordering::Relaxed)
    }

    /// Tells every monitor of an event, which is made only if there is one.
    #[inline]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.is_watched() {
            self.hub.emit(event());
        }
    }

    /// Tells every monitor that there will be no more events.
    pub(crate) fn close(&self) {
        let mut queues = lock(&self.hub.queues);
        queues.closed = true;
        self.hub.listening.store(false, Ordering::Relaxed);
        for queue in queues.open.drain(..) {
            queue.close();
        }
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        self.close();
    }
}

impl Hub {
    #[cold]
    fn emit(&self, event: Event) {
        let queues = lock(&self.queues);
        if let Some((last, others)) = queues.open.split_last() {
            for queue in others {
                queue.push(event.clone());
            }
            last.push(event);
        }
    }
}

/// The monitor's end; dropping it ends the subscription.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    queue: Arc<EventQueue>,
    /// Who may touch the two. A forked child may find them locked for ever.
    pub(super) process: Process,
}

impl Subscription {
    pub(super) fn queue(&self) -> &EventQueue {
        &self.queue
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.process.is_current() {
            std::mem::forget((Arc::clone(&self.hub), Arc::clone(&self.queue)));
            return;
        }
        let mut queues = lock(&self.hub.queues);
        queues.open.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.hub
            .listening
            .store(!queues.open.is_empty(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// The events that wait for one monitor's reader.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    state: Mutex<QueueState>,
    /// The state has changed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    /// At most [`CAPACITY`] of them.
    events: VecDeque<Event>,
    /// How many were dropped after the last in `events`.
    lost: u64,
    /// No more will come.
    closed: bool,
}

impl QueueState {
    fn push(&mut self, event: Event) {
        if self.lost > 0 && self.events.len() + 2 <= CAPACITY {
            let lost = std::mem::take(&mut self.lost);
            self.events.push_back(Event::Lost(lost));
        }
        if self.lost == 0 && self.events.len() < CAPACITY {
            self.events.push_back(event);
        } else {
            self.lost += 1;
        }
    }

    fn pop(&mut self) -> Result<Event, RecvError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        match std::mem::take(&mut self.lost) {
            0 if self.closed => Err(RecvError::Closed),
            0 => Err(RecvError::WouldBlock),
            lost => Ok(Event::Lost(lost)),
        }
    }
}

impl EventQueue {
    fn push(&self, event: Event) {
        lock(&self.state).push(event);
        self.changed.notify_one();
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// The next event; `WouldBlock` if there is none.
    pub(super) fn try_pop(&self) -> Result<Event, RecvError> {
        lock(&self.state).pop()
    }

    /// The next event, waited for; `TimedOut` if none comes in time.
    pub(super) fn pop(&self, timeout: Option<Duration>) -> Result<Event, RecvError> {
        // A deadline beyond what the clock can say is never reached.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        loop {
            match state.pop() {
                Err(RecvError::WouldBlock) => {}
                done => return done,
            }
            state = match deadline {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(RecvError::TimedOut);
                    }
                    let (state, _) = self
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner);
                    state
                }
            };
        }
    }
}
