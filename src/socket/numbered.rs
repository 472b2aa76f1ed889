//! What SERVER and PEER have in common: the forms of `recv`, and of `send_to`.

/// See the module.
macro_rules! numbered {
    ($name:ident) => {
        $crate::socket::with_origin::with_origin!(
            $name,
            $crate::Incoming<u32>,
            receive_from,
            receive_from_in_task
        );

        impl $name {
            /// The numbers of the peers that are connected, in no order. A peer that comes is among them once its handshake is done.
            pub fn peers(&self) -> Vec<u32> {
                let connected =
                    |pattern: &mut $crate::pattern::NumberedPattern,
                     net: &mut $crate::engine::Net| { pattern.connected(&net.peers) };
                self.socket.core().inspect(connected).unwrap_or_default()
            }

            /// Receives the next message; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            #[inline]
            pub fn recv(&self) -> Result<$crate::Incoming<u32>, $crate::RecvError> {
                self.socket.receive(self.socket.recv_wait())
            }

            /// Receives a message if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed.
            #[inline]
            pub fn try_recv(&self) -> Result<$crate::Incoming<u32>, $crate::RecvError> {
                self.socket.receive($crate::engine::Wait::Not)
            }

            /// Receives the next message, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<$crate::Incoming<u32>, $crate::RecvError> {
                self.socket.receive($crate::engine::Wait::AtMost(timeout))
            }

            /// Receives the next message, in a task, and waits without end. It can be dropped at any time, as
            /// [`Pull::recv_async`](crate::Pull::recv_async).
            ///
            /// # Errors
            ///
            /// Closed, or the context is shut down.
            pub fn recv_async(
                &self,
            ) -> impl Future<Output = Result<$crate::Incoming<u32>, $crate::RecvError>> + Send {
                self.socket.receive_in_task()
            }

            /// Receives at least one message, and as many more as are here already, up to `max`. Waits for the first like
            /// [`recv`](Self::recv).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_batch(
                &self,
                max: usize,
            ) -> Result<Vec<$crate::Incoming<u32>>, $crate::RecvError> {
                self.socket.receive_batch(max, self.socket.recv_wait())
            }

            /// Sends a message to the peer with this number; waits while that is at its high-water mark, at most for
            /// [`send_timeout`](crate::Options::send_timeout).
            ///
            /// # Errors
            ///
            /// No peer has this number ([`Unroutable`](crate::SendErrorKind::Unroutable)), the message has
            /// [several frames](crate::SendErrorKind::Multipart) or is [larger than the peer takes](crate::SendErrorKind::TooLarge), timed
            /// out, or closed. The error gives the message back.
            #[inline]
            pub fn send_to(
                &self,
                peer: u32,
                message: impl $crate::Payload,
            ) -> Result<(), $crate::SendError> {
                let wait = self.socket.send_wait();
                self.socket.send_to(&peer, message, wait).map(drop)
            }

            /// Sends a message to the peer with this number if that needs no waiting.
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to), and where it would wait.
            #[inline]
            pub fn try_send_to(
                &self,
                peer: u32,
                message: impl $crate::Payload,
            ) -> Result<(), $crate::SendError> {
                let wait = $crate::engine::Wait::Not;
                self.socket.send_to(&peer, message, wait).map(drop)
            }

            /// Sends a message to the peer with this number, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to).
            pub fn send_to_timeout(
                &self,
                peer: u32,
                message: impl $crate::Payload,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::SendError> {
                let wait = $crate::engine::Wait::AtMost(timeout);
                self.socket.send_to(&peer, message, wait).map(drop)
            }

            /// Sends a message to the peer with this number, in a task, and waits without end while that is at its high-water mark. It can be
            /// dropped at any time, as [`Push::send_async`](crate::Push::send_async).
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to), but for time.
            pub fn send_to_async<M: $crate::Payload>(
                &self,
                peer: u32,
                message: M,
            ) -> impl Future<Output = Result<(), $crate::SendError>> {
                self.socket.send_to_in_task(peer, message)
            }
        }
    };
}

pub(super) use numbered;
