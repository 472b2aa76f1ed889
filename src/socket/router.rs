//! The ROUTER socket.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
#[cfg(feature = "futures")]
use std::task::{Context, Poll};
use std::time::Duration;

use super::common::common;
#[cfg(feature = "futures")]
use super::futures::Unsent;
use super::handle::{RecvBy, SendBy};
use super::routing::{attempt, take};
use super::{Incoming, RecvSocket, SendSocket, Socket, endpoint, futures, send_error};
#[cfg(feature = "futures")]
use crate::engine::Key;
use crate::engine::{Net, Outgoing, Wait};
use crate::error::{ConnectError, RecvError, SendError, SendErrorKind};
use crate::message::{COPY_MAX, Message, Payload, RoutingId};
use crate::pattern::{Routed, RouterPattern};
use crate::transport::{Endpoint, EndpointError};
use crate::zmtp::PeerFacts;

/// Receives from all its peers, fairly, and says from which; sends each message to the peer that it names.
///
/// - A peer has a name, its [`RoutingId`]: the one it asks for ([`routing_id`](crate::Options::routing_id)), or one that the ROUTER makes
///   up for as long as the peer is there. A peer that asks for the name of another is refused
///   ([`PeerRefusal::RoutingIdTaken`](crate::PeerRefusal)), unless [`router_handover`](crate::Options::router_handover) is set.
/// - A message for a name that nobody has, or for a peer that is at its high-water mark, is dropped and counted, and
///   [`send_to`](Self::send_to) says so ([`Routed`]). With [`router_mandatory`](crate::Options::router_mandatory) the first is an error that
///   gives the message back, and for the second it waits.
/// - Messages queued for a peer that is gone are dropped and counted ([`Dropped::peer_gone`](crate::Dropped::peer_gone)), those for one
///   that this socket has connected to are kept for its next connection.
/// - Its peers are of the types REQ, DEALER and ROUTER. What a REQ sends begins with an envelope that ends with an empty frame, and
///   its reply has to begin with the same.
///
/// RFC 28; libzmq: `ZMQ_ROUTER`.
///
/// ```
/// use zerohop::{Context, Options, Router};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let server = Router::new(&context)?;
/// let endpoint = server.bind("tcp://127.0.0.1:*")?;
///
/// let options = Options::new().routing_id("client-1");
/// let client = Router::with_options(&context, options)?;
/// client.connect_with_routing_id(&endpoint, "server")?;
/// client.send_to("server", ["price of", "42"])?;
///
/// let incoming = server.recv()?;
/// assert_eq!(incoming.peer, "client-1");
/// assert_eq!(incoming.message, ["price of", "42"]);
/// server.send_to(&incoming.peer, "9.99")?;
/// assert_eq!(client.recv()?.message, "9.99");
/// # Ok(())
/// # }
/// ```
///
/// In the form of libzmq, where the routing id is the first frame of each message, a ROUTER is a [`RecvSocket`] and a [`SendSocket`]; so
/// code for any socket works with it, too:
///
/// ```
/// use zerohop::{RecvSocket, Router, SendSocket};
///
/// /// Sends back what comes, to whom it comes from.
/// fn echo(socket: &(impl RecvSocket + SendSocket)) -> Result<(), Box<dyn std::error::Error>> {
///     let message = socket.recv()?;
///     socket.send(message)?;
///     Ok(())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = zerohop::Context::new();
/// # let (server, client) = (Router::new(&context)?, Router::new(&context)?);
/// # client.connect_with_routing_id(server.bind("tcp://127.0.0.1:*")?, "server")?;
/// # client.send_to("server", "hello")?;
/// echo(&server)?;
/// # assert_eq!(RecvSocket::recv(&client)?, ["server", "hello"]);
/// # Ok(())
/// # }
/// ```
pub struct Router {
    pub(super) socket: Socket<RouterPattern>,
}

common!(Router, "ROUTER", options => RouterPattern::new(
    options.router_mandatory,
    options.router_handover,
    options.probe_router,
    RandomState::new().build_hasher().finish() as u32,
));

