//! PUSH: each message to one peer, in turn, of those that have room. And SCATTER, whose messages have one frame.

use std::marker::PhantomData;
use std::time::Instant;

use super::acked_out::{AckedOut, DeadLetter, JobId, Settled};
use super::form::{AnyFrames, Form, OneFrame};
use super::outlet::Outlet;
use super::{Admission, Pattern, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::options::{Options, Share};
use crate::stats::DeliveryStats;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PushOf<F> {
    form: PhantomData<F>,
    outlet: Outlet,
    /// Where messages are to be settled, they go this way alone: no peer is known to the outlet then.
    acked: Option<Box<AckedOut>>,
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
            acked: None,
        }
    }

    /// Messages are to be settled, if that is what the options ask for.
    pub(crate) fn with_options(options: &Options) -> Self {
        let delivery = options.delivery.as_ref();
        let choice = options.balancing.choice_without_count();
        let weighs = choice.is_some_and(|choice| choice.weighs);
        let acked = delivery.map(|delivery| {
            let acked = AckedOut::new(delivery, options.send_hwm);
            Box::new(acked.weighing(weighs))
        });
        PushOf {
            acked,
            ..PushOf::balanced(options)
        }
    }

    /// One whose messages are not settled, and that chooses peers as the options say.
    pub(crate) fn balanced(options: &Options) -> Self {
        let choice = options.balancing.choice_without_count();
        PushOf {
            outlet: Outlet::default().balanced(choice),
            ..PushOf::new()
        }
    }

    /// Sends a message of whose end [`settled_as`](Self::settled_as) tells, by its name; without one where messages are not settled.
    pub(crate) fn send_later(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
    ) -> Option<Option<JobId>> {
        match &mut self.acked {
            Some(acked) => acked.send_later(peers, outgoing).map(Some),
            None => self.outlet.send_any(peers, outgoing).map(|()| None),
        }
    }

    /// What has become of the message with this number, if that is known.
    pub(crate) fn settled_as(&self, number: u64) -> Option<Settled> {
        self.acked.as_ref()?.settled_as(number)
    }

    /// Nobody asks for that any more.
    pub(crate) fn forget_receipt(&mut self, number: u64) {
        if let Some(acked) = &mut self.acked {
            acked.forget_receipt(number);
        }
    }

    /// The messages that are delivered no more, since this was last asked.
    pub(crate) fn take_dead(&mut self) -> Vec<DeadLetter> {
        self.acked
            .as_mut()
            .map(|acked| acked.take_dead())
            .unwrap_or_default()
    }
}

impl<F: Form> Sending for PushOf<F> {
    type Sent = ();

    const SINGLE: bool = F::SINGLE;

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(sent) = self.outlet.send(peers, outgoing) {
            return Some(sent);
        }
        self.acked.as_mut()?.send(peers, outgoing)
    }

    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        match &mut self.acked {
            Some(acked) => acked.send(peers, outgoing),
            None => self.outlet.send_any(peers, outgoing),
        }
    }

    fn sent_stored() -> Option<()> {
        (!F::SINGLE).then_some(())
    }

    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        match &self.acked {
            Some(acked) => acked.excess(peers, outgoing),
            None => self.outlet.excess(peers, outgoing),
        }
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
        self.outlet.balance(peers, choice);
        if let Some(acked) = &mut self.acked {
            acked.set_send_hwm(options.send_hwm);
            acked.set_weighs(choice.is_some_and(|choice| choice.weighs));
        }
    }

    fn weighs(&self) -> bool {
        self.outlet.weighs()
    }

    fn set_share(&mut self, peers: &mut Peers, id: PeerId, share: Share) {
        match &mut self.acked {
            Some(acked) => acked.set_share(peers, id, share),
            None => self.outlet.set_share(id, share),
        }
    }

    /// With messages to be settled, those who are let go of say so by `detached`.
    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        self.outlet.lost(peers, id);
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        !F::SINGLE
    }

    fn hello(&self) -> Option<Hello> {
        self.acked.as_ref().map(|acked| acked.hello())
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        match &self.acked {
            Some(acked) => acked.admit(peers, id),
            None => Admission::Granted,
        }
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if self.acked.is_none() {
            self.outlet.attached(peers, id);
        }
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.established(peers, id);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        match &mut self.acked {
            Some(acked) => acked.detached(peers, id, unsent),
            None => self.outlet.detached(peers, id, unsent),
        }
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        match &mut self.acked {
            Some(acked) => acked.orphaned(peers, unsent),
            None => self.outlet.orphaned(peers, unsent),
        }
    }

    /// Another peer may take them.
    fn refused(&mut self, peers: &mut Peers, _id: PeerId, unsent: Vec<Unsent>) {
        self.orphaned(peers, unsent);
    }

    /// A PUSH never reads: what a peer sends is forgotten.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        peers.discard_inbound(id);
        Ok(())
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        match &self.acked {
            Some(acked) => acked.would_send(),
            None => self.outlet.would_send(peers),
        }
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        match &mut self.acked {
            Some(acked) => acked.dispatch(peers),
            None => self.outlet.writable(peers, id),
        }
    }

    fn clear(&mut self, peers: &mut Peers) {
        self.outlet.clear(peers);
        if let Some(acked) = &mut self.acked {
            acked.clear(peers);
        }
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn orphans(&self) -> usize {
        match &self.acked {
            Some(acked) => acked.unsettled(),
            None => self.outlet.orphans(),
        }
    }

    fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        match &mut self.acked {
            Some(acked) => acked.delivery(id, notice, now),
            None => Ok(()),
        }
    }

    fn acked_out(&mut self) -> Option<&mut AckedOut> {
        self.acked.as_deref_mut()
    }

    fn settled(&mut self, peers: &mut Peers, _id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.dispatch(peers);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.acked.as_ref()?.deadline()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(acked) = &mut self.acked {
            acked.handle_timeout(peers, now);
        }
    }

    fn delivery_stats(&self) -> DeliveryStats {
        let acked = self.acked.as_ref();
        acked.map(|acked| acked.stats()).unwrap_or_default()
    }
}
