//! The PEER socket.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::common::common;
use super::numbered::numbered;
use super::{Socket, endpoint};
use crate::error::ConnectError;
use crate::pattern::NumberedPattern;
use crate::transport::{Endpoint, EndpointError};
use crate::zmtp::SocketType;

/// Receives from all its peers, fairly, and says from which; sends each message to the peer that it names. All of them are PEERs.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// It is a [`Server`](crate::Server) whose clients are its equals, and [`connect_peer`](Self::connect_peer) tells the number of
/// the one there: it can be sent to at once, and what is sent waits for the connection.
///
/// RFC 51; libzmq: `ZMQ_PEER`.
///
/// ```
/// use zerohop::{Context, Peer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let here = Peer::new(&context)?;
/// let there = Peer::new(&context)?;
/// let number = here.connect_peer(there.bind("tcp://127.0.0.1:*")?)?;
///
/// here.send_to(number, "hello")?;
/// let incoming = there.recv()?;
/// assert_eq!(incoming.message, "hello");
/// there.send_to(incoming.peer, "hello yourself")?;
/// let answer = here.recv()?;
/// assert_eq!((answer.peer, answer.message), (number, "hello yourself".into()));
/// # Ok(())
/// # }
/// ```
pub struct Peer {
    pub(super) socket: Socket<NumberedPattern>,
}

common!(Peer, "PEER", _options => NumberedPattern::new(
    SocketType::Peer,
    RandomState::new().build_hasher().finish() as u32,
));

numbered!(Peer);

impl Peer {
    /// Connects to an endpoint, as [`connect`](Self::connect) does, and gives the number of the peer there. It keeps that through every
    /// reconnect, inproc apart.
    ///
    /// libzmq: `zmq_connect_peer`. There it fails with `ZMQ_IMMEDIATE`; here, with [`immediate`](crate::Options::immediate), what is sent to
    /// that number waits until there is a connection.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub fn connect_peer<E>(&self, endpoint: E) -> Result<u32, ConnectError>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = self::endpoint(endpoint)?;
        self.socket
            .connect_as(endpoint, None, |_, _| false, NumberedPattern::number)
    }
}
