//! The caretaker: the context's background thread, which finishes what callers leave behind.
//!
//! It watches each socket through the socket's own poll, accepts, shakes hands, answers PINGs, reconnects,
//! flushes and runs timers for every socket whose application is elsewhere. While an application is
//! active on a socket, the caretaker holds back, by the rules of [`Presence`](super::presence::Presence).
//! With nothing to do it sleeps without a time limit.
//!
//! It reads the clock before it sleeps and when it wakes up. Then it goes by the time that sockets tell: the turns in which they are driven
//! read the clock anyway, and nothing else takes long.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::core::{DriveOutcome, Driven, FlushOutcome, Seen};
use super::deadlines::{Armed, Deadlines};
use super::later::contain;
use super::left_notes::{Left, LeftNotes};
use super::mailbox::Mailbox;
use super::presence::Look;
use crate::engine::PollWaker;
use crate::engine::peer::net::{WAKER, log_poll_error};

/// How often the caretaker looks at a socket whose application is active: short enough that a new
/// connection is not kept waiting noticeably, long enough to cost nothing (200 looks a second).
const PERIOD: Duration = Duration::from_millis(5);

/// Where callers wait in the seat again and again, they see to the socket themselves: looks at it come up to so many times as
/// far apart. Each takes a core from the thread that works there.
const PERIODS_BETWEEN: u32 = 8;

/// It looks at many sockets less often, so that all looks together stay below some percent of a core: the period is
/// as many of these as there are sockets, if that is longer.
const PERIOD_PER_SOCKET: Duration = Duration::from_micros(50);

/// After a socket has come, or has gone, it comes back for so many periods, whether anything is due or not: where sockets come and go, none
/// of them has to wake it.
const PERIODS_AFTER: u32 = 4;

/// How often it looks whether a streaming sender still writes by itself, unless that lets messages gather for longer.
const TICK: Duration = Duration::from_millis(1);

/// How often it looks at a socket that the system refuses to watch, for want of memory, and tries again.
const UNWATCHED_PERIOD: Duration = Duration::from_millis(50);

/// What the caretaker is told.
enum Errand {
    Watch(usize, Arc<dyn Driven>),
    /// Something about the socket has changed: drive it once, now.
    Drive(usize),
    /// Messages gather, and callers had written so often by then.
    Gathering(usize, u64),
    /// The same, and the caller is likely to write them by itself.
    Left(Left),
    /// Nobody else looks after the socket now: a caller has left the seat of a parked one, or work at a watched one; or a task waits at
    /// one that is not watched.
    TakeOver(usize),
    /// All sockets are gone, and the context: end the thread.
    Finish,
}

/// The handle by which everybody else talks to the caretaker.
pub(crate) struct Caretaker {
    errands: Arc<Mailbox<Errand, PollWaker>>,
    next_id: AtomicUsize,
}

impl Caretaker {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        // Before there is another thread: in a process that has none yet it costs nothing.
        crate::sync::prepare();
        let poll = Poll::new()?;
        let errands = Arc::new(Mailbox::new(PollWaker::new(poll.registry())?));
        let mut rounds = Rounds::new(poll, Arc::clone(&errands));
        std::thread::Builder::new()
            .name("zerohop".to_owned())
            .spawn(move || rounds.run())?;
        Ok(Caretaker {
            errands,
            next_id: AtomicUsize::new(0),
        })
    }

    pub(crate) fn new_id(&self) -> usize {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Watches over a socket from now on; or soon, if its application is about to drive it.
    pub(crate) fn watch(&self, id: usize, socket: Arc<dyn Driven>, soon: bool) {
        let errand = Errand::Watch(id, socket);
        match soon {
            true => self.errands.post_unhurried(errand),
            false => self.errands.post(errand),
        }
    }

    pub(crate) fn drive(&self, id: usize) {
        self.errands.post(Errand::Drive(id));
    }

    /// The socket is closed: there is nothing to look after any more. If the caretaker has not heard of it yet, it never does.
    pub(crate) fn forget(&self, id: usize) {
        let unheard = |errand: &Errand| matches!(errand, Errand::Watch(of, _) if *of == id);
        match self.errands.withdraw(unheard) {
            Some(errand) => drop(errand),
            None => self.errands.post_unhurried(Errand::Drive(id)),
        }
    }

    pub(crate) fn gathering(&self, id: usize, writes: u64) {
        self.errands.post(Errand::Gathering(id, writes));
    }

    /// The same where the caller is likely to write them by itself, and does not if they gather for longer than [`TICK`].
    pub(crate) fn left(&self, left: Left) {
        self.errands.post_unhurried(Errand::Left(left));
    }

    pub(crate) fn take_over(&self, id: usize) {
        self.errands.post(Errand::TakeOver(id));
    }
}

