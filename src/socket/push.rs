//! The PUSH socket.

use super::Socket;
use super::common::common;
use super::sending::sending;
use crate::pattern::{DeadLetter, JobId, PushPattern};
use crate::spool::SpoolError;

/// Sends each message to one of its peers, in turn: the head of a pipeline.
///
/// - Peers that are at their high-water mark are passed over. When all are, or when there is none, `send`
///   waits; see [`Options::send_hwm`](crate::Options::send_hwm).
/// - A message accepted by `send` is queued, on its way, or delivered. If its peer's connection breaks
///   before all of it was handed to the system, it goes to the peer's next connection or to another peer,
///   whole. What the system had taken may be lost with the connection: that is ZeroMQ's promise, too.
/// - A message that no peer takes does not hold up the others: `send` refuses it if the peers have announced what they take,
///   and otherwise it is given up after [`max_delivery_attempts`](crate::Options::max_delivery_attempts) connections have broken
///   over it.
/// - Order is kept per peer.
/// - With [`Options::delivery`](crate::Options::delivery) each message is held until a PULL has settled it, and delivered again until then.
///
/// RFC 30; libzmq: `ZMQ_PUSH`.
///
/// ```
/// use zerohop::{Context, Pull, Push};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let pull = Pull::new(&context)?;
/// let endpoint = pull.bind("tcp://127.0.0.1:*")?;
///
/// let push = Push::new(&context)?;
/// push.connect(&endpoint)?;
/// push.send("order 1")?;
/// push.send(["order 2", "two frames"])?;
///
/// assert_eq!(pull.recv()?, "order 1");
/// assert_eq!(pull.recv()?, ["order 2", "two frames"]);
/// # Ok(())
/// # }
/// ```
///
/// There is nothing to receive from a PUSH, and no way to write it down:
///
/// ```compile_fail,E0599
/// # let push = zerohop::Push::new(&zerohop::Context::new()).unwrap();
/// push.recv();
/// ```
pub struct Push {
    pub(super) socket: Socket<PushPattern>,
}

common!(Push, "PUSH", options => PushPattern::with_options(options));

sending!(Push);

impl Push {
    /// Takes the messages that are delivered no more, of those that are to be settled ([`Options::delivery`](crate::Options::delivery)): rejected by a worker,
    /// delivered too often, or larger than any worker takes. The oldest is first. [So many](crate::Delivery::keep_dead_letters) are kept until they are taken,
    /// and none is once the socket is closed.
    ///
    /// With a [spool](crate::Delivery::spool) they are only read, those of earlier sockets among them: they stay in the spool until they are
    /// [removed](Push::remove_dead_letter) or [replayed](Push::replay_dead_letter). What cannot be read is left out, and logged.
    ///
    /// For an example see [`Job`](crate::Job).
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.socket.dead_letters()
    }

    /// Delivers a dead letter of the [spool](crate::Delivery::spool) again, as if it had never been delivered.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`] if there is no such dead letter, or no spool; or what the spool fails with.
    pub fn replay_dead_letter(&self, id: JobId) -> Result<(), SpoolError> {
        self.socket.replay(id)
    }

    /// Removes a dead letter from the [spool](crate::Delivery::spool).
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`] if there is no such dead letter, or no spool; or what the spool fails with.
    pub fn remove_dead_letter(&self, id: JobId) -> Result<(), SpoolError> {
        self.socket.remove_dead(id)
    }
}
