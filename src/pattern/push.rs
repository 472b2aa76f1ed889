//! PUSH: each message to one peer, in turn, of those that have room.

use std::collections::VecDeque;

use super::{LoadBalancer, Pattern, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PushPattern {
    balancer: LoadBalancer,
    /// Accepted for a peer that has gone since; they go first, to whoever has room.
    orphans: VecDeque<Unsent>,
}

impl PushPattern {
    pub(crate) fn new() -> Self {
        PushPattern {
            balancer: LoadBalancer::new(),
            orphans: VecDeque::new(),
        }
    }

    /// Why no peer will ever take a message, if that is so: each of them has announced a limit that forbids it. Gives the
    /// one that would take most.
    pub(crate) fn refused_by_all(
        &self,
        peers: &Peers,
        outgoing: Outgoing<'_>,
    ) -> Option<(PeerId, Excess)> {
        peers.refused_by_all(self.balancer.peers(), outgoing)
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

impl Sending for PushPattern {
    type Sent = ();

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(id) = self.balancer.next()
            && self.orphans.is_empty()
            && peers.send_single(id, outgoing)
        {
            self.balancer.advance();
            return Some(());
        }
        self.send_any(peers, outgoing)
    }

    #[inline(never)]
    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if !self.orphans.is_empty() {
            self.place_orphans(peers);
            if !self.orphans.is_empty() {
                return None;
            }
        }
        self.balancer
            .give(peers, |peers, id| peers.try_send(id, outgoing))
            .map(drop)
    }

    /// See [`refused_by_all`](Self::refused_by_all); for `send`.
    #[cold]
    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        let (_, excess) = self.refused_by_all(peers, outgoing)?;
        Some(excess)
    }
}

impl Pattern for PushPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Push
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        true
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.add(id);
        self.place_orphans(peers);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.balancer.remove(id);
        self.orphans.extend(unsent);
        self.place_orphans(peers);
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        for unsent in unsent.into_iter().rev() {
            self.orphans.push_front(unsent);
        }
        self.place_orphans(peers);
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

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.set_ready(id);
        self.place_orphans(peers);
    }

    fn clear(&mut self, peers: &mut Peers) {
        for unsent in self.orphans.drain(..) {
            peers.discard(unsent.message);
        }
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn orphans(&self) -> usize {
        self.orphans.len()
    }
}
