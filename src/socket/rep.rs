//! The REP socket.

use std::sync::Arc;
use std::time::Duration;

use super::common::common;
use super::{Socket, futures, recv_error};
use crate::engine::{Core, Deadline, Net, Outgoing, Stop};
use crate::error::{RecvError, ReplyError, ReplyErrorKind};
use crate::message::{Message, Payload};
use crate::origin::Origin;
use crate::pattern::{RepPattern, ReturnAddress, Undeliverable};
use crate::zmtp::PeerFacts;

/// Receives requests from all its peers, fairly, and answers each.
///
/// A [`Request`] is answered by consuming it, so that answering twice, or before there is a request, does
/// not compile. Several threads may hold requests of one socket at once.
///
/// RFC 28; libzmq: `ZMQ_REP`. For an example see [`Req`](crate::Req).
pub struct Rep {
    pub(super) socket: Socket<RepPattern>,
}

common!(Rep, "REP", options => RepPattern::with_options(&options));

impl Rep {
    /// Receives the next request; waits for one, at most for
    /// [`recv_timeout`](crate::Options::recv_timeout).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv(&self) -> Result<Request, RecvError> {
        self.recv_by(Deadline::from(self.socket.recv_timeout.get()))
    }

    /// Receives a request if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    pub fn try_recv(&self) -> Result<Request, RecvError> {
        self.recv_by(Deadline::Now)
    }

    /// Receives the next request, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Request, RecvError> {
        self.recv_by(Deadline::after(timeout))
    }

    /// Receives the next request, in a task, and waits without end. It can be dropped at any time, as
    /// [`Pull::recv_async`](crate::Pull::recv_async). [`Request::reply`] never waits, so tasks use it as it is.
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_async(&self) -> impl Future<Output = Result<Request, RecvError>> + Send {
        futures::receive(self.socket.core(), |pattern, net| {
            take(pattern, net).map(|taken| self.request(taken))
        })
    }

    fn recv_by(&self, deadline: Deadline) -> Result<Request, RecvError> {
        let received = self.socket.core().until(deadline, take);
        received
            .map(|taken| self.request(taken))
            .map_err(recv_error)
    }

    fn request(&self, (address, message): (ReturnAddress, Message)) -> Request {
        Request {
            message,
            address,
            core: Arc::clone(&self.socket.core),
        }
    }
}

fn take(pattern: &mut RepPattern, net: &mut Net) -> Option<(ReturnAddress, Message)> {
    let received = pattern.recv(&mut net.peers);
    if received.is_some() {
        // The reply is worth a write of its own.
        net.pause();
    }
    received
}

/// A request that waits for its reply. Dropping it leaves it unanswered; if it comes again, it is a new one.
pub struct Request {
    message: Message,
    address: ReturnAddress,
    core: Arc<Core<RepPattern>>,
}

impl Request {
    /// What was asked.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Who has asked, and what is known of it: its [`principal`](PeerFacts::principal) above all. `None` once the connection has ended that
    /// the request came by.
    pub fn peer(&self) -> Option<PeerFacts> {
        let facts = |_: &mut RepPattern, net: &mut Net| {
            RepPattern::requester(&net.peers, &self.address).cloned()
        };
        self.core.inspect(facts).ok().flatten()
    }

    /// Who the request comes from; `None` if that peer has gone.
    pub fn origin(&self) -> Option<Origin> {
        let origin = |_: &mut RepPattern, net: &mut Net| {
            RepPattern::requester_id(&net.peers, &self.address).map(|id| net.peers.origin(id))
        };
        self.core.inspect(origin).ok().flatten()
    }

    /// Takes the message out, and leaves an empty one: to pass large requests on without a copy.
    pub fn take_message(&mut self) -> Message {
        std::mem::take(&mut self.message)
    }

    /// Answers. Never waits.
    ///
    /// # Errors
    ///
    /// The peer has gone, or has not read its earlier replies and is at its high-water mark
    /// (`WouldBlock`), or takes no message that large, or closed. The error gives the reply back. With
    /// [`idempotent`](crate::Options::idempotent), it is no error that a peer has gone that may ask again: the reply is kept for it.
    pub fn reply(mut self, message: impl Payload) -> Result<(), ReplyError> {
        if let Some(slice) = message.as_single() {
            return match self.reply_outgoing(Outgoing::Slice(slice)) {
                Ok(()) => Ok(()),
                Err(kind) => Err(ReplyError::new(kind, message)),
            };
        }
        let message = message.into_message();
        self.reply_outgoing(Outgoing::Message(&message))
            .map_err(|kind| ReplyError::new(kind, message))
    }

    fn reply_outgoing(&mut self, outgoing: Outgoing<'_>) -> Result<(), ReplyErrorKind> {
        let address = &mut self.address;
        let replied = self.core.until(Deadline::Now, |pattern, net| {
            let replied = pattern.reply(&mut net.peers, address, outgoing);
            net.pace(pattern, outgoing, true);
            Some(replied)
        });
        match replied {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Undeliverable::PeerGone)) => Err(ReplyErrorKind::PeerGone),
            Ok(Err(Undeliverable::TooLarge(excess))) => Err(excess.into()),
            Ok(Err(Undeliverable::NoRoom)) | Err(Stop::WouldBlock | Stop::TimedOut) => {
                Err(ReplyErrorKind::WouldBlock)
            }
            Err(Stop::Shut(shut)) => Err(shut.into()),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.core.process().is_current() {
            return self.core.leave_to_parent();
        }
        if self.address.is_awaited() {
            let address = &mut self.address;
            // If the socket is closed, nobody asks again.
            let _ = self.core.inspect(|pattern, _| pattern.give_up(address));
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
