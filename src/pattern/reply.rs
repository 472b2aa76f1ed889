//! REP: requests from all peers, in turn, each answered to the peer that sent it (RFC 28).
//!
//! The frames up to and including the first empty one are the envelope, the way back through however many
//! proxies; they are returned as they came.

use super::fair_turns::{next_is, take_fairly};
use super::{FairQueue, Pattern, envelope};
use crate::engine::{Envelope, Enveloped, Excess, Outgoing, PeerId, Peers, Place, Tried};
use crate::message::{Frame, Message};
use crate::zmtp::{PeerFacts, ProtocolError, SocketType};

/// See the module.
pub(crate) struct RepPattern {
    queue: FairQueue,
    unexpected: u64,
}

/// The way back to who sent a request.
#[derive(Debug)]
pub(crate) struct ReturnAddress {
    /// `None`: the peer is no more.
    place: Option<Place>,
    /// The envelope, its empty last frame included.
    envelope: Vec<Frame>,
}

/// Why a reply cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undeliverable {
    PeerGone,
    NoRoom,
    TooLarge(Excess),
}

impl RepPattern {
    pub(crate) fn new() -> Self {
        RepPattern {
            queue: FairQueue::new(),
            unexpected: 0,
        }
    }

    /// The next request, without its envelope.
    pub(crate) fn recv(&mut self, peers: &mut Peers) -> Option<(ReturnAddress, Message)> {
        loop {
            let mut message = Message::new();
            let id = take_fairly(&mut self.queue, peers, &mut message)?;
            let place = peers.place(id);
            let frames: Vec<&Frame> = message.frames().collect();
            let Some(length) = envelope::split_envelope(&frames) else {
                self.unexpected += 1;
                peers.discard(message);
                continue;
            };
            let mut frames = message.into_frames();
            let envelope = frames.by_ref().take(length).collect();
            let body = Message::from_frames(frames);
            return Some((ReturnAddress { place, envelope }, body));
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
        address: &ReturnAddress,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Undeliverable> {
        let connected = address.place.filter(|place| peers.is_connected_at(*place));
        let Some(Place { id, .. }) = connected else {
            return Err(Undeliverable::PeerGone);
        };
        let enveloped = Enveloped {
            envelope: Envelope::Frames(&address.envelope),
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

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        let unexpected = &mut self.unexpected;
        next_is(&mut self.queue, peers, |message| {
            let has_envelope = envelope::split_envelope(message).is_some();
            *unexpected += u64::from(!has_envelope);
            has_envelope
        })
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
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
