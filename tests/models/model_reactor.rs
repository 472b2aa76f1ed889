//! Who looks after a socket that a task waits for, the reactor of the task's runtime or the caretaker, under a model checker.
//!
//! The caretaker here never looks at a socket because time has passed, as the real one does. So whatever is not heard of at once
//! is never heard of, and shows as a deadlock.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Mutex;
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
#[path = "../../src/engine/driving/reactor.rs"]
#[allow(dead_code, reason = "a stand-in for the reactor is made here")]
mod reactor;
#[path = "sleeper.rs"]
mod sleeper;

use attention::{Attention, Changes, Interest, Key, Waiting};
use broken::each_rule_is_needed;
use presence::Presence;
use reactor::{Added, Link, ReactorDriven};
use sleeper::Sleeper;
use sync::lock;

/// The rules; each can be left out, to see that it is needed and that the model would notice.
#[derive(Clone, Copy)]
struct Rules {
    /// A task arms the reactor before it asks the kernel.
    arms_first: bool,
    /// So does the reactor's thread, for the next event, while a task waits.
    arms_again: bool,
    /// Who finds the reactor gone has the caretaker watch.
    end_tells: bool,
    /// When no task waits any more, a reactor that nobody arms again is not relied upon.
    forgets: bool,
}

const ALL_RULES: Rules = Rules {
    arms_first: true,
    arms_again: true,
    end_tells: true,
    forgets: true,
};

/// A socket in small. Its application is always active: the caretaker stops watching with each event, if it may.
struct Socket {
    rules: Rules,
    state: Mutex<State>,
    attention: Attention,
    presence: Presence,
    kernel: StdArc<Kernel>,
}

#[derive(Default)]
struct State {
    messages: usize,
    changes: Changes,
    waiting: Waiting,
    link: Option<StdArc<Link>>,
    gone: bool,
}

/// What the system knows, and the threads that sleep in it.
struct Kernel {
    state: Mutex<KernelState>,
    caretaker: Sleeper,
    runtime: Sleeper,
}

#[derive(Default)]
struct KernelState {
    messages: usize,
    /// The reactor has been told of an event and nobody has asked it since.
    ready: bool,
    /// Whom it is to wake.
    armed: Option<Waker>,
    fired: Option<Waker>,
    /// The runtime is gone.
    gone: bool,
    /// The caretaker has asked for events, and there has been one.
    registered: bool,
    event: bool,
    /// Errands of the caretaker.
    told: bool,
    finish: bool,
}

impl Kernel {
    /// A message comes, and whoever waits is told, once.
    fn deliver(&self) {
        let registered = {
            let mut state = lock(&self.state);
            state.messages += 1;
            state.event |= state.registered;
            state.ready = true;
            if let Some(waker) = state.armed.take() {
                state.fired = Some(waker);
            }
            state.registered
        };
        self.runtime.wake();
        if registered {
            self.caretaker.wake();
        }
    }

    fn end_runtime(&self) {
        let mut state = lock(&self.state);
        state.gone = true;
        if let Some(waker) = state.armed.take() {
            state.fired = Some(waker);
        }
        drop(state);
        self.runtime.wake();
    }

    fn tell_caretaker(&self) {
        lock(&self.state).told = true;
        self.caretaker.wake();
    }

    fn finish(&self) {
        lock(&self.state).finish = true;
        self.caretaker.wake();
        self.runtime.wake();
    }

    /// The thread of the runtime.
    fn react(&self) {
        loop {
            self.runtime.until_woken();
            let (fired, over) = {
                let mut state = lock(&self.state);
                (state.fired.take(), state.finish || state.gone)
            };
            if let Some(waker) = fired {
                waker.wake();
            }
            if over {
                return;
            }
        }
    }
}

struct Source(StdArc<Kernel>);

