//! What the caretaker does with a socket whose application is elsewhere.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::{Core, Phase, Presence};
use crate::engine::Deadline;
use crate::engine::driving::attention::Changes;
pub(crate) use crate::engine::tempo::rhythm::Seen;
use crate::engine::tempo::rhythm::WrittenBy;
use crate::pattern::Pattern;

/// Buffers the caretaker writes in one turn.
const CARETAKER_WRITES: usize = 32;

/// What the caretaker can do with a socket of any type.
pub(crate) trait Driven: Send + Sync {
    /// The descriptor that becomes readable when the socket has events.
    fn poll_fd(&self) -> RawFd;
    fn presence(&self) -> &Presence;
    /// Processes what there is, as much as there is time for in one turn, without waiting. Sets `now` to the time by then.
    fn drive(&self, now: &mut Instant) -> DriveOutcome;
    /// Leaves it to the application, which is active, to process what there is with its next call. `false`: it has not done so since
    /// the last time; or bytes wait for the kernel, and only the caretaker would notice that it takes them.
    fn delegate(&self) -> bool;
    /// Whether messages gather: said without a look at the state.
    fn gathers(&self) -> bool;
    /// Writes what has gathered, unless a caller will do so soon. Sets `now` to the time after that.
    fn flush(&self, seen: Seen, now: &mut Instant) -> FlushOutcome;
    /// Frees spare memory: the application has not used the socket for a while.
    fn release_memory(&self);
    /// Makes every waiting call look at the state again.
    fn wake(&self);
}

/// The result of driving a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriveOutcome {
    /// A caller is in the seat and does it.
    SeatTaken,
    Done {
        /// When to come back for a timer.
        timer: Option<Instant>,
        /// Bytes are left that the kernel would not take. Holds the callers' count of writes.
        leftover: Option<u64>,
        /// There was more to do than there was time for.
        behind: bool,
    },
    /// The socket is closed: forget it.
    Closed,
}

/// What became of the messages that had gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushOutcome {
    /// Written, as far as the kernel takes it: it reports when it takes the rest.
    Done,
    /// A caller is writing by itself; look again whether it still does. Holds its count of writes, and for how long messages
    /// gather between them.
    CallerWrites(u64, Duration),
    /// There was more than one turn's worth. Holds the caller's count of writes.
    More(u64),
}

impl<P: Pattern> Driven for Core<P> {
    fn poll_fd(&self) -> RawFd {
        // The caretaker is told of a socket only when the socket has its poll.
        self.poll_fd.get().copied().unwrap_or(-1)
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn drive(&self, now: &mut Instant) -> DriveOutcome {
        let mut state = self.state.lock_again();
        if matches!(state.phase, Phase::Closed { .. }) {
            return DriveOutcome::Closed;
        }
        let Some(mut seat) = self.try_seat(&state) else {
            self.unlock(state);
            return DriveOutcome::SeatTaken;
        };
        seat.poll_events(Some(Duration::ZERO));
        state.net.poll_failed(seat.failed.take());
        let mut turn = state.turn();
        turn.process(&seat.events);
        while turn.has_time_for_more() {
            turn.settle();
        }
        *now = turn.now();
        drop(seat);
        let closed = self.close_if_done(&mut state, *now);
        self.notify(&mut state);
        if closed {
            self.unlock(state);
            return DriveOutcome::Closed;
        }
        let mut timer = state.net.announce_timer();
        if let Phase::Closing(Deadline::At(at)) = state.phase {
            timer = timer.into_iter().chain([at]).min();
        }
        let behind = state.net.is_behind(*now);
        if std::mem::take(&mut state.calls_drive) || !behind {
            self.presence.clear_delegated();
        }
        let leftover = state.net.leftover();
        self.unlock(state);
        DriveOutcome::Done {
            timer,
            leftover,
            behind,
        }
    }

    fn delegate(&self) -> bool {
        let delegated = !self.rhythm.is_held_up() && self.presence.delegate();
        if delegated {
            self.mailbox.set_pending();
        }
        delegated
    }

    fn gathers(&self) -> bool {
        self.rhythm.gathers().is_set()
    }

    fn flush(&self, seen: Seen, now: &mut Instant) -> FlushOutcome {
        if !self.gathers() {
            return FlushOutcome::Done;
        }
        let reading = self.rhythm.read();
        let caller_writes = FlushOutcome::CallerWrites(reading.writes, reading.gathers_for);
        if reading.shows_writes_since(seen) {
            return caller_writes;
        }
        let by = self.state.lock().net.who_writes(seen, *now);
        match by {
            WrittenBy::Nobody => return FlushOutcome::Done,
            WrittenBy::Caller => return caller_writes,
            WrittenBy::Caretaker => {}
        }
        for _ in 0..CARETAKER_WRITES {
            let Some(mut job) = self.state.lock().net.begin_write() else {
                return FlushOutcome::Done;
            };
            let result = job.run();
            let mut state = self.state.lock();
            let mut turn = state.turn();
            turn.end_write(job, result);
            *now = turn.now();
            self.notify_all(&mut state);
            self.unlock(state);
        }
        FlushOutcome::More(reading.writes)
    }

    fn release_memory(&self) {
        let mut state = self.state.lock();
        state.net.release_memory();
        self.unlock(state);
    }

    fn wake(&self) {
        // Whoever has looked at the state and is about to wait holds the lock until it does.
        let mut state = self.state.lock();
        state.net.note_change(Changes::CLOSED);
        self.notify_all(&mut state);
        self.unlock(state);
    }
}
