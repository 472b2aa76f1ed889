//! Hand-over: who looks after a socket, the application or the caretaker.
//!
//! While the application is active the caretaker must not be woken for the socket's events: it would burn
//! a core and fight for the lock. It looks again every few milliseconds instead, and while a caller sits
//! in the driver's seat for longer than that, it stops looking altogether (the socket is *parked*).
//!
//! ```text
//!            event, and the application is active              seat taken for a whole period
//!  WATCHED ───────────────────────────────────────▶ LEASED ───────────────────────────────▶ PARKED
//!     ▲         nothing happened for a period         │ ▲      the caller leaves the seat       │
//!     └───────────────────────────────────────────────┘ └───────────────────────────────────────┘
//! ```
//!
//! Invariant: **a parked socket has a caller in its seat, or a caller whose [`Presence::leave_seat`] has returned `true` and which
//! therefore notifies the caretaker.** Neither side can miss the other: the caller first leaves the seat
//! and then checks whether the socket is parked, the caretaker first parks and then checks whether the seat is taken.
//!
//! While a socket is watched, the caretaker is woken by the kernel's events only, and a caller in
//! the seat may have consumed these. Invariant: **work and timers that exist when the state
//! lock is released will be seen by a caretaker that has yet to drive, or a caller's [`Presence::report_work`] has returned
//! `true` and that caller notifies the caretaker.** The caretaker first watches and then drives, under the state lock; the caller
//! checks whether it watches under that lock, when the work exists.
//!
//! Tasks wait without sitting in the seat. Invariant: **while a task waits, nobody sits in the seat and neither a [reactor](super::reactor) nor a
//! [poller](super::levels::Observer::hears) hears of events, the caretaker watches, or is about to be notified that it has to.** A task that begins to wait ([`Presence::tasks_wait`]), and a caller that leaves the seat
//! ([`Presence::request_watch`]), first set their flag and then check whether the socket is watched. The caretaker first clears `watched`
//! and then checks whether a task waits and the seat is free ([`Presence::lease`]). `watched` is set already when the notification is
//! sent, since the caretaker checks all this again when it gets that.
//!
//! While a socket is leased, and calls come, the caretaker *delegates* the driving to the next call, whose thread
//! has the bias of the lock, and the messages in its cache. If no call has driven by the caretaker's next look, or one has done a part
//! only, the caretaker drives itself. Calls that wait for messages come back for the rest as soon as they have taken those they have, and
//! in a stream that is faster than they read there always is a rest: there it stays theirs.

use crate::sync::{AtomicBool, AtomicU32, Ordering, fence};

/// See the module.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Counts calls of the application. A counter and not a flag, so that the caretaker need not write to it.
    activity: AtomicU32,
    /// Counts entries into and departures from the seat: odd while somebody sits in it.
    seat: AtomicU32,
    parked: AtomicBool,
    /// The caretaker watches, or has been notified that it has to.
    watched: AtomicBool,
    /// Tasks wait, or observers for a low level: both are called tasks here.
    tasks: AtomicBool,
    /// While tasks wait: the reactor of their runtime hears of events, and drives.
    reactor: AtomicBool,
    /// While nobody but [pollers](super::levels::Observer::hears) waits: their threads hear of events, and drive.
    pollers: AtomicBool,
    delegated: AtomicBool,
}

/// What the caretaker saw of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    activity: u32,
    /// Changes when somebody takes the seat, and when they leave it.
    pub(crate) seat: u32,
}

impl Look {
    /// A caller sits in the seat and polls.
    pub(crate) fn seat_taken(self) -> bool {
        self.seat % 2 == 1
    }
}

impl Presence {
    pub(crate) fn new() -> Self {
        Presence {
            activity: AtomicU32::new(0),
            seat: AtomicU32::new(0),
            parked: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            tasks: AtomicBool::new(false),
            reactor: AtomicBool::new(false),
            pollers: AtomicBool::new(false),
            delegated: AtomicBool::new(false),
        }
    }

    /// Notes that the application called. Only called under the socket's state lock, so that a plain
    /// load and store suffices.
    #[inline]
    pub(crate) fn touch(&self) {
        let count = self.activity.load(Ordering::Relaxed);
        self.activity
            .store(count.wrapping_add(1), Ordering::Relaxed);
    }

    /// A caller has taken the seat.
    pub(crate) fn enter_seat(&self) {
        self.seat.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller has left the seat. `true`: the caretaker has parked the socket meanwhile, and has to be notified.
    #[must_use]
    pub(crate) fn leave_seat(&self) -> bool {
        self.seat.fetch_add(1, Ordering::AcqRel);
        // Between this store and that load, as between those of `park`: one side sees the other's.
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel)
    }

