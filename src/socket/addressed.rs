//! What ROUTER and STREAM have in common: peers that are known by their routing ids, each message with the one it comes from or goes to.

use super::routing::attempt;
use crate::engine::{Net, Outgoing};
use crate::error::SendErrorKind;
use crate::message::{COPY_MAX, Message};
use crate::pattern::{Routed, RouterPattern};

/// The calls of such a type, and libzmq's form of them, in which the routing id is the first frame. What sending waits for, and which
/// errors it has, is said in the type's own words.
macro_rules! addressed {
    ($name:ident, waits: $waits:literal, errors: $errors:literal) => {
        $crate::socket::with_origin::with_origin!(
            $name,
            Incoming,
            receive_from,
            receive_from_in_task
        );

        impl $name {
            /// What is known of the peer that messages for this routing id go to: its [`principal`]($crate::PeerFacts::principal) above all. `None` if there is no
            /// such peer now. A routing id that has fallen free may be another peer's when this is asked.
            pub fn facts(&self, peer: &RoutingId) -> Option<PeerFacts> {
                let facts = self
                    .socket
                    .core()
                    .inspect(|pattern, net| pattern.facts(&net.peers, peer.as_bytes()).cloned());
                facts.ok().flatten()
            }

            /// Connects to an endpoint, as [`connect`](Self::connect) does, and gives the peer there a name, whatever it asks to be called: it can
            /// be sent to at once, and what is sent waits for the connection.
            ///
            /// libzmq: `ZMQ_CONNECT_ROUTING_ID`, which is set before the connect that it is for. If another peer has the name, libzmq ends the process.
            ///
            /// # Errors
            ///
            /// Those of [`connect`](Self::connect), and [`ConnectError::RoutingId`]: another peer has this name, or it is not 1 to 255 bytes of which the
            /// first is not 0.
            pub fn connect_with_routing_id<E>(
                &self,
                endpoint: E,
                routing_id: impl Into<RoutingId>,
            ) -> Result<(), ConnectError>
            where
                E: TryInto<Endpoint>,
                EndpointError: From<E::Error>,
            {
                let (endpoint, id) = (self::endpoint(endpoint)?, routing_id.into());
                if !id.is_valid() {
                    return Err(ConnectError::RoutingId { id });
                }
                let is_taken =
                    |pattern: &RouterPattern, id: &RoutingId| pattern.knows(id.as_bytes());
                self.socket
                    .connect_as(endpoint, Some(id), is_taken, |_, _| ())
            }

            /// The names of the peers that are connected, in no order. A peer that comes is among them once its handshake is done.
            pub fn routing_ids(&self) -> Vec<RoutingId> {
                let ids = self
                    .socket
                    .core()
                    .inspect(|pattern, net| pattern.connected(&net.peers));
                ids.unwrap_or_default()
            }

            /// Receives the next message; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            #[inline]
            pub fn recv(&self) -> Result<Incoming, RecvError> {
                self.socket.receive(self.socket.recv_wait())
            }

            /// Receives a message if there is one now.
            ///
            /// # Errors
            ///
            /// There is none, or closed.
            #[inline]
            pub fn try_recv(&self) -> Result<Incoming, RecvError> {
                self.socket.receive(Wait::Not)
            }

            /// Receives the next message, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_timeout(&self, timeout: Duration) -> Result<Incoming, RecvError> {
                self.socket.receive(Wait::AtMost(timeout))
            }

            /// Receives the next message, in a task, and waits without end. It can be dropped at any time, as
            /// [`Pull::recv_async`](crate::Pull::recv_async).
            ///
            /// # Errors
            ///
            /// Closed, or the context is shut down.
            pub fn recv_async(&self) -> impl Future<Output = Result<Incoming, RecvError>> + Send {
                self.socket.receive_in_task()
            }

            /// Receives at least one message, and as many more as are here already, up to `max`. Waits for the first like
            /// [`recv`](Self::recv).
            ///
            /// # Errors
            ///
            /// Timed out, or closed.
            pub fn recv_batch(&self, max: usize) -> Result<Vec<Incoming>, RecvError> {
                self.socket.receive_batch(max, self.socket.recv_wait())
            }

            /// Sends a message to the peer with this routing id.
            #[doc = $waits]
            ///
            /// # Errors
            ///
            #[doc = $errors]
            /// The error gives the message back.
            #[inline]
            pub fn send_to(
                &self,
                peer: impl AsRef<[u8]>,
                message: impl Payload,
            ) -> Result<Routed, SendError> {
                self.socket
                    .send_to(peer.as_ref(), message, self.socket.send_wait())
            }

            /// Sends a message to the peer with this routing id if that needs no waiting.
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to), and where it would wait.
            #[inline]
            pub fn try_send_to(
                &self,
                peer: impl AsRef<[u8]>,
                message: impl Payload,
            ) -> Result<Routed, SendError> {
                self.socket.send_to(peer.as_ref(), message, Wait::Not)
            }

            /// Sends a message to the peer with this routing id, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to).
            pub fn send_to_timeout(
                &self,
                peer: impl AsRef<[u8]>,
                message: impl Payload,
                timeout: Duration,
            ) -> Result<Routed, SendError> {
                self.socket
                    .send_to(peer.as_ref(), message, Wait::AtMost(timeout))
            }

            /// Sends a message to the peer with this routing id, in a task. Where [`send_to`](Self::send_to) would wait, it waits without end. It
            /// can be dropped at any time, as
            /// [`Push::send_async`](crate::Push::send_async).
            ///
            /// # Errors
            ///
            /// As [`send_to`](Self::send_to), but for time.
            pub fn send_to_async<M: Payload>(
                &self,
                peer: impl AsRef<[u8]>,
                message: M,
            ) -> impl Future<Output = Result<Routed, SendError>> {
                futures::send(
                    self.socket.core(),
                    message,
                    move |pattern, net, outgoing| attempt(pattern, net, peer.as_ref(), outgoing),
                )
            }
        }

        /// In libzmq's form: the first frame is the routing id of the peer, and the message follows.
        impl SendSocket for $name {
            type Sent = Routed;
        }

        /// In libzmq's form: the first frame is the routing id of the peer, and the message follows.
        impl RecvSocket for $name {}

        impl SendBy for $name {
            type Receipt = Routed;

            fn send_unless(
                &self,
                message: &Message,
                wait: Wait,
                halted: &dyn Fn() -> bool,
            ) -> Result<bool, SendErrorKind> {
                match opened(message) {
                    Some((peer, outgoing)) => {
                        self.socket.route_unless(peer, outgoing, wait, halted)
                    }
                    None => Err(SendErrorKind::NoBody),
                }
            }

            fn send_by(&self, message: impl Payload, wait: Wait) -> Result<Routed, SendError> {
                let message = message.into_message();
                let routed = match opened(&message) {
                    Some((peer, outgoing)) => self.socket.route(peer, outgoing, wait),
                    None => Err(SendErrorKind::NoBody),
                };
                routed.map_err(|kind| send_error(kind, message))
            }

            fn send_in_task<M: Payload + Send>(
                &self,
                message: M,
            ) -> impl Future<Output = Result<Routed, SendError>> + Send {
                futures::send(
                    self.socket.core(),
                    message.into_message(),
                    attempt_enveloped,
                )
            }

            #[cfg(feature = "futures")]
            fn poll_send<M: Payload>(
                &self,
                context: &Context<'_>,
                waits: &mut Option<Key>,
                message: &mut Unsent<M>,
            ) -> Poll<Result<Routed, SendError>> {
                futures::poll_send(
                    self.socket.core(),
                    context,
                    waits,
                    message,
                    attempt_enveloped,
                )
            }
        }

        impl RecvBy for $name {
            fn recv_unless(
                &self,
                message: &mut Message,
                wait: Wait,
                halted: &dyn Fn() -> bool,
            ) -> Result<bool, RecvError> {
                match self.socket.receive_unless(wait, halted)? {
                    Some(incoming) => *message = incoming.into_enveloped(),
                    None => return Ok(false),
                }
                Ok(true)
            }

            fn recv_by(&self, wait: Wait) -> Result<Message, RecvError> {
                self.socket.receive(wait).map(Incoming::into_enveloped)
            }

            fn recv_into_by(&self, message: &mut Message, wait: Wait) -> Result<(), RecvError> {
                *message = self.recv_by(wait)?;
                Ok(())
            }

            fn recv_batch_by(&self, max: usize, wait: Wait) -> Result<Vec<Message>, RecvError> {
                let batch = self.socket.receive_batch(max, wait)?;
                Ok(batch.into_iter().map(Incoming::into_enveloped).collect())
            }

            fn recv_in_task(&self) -> impl Future<Output = Result<Message, RecvError>> + Send {
                futures::receive(self.socket.core(), |pattern, net| {
                    take(pattern, net).map(Incoming::into_enveloped)
                })
            }

            fn recv_from_by(&self, wait: Wait) -> Result<(Message, $crate::Origin), RecvError> {
                let received = self.socket.receive_from(wait);
                received.map(|(incoming, origin)| (incoming.into_enveloped(), origin))
            }

            fn recv_from_in_task(
                &self,
            ) -> impl Future<Output = Result<(Message, $crate::Origin), RecvError>> + Send {
                futures::made_of(
                    self.socket.receive_from_in_task(),
                    |(incoming, origin): (Incoming, _)| (incoming.into_enveloped(), origin),
                )
            }

            #[cfg(feature = "futures")]
            fn poll_recv(
                &self,
                context: &Context<'_>,
                waits: &mut Option<Key>,
            ) -> Poll<Result<Message, RecvError>> {
                futures::poll_receive(self.socket.core(), context, waits, |pattern, net| {
                    take(pattern, net).map(Incoming::into_enveloped)
                })
            }
        }
    };
}

pub(super) use addressed;

/// The routing id that a message in libzmq's form begins with, and what it leaves. `None`: that is nothing.
pub(super) fn opened(message: &Message) -> Option<(&[u8], Outgoing<'_>)> {
    let body = message.get(1)?;
    // Short enough to be copied in any case, and so it can take the short way.
    let outgoing = match message.parts() == 2 && body.len() < COPY_MAX {
        true => Outgoing::Slice(body),
        false => Outgoing::Rest(message),
    };
    Some((message.first(), outgoing))
}

/// One attempt to send a message in libzmq's form.
pub(super) fn attempt_enveloped(
    pattern: &mut RouterPattern,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<Routed, SendErrorKind>> {
    let opened = match outgoing {
        Outgoing::Message(message) => opened(message),
        // It is one frame; the last two are not what it is given.
        Outgoing::Slice(_) | Outgoing::Rest(_) | Outgoing::Enveloped(_) => None,
    };
    match opened {
        Some((peer, outgoing)) => attempt(pattern, net, peer, outgoing),
        None => Some(Err(SendErrorKind::NoBody)),
    }
}
