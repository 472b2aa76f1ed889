//! The sockets: typed handles over a [`Core`].
//!
//! A socket type is a file here: its own calls, and one line that gives it what all sockets have.

#[macro_use]
mod receiving;
#[macro_use]
mod sending;

mod publisher;
mod pull;
mod push;
mod rep;
mod req;
mod stats;
mod sub;

use std::sync::Arc;
use std::time::Duration;

pub use publisher::Pub;
pub use pull::{Iter, Pull};
pub use push::Push;
pub use rep::{Rep, Request};
pub use req::Req;
pub use sub::Sub;

use crate::context::Context;
use crate::engine::{ContextInner, Core, Deadline, Shut, Stop};
use crate::error::{
    CloseError, ConnectError, RecvError, ReplyErrorKind, RequestError, SendError, SendErrorKind,
    SocketError, SubscribeError, UnbindError, WaitError,
};
use crate::message::Message;
use crate::monitor::Monitor;
use crate::options::Options;
use crate::pattern::Pattern;
use crate::transport::{Address, BindError, Endpoint, EndpointError, Listener};

/// What all socket types are made of: a core that is closed when its handle is dropped.
pub(crate) struct Socket<P: Pattern + 'static> {
    core: Arc<Core<P>>,
    options: Options,
    open: bool,
}

impl<P: Pattern + 'static> Socket<P> {
    pub(crate) fn new(
        context: &Context,
        options: Options,
        make: impl FnOnce(&Options) -> P,
    ) -> Result<Self, SocketError> {
        options.validate().map_err(SocketError::Option)?;
        let inner: &Arc<ContextInner> = context.inner();
        if !inner.process.is_current() {
            return Err(SocketError::Forked);
        }
        if inner.is_shut_down() {
            return Err(SocketError::ContextClosed);
        }
        let pattern = make(&options);
        let core = Core::new(inner, options.clone(), pattern).map_err(SocketError::Io)?;
        Ok(Socket {
            core,
            options,
            open: true,
        })
    }

    pub(crate) fn core(&self) -> &Arc<Core<P>> {
        &self.core
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    fn bind(&self, endpoint: Endpoint) -> Result<Endpoint, BindError> {
        endpoint.check_bind()?;
        if let Address::Inproc(name) = endpoint.address() {
            return self.bind_inproc(&endpoint, name);
        }
        // Looks names up, so before any lock.
        let stream_options = self.core.inspect(|_, net| net.stream_options.clone())?;
        let listener = Listener::bind(&endpoint, &stream_options).inspect_err(|error| {
            let _ = self
                .core
                .inspect(|_, net| net.bind_failed(&endpoint, error));
        })?;
        let bound = listener.endpoint().clone();
        let listened = self.core.change(|_, net| net.listen(listener));
        match listened {
            Ok(Ok(())) => Ok(bound),
            Ok(Err(error)) => Err(BindError::from_io(&endpoint, error)),
            Err(shut) => Err(shut.into()),
        }
    }

    fn bind_inproc(&self, endpoint: &Endpoint, name: &str) -> Result<Endpoint, BindError> {
        let bound = self.core.change(|_, net| net.bind_inproc(name, endpoint))?;
        match bound {
            true => Ok(endpoint.clone()),
            false => Err(BindError::AddrInUse {
                endpoint: endpoint.clone(),
            }),
        }
    }

    fn connect(&self, endpoint: Endpoint) -> Result<(), ConnectError> {
        endpoint.check_connect()?;
        self.core.change(|pattern, net| {
            if let Address::Inproc(name) = endpoint.address() {
                let connected = net.connect_inproc(name, pattern);
                connected.map_err(|theirs| ConnectError::Incompatible {
                    ours: pattern.socket_type(),
                    theirs,
                })?;
                net.last_endpoint = Some(endpoint);
            } else {
                net.last_endpoint = Some(endpoint.clone());
                net.connect(endpoint, pattern);
            }
            Ok(())
        })?
    }

    fn unbind(&self, endpoint: &Endpoint) -> Result<(), UnbindError> {
        let found = self
            .core
            .change(|pattern, net| net.unbind(endpoint, pattern))?;
        found_or_error(found, endpoint)
    }

    fn disconnect(&self, endpoint: &Endpoint) -> Result<(), UnbindError> {
        let found = self
            .core
            .change(|pattern, net| net.disconnect(endpoint, pattern))?;
        found_or_error(found, endpoint)
    }

    fn last_endpoint(&self) -> Option<Endpoint> {
        let last = self.core.inspect(|_, net| net.last_endpoint.clone());
        last.ok().flatten()
    }

    fn wait_for_peers(&self, wanted: usize, timeout: Duration) -> Result<(), WaitError> {
        self.wait_for_count(wanted, timeout, |_, net| net.connected_peers())
    }

    /// Waits until `count` gives `wanted` or more.
    pub(crate) fn wait_for_count(
        &self,
        wanted: usize,
        timeout: Duration,
        mut count: impl FnMut(&mut P, &mut crate::engine::Net) -> usize,
    ) -> Result<(), WaitError> {
        let mut have = 0;
        let reached = self.core.until(Deadline::after(timeout), |pattern, net| {
            have = count(pattern, net);
            (have >= wanted).then_some(())
        });
        reached.map_err(|stop| match stop {
            Stop::WouldBlock | Stop::TimedOut => WaitError::TimedOut { have, wanted },
            Stop::Shut(shut) => shut.into(),
        })
    }

    fn monitor(&self) -> Monitor {
        let monitor = self.core.inspect(|_, net| net.monitors.subscribe());
        monitor.unwrap_or_else(|_| Monitor::of_other(self.core.process()))
    }

    fn shutdown(&self) {
        if !self.core.process().is_current() {
            return;
        }
        self.core
            .begin_close(Deadline::from_option(self.options.linger));
    }

    fn close(mut self, timeout: Duration) -> Result<(), CloseError> {
        if !self.core.process().is_current() {
            return Err(CloseError::forked());
        }
        self.open = false;
        self.core.begin_close(Deadline::after(timeout));
        let unsent = self.core.finish_close();
        self.core.context.socket_dropped();
        match unsent {
            0 => Ok(()),
            unsent => Err(CloseError::new(unsent as u64)),
        }
    }
}

