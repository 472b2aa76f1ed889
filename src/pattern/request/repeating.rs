//! Requests that are sent again, where that is asked for: to another server, when the connection ends that they went out on, or when their
//! time there is over.
//!
//! Their peers are connected ones alone, so a connection that ends takes all with it that was sent on it, whether it has left or not; what was queued is
//! dropped there, as the messages are kept here.
//!
//! ```text
//!           send                    detached                dispatch: another with room
//!   (none) ─────▶ sent to a peer ─────────────▶ waiting ───────────────────────────▶ sent to a peer
//!                   │   ▲                          ▲
//!                   └───┴── its time is over ──────┘      an outcome, or cancelled: from all of them
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::{Outcome, ReqPattern, Request, Ticket};
use crate::Idempotent;
use crate::engine::{Envelope, Enveloped, Outgoing, PeerId, Peers, Tried};
use crate::message::Message;
use crate::monitor::PeerRefusal;
use crate::pattern::Admission;
use crate::pattern::acked_out::new_id;
use crate::pattern::repeated_in::value_of;
use crate::zmtp::delivery::Id;
use crate::zmtp::idempotent::{NUMBER_LEN, parse_replier, requester_value};

/// What is known of all of them.
pub(super) struct Repeating {
    id: Id,
    required: bool,
    attempt_timeout: Option<Duration>,
    limit: u32,
    /// How often tickets have begun anew: the upper half of the numbers.
    pub(super) round: u32,
    /// Those that have no peer, in the order in which they lost it. May name some that have ended.
    waiting: VecDeque<Ticket>,
    /// When the time of those is over that have a peer.
    due: BTreeSet<(Instant, Ticket)>,
    pub(super) sent_again: u64,
}

/// What is known of one.
pub(super) struct Repeat {
    /// Without its envelope.
    message: Message,
    pub(super) number: u64,
    /// The peers that it was sent to, but for the last one, as long as they are connected: each may still reply.
    asked: Vec<PeerId>,
    attempts: u32,
    due: Option<Instant>,
}

impl Repeating {
    pub(super) fn new(idempotent: &Idempotent) -> Self {
        Repeating {
            id: new_id(),
            required: idempotent.required,
            attempt_timeout: idempotent.attempt_timeout,
            limit: idempotent.limit,
            round: 0,
            waiting: VecDeque::new(),
            due: BTreeSet::new(),
            sent_again: 0,
        }
    }

    pub(super) fn property(&self) -> Vec<u8> {
        requester_value(self.id)
    }

    pub(super) fn admit(&self, peers: &Peers, id: PeerId) -> Admission {
        let value = peers.facts(id).and_then(value_of);
        match value.map(parse_replier) {
            Some(None) => Admission::Refused(PeerRefusal::MalformedDelivery),
            None if self.required => Admission::Refused(PeerRefusal::NotIdempotent),
            Some(Some(())) | None => Admission::Granted,
        }
    }

    pub(super) fn established(&self, peers: &mut Peers, id: PeerId) {
        // What is queued for it is dropped when its connection ends.
        peers.set_held(id, true);
        if peers.facts(id).and_then(value_of).is_none() {
            peers.tell_unacknowledged(id);
        }
    }

    pub(super) fn number(&self, ticket: Ticket) -> u64 {
        u64::from(self.round) << 32 | u64::from(ticket)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Requests that have been accepted and that no peer has.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A request has been sent for the first time.
    pub(super) fn sent(&mut self, ticket: Ticket, outgoing: Outgoing<'_>) -> Box<Repeat> {
        Box::new(Repeat {
            message: outgoing.to_message(),
            number: self.number(ticket),
            asked: Vec::new(),
            attempts: 1,
            due: self.schedule(ticket),
        })
    }

    /// Its time begins.
    fn schedule(&mut self, ticket: Ticket) -> Option<Instant> {
        let at = Instant::now().checked_add(self.attempt_timeout?)?;
        self.due.insert((at, ticket));
        Some(at)
    }

    /// The request has ended, or is nobody's any more. Gives who was asked, but for the last.
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        request: &mut Request,
        peers: &mut Peers,
    ) -> Vec<PeerId> {
        let Some(mut repeat) = request.repeat.take() else {
            return Vec::new();
        };
        self.unschedule(ticket, &mut repeat);
        if request.peer.is_none() {
            self.waiting.retain(|waiting| *waiting != ticket);
        }
        peers.discard(std::mem::take(&mut repeat.message));
        repeat.asked
    }

    fn unschedule(&mut self, ticket: Ticket, repeat: &mut Repeat) {
        if let Some(at) = repeat.due.take() {
            self.due.remove(&(at, ticket));
        }
    }
}

