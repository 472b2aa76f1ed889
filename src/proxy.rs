//! Passing messages on between two sockets: see [`Proxy`].

mod control;
mod relay;
mod settling;
mod statistics;

use std::fmt;
use std::thread;
use std::time::Duration;

pub use control::ProxyControl;
pub use statistics::{ProxyStatistics, SideStatistics};

use crate::engine::Shut;
use crate::message::Message;
use crate::socket::{RecvSocket, SendSocket};
use control::Course;
use relay::{Capture, Direction, End};

/// Passes messages on between two sockets: what comes in at the frontend goes out at the backend, and what comes back goes back.
///
/// | | frontend | backend | |
/// |---|---|---|---|
/// | a streamer | [`Pull`](crate::Pull) | [`Push`](crate::Push) | [`one_way`](Self::one_way): work from many producers, for many workers |
/// | a queue | [`Router`](crate::Router) | [`Dealer`](crate::Dealer) | [`new`](Self::new): questions from many clients, for many servers; answers go back to who asked |
/// | a forwarder | [`Xsub`](crate::Xsub) | [`Xpub`](crate::Xpub) | [`new`](Self::new): messages of many publishers, for many subscribers; subscriptions go up |
///
/// - **Nothing waits in between.** A message is taken from one socket when the one before it has been given to the other. Where that is at its
///   high-water mark, messages pile up where they come from, and then with who sends them.
/// - Large frames are passed on as they are, and never copied. From a PULL to a PUSH short messages go on as they have come, encoded, and many at once,
///   unless there is a capture, or they are to be settled or kept in a spool.
/// - A message that the other socket refuses, because no peer takes one that large or nobody has the name it is for, is dropped and
///   [counted](SideStatistics::refused). One that a subscriber has no room for is counted by the socket, as always.
/// - **Where messages are to be settled** ([`delivery`](crate::Options::delivery)) by a PULL as the frontend, each is when it has been settled behind a
///   PUSH as the backend: what is rejected there is a dead letter of its sender. A message that is not settled when the proxy ends is given back, and
///   comes again.
/// - [`run`](Self::run) works until it is told to stop, by a [`ProxyControl`], or a socket or its context is shut down. **What it had taken and not given
///   is in what it returns** ([`ProxyEnd`]). The sockets are as they were, and can be used otherwise, even while it runs.
///
/// libzmq: `zmq_proxy` and `zmq_proxy_steerable`.
///
/// ```
/// use std::thread;
/// use zerohop::{Context, Dealer, Proxy, ProxyEndCause, Rep, Req, Router};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let (clients, servers) = (Router::new(&context)?, Dealer::new(&context)?);
/// let (req, rep) = (Req::new(&context)?, Rep::new(&context)?);
/// req.connect(clients.bind("tcp://127.0.0.1:*")?)?;
/// rep.connect(servers.bind("tcp://127.0.0.1:*")?)?;
///
/// let proxy = Proxy::new(&clients, &servers);
/// let control = proxy.control();
/// thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
///     let running = scope.spawn(|| proxy.run());
///     scope.spawn(|| rep.recv().unwrap().reply("9.99").unwrap());
///     assert_eq!(req.request("price of 42?")?, "9.99");
///
///     assert_eq!(control.statistics().frontend.received, 1);
///     control.terminate();
///     let end = running.join().unwrap();
///     assert_eq!(end.cause, ProxyEndCause::Terminated);
///     assert_eq!((end.for_backend, end.for_frontend), (None, None));
///     Ok(())
/// })
/// # }
/// ```
pub struct Proxy<'a> {
    there: Direction<'a>,
    back: Option<Direction<'a>>,
    capture: Option<&'a dyn Capture>,
    control: ProxyControl,
    idle: Option<Duration>,
}

impl<'a> Proxy<'a> {
    /// Between two sockets that both send and receive. They may be the same one: then what comes goes back by the same socket, one way and in order,
    /// as with libzmq, so that a ROUTER answers each of its peers with what that has sent.
    pub fn new<F, B>(frontend: &'a F, backend: &'a B) -> Proxy<'a>
    where
        F: RecvSocket + SendSocket,
        B: RecvSocket + SendSocket,
    {
        let mut proxy = Proxy::one_way(frontend, backend);
        if !relay::are_same(frontend, backend) {
            proxy.back = Some(Direction::new(backend, frontend));
        }
        proxy
    }

