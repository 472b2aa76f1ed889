//! The SCATTER socket.

use super::Socket;
use super::common::common;
use super::sending::sending;
use crate::pattern::ScatterPattern;

/// Sends each message to one of its peers, in turn: the head of a pipeline.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// It is a [`Push`](crate::Push) whose messages have one frame: others are refused with
/// [`SendErrorKind::Multipart`](crate::SendErrorKind::Multipart).
///
/// RFC 49; libzmq: `ZMQ_SCATTER`.
///
/// ```
/// use zerohop::{Context, Gather, Scatter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let gather = Gather::new(&context)?;
/// let scatter = Scatter::new(&context)?;
/// scatter.connect(gather.bind("tcp://127.0.0.1:*")?)?;
/// scatter.send("order 1")?;
/// assert_eq!(gather.recv()?, "order 1");
/// # Ok(())
/// # }
/// ```
pub struct Scatter {
    pub(super) socket: Socket<ScatterPattern>,
}

common!(Scatter, "SCATTER", options => ScatterPattern::balanced(options));

sending!(Scatter);
