//! What sockets that receive have in common: the forms of `recv`.

use super::{RecvSocket, Socket, fill, recv_error};
use crate::engine::Wait;
use crate::error::RecvError;
use crate::message::Message;
use crate::pattern::{Pattern, Receiving};

impl<P: Pattern + 'static> Socket<P> {
    /// For as long as a call waits that is not told how long.
    #[inline]
    pub(super) fn recv_wait(&self) -> Wait {
        self.recv_timeout.get()
    }
}

impl<P: Receiving + 'static> Socket<P> {
    #[inline]
    pub(super) fn recv(&self, wait: Wait) -> Result<Message, RecvError> {
        let mut message = Message::new();
        self.recv_into(&mut message, wait)?;
        Ok(message)
    }

    #[inline]
    pub(super) fn recv_into(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        let core = self.core();
        let received = core.at_once(|pattern, net| pattern.recv(&mut net.peers, message));
        match received {
            Some(()) => Ok(()),
            None => self.recv_slowly(message, wait),
        }
    }

    #[inline(never)]
    fn recv_slowly(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
        let core = self.core();
        let received = core.until(wait, |pattern, net| pattern.recv(&mut net.peers, message));
        received.map_err(recv_error)
    }

    /// See [`RecvBy::recv_unless`](super::handle::RecvBy::recv_unless).
    #[inline]
    pub(super) fn recv_unless(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError> {
        let core = self.core();
        match core.at_once(|pattern, net| pattern.recv(&mut net.peers, message)) {
            Some(()) => Ok(true),
            None => self.recv_slowly_unless(message, wait, halted),
        }
    }

    #[inline(never)]
    fn recv_slowly_unless(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError> {
        let received = self.core().until(wait, |pattern, net| {
            match pattern.recv(&mut net.peers, message) {
                Some(()) => Some(true),
                None => halted().then_some(false),
            }
        });
        received.map_err(recv_error)
    }

    pub(super) fn recv_batch(&self, max: usize, wait: Wait) -> Result<Vec<Message>, RecvError> {
        let mut batch = Vec::new();
        let received = self.core().until(wait, |pattern, net| {
            fill(&mut batch, max, |message| {
                pattern.recv(&mut net.peers, message)
            })
        });
        received.map_err(recv_error)?;
        Ok(batch)
    }
}

/// Receives messages until the socket is closed or the context shut down, or
/// [`recv_timeout`](crate::Options::recv_timeout) has passed without one. Made by `iter`.
///
/// [`end`](Iter::end) says which of them it was, if the loop borrows the iterator:
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Options, Pull, RecvError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new();
/// let options = Options::new().recv_timeout(Duration::from_millis(10));
/// let pull = Pull::with_options(&context, options)?;
/// let mut messages = pull.iter();
/// for message in &mut messages {
///     println!("{message:?}");
/// }
/// assert_eq!(messages.end(), Some(RecvError::TimedOut));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Iter<'a, S> {
    socket: &'a S,
    end: Option<RecvError>,
}

impl<'a, S: RecvSocket> Iter<'a, S> {
    pub(super) fn new(socket: &'a S) -> Iter<'a, S> {
        Iter { socket, end: None }
    }

    /// Why there was no further message, after `next` has given `None`. A later `next` tries again, and may give one then after a
    /// time-out.
    pub fn end(&self) -> Option<RecvError> {
        self.end
    }
}

impl<S: RecvSocket> Iterator for Iter<'_, S> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        match self.socket.recv() {
            Ok(message) => {
                self.end = None;
                Some(message)
            }
            Err(error) => {
                self.end = Some(error);
                None
            }
        }
    }
}

