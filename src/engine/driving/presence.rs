//! Hand-over: who looks after a socket, the application or the caretaker.
//!
//! While the application is active the caretaker must not be woken for the socket's events: it would burn
//! a core and fight for the lock. It looks again every few milliseconds instead, and while a caller sits
//! in the driver's seat for longer than that, it stops looking altogether (*parks*).
//!
//! ```text
//!            event, and the application is active              seat taken for a whole period
//!  WATCHED ───────────────────────────────────────▶ LEASED ───────────────────────────────▶ PARKED
//!     ▲         nothing happened for a period         │ ▲      the caller leaves the seat       │
//!     └───────────────────────────────────────────────┘ └───────────────────────────────────────┘
//! ```
//!
//! Invariant: **a socket that is parked has a caller in its seat, or a [`Presence::leave`] that returned
//! `true` and so tells the caretaker.** Neither side can miss the other: the caller leaves the seat first
//! and then looks whether it is parked, the caretaker parks first and then looks whether the seat is taken.
//!
//! While a socket is watched, the caretaker hears of the kernel's events and of nothing else, and a caller in
//! the seat may have taken those away from it. Invariant: **work and timers that are there when the state
//! lock is released are seen by a caretaker that has yet to drive, or by a [`Presence::abandon`] that returned
//! `true` and so tells it.** The caretaker first watches and then drives, under the state lock; the caller
//! looks whether it is watched under that lock, with the work in place.
//!
//! Tasks wait without sitting in the seat. Invariant: **while a task waits and nobody sits in the seat, the caretaker watches or is
//! about to be told to.** A task that begins to wait ([`Presence::expect`]), and a caller that leaves the seat ([`Presence::summon`]),
//! first say so and then look whether the socket is watched; the caretaker first says that it no longer watches and then looks
//! whether a task waits and the seat is free ([`Presence::lease`]). Who is told to watch may count as watching already, since it
//! looks at all this again when it hears of it.
//!
//! While it is leased, and calls come, the caretaker does not drive the socket either: it *asks*, and the next call
//! drives. That one has the lock's bias and the messages' cache. What has been asked for and is not done at the next look, or only
//! in part, the caretaker does.

use crate::sync::{AtomicBool, AtomicU32, Ordering, fence};

/// See the module.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Counts calls of the application. A counter and not a flag, so that looking does not write.
    activity: AtomicU32,
    /// Counts entries into and departures from the seat: odd while somebody sits in it.
    seat: AtomicU32,
    parked: AtomicBool,
    /// The caretaker watches, or has been told to.
    watched: AtomicBool,
    /// Tasks wait.
    expected: AtomicBool,
    asked: AtomicBool,
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
            expected: AtomicBool::new(false),
            asked: AtomicBool::new(false),
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
    pub(crate) fn enter(&self) {
        self.seat.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller has left the seat. `true`: the caretaker parked meanwhile and has to be told.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.seat.fetch_add(1, Ordering::AcqRel);
        // Between this store and that load, as between those of `park`: one side sees the other's.
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel)
    }

    /// A caller leaves work or timers behind. Only called under the socket's state lock. `true`: the
    /// caretaker waits for events only and has to be told.
    #[must_use]
    pub(crate) fn abandon(&self) -> bool {
        self.watched.load(Ordering::Relaxed) && self.watched.swap(false, Ordering::Relaxed)
    }

    /// The caretaker waits for the socket's events from now on, and will drive once more before it does.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// The caretaker will look again, event or not, and not watch meanwhile. `false`: a task waits, and nobody else would hear of
    /// events: it has to watch, and to drive once more.
    #[must_use]
    pub(crate) fn lease(&self) -> bool {
        self.watched.store(false, Ordering::Relaxed);
        // Between this store and those loads, as between those of `summon`: one side sees the other's.
        fence(Ordering::SeqCst);
        !self.expected.load(Ordering::Relaxed) || self.look().seat_taken()
    }

    /// A task waits, and there was none before. Only called under the socket's state lock. `true`: the caretaker has to be told.
    #[must_use]
    pub(crate) fn expect(&self) -> bool {
        self.expected.store(true, Ordering::Relaxed);
        self.summon()
    }

    /// No task waits any more. Only called under the socket's state lock.
    pub(crate) fn expect_nothing(&self) {
        self.expected.store(false, Ordering::Relaxed);
    }

    /// Whether tasks wait.
    pub(crate) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// Somebody has to hear of events if tasks wait and the seat is free. Only called under the socket's state lock, behind
    /// [`leave`](Self::leave). `true`: the caretaker has to be told to watch.
    #[must_use]
    pub(crate) fn summon(&self) -> bool {
        if !self.is_expected() || self.look().seat_taken() {
            return false;
        }
        fence(Ordering::SeqCst);
        !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::Relaxed)
    }

    /// The caretaker asks the next call to drive. `false`: none has since it last asked.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// Whether the caretaker has asked for a call to drive. Who is told so, drives: nobody else is told.
    pub(crate) fn answer(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed)
    }

    /// A call has done a part of what was asked for: the rest is for the caretaker, when it looks again.
    pub(crate) fn put_off(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The caretaker has done what there was to do: it may ask again.
    pub(crate) fn done(&self) {
        self.asked.store(false, Ordering::Relaxed);
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
        // The caller left in between. If it saw the flag, it has told us, and looking on is harmless.
        self.parked.store(false, Ordering::SeqCst);
        false
    }
}
