//! One of the peers for each message, and where that is asked for, each message held until it is settled: how PUSH and DEALER send.

use super::Admission;
use super::acked_out::AckedOut;
use super::outlet::Outlet;
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::options::{Choice, Options, Share};

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
#[derive(Default)]
pub(super) struct BalancedOut {
    outlet: Outlet,
    /// Where messages are to be settled, they go this way alone: no peer is known to the outlet then.
    acked: Option<Box<AckedOut>>,
}

impl BalancedOut {
    /// One whose messages are not settled, and that chooses peers like this.
    pub(super) fn balanced(choice: Option<Choice>) -> Self {
        BalancedOut {
            outlet: Outlet::default().balanced(choice),
            acked: None,
        }
    }

    /// The same; but messages are to be settled, if that is what the options ask for.
    pub(super) fn with_options(choice: Option<Choice>, options: &Options) -> Self {
        let weighs = choice.is_some_and(|choice| choice.weighs);
        let acked = options.delivery.as_ref().map(|delivery| {
            let acked = AckedOut::new(delivery, options.send_hwm);
            Box::new(acked.weighing(weighs))
        });
        BalancedOut {
            acked,
            ..BalancedOut::balanced(choice)
        }
    }

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    pub(super) fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(sent) = self.outlet.send(peers, outgoing) {
            return Some(sent);
        }
        self.acked.as_mut()?.send(peers, outgoing)
    }

    pub(super) fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        match &mut self.acked {
            Some(acked) => acked.send(peers, outgoing),
            None => self.outlet.send_any(peers, outgoing),
        }
    }

    /// See [`Outlet::turn`].
    pub(super) fn turn(&self) -> Option<(PeerId, bool)> {
        self.outlet.turn()
    }

    /// See [`Outlet::end_turn`].
    pub(super) fn end_turn(&mut self) {
        self.outlet.end_turn();
    }

    pub(super) fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        match &self.acked {
            Some(acked) => acked.excess(peers, outgoing),
            None => self.outlet.excess(peers, outgoing),
        }
    }

    /// What knows of messages that are to be settled, if that is asked for.
    pub(super) fn acked(&self) -> Option<&AckedOut> {
        self.acked.as_deref()
    }

    pub(super) fn acked_mut(&mut self) -> Option<&mut AckedOut> {
        self.acked.as_deref_mut()
    }

    pub(super) fn reconfigure(
        &mut self,
        peers: &mut Peers,
        options: &Options,
        choice: Option<Choice>,
    ) {
        self.outlet.balance(peers, choice);
        if let Some(acked) = &mut self.acked {
            acked.set_send_hwm(options.send_hwm);
            acked.set_weighs(choice.is_some_and(|choice| choice.weighs));
        }
    }

    pub(super) fn weighs(&self) -> bool {
        self.outlet.weighs()
    }

    pub(super) fn set_share(&mut self, peers: &mut Peers, id: PeerId, share: Share) {
        match &mut self.acked {
            Some(acked) => acked.set_share(peers, id, share),
            None => self.outlet.set_share(id, share),
        }
    }

    /// With messages to be settled, those who are let go of say so by `detached`.
    pub(super) fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        self.outlet.lost(peers, id);
    }

    pub(super) fn admit(&self, peers: &Peers, id: PeerId) -> Admission {
        match &self.acked {
            Some(acked) => acked.admit(peers, id),
            None => Admission::Granted,
        }
    }

    pub(super) fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if self.acked.is_none() {
            self.outlet.attached(peers, id);
        }
    }

    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.established(peers, id);
        }
    }

    pub(super) fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        match &mut self.acked {
            Some(acked) => acked.detached(peers, id, unsent),
            None => self.outlet.detached(peers, id, unsent),
        }
    }

    pub(super) fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        match &mut self.acked {
            Some(acked) => acked.orphaned(peers, unsent),
            None => self.outlet.orphaned(peers, unsent),
        }
    }

    pub(super) fn would_send(&mut self, peers: &mut Peers) -> bool {
        match &self.acked {
            Some(acked) => acked.would_send(),
            None => self.outlet.would_send(peers),
        }
    }

    pub(super) fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        match &mut self.acked {
            Some(acked) => acked.dispatch(peers),
            None => self.outlet.writable(peers, id),
        }
    }

    pub(super) fn clear(&mut self, peers: &mut Peers) {
        self.outlet.clear(peers);
        if let Some(acked) = &mut self.acked {
            acked.clear(peers);
        }
    }

    pub(super) fn orphans(&self) -> usize {
        match &self.acked {
            Some(acked) => acked.unsettled(),
            None => self.outlet.orphans(),
        }
    }
}
