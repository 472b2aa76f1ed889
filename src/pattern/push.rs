//! PUSH: each message to one peer, in turn, of those that have room. And SCATTER, whose messages have one frame.

use std::marker::PhantomData;
use std::time::Instant;

use super::acked_out::AckedOut;
use super::balanced_out::BalancedOut;
use super::form::{AnyFrames, Form, OneFrame};
use super::{Admission, Pattern, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::options::{Options, Share};
use crate::stats::DeliveryStats;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PushOf<F> {
    form: PhantomData<F>,
    out: BalancedOut,
}

/// PUSH.
pub(crate) type PushPattern = PushOf<AnyFrames>;

/// SCATTER.
pub(crate) type ScatterPattern = PushOf<OneFrame>;

impl<F: Form> PushOf<F> {
    pub(crate) fn new() -> Self {
        PushOf {
            form: PhantomData,
            out: BalancedOut::default(),
        }
    }

    /// Messages are to be settled, if that is what the options ask for.
    pub(crate) fn with_options(options: &Options) -> Self {
        let choice = options.balancing.choice_without_count();
        PushOf {
            out: BalancedOut::with_options(choice, options),
            ..PushOf::new()
        }
    }

    /// One whose messages are not settled, and that chooses peers as the options say.
    pub(crate) fn balanced(options: &Options) -> Self {
        let choice = options.balancing.choice_without_count();
        PushOf {
            out: BalancedOut::balanced(choice),
            ..PushOf::new()
        }
    }

    /// The peer whose turn it is, and whether it is the only one with room. `None`: more is to be done than to queue a message for it.
    pub(super) fn turn(&self) -> Option<(PeerId, bool)> {
        self.out.turn()
    }

    /// Ends its turn: it has been given something.
    pub(super) fn end_turn(&mut self) {
        self.out.end_turn();
    }
}

impl<F: Form> Sending for PushOf<F> {
    type Sent = ();

    const SINGLE: bool = F::SINGLE;

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        self.out.send(peers, outgoing)
    }

    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        self.out.send_any(peers, outgoing)
    }

    fn sent_stored() -> Option<()> {
        (!F::SINGLE).then_some(())
    }

    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        self.out.excess(peers, outgoing)
    }
}

impl<F: Form> Pattern for PushOf<F> {
    fn socket_type(&self) -> SocketType {
        match F::SINGLE {
            true => SocketType::Scatter,
            false => SocketType::Push,
        }
    }

    fn reconfigure(&mut self, peers: &mut Peers, options: &Options) {
        let choice = options.balancing.choice_without_count();
        self.out.reconfigure(peers, options, choice);
    }

    fn weighs(&self) -> bool {
        self.out.weighs()
    }

    fn set_share(&mut self, peers: &mut Peers, id: PeerId, share: Share) {
        self.out.set_share(peers, id, share);
    }

    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.lost(peers, id);
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        !F::SINGLE
    }

    fn hello(&self) -> Option<Hello> {
        self.out.acked().map(AckedOut::hello)
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        self.out.admit(peers, id)
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.attached(peers, id);
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.established(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.out.detached(peers, id, unsent);
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        self.out.orphaned(peers, unsent);
    }

    /// Another peer may take them.
    fn refused(&mut self, peers: &mut Peers, _id: PeerId, unsent: Vec<Unsent>) {
        self.out.orphaned(peers, unsent);
    }

    /// A PUSH never reads: what a peer sends is forgotten.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        peers.discard_inbound(id);
        Ok(())
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        self.out.would_send(peers)
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.writable(peers, id);
    }

    fn clear(&mut self, peers: &mut Peers) {
        self.out.clear(peers);
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn orphans(&self) -> usize {
        self.out.orphans()
    }

    fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        match self.out.acked_mut() {
            Some(acked) => acked.delivery(id, notice, now),
            None => Ok(()),
        }
    }

    fn acked_out(&mut self) -> Option<&mut AckedOut> {
        self.out.acked_mut()
    }

    fn settled(&mut self, peers: &mut Peers, _id: PeerId) {
        if let Some(acked) = self.out.acked_mut() {
            acked.dispatch(peers);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.out.acked()?.deadline()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(acked) = self.out.acked_mut() {
            acked.handle_timeout(peers, now);
        }
    }

    fn delivery_stats(&self) -> DeliveryStats {
        let acked = self.out.acked();
        acked.map(AckedOut::stats).unwrap_or_default()
    }
}
