//! PAIR: one peer, and everything to it and from it (RFC 31). And CHANNEL (RFC 52), whose messages have one frame.
//!
//! The first to come is the peer. Whoever comes while it is there is refused; libzmq leaves such a connection open and does not
//! look at it again.

use std::marker::PhantomData;

use super::form::{AnyFrames, Form, OneFrame, next_formed};
use super::{Admission, FairQueue, Pattern, Receiving, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Tried, Unsent};
use crate::message::Message;
use crate::monitor::PeerRefusal;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PairOf<F> {
    form: PhantomData<F>,
    peer: Option<PeerId>,
    /// Peers that have something to take, each until it has nothing more: the present one and, before it, earlier ones that are gone.
    queue: FairQueue,
    /// A message has been sent since the last was received: the next to come may be the answer.
    sent_last: bool,
    unexpected: u64,
}

/// PAIR.
pub(crate) type PairPattern = PairOf<AnyFrames>;

/// CHANNEL.
pub(crate) type ChannelPattern = PairOf<OneFrame>;

impl<F: Form> PairOf<F> {
    pub(crate) fn new() -> Self {
        PairOf {
            form: PhantomData,
            peer: None,
            queue: FairQueue::new(),
            sent_last: false,
            unexpected: 0,
        }
    }

    #[inline(never)]
    fn recv_any(&mut self, peers: &mut Peers, message: &mut Message) -> Option<PeerId> {
        while let Some(id) = self.queue.front() {
            let taken = peers.take(id, message);
            if taken != Some(true) {
                self.queue.pop_front();
            }
            if taken.is_none() {
                continue;
            }
            if F::SINGLE && message.is_multipart() {
                self.unexpected += 1;
                peers.discard(std::mem::take(message));
                continue;
            }
            self.sent_last = false;
            return Some(id);
        }
        None
    }
}

impl<F: Form> Receiving for PairOf<F> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        let id = self.queue.front()?;
        if peers.take_single(id, message) {
            self.sent_last = false;
            return Some(());
        }
        self.recv_any(peers, message).map(drop)
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        self.recv_any(peers, message).map(Some)
    }
}

impl<F: Form> Sending for PairOf<F> {
    type Sent = ();

    const SINGLE: bool = F::SINGLE;

    /// Gives the message to the peer. `None`: there is none, or it has no room.
    #[inline(always)]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if peers.send_single(self.peer?, outgoing) {
            self.sent_last = true;
            return Some(());
        }
        self.send_any(peers, outgoing)
    }

    #[inline(never)]
    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        let id = self.peer?;
        loop {
            match peers.try_send(id, outgoing) {
                Tried::Queued => {
                    self.sent_last = true;
                    return Some(());
                }
                Tried::Refused => return None,
                Tried::NoRoom => {
                    if peers.await_room(id) {
                        self.sent_last = false;
                        return None;
                    }
                }
            }
        }
    }

    #[cold]
    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        peers.excess(self.peer?, outgoing)
    }
}

impl<F: Form> Pattern for PairOf<F> {
    fn socket_type(&self) -> SocketType {
        match F::SINGLE {
            true => SocketType::Channel,
            false => SocketType::Pair,
        }
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn admit(&mut self, _peers: &mut Peers, id: PeerId) -> Admission {
        match self.peer {
            Some(peer) if peer != id => Admission::Refused(PeerRefusal::HasPeer),
            Some(_) | None => {
                self.peer = Some(id);
                Admission::Granted
            }
        }
    }

    /// One that we dial is the peer before it is there, so that messages can wait for it.
    fn attached(&mut self, _peers: &mut Peers, id: PeerId) {
        self.peer.get_or_insert(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.peer.take_if(|peer| *peer == id);
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        next_formed::<F>(&mut self.queue, peers, &mut self.unexpected)
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        let peer = self.peer;
        peer.is_some_and(|id| peers.has_room(id) || !peers.await_room(id))
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn connects_once(&self) -> bool {
        true
    }

    fn in_dialogue(&self) -> bool {
        self.sent_last
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    /// They are for one peer.
    fn moves_unsent(&self) -> bool {
        false
    }

    fn unexpected(&self) -> u64 {
        self.unexpected
    }
}
