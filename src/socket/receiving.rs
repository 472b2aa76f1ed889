//! What PULL and SUB have in common: the forms of `recv`.

/// The forms of `recv`, over the pattern's.
macro_rules! receiving {
    ($name:ident) => {
        impl $name {
            /// Receives the next message; waits for one, at most for
            /// [`recv_timeout`](crate::Options::recv_timeout).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            #[inline]
            pub fn recv(&self) -> Result<$crate::Message, $crate::RecvError> {
                self.recv_by($crate::engine::Wait::from_option(
                    self.socket.options().recv_timeout,
                ))
            }

            /// Receives a message if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed.
            #[inline]
            pub fn try_recv(&self) -> Result<$crate::Message, $crate::RecvError> {
                self.recv_by($crate::engine::Wait::Not)
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
                self.recv_by($crate::engine::Wait::AtMost(timeout))
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
                let timeout = self.socket.options().recv_timeout;
                self.recv_into_by(message, $crate::engine::Wait::from_option(timeout))
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
                self.recv_into_by(message, $crate::engine::Wait::Not)
            }

            #[inline]
            fn recv_by(
                &self,
                wait: $crate::engine::Wait,
            ) -> Result<$crate::Message, $crate::RecvError> {
                let mut message = $crate::Message::new();
                self.recv_into_by(&mut message, wait)?;
                Ok(message)
            }

            #[inline]
            fn recv_into_by(
                &self,
                message: &mut $crate::Message,
                wait: $crate::engine::Wait,
            ) -> Result<(), $crate::RecvError> {
                let core = self.socket.core();
                let received = core.at_once(|pattern, net| pattern.recv(&mut net.peers, message));
                match received {
                    Some(()) => Ok(()),
                    None => self.recv_slowly(message, wait),
                }
            }

            #[inline(never)]
            fn recv_slowly(
                &self,
                message: &mut $crate::Message,
                wait: $crate::engine::Wait,
            ) -> Result<(), $crate::RecvError> {
                let received = self
                    .socket
                    .core()
                    .until(wait, |pattern, net| pattern.recv(&mut net.peers, message));
                received.map_err($crate::socket::recv_error)
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
                let mut batch = Vec::new();
                let timeout = self.socket.options().recv_timeout;
                let wait = $crate::engine::Wait::from_option(timeout);
                let received = self.socket.core().until(wait, |pattern, net| {
                    $crate::socket::fill(&mut batch, max, |message| {
                        pattern.recv(&mut net.peers, message)
                    })
                });
                received.map_err($crate::socket::recv_error)?;
                Ok(batch)
            }

            /// The messages as they come, without end: until the socket or its context is shut
            /// down, or [`recv_timeout`](crate::Options::recv_timeout) has passed without one.
            pub fn iter(&self) -> $crate::Iter<'_, $name> {
                $crate::Iter {
                    socket: self,
                    recv: $name::recv,
                }
            }
        }

        impl<'a> IntoIterator for &'a $name {
            type Item = $crate::Message;
            type IntoIter = $crate::Iter<'a, $name>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}
