//! Requests that come again, on the side of a REP: the [`Memory`] of them, over peers.

use std::sync::Arc;
use std::time::Instant;

use super::fair_turns::take_fairly;
use super::reply::{ReturnAddress, Undeliverable, send_reply};
use super::{Admission, FairQueue};
use crate::Idempotent;
use crate::engine::{Outgoing, PeerId, Peers, Place};
use crate::message::{Frame, Message};
use crate::monitor::{ConnectionId, PeerRefusal};
use crate::stats::DeliveryStats;
use crate::zmtp::idempotent::{Asked, Key, Memory, NUMBER_LEN, PROPERTY, Requester};
use crate::zmtp::idempotent::{parse_requester, replier_value};
use crate::zmtp::{PeerFacts, SocketType};

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
pub(super) struct RepeatedIn {
    required: bool,
    memory: Memory<Message, (ConnectionId, PeerId)>,
    /// The requesters among the peers, by their ids.
    requesters: Vec<Option<Arc<Requester>>>,
    /// Remembered replies for which their peers had no room: one for each peer, of which nothing is taken until it has gone out.
    held_back: Vec<HeldBack>,
    /// A request that was looked at, to see whether there is one.
    seen: Option<(ReturnAddress, Message)>,
    /// Messages can be taken again of a peer.
    resumed: bool,
    repeated: u64,
}

struct HeldBack {
    place: Place,
    envelope: Vec<Frame>,
    reply: Message,
}

/// What a peer has said of requests that come again: the value of the property.
pub(super) fn value_of(facts: &PeerFacts) -> Option<&[u8]> {
    let value = facts.property(PROPERTY)?;
    facts.version().has_commands().then_some(value)
}

impl RepeatedIn {
    pub(super) fn new(idempotent: &Idempotent) -> Self {
        RepeatedIn {
            required: idempotent.required,
            memory: Memory::new(idempotent.limits()),
            requesters: Vec::new(),
            held_back: Vec::new(),
            seen: None,
            resumed: false,
            repeated: 0,
        }
    }

    pub(super) fn property() -> Vec<u8> {
        replier_value()
    }

