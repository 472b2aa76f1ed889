//! REQ: each request to one peer, in turn, and its reply from that peer (RFC 28).
//!
//! A request goes out as `[request id] "" body…`. The id lets several requests be under way at once, and
//! tells a late reply from an awaited one. Without ids (`req_correlate` off) there is one request at a
//! time, and replies that nobody waits for any more are counted and skipped, which works because a REP
//! answers in order. Others may come that are not expected: a peer may have answered twice. So what has arrived from the
//! peer by the time that a request is written is no reply to it, and is dropped: see [`ReqPattern::send_alone`].

mod repeating;

use std::collections::HashMap;
use std::time::Instant;

use self::repeating::{Repeat, Repeating};
use super::envelope;
use super::fair_turns::take_fairly;
use super::{Admission, FairQueue, LoadBalancer, Pattern};
use crate::engine::{
    Envelope, Enveloped, Excess, Outgoing, PeerId, Peers, Tried, Unsent, Withdrawal,
};
use crate::message::{Frame, Message};
use crate::monitor::RefusalCause;
use crate::options::{Options, Share};
use crate::stats::DeliveryStats;
use crate::zmtp::{ProtocolError, SocketType};

/// Names a request that is under way.
pub(crate) type Ticket = u32;

/// See the module.
pub(crate) struct ReqPattern {
    balancer: LoadBalancer,
    queue: FairQueue,
    requests: HashMap<Ticket, Request>,
    next_ticket: Ticket,
    /// Requests that have ended, in order, until somebody asks which; those that are not known any more do no harm.
    ended: Vec<u64>,
    correlate: bool,
    relaxed: bool,
    /// Replies still to come, by peer, that nobody waits for. Only counted without ids.
    stale: HashMap<PeerId, usize>,
    /// A request has been cancelled that had left already, at any time: its peer may have yet to read it.
    cancelled_late: bool,
    unexpected: u64,
    /// Requests are sent again, if that is asked for.
    repeating: Option<Box<Repeating>>,
}

struct Request {
    /// Whom it was sent to last. `None`: it is to be sent again, and waits for somebody with room.
    peer: Option<PeerId>,
    outcome: Option<Outcome>,
    /// What comes now is not its reply, or nobody waits for that.
    deaf: Option<Deaf>,
    /// It may be sent again.
    repeat: Option<Box<Repeat>>,
}

/// Why a request that is known takes no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deaf {
    /// Its caller has given it up while it is being written without the lock: only then it will be known whether it has left.
    WhileWritten,
    /// Its caller has given it up in strict mode: the socket goes on waiting for its reply.
    AwaitsReply,
    /// It is queued, and no byte of it has been written. Its caller waits.
    Unwritten,
}

impl Request {
    /// Whether its caller waits no longer.
    fn is_cancelled(&self) -> bool {
        matches!(self.deaf, Some(Deaf::WhileWritten | Deaf::AwaitsReply))
    }
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Message),
    /// The connection broke when the request had already left.
    PeerGone,
    /// The request was given up before it had left.
    Refused {
        size: usize,
        cause: RefusalCause,
    },
}

/// Why a request cannot be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No peer has room, or another request is under way.
    NotNow,
    /// Requests go one at a time, and what has come so far is to be taken in first: see [`ReqPattern::send_alone`].
    Alone,
    /// Strict mode: the last request has not been answered.
    OutOfTurn,
    /// No peer takes a request that large.
    TooLarge(Excess),
}

/// Queues a message for a peer, if possible.
type Attempt<'a> = dyn FnMut(&mut Peers, PeerId, Outgoing<'_>) -> Tried + 'a;

impl ReqPattern {
    pub(crate) fn new(relaxed: bool, correlate: bool, first_ticket: Ticket) -> Self {
        ReqPattern {
            balancer: LoadBalancer::new(),
            queue: FairQueue::new(),
            requests: HashMap::new(),
            next_ticket: first_ticket,
            ended: Vec::new(),
            correlate,
            relaxed,
            stale: HashMap::new(),
            cancelled_late: false,
            unexpected: 0,
            repeating: None,
        }
    }

    /// As the options ask for.
    pub(crate) fn with_options(options: &Options, first_ticket: Ticket) -> Self {
        let idempotent = options.idempotent.as_ref();
        let mut pattern = ReqPattern {
            repeating: idempotent.map(|idempotent| Box::new(Repeating::new(idempotent))),
            ..ReqPattern::new(options.req_relaxed, options.req_correlate, first_ticket)
        };
        pattern.balancer.set_choice(options.balancing.choice());
        pattern
    }