impl Router {
    /// What is known of the peer that messages for this routing id go to: its [`principal`](PeerFacts::principal) above all. `None` if there is no
    /// such peer now. A routing id that has fallen free may be another peer's when this is asked.
    pub fn facts(&self, peer: &RoutingId) -> Option<PeerFacts> {
        let facts = self
            .socket
            .core()
            .inspect(|pattern, net| pattern.facts(&net.peers, peer.as_bytes()).cloned());
        facts.ok().flatten()
    }

    /// Connects to an endpoint, as [`connect`](Self::connect) does, and gives the peer there a name, whatever it asks to be called: it can
    /// be sent to at once, and what is sent waits for the connection.
    ///
    /// libzmq: `ZMQ_CONNECT_ROUTING_ID`, which is set before the connect that it is for. If another peer has the name, libzmq ends the process.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect), and [`ConnectError::RoutingId`]: another peer has this name, or it is not 1 to 255 bytes of which the
    /// first is not 0.
    pub fn connect_with_routing_id<E>(
        &self,
        endpoint: E,
        routing_id: impl Into<RoutingId>,
    ) -> Result<(), ConnectError>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let (endpoint, id) = (self::endpoint(endpoint)?, routing_id.into());
        if !id.is_valid() {
            return Err(ConnectError::RoutingId { id });
        }
        let is_taken = |pattern: &RouterPattern, id: &RoutingId| pattern.knows(id.as_bytes());
        self.socket
            .connect_as(endpoint, Some(id), is_taken, |_, _| ())
    }

    /// The names of the peers that are connected, in no order. A peer that comes is among them once its handshake is done.
    pub fn routing_ids(&self) -> Vec<RoutingId> {
        let ids = self
            .socket
            .core()
            .inspect(|pattern, net| pattern.connected(&net.peers));
        ids.unwrap_or_default()
    }

    /// Receives the next message; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    #[inline]
    pub fn recv(&self) -> Result<Incoming, RecvError> {
        self.socket.receive(self.socket.recv_wait())
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    #[inline]
    pub fn try_recv(&self) -> Result<Incoming, RecvError> {
        self.socket.receive(Wait::Not)
    }

    /// Receives the next message, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Incoming, RecvError> {
        self.socket.receive(Wait::AtMost(timeout))
    }

    /// Receives the next message, in a task, and waits without end. It can be dropped at any time, as
    /// [`Pull::recv_async`](crate::Pull::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_async(&self) -> impl Future<Output = Result<Incoming, RecvError>> + Send {
        self.socket.receive_in_task()
    }

    /// Receives at least one message, and as many more as are here already, up to `max`. Waits for the first like
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_batch(&self, max: usize) -> Result<Vec<Incoming>, RecvError> {
        self.socket.receive_batch(max, self.socket.recv_wait())
    }

    /// Sends a message to the peer with this routing id. With [`router_mandatory`](crate::Options::router_mandatory) it waits while that peer is
    /// at its high-water mark, at most for [`send_timeout`](crate::Options::send_timeout); otherwise it never waits.
    ///
    /// # Errors
    ///
    /// Closed, or [larger than the peer takes](SendErrorKind::TooLarge); with `router_mandatory` also timed out, or
    /// [no peer has the routing id](SendErrorKind::Unroutable). The error gives the message back.
    #[inline]
    pub fn send_to(
        &self,
        peer: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> Result<Routed, SendError> {
        self.socket
            .send_to(peer.as_ref(), message, self.socket.send_wait())
    }

    /// Sends a message to the peer with this routing id if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), and where it would wait.
    #[inline]
    pub fn try_send_to(
        &self,
        peer: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> Result<Routed, SendError> {
        self.socket.send_to(peer.as_ref(), message, Wait::Not)
    }

    /// Sends a message to the peer with this routing id, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub fn send_to_timeout(
        &self,
        peer: impl AsRef<[u8]>,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Routed, SendError> {
        self.socket
            .send_to(peer.as_ref(), message, Wait::AtMost(timeout))
    }

    /// Sends a message to the peer with this routing id, in a task. With [`router_mandatory`](crate::Options::router_mandatory) it waits
    /// without end while that peer is at its high-water mark; otherwise it is ready at once. It can be dropped at any time, as
    /// [`Push::send_async`](crate::Push::send_async).
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), but for time.
    pub fn send_to_async<M: Payload>(
        &self,
        peer: impl AsRef<[u8]>,
        message: M,
    ) -> impl Future<Output = Result<Routed, SendError>> {
        futures::send(
            self.socket.core(),
            message,
            move |pattern, net, outgoing| attempt(pattern, net, peer.as_ref(), outgoing),
        )
    }
}

