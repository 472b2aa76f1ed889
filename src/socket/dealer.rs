//! The DEALER socket.

use std::sync::Arc;

use super::common::common;
use super::receiving::receiving;
use super::sending::sending;
use super::{Receipt, Socket};
use crate::engine::ContextInner;
use crate::error::{SendError, SocketError};
use crate::message::Payload;
use crate::options::Options;
use crate::pattern::{DeadLetter, DealerPattern, JobId};
use crate::spool::SpoolError;

/// Sends each message to one of its peers, in turn, and receives from all of them, fairly: a client that need not wait for one
/// answer before it asks again, or a worker that talks back.
///
/// - Sending is that of [`Push`](crate::Push): full peers are passed over, `send` waits when all are full or there is none, and
///   what a lost peer was not sent goes to its next connection or to another peer. Receiving is that of [`Pull`](crate::Pull). They
///   do not wait for each other: any number of threads may send while others receive.
/// - Messages go as they are. A REP or ROUTER answers a REQ by its envelope, so to a [`Rep`](crate::Rep) send an empty frame first,
///   and expect one before each answer. Whatever precedes the empty frame comes back as well: put a number there, and know which
///   question is answered.
/// - A ROUTER knows the socket by its [`routing_id`](crate::Options::routing_id), and not before its first message; with
///   [`probe_router`](crate::Options::probe_router) that is an empty one, sent with each new connection.
/// - With [`Options::delivery`](crate::Options::delivery) each message is held until a ROUTER has settled it, and delivered again until then: to
///   another one if the first is gone. [`recv_job`](Self::recv_job) gives what comes back as a [`Job`](crate::Job) to be settled.
///
/// RFC 28; libzmq: `ZMQ_DEALER`. There, what was queued for a peer that had connected and is gone is dropped; here it goes to another
/// peer, as with PUSH.
///
/// ```
/// use zerohop::{Context, Dealer, Rep};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let rep = Rep::new(&context)?;
/// let endpoint = rep.bind("tcp://127.0.0.1:*")?;
///
/// let dealer = Dealer::new(&context)?;
/// dealer.connect(&endpoint)?;
/// // Two questions at once, each with a number, and the empty frame behind which a REP finds them.
/// dealer.send(["1", "", "price of 42?"])?;
/// dealer.send(["2", "", "price of 43?"])?;
///
/// for answer in ["9.99", "8.50"] {
///     let request = rep.recv()?;
///     request.reply(answer)?;
/// }
/// assert_eq!(dealer.recv()?, ["1", "", "9.99"]);
/// assert_eq!(dealer.recv()?, ["2", "", "8.50"]);
/// # Ok(())
/// # }
/// ```
pub struct Dealer {
    pub(super) socket: Socket<DealerPattern>,
}

common!(Dealer, "DEALER", options => DealerPattern::with_options(options));

impl Dealer {
    /// One of the library's own.
    pub(crate) fn within(
        context: &Arc<ContextInner>,
        options: Options,
    ) -> Result<Dealer, SocketError> {
        let make = |options: &Options| Ok(DealerPattern::with_options(options));
        let socket = Socket::within(context, options, make)?;
        Ok(Dealer { socket })
    }
}

sending!(Dealer);

receiving!(Dealer);

impl Dealer {
    /// Sends a message as [`send`](Dealer::send) does, and gives a receipt that tells when a ROUTER, or another DEALER, has settled it. Without the option
    /// [`delivery`](crate::Options::delivery) it tells that nobody will.
    ///
    /// # Errors
    ///
    /// As with [`send`](Dealer::send): the message has not been sent, and the error gives it back.
    pub fn send_later(&self, message: impl Payload) -> Result<Receipt, SendError> {
        self.socket.send_later(message)
    }

    /// The same in a task: waits for room as [`send_async`](Dealer::send_async) does. Until it is ready the future has sent nothing.
    ///
    /// # Errors
    ///
    /// As with [`send`](Dealer::send): the message has not been sent, and the error gives it back.
    pub fn send_later_async(
        &self,
        message: impl Payload,
    ) -> impl Future<Output = Result<Receipt, SendError>> {
        self.socket.send_later_async(message)
    }

    /// Takes the messages that are delivered no more, of those that are to be settled ([`Options::delivery`](crate::Options::delivery)): rejected by a
    /// ROUTER, delivered too often, larger than any peer takes, or not settled in their time. The oldest is first.
    /// [So many](crate::Delivery::keep_dead_letters) are kept until they are taken, and none is once the socket is closed.
    ///
    /// With a [spool](crate::Delivery::spool) they are only read, those of earlier sockets among them: they stay in the spool until they are
    /// [removed](Dealer::remove_dead_letter) or [replayed](Dealer::replay_dead_letter). What cannot be read is left out, and logged.
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
