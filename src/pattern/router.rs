//! ROUTER: each message to the peer that it names, and from all peers in turn, each with the name of its peer (RFC 28).
//!
//! A peer is known by the routing id that it announces, or by one that is made up here. A peer that we dial keeps its id through
//! every connection, as it does in libzmq: the id is that of the place.

use super::fair_turns::{next_is, take_fairly};
use super::routes::Routes;
use super::{Admission, FairQueue, Pattern};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Tried, Unsent};
use crate::message::{Message, RoutingId};
use crate::monitor::PeerRefusal;
use crate::zmtp::{ProtocolError, SocketType};

/// What became of a message that was sent to a routing id.
///
/// With [`router_mandatory`](crate::Options::router_mandatory) only the first can happen: the others are errors then, which give the
/// message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Routed {
    /// It is queued for the peer.
    Queued,
    /// No peer has this routing id: the message is dropped, and counted in [`Dropped::unroutable`](crate::Dropped::unroutable).
    Unroutable,
    /// The peer is at its high-water mark: the message is dropped, and counted in
    /// [`Dropped::high_water_mark`](crate::Dropped::high_water_mark).
    Full,
}

/// Why a message stays with its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unroutable {
    NoSuchPeer,
    NoRoom,
    TooLarge(Excess),
}

/// See the module.
pub(crate) struct RouterPattern {
    queue: FairQueue,
    routes: Routes,
    /// Report what cannot be routed, and wait for room, instead of dropping.
    mandatory: bool,
    /// A newcomer with a routing id that is taken gets it.
    handover: bool,
    /// Each new connection is told of by an empty message.
    probe: bool,
    unroutable: u64,
}

impl RouterPattern {
    /// Automatic ids begin with the number `first`.
    pub(crate) fn new(mandatory: bool, handover: bool, probe: bool, first: u32) -> Self {
        RouterPattern {
            queue: FairQueue::new(),
            routes: Routes::new(first),
            mandatory,
            handover,
            probe,
            unroutable: 0,
        }
    }

    /// Takes the next message into `message`, and says who sent it.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<&RoutingId> {
        let id = take_fairly(&mut self.queue, peers, message)?;
        if self.routes.name(id).is_none() {
            // It has a name before it is read from, and so this is never needed.
            self.routes.assign_any(id);
        }
        self.routes.name(id)
    }

    /// Gives the message to the peer with this routing id.
    #[inline]
    pub(crate) fn send_to(
        &mut self,
        peers: &mut Peers,
        id: &[u8],
        outgoing: Outgoing<'_>,
    ) -> Result<Routed, Unroutable> {
        let Some(peer) = self.routes.peer(id) else {
            return self.unroutable();
        };
        if peers.send_single(peer, outgoing) {
            return Ok(Routed::Queued);
        }
        self.send_any(peers, peer, outgoing)
    }

    #[inline(never)]
    fn send_any(
        &mut self,
        peers: &mut Peers,
        peer: PeerId,
        outgoing: Outgoing<'_>,
    ) -> Result<Routed, Unroutable> {
        loop {
            match peers.try_send(peer, outgoing) {
                Tried::Queued => return Ok(Routed::Queued),
                Tried::Refused => {
                    let excess = peers.excess(peer, outgoing);
                    return Err(excess.map_or(Unroutable::NoRoom, Unroutable::TooLarge));
                }
                Tried::NoRoom if self.mandatory => {
                    if peers.await_room(peer) {
                        return Err(Unroutable::NoRoom);
                    }
                }
                Tried::NoRoom => {
                    peers.count_drop(peer);
                    return Ok(Routed::Full);
                }
            }
        }
    }

    #[cold]
    fn unroutable(&mut self) -> Result<Routed, Unroutable> {
        if self.mandatory {
            return Err(Unroutable::NoSuchPeer);
        }
        self.unroutable += 1;
        Ok(Routed::Unroutable)
    }

    /// Whether messages may be sent to a peer of this name.
    pub(crate) fn knows(&self, id: &[u8]) -> bool {
        self.routes.peer(id).is_some()
    }

    /// The names of the peers that are connected.
    pub(crate) fn connected(&self, peers: &Peers) -> Vec<RoutingId> {
        let routable = self.routes.routable();
        let connected = routable.filter(|(_, peer)| peers.is_connected(*peer));
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// The name that a peer is to have: the one it has had, the one given to it here, or the one it asks for. `None`: any.
    fn wanted(&self, peers: &Peers, id: PeerId) -> Result<Option<RoutingId>, PeerRefusal> {
        if let Some(name) = self.routes.name(id) {
            return Ok(Some(name.clone()));
        }
        if let Some(given) = peers.given_name(id) {
            return Ok(Some(given.clone()));
        }
        match peers.facts(id).map(|facts| facts.routing_id()) {
            Some(asked) if !asked.is_empty() => {
                let asked = RoutingId::from(asked);
                match asked.is_valid() {
                    true => Ok(Some(asked)),
                    false => Err(PeerRefusal::RoutingIdReserved),
                }
            }
            Some(_) | None => Ok(None),
        }
    }
}

impl Pattern for RouterPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Router
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        let name = match self.wanted(peers, id) {
            Ok(Some(name)) => name,
            Ok(None) => {
                self.routes.assign_any(id);
                return Admission::Granted;
            }
            Err(refusal) => return Admission::Refused(refusal),
        };
        match self.routes.peer(name.as_bytes()) {
            Some(holder) if holder != id => {
                if !self.handover {
                    return Admission::Refused(PeerRefusal::RoutingIdTaken);
                }
                self.routes.assign(id, name);
                Admission::Replaces(holder, PeerRefusal::RoutingIdHandedOver)
            }
            Some(_) => Admission::Granted,
            None => {
                self.routes.assign(id, name);
                Admission::Granted
            }
        }
    }

    /// One that we dial, by a name that was given to it, can be sent to from now on. Any other has its name once it is admitted.
    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(given) = peers.given_name(id)
            && !self.knows(given.as_bytes())
        {
            let given = given.clone();
            self.routes.assign(id, given);
        }
    }

    /// Where there is no room for the probe there are messages, which tell the peer of us as well.
    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if self.probe {
            peers.try_send(id, Outgoing::Slice(b""));
        }
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.routes.release(id);
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
        self.routes.forget(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        next_is(&mut self.queue, peers, |_| true)
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    /// They are for one peer.
    fn moves_unsent(&self) -> bool {
        false
    }

    fn unroutable(&self) -> u64 {
        self.unroutable
    }
}
