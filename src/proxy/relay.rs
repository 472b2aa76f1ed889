//! One direction of a proxy: from one socket to the other, message by message, or from a PULL to a PUSH many at once, as they have come.

use std::any::Any;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ProxyEndCause;
use super::control::Course;
use super::statistics::Counters;
use crate::engine::{Observable, Wait};
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::socket::{AnySocket, Pull, Push, RecvSocket, SendSocket};

/// From one socket to another, of whatever types.
pub(super) struct Direction<'a> {
    pass: Box<Pass<'a>>,
}

type Pass<'a> =
    dyn Fn(&Course, &Counters, Option<&dyn Capture>, Option<&Idle>) -> End + Send + Sync + 'a;

/// How a direction has ended.
pub(super) struct End {
    pub(super) cause: ProxyEndCause,
    /// What was taken and not given.
    pub(super) held: Option<Message>,
}

impl Default for End {
    fn default() -> End {
        End {
            cause: ProxyEndCause::Terminated,
            held: None,
        }
    }
}

impl<'a> Direction<'a> {
    pub(super) fn new<F: RecvSocket, T: SendSocket>(from: &'a F, to: &'a T) -> Direction<'a> {
        let pass = move |course: &Course,
                         counters: &Counters,
                         capture: Option<&dyn Capture>,
                         idle: Option<&Idle>| {
            let leg = Leg {
                course,
                from: observable(from),
                counters,
                capture,
                idle,
            };
            leg.pass(from, to)
        };
        Direction {
            pass: Box::new(pass),
        }
    }

    pub(super) fn pass(
        &self,
        course: &Course,
        capture: Option<&dyn Capture>,
        idle: Option<&Idle>,
        to_backend: bool,
    ) -> End {
        let [there, back] = &course.counters;
        let counters = if to_backend { there } else { back };
        (self.pass)(course, counters, capture, idle)
    }
}

/// The socket, to make calls look again that wait in it.
pub(super) fn observable<S: AnySocket>(socket: &S) -> Arc<dyn Observable> {
    Arc::clone(socket.socket().core()) as _
}

/// Whether they are one socket.
pub(super) fn are_same<S: AnySocket, T: AnySocket>(one: &S, other: &T) -> bool {
    let (one, other) = (one.socket().core(), other.socket().core());
    ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

/// A socket that is sent copies.
pub(super) trait Capture: Sync {
    fn copy(&self, message: &Message, course: &Course) -> Result<bool, SendErrorKind>;
}

impl<S: SendSocket> Capture for S {
    fn copy(&self, message: &Message, course: &Course) -> Result<bool, SendErrorKind> {
        self.send_unless(message, Wait::Forever, &|| !course.goes())
    }
}

pub(super) struct Leg<'a> {
    pub(super) course: &'a Course,
    from: Arc<dyn Observable>,
    pub(super) counters: &'a Counters,
    pub(super) capture: Option<&'a dyn Capture>,
    idle: Option<&'a Idle>,
}