    /// A caller that is about to release the state lock leaves work, or a new timer. Only called under that lock. `true`: the
    /// caretaker waits for events only, and has to be notified.
    #[must_use]
    pub(crate) fn report_work(&self) -> bool {
        self.watched.load(Ordering::Relaxed) && self.watched.swap(false, Ordering::Relaxed)
    }

    /// The caretaker waits for the socket's events from now on, and will drive once more before it does.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// The caretaker will look again, event or not, and does not watch meanwhile. `false`: a task waits, and nobody else would notice
    /// events: the caretaker has to watch, and to drive once more.
    #[must_use]
    pub(crate) fn lease(&self) -> bool {
        self.watched.store(false, Ordering::Relaxed);
        // Between this store and those loads, as between those of `request_watch`: one side sees the other's.
        fence(Ordering::SeqCst);
        !self.tasks.load(Ordering::Relaxed) || self.look().seat_taken() || self.is_heard()
    }

    /// A task waits, and there was none before. Only called under the socket's state lock. `true`: the caretaker has to be notified.
    #[must_use]
    pub(crate) fn tasks_wait(&self) -> bool {
        self.tasks.store(true, Ordering::Relaxed);
        self.request_watch()
    }

    /// No task waits any more. Only called under the socket's state lock.
    pub(crate) fn no_task_waits(&self) {
        self.tasks.store(false, Ordering::Relaxed);
        self.reactor.store(false, Ordering::Relaxed);
        self.pollers.store(false, Ordering::Relaxed);
    }

    /// A reactor hears of all events from now on. Only called under the socket's state lock.
    pub(crate) fn reactor_hears(&self) {
        self.reactor.store(true, Ordering::Relaxed);
    }

    /// It no longer does. Only called under the socket's state lock. `true`: the caretaker has to be notified.
    #[must_use]
    pub(crate) fn reactor_is_gone(&self) -> bool {
        self.reactor.store(false, Ordering::Relaxed);
        self.request_watch()
    }

    /// Whether a reactor hears of events, for tasks that wait.
    pub(crate) fn has_reactor(&self) -> bool {
        self.reactor.load(Ordering::Relaxed)
    }

    /// Whether all who wait are pollers, whose threads hear of events. Only called under the socket's state lock. `true`: that was so until now, and no
    /// longer is.
    pub(crate) fn pollers_hear(&self, hear: bool) -> bool {
        let heard = self.pollers.load(Ordering::Relaxed);
        self.pollers.store(hear, Ordering::Relaxed);
        heard && !hear
    }

    /// Whether somebody hears of events for those who wait, if their threads run: a reactor, or pollers.
    pub(crate) fn is_heard(&self) -> bool {
        self.has_reactor() || self.pollers.load(Ordering::Relaxed)
    }

    /// Whether tasks wait.
    pub(crate) fn has_tasks(&self) -> bool {
        self.tasks.load(Ordering::Relaxed)
    }

    /// The caretaker has to watch if tasks wait, the seat is free, and neither a reactor nor pollers hear of events. Only called under the socket's state lock, after
    /// [`leave_seat`](Self::leave_seat). `true`: it does not, and has to be notified.
    #[must_use]
    pub(crate) fn request_watch(&self) -> bool {
        if !self.has_tasks() || self.look().seat_taken() || self.is_heard() {
            return false;
        }
        fence(Ordering::SeqCst);
        !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::Relaxed)
    }

    /// The caretaker leaves it to the next call to drive. `false`: no call has done so since the last time.
    #[must_use]
    pub(crate) fn delegate(&self) -> bool {
        !self.delegated.swap(true, Ordering::Relaxed)
    }

    /// Whether a call is to drive. `true` is returned to one call only, which then has to do it.
    pub(crate) fn take_delegated(&self) -> bool {
        self.delegated.load(Ordering::Relaxed) && self.delegated.swap(false, Ordering::Relaxed)
    }

    /// That call has driven, and more is left than there was time for, which no other call will do: the caretaker does it, at its next
    /// look.
    pub(crate) fn return_rest(&self) {
        self.delegated.store(true, Ordering::Relaxed);
    }

    /// The caretaker has done all there was to do, or calls do the rest: it may delegate again.
    pub(crate) fn clear_delegated(&self) {
        self.delegated.store(false, Ordering::Relaxed);
    }

    /// The caretaker looks.
    pub(crate) fn look(&self) -> Look {
        Look {
            activity: self.activity.load(Ordering::Relaxed),
            seat: self.seat.load(Ordering::SeqCst),
        }
    }

    /// The caretaker stops looking because the seat has been taken since `seen`. `false`: it no longer
    /// is, keep looking.
    #[must_use]
    pub(crate) fn park(&self, seen: Look) -> bool {
        self.parked.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.seat.load(Ordering::Acquire) == seen.seat {
            return true;
        }
        // The caller has left in between. If it saw the flag, it notifies as well, which does no harm.
        self.parked.store(false, Ordering::SeqCst);
        false
    }
}
