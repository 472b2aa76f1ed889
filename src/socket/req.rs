//! The REQ socket.

mod ask;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

pub use ask::{Ask, Retry};

use super::common::common;
use super::{Refused, Socket, send_error, send_error_kind};
use crate::engine::{Core, Deadline, Net, Outgoing, Peers, Stop, Turn};
use crate::error::{RequestError, SendErrorKind, Shortage};
use crate::message::{Message, Payload};
use crate::pattern::{Outcome, Pattern, Refusal, ReqPattern, Ticket};

/// Asks its peers, in turn, and gets the reply.
///
/// - Each request carries an id, so several threads may ask at once over one socket, and a late reply is
///   never taken for another's.
/// - A request that timed out, or whose peer has gone, does not stand in the way of the next. (For
///   libzmq's original behaviour switch [`req_relaxed`](crate::Options::req_relaxed) and
///   [`req_correlate`](crate::Options::req_correlate) off.)
/// - A request whose caller stops waiting before it has left is taken back: a server that comes later does not get it, and
///   [`close`](Self::close) does not wait for it. [`Dropped::withdrawn`](crate::Dropped::withdrawn) counts it. What has left may
///   be carried out.
/// - A request is sent once. If the connection breaks after it has left, `request` says so: only the
///   caller knows whether asking twice is safe, and can ask for that: for one request ([`ask`](Self::ask)), or for all
///   ([`idempotent`](crate::Options::idempotent)), which spares each server to do the same work twice.
///
/// RFC 28; libzmq: `ZMQ_REQ`.
///
/// ```
/// use std::thread;
/// use zerohop::{Context, Rep, Req};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let rep = Rep::new(&context)?;
/// let endpoint = rep.bind("tcp://127.0.0.1:*")?;
/// let server = thread::spawn(move || {
///     let request = rep.recv().unwrap();
///     assert_eq!(*request.message(), "price of 42?");
///     request.reply("9.99").unwrap();
///     rep
/// });
///
/// let req = Req::new(&context)?;
/// req.connect(&endpoint)?;
/// assert_eq!(req.request("price of 42?")?, "9.99");
/// # drop(server.join());
/// # Ok(())
/// # }
/// ```
pub struct Req {
    pub(super) socket: Socket<ReqPattern>,
}

common!(Req, "REQ", options => ReqPattern::with_options(
    options,
    RandomState::new().build_hasher().finish() as u32,
));

impl Req {
    /// Sends a request and waits for its reply. Waits without end, unless
    /// [`send_timeout`](crate::Options::send_timeout) or
    /// [`recv_timeout`](crate::Options::recv_timeout) is set.
    ///
    /// # Errors
    ///
    /// The request was not sent, and the error gives it back: there was no room, or it had not left when the time was up or
    /// the socket was shut down. Or it was sent, and no reply came in time, the connection broke in between, or the peer does not
    /// take a request that large.
    pub fn request(&self, message: impl Payload) -> Result<Message, RequestError> {
        let send = Deadline::from(self.socket.send_timeout.get());
        self.exchange(message, send, None)
    }

    /// Sends a request and waits for its reply, for at most `timeout` in all.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::{Context, Req, RequestError, SendErrorKind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// let req = Req::new(&context)?;
    /// // Nobody listens there, so the request can't leave.
    /// req.connect("ipc://@nobody-is-here")?;
    /// match req.request_timeout("price of 42?", Duration::from_millis(20)) {
    ///     Err(RequestError::Send(error)) if error.kind() == SendErrorKind::TimedOut => {
    ///         // It is certain that nobody has got it, nor will.
    ///         assert_eq!(error.into_message(), "price of 42?");
    ///     }
    ///     Err(RequestError::TimedOut) => unreachable!("it has left, and may have been carried out"),
    ///     other => drop(other?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let deadline = Deadline::after(timeout);
        self.exchange(message, deadline, Some(deadline))
    }

    /// Without a deadline for it, the reply has the time of the option from the moment the request is accepted.
    fn exchange<M: Payload>(
        &self,
        message: M,
        send: Deadline,
        recv: Option<Deadline>,
    ) -> Result<Message, RequestError> {
        // The message is kept until the end: it comes back if it has not left by then.
        if let Some(slice) = message.as_single() {
            return match self.exchange_outgoing(Outgoing::Slice(slice), send, recv) {
                Ok(reply) => Ok(reply),
                Err(failure) => Err(failure.with(message)),
            };
        }
        let message = message.into_message();
        self.exchange_outgoing(Outgoing::Message(&message), send, recv)
            .map_err(|failure| failure.with(message))
    }

    fn exchange_outgoing(
        &self,
        outgoing: Outgoing<'_>,
        send: Deadline,
        recv: Option<Deadline>,
    ) -> Result<Message, Failure> {
        let ticket = self.send_request(outgoing, send).map_err(Failure::Unsent)?;
        let recv = recv.unwrap_or_else(|| Deadline::from(self.socket.recv_timeout.get()));
        self.reply(ticket, recv)
    }

    fn send_request(&self, outgoing: Outgoing<'_>, deadline: Deadline) -> Result<Ticket, Refused> {
        let mut shortage = Shortage::default();
        let asked = self.socket.core().until(deadline, |pattern, net| {
            let asked = try_ask(pattern, net, outgoing);
            if asked.is_none() {
                shortage = net.shortage();
            }
            asked
        });
        asked
            .map_err(send_error_kind)
            .and_then(|asked| asked)
            .map_err(|kind| Refused::new(kind, shortage))
    }

    fn reply(&self, ticket: Ticket, deadline: Deadline) -> Result<Message, Failure> {
        let core = self.socket.core();
        let outcome = core.until(deadline, |pattern, net| outcome(pattern, net, ticket));
        match outcome {
            Ok(outcome) => reply_of(outcome).map_err(Failure::Sent),
            Err(stop) => Err(give_up(core, ticket, stop)),
        }
    }
}