impl Leg<'_> {
    fn pass<F: RecvSocket, T: SendSocket>(&self, from: &F, to: &T) -> End {
        let pull = (from as &dyn Any).downcast_ref::<Pull>();
        if let Some(pull) = pull.filter(|pull| pull.settles()) {
            return self.pass_jobs(pull, to);
        }
        let push = (to as &dyn Any).downcast_ref::<Push>();
        let push = push.filter(|push| push.takes_as_is() && self.capture.is_none());
        let line = pull.zip(push);
        let mut message = Message::new();
        loop {
            let ready = line.map_or(Ok(()), |(pull, push)| self.pass_as_is(pull, push));
            if let Err(cause) = ready.and_then(|()| self.take(from, &mut message)) {
                return End { cause, held: None };
            }
            let size = message.size();
            self.counters.received(size);
            let given = match self.capture {
                None => self.give(to, &message),
                Some(capture) => self
                    .copy(capture, &message)
                    .and_then(|()| self.give(to, &message)),
            };
            match given {
                Ok(true) => self.counters.sent(size),
                Ok(false) => self.counters.refused(),
                Err(cause) => {
                    let held = Some(message);
                    return End { cause, held };
                }
            }
        }
    }

    /// Passes messages on as they have come, until there is one that is to be taken and given.
    fn pass_as_is(&self, pull: &Pull, push: &Push) -> Result<(), ProxyEndCause> {
        let mut has_waited = false;
        loop {
            if !self.course.goes() {
                self.await_go()?;
            }
            let passed = pull.pass_on(push);
            if passed.messages > 0 {
                self.counters.passed(passed.messages, passed.size);
                has_waited = false;
            } else if has_waited {
                return Ok(());
            } else {
                self.repeat(|wait, halted| pull.await_message(wait, halted))?;
                has_waited = true;
            }
        }
    }

    #[inline]
    fn take<F: RecvSocket>(&self, from: &F, message: &mut Message) -> Result<(), ProxyEndCause> {
        self.repeat(|wait, halted| from.recv_unless(message, wait, halted))
    }

    /// Repeats an attempt to receive until it is successful.
    #[inline]
    fn repeat(
        &self,
        mut attempt: impl FnMut(Wait, &dyn Fn() -> bool) -> Result<bool, RecvError>,
    ) -> Result<(), ProxyEndCause> {
        let course = self.course;
        loop {
            if !course.goes() {
                self.await_go()?;
            }
            match attempt(self.wait(), &|| !course.goes()) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(RecvError::WouldBlock | RecvError::TimedOut) => self.check_idle()?,
                Err(RecvError::Closed) => return Err(ProxyEndCause::Closed),
                Err(RecvError::ContextClosed) => return Err(ProxyEndCause::ContextClosed),
                Err(RecvError::Forked) => return Err(ProxyEndCause::Forked),
            }
        }
    }

    /// `false`: it is refused, for good.
    #[inline]
    pub(super) fn give<T: SendSocket>(
        &self,
        to: &T,
        message: &Message,
    ) -> Result<bool, ProxyEndCause> {
        let course = self.course;
        loop {
            if !course.goes() {
                self.await_go()?;
            }
            match to.send_unless(message, self.wait(), &|| !course.goes()) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(SendErrorKind::WouldBlock | SendErrorKind::TimedOut) => self.check_idle()?,
                Err(kind) => match cause_of(kind) {
                    Some(cause) => return Err(cause),
                    None => return Ok(false),
                },
            }
        }
    }

    pub(super) fn copy(
        &self,
        capture: &dyn Capture,
        message: &Message,
    ) -> Result<(), ProxyEndCause> {
        loop {
            if !self.course.goes() {
                self.await_go()?;
            }
            match capture.copy(message, self.course) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // What is not for it is no reason to end.
                Err(kind) => return cause_of(kind).map_or(Ok(()), Err),
            }
        }
    }

    /// Waits while the proxy is paused.
    #[cold]
    pub(super) fn await_go(&self) -> Result<(), ProxyEndCause> {
        self.course.await_go(&*self.from)
    }

    pub(super) fn wait(&self) -> Wait {
        match self.idle {
            None => Wait::Forever,
            Some(idle) => Wait::AtMost(idle.slice()),
        }
    }

    #[cold]
    pub(super) fn check_idle(&self) -> Result<(), ProxyEndCause> {
        match self.idle {
            Some(idle) if idle.is_over(self.course) => Err(ProxyEndCause::Idle),
            _ => Ok(()),
        }
    }
}

/// Why there is nothing more to give. `None`: it is this message that is not taken.
pub(super) fn cause_of(kind: SendErrorKind) -> Option<ProxyEndCause> {
    match kind {
        SendErrorKind::Closed => Some(ProxyEndCause::Closed),
        SendErrorKind::ContextClosed => Some(ProxyEndCause::ContextClosed),
        SendErrorKind::Forked => Some(ProxyEndCause::Forked),
        _ => None,
    }
}

/// Whether nothing has come and nothing has left for a while.
pub(super) struct Idle {
    timeout: Duration,
    /// What was last seen to change, and when.
    moved: Mutex<(Progress, Instant)>,
}

impl Idle {
    pub(super) fn new(course: &Course, timeout: Duration) -> Idle {
        Idle {
            timeout,
            moved: Mutex::new((Progress::of(course), Instant::now())),
        }
    }

    /// A part of the time, after which is looked whether anything has moved.
    fn slice(&self) -> Duration {
        (self.timeout / 8).max(Duration::from_millis(1))
    }

    fn is_over(&self, course: &Course) -> bool {
        let now = Progress::of(course);
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.0 != now {
            *moved = (now, Instant::now());
        }
        moved.1.elapsed() >= self.timeout
    }
}

/// Changes with all that comes and leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Progress {
    passed: u64,
    unsent: usize,
}

impl Progress {
    fn of(course: &Course) -> Progress {
        Progress {
            passed: course.counters.iter().map(Counters::progress).sum(),
            unsent: course.unsent(),
        }
    }
}
