//! One socket's core: its state, its seat, and the rules for who drives.

mod driven;

pub(crate) use driven::{Driven, Drove, Relief, Seen};

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::caretaker::Caretaker;
use super::gathering::Rhythm;
use super::mailbox::Mailbox;
use super::net::{Net, log_poll_error};
use super::patience::Patience;
use super::presence::Presence;
use super::{PollWaker, SocketMailbox};
use crate::context::ContextInner;
use crate::options::Options;
use crate::pattern::Pattern;
use crate::sync::{StateGuard, StateLock};

/// Events taken from the kernel at once. More peers than that are served in several batches.
const EVENTS: usize = 256;

/// How long a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Not at all.
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// Whether there is no time left.
    pub(crate) fn has_passed(self, now: Instant) -> bool {
        match self {
            Deadline::Now => true,
            Deadline::At(at) => at <= now,
            Deadline::Never => false,
        }
    }

    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now()
            .checked_add(timeout)
            .map_or(Deadline::Never, Deadline::At)
    }

    pub(crate) fn from_option(timeout: Option<Duration>) -> Self {
        Deadline::from(Wait::from_option(timeout))
    }
}

/// How long a call may wait, before it is known whether it has to: most need not, and do not look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Not,
    AtMost(Duration),
    Forever,
}

impl Wait {
    /// As the options mean it: `None` is for ever, and no time at all is not to wait.
    #[inline]
    pub(crate) fn from_option(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Wait::Forever,
            Some(Duration::ZERO) => Wait::Not,
            Some(timeout) => Wait::AtMost(timeout),
        }
    }
}

impl From<Wait> for Deadline {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Not => Deadline::Now,
            Wait::AtMost(timeout) => Deadline::after(timeout),
            Wait::Forever => Deadline::Never,
        }
    }
}

/// Why a call could not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    WouldBlock,
    TimedOut,
    Shut(Shut),
}

/// Why no call does anything any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    Socket,
    Context,
}

impl From<Shut> for Stop {
    fn from(shut: Shut) -> Self {
        Stop::Shut(shut)
    }
}

/// See the module.
pub(crate) struct Core<P> {
    state: StateLock<State<P>>,
    /// Notified after every processed batch while anybody waits, and when the seat falls free.
    changed: Condvar,
    seat: Mutex<Seat>,
    presence: Presence,
    mailbox: Arc<SocketMailbox>,
    rhythm: Arc<Rhythm>,
    pub(crate) context: Arc<ContextInner>,
    caretaker: Arc<Caretaker>,
    /// The name of this socket with the caretaker.
    id: usize,
    poll_fd: RawFd,
}

/// What the state lock guards.
pub(crate) struct State<P> {
    pub(crate) pattern: P,
    pub(crate) net: Net,
    phase: Phase,
    /// The caretaker has been told of the socket: it has, or has had, an endpoint.
    enlisted: bool,
    /// The context waits until it is closed.
    lingers: bool,
    /// Callers that wait for `changed`.
    waiters: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued is still to leave, and what has left to be read, until this time.
    Closing(Deadline),
    Closed {
        unsent: usize,
    },
}

/// The driver's seat. It is taken and given up only under the state lock, so that who finds it taken, and
/// then waits for `changed`, cannot miss that it falls free.
struct Seat {
    poll: Poll,
    events: Events,
    patience: Patience,
}