impl Drop for Caretaker {
    /// The context and all of its sockets are gone.
    fn drop(&mut self) {
        self.errands.post(Errand::Finish);
    }
}

/// The caretaker's own side.
struct Rounds {
    poll: Poll,
    errands: Arc<Mailbox<Errand, PollWaker>>,
    /// Each in a place of its own: half of the places in a map may be empty.
    sockets: HashMap<usize, Box<Socket>>,
    /// When each socket is due: see [`Socket::due`].
    deadlines: Deadlines,
    /// What callers had left by the last look at that, and when the next is due.
    left: Vec<Left>,
    left_due: Option<Instant>,
    /// And since.
    newly_left: LeftNotes,
    /// The time: of the wake-up, or when a socket was last driven or written to.
    now: Instant,
    /// So many periods it still comes back without being woken.
    comes_back: u32,
    finishing: bool,
}

struct Socket {
    driven: Arc<dyn Driven>,
    mode: Mode,
    /// What was seen when the socket was last looked at.
    seen: Look,
    /// Periods from that look to the next.
    periods: u32,
    timer: Option<Instant>,
    /// It could not be watched: when to try again. Meanwhile there are no events.
    unwatched: Option<Instant>,
    /// When to look whether the caller still writes, and what was seen of it.
    tick: Option<Tick>,
    /// That count when the kernel was last found full.
    writes: Option<u64>,
    /// It is watched although its application is active: when to look whether that has changed, and what was seen of it.
    quiet: Option<(Instant, Look)>,
    /// When its spare memory last went back, as nobody else was there.
    released: Option<Instant>,
    armed: Armed,
}

/// A look at a caller that writes by itself, and when the next is due.
#[derive(Debug, Clone, Copy)]
struct Tick {
    due: Instant,
    seen: Instant,
    /// Its count of writes then.
    writes: u64,
}

/// The states of [`Presence`](super::presence::Presence).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Watched,
    Leased(Instant),
    Parked,
}

