//! A request as a future.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::Req;
use super::futures::Unsent;
use super::req::{Failure, give_up, outcome, reply_of, try_ask};
use crate::engine::{Interest, Stop, TaskCall};
use crate::error::RequestError;
use crate::message::{Message, Payload};
use crate::pattern::{ReqPattern, Ticket};

impl Req {
    /// Sends a request and waits for its reply, in a task: a future for any runtime, which waits without end
    /// ([`send_timeout`](crate::Options::send_timeout) and [`recv_timeout`](crate::Options::recv_timeout) are for calls that wait in a
    /// thread). See [In tasks](crate#in-tasks).
    ///
    /// **It can be dropped at any time**, which is like running into the time limit of [`request_timeout`](Self::request_timeout): a
    /// request that has not left is taken back, of one that has left the reply is dropped when it comes, and the next
    /// request is not held up. Nothing is sent before it is first polled.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), but for time.
    pub fn request_async<M: Payload>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        Asking {
            call: TaskCall::new(self.socket.core()),
            message: Unsent::new(message),
            ticket: None,
        }
    }
}

/// See [`Req::request_async`]. A future of its own, as it does something when it is dropped.
struct Asking<'a, M> {
    call: TaskCall<'a, ReqPattern>,
    /// Kept until the end: it comes back if it has not left by then.
    message: Unsent<M>,
    /// It has been sent, and how it ended is not known.
    ticket: Option<Ticket>,
}

impl<M: Payload> Asking<'_, M> {
    fn end(&mut self, result: Result<Message, Failure>) -> Poll<Result<Message, RequestError>> {
        self.ticket = None;
        let message = std::mem::replace(&mut self.message, Unsent::Gone);
        Poll::Ready(result.map_err(|failure| failure.with(message.into_message())))
    }
}

/// No part of it has to stay where it is.
impl<M> Unpin for Asking<'_, M> {}

impl<M: Payload> Future for Asking<'_, M> {
    type Output = Result<Message, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Asking {
            call,
            message,
            ticket,
        } = &mut *self;
        let Some(outgoing) = message.outgoing() else {
            // It has been ready before.
            return Poll::Pending;
        };
        let ticket = match *ticket {
            Some(ticket) => ticket,
            None => {
                let asked = call.poll(context, Interest::Own, |pattern, net| {
                    try_ask(pattern, net, outgoing)
                });
                let asked = match asked {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(asked)) => asked,
                    Poll::Ready(Err(shut)) => Err(shut.into()),
                };
                match asked {
                    Ok(asked) => *ticket.insert(asked),
                    Err(kind) => return self.end(Err(Failure::Unsent(kind.into()))),
                }
            }
        };
        let ended = self.call.poll(
            context,
            Interest::Ended(u64::from(ticket)),
            |pattern, net| outcome(pattern, net, ticket),
        );
        match ended {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(outcome)) => self.end(reply_of(outcome).map_err(Failure::Sent)),
            Poll::Ready(Err(shut)) => {
                let failure = give_up(self.call.core(), ticket, Stop::Shut(shut));
                self.end(Err(failure))
            }
        }
    }
}

impl<M> Drop for Asking<'_, M> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            give_up(self.call.core(), ticket, Stop::TimedOut);
        }
    }
}
