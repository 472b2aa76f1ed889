//! Who waits for a socket, and who looks after it meanwhile, under a model checker: tasks, observers of a level, callers in the seat and
//! the caretaker.
//!
//! The caretaker here never looks at a socket because time has passed, as the real one does. So whatever is not heard of at once
//! is never heard of, and shows as a deadlock.

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

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
#[allow(
    dead_code,
    reason = "what threads need besides is checked in models.rs"
)]
mod attention;
#[path = "broken.rs"]
mod broken;
#[path = "../../src/engine/driving/levels.rs"]
#[allow(
    dead_code,
    reason = "who hears of events is checked in model_hearing.rs"
)]
mod levels;
#[path = "../../src/engine/driving/presence.rs"]
#[allow(
    dead_code,
    reason = "what threads need besides is checked in models.rs"
)]
mod presence;
#[path = "sleeper.rs"]
mod sleeper;

use attention::{Attention, Changes, Deregistered, Interest, Key, Waiting};
use broken::each_rule_is_needed;
use levels::{Observer, Side};
use presence::Presence;
use sleeper::Sleeper;
use sync::lock;

/// The rules; each can be left out, to see that it is needed and that the model would notice.
#[derive(Clone, Copy)]
struct Rules {
    /// A task that begins to wait has the caretaker watch.
    task_tells: bool,
    /// So has a caller that leaves the seat.
    leaver_tells: bool,
    /// The caretaker goes on watching while a task waits.
    lease_checks: bool,
    /// A task that is dropped passes its wake-up on.
    passes_on: bool,
    /// A task that has taken a message wakes the next if there is more.
    wakes_next: bool,
    /// Who makes a level low that is watched has the caretaker watch.
    level_tells: bool,
}

const ALL_RULES: Rules = Rules {
    task_tells: true,
    leaver_tells: true,
    lease_checks: true,
    passes_on: true,
    wakes_next: true,
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
    kernel: Mutex<Kernel>,
    caretaker: Sleeper,
}

#[derive(Default)]
struct State {
    messages: usize,
    changes: Changes,
    waiting: Waiting,
}

/// What the system knows.
#[derive(Default)]
struct Kernel {
    messages: usize,
    /// The caretaker has asked for events, and there has been one.
    registered: bool,
    event: bool,
    /// Errands of the caretaker.
    told: bool,
    finish: bool,
}

impl Socket {
    fn new(rules: Rules) -> Socket {
        Socket {
            rules,
            state: Mutex::new(State::default()),
            attention: Attention::new(),
            presence: Presence::new(),
            seat: Mutex::new(()),
            poll: Sleeper::new(),
            kernel: Mutex::new(Kernel::default()),
            caretaker: Sleeper::new(),
        }
    }

    /// The kernel has a message, and says so once.
    fn deliver(&self) {
        let registered = {
            let mut kernel = lock(&self.kernel);
            kernel.messages += 1;
            kernel.event |= kernel.registered;
            kernel.registered
        };
        self.poll.wake();
        if registered {
            self.caretaker.wake();
        }
    }

    fn tell_caretaker(&self) {
        lock(&self.kernel).told = true;
        self.caretaker.wake();
    }

    /// What `Core::notify` does.
    fn notify(&self, state: &mut State, wakers: &mut Vec<Waker>) {
        let changes = std::mem::take(&mut state.changes);
        let State { waiting, .. } = state;
        self.attention
            .tell(waiting, &self.presence, changes, |waker| wakers.push(waker));
        let high = state.messages > 0;
        let tell = self
            .attention
            .set_levels(&mut state.waiting, &self.presence, |_| high);
        if tell && self.rules.level_tells {
            self.tell_caretaker();
        }
    }

