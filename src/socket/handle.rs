//! What the public traits do with a handle, whatever its type.
//!
//! No other crate can name these traits, which seals the public ones. Those are written over them once, so a socket type has to say no
//! more than that it has them.

use std::any::Any;
#[cfg(feature = "futures")]
use std::task::{Context, Poll};

use super::Socket;
#[cfg(feature = "futures")]
use super::futures::{self, Unsent, attempt_to_send, next_message};
#[cfg(feature = "futures")]
use crate::engine::Key;
use crate::engine::Wait;
use crate::error::{RecvError, SendBatchError, SendError, SendErrorKind, SocketError};
use crate::message::{Message, Payload};
use crate::options::Options;
use crate::origin::Origin;
use crate::pattern::{Pattern, Receiving, Sending};

/// A handle of any type.
pub(crate) trait Handle: Sized {
    type Pattern: Pattern + 'static;

    fn pattern(options: &Options) -> Result<Self::Pattern, SocketError>;

    /// What belongs to the socket and is dropped with it.
    fn beside(
        socket: &Socket<Self::Pattern>,
    ) -> Result<Option<Box<dyn Any + Send + Sync>>, SocketError>;

    fn from_socket(socket: Socket<Self::Pattern>) -> Self;

    fn socket(&self) -> &Socket<Self::Pattern>;

    fn into_socket(self) -> Socket<Self::Pattern>;
}

/// The forms of `send` that the others are made of.
pub(crate) trait SendBy {
    type Receipt;

    fn send_by(&self, message: impl Payload, wait: Wait) -> Result<Self::Receipt, SendError>;

    fn send_in_task<M: Payload + Send>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Self::Receipt, SendError>> + Send;

    /// For a task that sends message after message: leaves nothing of one that is sent, or fails.
    #[cfg(feature = "futures")]
    fn poll_send<M: Payload>(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
        message: &mut Unsent<M>,
    ) -> Poll<Result<Self::Receipt, SendError>>;

    /// Sends a batch by way of a spool. `None`: the socket has none, and nothing has been taken.
    fn send_batch_stored<M: Payload>(
        &self,
        _messages: &mut impl Iterator<Item = M>,
    ) -> Option<Result<usize, SendBatchError>> {
        None
    }

    /// Sends a message that stays with the caller; `false` if it had to wait and was `halted`. That is asked when somebody
    /// [makes calls look again](crate::engine::Observable::look_again).
    fn send_unless(
        &self,
        message: &Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind>;
}

impl<S: Handle> SendBy for S
where
    S::Pattern: Sending,
{
    type Receipt = <S::Pattern as Sending>::Sent;

    #[inline]
    fn send_by(&self, message: impl Payload, wait: Wait) -> Result<Self::Receipt, SendError> {
        self.socket().send(message, wait)
    }

    fn send_in_task<M: Payload + Send>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Self::Receipt, SendError>> + Send {
        self.socket().send_async(message)
    }

    #[cfg(feature = "futures")]
    fn poll_send<M: Payload>(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
        message: &mut Unsent<M>,
    ) -> Poll<Result<Self::Receipt, SendError>> {
        if let Some(sent) = S::Pattern::sent_stored()
            && let Some(spool) = self.socket().spool()
        {
            let stored = self.socket().poll_store(spool, context, waits, message);
            return stored.map_ok(|()| sent);
        }
        futures::poll_send(
            self.socket().core(),
            context,
            waits,
            message,
            attempt_to_send,
        )
    }

    fn send_batch_stored<M: Payload>(
        &self,
        messages: &mut impl Iterator<Item = M>,
    ) -> Option<Result<usize, SendBatchError>> {
        S::Pattern::sent_stored()?;
        let spool = self.socket().spool()?;
        Some(self.socket().store_batch(spool, messages))
    }

    #[inline]
    fn send_unless(
        &self,
        message: &Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        self.socket().send_unless(message, wait, halted)
    }
}

/// The forms of `recv` that the others are made of.
pub(crate) trait RecvBy {
    fn recv_by(&self, wait: Wait) -> Result<Message, RecvError>;

    fn recv_into_by(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError>;

    fn recv_batch_by(&self, max: usize, wait: Wait) -> Result<Vec<Message>, RecvError>;

    fn recv_in_task(&self) -> impl Future<Output = Result<Message, RecvError>> + Send;

    fn recv_from_by(&self, wait: Wait) -> Result<(Message, Origin), RecvError>;

    fn recv_from_in_task(
        &self,
    ) -> impl Future<Output = Result<(Message, Origin), RecvError>> + Send;

    /// For a task that receives message after message.
    #[cfg(feature = "futures")]
    fn poll_recv(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
    ) -> Poll<Result<Message, RecvError>>;

    /// Receives in the place of `message`; `false` if it had to wait and was `halted`, as with [`SendBy::send_unless`].
    fn recv_unless(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError>;
}

impl<S: Handle> RecvBy for S
where
    S::Pattern: Receiving,
{
    #[inline]
    fn recv_by(&self, wait: Wait) -> Result<Message, RecvError> {
        self.socket().recv(wait)
    }

    #[inline]
    fn recv_into_by(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        self.socket().recv_into(message, wait)
    }

    fn recv_batch_by(&self, max: usize, wait: Wait) -> Result<Vec<Message>, RecvError> {
        self.socket().recv_batch(max, wait)
    }

    fn recv_in_task(&self) -> impl Future<Output = Result<Message, RecvError>> + Send {
        self.socket().recv_async()
    }

    fn recv_from_by(&self, wait: Wait) -> Result<(Message, Origin), RecvError> {
        self.socket().recv_from(wait)
    }

    fn recv_from_in_task(
        &self,
    ) -> impl Future<Output = Result<(Message, Origin), RecvError>> + Send {
        self.socket().recv_from_in_task()
    }

    #[cfg(feature = "futures")]
    fn poll_recv(
        &self,
        context: &Context<'_>,
        waits: &mut Option<Key>,
    ) -> Poll<Result<Message, RecvError>> {
        futures::poll_receive(self.socket().core(), context, waits, next_message)
    }

    #[inline]
    fn recv_unless(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError> {
        self.socket().recv_unless(message, wait, halted)
    }
}
