//! A poller whose thread hears of a socket's events and drives it, under a model checker: beside a caller in the seat, beside others who wait, and beside
//! the caretaker.
//!
//! The caretaker here never looks at a socket because time has passed, as the real one does. So whatever is not heard of at once
//! is never heard of, and shows as a deadlock.

use std::os::fd::RawFd;
use std::task::{Wake, Waker};

use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "../../src/engine/driving/attention.rs"]
#[allow(dead_code, reason = "the rest is checked in model_attention.rs")]
mod attention;
#[path = "broken.rs"]
mod broken;
#[path = "../../src/engine/driving/levels.rs"]
#[allow(dead_code, reason = "its tests are its own")]
mod levels;
#[path = "../../src/engine/driving/presence.rs"]
#[allow(dead_code, reason = "the rest is checked in models.rs")]
mod presence;
#[path = "sleeper.rs"]
mod sleeper;

use attention::{Attention, Changes, Interest, Waiting};
use broken::each_rule_is_needed;
use levels::{Observer, Side};
use presence::Presence;
use sleeper::Sleeper;
use sync::lock;

/// The rules; each can be left out, to see that it is needed and that the model would notice.
#[derive(Clone, Copy)]
struct Rules {
    /// Who finds the seat taken has whoever leaves it ask the kernel once more.
    asks_again: bool,
    /// Pollers are relied upon only while nobody else waits.
    all_hear: bool,
    /// A task that begins to wait beside pollers has the caretaker watch.
    task_tells: bool,
    /// So has whoever makes a level low that somebody watches beside pollers.
    level_tells: bool,
}

const ALL_RULES: Rules = Rules {
    asks_again: true,
    all_hear: true,
    task_tells: true,
    level_tells: true,
};

/// A socket in small. Its application is always active: the caretaker stops watching with each event, if it may.
struct Socket {
    rules: Rules,
    state: Mutex<State>,
    attention: Attention,
    presence: Presence,
    seat: Mutex<()>,
    /// The one in the seat.
    poll: Sleeper,
    /// The thread of the poller.
    poller: Sleeper,
    kernel: Mutex<Kernel>,
    caretaker: Sleeper,
}

#[derive(Default)]
struct State {
    messages: usize,
    changes: Changes,
    waiting: Waiting,
    asks_again: bool,
}

/// What the system knows.
#[derive(Default)]
struct Kernel {
    messages: usize,
    /// The poller has not asked since an event.
    event_of_poller: bool,
    /// The caretaker has asked for events, and there has been one.
    registered: bool,
    event: bool,
    /// Errands of the caretaker.
    told: bool,
    finish: bool,
}

impl Socket {
    /// One that the caretaker does not watch.
    fn new(rules: Rules) -> Arc<Socket> {
        let socket = Socket {
            rules,
            state: Mutex::new(State::default()),
            attention: Attention::new(),
            presence: Presence::new(),
            seat: Mutex::new(()),
            poll: Sleeper::new(),
            poller: Sleeper::new(),
            kernel: Mutex::new(Kernel::default()),
            caretaker: Sleeper::new(),
        };
        let _ = socket.presence.lease();
        Arc::new(socket)
    }

    /// The kernel has a message, and says so once to each who waits.
    fn deliver(&self) {
        let registered = {
            let mut kernel = lock(&self.kernel);
            kernel.messages += 1;
            kernel.event_of_poller = true;
            kernel.event |= kernel.registered;
            kernel.registered
        };
        self.poll.wake();
        self.poller.wake();
        if registered {
            self.caretaker.wake();
        }
    }

    fn tell_caretaker(&self) {
        lock(&self.kernel).told = true;
        self.caretaker.wake();
    }

    /// What the kernel gives to who asks.
    fn ask(&self) -> usize {
        std::mem::take(&mut lock(&self.kernel).messages)
    }

    fn process(state: &mut State, came: usize) {
        if came > 0 {
            state.messages += came;
            state.changes.add(Changes::READABLE);
        }
    }

    /// What `Core::notify` does.
    fn notify(&self, state: &mut State) {
        let changes = std::mem::take(&mut state.changes);
        let State {
            waiting, messages, ..
        } = state;
        // Under the lock, which whoever is woken takes first: that they are woken later changes nothing here.
        self.attention
            .tell(waiting, &self.presence, changes, Waker::wake);
        let high = *messages > 0;
        let tell = self.attention.set_levels(waiting, &self.presence, |_| high);
        if !self.rules.all_hear {
            self.presence.pollers_hear(true);
        }
        if tell && self.rules.level_tells {
            self.tell_caretaker();
        }
    }

    /// What `Core::drive_beside` does, and what the caretaker does.
    fn drive_beside(&self) -> bool {
        let mut state = lock(&self.state);
        let Ok(seat) = self.seat.try_lock() else {
            state.asks_again = self.rules.asks_again;
            return false;
        };
        let came = self.ask();
        Self::process(&mut state, came);
        drop(seat);
        self.notify(&mut state);
        true
    }

    /// A call that waits in the seat for a message.
    fn recv(&self) {
        let mut state = lock(&self.state);
        while state.messages == 0 {
            state = self.sit(state);
        }
        state.messages -= 1;
        self.notify(&mut state);
    }

