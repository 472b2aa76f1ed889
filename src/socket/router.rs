//! The ROUTER socket.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
#[cfg(feature = "futures")]
use std::task::{Context, Poll};
use std::time::Duration;

use super::addressed::{addressed, attempt_enveloped, opened};
use super::common::common;
#[cfg(feature = "futures")]
use super::futures::Unsent;
use super::handle::{RecvBy, SendBy};
use super::routing::{attempt, take};
use super::{Incoming, RecvSocket, SendSocket, Socket, endpoint, futures, send_error};
#[cfg(feature = "futures")]
use crate::engine::Key;
use crate::engine::Wait;
use crate::error::{ConnectError, RecvError, SendError, SendErrorKind};
use crate::message::{Message, Payload, RoutingId};
use crate::pattern::{DeadLetter, Routed, RouterPattern};
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
/// - With [`Options::delivery`](crate::Options::delivery), [`recv_job`](Self::recv_job) gives each message of a DEALER as a [`Job`](crate::Job) to be
///   settled, with the name of its peer. What is sent is held until its peer has settled it: a peer that is away may be back for it within the
///   [grace](crate::Delivery::grace), and then it is a [dead letter](Self::dead_letters). Nothing is dropped: `send_to` does as with `router_mandatory`.
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

common!(Router, "ROUTER", options => RouterPattern::with_options(options, first_number()));

addressed!(
    Router,
    waits: "With [`router_mandatory`](crate::Options::router_mandatory) or [`delivery`](crate::Options::delivery) it waits while that peer is at its high-water mark, at most for
[`send_timeout`](crate::Options::send_timeout); otherwise it never waits.",
    errors: "Closed, or [larger than the peer takes](SendErrorKind::TooLarge); with `router_mandatory` or `delivery` also timed out, or
[no peer has the routing id](SendErrorKind::Unroutable)."
);

impl Router {
    /// Takes the messages that are delivered no more, of those that are to be settled ([`Options::delivery`](crate::Options::delivery)): for a
    /// [peer](DeadLetter::peer) that is gone, rejected by it, delivered too often, or not settled in their time. The oldest is first.
    /// [So many](crate::Delivery::keep_dead_letters) are kept until they are taken, and none is once the socket is closed.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.socket.take_dead()
    }
}

/// Where the numbers of routing ids begin that are made up.
pub(super) fn first_number() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}