impl Rounds {
    fn new(poll: Poll, errands: Arc<Mailbox<Errand, PollWaker>>) -> Self {
        Rounds {
            poll,
            errands,
            sockets: HashMap::new(),
            deadlines: Deadlines::default(),
            left: Vec::new(),
            left_due: None,
            newly_left: LeftNotes::default(),
            now: Instant::now(),
            comes_back: 0,
            finishing: false,
        }
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        while !self.finishing {
            let timeout = self.next_wake_up();
            if timeout.is_some_and(|timeout| timeout <= PERIOD) {
                self.errands.will_come_back();
            }
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                log_poll_error("the caretaker cannot poll", &error);
                events.clear();
                // Not to be expected; whatever it is, do not spin on it.
                std::thread::park_timeout(PERIOD);
            }
            let errands = self.errands.take();
            let begun = |errand: &Errand| matches!(errand, Errand::Gathering(..));
            if errands.iter().any(begun) {
                // This wake-up may have taken the core from the very sender whose messages gather. Then that one goes on, and most
                // often writes by itself. On a core of its own this returns at once.
                std::thread::yield_now();
            }
            self.now = Instant::now();
            errands.into_iter().for_each(|errand| self.errand(errand));
            for event in &events {
                if event.token() != WAKER {
                    self.event(event.token().0);
                }
            }
            self.due();
        }
    }

    /// How long it sleeps, unless it is woken.
    fn next_wake_up(&mut self) -> Option<Duration> {
        let due = self.next_due();
        if self.comes_back == 0 {
            return due;
        }
        self.comes_back -= 1;
        Some(due.map_or(PERIOD, |due| due.min(PERIOD)))
    }

    fn next_due(&self) -> Option<Duration> {
        let due = self.deadlines.next().into_iter().chain(self.left_due).min();
        due.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Notes when a socket is due. To be called after everything that may have changed it.
    fn arm(&mut self, id: usize) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            let due = socket.due();
            self.deadlines.arm(id, due, &mut socket.armed);
        }
    }

    fn errand(&mut self, errand: Errand) {
        let id = match errand {
            Errand::Watch(id, driven) => {
                let seen = driven.presence().look();
                let mut socket = Socket {
                    driven,
                    mode: Mode::Watched,
                    seen,
                    periods: 1,
                    timer: None,
                    unwatched: None,
                    tick: None,
                    writes: None,
                    quiet: None,
                    released: None,
                    armed: Armed::default(),
                };
                socket.watch(&self.poll, id);
                self.sockets.insert(id, Box::new(socket));
                self.comes_back = PERIODS_AFTER;
                self.drive(id);
                // What is sent right after connecting may be written by the caller itself, and nobody would hear of it here.
                let at = self.now + self.period() * PERIODS_AFTER;
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.will_look_whether_quiet(at);
                }
                id
            }
            Errand::Drive(id) => {
                self.drive(id);
                id
            }
            Errand::Gathering(id, writes) => {
                self.flush(id, Seen::Started(writes));
                id
            }
            Errand::Left(left) => {
                self.newly_left.add(left);
                return;
            }
            Errand::TakeOver(id) => {
                let period = self.period();
                if let Some(socket) = self.sockets.get_mut(&id) {
                    match socket.mode {
                        Mode::Watched | Mode::Parked => {
                            socket.lease(&self.poll, id, self.now, period);
                        }
                        Mode::Leased(_) => {
                            socket.watches_for_tasks(&self.poll, id, self.now);
                        }
                    }
                }
                id
            }
            Errand::Finish => {
                self.finishing = true;
                return;
            }
        };
        self.arm(id);
    }

    /// How long a lease lasts.
    fn period(&self) -> Duration {
        let sockets = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
        PERIOD.max(PERIOD_PER_SOCKET.saturating_mul(sockets))
    }

    /// A watched socket has events.
    fn event(&mut self, id: usize) {
        let period = self.period();
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if socket.mode != Mode::Watched {
            return;
        }
        let look = socket.driven.presence().look();
        if socket.driven.presence().is_heard() && !look.seat_taken() {
            // A reactor or a poller has been told as well, and is coming if its thread runs: looks soon whether it has.
            socket.lease_for(&self.poll, id, self.now, TICK);
            self.arm(id);
            return;
        }
        if look != socket.seen || look.seat_taken() {
            // The application is active: its own calls see to the socket.
            socket.lease(&self.poll, id, self.now, period);
            socket.will_look_whether_quiet(self.now + period);
        }
        if !look.seat_taken() {
            self.drive(id);
        }
        self.arm(id);
    }

    /// Sees to every socket that is due.
    fn due(&mut self) {
        if self.left_due.is_none_or(|at| at <= self.now) {
            self.see_to_what_is_left();
        }
        let mut due = Vec::new();
        while let Some((entry, id)) = self.deadlines.expired(self.now) {
            if let Some(socket) = self.sockets.get_mut(&id)
                && socket.armed.came_up(entry)
            {
                due.push(id);
            }
        }
        for id in due {
            self.due_socket(id);
            self.arm(id);
        }
    }

    /// Writes what callers had left before the last look at it, and have not written by themselves; what they have left since it gives them time
    /// for.
    fn see_to_what_is_left(&mut self) {
        let left = std::mem::replace(&mut self.left, self.newly_left.take());
        for Left { id, writes, .. } in left {
            let socket = self.sockets.get(&id);
            if socket.is_some_and(|socket| socket.driven.gathers()) {
                self.flush(id, Seen::Since(writes, TICK));
                self.arm(id);
            }
        }
        self.left_due = (!self.left.is_empty()).then(|| self.now + TICK);
    }

    /// The time of a socket may have come.
    fn due_socket(&mut self, id: usize) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if let Some(tick) = socket.tick
            && tick.due <= now
        {
            socket.tick = None;
            self.flush(
                id,
                Seen::Since(tick.writes, now.saturating_duration_since(tick.seen)),
            );
        }
        let period = self.period();
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if let Some((at, seen)) = socket.quiet
            && at <= now
        {
            socket.look_whether_quiet(seen, now + period);
        }
        match socket.mode {
            Mode::Leased(at) if at <= now => self.look(id),
            Mode::Watched if socket.unwatched.is_some_and(|at| at <= now) => {
                socket.watch(&self.poll, id);
                self.drive(id);
            }
            Mode::Watched if socket.timer.is_some_and(|at| at <= now) => self.drive(id),
            Mode::Leased(_) | Mode::Watched | Mode::Parked => {}
        }
    }

    /// Looks at a leased socket.
    fn look(&mut self, id: usize) {
        let period = self.period();
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let look = socket.driven.presence().look();
        let before = std::mem::replace(&mut socket.seen, look);
        socket.periods = match look.seat == before.seat {
            true => 1,
            false => (socket.periods * 2).min(PERIODS_BETWEEN),
        };
        if look.seat_taken() {
            if look == before && socket.driven.presence().park(look) {
                socket.mode = Mode::Parked;
            } else {
                socket.lease(&self.poll, id, self.now, period);
            }
            return;
        }
        if look == before {
            socket.watch(&self.poll, id);
            socket.driven.release_memory();
        } else {
            socket.mode = Mode::Leased(self.now + period * socket.periods);
            if socket.driven.delegate() {
                return;
            }
        }
        self.drive(id);
    }

    fn drive(&mut self, id: usize) {
        let period = self.period();
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        match socket.driven.drive(&mut self.now) {
            DriveOutcome::SeatTaken => {
                // The caller in the seat has processed, or will process, what there is, timers included.
                socket.timer = None;
                if socket.mode == Mode::Watched {
                    socket.lease(&self.poll, id, self.now, period);
                }
            }
            DriveOutcome::Done {
                timer,
                behind: true,
                ..
            } => {
                socket.timer = timer;
                socket.go_on(&self.poll, id, self.now);
            }
            DriveOutcome::Done {
                timer, leftover, ..
            } => {
                socket.timer = timer;
                if let (Some(writes), Mode::Leased(_)) = (leftover, socket.mode) {
                    let before = socket.writes.replace(writes);
                    if before.is_some_and(|before| before != writes) {
                        // A caller goes on writing, and so finds out itself when the kernel takes more. Look again soon whether it
                        // still writes.
                        socket.mode = Mode::Leased(self.now + TICK);
                        return;
                    }
                    // The event that the kernel takes more has to be noticed, and no caller waits for it.
                    socket.seen = socket.driven.presence().look();
                    socket.watch(&self.poll, id);
                    // A caller may have left something in between.
                    self.drive(id);
                    return;
                }
                socket.release_if_alone(self.now, period);
            }
            DriveOutcome::Closed => {
                socket.deregister(&self.poll);
                let socket = self.sockets.remove(&id);
                self.comes_back = PERIODS_AFTER;
                contain(|| drop(socket));
            }
        }
    }

    fn flush(&mut self, id: usize, seen: Seen) {
        let at = self.now + self.period();
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.tick = match socket.driven.flush(seen, &mut self.now) {
            FlushOutcome::Done => None,
            FlushOutcome::CallerWrites(writes, gathers_for) => {
                Some(Tick::after(self.now, TICK.max(gathers_for), writes))
            }
            // Goes on after the other sockets have had their turn.
            FlushOutcome::More(writes) => Some(Tick::after(self.now, Duration::ZERO, writes)),
        };
        if socket.tick.is_none() {
            socket.will_look_whether_quiet(at);
        }
    }
}

