//! The sockets as the streams and sinks of the crate `futures`.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::futures::Unsent;
use super::handle::{Handle, RecvBy, SendBy};
use super::{RecvSocket, SendSocket};
use crate::engine::Key;
use crate::error::SendError;
use crate::message::{Message, Payload};

/// The messages that a socket receives, as a [`Stream`]: until it is closed or its context shut down. With the feature `futures`.
///
/// It lends the socket (`RecvStream::new(&pull)`), or shares or owns it (`RecvStream::new(Arc::clone(&pull))`, `Box::new(pull)`), so that it can
/// be moved into a task. Each `next` is a [`recv_async`](crate::Pull::recv_async), and can be dropped like one. Any number of streams, calls
/// and threads may receive from a socket at once.
///
/// ```
/// # mod futures { // The crate's `StreamExt::next`, for this example.
/// #     pub trait StreamExt: futures_core::Stream + Unpin {
/// #         fn next(&mut self) -> impl Future<Output = Option<Self::Item>> {
/// #             std::future::poll_fn(|context| std::pin::Pin::new(&mut *self).poll_next(context))
/// #         }
/// #     }
/// #     impl<S: futures_core::Stream + Unpin> StreamExt for S {}
/// # }
/// use futures::StreamExt;
/// use zerohop::{Pull, RecvStream};
///
/// async fn count(orders: &Pull) -> usize {
///     let mut orders = RecvStream::new(orders);
///     let mut count = 0;
///     while let Some(order) = orders.next().await {
///         count += order.parts();
///     }
///     count
/// }
/// ```
pub struct RecvStream<S>
where
    S: Deref<Target: RecvSocket>,
{
    socket: S,
    waits: Option<Key>,
    ended: bool,
}

impl<S: Deref<Target: RecvSocket>> RecvStream<S> {
    /// Makes a stream of what the socket receives.
    pub fn new(socket: S) -> RecvStream<S> {
        RecvStream {
            socket,
            waits: None,
            ended: false,
        }
    }

    /// The socket.
    pub fn socket(&self) -> &S::Target {
        &self.socket
    }
}

/// No part of it has to stay where it is.
impl<S: Deref<Target: RecvSocket>> Unpin for RecvStream<S> {}

impl<S: Deref<Target: RecvSocket>> Stream for RecvStream<S> {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let RecvStream {
            socket,
            waits,
            ended,
        } = &mut *self;
        if *ended {
            return Poll::Ready(None);
        }
        let received = socket.poll_recv(context, waits);
        *ended = matches!(received, Poll::Ready(Err(_)));
        received.map(Result::ok)
    }
}

impl<S: Deref<Target: RecvSocket>> FusedStream for RecvStream<S> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<S: Deref<Target: RecvSocket>> Drop for RecvStream<S> {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.take() {
            self.socket.socket().core().cancel(&waits);
        }
    }
}

impl<S: Deref<Target: RecvSocket>> fmt::Debug for RecvStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A socket that sends, as a [`Sink`]. With the feature `futures`.
///
/// It holds one message at most, until a peer has room; what it has flushed is queued in the socket, as after
/// [`send_async`](crate::Push::send_async). An error gives the message back, and the sink can be used again. A sink that is dropped, or closed in
/// vain, has not sent the message that it holds: [`take_unsent`](Self::take_unsent) gives it back.
///
/// It lends the socket, or shares or owns it, as a [`RecvStream`].
pub struct SendSink<S, M = Message>
where
    S: Deref<Target: SendSocket>,
{
    socket: S,
    waits: Option<Key>,
    unsent: Unsent<M>,
}

impl<S: Deref<Target: SendSocket>, M: Payload> SendSink<S, M> {
    /// Makes a sink that sends by the socket.
    pub fn new(socket: S) -> SendSink<S, M> {
        SendSink {
            socket,
            waits: None,
            unsent: Unsent::Gone,
        }
    }

    /// The socket.
    pub fn socket(&self) -> &S::Target {
        &self.socket
    }

    /// Takes back the message that was given to the sink and has not been sent.
    pub fn take_unsent(&mut self) -> Option<Message> {
        match std::mem::replace(&mut self.unsent, Unsent::Gone) {
            Unsent::Gone => None,
            unsent => Some(unsent.into_message()),
        }
    }

    fn poll_unsent(&mut self, context: &Context<'_>) -> Poll<Result<(), SendError>> {
        let SendSink {
            socket,
            waits,
            unsent,
        } = self;
        match unsent {
            Unsent::Gone => Poll::Ready(Ok(())),
            unsent => socket
                .poll_send(context, waits, unsent)
                .map_ok(|_receipt| ()),
        }
    }
}

/// No part of it has to stay where it is.
impl<S: Deref<Target: SendSocket>, M> Unpin for SendSink<S, M> {}

impl<S: Deref<Target: SendSocket>, M: Payload> Sink<M> for SendSink<S, M> {
    type Error = SendError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.poll_unsent(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), SendError> {
        self.unsent = Unsent::new(message);
        Ok(())
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.poll_unsent(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.poll_unsent(context)
    }
}

impl<S: Deref<Target: SendSocket>, M> Drop for SendSink<S, M> {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.take() {
            self.socket.socket().core().cancel(&waits);
        }
    }
}

impl<S: Deref<Target: SendSocket>, M> fmt::Debug for SendSink<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink").finish_non_exhaustive()
    }
}
