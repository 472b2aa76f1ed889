//! The sockets: typed handles over a [`Core`].
//!
//! A socket type is a file here: its own calls, and lines such as `common!` and `sending!` that give it what it has in common with
//! others. What these do is in generic code over [`Socket`]. The macros write the calls of the type itself, which say in its own words
//! what they do and need no trait in scope; the public traits are written once, over what `handle.rs` says of a handle.

mod addressed;
mod asking;
mod channel;
mod client;
mod common;
mod configure;
mod cursor;
mod dealer;
mod dish;
mod futures;
mod gather;
mod giving_way;
mod handle;
mod job;
mod log;
mod logged;
mod numbered;
mod pair;
mod peer;
mod publisher;
mod publishing;
mod pull;
mod push;
mod radio;
mod ready;
mod receipt;
mod receiving;
mod relaying;
mod rep;
mod req;
mod router;
mod routing;
mod scatter;
mod sending;
mod server;
mod stored;
mod stream;
#[cfg(feature = "futures")]
mod streams;
mod sub;
mod traits;
#[cfg(any(feature = "json", feature = "msgpack"))]
mod values;
mod with_origin;
mod xpub;
mod xsub;

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use channel::Channel;
pub use client::Client;
pub use dealer::Dealer;
pub use dish::{Dish, GroupMessage};
pub use gather::Gather;
pub use job::{IncomingJob, Job};
pub use logged::{Gap, Logged, ReplayFrom};
pub use pair::Pair;
pub use peer::Peer;
pub use publisher::Pub;
pub use pull::Pull;
pub use push::Push;
pub use radio::Radio;
pub use ready::{PollRecv, PollSend, ReadyFd};
pub use receipt::Receipt;
pub use receiving::Iter;
pub use rep::{Rep, Request};
pub use req::{Ask, Req, Retry};
pub use router::Router;
pub use routing::Incoming;
pub use scatter::Scatter;
pub use server::Server;
pub use stream::Stream;
#[cfg(feature = "futures")]
pub use streams::{RecvStream, SendSink};
pub use sub::Sub;
pub use traits::{AnySocket, RecvSocket, SendSocket};
pub use xpub::Xpub;
pub use xsub::Xsub;

use configure::TimeLimit;
use stored::SocketSpool;

use crate::context::Context;

use crate::engine::{ContextInner, Core, Deadline, PeerId, Shut, Stop, Turn};
use crate::error::{
    CloseError, ConnectError, GroupError, ReconfigureError, RecvError, ReplyErrorKind,
    RequestError, SendError, SendErrorKind, Shortage, SocketError, SubscribeError, UnbindError,
    WaitError,
};
use crate::message::{Message, RoutingId};
use crate::monitor::{IoFailure, Monitor};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::spool::SpoolError;
use crate::stats::Stats;
use crate::transport::{Address, BindError, Endpoint, EndpointError, Listener};

/// What all socket types are made of: a core that is closed when its handle is dropped.
pub(crate) struct Socket<P: Pattern + 'static> {
    core: Arc<Core<P>>,
    /// Those that it was made with, of which a forked child knows no others.
    first_options: Arc<Options>,
    /// Of those that hold now: for calls, which take no lock for that.
    send_timeout: TimeLimit,
    recv_timeout: TimeLimit,
    linger: TimeLimit,
    /// Where messages are kept until they are settled.
    spool: Option<Arc<SocketSpool>>,
    open: bool,
    /// What a type has besides, dropped after the socket has begun to close.
    beside: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// Setting up is not inlined into the application's functions: the loops there that send and receive need the registers.