    pub(super) fn admit(&self, peers: &Peers, id: PeerId) -> Admission {
        let value = peers.facts(id).and_then(value_of);
        match value.map(parse_requester) {
            Some(None) => Admission::Refused(PeerRefusal::MalformedDelivery),
            None if self.required => Admission::Refused(PeerRefusal::NotIdempotent),
            Some(Some(_)) | None => Admission::Granted,
        }
    }

    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId) {
        let facts = peers.facts(id);
        let facts = facts.filter(|facts| facts.socket_type() == SocketType::Req);
        let requester = facts.and_then(|facts| {
            Some(Arc::new(Requester {
                id: parse_requester(value_of(facts)?)?,
                principal: facts.principal().cloned(),
            }))
        });
        if requester.is_none() {
            peers.tell_unacknowledged(id);
        }
        if id >= self.requesters.len() {
            self.requesters.resize(id + 1, None);
        }
        self.requesters[id] = requester;
    }

    /// Requests of a peer whose replies it has not read are not worth a thing.
    pub(super) fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(at) = self.position_of(id) {
            peers.discard(self.held_back.swap_remove(at).reply);
            peers.discard_inbound(id);
        }
    }

    pub(super) fn forget(&mut self, id: PeerId) {
        if let Some(requester) = self.requesters.get_mut(id) {
            *requester = None;
        }
    }

    /// Whether nothing is taken of this peer.
    pub(super) fn holds_back(&self, id: PeerId) -> bool {
        self.position_of(id).is_some()
    }

    fn position_of(&self, id: PeerId) -> Option<usize> {
        self.held_back.iter().position(|held| held.place.id == id)
    }

    /// The next request, without its envelope, that the application is to work on.
    pub(super) fn recv(
        &mut self,
        queue: &mut FairQueue,
        peers: &mut Peers,
        unexpected: &mut u64,
    ) -> Option<(ReturnAddress, Message)> {
        if let Some(seen) = self.seen.take() {
            return Some(seen);
        }
        loop {
            let mut message = Message::new();
            let id = take_fairly(queue, peers, &mut message)?;
            let Some((mut address, body)) = ReturnAddress::split(peers, id, message) else {
                *unexpected += 1;
                continue;
            };
            let (Some(key), Some(place)) = (self.key_of(id, &address), address.place) else {
                return Some((address, body));
            };
            let way = (place.connection, place.id);
            let reply = match self.memory.ask(&key, way, Instant::now()) {
                Asked::New => {
                    address.key = Some(key);
                    return Some((address, body));
                }
                Asked::Working => None,
                Asked::Replied(reply) => Some(reply.clone()),
            };
            self.repeated += 1;
            peers.discard(body);
            if let Some(reply) = reply {
                let held = HeldBack {
                    place,
                    envelope: std::mem::take(&mut address.envelope),
                    reply,
                };
                if let Some(held) = reply_again(peers, held) {
                    queue.remove(id);
                    self.held_back.push(held);
                }
            }
            self.discard_forgotten(peers);
        }
    }

    /// What the request is known by, if it is one that may come again.
    fn key_of(&self, id: PeerId, address: &ReturnAddress) -> Option<Key> {
        let requester = self.requesters.get(id)?.as_ref()?;
        let [number, delimiter] = &address.envelope[..] else {
            return None;
        };
        let number: [u8; NUMBER_LEN] = number.as_slice().try_into().ok()?;
        delimiter.is_empty().then(|| Key {
            requester: Arc::clone(requester),
            number: u64::from_be_bytes(number),
        })
    }

    /// Whether there is a request. It is kept for whoever receives next.
    pub(super) fn would_receive(
        &mut self,
        queue: &mut FairQueue,
        peers: &mut Peers,
        unexpected: &mut u64,
    ) -> bool {
        self.seen = self.recv(queue, peers, unexpected);
        self.seen.is_some()
    }

    pub(super) fn has_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// The application answers: whoever has asked last gets that, now or when it asks again.
    pub(super) fn reply(
        &mut self,
        peers: &mut Peers,
        key: Key,
        address: &ReturnAddress,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Undeliverable> {
        let way = self.memory.way(&key);
        let place = way.map(|(connection, id)| Place { id, connection });
        let place = place.or(address.place);
        let sent = send_reply(peers, place, &address.envelope, outgoing);
        if let Err(Undeliverable::TooLarge(_)) = sent {
            self.memory.give_up(&key);
            return sent;
        }
        let reply = outgoing.to_message();
        let size = reply.size();
        let kept = self.memory.reply(key, reply, size, Instant::now());
        self.discard_forgotten(peers);
        match sent {
            Err(Undeliverable::PeerGone) if kept => Ok(()),
            sent => sent,
        }
    }

    /// The application drops a request.
    pub(super) fn give_up(&mut self, key: &Key) {
        self.memory.give_up(key);
    }

    pub(super) fn writable(&mut self, queue: &mut FairQueue, peers: &mut Peers, id: PeerId) {
        let Some(at) = self.position_of(id) else {
            return;
        };
        let held = self.held_back.swap_remove(at);
        match reply_again(peers, held) {
            Some(held) => self.held_back.push(held),
            None if peers.messages(id) > 0 => {
                queue.push(id);
                self.resumed = true;
            }
            None => {}
        }
    }

    pub(super) fn take_resumed(&mut self) -> bool {
        std::mem::take(&mut self.resumed)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.memory.deadline()
    }

    pub(super) fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        self.memory.expire(now);
        self.discard_forgotten(peers);
    }

    pub(super) fn clear(&mut self, peers: &mut Peers) {
        self.memory.clear();
        self.discard_forgotten(peers);
        for held in self.held_back.drain(..) {
            peers.discard(held.reply);
        }
        if let Some((_, message)) = self.seen.take() {
            peers.discard(message);
        }
    }

    fn discard_forgotten(&mut self, peers: &mut Peers) {
        for reply in self.memory.forgotten() {
            peers.discard(reply);
        }
    }

    pub(super) fn stats(&self) -> DeliveryStats {
        DeliveryStats {
            retried: self.repeated,
            ..DeliveryStats::default()
        }
    }
}

/// Sends a reply that is remembered; gives it back if that has to wait for room.
fn reply_again(peers: &mut Peers, held: HeldBack) -> Option<HeldBack> {
    // A second time if there is room after all.
    for _ in 0..2 {
        let outgoing = Outgoing::Message(&held.reply);
        match send_reply(peers, Some(held.place), &held.envelope, outgoing) {
            Err(Undeliverable::NoRoom) if peers.await_room(held.place.id) => return Some(held),
            Err(Undeliverable::NoRoom) => {}
            Ok(()) | Err(Undeliverable::PeerGone | Undeliverable::TooLarge(_)) => break,
        }
    }
    peers.prompt();
    peers.discard(held.reply);
    None
}
