//! DEALER: each message to one peer, in turn, as PUSH does; and one from each peer that has one, in turn, as PULL does. Neither waits
//! for the other, and neither adds or takes away a frame. And CLIENT (RFC 41), whose messages have one frame.

use std::marker::PhantomData;
use std::time::Instant;

use super::acked_in::AckedIn;
use super::acked_out::AckedOut;
use super::balanced_out::BalancedOut;
use super::form::{AnyFrames, Form, OneFrame, next_formed, take_formed};
use super::{Admission, FairQueue, Pattern, Receiving, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::message::Message;
use crate::options::{Options, Share};
use crate::stats::DeliveryStats;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct DealerOf<F> {
    form: PhantomData<F>,
    out: BalancedOut,
    queue: FairQueue,
    /// Where messages are to be settled, they come this way alone: nothing is in the queue then.
    acked: Option<Box<AckedIn>>,
    /// Each new connection is told of by an empty message.
    probes: bool,
    /// A queue keeps only its newest message.
    conflates: bool,
    /// A message has been sent since the last was received: the next to come may be the answer.
    sent_last: bool,
    unexpected: u64,
}

/// DEALER.
pub(crate) type DealerPattern = DealerOf<AnyFrames>;

/// CLIENT.
pub(crate) type ClientPattern = DealerOf<OneFrame>;

impl DealerPattern {
    #[cfg(test)]
    pub(crate) fn new(probes: bool, conflates: bool) -> Self {
        Self::of_form(probes, conflates, &Options::new())
    }

    pub(crate) fn with_options(options: &Options) -> Self {
        Self::of_form(options.probe_router, options.conflate, options)
    }
}

impl ClientPattern {
    pub(crate) fn with_options(options: &Options) -> Self {
        Self::of_form(false, false, options)
    }
}

impl<F: Form> DealerOf<F> {
    fn of_form(probes: bool, conflates: bool, options: &Options) -> Self {
        let choice = options.balancing.choice();
        let (out, delivery) = match F::SINGLE {
            true => (BalancedOut::balanced(choice), None),
            false => {
                let out = BalancedOut::with_options(choice, options);
                (out, options.delivery.as_ref())
            }
        };
        DealerOf {
            form: PhantomData,
            out,
            queue: FairQueue::new(),
            acked: delivery.map(|delivery| Box::new(AckedIn::new(delivery))),
            probes,
            conflates,
            sent_last: false,
            unexpected: 0,
        }
    }
}

impl<F: Form> Sending for DealerOf<F> {
    type Sent = ();

    const SINGLE: bool = F::SINGLE;

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        let sent = self.out.send(peers, outgoing);
        self.sent_last = sent.is_some();
        sent
    }

    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        let sent = self.out.send_any(peers, outgoing);
        self.sent_last = sent.is_some();
        sent
    }

    fn sent_stored() -> Option<()> {
        (!F::SINGLE).then_some(())
    }

    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        self.out.excess(peers, outgoing)
    }
}

impl<F: Form> Receiving for DealerOf<F> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        if take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected).is_some() {
            self.sent_last = false;
            return Some(());
        }
        self.acked.as_mut()?.recv(peers, message)
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        let id = take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected);
        match id {
            Some(id) => {
                self.sent_last = false;
                Some(Some(id))
            }
            None => self.acked.as_mut()?.recv_from(peers, message).map(Some),
        }
    }
}

impl<F: Form> Pattern for DealerOf<F> {
    fn socket_type(&self) -> SocketType {
        match F::SINGLE {
            true => SocketType::Client,
            false => SocketType::Dealer,
        }
    }

    fn objection(&self, options: &Options) -> Option<(&'static str, &'static str)> {
        match self.out.acked().is_some() {
            true => options.unsettled_message(),
            false => None,
        }
    }

    fn reconfigure(&mut self, peers: &mut Peers, options: &Options) {
        self.probes = options.probe_router && !F::SINGLE;
        let choice = options.balancing.choice();
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
        if let Some(acked) = &mut self.acked {
            acked.lost(peers, id);
        }
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        !F::SINGLE
    }

    fn hello(&self) -> Option<Hello> {
        let (out, incoming) = (self.out.acked()?, self.acked.as_ref()?);
        Some(Hello {
            window: incoming.hello().window,
            ..out.hello()
        })
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        self.out.admit(peers, id)
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.attached(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        if let Some(acked) = &mut self.acked {
            acked.lost(peers, id);
        }
        self.out.detached(peers, id, unsent);
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        self.out.orphaned(peers, unsent);
    }

    /// Another peer may take them.
    fn refused(&mut self, peers: &mut Peers, _id: PeerId, unsent: Vec<Unsent>) {
        self.out.orphaned(peers, unsent);
    }

    /// Where there is no room for the probe there are messages, which tell the peer of us as well; and so does the one of
    /// which the probe would take the place.
    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.opened(peers, id);
        }
        self.out.established(peers, id);
        if self.probes && !(self.conflates && peers.queued_out(id) > 0) {
            peers.try_send(id, Outgoing::Slice(b""));
        }
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
        if let Some(acked) = &mut self.acked {
            acked.forget(id);
        }
    }

    fn has_more(&self) -> bool {
        match &self.acked {
            Some(acked) => acked.has_more(),
            None => self.queue.front().is_some(),
        }
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        match &mut self.acked {
            Some(acked) => acked.would_receive(peers),
            None => next_formed::<F>(&mut self.queue, peers, &mut self.unexpected),
        }
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if let Some(acked) = &mut self.acked {
            return acked.readable(peers, id);
        }
        self.queue.push(id);
        Ok(())
    }

    fn connects_once(&self) -> bool {
        !F::SINGLE
    }

    /// Jobs are not answered at once.
    fn in_dialogue(&self) -> bool {
        self.sent_last && self.acked.is_none()
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

    fn unexpected(&self) -> u64 {
        self.unexpected
    }

    fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        match (notice, self.out.acked_mut(), &mut self.acked) {
            (Notice::Settle(_), Some(acked), _) => acked.delivery(id, notice, now),
            (Notice::Run(_) | Notice::Revoke(_), _, Some(acked)) => acked.delivery(id, notice),
            _ => Ok(()),
        }
    }

    fn acked_out(&mut self) -> Option<&mut AckedOut> {
        self.out.acked_mut()
    }

    fn acked_in(&mut self) -> Option<&mut AckedIn> {
        self.acked.as_deref_mut()
    }

    fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.settled(peers, id);
        }
        if let Some(acked) = self.out.acked_mut() {
            acked.dispatch(peers);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let out = self.out.acked()?.deadline();
        let incoming = self.acked.as_ref().and_then(|acked| acked.deadline());
        out.into_iter().chain(incoming).min()
    }

    fn closing(&mut self, peers: &mut Peers) {
        if let Some(acked) = &mut self.acked {
            acked.closing(peers);
        }
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(acked) = &mut self.acked {
            acked.handle_timeout(peers, now);
        }
        if let Some(acked) = self.out.acked_mut() {
            acked.handle_timeout(peers, now);
        }
    }

    fn delivery_stats(&self) -> DeliveryStats {
        let acked = self.out.acked();
        acked.map(AckedOut::stats).unwrap_or_default()
    }
}
