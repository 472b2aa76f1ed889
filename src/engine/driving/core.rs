//! One socket's core: its state, its seat, and the rules for who drives.

mod closing;
mod driven;
mod observed;
mod reacting;
mod seat;
mod task;

pub(crate) use driven::{DriveOutcome, Driven, FlushOutcome, Seen};
pub(crate) use observed::Observable;
pub(crate) use task::TaskCall;

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use mio::Events;
use reacting::Reacting;
use seat::{FEWEST_EVENTS, Seat};

use super::attention::{Attention, Changes, Waiting};
use super::busy_poll::BusyPoll;
use super::caretaker::Caretaker;
use super::context::ContextInner;
use super::left::{self, LeftOn};
use super::mailbox::Mailbox;
use super::polls::SeatPoll;
use super::presence::Presence;
use super::reactor::ReactorDriven;
use super::runtime_load::RuntimeLoad;
use crate::engine::peer::net::Net;
use crate::engine::tempo::rhythm::Rhythm;
use crate::engine::{Deadline, PollWaker, Shut, SocketMailbox, Stop, Turn};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::process::Process;
use crate::sync::{StateGuard, StateLock};

/// The socket's own references to its mailbox: one here, and one in `Net`.
const OWN_MAILBOXES: usize = 2;

/// See the module.
pub(crate) struct Core<P> {
    state: StateLock<State<P>>,
    attention: Attention,
    seat: Mutex<Seat>,
    presence: Presence,
    mailbox: Arc<SocketMailbox>,
    rhythm: Arc<Rhythm>,
    pub(crate) context: Arc<ContextInner>,
    caretaker: Arc<Caretaker>,
    /// The name of this socket with the caretaker.
    id: usize,
    /// The poll of the seat; there once the socket has its first endpoint.
    poll_fd: OnceLock<RawFd>,
    /// Wakes that.
    waker: PollWaker,
    /// For what is to find the socket again and not to keep it.
    myself: Weak<dyn Myself>,
}

/// A core of any type, for what finds it again.
trait Myself: ReactorDriven + LeftOn {}

impl<P: Pattern> Myself for Core<P> {}

/// What the state lock guards.
pub(crate) struct State<P> {
    pub(crate) pattern: P,
    pub(crate) net: Net,
    phase: Phase,
    /// The caretaker has been told of the socket: it has, or has had, an endpoint.
    enlisted: bool,
    /// The context waits until it is closed.
    lingers: bool,
    /// A call that had to wait has done work of peers, since this was last asked: so the next ones will, too.
    calls_drive: bool,
    /// Who waits for what.
    waiting: Waiting,
    /// The reactor of a runtime, while tasks wait.
    reacting: Reacting,
    /// Somebody beside the seat has heard of an event: whoever leaves the seat asks the kernel once more.
    asks_again: bool,
}

impl<P: Pattern> State<P> {
    /// Begins a turn, and reads the clock.
    fn turn(&mut self) -> Turn<'_> {
        Turn::begin(&mut self.net, &mut self.pattern)
    }

    /// The same where the clock has just been read.
    #[inline]
    fn turn_at(&mut self, now: Instant) -> Turn<'_> {
        Turn::at(now, &mut self.net, &mut self.pattern)
    }

    /// Does what an attempt has left to do with peers. Only if there is anything, the clock is read.
    fn settle(&mut self) {
        if self.net.is_unsettled() {
            self.turn().settle();
        }
        let at = self.pattern.deadline();
        self.net.arm_delivery(at);
    }
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

impl<P: Pattern> Core<P> {
    /// Makes the core of a new socket. The context's caretaker watches over it as soon as there is something to watch.
    pub(crate) fn new(
        context: &Arc<ContextInner>,
        options: impl Into<Arc<Options>>,
        pattern: P,
    ) -> std::io::Result<Arc<Self>>
    where
        P: 'static,
    {
        let waker = PollWaker::default();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        let caretaker = context.caretaker()?;
        let id = caretaker.new_id();
        let options = options.into();
        let busy_poll = BusyPoll::new(options.busy_poll);
        let net = Net::new(
            &pattern,
            options,
            Arc::clone(context),
            Arc::clone(&mailbox),
            Arc::clone(&caretaker),
            id,
        );
        let core = Arc::new_cyclic(|myself| Core {
            rhythm: Arc::clone(net.rhythm()),
            poll_fd: OnceLock::new(),
            waker,
            state: StateLock::new(State {
                pattern,
                net,
                phase: Phase::Open,
                enlisted: false,
                lingers: false,
                calls_drive: false,
                waiting: Waiting::default(),
                reacting: Reacting::default(),
                asks_again: false,
            }),
            attention: Attention::new(),
            seat: Mutex::new(Seat {
                poll: None,
                events: Events::with_capacity(FEWEST_EVENTS),
                busy_poll,
                load: RuntimeLoad::default(),
                failed: None,
            }),
            presence: Presence::new(),
            mailbox,
            context: Arc::clone(context),
            caretaker,
            id,
            myself: Weak::clone(myself) as _,
        });
        let driven = Arc::clone(&core) as Arc<dyn Driven>;
        context.enlist(Arc::downgrade(&driven));
        Ok(core)
    }

