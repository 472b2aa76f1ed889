//! PUSH: each message to one peer, in turn, of those that have room. And SCATTER, whose messages have one frame.

use std::marker::PhantomData;

use super::form::{AnyFrames, Form, OneFrame};
use super::outlet::Outlet;
use super::{Pattern, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PushOf<F> {
    form: PhantomData<F>,
    outlet: Outlet,
}

/// PUSH.
pub(crate) type PushPattern = PushOf<AnyFrames>;

/// SCATTER.
pub(crate) type ScatterPattern = PushOf<OneFrame>;

impl<F: Form> PushOf<F> {
    pub(crate) fn new() -> Self {
        PushOf {
            form: PhantomData,
            outlet: Outlet::default(),
        }
    }
}

impl<F: Form> Sending for PushOf<F> {
    type Sent = ();

    const SINGLE: bool = F::SINGLE;

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        self.outlet.send(peers, outgoing)
    }

    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        self.outlet.send_any(peers, outgoing)
    }

    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        self.outlet.excess(peers, outgoing)
    }
}

impl<F: Form> Pattern for PushOf<F> {
    fn socket_type(&self) -> SocketType {
        match F::SINGLE {
            true => SocketType::Scatter,
            false => SocketType::Push,
        }
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        !F::SINGLE
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.outlet.attached(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.outlet.detached(peers, id, unsent);
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        self.outlet.orphaned(peers, unsent);
    }

    /// Another peer may take them.
    fn refused(&mut self, peers: &mut Peers, _id: PeerId, unsent: Vec<Unsent>) {
        self.outlet.orphaned(peers, unsent);
    }

    /// A PUSH never reads: what a peer sends is forgotten.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        peers.discard_inbound(id);
        Ok(())
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        self.outlet.would_send(peers)
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        self.outlet.writable(peers, id);
    }

    fn clear(&mut self, peers: &mut Peers) {
        self.outlet.clear(peers);
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn orphans(&self) -> usize {
        self.outlet.orphans()
    }
}