    /// Watches whether there is a message, from outside of the calls.
    fn observe(&self) -> Watcher<'_> {
        let watcher = Watcher {
            socket: self,
            shown: Sleeper::new(),
        };
        let observer = Shown(watcher.shown.clone());
        let mut state = lock(&self.state);
        let levels = state.waiting.levels.get_or_insert_default();
        levels.add(Side::Receive, std::sync::Arc::new(observer), None);
        self.notify(&mut state, &mut Vec::new());
        drop(state);
        watcher
    }

    fn read(&self, state: &mut State) {
        let came = std::mem::take(&mut lock(&self.kernel).messages);
        if came > 0 {
            state.messages += came;
            state.changes.add(Changes::READABLE);
        }
    }

    fn drive(&self) -> bool {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        let Ok(seat) = self.seat.try_lock() else {
            return false;
        };
        self.read(&mut state);
        drop(seat);
        self.notify(&mut state, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        true
    }

    /// A call that waits for a message, in the seat: there is one such caller.
    fn recv(&self) {
        let mut state = lock(&self.state);
        while state.messages == 0 {
            state = self.sit(state);
        }
        state.messages -= 1;
    }

    /// A call that waits in the seat for something else, until its time is up.
    fn wait_in_vain(&self) {
        let state = lock(&self.state);
        drop(self.sit(state));
    }

    fn sit<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let seat = self.seat.try_lock().expect("the seat is free");
        self.presence.enter_seat();
        drop(state);
        self.poll.until_woken();
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        let told = self.presence.leave_seat();
        self.read(&mut state);
        drop(seat);
        self.notify(&mut state, &mut wakers);
        let unwatched = self.presence.request_watch() && self.rules.leaver_tells;
        if told || unwatched {
            self.tell_caretaker();
        }
        if wakers.is_empty() {
            return state;
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        lock(&self.state)
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
                self.lease_or_watch();
                if event && !self.presence.look().seat_taken() {
                    self.drive();
                }
            }
        }
    }

    fn lease_or_watch(&self) {
        loop {
            if self.presence.lease() || !self.rules.lease_checks {
                lock(&self.kernel).registered = false;
                return;
            }
            self.watch();
            if self.drive() {
                return;
            }
        }
    }

    fn watch(&self) {
        self.presence.watch();
        lock(&self.kernel).registered = true;
    }

    fn finish(&self) {
        lock(&self.kernel).finish = true;
        self.caretaker.wake();
    }
}

/// Shows a level by waking whoever waits for it to be high.
struct Shown(Sleeper);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

// The sleeper is made of loom's own locks.
impl Observer for Shown {
    fn set(&self, high: bool) {
        if high {
            self.0.wake();
        }
    }
}

/// A loop that waits for a descriptor.
struct Watcher<'a> {
    socket: &'a Socket,
    shown: Sleeper,
}

impl Watcher<'_> {
    /// Waits until there are messages, and takes them without waiting.
    fn take(&self) -> usize {
        self.shown.until_woken();
        let mut wakers = Vec::new();
        let mut state = lock(&self.socket.state);
        let taken = std::mem::take(&mut state.messages);
        self.socket.notify(&mut state, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        taken
    }
}

/// What `recv_async` is.
struct Recv<'a> {
    socket: &'a Socket,
    key: Option<Key>,
}

impl<'a> Recv<'a> {
    fn new(socket: &'a Socket) -> Recv<'a> {
        Recv { socket, key: None }
    }
}

impl Future for Recv<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut wakers = Vec::new();
        let Recv { socket, key } = &mut *self;
        let mut state = lock(&socket.state);
        if state.messages == 0
            && let Ok(_seat) = socket.seat.try_lock()
        {
            socket.read(&mut state);
        }
        let State {
            messages,
            changes,
            waiting,
        } = &mut *state;
        let (attention, presence) = (&socket.attention, &socket.presence);
        let mut told = false;
        let result = if *messages > 0 {
            *messages -= 1;
            if let Some(key) = key.take() {
                attention.deregister(waiting, presence, &key);
            }
            if *messages > 0 && socket.rules.wakes_next {
                changes.add(Changes::READABLE);
            }
            Poll::Ready(())
        } else {
            let interest = Interest::Message;
            told = attention.register(waiting, presence, key, interest, waker, drop);
            Poll::Pending
        };
        socket.notify(&mut state, &mut wakers);
        drop(state);
        if told && socket.rules.task_tells {
            socket.tell_caretaker();
        }
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else {
            return;
        };
        let socket = self.socket;
        let mut wakers = Vec::new();
        let mut state = lock(&socket.state);
        let left = socket
            .attention
            .deregister(&mut state.waiting, &socket.presence, &key);
        if matches!(left, Deregistered::WakeUp) && socket.rules.passes_on {
            state.changes.add(Changes::READABLE);
            socket.notify(&mut state, &mut wakers);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A runtime of one task: it sleeps until its waker wakes it.
struct Runtime(Sleeper);

// The sleeper is made of loom's own locks, and lives as long as the model.
impl Wake for Runtime {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let sleeper = Sleeper::new();
    let waker = Waker::from(std::sync::Arc::new(Runtime(sleeper.clone())));
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(&waker);
    while future.as_mut().poll(&mut context).is_pending() {
        sleeper.until_woken();
    }
}

/// More switches than these between up to four threads take minutes.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(run);
}

/// A task takes two messages that come by the kernel, while the caretaker stops watching whenever it may.
fn task_beside_caretaker(rules: Rules) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let caretaker = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                socket.watch();
                socket.drive();
                socket.look_after();
            })
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || (0..2).for_each(|_| socket.deliver()))
        };
        block_on(Recv::new(&socket));
        block_on(Recv::new(&socket));
        socket.finish();
        sender.join().expect("sent");
        caretaker.join().expect("finished");
    });
}