    /// Sends a request to a peer that is connected, has room, and is not among those that have been `tried`.
    pub(crate) fn send_elsewhere(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        tried: &[PeerId],
    ) -> Result<Ticket, Refusal> {
        let mut attempt = |peers: &mut Peers, id, outgoing: Outgoing<'_>| match tried.contains(&id)
            || !peers.is_connected(id)
        {
            true => Tried::Refused,
            false => peers.try_send(id, outgoing),
        };
        match self.goes_alone() {
            true => self.send_alone_by(peers, outgoing, &mut attempt),
            false => self.send_rarely_by(peers, outgoing, &mut attempt),
        }
    }

    /// The peer that a request has gone to, until that has ended and its caller knows.
    pub(crate) fn peer_of(&self, ticket: Ticket) -> Option<PeerId> {
        self.requests.get(&ticket)?.peer
    }

    /// Sends a request to the next peer with room.
    #[inline]
    pub(crate) fn send(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
    ) -> Result<Ticket, Refusal> {
        if self.goes_alone() {
            return Err(Refusal::Alone);
        }
        self.send_by(peers, outgoing, Peers::try_send)
    }

    /// Whether there is one request at a time: without ids, and in strict mode.
    #[inline]
    pub(crate) fn goes_alone(&self) -> bool {
        !(self.correlate && self.relaxed)
    }

    /// The same where requests go one at a time. What peers of this process have sent so far is to be taken in before that, and what
    /// the [late](Self::late_peer) one has. The request is then queued and deaf: what its peer has sent is to be taken in, it is to
    /// [listen](Self::listen), and to be written.
    pub(crate) fn send_alone(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
    ) -> Result<Ticket, Refusal> {
        self.send_alone_by(peers, outgoing, &mut Peers::try_send)
    }

    fn send_alone_by(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Ticket, Refusal> {
        // What stands in the way may have come since its caller gave up.
        self.receive(peers);
        if !self.requests.is_empty() {
            return Err(match self.relaxed {
                true => Refusal::NotNow,
                false => Refusal::OutOfTurn,
            });
        }
        let ticket = self.send_rarely_by(peers, outgoing, attempt)?;
        if let Some(request) = self.requests.get_mut(&ticket) {
            request.deaf = Some(Deaf::Unwritten);
        }
        Ok(ticket)
    }

    /// What comes from now on may be the reply to this request. What has come before is not.
    pub(crate) fn listen(&mut self, peers: &mut Peers, ticket: Ticket) {
        self.receive(peers);
        if let Some(request) = self.requests.get_mut(&ticket) {
            request.deaf = None;
        }
    }

    /// Whether a call waits for the end of a request.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.requests.values().all(Request::is_cancelled)
    }

    /// Strict mode: the peer whose reply stands in the way of the next request, and is waited for by nobody else.
    pub(crate) fn late_peer(&self) -> Option<PeerId> {
        let mut requests = self.requests.values();
        let late = requests.find(|request| request.deaf == Some(Deaf::AwaitsReply));
        late.and_then(|request| request.peer)
    }

