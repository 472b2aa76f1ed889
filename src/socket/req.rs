//! The REQ socket.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::common::common;
use super::{Socket, send_error_kind};
use crate::engine::{Deadline, Outgoing, Stop};
use crate::error::{RequestError, SendError, SendErrorKind};
use crate::message::{Message, Payload};
use crate::pattern::{Outcome, Refusal, ReqPattern, Ticket};

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
///   caller knows whether asking twice is safe.
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

common!(Req, "REQ", options => ReqPattern::new(
    options.req_relaxed,
    options.req_correlate,
    RandomState::new().build_hasher().finish() as u32,
));

impl Req {
    /// Sends a request and waits for its reply. Waits without end, unless
    /// [`send_timeout`](crate::Options::send_timeout) or
    /// [`recv_timeout`](crate::Options::recv_timeout) is set.
    ///
    /// # Errors
    ///
    /// The request could not be sent (the error gives it back), no reply came in time, the connection
    /// broke in between, the peer does not take a request that large, or closed.
    pub fn request(&self, message: impl Payload) -> Result<Message, RequestError> {
        let options = self.socket.options();
        let (send, recv) = (options.send_timeout, options.recv_timeout);
        let ticket = self.ask(message, Deadline::from_option(send))?;
        self.reply(ticket, Deadline::from_option(recv))
    }

    /// Sends a request and waits for its reply, for at most `timeout` in all.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn request_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let deadline = Deadline::after(timeout);
        let ticket = self.ask(message, deadline)?;
        self.reply(ticket, deadline)
    }

    fn ask<M: Payload>(&self, message: M, deadline: Deadline) -> Result<Ticket, SendError> {
        if let Some(slice) = message.as_single() {
            return match self.ask_outgoing(Outgoing::Slice(slice), deadline) {
                Ok(ticket) => Ok(ticket),
                Err(kind) => Err(SendError::new(kind, message)),
            };
        }
        let message = message.into_message();
        self.ask_outgoing(Outgoing::Message(&message), deadline)
            .map_err(|kind| SendError::new(kind, message))
    }

    fn ask_outgoing(
        &self,
        outgoing: Outgoing<'_>,
        deadline: Deadline,
    ) -> Result<Ticket, SendErrorKind> {
        let asked = self.socket.core().until(deadline, |pattern, net| {
            let ticket = match pattern.send(&mut net.peers, outgoing) {
                Ok(ticket) => ticket,
                Err(Refusal::NotNow) => return None,
                Err(Refusal::OutOfTurn) => return Some(Err(SendErrorKind::OutOfTurn)),
                Err(Refusal::TooLarge(excess)) => return Some(Err(excess.into())),
            };
            // Whoever asks waits for the answer: there is no stream to gather for.
            net.pause();
            net.pace(pattern, true);
            Some(Ok(ticket))
        });
        asked.map_err(send_error_kind)?
    }

    fn reply(&self, ticket: Ticket, deadline: Deadline) -> Result<Message, RequestError> {
        let outcome = self.socket.core().until(deadline, |pattern, net| {
            pattern.outcome(&mut net.peers, ticket)
        });
        match outcome {
            Ok(Outcome::Reply(message)) => Ok(message),
            Ok(Outcome::PeerGone) => Err(RequestError::PeerGone),
            Ok(Outcome::Refused { size, cause }) => Err(RequestError::Refused { size, cause }),
            Err(stop) => {
                self.socket
                    .core()
                    .give_up(|pattern, net| pattern.abandon(&mut net.peers, ticket));
                Err(match stop {
                    Stop::WouldBlock | Stop::TimedOut => RequestError::TimedOut,
                    Stop::Shut(shut) => shut.into(),
                })
            }
        }
    }
}
