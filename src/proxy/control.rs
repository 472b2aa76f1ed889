//! Steering a proxy while it runs.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ProxyEndCause;
use super::statistics::{Counters, ProxyStatistics};
use crate::engine::Observable;
use crate::process::Process;

/// Steers a [`Proxy`](super::Proxy) while it runs in another thread. Clones steer the same one.
///
/// In a forked child it does nothing, and says what had been passed on by then.
///
/// libzmq: the control socket of `zmq_proxy_steerable`, and what is sent to it: `PAUSE`, `RESUME`, `TERMINATE`, `STATISTICS`.
#[derive(Clone)]
pub struct ProxyControl {
    course: Arc<Course>,
}

impl ProxyControl {
    pub(super) fn new(course: Course) -> ProxyControl {
        ProxyControl {
            course: Arc::new(course),
        }
    }

    pub(super) fn course(&self) -> &Course {
        &self.course
    }

    /// Stops passing messages on, until [`resume`](Self::resume). What comes meanwhile waits in the sockets, up to their high-water marks,
    /// and then with who sends it. A proxy that does not run yet begins paused.
    pub fn pause(&self) {
        self.course.steer(Steering::Paused);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.course.steer(Steering::Running);
    }

    /// Ends [`run`](super::Proxy::run), paused or not, and at once: it does not wait for room. A proxy that does not run yet ends as soon as it
    /// does; one that has ended this way can be run again.
    pub fn terminate(&self) {
        self.course.steer(Steering::Terminated);
    }

    /// What has been passed on so far.
    pub fn statistics(&self) -> ProxyStatistics {
        ProxyStatistics::of(&self.course.counters)
    }
}

impl fmt::Debug for ProxyControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyControl")
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

/// Messages are passed on.
const GOES: u8 = 0;
/// They are not, for now …
const PAUSED: u8 = 1;
/// … or not any more.
const ENDS: u8 = 2;

/// What a proxy and those who steer it share.
pub(super) struct Course {
    /// What is to be looked at for each message, of [`Steered`]: that nothing has ended, and what the steering is.
    now: AtomicU8,
    steered: Mutex<Steered>,
    /// The sockets, whose calls are made to look again.
    sockets: Mutex<Vec<Arc<dyn Observable>>>,
    /// From the frontend to the backend, and back.
    pub(super) counters: [Counters; 2],
    /// Nothing is locked before it is known to be this one.
    process: Process,
}

struct Steered {
    steering: Steering,
    /// Why this run ends.
    ended: Option<ProxyEndCause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steering {
    Running,
    Paused,
    Terminated,
}

/// While it is there, the proxy runs.
pub(super) struct Running<'a>(&'a Course);

impl Course {
    pub(super) fn new(sockets: impl IntoIterator<Item = Arc<dyn Observable>>) -> Course {
        Course {
            now: AtomicU8::new(GOES),
            steered: Mutex::new(Steered {
                steering: Steering::Running,
                ended: None,
            }),
            sockets: Mutex::new(sockets.into_iter().collect()),
            counters: Default::default(),
            process: Process::current(),
        }
    }

    /// Whether this is the process that made it. In a forked child nothing steers it, and it does not run.
    pub(super) fn is_here(&self) -> bool {
        self.process.is_current()
    }

    pub(super) fn observe(&self, socket: Arc<dyn Observable>) {
        if self.is_here() {
            lock(&self.sockets).push(socket);
        }
    }

    /// Messages that have been given to the sockets and have not left.
    pub(super) fn unsent(&self) -> usize {
        if !self.is_here() {
            return 0;
        }
        let sockets: Vec<_> = lock(&self.sockets).clone();
        sockets.iter().map(|socket| socket.unsent()).sum()
    }

    pub(super) fn begin(&self) -> Running<'_> {
        self.set(|steered| steered.ended = None);
        Running(self)
    }

    /// Whether messages are passed on: to be asked before each.
    #[inline]
    pub(super) fn goes(&self) -> bool {
        self.now.load(Ordering::Acquire) == GOES
    }

    fn is_paused(&self) -> bool {
        self.now.load(Ordering::Acquire) == PAUSED
    }

    /// Waits while the proxy is paused; then, why it has ended, if it has. It waits in the socket that messages come from, so that the end of that, or
    /// of its context, ends the proxy then, too.
    pub(super) fn await_go(&self, from: &dyn Observable) -> Result<(), ProxyEndCause> {
        from.wait_while(&|| self.is_paused())?;
        if !self.is_here() {
            return Err(ProxyEndCause::Forked);
        }
        let steered = lock(&self.steered);
        match (steered.ended, steered.steering) {
            (Some(cause), _) => Err(cause),
            (None, Steering::Terminated) => Err(ProxyEndCause::Terminated),
            // Whoever finds it paused again waits again.
            (None, Steering::Running | Steering::Paused) => Ok(()),
        }
    }

    /// One direction has ended: so does the other. The first cause is the one that counts.
    pub(super) fn end(&self, cause: ProxyEndCause) {
        self.set(|steered| {
            steered.ended.get_or_insert(cause);
        });
    }

    /// Why it has ended.
    pub(super) fn cause(&self) -> ProxyEndCause {
        if !self.is_here() {
            return ProxyEndCause::Forked;
        }
        lock(&self.steered)
            .ended
            .unwrap_or(ProxyEndCause::Terminated)
    }

    fn steer(&self, steering: Steering) {
        self.set(|steered| {
            // Only the next run makes it go again.
            if steered.steering != Steering::Terminated {
                steered.steering = steering;
            }
        });
    }

    fn set(&self, change: impl FnOnce(&mut Steered)) {
        if !self.is_here() {
            return;
        }
        let mut steered = lock(&self.steered);
        change(&mut steered);
        let now = match (steered.ended, steered.steering) {
            (None, Steering::Running) => GOES,
            (None, Steering::Paused) => PAUSED,
            (Some(_), _) | (None, Steering::Terminated) => ENDS,
        };
        self.now.store(now, Ordering::Release);
        drop(steered);
        // With no lock held: a socket has its own.
        let sockets: Vec<_> = lock(&self.sockets).clone();
        sockets.iter().for_each(|socket| socket.look_again());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.0.is_here() {
            return;
        }
        let mut steered = lock(&self.0.steered);
        if steered.steering == Steering::Terminated {
            steered.steering = Steering::Running;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