impl<P: Pattern> Core<P> {
    /// Makes the core of a new socket. The context's caretaker watches over it as soon as there is something to watch.
    pub(crate) fn new(
        context: &Arc<ContextInner>,
        options: Options,
        pattern: P,
    ) -> std::io::Result<Arc<Self>>
    where
        P: 'static,
    {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let mailbox = Arc::new(Mailbox::new(PollWaker::new(poll.registry())?));
        let caretaker = context.caretaker()?;
        let id = caretaker.new_id();
        let patience = Patience::new(options.busy_poll);
        let net = Net::new(
            &pattern,
            options,
            registry,
            Arc::clone(context),
            Arc::clone(&mailbox),
            Arc::clone(&caretaker),
            id,
        );
        let core = Arc::new(Core {
            rhythm: Arc::clone(net.gathering.rhythm()),
            poll_fd: poll.as_raw_fd(),
            state: StateLock::new(State {
                pattern,
                net,
                phase: Phase::Open,
                enlisted: false,
                lingers: false,
                waiters: 0,
            }),
            changed: Condvar::new(),
            seat: Mutex::new(Seat {
                poll,
                events: Events::with_capacity(EVENTS),
                patience,
            }),
            presence: Presence::new(),
            mailbox,
            context: Arc::clone(context),
            caretaker,
            id,
        });
        let driven = Arc::clone(&core) as Arc<dyn Driven>;
        context.enlist(Arc::downgrade(&driven));
        Ok(core)
    }