    /// The same out of line: [`send`](Self::send) has [`send_by`](Self::send_by) for itself, so that it is compiled into it.
    #[inline(never)]
    fn send_rarely_by(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Ticket, Refusal> {
        self.send_by(peers, outgoing, attempt)
    }

    #[inline]
    fn send_by(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        mut attempt: impl FnMut(&mut Peers, PeerId, Outgoing<'_>) -> Tried,
    ) -> Result<Ticket, Refusal> {
        let ticket = self.next_ticket;
        let body = outgoing;
        let number = self
            .repeating
            .as_ref()
            .map(|r| r.number(ticket).to_be_bytes());
        let id = ticket.to_be_bytes();
        let frames: [&[u8]; 2] = [number.as_ref().map_or(&id[..], |number| number), b""];
        let enveloped = Enveloped {
            envelope: Envelope::Slices(if self.correlate {
                &frames
            } else {
                &frames[1..]
            }),
            body: outgoing,
        };
        let outgoing = Outgoing::Enveloped(&enveloped);
        let id = self
            .balancer
            .give(peers, |peers, id| attempt(peers, id, outgoing))
            .ok_or_else(|| self.why_not_sent(peers, outgoing))?;
        self.next_ticket = ticket.wrapping_add(1);
        let mut request = Request {
            peer: Some(id),
            outcome: None,
            deaf: None,
            repeat: None,
        };
        if let Some(repeating) = &mut self.repeating {
            request.repeat = Some(repeating.sent(ticket, body));
            repeating.round = repeating
                .round
                .wrapping_add(u32::from(self.next_ticket == 0));
        }
        self.requests.insert(ticket, request);
        Ok(ticket)
    }

    #[cold]
    fn why_not_sent(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Refusal {
        let known = self.balancer.peers();
        match peers.refused_by_all(known, outgoing) {
            Some((_, excess)) => Refusal::TooLarge(excess),
            None => Refusal::NotNow,
        }
    }

    /// Whether a request waits for the one before it to end.
    pub(crate) fn asks_one_at_a_time(&self) -> bool {
        !self.correlate
    }

    /// How the request has ended, if it has.
    pub(crate) fn outcome(&mut self, peers: &mut Peers, ticket: Ticket) -> Option<Outcome> {
        self.receive(peers);
        let outcome = self.requests.get_mut(&ticket)?.outcome.take()?;
        self.end_repeating(peers, ticket);
        self.requests.remove(&ticket);
        Some(outcome)
    }

    /// Nobody waits for the reply any more: if the request has not left, it is taken back, which is then true. If it has, the
    /// socket goes on waiting for the reply in strict mode.
    pub(crate) fn cancel(&mut self, peers: &mut Peers, ticket: Ticket) -> bool {
        let Some(request) = self.requests.get_mut(&ticket) else {
            return false;
        };
        if let Some(outcome) = request.outcome.take() {
            self.requests.remove(&ticket);
            if let Outcome::Reply(message) = outcome {
                peers.discard(message);
            }
            return false;
        }
        let Some(peer) = request.peer else {
            self.end_repeating(peers, ticket);
            self.forget_request(ticket);
            return false;
        };
        // Without ids there is no other request, so it is the newest.
        let correlate = self.correlate;
        let number = request.repeat.as_ref().map(|r| r.number.to_be_bytes());
        let id = ticket.to_be_bytes();
        let id = number.as_ref().map_or(&id[..], |number| number);
        match peers.withdraw(peer, |first| !correlate || first == id) {
            Withdrawal::Done => {
                let first = request.repeat.as_ref().is_none_or(|r| r.is_first());
                self.end_repeating(peers, ticket);
                self.forget_request(ticket);
                self.balancer.set_ready(peer);
                return first;
            }
            Withdrawal::Undecided => request.deaf = Some(Deaf::WhileWritten),
            Withdrawal::TooLate => {
                self.cancelled_late = true;
                if !self.relaxed {
                    request.deaf = Some(Deaf::AwaitsReply);
                    return false;
                }
                if !self.correlate {
                    *self.stale.entry(peer).or_default() += 1;
                }
                self.end_repeating(peers, ticket);
                self.forget_request(ticket);
            }
        }
        false
    }

    /// A request that may be sent again is not, from now on.
    fn end_repeating(&mut self, peers: &mut Peers, ticket: Ticket) {
        if let (Some(repeating), Some(request)) =
            (&mut self.repeating, self.requests.get_mut(&ticket))
        {
            for id in repeating.end(ticket, request, peers) {
                self.balancer.finished(id, 1);
            }
        }
    }

    fn receive(&mut self, peers: &mut Peers) {
        let mut message = Message::new();
        while let Some(id) = take_fairly(&mut self.queue, peers, &mut message) {
            if let Some(unexpected) = self.deliver(peers, id, std::mem::take(&mut message)) {
                peers.discard(unexpected);
            }
        }
    }

    /// Hands a reply to the request that waits for it. Returns a message that no request waits for.
    fn deliver(&mut self, peers: &mut Peers, id: PeerId, message: Message) -> Option<Message> {
        let Some((ticket, start)) = self.match_reply(id, &message) else {
            self.unexpected += 1;
            return Some(message);
        };
        self.end_repeating(peers, ticket);
        let Some(request) = self.requests.get_mut(&ticket) else {
            return Some(message);
        };
        if request.deaf.is_some() {
            if request.is_cancelled() {
                self.forget_request(ticket);
            }
            self.unexpected += 1;
            return Some(message);
        }
        let body = Message::from_frames(message.into_frames().skip(start));
        self.end(ticket, Outcome::Reply(body));
        None
    }

    /// Nobody is to be told of a request that has no outcome.
    fn forget_request(&mut self, ticket: Ticket) {
        let request = self.requests.remove(&ticket);
        if let Some(peer) = request.and_then(|request| request.peer) {
            self.balancer.finished(peer, 1);
        }
    }

    fn end(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(request) = self.requests.get_mut(&ticket) {
            request.outcome = Some(outcome);
            if let Some(peer) = request.peer {
                self.balancer.finished(peer, 1);
            }
            self.note_end(ticket);
        }
    }

    fn note_end(&mut self, ticket: Ticket) {
        if self.ended.len() > 2 * self.requests.len() + 16 {
            // Nobody asks, as only threads wait.
            let requests = &self.requests;
            self.ended.retain(|ended| {
                let ticket = Ticket::try_from(*ended);
                ticket.is_ok_and(|ticket| requests.contains_key(&ticket))
            });
        }
        self.ended.push(u64::from(ticket));
    }

    /// Whose reply this is, and where its body starts.
    fn match_reply(&mut self, id: PeerId, message: &Message) -> Option<(Ticket, usize)> {
        let frames: Vec<&Frame> = message.frames().collect();
        if self.correlate {
            let bytes = frames.first()?.as_slice();
            let start = envelope::reply_body(&frames, Some(bytes)).ok()?;
            let ticket = self.named(bytes)?;
            let request = self.requests.get(&ticket)?;
            let may_reply = request.peer == Some(id)
                || request
                    .repeat
                    .as_ref()
                    .is_some_and(|repeat| repeat.was_asked_of(id));
            return (may_reply && request.outcome.is_none()).then_some((ticket, start));
        }
        let start = envelope::reply_body(&frames, None).ok()?;
        if let Some(stale) = self.stale.get_mut(&id) {
            *stale -= 1;
            if *stale == 0 {
                self.stale.remove(&id);
            }
            return None;
        }
        let (ticket, request) = self.requests.iter().next()?;
        (request.peer == Some(id) && request.outcome.is_none()).then_some((*ticket, start))
    }

    /// The request with this id, as it is on the wire, if there is one.
    fn named(&self, id: &[u8]) -> Option<Ticket> {
        if self.repeating.is_none() {
            return Some(Ticket::from_be_bytes(id.try_into().ok()?));
        }
        let number = u64::from_be_bytes(id.try_into().ok()?);
        let ticket = number as Ticket;
        let repeat = self.requests.get(&ticket)?.repeat.as_ref()?;
        (repeat.number == number).then_some(ticket)
    }

    /// Whose request a queued message is.
    fn ticket_of(&self, message: &Message) -> Option<Ticket> {
        if self.correlate {
            return self.named(message.first().as_slice());
        }
        // There is one request at a time.
        self.requests.keys().next().copied()
    }

    /// The connection to a peer is gone. All but the newest `kept` requests to it had left already, and
    /// their replies will not come.
    fn fail_requests(&mut self, id: PeerId, kept: usize) {
        self.stale.remove(&id);
        let newest = self.next_ticket;
        let mut lost: Vec<Ticket> = self
            .requests
            .iter()
            .filter(|(_, request)| request.peer == Some(id) && request.outcome.is_none())
            .map(|(ticket, _)| *ticket)
            .collect();
        // Oldest first, with the counter's wrap-around in mind.
        lost.sort_by_key(|ticket| std::cmp::Reverse(newest.wrapping_sub(*ticket)));
        lost.truncate(lost.len().saturating_sub(kept));
        for ticket in lost {
            match self.requests.get(&ticket) {
                Some(request) if !request.is_cancelled() => {
                    self.end(ticket, Outcome::PeerGone);
                }
                Some(_) => self.forget_request(ticket),
                None => {}
            }
        }
    }
}

impl Pattern for ReqPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Req
    }

    fn objection(&self, options: &Options) -> Option<(&'static str, &'static str)> {
        let differs = options.req_correlate != self.correlate;
        (differs && !self.requests.is_empty())
            .then_some(("req_correlate", "a request is under way"))
    }

    fn reconfigure(&mut self, _peers: &mut Peers, options: &Options) {
        self.correlate = options.req_correlate;
        self.relaxed = options.req_relaxed;
        if self.balancer.set_choice(options.balancing.choice()) {
            for id in self.balancer.peers().collect::<Vec<PeerId>>() {
                let requests = self.requests.values();
                let has = |it: &&Request| {
                    let repeat = it.repeat.as_ref();
                    it.peer == Some(id) || repeat.is_some_and(|repeat| repeat.was_asked_of(id))
                };
                let waits = requests.filter(|it| has(it) && it.outcome.is_none());
                self.balancer.set_outstanding(id, waits.count() as u64);
            }
        }
    }

    fn weighs(&self) -> bool {
        self.balancer.weighs()
    }

    fn set_share(&mut self, _peers: &mut Peers, id: PeerId, share: Share) {
        self.balancer.set_share(id, Some(share));
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn idempotent_property(&self) -> Option<Vec<u8>> {
        self.repeating
            .as_ref()
            .map(|repeating| repeating.property())
    }

    fn is_immediate(&self) -> bool {
        self.repeating.is_some()
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        match &self.repeating {
            Some(repeating) => repeating.admit(peers, id),
            None => Admission::Granted,
        }
    }

    fn attached(&mut self, _peers: &mut Peers, id: PeerId) {
        self.balancer.add(id);
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(repeating) = &self.repeating {
            repeating.established(peers, id);
            self.dispatch(peers);
        }
    }

    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.set_share(id, None);
        self.receive(peers);
        if self.repeating.is_none() {
            let kept = peers.queued_out(id);
            self.fail_requests(id, kept);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.receive(peers);
        self.balancer.remove(id);
        if self.repeating.is_none() {
            return self.fail_requests(id, 0);
        }
        self.orphaned(peers, unsent);
        self.ask_others(peers, id);
    }

    /// What is sent again is kept with its request.
    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        for unsent in unsent {
            peers.discard(unsent.message);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.repeating.as_ref()?.deadline()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        self.receive(peers);
        self.ask_as_well(peers, now);
    }

    fn delivery_stats(&self) -> DeliveryStats {
        DeliveryStats {
            retried: self.repeating.as_ref().map_or(0, |r| r.sent_again),
            ..DeliveryStats::default()
        }
    }

    fn orphans(&self) -> usize {
        self.repeating.as_ref().map_or(0, |r| r.waiting())
    }

    fn returned(&mut self, peers: &mut Peers, id: PeerId, connected: bool) {
        let undecided = |request: &Request| {
            request.peer == Some(id) && request.deaf == Some(Deaf::WhileWritten)
        };
        let requests = self.requests.iter();
        let undecided: Vec<Ticket> = requests
            .filter(|(_, request)| undecided(request))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in undecided {
            self.cancel(peers, ticket);
        }
        if !connected && self.repeating.is_none() {
            // `lost` could not tell how much had left.
            let kept = peers.queued_out(id);
            self.fail_requests(id, kept);
        }
    }

    fn given_up(&mut self, message: &Message, cause: RefusalCause) {
        let Some(ticket) = self.ticket_of(message) else {
            return;
        };
        match self.requests.get(&ticket) {
            Some(request) if !request.is_cancelled() => {
                let size = message.size();
                self.end(ticket, Outcome::Refused { size, cause });
            }
            Some(_) => self.forget_request(ticket),
            None => {}
        }
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    /// A caller that waits takes what has come. Without one it is taken here: replies that nobody waits for would fill the queue up
    /// to its mark, and a peer that is not read from is not seen to leave.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        if self.requests.values().all(|request| request.deaf.is_some()) {
            self.receive(peers);
        }
        Ok(())
    }

    fn ended(&mut self, peers: &mut Peers) -> Vec<u64> {
        self.receive(peers);
        std::mem::take(&mut self.ended)
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        self.balancer.set_ready(id);
        self.dispatch(peers);
    }

    fn clear(&mut self, peers: &mut Peers) {
        for (ticket, mut request) in std::mem::take(&mut self.requests) {
            if let Some(repeating) = &mut self.repeating {
                repeating.end(ticket, &mut request, peers);
            }
            if let Some(Outcome::Reply(message)) = request.outcome {
                peers.discard(message);
            }
        }
    }

    fn keeps_unsent(&self) -> bool {
        true
    }

    fn connects_once(&self) -> bool {
        true
    }

    fn in_dialogue(&self) -> bool {
        !self.requests.is_empty()
    }

    fn sends_request_first(&self) -> bool {
        true
    }

    /// Every request has had its reply, or its connection is gone.
    fn has_been_read(&self, id: PeerId) -> bool {
        !self.cancelled_late
            && self
                .requests
                .values()
                .all(|request| request.peer != Some(id))
    }

    fn unexpected(&self) -> u64 {
        self.unexpected
    }
}