impl Repeat {
    /// Whether this peer may reply, as it was asked once.
    pub(super) fn was_asked_of(&self, id: PeerId) -> bool {
        self.asked.contains(&id)
    }

    /// Whether it was sent once, and so has left nowhere if it has not left there.
    pub(super) fn is_first(&self) -> bool {
        self.attempts == 1
    }
}

impl ReqPattern {
    /// A peer is gone: its requests are for others.
    pub(super) fn ask_others(&mut self, peers: &mut Peers, id: PeerId) {
        let mut lost: Vec<(u64, Ticket)> = Vec::new();
        for (&ticket, request) in &mut self.requests {
            if let Some(repeat) = &mut request.repeat {
                repeat.asked.retain(|asked| *asked != id);
                if request.peer == Some(id) && request.outcome.is_none() {
                    lost.push((repeat.number, ticket));
                }
            }
        }
        // The oldest is sent first.
        lost.sort_unstable();
        for (_, ticket) in lost {
            self.lose(peers, ticket);
        }
        self.dispatch(peers);
    }

    /// The connection is gone on which a request went out last.
    fn lose(&mut self, peers: &mut Peers, ticket: Ticket) {
        let (Some(repeating), Some(request)) =
            (&mut self.repeating, self.requests.get_mut(&ticket))
        else {
            return;
        };
        if request.is_cancelled() {
            self.end_repeating(peers, ticket);
            return self.forget_request(ticket);
        }
        let Some(repeat) = &mut request.repeat else {
            return;
        };
        if repeat.attempts >= repeating.limit {
            // Somebody else may still reply who was asked before.
            request.peer = repeat.asked.pop();
            if request.peer.is_some() {
                return;
            }
            self.end_repeating(peers, ticket);
            return self.end(ticket, Outcome::PeerGone);
        }
        repeating.unschedule(ticket, repeat);
        request.peer = None;
        repeating.waiting.push_back(ticket);
    }

    /// The time of some requests is over: another peer is asked as well.
    pub(super) fn ask_as_well(&mut self, peers: &mut Peers, now: Instant) {
        let Some(repeating) = &mut self.repeating else {
            return;
        };
        while let Some((at, ticket)) = repeating.due.first().copied().filter(|(at, _)| *at <= now) {
            repeating.due.remove(&(at, ticket));
            let request = self.requests.get_mut(&ticket);
            let Some(request) = request.filter(|request| !request.is_cancelled()) else {
                continue;
            };
            let Some(repeat) = &mut request.repeat else {
                continue;
            };
            repeat.due = None;
            if repeat.attempts < repeating.limit {
                repeat.asked.extend(request.peer.take());
                repeating.waiting.push_back(ticket);
            }
        }
        self.dispatch(peers);
    }

    /// Sends what waits for a peer to those that have room, and have not been asked yet, if possible.
    pub(super) fn dispatch(&mut self, peers: &mut Peers) {
        while let Some(repeating) = &mut self.repeating
            && let Some(&ticket) = repeating.waiting.front()
        {
            let request = self.requests.get_mut(&ticket);
            let Some((request, repeat)) = request.and_then(|request| {
                let Request { peer, repeat, .. } = request;
                Some((peer, repeat.as_mut()?))
            }) else {
                repeating.waiting.pop_front();
                continue;
            };
            let number = repeat.number.to_be_bytes();
            let frames: [&[u8]; 2] = [&number, b""];
            let enveloped = Enveloped {
                envelope: Envelope::Slices(&frames),
                body: Outgoing::Message(&repeat.message),
            };
            let outgoing = Outgoing::Enveloped(&enveloped);
            let asked = &repeat.asked;
            let elsewhere = self
                .balancer
                .give(peers, |peers, id| match asked.contains(&id) {
                    true => Tried::Refused,
                    false => peers.try_send(id, outgoing),
                });
            let given = elsewhere.or_else(|| {
                self.balancer
                    .give(peers, |peers, id| peers.try_send(id, outgoing))
            });
            let Some(id) = given else {
                let known = self.balancer.peers();
                let Some((_, excess)) = peers.refused_by_all(known, outgoing) else {
                    return;
                };
                let (size, cause) = (repeat.message.size() + NUMBER_LEN, excess.into());
                self.end_repeating(peers, ticket);
                self.end(ticket, Outcome::Refused { size, cause });
                continue;
            };
            let others = repeat.asked.len();
            repeat.asked.retain(|asked| *asked != id);
            self.balancer
                .finished(id, (others - repeat.asked.len()) as u64);
            repeat.attempts += 1;
            repeat.due = repeating.schedule(ticket);
            repeating.waiting.pop_front();
            repeating.sent_again += 1;
            *request = Some(id);
        }
    }
}