impl Tick {
    fn after(now: Instant, pause: Duration, writes: u64) -> Self {
        Tick {
            due: now + pause,
            seen: now,
            writes,
        }
    }
}

impl Socket {
    /// When to come back to this socket.
    fn due(&self) -> Option<Instant> {
        let look = match self.mode {
            Mode::Watched => self.timer.into_iter().chain(self.unwatched).min(),
            Mode::Leased(at) => Some(at),
            Mode::Parked => None,
        };
        let quiet = self.quiet.map(|(at, _)| at);
        look.into_iter()
            .chain(self.tick.map(|tick| tick.due))
            .chain(quiet)
            .min()
    }

    /// Waits for the socket's events. It has to be driven once more after this.
    fn watch(&mut self, poll: &Poll, id: usize) {
        self.mode = Mode::Watched;
        self.periods = 1;
        self.driven.presence().watch();
        let again = || Instant::now() + UNWATCHED_PERIOD;
        self.unwatched = (!self.register(poll, id)).then(again);
    }

    /// Looks at the socket from time to time, and at no events meanwhile; unless it has to watch.
    fn lease(&mut self, poll: &Poll, id: usize, now: Instant, period: Duration) {
        if self.watches_for_tasks(poll, id, now) {
            return;
        }
        if self.mode == Mode::Watched {
            self.deregister(poll);
        }
        self.seen = self.driven.presence().look();
        self.mode = Mode::Leased(now + period * self.periods);
    }

