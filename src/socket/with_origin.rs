//! Messages with who they come from.

use super::routing::Incoming;
use super::{Socket, futures, recv_error};
use crate::engine::{Net, Wait};
use crate::error::RecvError;
use crate::message::Message;
use crate::origin::Origin;
use crate::pattern::{Name, Receiving, RouterOf};

impl<P: Receiving + 'static> Socket<P> {
    pub(super) fn recv_from(&self, wait: Wait) -> Result<(Message, Origin), RecvError> {
        self.core().until(wait, take_from).map_err(recv_error)
    }

    pub(super) fn recv_from_in_task(
        &self,
    ) -> impl Future<Output = Result<(Message, Origin), RecvError>> + Unpin {
        futures::receive(self.core(), take_from)
    }
}

fn take_from<P: Receiving>(pattern: &mut P, net: &mut Net) -> Option<(Message, Origin)> {
    let mut message = Message::new();
    let id = pattern.recv_from(&mut net.peers, &mut message)?;
    let origin = id.map(|id| net.peers.origin(id)).unwrap_or_default();
    Some((message, origin))
}

impl<N: Name> Socket<RouterOf<N>> {
    pub(super) fn receive_from(&self, wait: Wait) -> Result<(Incoming<N>, Origin), RecvError> {
        let received = self.core().until(wait, take_incoming_from);
        received.map_err(recv_error)
    }

    pub(super) fn receive_from_in_task(
        &self,
    ) -> impl Future<Output = Result<(Incoming<N>, Origin), RecvError>> + Unpin {
        futures::receive(self.core(), take_incoming_from)
    }
}

fn take_incoming_from<N: Name>(
    pattern: &mut RouterOf<N>,
    net: &mut Net,
) -> Option<(Incoming<N>, Origin)> {
    let mut message = Message::new();
    let (from, peer) = pattern.recv_from(&mut net.peers, &mut message)?;
    let peer = peer.clone();
    let origin = from.map(|id| net.peers.origin(id)).unwrap_or_default();
    Some((Incoming { peer, message }, origin))
}

/// The calls of a type: what it receives, and by which calls of its socket.
macro_rules! with_origin {
    (@in_task $received:expr) => {
        $received
    };
    (@in_task $received:expr, $map:expr) => {
        $crate::socket::futures::made_of($received, $map)
    };
    ($name:ident, $received:ty, $recv:ident, $in_task:ident $(, $map:expr)?) => {
        impl $name {
            /// Receives the next message as [`recv`](Self::recv) does, with what is known of the peer that it comes from: its address,
            /// the mechanism, and who it is.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv).
            pub fn recv_from(&self) -> Result<($received, $crate::Origin), $crate::RecvError> {
                self.socket.$recv(self.socket.recv_wait())$(.map($map))?
            }

            /// The same if there is a message now, as [`try_recv`](Self::try_recv).
            ///
            /// # Errors
            ///
            /// As [`try_recv`](Self::try_recv).
            pub fn try_recv_from(&self) -> Result<($received, $crate::Origin), $crate::RecvError> {
                self.socket.$recv($crate::engine::Wait::Not)$(.map($map))?
            }

            /// The same, waiting for at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`recv_timeout`](Self::recv_timeout).
            pub fn recv_from_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<($received, $crate::Origin), $crate::RecvError> {
                self.socket.$recv($crate::engine::Wait::AtMost(timeout))$(.map($map))?
            }

            /// The same, in a task, as [`recv_async`](Self::recv_async).
            ///
            /// # Errors
            ///
            /// As [`recv_async`](Self::recv_async).
            pub fn recv_from_async(
                &self,
            ) -> impl Future<Output = Result<($received, $crate::Origin), $crate::RecvError>> + Send
            {
                $crate::socket::with_origin::with_origin!(@in_task self.socket.$in_task() $(, $map)?)
            }
        }
    };
}

pub(super) use with_origin;
