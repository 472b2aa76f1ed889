//! REP: requests from all peers, in turn, each answered to the peer that sent it (RFC 28).
//!
//! The frames up to and including the first empty one are the envelope, the way back through however many
//! proxies; they are returned as they came.

use std::time::Instant;

use super::fair_turns::{next_is, take_fairly};
use super::repeated_in::RepeatedIn;
use super::{Admission, FairQueue, Pattern, envelope};
use crate::Options;
use crate::engine::{Envelope, Enveloped, Excess, Outgoing, PeerId, Peers, Place, Tried, Unsent};
use crate::message::{Frame, Message};
use crate::stats::DeliveryStats;
use crate::zmtp::idempotent::Key;
use crate::zmtp::{PeerFacts, ProtocolError, SocketType};

/// See the module.
pub(crate) struct RepPattern {
    queue: FairQueue,
    unexpected: u64,
    /// Requests that come again are known, if that is asked for.
    repeated: Option<Box<RepeatedIn>>,
}

/// The way back to who sent a request.
#[derive(Debug)]
pub(crate) struct ReturnAddress {
    /// `None`: the peer is no more.
    pub(super) place: Option<Place>,
    /// The envelope, its empty last frame included.
    pub(super) envelope: Vec<Frame>,
    /// By which it is known if it comes again.
    pub(super) key: Option<Key>,
}

/// Why a reply cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undeliverable {
    PeerGone,
    NoRoom,
    TooLarge(Excess),
}

impl ReturnAddress {
    /// Takes a request apart. `None`: it has no envelope, and is dropped.
    pub(super) fn split(
        peers: &mut Peers,
        id: PeerId,
        message: Message,
    ) -> Option<(ReturnAddress, Message)> {
        let place = peers.place(id);
        let frames: Vec<&Frame> = message.frames().collect();
        let Some(length) = envelope::split_envelope(&frames) else {
            peers.discard(message);
            return None;
        };
        let mut frames = message.into_frames();
        let address = ReturnAddress {
            place,
            envelope: frames.by_ref().take(length).collect(),
            key: None,
        };
        Some((address, Message::from_frames(frames)))
    }

    /// Whether [`RepPattern::give_up`] is to be told if the request is not answered.
    pub(crate) fn is_awaited(&self) -> bool {
        self.key.is_some()
    }
}

impl RepPattern {
    pub(crate) fn new() -> Self {
        RepPattern {
            queue: FairQueue::new(),
            unexpected: 0,
            repeated: None,
        }
    }

    /// Requests that come again are known, if that is what the options ask for.
    pub(crate) fn with_options(options: &Options) -> Self {
        let idempotent = options.idempotent.as_ref();
        RepPattern {
            repeated: idempotent.map(|idempotent| Box::new(RepeatedIn::new(idempotent))),
            ..RepPattern::new()
        }
    }

    /// The next request, without its envelope.
    pub(crate) fn recv(&mut self, peers: &mut Peers) -> Option<(ReturnAddress, Message)> {
        if let Some(repeated) = &mut self.repeated {
            return repeated.recv(&mut self.queue, peers, &mut self.unexpected);
        }
        loop {
            let mut message = Message::new();
            let id = take_fairly(&mut self.queue, peers, &mut message)?;
            match ReturnAddress::split(peers, id, message) {
                Some(request) => return Some(request),
                None => self.unexpected += 1,
            }
        }
    }

