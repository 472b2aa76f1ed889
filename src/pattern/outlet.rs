//! One of the peers for each message, in turn, and what becomes of messages whose peer has gone: how PUSH and DEALER send.

use std::collections::VecDeque;

use super::LoadBalancer;
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::options::{Choice, Share};

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
#[derive(Default)]
pub(super) struct Outlet {
    balancer: LoadBalancer,
    /// Accepted for a peer that has gone since; they go first, to whoever has room.
    orphans: VecDeque<Unsent>,
}

impl Outlet {
    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    pub(super) fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(id) = self.balancer.next()
            && self.orphans.is_empty()
            && peers.send_single(id, outgoing)
        {
            self.balancer.advance();
            return Some(());
        }
        self.send_any(peers, outgoing)
    }

    /// The peer whose turn it is, and whether it is the only one with room. `None`: more is to be done than to queue a message for it.
    pub(super) fn turn(&self) -> Option<(PeerId, bool)> {
        let next = self.balancer.next().filter(|_| self.orphans.is_empty())?;
        Some((next, self.balancer.ready_len() == 1))
    }

    /// Ends its turn: it has been given something.
    pub(super) fn end_turn(&mut self) {
        self.balancer.advance();
    }

    #[inline(never)]
    pub(super) fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if !self.orphans.is_empty() {
            self.place_orphans(peers);
            if !self.orphans.is_empty() {
                return None;
            }
        }
        if self.balancer.counts() {
            for (id, count) in peers.take_arrivals() {
                self.balancer.finished(id, count);
            }
        }
        self.balancer
            .give(peers, |peers, id| peers.try_send(id, outgoing))
            .map(drop)
    }

    /// Why no peer will ever take a message, if that is so.
    #[cold]
    pub(super) fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        let (_, excess) = self.refused_by_all(peers, outgoing)?;
        Some(excess)
    }

    /// Each of the peers has announced a limit that forbids the message. Gives the one that would take most.
    fn refused_by_all(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<(PeerId, Excess)> {
        peers.refused_by_all(self.balancer.peers(), outgoing)
    }

    /// Chooses peers like this from now on.
    pub(super) fn balance(&mut self, peers: &Peers, choice: Option<Choice>) {
        if self.balancer.set_choice(choice) {
            for id in self.balancer.peers().collect::<Vec<PeerId>>() {
                let queued = peers.queued_out(id) as u64;
                self.balancer.set_outstanding(id, queued);
            }
        }
    }

    /// The same, before there are any.
    pub(super) fn balanced(mut self, choice: Option<Choice>) -> Self {
        self.balancer.set_choice(choice);
        self
    }

    pub(super) fn weighs(&self) -> bool {
        self.balancer.weighs()
    }

    pub(super) fn set_share(&mut self, id: PeerId, share: Share) {
        self.balancer.set_share(id, Some(share));
    }

    /// Its connection is gone: what had left has come to nothing.
    pub(super) fn lost(&mut self, peers: &Peers, id: PeerId) {
        self.balancer.set_share(id, None);
        self.balancer
            .set_outstanding(id, peers.queued_out(id) as u64);
    }

    pub(super) fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.add(id);
        self.place_orphans(peers);
    }

    pub(super) fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.balancer.remove(id);
        self.orphans.extend(unsent);
        self.place_orphans(peers);
    }

    pub(super) fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        for unsent in unsent.into_iter().rev() {
            self.orphans.push_front(unsent);
        }
        self.place_orphans(peers);
    }

    pub(super) fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.set_ready(id);
        self.place_orphans(peers);
    }

    pub(super) fn clear(&mut self, peers: &mut Peers) {
        for unsent in self.orphans.drain(..) {
            peers.discard(unsent.message);
        }
    }

    pub(super) fn would_send(&mut self, peers: &mut Peers) -> bool {
        self.place_orphans(peers);
        self.orphans.is_empty() && self.balancer.has_room(peers)
    }

    pub(super) fn orphans(&self) -> usize {
        self.orphans.len()
    }

    fn place_orphans(&mut self, peers: &mut Peers) {
        while let Some(unsent) = self.orphans.pop_front() {
            let placed = self
                .balancer
                .give(peers, |peers, id| peers.try_again(id, &unsent));
            if placed.is_some() {
                continue;
            }
            match self.refused_by_all(peers, Outgoing::Message(&unsent.message)) {
                Some((id, excess)) => {
                    peers.give_up(id, unsent.message.size(), excess.into());
                    peers.discard(unsent.message);
                }
                None => return self.orphans.push_front(unsent),
            }
        }
    }
}