/// The same for a loop that watches the level.
fn watcher_beside_caretaker(rules: Rules) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let caretaker = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                socket.watch();
                socket.drive();
                socket.look_after();
            })
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || (0..2).for_each(|_| socket.deliver()))
        };
        let watcher = socket.observe();
        let mut taken = 0;
        while taken < 2 {
            taken += watcher.take();
        }
        socket.finish();
        sender.join().expect("sent");
        caretaker.join().expect("finished");
    });
}

/// A loop begins to watch a socket that the caretaker does not watch.
fn watcher_that_comes_late(rules: Rules) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let _ = socket.presence.lease();
        let caretaker = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || socket.look_after())
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || socket.deliver())
        };
        assert_eq!(socket.observe().take(), 1);
        socket.finish();
        sender.join().expect("sent");
        caretaker.join().expect("finished");
    });
}

/// A caller in the seat and a task wait for a message each, and the caretaker does not watch.
fn task_beside_caller(rules: Rules) {
    beside_caller(rules, Socket::recv, |socket| {
        (0..2).for_each(|_| socket.deliver());
    });
}

/// A caller leaves the seat without having seen a message, and the caretaker does not watch.
fn task_behind_caller(rules: Rules) {
    beside_caller(rules, Socket::wait_in_vain, |socket| {
        socket.poll.wake();
        socket.deliver();
    });
}

fn beside_caller(rules: Rules, call: fn(&Socket), happens: fn(&Socket)) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let _ = socket.presence.lease();
        let caretaker = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || socket.look_after())
        };
        let caller = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || call(&socket))
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || happens(&socket))
        };
        block_on(Recv::new(&socket));
        caller.join().expect("called");
        sender.join().expect("sent");
        socket.finish();
        caretaker.join().expect("finished");
    });
}

/// Two tasks wait; a message comes, and one of the tasks is dropped meanwhile: the other has the message.
fn task_that_is_dropped(rules: Rules) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let first = Waker::from(std::sync::Arc::new(Runtime(Sleeper::new())));
        let mut dropped = Box::pin(Recv::new(&socket));
        let polled = dropped.as_mut().poll(&mut Context::from_waker(&first));
        assert!(polled.is_pending());
        let other = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || block_on(Recv::new(&socket)))
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                socket.deliver();
                socket.drive();
            })
        };
        drop(dropped);
        other.join().expect("received");
        sender.join().expect("sent");
    });
}

/// Two tasks wait and two messages come at once.
fn tasks_that_share(rules: Rules) {
    check(move || {
        let socket = Arc::new(Socket::new(rules));
        let other = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || block_on(Recv::new(&socket)))
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                (0..2).for_each(|_| socket.deliver());
                socket.drive();
            })
        };
        block_on(Recv::new(&socket));
        other.join().expect("received");
        sender.join().expect("sent");
    });
}

#[test]
fn a_waiting_task_is_looked_after() {
    task_beside_caretaker(ALL_RULES);
}

#[test]
fn a_level_that_is_watched_is_looked_after() {
    watcher_beside_caretaker(ALL_RULES);
}

#[test]
fn a_level_that_is_watched_from_now_on_is_looked_after() {
    watcher_that_comes_late(ALL_RULES);
}

#[test]
fn a_waiting_task_is_looked_after_beside_a_caller() {
    task_beside_caller(ALL_RULES);
}

#[test]
fn a_waiting_task_is_looked_after_when_a_caller_leaves_the_seat() {
    task_behind_caller(ALL_RULES);
}

#[test]
fn a_wake_up_is_passed_on() {
    task_that_is_dropped(ALL_RULES);
}

#[test]
fn each_message_finds_its_task() {
    tasks_that_share(ALL_RULES);
}

type Model = fn(Rules);

/// The models without each of their rules.
fn broken_models() -> [(&'static str, Rules, Model); 7] {
    let mut broken = [ALL_RULES; 7];
    broken[0].task_tells = false;
    broken[1].leaver_tells = false;
    broken[2].lease_checks = false;
    broken[3].passes_on = false;
    broken[4].wakes_next = false;
    broken[5].level_tells = false;
    broken[6].level_tells = false;
    [
        ("task_tells", broken[0], task_beside_caretaker),
        ("leaver_tells", broken[1], task_behind_caller),
        ("lease_checks", broken[2], task_beside_caretaker),
        ("passes_on", broken[3], task_that_is_dropped),
        ("wakes_next", broken[4], tasks_that_share),
        ("level_tells", broken[5], watcher_beside_caretaker),
        ("late_level_tells", broken[6], watcher_that_comes_late),
    ]
}

/// The models see what they are there to see.
#[test]
fn each_rule_of_attention_is_needed() {
    each_rule_is_needed("each_rule_of_attention_is_needed", &broken_models());
}