impl Added for Source {
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        if state.gone {
            return Poll::Ready(Err(io::ErrorKind::Other.into()));
        }
        if std::mem::take(&mut state.ready) {
            return Poll::Ready(Ok(()));
        }
        state.armed = Some(context.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Socket {
    fn new(rules: Rules) -> StdArc<Socket> {
        let kernel = StdArc::new(Kernel {
            state: Mutex::new(KernelState::default()),
            caretaker: Sleeper::new(),
            runtime: Sleeper::new(),
        });
        let socket = StdArc::new(Socket {
            rules,
            state: Mutex::new(State::default()),
            attention: Attention::new(),
            presence: Presence::new(),
            kernel: StdArc::clone(&kernel),
        });
        let weak = StdArc::downgrade(&socket);
        let link = Link::new(Box::new(Source(kernel)), weak);
        lock(&socket.state).link = Some(link);
        socket
    }

    /// What `Core::arm_reactor` does.
    fn arm(&self, state: &mut State) {
        if self.presence.has_reactor() || state.gone {
            return;
        }
        let armed = state.link.as_ref().is_some_and(|link| link.arm());
        match armed {
            true => self.presence.reactor_hears(),
            false => self.lose(state),
        }
    }

    fn lose(&self, state: &mut State) {
        state.gone = true;
        if self.presence.reactor_is_gone() && self.rules.end_tells {
            self.kernel.tell_caretaker();
        }
    }

    fn read(&self, state: &mut State) {
        let came = std::mem::take(&mut lock(&self.kernel.state).messages);
        if came > 0 {
            state.messages += came;
            state.changes.add(Changes::READABLE);
        }
    }

    fn notify(&self, state: &mut State, wakers: &mut Vec<Waker>) {
        let changes = std::mem::take(&mut state.changes);
        let reactor = self.presence.has_reactor();
        self.attention
            .tell(&mut state.waiting, &self.presence, changes, |waker| {
                wakers.push(waker);
            });
        if reactor && !self.rules.forgets {
            self.presence.reactor_hears();
        }
    }

    fn drive(&self) {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        self.read(&mut state);
        self.notify(&mut state, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The caretaker's thread.
    fn look_after(&self) {
        let kernel = &self.kernel;
        loop {
            kernel.caretaker.until_woken();
            let (told, event) = {
                let mut state = lock(&kernel.state);
                if state.finish {
                    return;
                }
                (
                    std::mem::take(&mut state.told),
                    std::mem::take(&mut state.event),
                )
            };
            if told || event {
                if self.presence.lease() {
                    lock(&kernel.state).registered = false;
                } else {
                    self.presence.watch();
                    lock(&kernel.state).registered = true;
                    self.drive();
                }
            }
        }
    }
}

impl ReactorDriven for Socket {
    fn reactor_event(&self, link: &StdArc<Link>) {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        if !self.presence.has_reactor() {
            return;
        }
        if self.rules.arms_again && !link.arm() {
            return self.lose(&mut state);
        }
        self.read(&mut state);
        self.notify(&mut state, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What `recv_async` is.
struct Recv<'a> {
    socket: &'a Socket,
    key: Option<Key>,
}

impl Future for Recv<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut wakers = Vec::new();
        let Recv { socket, key } = &mut *self;
        let mut state = lock(&socket.state);
        if state.messages == 0 {
            if socket.rules.arms_first {
                socket.arm(&mut state);
            }
            socket.read(&mut state);
        }
        let (attention, presence) = (&socket.attention, &socket.presence);
        let mut tell = false;
        let result = if state.messages > 0 {
            state.messages -= 1;
            if let Some(key) = key.take() {
                attention.deregister(&mut state.waiting, presence, &key);
            }
            Poll::Ready(())
        } else {
            let waiting = &mut state.waiting;
            let interest = Interest::Message;
            tell = attention.register(waiting, presence, key, interest, waker, drop);
            Poll::Pending
        };
        if result.is_pending() && !socket.rules.arms_first {
            socket.arm(&mut state);
        }
        socket.notify(&mut state, &mut wakers);
        drop(state);
        if tell {
            socket.kernel.tell_caretaker();
        }
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

/// A runtime's way of running a task.
struct Runtime(Sleeper);

// The sleeper is made of loom's own locks, and lives as long as the model.
impl Wake for Runtime {
    fn wake(self: StdArc<Self>) {
        self.0.wake();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let sleeper = Sleeper::new();
    let waker = Waker::from(StdArc::new(Runtime(sleeper.clone())));
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

fn recv(socket: &Socket) {
    block_on(Recv { socket, key: None });
}

/// Two messages come, the one while the task handles the other; the caretaker does not watch.
fn task_beside_reactor(rules: Rules) {
    with_reactor(rules, |kernel| (0..2).for_each(|_| kernel.deliver()), 2);
}

/// The runtime ends while the task waits, which then runs elsewhere, and a message comes.
fn reactor_that_ends(rules: Rules) {
    with_reactor(
        rules,
        |kernel| {
            kernel.end_runtime();
            kernel.deliver();
        },
        1,
    );
}

fn with_reactor(rules: Rules, happens: fn(&Kernel), messages: usize) {
    check(move || {
        let socket = Socket::new(rules);
        let _ = socket.presence.lease();
        let runtime = {
            let kernel = StdArc::clone(&socket.kernel);
            thread::spawn(move || kernel.react())
        };
        let caretaker = {
            let socket = StdArc::clone(&socket);
            thread::spawn(move || socket.look_after())
        };
        let sender = {
            let kernel = StdArc::clone(&socket.kernel);
            thread::spawn(move || happens(&kernel))
        };
        (0..messages).for_each(|_| recv(&socket));
        sender.join().expect("happened");
        socket.kernel.finish();
        runtime.join().expect("ended");
        caretaker.join().expect("finished");
    });
}

/// A message for nobody, and then one for a task: the reactor has woken in vain meanwhile, and is armed again.
fn reactor_that_was_not_needed(rules: Rules) {
    with_reactor(rules, |kernel| (0..3).for_each(|_| kernel.deliver()), 3);
}

#[test]
fn a_waiting_task_is_woken_by_its_reactor() {
    task_beside_reactor(ALL_RULES);
}

#[test]
fn a_waiting_task_is_looked_after_when_its_reactor_ends() {
    reactor_that_ends(ALL_RULES);
}

#[test]
fn a_reactor_is_relied_upon_only_while_it_is_armed() {
    reactor_that_was_not_needed(ALL_RULES);
}

type Model = fn(Rules);

/// The models without each of their rules.
fn broken_models() -> [(&'static str, Rules, Model); 4] {
    let mut broken = [ALL_RULES; 4];
    broken[0].arms_first = false;
    broken[1].arms_again = false;
    broken[2].end_tells = false;
    broken[3].forgets = false;
    broken[3].arms_again = false;
    [
        ("arms_first", broken[0], task_beside_reactor),
        ("arms_again", broken[1], reactor_that_was_not_needed),
        ("end_tells", broken[2], reactor_that_ends),
        ("forgets", broken[3], reactor_that_was_not_needed),
    ]
}

/// The models see what they are there to see.
#[test]
fn each_rule_of_the_reactor_is_needed() {
    each_rule_is_needed("each_rule_of_the_reactor_is_needed", &broken_models());
}