impl<P: Pattern + 'static> Socket<P> {
    #[inline(never)]
    pub(crate) fn new(
        context: &Context,
        options: Options,
        make: impl FnOnce(&Options) -> Result<P, SocketError>,
    ) -> Result<Self, SocketError> {
        Socket::within(context.inner(), options, make)
    }

    /// The same for a socket of the library's own, which holds no handle of the context.
    pub(crate) fn within(
        inner: &Arc<ContextInner>,
        options: Options,
        make: impl FnOnce(&Options) -> Result<P, SocketError>,
    ) -> Result<Self, SocketError> {
        options.validate().map_err(SocketError::Option)?;
        if !inner.process.is_current() {
            return Err(SocketError::Forked);
        }
        if inner.is_shut_down() {
            return Err(SocketError::ContextClosed);
        }
        let mut pattern = make(&options)?;
        if pattern.is_raw() {
            let unsecured = options.check_unsecured(pattern.socket_type());
            unsecured.map_err(SocketError::Option)?;
        }
        let checked = options.check_delivery_for(pattern.socket_type());
        checked.map_err(SocketError::Option)?;
        let spool = match options.spool_for(pattern.socket_type()) {
            Some(settings) => Some(SocketSpool::open(settings, &mut pattern)?),
            None => None,
        };
        Socket::assemble(inner, options, pattern, spool)
    }

    fn assemble(
        inner: &Arc<ContextInner>,
        options: Options,
        pattern: P,
        spool: Option<Arc<SocketSpool>>,
    ) -> Result<Self, SocketError> {
        let options = inner.alike.options.share(options);
        let core = Core::new(inner, Arc::clone(&options), pattern).map_err(SocketError::Io)?;
        let socket = Socket {
            core,
            send_timeout: TimeLimit::new(options.send_timeout),
            recv_timeout: TimeLimit::new(options.recv_timeout),
            linger: TimeLimit::new(options.linger),
            first_options: options,
            spool,
            open: true,
            beside: OnceLock::new(),
        };
        if let Some(spool) = &socket.spool {
            spool.start(&socket.core).map_err(SocketError::Io)?;
        }
        Ok(socket)
    }

    pub(crate) fn core(&self) -> &Arc<Core<P>> {
        &self.core
    }

    pub(crate) fn options(&self) -> Arc<Options> {
        let now = self.core.inspect(|_, net| Arc::clone(net.options()));
        now.unwrap_or_else(|_| Arc::clone(&self.first_options))
    }

    fn spool(&self) -> Option<&Arc<SocketSpool>> {
        self.spool.as_ref()
    }

    #[inline(never)]
    fn bind(&self, endpoint: Endpoint) -> Result<Endpoint, BindError> {
        endpoint.check_bind()?;
        self.check_transport(&endpoint)??;
        if let Address::Inproc(name) = endpoint.address() {
            return self.bind_inproc(&endpoint, name);
        }
        // Looks names up, so before any lock.
        let stream_options = self.core.inspect(|_, net| net.stream_options())?;
        let listener = Listener::bind(&endpoint, &stream_options).inspect_err(|error| {
            let _ = self
                .core
                .inspect(|_, net| net.bind_failed(&endpoint, error));
        })?;
        self.listen(&endpoint, listener)
    }

    #[inline(never)]
    fn bind_listener(&self, descriptor: OwnedFd) -> Result<Endpoint, BindError> {
        let stream_options = self.core.inspect(|_, net| net.stream_options())?;
        let listener = Listener::adopt(descriptor, &stream_options)?;
        self.check_transport(listener.endpoint())??;
        self.listen(&listener.endpoint().clone(), listener)
    }

    /// Where no ZMTP is spoken, there is only tcp.
    fn check_transport(&self, endpoint: &Endpoint) -> Result<Result<(), EndpointError>, Shut> {
        let raw = self.core.inspect(|pattern, _| pattern.is_raw())?;
        Ok(if raw { endpoint.check_tcp() } else { Ok(()) })
    }

    fn listen(&self, asked: &Endpoint, listener: Listener) -> Result<Endpoint, BindError> {
        let bound = listener.endpoint().clone();
        let listened = self.core.extend(|_, net| {
            // The options may have been set anew while the endpoint was bound.
            if listener.is_reachable() && net.stream_options().loopback_only {
                let endpoint = asked.clone();
                let error = BindError::Insecure { endpoint };
                net.bind_failed(asked, &error);
                return Err(error);
            }
            net.warn_of_clear_text(&bound);
            net.listen(listener)
                .map_err(|error| BindError::from_io(asked, error))
        });
        match listened {
            Ok(Ok(listened)) => listened.map(|()| bound),
            Ok(Err(error)) => Err(BindError::from_io(asked, error)),
            Err(shut) => Err(shut.into()),
        }
    }

    fn bind_inproc(&self, endpoint: &Endpoint, name: &str) -> Result<Endpoint, BindError> {
        let bound = self.core.extend(|_, net| net.bind_inproc(name, endpoint))?;
        let bound = bound.map_err(|error| BindError::from_io(endpoint, error))?;
        match bound {
            true => Ok(endpoint.clone()),
            false => Err(BindError::AddrInUse {
                endpoint: endpoint.clone(),
            }),
        }
    }

    fn connect(&self, endpoint: Endpoint) -> Result<(), ConnectError> {
        self.connect_as(endpoint, None, |_, _| false, |_, _| ())
    }

    /// Connects to an endpoint and gives the peer there a name, unless that `is_taken`. Then asks the pattern something about it.
    #[inline(never)]
    fn connect_as<T>(
        &self,
        endpoint: Endpoint,
        name: Option<RoutingId>,
        is_taken: impl FnOnce(&P, &RoutingId) -> bool,
        ask: impl FnOnce(&mut P, PeerId) -> T,
    ) -> Result<T, ConnectError> {
        endpoint.check_connect()?;
        self.check_transport(&endpoint)??;
        let connected = self.core.extend(|pattern, net| {
            if let Some(id) = name.as_ref().filter(|name| is_taken(pattern, name)) {
                return Err(ConnectError::RoutingId { id: id.clone() });
            }
            let id = if let Address::Inproc(inproc_name) = endpoint.address() {
                let connected = Turn::begin(net, pattern).connect_inproc(inproc_name, name);
                let id = connected.map_err(|theirs| ConnectError::Incompatible {
                    ours: pattern.socket_type(),
                    theirs,
                })?;
                net.set_last_endpoint(endpoint.into());
                id
            } else {
                net.warn_of_clear_text(&endpoint);
                let endpoint = Arc::new(endpoint);
                net.set_last_endpoint(Arc::clone(&endpoint));
                Turn::begin(net, pattern).connect(endpoint, name)
            };
            Ok(ask(pattern, id))
        })?;
        connected.map_err(|error| ConnectError::Io(IoFailure::from(&error)))?
    }

    fn unbind(&self, endpoint: &Endpoint) -> Result<(), UnbindError> {
        let found = self
            .core
            .change(|pattern, net| Turn::begin(net, pattern).unbind(endpoint))?;
        found_or_error(found, endpoint)
    }

    fn disconnect(&self, endpoint: &Endpoint) -> Result<(), UnbindError> {
        let found = self
            .core
            .change(|pattern, net| Turn::begin(net, pattern).disconnect(endpoint))?;
        found_or_error(found, endpoint)
    }

    fn last_endpoint(&self) -> Option<Endpoint> {
        let last = self.core.inspect(|_, net| net.last_endpoint());
        last.ok().flatten()
    }

    /// What a getter counts; nothing in a forked child, which cannot know it.
    fn count(&self, count: impl FnOnce(&P) -> usize) -> usize {
        let counted = self.core.inspect(|pattern, _| count(pattern));
        counted.unwrap_or_default()
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

    fn stats(&self) -> Stats {
        let stats = self.core.inspect(|pattern, net| net.stats(pattern));
        stats.unwrap_or_default()
    }

    fn monitor(&self) -> Monitor {
        let monitor = self.core.inspect(|_, net| net.monitor());
        monitor.unwrap_or_else(|_| Monitor::of_other(self.core.process()))
    }

    fn shutdown(&self) {
        if !self.core.process().is_current() {
            return;
        }
        self.core.begin_close(Deadline::from(self.linger.get()));
    }

    fn close(mut self, timeout: Duration) -> Result<(), CloseError> {
        if !self.core.process().is_current() {
            return Err(CloseError::forked());
        }
        self.open = false;
        self.core.begin_close(Deadline::after(timeout));
        let unsent = self.core.finish_close();
        if let Some(spool) = &self.spool {
            spool.wait_for_end();
        }
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
        if self.open {
            if let Some(spool) = &self.spool {
                spool.linger(&self.core.context);
            }
            self.shutdown();
            self.core.context.socket_dropped();
        }
        // It may look at the core once more.
        drop(self.beside.take());
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
    GroupError,
    WaitError,
    ReconfigureError,
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
pub(crate) fn send_error(refused: impl Into<Refused>, message: impl Into<Message>) -> SendError {
    let Refused {
        kind,
        shortage,
        spool,
    } = refused.into();
    SendError::new(kind, message)
        .for_want_of(shortage)
        .because_of(spool)
}

/// Why a message was not sent, before the message is put to it.
pub(crate) struct Refused {
    pub(crate) kind: SendErrorKind,
    pub(crate) shortage: Shortage,
    pub(crate) spool: Option<Box<SpoolError>>,
}

impl Refused {
    pub(crate) fn new(kind: SendErrorKind, shortage: Shortage) -> Refused {
        Refused {
            kind,
            shortage,
            spool: None,
        }
    }
}

impl From<SendErrorKind> for Refused {
    fn from(kind: SendErrorKind) -> Refused {
        Refused::new(kind, Shortage::default())
    }
}

impl From<SpoolError> for Refused {
    fn from(error: SpoolError) -> Refused {
        Refused {
            kind: SendErrorKind::from(&error),
            shortage: Shortage::default(),
            spool: Some(Box::new(error)),
        }
    }
}

#[cold]
pub(crate) fn send_error_kind(stop: Stop) -> SendErrorKind {
    match stop {
        Stop::WouldBlock => SendErrorKind::WouldBlock,
        Stop::TimedOut => SendErrorKind::TimedOut,
        Stop::Shut(shut) => shut.into(),
    }
}