    /// Locks the state of an open socket for a call of the application.
    fn enter(&self) -> Result<StateGuard<'_, State<P>>, Shut> {
        let state = self.state.lock();
        self.check_open(&state)?;
        self.presence.touch();
        Ok(state)
    }

    #[inline]
    fn check_open(&self, state: &State<P>) -> Result<(), Shut> {
        if state.phase != Phase::Open {
            return Err(Shut::Socket);
        }
        if self.context.is_shut_down() {
            return Err(Shut::Context);
        }
        Ok(())
    }

    /// Looks at the state of a socket in any phase.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&mut P, &mut Net) -> T) -> T {
        let mut state = self.state.lock();
        let State { pattern, net, .. } = &mut *state;
        look(pattern, net)
    }

    /// Changes the endpoints of an open socket. The caretaker is told to look: there may be new timers.
    pub(crate) fn change<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut P, &mut Net) -> T,
    ) -> Result<T, Shut>
    where
        P: 'static,
    {
        let mut state = self.enter()?;
        let State { pattern, net, .. } = &mut *state;
        let result = change(pattern, net);
        net.settle(Instant::now(), pattern);
        self.notify_all(&state);
        let enlisted = std::mem::replace(&mut state.enlisted, true);
        let soon = state.pattern.asks_first();
        drop(state);
        if enlisted {
            self.caretaker.look_at(self.id);
        } else {
            self.caretaker.watch(self.id, Arc::clone(self) as _, soon);
        }
        Ok(result)
    }

    /// Does `attempt` once, for the thread that comes again and again to an open socket where nothing else is to be done; for
    /// others, and if that gives nothing, there is [`until`](Self::until).
    ///
    /// It is compiled into each kind of call together with `attempt`, so that all it needs stays in registers.
    #[inline(always)]
    pub(crate) fn at_once<T>(
        &self,
        attempt: impl FnOnce(&mut P, &mut Net) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.state.lock_as_owner()?;
        if self.check_open(&state).is_err() || self.mailbox.has_notes() {
            return None;
        }
        self.presence.touch();
        let State { pattern, net, .. } = &mut *state;
        let result = attempt(pattern, net);
        if net.has_chores() {
            self.do_chores(state.into());
        }
        result
    }

    /// Repeats `attempt` until it gives something, driving the socket in between.
    pub(crate) fn until<T>(
        &self,
        deadline: impl Into<Deadline>,
        mut attempt: impl FnMut(&mut P, &mut Net) -> Option<T>,
    ) -> Result<T, Stop> {
        let deadline = deadline.into();
        let mut state = self.enter()?;
        if self.mailbox.has_notes() {
            self.pass_by(&mut state);
        }
        let State { pattern, net, .. } = &mut *state;
        if let Some(result) = attempt(pattern, net) {
            if net.has_chores() {
                self.do_chores(state);
            }
            return Ok(result);
        }
        self.until_slow(state, deadline, &mut attempt)
    }

    /// Sees to what an attempt that succeeded has left to do.
    #[cold]
    fn do_chores(&self, mut state: StateGuard<'_, State<P>>) {
        let State { pattern, net, .. } = &mut *state;
        net.settle(Instant::now(), pattern);
        self.notify_all(&state);
        self.hand_over(&state);
    }

    /// Other sockets of this process have left notes, or the caretaker asks for a look at the kernel's events: an active
    /// caller sees to it as it passes by.
    #[cold]
    fn pass_by(&self, state: &mut State<P>) {
        let State { pattern, net, .. } = state;
        let seat = self.presence.answer().then(|| self.try_seat()).flatten();
        if let Some(mut seat) = seat {
            seat.poll_events(Some(Duration::ZERO));
            net.process(&seat.events, pattern);
        } else {
            let now = Instant::now();
            net.take_notes(now, pattern);
            net.settle(now, pattern);
        }
        self.notify_all(state);
    }

    #[cold]
    fn until_slow<'a, T>(
        &'a self,
        mut state: StateGuard<'a, State<P>>,
        deadline: Deadline,
        attempt: &mut dyn FnMut(&mut P, &mut Net) -> Option<T>,
    ) -> Result<T, Stop> {
        let mut polled = false;
        let result = loop {
            if let Err(shut) = self.check_open(&state) {
                break Err(shut.into());
            }
            let now = Instant::now();
            let State { pattern, net, .. } = &mut *state;
            // Reads what is known to be readable before it asks the kernel what else is.
            let worked = net.has_work();
            net.settle(now, pattern);
            let result = attempt(pattern, net);
            if worked {
                self.notify_all(&state);
            }
            if let Some(result) = result {
                break Ok(result);
            }
            let expired = match deadline {
                Deadline::Now => polled.then_some(Stop::WouldBlock),
                Deadline::At(at) => (at <= now && polled).then_some(Stop::TimedOut),
                Deadline::Never => None,
            };
            if let Some(stop) = expired {
                break Err(stop);
            }
            state = self.wait(state, deadline, now);
            polled = true;
        };
        self.hand_over(&state);
        result
    }

    /// Sees to it that what a caller leaves behind is not forgotten: its events it has taken away from the
    /// caretaker.
    fn hand_over(&self, state: &State<P>) {
        let left = state.net.has_work() || state.net.timers.unannounced();
        if left && self.presence.abandon() {
            self.caretaker.left(self.id);
        }
    }

    /// Waits until something has happened, in the seat if it is free.
    fn wait<'a>(
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
        match self.try_seat() {
            Some(seat) => self.wait_in_seat(state, seat, timeout, now),
            None if deadline == Deadline::Now => state,
            None => {
                state.waiters += 1;
                state = state.wait(&self.changed, timeout);
                state.waiters -= 1;
                state
            }
        }
    }

    /// Takes the seat, if nobody sits there. Only under the state lock.
    fn try_seat(&self) -> Option<MutexGuard<'_, Seat>> {
        match self.seat.try_lock() {
            Ok(seat) => Some(seat),
            // Whatever happened to who sat there: the seat is good between any two statements.
            Err(TryLockError::Poisoned(seat)) => Some(seat.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn wait_in_seat<'a>(
        &'a self,
        state: StateGuard<'a, State<P>>,
        mut seat: MutexGuard<'a, Seat>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> StateGuard<'a, State<P>> {
        let timeout = if state.net.has_work() {
            Some(Duration::ZERO)
        } else {
            let timer = state.net.timers.next();
            let timer = timer.map(|at| at.saturating_duration_since(now));
            timer.into_iter().chain(timeout).min()
        };
        let dialogue = state.pattern.in_dialogue();
        self.presence.enter();
        drop(state);
        if !seat.look(now, timeout, dialogue) {
            seat.poll_events(timeout);
        }
        let mut state = self.state.lock();
        let told = self.presence.leave();
        {
            let State { pattern, net, .. } = &mut *state;
            net.process(&seat.events, pattern);
        }
        drop(seat);
        self.notify(&state);
        if told {
            self.caretaker.left(self.id);
        }
        state
    }

    /// Makes those who wait for `changed` look again. For whoever has driven in the seat.
    fn notify(&self, state: &State<P>) {
        if state.waiters > 0 {
            self.changed.notify_all();
        }
    }

    /// Makes everybody who waits look again, in the seat too. For whoever has changed the state from
    /// elsewhere: what the one in the seat waits for may have happened without an event of the kernel.
    fn notify_all(&self, state: &State<P>) {
        self.notify(state);
        if self.presence.look().seat_taken() {
            self.mailbox.wake();
        }
    }

    /// Begins to close: no call is accepted any more, and what is queued has until `deadline` to leave. If that has begun
    /// already, the new deadline holds.
    pub(crate) fn begin_close(&self, deadline: Deadline) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Open => {
                state.phase = Phase::Closing(deadline);
                self.stop_offering(&mut state);
            }
            Phase::Closing(_) => state.phase = Phase::Closing(deadline),
            Phase::Closed { .. } => {}
        }
        let closed = self.close_if_done(&mut state, Instant::now());
        if !closed && !std::mem::replace(&mut state.lingers, true) {
            self.context.socket_lingers();
        }
        self.notify_all(&state);
        let enlisted = state.enlisted;
        drop(state);
        match (enlisted, closed) {
            (true, true) => self.caretaker.forget(self.id),
            (true, false) => self.caretaker.look_at(self.id),
            (false, _) => {}
        }
    }

    /// A closing socket takes no new connections and no names.
    fn stop_offering(&self, state: &mut State<P>) {
        for index in 0..state.net.listeners.len() {
            state.net.stop_listening(index);
        }
        self.context.forget_names(&self.mailbox);
    }

    /// Waits until a closing socket is closed; returns the number of messages left unsent.
    pub(crate) fn finish_close(&self) -> usize {
        let mut state = self.state.lock();
        let mut waited = false;
        loop {
            let now = Instant::now();
            let State { pattern, net, .. } = &mut *state;
            net.write_dirty(pattern);
            if self.close_if_done(&mut state, now)
                && let Phase::Closed { unsent } = state.phase
            {
                if waited {
                    self.caretaker.forget(self.id);
                }
                return unsent;
            }
            waited = true;
            let deadline = match state.phase {
                Phase::Closing(deadline) => deadline,
                Phase::Open | Phase::Closed { .. } => Deadline::Never,
            };
            state = self.wait(state, deadline, now);
        }
    }

    /// Closes a closing socket that has nothing more to send and whose peers have read it all, or that has no more time.
    ///
    /// It lets go of its peers as soon as all has left, and then waits for those only that have yet to read.
    fn close_if_done(&self, state: &mut State<P>, now: Instant) -> bool {
        let deadline = match state.phase {
            Phase::Open => return false,
            Phase::Closed { .. } => return true,
            Phase::Closing(deadline) => deadline,
        };
        let State { pattern, net, .. } = &mut *state;
        net.write_dirty(pattern);
        let unsent = net.unsent(pattern);
        let late = deadline.has_passed(now);
        if unsent > 0 && !late {
            return false;
        }
        net.shut_down(if late { Deadline::Now } else { deadline }, pattern);
        if !net.farewells.is_empty() && !late {
            return false;
        }
        net.farewells.end();
        net.monitors.close();
        state.phase = Phase::Closed { unsent };
        if state.lingers {
            self.context.socket_closed();
        }
        self.changed.notify_all();
        true
    }
}

impl Seat {
    /// Looks for events for a little while, if that is likely to be worth it; `false`: there are none.
    fn look(&mut self, now: Instant, timeout: Option<Duration>, dialogue: bool) -> bool {
        let span = self.patience.span(dialogue);
        if span.is_zero() || timeout.is_some_and(|timeout| timeout <= span) {
            return false;
        }
        let came = loop {
            self.poll_events(Some(Duration::ZERO));
            if !self.events.is_empty() {
                break true;
            }
            if now.elapsed() >= span {
                break false;
            }
        };
        self.patience.learn(came);
        came
    }

    fn poll_events(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            self.events.clear();
            if error.kind() != std::io::ErrorKind::Interrupted {
                log_poll_error("polling a socket failed", &error);
            }
        }
    }
}