/// The forms of `recv`, as calls of the type itself and as [`RecvSocket`].
macro_rules! receiving {
    ($name:ident) => {
        $crate::socket::with_origin::with_origin!(
            $name,
            $crate::Message,
            recv_from,
            recv_from_in_task
        );

        impl $name {
            /// Receives the next message; waits for one, at most for
            /// [`recv_timeout`](crate::Options::recv_timeout).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            #[inline]
            pub fn recv(&self) -> Result<$crate::Message, $crate::RecvError> {
                self.socket.recv(self.socket.recv_wait())
            }

            /// Receives a message if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed.
            #[inline]
            pub fn try_recv(&self) -> Result<$crate::Message, $crate::RecvError> {
                self.socket.recv($crate::engine::Wait::Not)
            }

            /// Receives the next message, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<$crate::Message, $crate::RecvError> {
                self.socket.recv($crate::engine::Wait::AtMost(timeout))
            }

            /// Receives the next message in the place of `message`, and waits like [`recv`](Self::recv). The fastest
            /// way for small messages in a loop: a message is 72 bytes, and this one is never moved.
            ///
            /// # Errors
            ///
            /// Timed out, or closed; `message` is then what it was.
            /// (A SUB may leave a message there that came for a topic it has unsubscribed from.)
            ///
            /// ```
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let context = zerohop::Context::new();
            /// # let pull = zerohop::Pull::new(&context)?;
            /// # let push = zerohop::Push::new(&context)?;
            /// # push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
            /// # push.send_batch(["order 1", "order 2"])?;
            /// let mut message = zerohop::Message::new();
            /// let mut bytes = 0;
            /// for _ in 0..2 {
            ///     pull.recv_into(&mut message)?;
            ///     bytes += message.size();
            /// }
            /// # assert_eq!(bytes, 14);
            /// # Ok(())
            /// # }
            /// ```
            #[inline]
            pub fn recv_into(
                &self,
                message: &mut $crate::Message,
            ) -> Result<(), $crate::RecvError> {
                self.socket.recv_into(message, self.socket.recv_wait())
            }

            /// Receives a message in the place of `message` if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed; `message` is then what it was.
            /// (A SUB may leave a message there that came for a topic it has unsubscribed from.)
            #[inline]
            pub fn try_recv_into(
                &self,
                message: &mut $crate::Message,
            ) -> Result<(), $crate::RecvError> {
                self.socket.recv_into(message, $crate::engine::Wait::Not)
            }

            /// Receives at least one message, and as many more as are here already, up to `max`. Waits for
            /// the first like [`recv`](Self::recv).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_batch(
                &self,
                max: usize,
            ) -> Result<Vec<$crate::Message>, $crate::RecvError> {
                self.socket.recv_batch(max, self.socket.recv_wait())
            }

            /// Receives the next message, in a task: a future for any runtime, which waits without end
            /// ([`recv_timeout`](crate::Options::recv_timeout) is for calls that wait in a thread). See
            /// [In tasks](crate#in-tasks).
            ///
            /// **It can be dropped at any time**: it takes a message when it is ready and not before, and if it is dropped when it has
            /// been woken for a message, another one that waits is woken. So it may lose a `select!`, or run into a time limit of
            /// the runtime. Any number of futures, and of threads, may wait at once. For a message one of the futures is
            /// woken: the one that has waited for longest.
            ///
            /// While messages are here, it is ready at once; but after 500 µs of that the next one gives way to other tasks first, and takes nothing then.
            ///
            /// # Errors
            ///
            /// Closed, or the context is shut down; a future that waits then is woken, and fails as well.
            pub fn recv_async(
                &self,
            ) -> impl Future<Output = Result<$crate::Message, $crate::RecvError>> + Send {
                self.socket.recv_async()
            }

            /// The messages as they come, without end: until the socket or its context is shut
            /// down, or [`recv_timeout`](crate::Options::recv_timeout) has passed without one: [`Iter::end`](crate::Iter::end)
            /// says which.
            pub fn iter(&self) -> $crate::Iter<'_, $name> {
                $crate::RecvSocket::iter(self)
            }
        }

        impl $crate::RecvSocket for $name {}

        impl<'a> IntoIterator for &'a $name {
            type Item = $crate::Message;
            type IntoIter = $crate::Iter<'a, $name>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}

pub(super) use receiving;