/// Sends a request if that needs no waiting.
pub(super) fn try_ask(
    pattern: &mut ReqPattern,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<Ticket, SendErrorKind>> {
    let ticket = match pattern.send(&mut net.peers, outgoing) {
        Ok(ticket) => ticket,
        Err(refusal) => match try_alone(pattern, net, outgoing, refusal) {
            Ok(ticket) => ticket,
            Err(kind) => return kind.map(Err),
        },
    };
    Some(Ok(sent(pattern, net, outgoing, ticket)))
}

/// Sends a request that was refused, if that was because requests go one at a time. `Err(None)`: it can be sent later.
#[cold]
#[inline(never)]
fn try_alone(
    pattern: &mut ReqPattern,
    net: &mut Net,
    outgoing: Outgoing<'_>,
    refusal: Refusal,
) -> Result<Ticket, Option<SendErrorKind>> {
    let asked = match refusal {
        Refusal::Alone => ask_alone(pattern, net, |pattern, peers| {
            pattern.send_alone(peers, outgoing)
        }),
        refusal => Err(refusal),
    };
    asked.map_err(|refusal| match refusal {
        Refusal::NotNow | Refusal::Alone => None,
        Refusal::OutOfTurn => Some(SendErrorKind::OutOfTurn),
        Refusal::TooLarge(excess) => Some(excess.into()),
    })
}

/// Sends a request where there is one at a time, as `send` does. Whatever has arrived by then is no reply to it, also where it is
/// still with the system; and in strict mode a late reply that is there no longer stands in its way.
#[cold]
pub(super) fn ask_alone(
    pattern: &mut ReqPattern,
    net: &mut Net,
    send: impl FnOnce(&mut ReqPattern, &mut Peers) -> Result<Ticket, Refusal>,
) -> Result<Ticket, Refusal> {
    if !pattern.is_waited_for() {
        let late = pattern.late_peer();
        let mut turn = Turn::begin(net, pattern);
        // A peer of this process has a request as soon as that is queued, and may answer at once.
        turn.take_in_within();
        late.into_iter().for_each(|peer| turn.take_in(peer));
    }
    let ticket = send(pattern, &mut net.peers)?;
    if pattern.asks_one_at_a_time()
        && let Some(peer) = pattern.peer_of(ticket)
    {
        Turn::begin(net, pattern).take_in(peer);
    }
    pattern.listen(&mut net.peers, ticket);
    Ok(ticket)
}

/// Has a request that is queued written. Whoever asks waits for the answer: there is no stream to gather for.
fn sent(pattern: &mut ReqPattern, net: &mut Net, outgoing: Outgoing<'_>, ticket: Ticket) -> Ticket {
    net.pause();
    net.pace(pattern, outgoing, true);
    if net.arm_delivery(pattern.deadline()) {
        net.peers.prompt();
    }
    ticket
}

/// How a request has ended, if it has. If another one can be sent only now, whoever waits for that is told.
pub(super) fn outcome(pattern: &mut ReqPattern, net: &mut Net, ticket: Ticket) -> Option<Outcome> {
    let outcome = pattern.outcome(&mut net.peers, ticket)?;
    if pattern.asks_one_at_a_time() {
        net.note_other_change();
    }
    Some(outcome)
}

pub(super) fn reply_of(outcome: Outcome) -> Result<Message, RequestError> {
    match outcome {
        Outcome::Reply(message) => Ok(message),
        Outcome::PeerGone => Err(RequestError::PeerGone),
        Outcome::Refused { size, cause } => Err(RequestError::Refused { size, cause }),
    }
}

/// Nobody waits for the reply any more.
pub(super) fn give_up(core: &Core<ReqPattern>, ticket: Ticket, stop: Stop) -> Failure {
    let mut taken_back = None;
    core.give_up(|pattern, net| {
        if pattern.cancel(&mut net.peers, ticket) {
            taken_back = Some(net.shortage());
        }
    });
    if let Some(shortage) = taken_back {
        let kind = send_error_kind(stop);
        return Failure::Unsent(Refused::new(kind, shortage));
    }
    Failure::Sent(match stop {
        Stop::WouldBlock | Stop::TimedOut => RequestError::TimedOut,
        Stop::Shut(shut) => shut.into(),
    })
}

/// Why there is no reply, before the message is put to it.
pub(super) enum Failure {
    /// The request is still here, and nowhere else.
    Unsent(Refused),
    Sent(RequestError),
}

impl Failure {
    pub(super) fn with(self, message: impl Into<Message>) -> RequestError {
        match self {
            Failure::Unsent(refused) => RequestError::Send(send_error(refused, message)),
            Failure::Sent(error) => error,
        }
    }
}