    /// From the frontend to the backend, and not back.
    pub fn one_way<F: RecvSocket, B: SendSocket>(frontend: &'a F, backend: &'a B) -> Proxy<'a> {
        let sides = [relay::observable(frontend), relay::observable(backend)];
        Proxy {
            there: Direction::new(frontend, backend),
            back: None,
            capture: None,
            control: ProxyControl::new(Course::new(sides)),
            idle: None,
        }
    }

    /// Sends a copy of every message, of both directions, to this socket, before it is passed on. A [`Pub`](crate::Pub) never holds the
    /// proxy up; any other waits for room, and so does the proxy. Large frames are not copied for that.
    pub fn capture<C: SendSocket>(mut self, capture: &'a C) -> Proxy<'a> {
        self.control.course().observe(relay::observable(capture));
        self.capture = Some(capture);
        self
    }

    /// Ends the proxy when for so long nothing has come and nothing has left. Not set: it waits without end.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Proxy<'a> {
        self.idle = timeout.into();
        self
    }

    /// What steers it, from any thread and before it runs as well.
    pub fn control(&self) -> ProxyControl {
        self.control.clone()
    }

    /// Passes messages on until the end, in this thread and, if they go both ways, in one more. The timeouts in the options of the sockets
    /// have no effect here.
    pub fn run(&self) -> ProxyEnd {
        let course = self.control.course();
        if !course.is_here() {
            return ProxyEnd {
                cause: ProxyEndCause::Forked,
                for_backend: None,
                for_frontend: None,
            };
        }
        let _running = course.begin();
        let idle = self.idle.map(|timeout| relay::Idle::new(course, timeout));
        let pass = |direction: &Direction<'a>, to_backend| {
            let end = direction.pass(course, self.capture, idle.as_ref(), to_backend);
            course.end(end.cause);
            end
        };
        let (there, back) = match &self.back {
            None => (pass(&self.there, true), End::default()),
            Some(back) => thread::scope(|scope| {
                let builder = thread::Builder::new().name("zerohop-proxy".to_owned());
                match builder.spawn_scoped(scope, || pass(back, false)) {
                    Ok(back) => {
                        let there = pass(&self.there, true);
                        (there, back.join().unwrap_or_default())
                    }
                    Err(_) => {
                        course.end(ProxyEndCause::NoThread);
                        (End::default(), End::default())
                    }
                }
            }),
        };
        ProxyEnd {
            cause: course.cause(),
            for_backend: there.held,
            for_frontend: back.held,
        }
    }
}

impl fmt::Debug for Proxy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("both_ways", &self.back.is_some())
            .field("captures", &self.capture.is_some())
            .field("idle_timeout", &self.idle)
            .finish_non_exhaustive()
    }
}

/// Passes messages on between two sockets that both send and receive, until one of them or its context is shut down: a
/// [`Proxy`] without more.
///
/// libzmq: `zmq_proxy`.
///
/// ```
/// use zerohop::{Context, Dealer, Router};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let (clients, servers) = (Router::new(&context)?, Dealer::new(&context)?);
/// clients.bind("tcp://127.0.0.1:*")?;
/// servers.bind("tcp://127.0.0.1:*")?;
/// # let ending = context.clone();
/// # std::thread::spawn(move || ending.shutdown());
/// zerohop::proxy(&clients, &servers);
/// # Ok(())
/// # }
/// ```
pub fn proxy<F, B>(frontend: &F, backend: &B) -> ProxyEnd
where
    F: RecvSocket + SendSocket,
    B: RecvSocket + SendSocket,
{
    Proxy::new(frontend, backend).run()
}

/// How a [`Proxy`] has ended, and what it had taken and could not give.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyEnd {
    /// Why it ended.
    pub cause: ProxyEndCause,
    /// A message of the frontend that the backend has not been given. To send it is all that is left to do. One that is to be settled has been given back
    /// instead.
    pub for_backend: Option<Message>,
    /// A message of the backend that the frontend has not been given.
    pub for_frontend: Option<Message>,
}

/// Why a [`Proxy`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyEndCause {
    /// [`ProxyControl::terminate`].
    Terminated,
    /// Nothing has come and nothing has left for as long as [`idle_timeout`](Proxy::idle_timeout).
    Idle,
    /// The system refused the thread for what comes back. Nothing has been taken.
    NoThread,
    /// A socket was shut down.
    Closed,
    /// A context was shut down.
    ContextClosed,
    /// The proxy, or a socket, belongs to the process that this one was forked from.
    Forked,
}

impl From<Shut> for ProxyEndCause {
    fn from(shut: Shut) -> ProxyEndCause {
        match shut {
            Shut::Socket => ProxyEndCause::Closed,
            Shut::Context => ProxyEndCause::ContextClosed,
            Shut::Forked => ProxyEndCause::Forked,
        }
    }
}
