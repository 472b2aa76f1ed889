//! What sockets that send have in common: the way of a message from `send` into the pattern, and the forms of `send`.

use super::{Refused, Socket, send_error, send_error_kind};
use crate::engine::{Net, Outgoing, Wait};
use crate::error::{SendError, SendErrorKind, Shortage};
use crate::message::{Message, Payload};
use crate::pattern::{Pattern, Sending};

impl<P: Pattern + 'static> Socket<P> {
    /// For as long as a call waits that is not told how long.
    #[inline]
    pub(super) fn send_wait(&self) -> Wait {
        self.send_timeout.get()
    }
}

impl<P: Sending + 'static> Socket<P> {
    #[inline]
    pub(super) fn send<M: Payload>(&self, message: M, wait: Wait) -> Result<P::Sent, SendError> {
        if let Some(slice) = message.as_single() {
            return match self.send_slice(slice, wait) {
                Ok(sent) => Ok(sent),
                Err(refused) => Err(send_error(refused, message)),
            };
        }
        let message = message.into_message();
        if P::SINGLE && message.is_multipart() {
            return Err(multipart(message));
        }
        self.send_outgoing(Outgoing::Message(&message), wait)
            .map_err(|refused| send_error(refused, message))
    }

    /// Sends a message of one frame. A function of its own, which takes the slice in registers: an [`Outgoing`] comes in memory, and is read
    /// there in other pieces than it has just been written in, which the processor waits for (10 ns).
    pub(super) fn send_slice(&self, slice: &[u8], wait: Wait) -> Result<P::Sent, Refused> {
        let sent = self
            .core()
            .at_once(move |pattern, net| send_now(pattern, net, Outgoing::Slice(slice)));
        match sent {
            Some(sent) => Ok(sent),
            None => self.send_slowly(Outgoing::Slice(slice), wait),
        }
    }

    /// The same if there is room, and nothing else is to be done first: for a task.
    pub(super) fn send_slice_at_once(&self, slice: &[u8]) -> Option<P::Sent> {
        self.core()
            .at_once(move |pattern, net| send_now(pattern, net, Outgoing::Slice(slice)))
    }

    #[inline]
    pub(super) fn send_outgoing(
        &self,
        outgoing: Outgoing<'_>,
        wait: Wait,
    ) -> Result<P::Sent, Refused> {
        let sent = self
            .core()
            .at_once(|pattern, net| send_now(pattern, net, outgoing));
        match sent {
            Some(sent) => Ok(sent),
            None => self.send_slowly(outgoing, wait),
        }
    }

    #[inline(never)]
    fn send_slowly(&self, outgoing: Outgoing<'_>, wait: Wait) -> Result<P::Sent, Refused> {
        if let (Some(spool), Some(sent)) = (self.spool(), P::sent_stored()) {
            let stored = self.store_safely(spool, outgoing, wait, &|| false);
            return stored.map(|_| sent);
        }
        let mut shortage = Shortage::default();
        let sent = self.core().until(wait, |pattern, net| {
            let sent = pattern.send_any(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            match sent {
                Some(sent) => Some(Ok(sent)),
                None => {
                    shortage = net.shortage();
                    pattern.refusal(&net.peers, outgoing).map(Err)
                }
            }
        });
        match sent {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(kind)) => Err(Refused::new(kind, shortage)),
            Err(stop) => Err(Refused::new(send_error_kind(stop), shortage)),
        }
    }
}

impl<P: Sending + 'static> Socket<P> {
    /// See [`SendBy::send_unless`](super::handle::SendBy::send_unless).
    #[inline]
    pub(super) fn send_unless(
        &self,
        message: &Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        let outgoing = Outgoing::of(message);
        let parts = message.parts();
        if P::SINGLE && parts > 1 {
            return Err(SendErrorKind::Multipart { parts });
        }
        let sent = self
            .core()
            .at_once(|pattern, net| send_now(pattern, net, outgoing));
        match sent {
            Some(_) => Ok(true),
            None => self.send_slowly_unless(outgoing, wait, halted),
        }
    }

    #[inline(never)]
    fn send_slowly_unless(
        &self,
        outgoing: Outgoing<'_>,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        if let Some(spool) = self.spool() {
            let stored = self.store_safely(spool, outgoing, wait, halted);
            return stored.map_err(|refused| refused.kind);
        }
        let sent = self.core().until(wait, |pattern, net| {
            let sent = pattern.send_any(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            match sent {
                Some(_) => Some(Ok(true)),
                None if halted() => Some(Ok(false)),
                None => pattern.refusal(&net.peers, outgoing).map(Err),
            }
        });
        match sent {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(kind)) => Err(kind),
            Err(stop) => Err(send_error_kind(stop)),
        }
    }
}

