//! The CHANNEL socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use super::sending::sending;
use crate::pattern::ChannelPattern;

/// Sends to one peer and receives from it.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// It is a [`Pair`](crate::Pair) whose messages have one frame: others are refused with
/// [`SendErrorKind::Multipart`](crate::SendErrorKind::Multipart), and dropped and counted
/// ([`Dropped::unexpected`](crate::Dropped::unexpected)) if a peer sends one.
///
/// RFC 52; libzmq: `ZMQ_CHANNEL`.
///
/// ```
/// use zerohop::{Channel, Context, SendErrorKind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let ours = Channel::new(&context)?;
/// let theirs = Channel::new(&context)?;
/// theirs.connect(ours.bind("tcp://127.0.0.1:*")?)?;
///
/// theirs.send("ready")?;
/// assert_eq!(ours.recv()?, "ready");
/// ours.send("go on")?;
/// assert_eq!(theirs.recv()?, "go on");
///
/// let error = ours.send(["two", "frames"]).unwrap_err();
/// assert_eq!(error.kind(), SendErrorKind::Multipart { parts: 2 });
/// # Ok(())
/// # }
/// ```
pub struct Channel {
    pub(super) socket: Socket<ChannelPattern>,
}

common!(Channel, "CHANNEL", _options => ChannelPattern::new());

sending!(Channel);

receiving!(Channel);