    /// Who has asked, as long as the connection stands that the request came by.
    pub(crate) fn requester<'a>(
        peers: &'a Peers,
        address: &ReturnAddress,
    ) -> Option<&'a PeerFacts> {
        peers.facts(RepPattern::requester_id(peers, address)?)
    }

    /// The same as its peer.
    pub(crate) fn requester_id(peers: &Peers, address: &ReturnAddress) -> Option<PeerId> {
        let connected = address.place.filter(|place| peers.is_connected_at(*place));
        connected.map(|place| place.id)
    }

    /// Answers a request.
    pub(crate) fn reply(
        &mut self,
        peers: &mut Peers,
        address: &mut ReturnAddress,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Undeliverable> {
        match (&mut self.repeated, address.key.take()) {
            (Some(repeated), Some(key)) => repeated.reply(peers, key, address, outgoing),
            _ => send_reply(peers, address.place, &address.envelope, outgoing),
        }
    }

    /// A request will not be answered: if it comes again, it is new.
    pub(crate) fn give_up(&mut self, address: &mut ReturnAddress) {
        if let (Some(repeated), Some(key)) = (&mut self.repeated, address.key.take()) {
            repeated.give_up(&key);
        }
    }
}

/// Sends a reply to the peer in that place, if it is still there.
pub(super) fn send_reply(
    peers: &mut Peers,
    place: Option<Place>,
    envelope: &[Frame],
    outgoing: Outgoing<'_>,
) -> Result<(), Undeliverable> {
    let connected = place.filter(|place| peers.is_connected_at(*place));
    let Some(Place { id, .. }) = connected else {
        return Err(Undeliverable::PeerGone);
    };
    let enveloped = Enveloped {
        envelope: Envelope::Frames(envelope),
        body: outgoing,
    };
    let outgoing = Outgoing::Enveloped(&enveloped);
    match peers.try_send(id, outgoing) {
        Tried::Queued => Ok(()),
        Tried::NoRoom => Err(Undeliverable::NoRoom),
        Tried::Refused => {
            let excess = peers.excess(id, outgoing);
            Err(excess.map_or(Undeliverable::NoRoom, Undeliverable::TooLarge))
        }
    }
}

impl Pattern for RepPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Rep
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn idempotent_property(&self) -> Option<Vec<u8>> {
        self.repeated.as_ref().map(|_| RepeatedIn::property())
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        match &self.repeated {
            Some(repeated) => repeated.admit(peers, id),
            None => Admission::Granted,
        }
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(repeated) = &mut self.repeated {
            repeated.established(peers, id);
        }
    }

    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(repeated) = &mut self.repeated {
            repeated.lost(peers, id);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.lost(peers, id);
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
        if let Some(repeated) = &mut self.repeated {
            repeated.forget(id);
        }
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(repeated) = &mut self.repeated {
            repeated.writable(&mut self.queue, peers, id);
        }
    }

    fn take_resumed(&mut self) -> bool {
        let repeated = self.repeated.as_mut();
        repeated.is_some_and(|repeated| repeated.take_resumed())
    }

    fn deadline(&self) -> Option<Instant> {
        self.repeated.as_ref()?.deadline()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(repeated) = &mut self.repeated {
            repeated.handle_timeout(peers, now);
        }
    }

    fn clear(&mut self, peers: &mut Peers) {
        if let Some(repeated) = &mut self.repeated {
            repeated.clear(peers);
        }
    }

    fn delivery_stats(&self) -> DeliveryStats {
        let repeated = self.repeated.as_ref();
        repeated
            .map(|repeated| repeated.stats())
            .unwrap_or_default()
    }

    fn has_more(&self) -> bool {
        let seen = self.repeated.as_ref().is_some_and(|r| r.has_seen());
        seen || self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        if let Some(repeated) = &mut self.repeated {
            return repeated.would_receive(&mut self.queue, peers, &mut self.unexpected);
        }
        let unexpected = &mut self.unexpected;
        next_is(&mut self.queue, peers, |message| {
            let has_envelope = envelope::split_envelope(message).is_some();
            *unexpected += u64::from(!has_envelope);
            has_envelope
        })
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if !self.repeated.as_ref().is_some_and(|r| r.holds_back(id)) {
            self.queue.push(id);
        }
        Ok(())
    }

    /// A reply to a connection that is gone has nowhere to go: its request came on that connection.
    fn keeps_unsent(&self) -> bool {
        false
    }

    fn in_dialogue(&self) -> bool {
        true
    }

    fn unexpected(&self) -> u64 {
        self.unexpected
    }
}
