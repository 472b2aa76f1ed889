//! What ROUTER, SERVER and PEER have in common: each message comes with who sent it, and goes to whom it names.

use super::futures;
use super::sending::multipart;
use super::{Socket, recv_error, send_error, send_error_kind};
use crate::engine::{Net, Outgoing, Wait};
use crate::error::{RecvError, SendError, SendErrorKind};
use crate::message::{Message, Payload, RoutingId};
use crate::pattern::{JobId, Name, Routed, RouterOf, Unroutable};

/// A message, and who it came from.
///
/// The name of the peer is a [`RoutingId`] where it comes from a [`Router`](crate::Router), and a number where it comes from a
/// [`Server`](crate::Server) or a [`Peer`](crate::Peer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming<N = RoutingId> {
    /// The name of the peer, to [answer](crate::Router::send_to) it.
    pub peer: N,
    /// The message, without that name.
    pub message: Message,
}

impl Incoming {
    /// One message, in libzmq's form: with the routing id as its first frame.
    ///
    /// ```
    /// use zerohop::{Incoming, Message, RoutingId};
    ///
    /// let incoming = Incoming { peer: RoutingId::from("me"), message: Message::from("body") };
    /// assert_eq!(incoming.into_enveloped(), ["me", "body"]);
    /// ```
    pub fn into_enveloped(self) -> Message {
        let Incoming { peer, mut message } = self;
        message.push_front(peer.into_frame());
        message
    }
}

impl<N: Name> Socket<RouterOf<N>> {
    #[inline]
    pub(super) fn receive(&self, wait: Wait) -> Result<Incoming<N>, RecvError> {
        // Each part is made where it stays: what has just been written is copied slowly.
        let mut message = Message::new();
        let peer = self.core().at_once(|pattern, net| {
            let peer = pattern.recv(&mut net.peers, &mut message)?;
            Some(peer.clone())
        });
        match peer {
            Some(peer) => Ok(Incoming { peer, message }),
            None => self.receive_slowly(wait),
        }
    }

    #[inline(never)]
    fn receive_slowly(&self, wait: Wait) -> Result<Incoming<N>, RecvError> {
        self.core().until(wait, take).map_err(recv_error)
    }

