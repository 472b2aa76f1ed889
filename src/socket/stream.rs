//! The STREAM socket.

#[cfg(feature = "futures")]
use std::task::{Context, Poll};
use std::time::Duration;

use super::addressed::{addressed, attempt_enveloped, opened};
use super::common::common;
#[cfg(feature = "futures")]
use super::futures::Unsent;
use super::handle::{RecvBy, SendBy};
use super::router::first_number;
use super::routing::{attempt, take};
use super::{Incoming, RecvSocket, SendSocket, Socket, endpoint, futures, send_error};
#[cfg(feature = "futures")]
use crate::engine::Key;
use crate::engine::Wait;
use crate::error::{ConnectError, RecvError, SendError, SendErrorKind};
use crate::message::{Message, Payload, RoutingId};
use crate::pattern::{Routed, RouterPattern};
use crate::transport::{Endpoint, EndpointError};
use crate::zmtp::PeerFacts;

/// Talks TCP to peers that speak no ZMTP, such as browsers and scripts: bytes come and go as they are.
///
/// - Each connection is a peer and has a name, its [`RoutingId`], which is made up here, or given by
///   [`connect_with_routing_id`](Self::connect_with_routing_id).
/// - What is received is what a read brought, up to 8 KiB: where a piece ends means nothing. An empty message says that the connection begins,
///   and another that it has ended ([`stream_notify`](crate::Options::stream_notify)), behind all that has come by it. A peer that shuts down
///   its side has ended it.
/// - [`send_to`](Self::send_to) queues bytes; the frames of a message leave one behind the other. At
///   [`send_hwm`](crate::Options::send_hwm) messages it waits, and at [`recv_hwm`](crate::Options::recv_hwm) pieces that nobody has taken
///   a peer is not read from, and so held up by TCP.
/// - An **empty message** ends a connection, as soon as all that was sent before has left, and within [`linger`](crate::Options::linger). From then on
///   its name is nobody's, nothing of it is received any more, not even its end, and one that was connected to is not connected again. (libzmq
///   drops what has not left.)
/// - A connection that we have made and that breaks is made again, with the same name. What was queued for the one that broke
///   is dropped and counted, and nothing is taken for the next one before it is there.
/// - Over `tcp` only: [`EndpointError::TcpOnly`].
///
/// **There is no security**: whoever reaches the port is a peer, and may say what it likes; nothing is encrypted. Options for that are
/// refused, and `bind` refuses an address that is not one of the loopback interface, unless
/// [`insecure`](crate::Options::insecure) is set. Who may have how many connections is limited as for all types
/// ([`max_connections_per_address`](crate::Options::max_connections_per_address)).
///
/// libzmq: `ZMQ_STREAM`.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use zerohop::{Context, Stream};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Stream::new(&Context::new())?;
/// let endpoint = server.bind("tcp://127.0.0.1:*")?.to_string();
/// let mut client = TcpStream::connect(endpoint.trim_start_matches("tcp://"))?;
/// client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
///
/// assert_eq!(server.recv()?.message, "");
/// let request = server.recv()?;
/// assert!(request.message.first().starts_with(b"GET / "));
/// server.send_to(&request.peer, "HTTP/1.0 200 OK\r\n\r\nhello")?;
/// server.send_to(&request.peer, "")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.ends_with("\r\n\r\nhello"));
/// # Ok(())
/// # }
/// ```
pub struct Stream {
    pub(super) socket: Socket<RouterPattern>,
}

common!(Stream, "STREAM", _options => RouterPattern::stream(first_number()));

addressed!(
    Stream,
    waits: "It waits while that peer is at its high-water mark, at most for [`send_timeout`](crate::Options::send_timeout). An empty message
ends the connection.",
    errors: "Closed, timed out, or [no connection has the routing id](SendErrorKind::Unroutable)."
);