    /// The same, and the first look comes after so long.
    fn lease_for(&mut self, poll: &Poll, id: usize, now: Instant, time: Duration) {
        self.lease(poll, id, now, time);
        if let Mode::Leased(at) = &mut self.mode {
            *at = now + time;
        }
    }

    /// Watches the socket, and drives it at once, if tasks wait and nobody else would hear of events for them. `false`: it need
    /// not watch.
    fn watches_for_tasks(&mut self, poll: &Poll, id: usize, now: Instant) -> bool {
        if self.driven.presence().lease() {
            return false;
        }
        self.watch(poll, id);
        self.timer = Some(now);
        true
    }

    /// Whoever was active is not to leave spare memory behind: has a watched socket looked at, where no look is to come by then.
    fn will_look_whether_quiet(&mut self, at: Instant) {
        if self.mode == Mode::Watched && self.quiet.is_none_or(|(look, _)| look > at) {
            self.quiet = Some((at, self.driven.presence().look()));
        }
    }

    /// A look at a socket that is watched although its application was active, as tasks wait, or as it has left messages to be written: if
    /// it no longer is, spare memory goes back; otherwise it is looked at again. One that is not watched any more is looked at for other reasons.
    fn look_whether_quiet(&mut self, seen: Look, again: Instant) {
        let look = self.driven.presence().look();
        let watched = self.mode == Mode::Watched;
        self.quiet = (watched && look != seen).then_some((again, look));
        if watched && look == seen {
            self.driven.release_memory();
        }
    }

    /// After a turn: where no application was active since it is watched, and so none has use for spare memory, it goes back; at once if that is
    /// rare, and otherwise when it was quiet for a while, as the memory is soon used again.
    fn release_if_alone(&mut self, now: Instant, period: Duration) {
        if self.mode != Mode::Watched || self.driven.presence().look() != self.seen {
            return;
        }
        if self.released.is_some_and(|at| now < at + period) {
            return self.will_look_whether_quiet(now + period);
        }
        self.released = Some(now);
        self.driven.release_memory();
    }

    /// There is more to do than fits into a turn. Goes on after the other sockets have had theirs, if the application is elsewhere; if it
    /// is active, after a while: most of the time the state is for its calls.
    fn go_on(&mut self, poll: &Poll, id: usize, now: Instant) {
        let look = self.driven.presence().look();
        if look == self.seen {
            if self.mode != Mode::Watched {
                self.watch(poll, id);
            }
            self.timer = Some(now);
        } else {
            self.lease_for(poll, id, now, TICK);
        }
    }

    /// `false`: the system has refused.
    fn register(&self, poll: &Poll, id: usize) -> bool {
        let fd = self.driven.poll_fd();
        let watched = poll
            .registry()
            .register(&mut SourceFd(&fd), Token(id), Interest::READABLE);
        match watched {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                if self.unwatched.is_none() {
                    log_poll_error("the caretaker cannot watch a socket", &error);
                }
                false
            }
            _ => true,
        }
    }

    fn deregister(&self, poll: &Poll) {
        // Fails only when it was not registered.
        let _ = poll
            .registry()
            .deregister(&mut SourceFd(&self.driven.poll_fd()));
    }
}

#[cfg(test)]
mod tests;
