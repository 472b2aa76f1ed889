//! The CLIENT socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use super::sending::sending;
use crate::pattern::ClientPattern;

/// Sends each message to one of its [servers](crate::Server), in turn, and receives from all of them, fairly.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// - It is a [`Dealer`](crate::Dealer) whose messages have one frame: others are refused with
///   [`SendErrorKind::Multipart`](crate::SendErrorKind::Multipart), and dropped and counted
///   ([`Dropped::unexpected`](crate::Dropped::unexpected)) if a peer sends one.
/// - Nothing tells which request an answer belongs to: put a number into the message if you ask several things at once.
///
/// RFC 41; libzmq: `ZMQ_CLIENT`. For an example see [`Server`](crate::Server).
pub struct Client {
    pub(super) socket: Socket<ClientPattern>,
}

common!(Client, "CLIENT", options => ClientPattern::with_options(options));

sending!(Client);

receiving!(Client);
