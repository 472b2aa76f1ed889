//! The driver's seat: one caller polls for all.

use std::sync::{MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::{Core, State};
use crate::engine::Deadline;
use crate::engine::driving::busy_poll::BusyPoll;
use crate::engine::driving::runtime_load::{RuntimeLoad, TaskWait};
use crate::pattern::Pattern;
use crate::sync::StateGuard;

/// Events taken from the kernel at once at most. More peers than that are served in several batches.
const MOST_EVENTS: usize = 256;

/// Room for events to begin with: an idle socket with one peer keeps no more.
pub(super) const FEWEST_EVENTS: usize = 4;

/// For so long a task polls before it gives up the core after each look in vain: many answers are there by then. The kernel takes whoever sends to be
/// about to sleep, and has the thread that its message wakes run on the same core: in a peer's runtime that of the reactor, which then wakes another.
const KEEPS_CORE: Duration = Duration::from_micros(5);

/// The driver's seat, which has a poll once the socket has an endpoint; before that there is nothing to poll, and all callers that wait
/// do so for `changed`. It is taken and given up only under the state lock, so that who finds it taken, and
/// then waits for `changed`, cannot miss that it falls free.
pub(super) struct Seat {
    /// `None`: the socket has no endpoint yet, and nobody sits here.
    pub(super) poll: Option<Poll>,
    pub(super) events: Events,
    pub(super) busy_poll: BusyPoll,
    /// Of the runtime whose tasks wait.
    pub(super) load: RuntimeLoad,
    /// The last poll failed, and nobody has been told of it.
    pub(super) failed: Option<std::io::Error>,
}

impl<P: Pattern> Core<P> {
    /// Waits until something has happened, in the seat if it is free.
    pub(super) fn wait<'a>(
        &'a self,
        mut state: StateGuard<'a, State<P>>,
        deadline: Deadline,
        now: Instant,
    ) -> StateGuard<'a, State<P>> {
        let timeout = match deadline {
            Deadline::Now => Some(Duration::ZERO),
            Deadline::At(at) => Some(at.saturating_duration_since(now)),
            Deadline::Never => None,
        };
        let open = state.net.is_open();
        match open.then(|| self.try_seat(&state)).flatten() {
            Some(seat) => self.wait_in_seat(state, seat, timeout, now),
            None if deadline == Deadline::Now => state,
            None => {
                let changed = self.attention.begin_thread_wait(&mut state.waiting);
                state = state.wait(changed, timeout);
                self.attention.end_thread_wait(&mut state.waiting);
                state
            }
        }
    }

    /// Takes the seat, if nobody sits there. Only under the state lock.
    pub(super) fn try_seat(&self, state: &State<P>) -> Option<MutexGuard<'_, Seat>> {
        let mut seat = match self.seat.try_lock() {
            Ok(seat) => seat,
            // Whatever made its holder unwind, the seat is whole between any two statements.
            Err(TryLockError::Poisoned(seat)) => seat.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let most = state.net.most_events();
        if most > seat.events.capacity() && seat.events.capacity() < MOST_EVENTS {
            seat.make_room(most);
        }
        Some(seat)
    }

    fn wait_in_seat<'a>(
        &'a self,
        state: StateGuard<'a, State<P>>,
        mut seat: MutexGuard<'a, Seat>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> StateGuard<'a, State<P>> {
        let goes_on = state.net.has_work();
        let timeout = if goes_on {
            Some(Duration::ZERO)
        } else {
            let timer = state.net.next_timer();
            let timer = timer.map(|at| at.saturating_duration_since(now));
            timer.into_iter().chain(timeout).min()
        };
        let dialogue = state.pattern.in_dialogue();
        self.presence.enter_seat();
        drop(state);
        let span = seat.busy_poll.duration(dialogue);
        let looks = !span.is_zero() && timeout.is_none_or(|timeout| timeout > span);
        if !looks || !seat.poll_for_a_while(now, span, |_| {}) {
            seat.poll_events(timeout);
        }
        self.leave_seat(seat, goes_on, dialogue)
    }

    /// Polls the kernel for a while, for a task that is in a dialogue and about to wait. If others are to run first, it says so.
    pub(super) fn wait_for_a_while<'a>(
        &'a self,
        state: StateGuard<'a, State<P>>,
    ) -> (StateGuard<'a, State<P>>, TaskWait) {
        let seat = match state.net.is_open() && !state.net.has_work() {
            true => self.try_seat(&state),
            false => None,
        };
        let Some(mut seat) = seat else {
            return (state, TaskWait::Sleep);
        };
        let now = Instant::now();
        let Seat {
            load, busy_poll, ..
        } = &mut *seat;
        let wait = load.next(now, || busy_poll.duration(true));
        let TaskWait::Poll(span) = wait else {
            return (state, wait);
        };
        self.presence.enter_seat();
        drop(state);
        seat.poll_for_a_while(now, span, |looked_for| {
            if looked_for >= KEEPS_CORE {
                std::thread::yield_now();
            }
        });
        (self.leave_seat(seat, false, true), wait)
    }

    /// Does what there is to do after an event, for a thread that waits for the socket's events beside the seat. Whoever sits there may have asked the
    /// kernel before that event, and asks again.
    pub(super) fn drive_beside(&self, state: &mut State<P>) {
        let Some(mut seat) = self.try_seat(state) else {
            state.asks_again = true;
            return;
        };
        seat.poll_events(Some(Duration::ZERO));
        state.net.poll_failed(seat.failed.take());
        state.turn().process(&seat.events);
        drop(seat);
        self.notify(state);
    }

    /// Releases the lock after that.
    pub(super) fn release_driven(&self, state: StateGuard<'_, State<P>>) {
        let behind = state.net.is_behind(Instant::now());
        self.report_work(&state);
        self.unlock(state);
        if behind {
            self.caretaker.drive(self.id);
        }
    }

    /// Processes what the seat has polled, and gives it up.
    fn leave_seat<'a>(
        &'a self,
        mut seat: MutexGuard<'a, Seat>,
        goes_on: bool,
        dialogue: bool,
    ) -> StateGuard<'a, State<P>> {
        let mut state = match goes_on {
            true => self.state.lock_again(),
            false => self.state.lock(),
        };
        let told = self.presence.leave_seat();
        state.net.poll_failed(seat.failed.take());
        let woken = Instant::now();
        if dialogue && !seat.events.is_empty() {
            seat.busy_poll.woken(woken);
        }
        state.turn_at(woken).process(&seat.events);
        if std::mem::take(&mut state.asks_again) {
            seat.poll_events(Some(Duration::ZERO));
            state.net.poll_failed(seat.failed.take());
            state.turn().process(&seat.events);
        }
        drop(seat);
        self.notify(&mut state);
        let unwatched = self.presence.request_watch();
        if told || unwatched {
            self.caretaker.take_over(self.id);
        }
        state
    }
}

impl Seat {
    /// Makes room for so many events at once, unless that is too many. Those of the last poll have been processed.
    #[cold]
    fn make_room(&mut self, most: usize) {
        let room = most.next_power_of_two().min(MOST_EVENTS);
        self.events = Events::with_capacity(room);
    }

    /// Looks for events for a little while, and does `between` after each look in vain, with the time so far; `false`: there are
    /// none.
    fn poll_for_a_while(
        &mut self,
        now: Instant,
        span: Duration,
        between: impl Fn(Duration),
    ) -> bool {
        let came = loop {
            self.poll_events(Some(Duration::ZERO));
            if !self.events.is_empty() {
                break true;
            }
            let looked_for = now.elapsed();
            if looked_for >= span {
                break false;
            }
            between(looked_for);
        };
        self.busy_poll.record(came);
        came
    }

    pub(super) fn poll_events(&mut self, timeout: Option<Duration>) {
        let Some(poll) = &mut self.poll else {
            return;
        };
        if let Err(error) = poll.poll(&mut self.events, timeout) {
            self.events.clear();
            if error.kind() != std::io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
        }
    }
}