/// Sends a message if a peer has room.
#[inline(always)]
fn send_now<P: Sending>(pattern: &mut P, net: &mut Net, outgoing: Outgoing<'_>) -> Option<P::Sent> {
    let sent = pattern.send(&mut net.peers, outgoing);
    net.pace(pattern, outgoing, sent.is_some());
    sent
}

/// Messages of the socket have one frame, and this one has more.
#[cold]
pub(super) fn multipart(message: Message) -> SendError {
    let parts = message.parts();
    send_error(SendErrorKind::Multipart { parts }, message)
}

/// The forms of `send` of a socket that waits while nobody has room, as calls of the type itself and as
/// [`SendSocket`](super::SendSocket).
macro_rules! sending {
    ($name:ident) => {
        impl $name {
            /// Sends a message; waits while no peer has room, at most for
            /// [`send_timeout`](crate::Options::send_timeout).
            ///
            /// # Errors
            ///
            /// Timed out, closed, or [larger than any peer takes](crate::SendErrorKind::TooLarge); the error gives the message
            /// back.
            #[inline]
            pub fn send(&self, message: impl $crate::Payload) -> Result<(), $crate::SendError> {
                self.socket.send(message, self.socket.send_wait())
            }

            /// Sends a message if a peer has room now.
            ///
            /// # Errors
            ///
            /// No peer has room, closed, or [larger than any peer takes](crate::SendErrorKind::TooLarge); the error gives the
            /// message back.
            #[inline]
            pub fn try_send(&self, message: impl $crate::Payload) -> Result<(), $crate::SendError> {
                self.socket.send(message, $crate::engine::Wait::Not)
            }

            /// Sends a message, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out, closed, or [larger than any peer takes](crate::SendErrorKind::TooLarge); the error gives the message
            /// back.
            pub fn send_timeout(
                &self,
                message: impl $crate::Payload,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::SendError> {
                let wait = $crate::engine::Wait::AtMost(timeout);
                self.socket.send(message, wait)
            }

            /// Sends a message, in a task: a future for any runtime, which waits without end while no peer has room
            /// ([`send_timeout`](crate::Options::send_timeout) is for calls that wait in a thread). See
            /// [In tasks](crate#in-tasks).
            ///
            /// **It can be dropped at any time**: before it is ready nothing of the message has been sent, and once it is ready all
            /// of it is queued. A future that is dropped drops its message; if you want to keep that, pass a reference (`&str`,
            /// `&[u8]`, `&Bytes`, `&Message`). Any number of futures, and of threads, may wait at once. Which of them goes first
            /// is not determined.
            ///
            /// While peers have room, it is ready at once; but after 500 µs of that the next one gives way to other tasks first, and sends nothing then.
            ///
            /// # Errors
            ///
            /// Closed, or [larger than any peer takes](crate::SendErrorKind::TooLarge); the error gives the message back. A
            /// future that waits when the socket is closed is woken, and fails as well.
            pub fn send_async<M: $crate::Payload>(
                &self,
                message: M,
            ) -> impl Future<Output = Result<(), $crate::SendError>> {
                self.socket.send_async(message)
            }

            /// Sends messages one after the other, each as [`send`](Self::send) does. With a [spool]($crate::Delivery::spool) they share a sync:
            /// up to 4096 of them, or 1 MiB, are made safe together, and before it waits for room.
            ///
            /// # Errors
            ///
            /// The first message that could not be sent ends the batch; the error says how many were, and gives
            /// that one back. Later ones are still in the iterator, if it was lent (`&mut iterator`). If a spool fails, the first message comes
            /// back that is not safe; those behind it that shared its sync have been taken from the iterator, and may be delivered all the same.
            /// With a spool, up to 255 more may have been taken and not sent: if the socket is closed meanwhile, or the spool has no room for
            /// them. [`SendBatchError::into_messages`]($crate::SendBatchError::into_messages) gives them back as well.
            pub fn send_batch<I>(&self, messages: I) -> Result<usize, $crate::SendBatchError>
            where
                I: IntoIterator<Item: $crate::Payload>,
            {
                $crate::SendSocket::send_batch(self, messages)
            }
        }

        impl $crate::SendSocket for $name {
            type Sent = ();
        }
    };
}

pub(super) use sending;