impl<P: Pattern + 'static> Drop for Socket<P> {
    fn drop(&mut self) {
        if !self.core.process().is_current() {
            return self.core.leave_to_parent();
        }
        if !self.open {
            return;
        }
        self.shutdown();
        self.core.context.socket_dropped();
    }
}

/// An endpoint, from itself or from text.
pub(crate) fn endpoint<E>(endpoint: E) -> Result<Endpoint, EndpointError>
where
    E: TryInto<Endpoint>,
    EndpointError: From<E::Error>,
{
    Ok(endpoint.try_into()?)
}

/// Errors that say so when the socket, or its context, is closed.
macro_rules! from_shut {
    ($($error:ident),*) => {$(
        impl From<Shut> for $error {
            fn from(shut: Shut) -> Self {
                match shut {
                    Shut::Socket => $error::Closed,
                    Shut::Context => $error::ContextClosed,
                    Shut::Forked => $error::Forked,
                }
            }
        }
    )*};
}

from_shut!(
    BindError,
    ConnectError,
    UnbindError,
    SubscribeError,
    WaitError,
    SendErrorKind,
    ReplyErrorKind,
    RequestError,
    RecvError
);

fn found_or_error(found: bool, endpoint: &Endpoint) -> Result<(), UnbindError> {
    match found {
        true => Ok(()),
        false => Err(UnbindError::NotFound {
            endpoint: endpoint.to_string(),
        }),
    }
}

/// Adds up to `max` messages to a batch; `None` if there was not one.
pub(crate) fn fill(
    batch: &mut Vec<Message>,
    max: usize,
    mut recv: impl FnMut(&mut Message) -> Option<()>,
) -> Option<()> {
    let before = batch.len();
    let mut message = Message::new();
    while batch.len() - before < max && recv(&mut message).is_some() {
        batch.push(std::mem::take(&mut message));
    }
    (batch.len() > before || max == 0).then_some(())
}

pub(crate) fn recv_error(stop: Stop) -> RecvError {
    match stop {
        Stop::WouldBlock => RecvError::WouldBlock,
        Stop::TimedOut => RecvError::TimedOut,
        Stop::Shut(shut) => shut.into(),
    }
}

#[cold]
pub(crate) fn send_error(kind: SendErrorKind, message: impl Into<Message>) -> SendError {
    SendError::new(kind, message)
}

#[cold]
pub(crate) fn send_error_kind(stop: Stop) -> SendErrorKind {
    match stop {
        Stop::WouldBlock => SendErrorKind::WouldBlock,
        Stop::TimedOut => SendErrorKind::TimedOut,
        Stop::Shut(shut) => shut.into(),
    }
}

