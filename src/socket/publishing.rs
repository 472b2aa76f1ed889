//! What PUB and XPUB have in common: the forms of `send`, and waiting for subscribers.

/// See the module. As calls of the type itself and as [`SendSocket`](super::SendSocket).
macro_rules! publishing {
    ($name:ident) => {
        impl $name {
            /// Publishes a message. Does not wait, unless [`pub_block`](crate::Options::pub_block) is set.
            ///
            /// # Errors
            ///
            /// Closed, or timed out with `pub_block`; the error gives the message back.
            #[inline]
            pub fn send(
                &self,
                message: impl $crate::Payload,
            ) -> Result<$crate::Published, $crate::SendError> {
                self.socket.send(message, self.socket.send_wait())
            }

            /// Publishes a message; with [`pub_block`](crate::Options::pub_block), only if every subscriber who
            /// wants it has room now.
            ///
            /// # Errors
            ///
            /// A subscriber has no room (with `pub_block`), or closed; the error gives the message back.
            pub fn try_send(
                &self,
                message: impl $crate::Payload,
            ) -> Result<$crate::Published, $crate::SendError> {
                self.socket.send(message, $crate::engine::Wait::Not)
            }

            /// Publishes a message; with [`pub_block`](crate::Options::pub_block), waits for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out (with `pub_block`), or closed; the error gives the message back.
            pub fn send_timeout(
                &self,
                message: impl $crate::Payload,
                timeout: std::time::Duration,
            ) -> Result<$crate::Published, $crate::SendError> {
                self.socket
                    .send(message, $crate::engine::Wait::AtMost(timeout))
            }

            /// Publishes a message, in a task; with [`pub_block`](crate::Options::pub_block), waits without end while a subscriber who
            /// wants it has no room. See [In tasks](crate#in-tasks). It can be dropped at any time, as
            /// [`Push::send_async`](crate::Push::send_async).
            ///
            /// # Errors
            ///
            /// Closed; the error gives the message back.
            pub fn send_async<M: $crate::Payload>(
                &self,
                message: M,
            ) -> impl Future<Output = Result<$crate::Published, $crate::SendError>> {
                self.socket.send_async(message)
            }

            /// How many different topics peers have subscribed to, however many of them to each; with
            /// [`xpub_manual`](crate::Options::xpub_manual), those that they were given. Those of a peer that has gone are forgotten soon, and not
            /// counted are those that are served from a [log](crate::Options::log).
            ///
            /// libzmq: `ZMQ_TOPICS_COUNT`, a draft.
            ///
            /// ```
            /// # use std::time::Duration;
            /// # use zerohop::{Context, Pub, Sub};
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let context = Context::new();
            /// let (publisher, sub) = (Pub::new(&context)?, Sub::new(&context)?);
            /// sub.subscribe("stock.")?;
            /// sub.subscribe("stock.42")?;
            /// sub.connect(publisher.bind("tcp://127.0.0.1:*")?)?;
            /// publisher.wait_for_subscribers("stock.42", 1, Duration::from_secs(10))?;
            /// # while publisher.topics_count() < 2 {
            /// #     publisher.wait_for_subscribers("stock.42", 1, Duration::from_secs(10))?;
            /// # }
            /// assert_eq!((sub.topics_count(), publisher.topics_count()), (2, 2));
            /// # Ok(())
            /// # }
            /// ```
            pub fn topics_count(&self) -> usize {
                self.socket.count(|pattern| pattern.topics())
            }

            /// Waits until a message with this topic would go to at least so many peers.
            ///
            /// # Errors
            ///
            /// There were fewer when the time was up, or the socket was closed.
            pub fn wait_for_subscribers(
                &self,
                topic: impl AsRef<[u8]>,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                let topic = topic.as_ref();
                self.socket
                    .wait_for_count(count, timeout, |pattern, _| pattern.subscribers(topic))
            }

            /// Waits until at least so many peers have subscribed to something, whatever it is.
            ///
            /// # Errors
            ///
            /// There were fewer when the time was up, or the socket was closed.
            pub fn wait_for_any_subscribers(
                &self,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                self.socket
                    .wait_for_count(count, timeout, |pattern, _| pattern.any_subscribers())
            }
        }

        impl $crate::SendSocket for $name {
            type Sent = $crate::Published;
        }
    };
}

pub(super) use publishing;
