//! A request with a deadline, and another try elsewhere if the first one comes to nothing.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::{Failure, Req, ask_alone, sent, try_ask};
use crate::engine::{Deadline, Outgoing, PeerId, Peers, Stop};
use crate::error::{RequestError, SendErrorKind};
use crate::message::{Message, Payload};
use crate::pattern::{ReqPattern, Ticket};
use crate::socket::send_error_kind;

/// How often, and when, a request is sent again: asked for with [`Ask::retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: NonZeroU32,
    each: Option<Duration>,
    pause: Duration,
}

impl Retry {
    /// So many attempts in all, 1 at least; each has all the time there is, and the next follows at once.
    pub fn attempts(attempts: u32) -> Retry {
        Retry {
            attempts: NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN),
            each: None,
            pause: Duration::ZERO,
        }
    }

    /// Gives up an attempt that has not been answered after this time, for the next one. Without, only an attempt whose server goes
    /// is followed by another.
    pub fn each(self, timeout: Duration) -> Retry {
        Retry {
            each: Some(timeout),
            ..self
        }
    }

    /// Waits for so long before each further attempt.
    pub fn pause(self, pause: Duration) -> Retry {
        Retry { pause, ..self }
    }
}

/// A request that is being prepared; made by [`Req::ask`].
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is sent before `request`"]
pub struct Ask<'a> {
    req: &'a Req,
    timeout: Option<Duration>,
    retry: Option<Retry>,
}

impl Req {
    /// Prepares a request that has a deadline, or is to be tried again, at another server if there is one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::{Context, Rep, Req, Retry};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = Context::new();
    /// let req = Req::new(&context)?;
    /// // The first server takes requests and does not answer.
    /// let (hangs, works) = (Rep::new(&context)?, Rep::new(&context)?);
    /// req.connect(hangs.bind("tcp://127.0.0.1:*")?)?;
    /// req.connect(works.bind("tcp://127.0.0.1:*")?)?;
    /// req.wait_for_peers(2, Duration::from_secs(5))?;
    /// # std::thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
    /// # scope.spawn(|| works.recv().unwrap().reply("9.99").unwrap());
    ///
    /// // A price may be asked for twice, so this is sent again, to the other.
    /// let price = req
    ///     .ask()
    ///     .deadline(Duration::from_secs(5))
    ///     .retry(Retry::attempts(3).each(Duration::from_millis(100)))
    ///     .request("price of 42?")?;
    /// assert_eq!(price, "9.99");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            req: self,
            timeout: None,
            retry: None,
        }
    }
}

impl Ask<'_> {
    /// The request is to be answered within this time, all attempts together. Without, there is no end but those of the attempts; the timeouts in the
    /// options have no effect here.
    pub fn deadline(self, timeout: Duration) -> Self {
        Ask {
            timeout: Some(timeout),
            ..self
        }
    }

    /// Sends the request again if its server has gone or has not answered in time, while nobody knows whether it has been carried out:
    /// **it may be carried out as often as there are attempts**. So ask for that only if once is as good as several times.
    ///
    /// A further attempt goes to a server that has not been tried, if one is connected that has room, and otherwise to the next in turn. A reply
    /// to an earlier attempt that comes late is dropped. It is of no use without [`req_relaxed`](crate::Options::req_relaxed), which is set unless
    /// told otherwise.
    pub fn retry(self, retry: Retry) -> Self {
        Ask {
            retry: Some(retry),
            ..self
        }
    }

    /// Sends the request and waits for its reply.
    ///
    /// # Errors
    ///
    /// That of the last attempt, as with [`Req::request`]. If it is [`RequestError::Send`], none of the others has been sent either, or
    /// [`retry`](Self::retry) was asked for.
    pub fn request<M: Payload>(&self, message: M) -> Result<Message, RequestError> {
        if let Some(slice) = message.as_single() {
            return match self.try_all(Outgoing::Slice(slice)) {
                Ok(reply) => Ok(reply),
                Err(failure) => Err(failure.with(message)),
            };
        }
        let message = message.into_message();
        self.try_all(Outgoing::Message(&message))
            .map_err(|failure| failure.with(message))
    }

    fn try_all(&self, outgoing: Outgoing<'_>) -> Result<Message, Failure> {
        let retry = self.retry.unwrap_or(Retry::attempts(1));
        let end = self.timeout.map_or(Deadline::Never, Deadline::after);
        let mut tried = Vec::new();
        let mut left = retry.attempts.get();
        loop {
            let attempt = retry.each.map_or(Deadline::Never, Deadline::after);
            let answer = self.try_once(outgoing, earlier(attempt, end), &mut tried);
            left -= 1;
            match answer {
                Err(failure) if left > 0 && is_worth_another(&failure) => {
                    if end.has_passed(Instant::now()) || !self.pause(retry.pause, end) {
                        return Err(failure);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Sends it to somebody else than those that have been tried, if possible.
    fn try_once(
        &self,
        outgoing: Outgoing<'_>,
        deadline: Deadline,
        tried: &mut Vec<PeerId>,
    ) -> Result<Message, Failure> {
        if tried.is_empty() {
            let ticket = self.req.send_request(outgoing, deadline);
            let ticket = ticket.map_err(Failure::Unsent)?;
            return self.answer(ticket, deadline, tried);
        }
        let core = self.req.socket.core();
        let asked = core.until(deadline, |pattern, net| {
            let send = |pattern: &mut ReqPattern, peers: &mut Peers| {
                pattern.send_elsewhere(peers, outgoing, tried)
            };
            let elsewhere = match pattern.goes_alone() {
                true => ask_alone(pattern, net, send),
                false => send(pattern, &mut net.peers),
            };
            match elsewhere {
                Ok(ticket) => Some(Ok(sent(pattern, net, outgoing, ticket))),
                Err(_) => try_ask(pattern, net, outgoing),
            }
        });
        match asked.map_err(send_error_kind).and_then(|asked| asked) {
            Ok(ticket) => self.answer(ticket, deadline, tried),
            Err(kind) => Err(Failure::Unsent(kind.into())),
        }
    }

    fn answer(
        &self,
        ticket: Ticket,
        deadline: Deadline,
        tried: &mut Vec<PeerId>,
    ) -> Result<Message, Failure> {
        let peer = self
            .req
            .socket
            .core()
            .inspect(|pattern, _| pattern.peer_of(ticket));
        tried.extend(peer.ok().flatten());
        self.req.reply(ticket, deadline)
    }

    /// `false`: the time is up before, or the socket is closed.
    fn pause(&self, pause: Duration, end: Deadline) -> bool {
        if pause.is_zero() {
            return true;
        }
        let until = earlier(Deadline::after(pause), end);
        let waited = self.req.socket.core().until(until, |_, _| None::<()>);
        waited == Err(Stop::TimedOut) && !end.has_passed(Instant::now())
    }
}

fn earlier(one: Deadline, other: Deadline) -> Deadline {
    match (one, other) {
        (Deadline::At(one), Deadline::At(other)) => Deadline::At(one.min(other)),
        (Deadline::Never, deadline) | (deadline, Deadline::Never) => deadline,
        (Deadline::Now, _) | (_, Deadline::Now) => Deadline::Now,
    }
}

/// Whether it may be different next time.
fn is_worth_another(failure: &Failure) -> bool {
    match failure {
        Failure::Unsent(refused) => matches!(
            refused.kind,
            SendErrorKind::TimedOut | SendErrorKind::WouldBlock
        ),
        Failure::Sent(error) => {
            matches!(error, RequestError::TimedOut | RequestError::PeerGone)
        }
    }
}
