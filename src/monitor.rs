//! What happens to a socket's endpoints and connections, told as it happens.
//!
//! The socket holds [`Monitors`] and emits [`Event`]s; each [`Monitor`] that the application takes is an own
//! queue of them. How they are handed over, and what must hold there, is in `monitor/queue.rs`.

mod event;
mod journal;
mod queue;
mod refusal;
#[cfg(feature = "serde")]
mod with_serde;

use std::time::Duration;

use crate::RecvError;
use crate::process::Process;

pub use event::{ConnectionId, ConnectionInfo, DisconnectCause, Event, IoFailure};
pub(crate) use journal::Journal;
pub(crate) use queue::Monitors;
use queue::{EventQueue, Subscription};
pub use refusal::{PeerRefusal, RefusalCause};

/// The events of one socket, from the moment the monitor was taken.
///
/// A monitor is a blocking iterator that ends when the socket is closed. A socket may have several, each of which
/// sees every event. Dropping a monitor ends its subscription.
///
/// A monitor never holds up its socket. It keeps up to 4096 events for a reader that is elsewhere; then new events are
/// dropped and counted, and the reader is told the count by [`Event::Lost`] in their place.
///
/// ```
/// # use zerohop::{DisconnectCause, Event, Monitor};
/// fn count_misbehaving_peers(monitor: Monitor) -> usize {
///     let protocol_error = |event: &Event| match event {
///         Event::HandshakeFailed { cause, .. } | Event::Disconnected { cause, .. } => {
///             matches!(cause, DisconnectCause::Protocol(_))
///         }
///         _ => false,
///     };
///     monitor.filter(protocol_error).count()
/// }
/// ```
#[derive(Debug)]
pub struct Monitor {
    subscription: Subscription,
}

impl Monitor {
    fn new(subscription: Subscription) -> Monitor {
        Monitor { subscription }
    }

    /// A monitor of a socket that belongs to another process, of which nothing can be seen here.
    pub(crate) fn of_other(process: Process) -> Monitor {
        let mut monitor = Monitors::new().subscribe();
        monitor.subscription.process = process;
        monitor
    }

    fn queue(&self) -> Result<&EventQueue, RecvError> {
        match self.subscription.process.is_current() {
            true => Ok(self.subscription.queue()),
            false => Err(RecvError::Forked),
        }
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`]: the socket is closed, and all its events have been received. [`RecvError::Forked`] in a forked child.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.queue()?.pop(None)
    }

    /// Waits for the next event, so long at most.
    ///
    /// # Errors
    ///
    /// [`RecvError::TimedOut`], or [`RecvError::Closed`] as for [`recv`](Monitor::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvError> {
        self.queue()?.pop(Some(timeout))
    }

    /// The next event, if there is one already.
    ///
    /// # Errors
    ///
    /// [`RecvError::WouldBlock`], or [`RecvError::Closed`] as for [`recv`](Monitor::recv).
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        self.queue()?.try_pop()
    }
}

impl Iterator for Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

impl Iterator for &Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

// Beside the queue and not in it: `tests/` compile that file against a model checker, too.
#[cfg(test)]
mod tests;