    /// The process that the socket belongs to. Nothing is locked before it is known to be this one.
    pub(crate) fn process(&self) -> Process {
        self.context.process
    }

    fn check_process(&self) -> Result<(), Shut> {
        match self.process().is_current() {
            true => Ok(()),
            false => Err(Shut::Forked),
        }
    }

    /// Locks the state of an open socket for a call of the application.
    #[inline]
    fn enter(&self) -> Result<StateGuard<'_, State<P>>, Shut> {
        self.check_process()?;
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
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&mut P, &mut Net) -> T) -> Result<T, Shut> {
        self.check_process()?;
        let mut state = self.state.lock();
        let State { pattern, net, .. } = &mut *state;
        let seen = look(pattern, net);
        self.unlock(state);
        Ok(seen)
    }

    /// Releases the lock, and then does what was not to be done under it.
    #[inline]
    fn unlock(&self, state: StateGuard<'_, State<P>>) {
        if state.net.has_later() {
            self.unlock_for_later(state);
        }
    }

    #[cold]
    fn unlock_for_later(&self, mut state: StateGuard<'_, State<P>>) {
        let later = std::mem::take(state.net.later());
        let leaves = state.net.take_leaves();
        drop(state);
        if leaves {
            left::leave(Weak::clone(&self.myself) as _);
        }
        later.run();
    }

    /// The same, and locks again: the state may be any other by then.
    fn unlock_for_a_while<'a>(
        &'a self,
        state: StateGuard<'a, State<P>>,
    ) -> StateGuard<'a, State<P>> {
        self.unlock(state);
        self.state.lock()
    }

    /// Adds to the endpoints of an open socket. With the first, the socket gets what it waits for the kernel with: the error says that
    /// the system refuses that.
    pub(crate) fn extend<T>(
        self: &Arc<Self>,
        extend: impl FnOnce(&mut P, &mut Net) -> T,
    ) -> Result<std::io::Result<T>, Shut>
    where
        P: 'static,
    {
        let mut state = self.enter()?;
        if let Err(error) = self.open(&mut state) {
            self.unlock(state);
            return Ok(Err(error));
        }
        Ok(Ok(self.change_in(state, extend)))
    }

    /// Makes the poll, unless it is there.
    fn open(&self, state: &mut State<P>) -> std::io::Result<()> {
        if state.net.is_open() {
            return Ok(());
        }
        // Nobody sits in a seat without a poll, and who holds the state lock finds it free.
        let Some(mut seat) = self.try_seat(state) else {
            return Err(std::io::ErrorKind::WouldBlock.into());
        };
        let SeatPoll {
            poll,
            registry,
            waker,
        } = self.context.polls.take()?;
        self.waker.open(waker);
        // Set once: it was not open.
        let _ = self.poll_fd.set(poll.as_raw_fd());
        if let Some(levels) = &mut state.waiting.levels {
            levels.opened(poll.as_raw_fd());
        }
        seat.poll = Some(poll);
        state.net.open(registry);
        Ok(())
    }

    /// Changes an open socket: its endpoints, or what is said to peers. The caretaker is told to look: there may be new timers.
    pub(crate) fn change<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut P, &mut Net) -> T,
    ) -> Result<T, Shut>
    where
        P: 'static,
    {
        let state = self.enter()?;
        Ok(self.change_in(state, change))
    }

    fn change_in<T>(
        self: &Arc<Self>,
        mut state: StateGuard<'_, State<P>>,
        change: impl FnOnce(&mut P, &mut Net) -> T,
    ) -> T
    where
        P: 'static,
    {
        let State { pattern, net, .. } = &mut *state;
        let result = change(pattern, net);
        let mut turn = state.turn();
        turn.send_away_all_slow();
        turn.settle();
        self.notify_all(&mut state);
        let open = state.net.is_open();
        let enlisted = std::mem::replace(&mut state.enlisted, open);
        let soon = state.pattern.sends_request_first() && !self.presence.has_tasks();
        self.unlock(state);
        if enlisted {
            self.caretaker.drive(self.id);
        } else if open {
            self.caretaker.watch(self.id, Arc::clone(self) as _, soon);
        }
        result
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

    /// The same within an attempt at another socket, whose lock this thread has. So it waits for no lock, and leaves what is to be done when it
    /// has released its own to [`write_now`](Self::write_now), which is to follow as soon as the other is released as well.
    pub(crate) fn at_once_within<T>(
        &self,
        attempt: impl FnOnce(&mut P, &mut Net) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.state.try_lock_beside()?;
        if self.check_open(&state).is_err() || self.mailbox.has_notes() {
            return None;
        }
        self.presence.touch();
        let State { pattern, net, .. } = &mut *state;
        attempt(pattern, net)
    }

    /// Writes what has gathered, in whatever phase the socket is, and does what is left to do.
    pub(crate) fn write_now(&self) {
        if self.process().is_current() {
            self.write_by(Net::write_now);
        }
    }

    fn write_by(&self, write: impl FnOnce(&mut Net, &mut dyn Pattern)) {
        let mut state = self.state.lock();
        let State { pattern, net, .. } = &mut *state;
        write(net, pattern);
        // It may have begun to close meanwhile, and wait for just these bytes to leave.
        let closing = matches!(state.phase, Phase::Closing(_));
        if closing {
            self.close_if_done(&mut state, Instant::now());
        }
        if closing || state.net.has_chores() || state.net.has_changes() {
            self.do_chores(state);
        }
        if closing {
            self.caretaker.drive(self.id);
        }
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
            self.catch_up(&mut state);
        }
        let State { pattern, net, .. } = &mut *state;
        if let Some(result) = attempt(pattern, net) {
            if net.has_chores() || net.has_changes() {
                self.do_chores(state);
            }
            return Ok(result);
        }
        self.until_slow(state, deadline, &mut attempt)
    }

    /// Does what an attempt that succeeded has left to do.
    #[cold]
    fn do_chores(&self, mut state: StateGuard<'_, State<P>>) {
        state.settle();
        self.notify_all(&mut state);
        self.report_work(&state);
        self.unlock(state);
    }

    /// Handles the notes that other sockets of this process have left; or the kernel's events, if the caretaker has delegated that to
    /// the next call, which this is.
    #[cold]
    fn catch_up(&self, state: &mut State<P>) {
        let seat = self
            .presence
            .take_delegated()
            .then(|| self.try_seat(state))
            .flatten();
        if let Some(mut seat) = seat {
            seat.poll_events(Some(Duration::ZERO));
            state.net.poll_failed(seat.failed.take());
            state.turn().process(&seat.events);
        } else {
            let mut turn = state.turn();
            turn.take_notes();
            turn.settle();
        }
        if !std::mem::take(&mut state.calls_drive) && state.net.is_behind(Instant::now()) {
            self.presence.return_rest();
        }
        self.notify_all(state);
        self.report_work(state);
    }

    #[cold]
    fn until_slow<'a, T>(
        &'a self,
        mut state: StateGuard<'a, State<P>>,
        deadline: Deadline,
        attempt: &mut dyn FnMut(&mut P, &mut Net) -> Option<T>,
    ) -> Result<T, Stop> {
        let mut polled = false;
        // A call that may not wait gives up only when all peers have been read that were readable after its first poll, however many
        // turns that takes. This is the count of `served` then.
        let mut all = 0;
        let result = loop {
            if let Err(shut) = self.check_open(&state) {
                break Err(shut.into());
            }
            let now = Instant::now();
            // Reads what is known to be readable before it asks the kernel what else is.
            let worked = state.net.has_work();
            // A call that waits comes here several times, and mostly for nothing: then no turn is made.
            if state.net.is_unsettled() {
                state.turn_at(now).settle();
            }
            let State { pattern, net, .. } = &mut *state;
            let result = attempt(pattern, net);
            let looked = polled && net.has_served(all);
            state.calls_drive |= worked;
            if worked || state.net.has_changes() {
                self.notify_all(&mut state);
            }
            if let Some(result) = result {
                break Ok(result);
            }
            let expired = match deadline {
                Deadline::Now => looked.then_some(Stop::WouldBlock),
                Deadline::At(at) => (at <= now && looked).then_some(Stop::TimedOut),
                Deadline::Never => None,
            };
            if let Some(stop) = expired {
                break Err(stop);
            }
            if state.net.has_later() {
                state = self.unlock_for_a_while(state);
                continue;
            }
            if deadline != Deadline::Now {
                state.net.waits();
                if left::is_there() {
                    drop(state);
                    left::write_all();
                    state = self.state.lock();
                    continue;
                }
            }
            state = self.wait(state, deadline, now);
            if !std::mem::replace(&mut polled, true) {
                all = state.net.all_served();
            }
        };
        if state.net.has_later() {
            state.settle();
        }
        self.report_work(&state);
        self.unlock(state);
        result
    }

    /// Notifies the caretaker of work that a caller leaves, if the caretaker would not see it otherwise: its events may have been consumed
    /// by the caller.
    fn report_work(&self, state: &State<P>) {
        let left = state.net.has_work() || state.net.has_unannounced_timer();
        if left && self.presence.report_work() {
            self.caretaker.take_over(self.id);
        }
    }

    /// Makes those look again who wait outside of the seat: tasks once the lock has been released. For whoever has driven in the seat.
    fn notify(&self, state: &mut State<P>) {
        let mut changes = state.net.take_changes();
        let has_levels = changes.remove(Changes::LEVELS);
        if !changes.is_empty() && state.pattern.has_more() {
            // Some patterns have something to take also when no message has come: a subscriber that has gone.
            changes.add(Changes::READABLE);
        }
        let State { net, waiting, .. } = state;
        let later = net.later();
        self.attention
            .tell(waiting, &self.presence, changes, |waker| later.wake(waker));
        if state.waiting.awaits_ends() {
            self.tell_ended(state);
        }
        if state.waiting.awaits_safety() {
            self.tell_safe(state);
        }
        if has_levels {
            self.update_levels(state);
            state.net.note_change(Changes::LEVELS);
        }
    }

    /// Wakes the tasks whose requests or messages have ended.
    #[cold]
    fn tell_ended(&self, state: &mut State<P>) {
        let State {
            pattern,
            net,
            waiting,
            ..
        } = state;
        let ended = pattern.ended(&mut net.peers);
        let later = net.later();
        self.attention
            .tell_ended(waiting, &self.presence, ended.into_iter(), |waker| {
                later.wake(waker);
            });
    }

    /// Wakes the tasks of whose messages it is known whether they are safe.
    #[cold]
    fn tell_safe(&self, state: &mut State<P>) {
        let State {
            pattern,
            net,
            waiting,
            ..
        } = state;
        let below = pattern.safety_known_below();
        let later = net.later();
        self.attention
            .tell_safe(waiting, &self.presence, below, |waker| later.wake(waker));
    }

    /// Makes everybody look again who waits, in the seat too. For whoever has changed the state from elsewhere.
    fn notify_all(&self, state: &mut State<P>) {
        self.notify(state);
        if self.attention.must_wake_seat(&self.presence) {
            self.mailbox.wake();
        }
    }
}

impl<P: Pattern> LeftOn for Core<P> {
    fn write_left(&self) -> bool {
        let gathers = self.rhythm.gathers().is_set() && self.process().is_current();
        if gathers {
            self.write_by(Net::write_left);
        }
        gathers
    }
}

/// What a closed socket waited for the kernel with goes to the next one.
impl<P> Drop for Core<P> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        // Pollers wait for this poll no longer.
        state.waiting.levels = None;
        let bare = matches!(state.phase, Phase::Closed { .. }) && state.net.is_bare();
        // Others may wake a socket whose mailbox they hold, and a reactor may have the poll's events.
        let known = Arc::strong_count(&self.mailbox) > OWN_MAILBOXES;
        if !bare || known || self.context.reactor().is_some() {
            return;
        }
        let seat = self.seat.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (Some(poll), Some(registry), Some(waker)) =
            (seat.poll.take(), state.net.close(), self.waker.shared())
        else {
            return;
        };
        let poll = SeatPoll {
            poll,
            registry,
            waker,
        };
        let process = self.context.process;
        self.context.polls.give(poll, process, &mut seat.events);
    }
}

#[cfg(test)]
mod tests;