/// What every socket type has: making one, its endpoints, waiting for peers, watching and closing.
macro_rules! common {
    ($name:ident, $text:literal, $options:ident => $pattern:expr) => {
        impl $name {
            #[doc = concat!("Makes a ", $text, " socket with default options.")]
            ///
            /// # Errors
            ///
            /// The system refused a file descriptor, or the context is shut down.
            pub fn new(context: &$crate::Context) -> Result<$name, $crate::SocketError> {
                $name::with_options(context, $crate::Options::new())
            }

            #[doc = concat!("Makes a ", $text, " socket with these options.")]
            ///
            /// # Errors
            ///
            /// An option is out of its range, the system refused a file descriptor, or the context is
            /// shut down.
            pub fn with_options(
                context: &$crate::Context,
                options: $crate::Options,
            ) -> Result<$name, $crate::SocketError> {
                let make = |$options: &$crate::Options| $pattern;
                let socket = $crate::socket::Socket::new(context, options, make)?;
                Ok($name { socket })
            }

            /// Listens at an endpoint, and returns it with everything resolved: bind `tcp://127.0.0.1:*`
            /// and get the port. May be called for any number of endpoints.
            ///
            /// | endpoint | meaning |
            /// |---|---|
            /// | `tcp://127.0.0.1:5555`, `tcp://*:5555`, `tcp://eth0:*` | an address, all of them, an interface; `*` as the port takes a free one |
            /// | `ipc:///run/shop.sock`, `ipc://*`, `ipc://@shop` | a path, a temporary one, a name in Linux's abstract namespace |
            /// | `inproc://shop` | a name within the context |
            ///
            /// # Errors
            ///
            /// The endpoint is malformed, in use, not of this machine, or not permitted.
            pub fn bind<E>(&self, endpoint: E) -> Result<$crate::Endpoint, $crate::BindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.bind($crate::socket::endpoint(endpoint)?)
            }

            /// Connects to an endpoint, in the background and again and again until it succeeds; after
            /// every loss too. May be called for any number of endpoints, and before anything is bound
            /// there.
            ///
            /// A second call for the same endpoint changes nothing with PUB, SUB and REQ, for which another connection would
            /// be of no use, or repeat every message. With PUSH, PULL and REP it makes one more, which takes its turn
            /// like any other. (libzmq does the same, but makes one more with all types over inproc.)
            /// [`disconnect`](Self::disconnect) ends all of them. Endpoints are the same if they are equal as
            /// [`Endpoint`](crate::Endpoint)s; names are not looked up for that.
            ///
            /// # Errors
            ///
            /// The endpoint is malformed, or an inproc name is bound by a socket of a type that does not
            /// fit. An unreachable peer is not an error: watch [`monitor`](Self::monitor), or use
            /// [`wait_for_peers`](Self::wait_for_peers).
            pub fn connect<E>(&self, endpoint: E) -> Result<(), $crate::ConnectError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.connect($crate::socket::endpoint(endpoint)?)
            }

            /// Stops listening at an endpoint, as [`bind`](Self::bind) returned it, and closes the
            /// connections that were accepted there.
            ///
            /// # Errors
            ///
            /// Nothing is bound there.
            pub fn unbind<E>(&self, endpoint: E) -> Result<(), $crate::UnbindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.unbind(&$crate::socket::endpoint(endpoint)?)
            }

            /// Ends the connections to an endpoint, as given to [`connect`](Self::connect).
            ///
            /// # Errors
            ///
            /// There is no connection to that endpoint.
            pub fn disconnect<E>(&self, endpoint: E) -> Result<(), $crate::UnbindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.disconnect(&$crate::socket::endpoint(endpoint)?)
            }

            /// The endpoint last bound (resolved) or connected (as given). `None` in a forked child. libzmq: `ZMQ_LAST_ENDPOINT`.
            pub fn last_endpoint(&self) -> Option<$crate::Endpoint> {
                self.socket.last_endpoint()
            }

            /// Waits until at least so many peers are connected, handshake included.
            ///
            /// # Errors
            ///
            /// There were fewer when the time was up, or the socket was closed.
            pub fn wait_for_peers(
                &self,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                self.socket.wait_for_peers(count, timeout)
            }

            /// Watches what happens to the socket's connections, from now on. Any number of monitors may
            /// watch; none slows the socket down. In a forked child there is nothing to see, and receiving fails with `Forked`.
            pub fn monitor(&self) -> $crate::Monitor {
                self.socket.monitor()
            }

            /// What the socket and each of its peers have sent, received, queued and dropped so far. Nothing in a forked child, which
            /// cannot know it.
            pub fn stats(&self) -> $crate::Stats {
                self.socket.stats()
            }

            /// Begins to close the socket, from any thread: calls that wait in it end at once, and later ones fail, with
            /// `Closed`. What was sent leaves in the background, within [`linger`](crate::Options::linger), and what came and was not
            /// taken is dropped. libzmq has this for a whole context only, as [`Context::shutdown`](crate::Context::shutdown).
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), ", WaitError};")]
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let context = Context::new();
            #[doc = concat!("let socket = ", stringify!($name), "::new(&context)?;")]
            /// std::thread::scope(|scope| {
            ///     // Or one that waits in `recv`, or in `send`.
            ///     let waiting = scope.spawn(|| socket.wait_for_peers(1, std::time::Duration::MAX));
            ///     socket.shutdown();
            ///     assert_eq!(waiting.join().unwrap(), Err(WaitError::Closed));
            /// });
            /// # Ok(())
            /// # }
            /// ```
            pub fn shutdown(&self) {
                self.socket.shutdown();
            }

            /// Closes the socket, waiting for at most `timeout` until all that was sent has left and the peers have
            /// read it, inproc apart.
            ///
            /// Dropping a socket does not wait: what is queued leaves in the background, within
            /// [`linger`](crate::Options::linger). A socket in a `static` is never dropped: close it before `main` returns, or
            /// what it has queued is lost (see [`Context`](crate::Context)).
            ///
            /// # Errors
            ///
            /// Messages were left unsent; the error says how many. What has left and nobody has read is not among them. In a forked
            /// child nothing is closed, and the error says so.
            pub fn close(self, timeout: std::time::Duration) -> Result<(), $crate::CloseError> {
                self.socket.close(timeout)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("last_endpoint", &self.last_endpoint())
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use common;