/// The routing id that a message in libzmq's form begins with, and what it leaves. `None`: that is nothing.
fn opened(message: &Message) -> Option<(&[u8], Outgoing<'_>)> {
    let body = message.get(1)?;
    // Short enough to be copied in any case, and so it can take the short way.
    let outgoing = match message.parts() == 2 && body.len() < COPY_MAX {
        true => Outgoing::Slice(body),
        false => Outgoing::Rest(message),
    };
    Some((message.first(), outgoing))
}

/// One attempt to send a message in libzmq's form.
fn attempt_enveloped(
    pattern: &mut RouterPattern,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<Routed, SendErrorKind>> {
    let opened = match outgoing {
        Outgoing::Message(message) => opened(message),
        // It is one frame; the last two are not what it is given.
        Outgoing::Slice(_) | Outgoing::Rest(_) | Outgoing::Enveloped(_) => None,
    };
    match opened {
        Some((peer, outgoing)) => attempt(pattern, net, peer, outgoing),
        None => Some(Err(SendErrorKind::NoBody)),
    }
}

/// In libzmq's form: the first frame is the routing id of the peer, and the message follows.
impl SendSocket for Router {
    type Sent = Routed;
}

/// In libzmq's form: the first frame is the routing id of the peer, and the message follows.
impl RecvSocket for Router {}

impl SendBy for Router {
    type Receipt = Routed;

    fn send_unless(
        &self,
        message: &Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        match opened(message) {
            Some((peer, outgoing)) => self.socket.route_unless(peer, outgoing, wait, halted),
            None => Err(SendErrorKind::NoBody),
        }
    }

    fn send_by(&self, message: impl Payload, wait: Wait) -> Result<Routed, SendError> {
        let message = message.into_message();
        let routed = match opened(&message) {
            Some((peer, outgoing)) => self.socket.route(peer, outgoing, wait),
            None => Err(SendErrorKind::NoBody),
        };
        routed.map_err(|kind| send_error(kind, message))
    }

    fn send_in_task<M: Payload + Send>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Routed, SendError>> + Send {
        futures::send(
            self.socket.core(),
            message.into_message(),
            attempt_enveloped,
        )
    }

    #[cfg(feature = "futures")]
    fn poll_send<M: Payload>(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
        message: &mut Unsent<M>,
    ) -> Poll<Result<Routed, SendError>> {
        futures::poll_send(
            self.socket.core(),
            context,
            waits,
            message,
            attempt_enveloped,
        )
    }
}

impl RecvBy for Router {
    fn recv_unless(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError> {
        match self.socket.receive_unless(wait, halted)? {
            Some(incoming) => *message = incoming.into_enveloped(),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn recv_by(&self, wait: Wait) -> Result<Message, RecvError> {
        self.socket.receive(wait).map(Incoming::into_enveloped)
    }

    fn recv_into_by(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        *message = self.recv_by(wait)?;
        Ok(())
    }

    fn recv_batch_by(&self, max: usize, wait: Wait) -> Result<Vec<Message>, RecvError> {
        let batch = self.socket.receive_batch(max, wait)?;
        Ok(batch.into_iter().map(Incoming::into_enveloped).collect())
    }

    fn recv_in_task(&self) -> impl Future<Output = Result<Message, RecvError>> + Send {
        futures::receive(self.socket.core(), |pattern, net| {
            take(pattern, net).map(Incoming::into_enveloped)
        })
    }

    #[cfg(feature = "futures")]
    fn poll_recv(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
    ) -> Poll<Result<Message, RecvError>> {
        futures::poll_receive(self.socket.core(), context, waits, |pattern, net| {
            take(pattern, net).map(Incoming::into_enveloped)
        })
    }
}