    /// `None`: it had to wait, and was `halted`.
    #[inline]
    pub(super) fn receive_unless(
        &self,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<Option<Incoming<N>>, RecvError> {
        let core = self.core();
        if let Some(incoming) = core.at_once(take) {
            return Ok(Some(incoming));
        }
        let received = core.until(wait, |pattern, net| match take(pattern, net) {
            Some(incoming) => Some(Some(incoming)),
            None => halted().then_some(None),
        });
        received.map_err(recv_error)
    }

    /// `false`: it had to wait, and was `halted`.
    #[inline]
    pub(super) fn route_unless(
        &self,
        peer: &N::Key,
        outgoing: Outgoing<'_>,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        let core = self.core();
        let routed = match core.at_once(|pattern, net| attempt(pattern, net, peer, outgoing)) {
            Some(routed) => routed.map(Some),
            None => {
                let routed = core.until(wait, |pattern, net| {
                    match attempt(pattern, net, peer, outgoing) {
                        Some(routed) => Some(routed.map(Some)),
                        None => halted().then_some(Ok(None)),
                    }
                });
                routed.unwrap_or_else(|stop| Err(send_error_kind(stop)))
            }
        };
        routed.map(|routed| routed.is_some())
    }

    pub(super) fn receive_batch(
        &self,
        max: usize,
        wait: Wait,
    ) -> Result<Vec<Incoming<N>>, RecvError> {
        let mut batch = Vec::new();
        let received = self.core().until(wait, |pattern, net| {
            while batch.len() < max
                && let Some(incoming) = take(pattern, net)
            {
                batch.push(incoming);
            }
            (!batch.is_empty() || max == 0).then_some(())
        });
        received.map_err(recv_error)?;
        Ok(batch)
    }

    pub(super) fn receive_in_task(&self) -> impl Future<Output = Result<Incoming<N>, RecvError>> {
        futures::receive(self.core(), take)
    }

    #[inline]
    pub(super) fn send_to<M: Payload>(
        &self,
        peer: &N::Key,
        message: M,
        wait: Wait,
    ) -> Result<Routed, SendError> {
        if let Some(slice) = message.as_single() {
            return match self.route_slice(peer, slice, wait) {
                Ok(routed) => Ok(routed),
                Err(kind) => Err(send_error(kind, message)),
            };
        }
        let message = message.into_message();
        if N::NUMBERED && message.is_multipart() {
            return Err(multipart(message));
        }
        self.route(peer, Outgoing::Message(&message), wait)
            .map_err(|kind| send_error(kind, message))
    }

    pub(super) fn send_to_in_task<M: Payload>(
        &self,
        peer: N,
        message: M,
    ) -> impl Future<Output = Result<(), SendError>> {
        futures::send(self.core(), message, move |pattern, net, outgoing| {
            let parts = outgoing.extent().1;
            if N::NUMBERED && parts > 1 {
                return Some(Err(SendErrorKind::Multipart { parts }));
            }
            let sent = attempt(pattern, net, peer.borrow(), outgoing);
            sent.map(|sent| sent.map(drop))
        })
    }

    /// Takes the slice in registers: see [`Socket::send_slice`].
    fn route_slice(
        &self,
        peer: &N::Key,
        slice: &[u8],
        wait: Wait,
    ) -> Result<Routed, SendErrorKind> {
        let routed = self
            .core()
            .at_once(move |pattern, net| attempt(pattern, net, peer, Outgoing::Slice(slice)));
        match routed {
            Some(routed) => routed,
            None => self.route_slowly(peer, Outgoing::Slice(slice), wait),
        }
    }

    #[inline]
    pub(super) fn route(
        &self,
        peer: &N::Key,
        outgoing: Outgoing<'_>,
        wait: Wait,
    ) -> Result<Routed, SendErrorKind> {
        let core = self.core();
        match core.at_once(|pattern, net| attempt(pattern, net, peer, outgoing)) {
            Some(routed) => routed,
            None => self.route_slowly(peer, outgoing, wait),
        }
    }

    #[inline(never)]
    fn route_slowly(
        &self,
        peer: &N::Key,
        outgoing: Outgoing<'_>,
        wait: Wait,
    ) -> Result<Routed, SendErrorKind> {
        let core = self.core();
        let routed = core.until(wait, |pattern, net| attempt(pattern, net, peer, outgoing));
        routed.unwrap_or_else(|stop| Err(send_error_kind(stop)))
    }
}

#[inline]
pub(super) fn take<N: Name>(pattern: &mut RouterOf<N>, net: &mut Net) -> Option<Incoming<N>> {
    let mut message = Message::new();
    let peer = pattern.recv(&mut net.peers, &mut message)?.clone();
    Some(Incoming { peer, message })
}

/// `None`: there is no room, and it is to be waited for.
#[inline]
pub(super) fn attempt<N: Name>(
    pattern: &mut RouterOf<N>,
    net: &mut Net,
    peer: &N::Key,
    outgoing: Outgoing<'_>,
) -> Option<Result<Routed, SendErrorKind>> {
    let routed = pattern.send_to(&mut net.peers, peer, outgoing);
    outcome(pattern, net, outgoing, routed)
}

/// The same, and what the message is named by if it is to be settled.
pub(super) fn attempt_later<N: Name>(
    pattern: &mut RouterOf<N>,
    net: &mut Net,
    peer: &N::Key,
    outgoing: Outgoing<'_>,
) -> Option<Result<Option<JobId>, SendErrorKind>> {
    let routed = pattern.send_later(&mut net.peers, peer, outgoing);
    outcome(pattern, net, outgoing, routed)
}

#[inline]
fn outcome<N: Name, T>(
    pattern: &mut RouterOf<N>,
    net: &mut Net,
    outgoing: Outgoing<'_>,
    routed: Result<T, Unroutable>,
) -> Option<Result<T, SendErrorKind>> {
    net.pace(
        pattern,
        outgoing,
        !matches!(routed, Err(Unroutable::NoRoom)),
    );
    match routed {
        Ok(routed) => Some(Ok(routed)),
        Err(Unroutable::NoRoom) => None,
        Err(Unroutable::NoSuchPeer) => Some(Err(SendErrorKind::Unroutable)),
        Err(Unroutable::TooLarge(excess)) => Some(Err(excess.into())),
    }
}
