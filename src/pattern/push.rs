//! PUSH: each message to one peer, in turn, of those that have room.

use std::collections::VecDeque;

use super::{LoadBalancer, Pattern};
use crate::engine::{Outgoing, PeerId, Peers};
use crate::message::Message;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PushPattern {
    balancer: LoadBalancer,
    /// Accepted for a peer that has gone since; they go first, to whoever has room.
    orphans: VecDeque<Message>,
}

impl PushPattern {
    pub(crate) fn new() -> Self {
        PushPattern {
            balancer: LoadBalancer::new(),
            orphans: VecDeque::new(),
        }
    }

    /// Gives the message to the next peer with room. `None`: there is none.
    #[inline(always)]
    pub(crate) fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(id) = self.balancer.next()
            && self.orphans.is_empty()
            && peers.send_single(id, outgoing)
        {
            self.balancer.advance();
            return Some(());
        }
        self.send_any(peers, outgoing)
    }

    /// The same for messages of all kinds.
    #[inline(never)]
    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if !self.orphans.is_empty() {
            self.place_orphans(peers);
            if !self.orphans.is_empty() {
                return None;
            }
        }
        self.give(peers, outgoing)
    }

    #[inline]
    fn give(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        loop {
            let id = self.balancer.next()?;
            if peers.try_send(id, outgoing) {
                self.balancer.advance();
                return Some(());
            }
            if peers.await_room(id) {
                self.balancer.set_full(id);
            }
        }
    }

    fn place_orphans(&mut self, peers: &mut Peers) {
        while let Some(message) = self.orphans.pop_front() {
            if self.give(peers, Outgoing::Message(&message)).is_none() {
                return self.orphans.push_front(message);
            }
        }
    }
}

impl Pattern for PushPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Push
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.add(id);
        self.place_orphans(peers);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Message>) {
        self.balancer.remove(id);
        self.orphans.extend(unsent);
        self.place_orphans(peers);
    }

    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Message>) {
        for message in unsent.into_iter().rev() {
            self.orphans.push_front(message);
        }
        self.place_orphans(peers);
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

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn orphans(&self) -> usize {
        self.orphans.len()
    }
}