    fn sit<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let seat = self.seat.try_lock().expect("the seat is free");
        self.presence.enter_seat();
        drop(state);
        self.poll.until_woken();
        let came = self.ask();
        let mut state = lock(&self.state);
        let told = self.presence.leave_seat();
        Self::process(&mut state, came);
        if std::mem::take(&mut state.asks_again) {
            let came = self.ask();
            Self::process(&mut state, came);
        }
        drop(seat);
        self.notify(&mut state);
        if told || self.presence.request_watch() {
            self.tell_caretaker();
        }
        state
    }

    fn observe(&self, observer: Shown) {
        let mut state = lock(&self.state);
        let levels = state.waiting.levels.get_or_insert_default();
        levels.add(Side::Receive, std::sync::Arc::new(observer), Some(0));
        self.notify(&mut state);
    }

    /// A message that is there is taken.
    fn try_recv(&self) -> bool {
        let mut state = lock(&self.state);
        let taken = state.messages > 0;
        state.messages -= usize::from(taken);
        self.notify(&mut state);
        taken
    }

    /// The thread of the poller waits until there is a message, and takes it.
    fn poll_and_take(&self) {
        while !self.try_recv() {
            self.poller.until_woken();
            if std::mem::take(&mut lock(&self.kernel).event_of_poller) {
                self.drive_beside();
            }
        }
    }

    /// The caretaker's thread.
    fn look_after(&self) {
        loop {
            self.caretaker.until_woken();
            let (told, event) = {
                let mut kernel = lock(&self.kernel);
                if kernel.finish {
                    return;
                }
                let told = std::mem::take(&mut kernel.told);
                (told, std::mem::take(&mut kernel.event))
            };
            if told || event {
                loop {
                    if self.presence.lease() {
                        lock(&self.kernel).registered = false;
                        break;
                    }
                    self.presence.watch();
                    lock(&self.kernel).registered = true;
                    if self.drive_beside() {
                        break;
                    }
                }
            }
        }
    }

    fn finish(&self) {
        lock(&self.kernel).finish = true;
        self.caretaker.wake();
    }
}

/// Shows a level by waking whoever waits for it to be high: the thread of a poller, which hears of events, or another, which does not.
struct Shown {
    to: Sleeper,
    hears: bool,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

// The sleeper is made of loom's own locks.
impl Observer for Shown {
    fn set(&self, high: bool) {
        if high {
            self.to.wake();
        }
    }

    fn hears(&self, _poll: RawFd) -> bool {
        self.hears
    }
}

/// Wakes the thread of a task.
struct Runtime(Sleeper);

// The sleeper is made of loom's own locks, and lives as long as the model.
impl Wake for Runtime {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake();
    }
}

/// More switches than these between up to four threads take minutes.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(run);
}

/// A poller waits, whose thread calls `with`, while so many messages come and the caretaker may stop watching.
fn beside_poller(rules: Rules, messages: usize, with: fn(&Arc<Socket>)) {
    check(move || {
        let socket = Socket::new(rules);
        let to = socket.poller.clone();
        socket.observe(Shown { to, hears: true });
        let caretaker = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || socket.look_after())
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || (0..messages).for_each(|_| socket.deliver()))
        };
        with(&socket);
        sender.join().expect("sent");
        socket.finish();
        caretaker.join().expect("finished");
    });
}

/// A poller takes two messages.
fn poller(rules: Rules) {
    beside_poller(rules, 2, |socket| {
        (0..2).for_each(|_| socket.poll_and_take());
    });
}

/// A poller and a caller in the seat take a message each.
fn caller(rules: Rules) {
    beside_poller(rules, 2, |socket| {
        let caller = {
            let socket = Arc::clone(socket);
            thread::spawn(move || socket.recv())
        };
        socket.poll_and_take();
        caller.join().expect("called");
    });
}

/// The thread of the poller does something else, and a task waits.
fn task(rules: Rules) {
    beside_poller(rules, 1, |socket| {
        let woken = Sleeper::new();
        let waker = Waker::from(std::sync::Arc::new(Runtime(woken.clone())));
        let mut key = None;
        let mut state = lock(&socket.state);
        let interest = Interest::Message;
        let State { waiting, .. } = &mut *state;
        let (attention, presence) = (&socket.attention, &socket.presence);
        let tell = attention.register(waiting, presence, &mut key, interest, waker, drop);
        socket.notify(&mut state);
        drop(state);
        if tell && socket.rules.task_tells {
            socket.tell_caretaker();
        }
        woken.until_woken();
        assert!(socket.try_recv());
    });
}

/// It does something else, and another loop watches the level.
fn watcher(rules: Rules) {
    beside_poller(rules, 1, |socket| {
        let to = Sleeper::new();
        socket.observe(Shown {
            to: to.clone(),
            hears: false,
        });
        to.until_woken();
        assert!(socket.try_recv());
    });
}

#[test]
fn a_poller_hears_of_each_message() {
    poller(ALL_RULES);
}

#[test]
fn a_poller_hears_of_what_a_caller_in_the_seat_leaves() {
    caller(ALL_RULES);
}

#[test]
fn a_task_beside_a_poller_is_looked_after() {
    task(ALL_RULES);
}

#[test]
fn a_level_that_is_watched_beside_a_poller_is_looked_after() {
    watcher(ALL_RULES);
}

type Model = fn(Rules);

/// The models without each of their rules.
fn broken_models() -> [(&'static str, Rules, Model); 4] {
    let mut broken = [ALL_RULES; 4];
    broken[0].asks_again = false;
    broken[1].all_hear = false;
    broken[2].task_tells = false;
    broken[3].level_tells = false;
    [
        ("asks_again", broken[0], caller),
        ("all_hear", broken[1], watcher),
        ("task_tells", broken[2], task),
        ("level_tells", broken[3], watcher),
    ]
}

/// The models see what they are there to see.
#[test]
fn each_rule_of_hearing_is_needed() {
    each_rule_is_needed("each_rule_of_hearing_is_needed", &broken_models());
}
