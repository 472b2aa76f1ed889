//! The SERVER socket.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::Socket;
use super::common::common;
use super::numbered::numbered;
use crate::pattern::NumberedPattern;
use crate::zmtp::SocketType;

/// Receives from all its [clients](crate::Client), fairly, and says from which; sends each message to the client that it names.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// - A client is known by a number other than 0, which is made up here and never goes over the wire. It names this connection of the
///   client; a client that connects again gets another. (One that this socket has connected to keeps its number through every
///   reconnect, inproc apart.)
/// - A message for a number that nobody has is given back with [`SendErrorKind::Unroutable`](crate::SendErrorKind::Unroutable). While the
///   client is at its high-water mark, `send_to` waits.
/// - Messages have one frame: others are refused with [`SendErrorKind::Multipart`](crate::SendErrorKind::Multipart), and dropped and
///   counted ([`Dropped::unexpected`](crate::Dropped::unexpected)) if a client sends one.
///
/// RFC 41; libzmq: `ZMQ_SERVER`, where the number is the routing id of a message.
///
/// ```
/// use zerohop::{Client, Context, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let server = Server::new(&context)?;
/// let client = Client::new(&context)?;
/// client.connect(server.bind("tcp://127.0.0.1:*")?)?;
///
/// client.send("price of 42?")?;
/// let incoming = server.recv()?;
/// assert_eq!(incoming.message, "price of 42?");
/// server.send_to(incoming.peer, "9.99")?;
/// assert_eq!(client.recv()?, "9.99");
/// # Ok(())
/// # }
/// ```
pub struct Server {
    pub(super) socket: Socket<NumberedPattern>,
}

common!(Server, "SERVER", _options => NumberedPattern::new(
    SocketType::Server,
    RandomState::new().build_hasher().finish() as u32,
));

numbered!(Server);
