//! ROUTER: each message to the peer that it names, and from all peers in turn, each with the name of its peer (RFC 28).
//!
//! A peer is known by the routing id that it announces, or by one that is made up here. A peer that we dial keeps its id through
//! every connection, as it does in libzmq: the id is that of the place.
//!
//! STREAM is the same without ZMTP: peers ask for no name, and an empty message ends a connection.
//!
//! And SERVER (RFC 41) and PEER (RFC 51), for which ids are numbers that are made up here, and whose messages have one frame.

use std::time::Instant;

use super::acked_in::{AckedIn, HeldJob};
use super::acked_out::{DeadLetter, JobId, Settled};
use super::acked_to::AckedTo;
use super::form::{AnyFrames, Form, OneFrame, next_formed, take_formed};
use super::routes::{Name, Routes};
use super::{Admission, FairQueue, Pattern};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Tried, Unsent};
use crate::message::{Message, RoutingId};
use crate::monitor::PeerRefusal;
use crate::options::Options;
use crate::stats::DeliveryStats;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::{PeerFacts, ProtocolError, SocketType};

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
pub(crate) struct RouterOf<N> {
    socket_type: SocketType,
    queue: FairQueue,
    routes: Routes<N>,
    /// Report what cannot be routed, and wait for room, instead of dropping.
    mandatory: bool,
    /// A newcomer with a routing id that is taken gets it.
    handover: bool,
    /// Each new connection is told of by an empty message.
    probe: bool,
    /// Peers speak no ZMTP, and an empty message ends the connection.
    raw: bool,
    /// There is more to do about what is sent than to send it: it is raw, or to be settled.
    special: bool,
    /// A message has been sent since the last was received: the next to come may be the answer to it, or the next question.
    sent_last: bool,
    unroutable: u64,
    unexpected: u64,
    /// Where messages are to be settled, they come and go this way alone: nothing is in the queue then.
    acked: Option<Box<Acked<N>>>,
}

/// Messages that are to be settled.
struct Acked<N> {
    incoming: AckedIn,
    out: AckedTo<N>,
}

/// ROUTER.
pub(crate) type RouterPattern = RouterOf<RoutingId>;

/// SERVER, or PEER.
pub(crate) type NumberedPattern = RouterOf<u32>;

impl NumberedPattern {
    /// Of this type. Numbers begin with `first`.
    pub(crate) fn new(socket_type: SocketType, first: u32) -> Self {
        RouterOf {
            socket_type,
            queue: FairQueue::new(),
            routes: Routes::new(first),
            mandatory: true,
            handover: false,
            probe: false,
            raw: false,
            special: false,
            sent_last: false,
            unroutable: 0,
            unexpected: 0,
            acked: None,
        }
    }

    /// The number of a peer, from now on if it has had none yet.
    pub(crate) fn number(&mut self, id: PeerId) -> u32 {
        loop {
            if let Some(&number) = self.routes.name(id) {
                return number;
            }
            self.routes.assign_any(id);
        }
    }
}

impl RouterPattern {
    /// Automatic ids begin with the number `first`.
    pub(crate) fn new(mandatory: bool, handover: bool, probe: bool, first: u32) -> Self {
        RouterOf {
            socket_type: SocketType::Router,
            queue: FairQueue::new(),
            routes: Routes::new(first),
            mandatory,
            handover,
            probe,
            raw: false,
            special: false,
            sent_last: false,
            unroutable: 0,
            unexpected: 0,
            acked: None,
        }
    }

    pub(crate) fn with_options(options: &Options, first: u32) -> Self {
        let acked = options.delivery.as_ref().map(|delivery| {
            let incoming = AckedIn::new(delivery);
            Box::new(Acked {
                out: AckedTo::new(delivery, options.send_hwm, incoming.hello().id),
                incoming,
            })
        });
        RouterOf {
            raw: options.router_raw,
            special: options.router_raw || acked.is_some(),
            acked,
            ..RouterPattern::new(
                options.router_mandatory,
                options.router_handover,
                options.probe_router && !options.router_raw,
                first,
            )
        }
    }

    /// STREAM.
    pub(crate) fn stream(first: u32) -> Self {
        RouterOf {
            socket_type: SocketType::Stream,
            raw: true,
            special: true,
            ..RouterPattern::new(true, false, false, first)
        }
    }
}

impl<N: Name> RouterOf<N> {
    /// Takes the next message into `message`, and says who sent it.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<&N> {
        self.recv_from(peers, message).map(|(_, name)| name)
    }

    /// The same, with the peer, if that is known.
    #[inline(always)]
    pub(crate) fn recv_from(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
    ) -> Option<(Option<PeerId>, &N)> {
        let id = match N::NUMBERED {
            true => self.take::<OneFrame>(peers, message)?,
            false => match self.take::<AnyFrames>(peers, message) {
                Some(id) => id,
                None => return self.recv_acked(peers, message),
            },
        };
        if self.routes.name(id).is_none() {
            // It has a name before it is read from, and so this is never needed.
            self.routes.assign_any(id);
        }
        self.sent_last = false;
        Some((Some(id), self.routes.heard(id)?))
    }

    /// The same where messages are to be settled, which is done thereby.
    #[inline(never)]
    fn recv_acked(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
    ) -> Option<(Option<PeerId>, &N)> {
        let acked = self.acked.as_mut()?;
        let from = acked.incoming.recv_from(peers, message)?;
        Some((Some(from), self.name_of(from)?))
    }

    /// Takes the next message, for the application to settle if it has a job.
    pub(crate) fn recv_job(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
        held: &mut Option<HeldJob>,
    ) -> Option<(Option<PeerId>, &N)> {
        let Some(acked) = &mut self.acked else {
            return self.recv_from(peers, message);
        };
        let from = acked.incoming.recv_job(peers, message, held)?;
        Some((Some(from), self.name_of(from)?))
    }

    /// The name of the peer that something has been received of.
    fn name_of(&mut self, id: PeerId) -> Option<&N> {
        if self.routes.name(id).is_none() {
            self.routes.assign_any(id);
        }
        self.routes.name(id)
    }

    #[inline(always)]
    fn take<F: Form>(&mut self, peers: &mut Peers, message: &mut Message) -> Option<PeerId> {
        take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected)
    }

    /// Gives the message to the peer with this routing id.
    #[inline]
    pub(crate) fn send_to(
        &mut self,
        peers: &mut Peers,
        id: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Result<Routed, Unroutable> {
        let Some(peer) = self.routes.peer(id) else {
            return self.unroutable(peers, id, outgoing);
        };
        if self.special
            && let Some(done) = self.send_specially(peers, id, outgoing)
        {
            return done;
        }
        if peers.send_single(peer, outgoing) {
            self.sent_last = true;
            return Ok(Routed::Queued);
        }
        let sent = self.send_any(peers, peer, outgoing);
        self.sent_last = sent == Ok(Routed::Queued);
        sent
    }

    /// The same, and names the message if it is to be settled; what becomes of it is then [told](Pattern::settled_as).
    pub(crate) fn send_later(
        &mut self,
        peers: &mut Peers,
        id: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Result<Option<JobId>, Unroutable> {
        match &mut self.acked {
            Some(acked) => acked.out.send_later(peers, id, outgoing).map(Some),
            None => self.send_to(peers, id, outgoing).map(|_| None),
        }
    }

    /// Holds a message until it is settled, or ends a raw connection. `None`: there is nothing special about it.
    #[inline(never)]
    fn send_specially(
        &mut self,
        peers: &mut Peers,
        id: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Option<Result<Routed, Unroutable>> {
        if let Some(acked) = &mut self.acked {
            let sent = acked.out.send(peers, id, outgoing);
            return Some(sent.map(|()| Routed::Queued));
        }
        let peer = self.routes.peer(id).filter(|_| outgoing.extent().0 == 0)?;
        self.end(peers, peer);
        Some(Ok(Routed::Queued))
    }

    /// Ends the connection of a peer, once all that is queued for it has left.
    #[cold]
    fn end(&mut self, peers: &mut Peers, peer: PeerId) {
        self.routes.release(peer);
        self.queue.remove(peer);
        peers.end(peer);
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
    fn unroutable(
        &mut self,
        peers: &mut Peers,
        id: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Result<Routed, Unroutable> {
        if let Some(acked) = &mut self.acked {
            // It may be away for a moment.
            let sent = acked.out.send(peers, id, outgoing);
            return sent.map(|()| Routed::Queued);
        }
        if self.mandatory {
            return Err(Unroutable::NoSuchPeer);
        }
        self.unroutable += 1;
        Ok(Routed::Unroutable)
    }

    /// What is known of the peer that messages for this routing id go to.
    pub(crate) fn facts<'a>(&self, peers: &'a Peers, id: &N::Key) -> Option<&'a PeerFacts> {
        peers.facts(self.routes.peer(id)?)
    }

    /// Whether messages may be sent to a peer of this name.
    pub(crate) fn knows(&self, id: &N::Key) -> bool {
        let acked = self.acked.as_ref();
        self.routes.peer(id).is_some() || acked.is_some_and(|acked| acked.out.knows(id))
    }

    /// The names of the peers that are connected.
    pub(crate) fn connected(&self, peers: &Peers) -> Vec<N> {
        let routable = self.routes.routable();
        let connected = routable.filter(|(_, peer)| peers.is_connected(*peer));
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// The name that a peer is to have: the one it has had, the one given to it here, or the one it asks for. `None`: any.
    fn wanted(&self, peers: &Peers, id: PeerId) -> Result<Option<N>, PeerRefusal> {
        let had = self.routes.name(id).cloned();
        if let Some(name) = had.or_else(|| N::given(peers, id)) {
            return Ok(Some(name));
        }
        let asked = N::asked(peers, id)?;
        let acked = self.acked.as_ref().filter(|_| asked.is_none());
        Ok(asked.or_else(|| acked?.out.name_before(peers, id)))
    }
}

impl<N: Name> Pattern for RouterOf<N> {
    fn socket_type(&self) -> SocketType {
        self.socket_type
    }

    fn is_raw(&self) -> bool {
        self.raw
    }

    fn objection(&self, options: &Options) -> Option<(&'static str, &'static str)> {
        match self.acked.is_some() {
            true => options.unsettled_message(),
            false => None,
        }
    }

    fn reconfigure(&mut self, _peers: &mut Peers, options: &Options) {
        if self.socket_type == SocketType::Router {
            self.mandatory = options.router_mandatory;
            self.handover = options.router_handover;
            self.probe = options.probe_router && !self.raw;
            if let Some(acked) = &mut self.acked {
                acked.out.set_send_hwm(options.send_hwm);
            }
        }
    }

    fn receives(&self) -> bool {
        true
    }

    /// It has answered, and the next question may be near.
    fn in_dialogue(&self) -> bool {
        self.sent_last && self.acked.is_none()
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn hello(&self) -> Option<Hello> {
        self.acked.as_ref().map(|acked| acked.incoming.hello())
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        let granted = match &self.acked {
            Some(acked) => acked.incoming.admit(peers, id),
            None => Admission::Granted,
        };
        if granted != Admission::Granted {
            return granted;
        }
        let name = match self.wanted(peers, id) {
            Ok(Some(name)) => name,
            Ok(None) => {
                self.routes.assign_any(id);
                return Admission::Granted;
            }
            Err(refusal) => return Admission::Refused(refusal),
        };
        match self.routes.peer(name.borrow()) {
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

    /// One that we dial, by a name that was given to it or by its number, can be sent to from now on. Any other has its name once it is
    /// admitted.
    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if N::NUMBERED && self.routes.name(id).is_none() {
            return self.routes.assign_any(id);
        }
        let had = self.routes.name(id).filter(|_| N::NUMBERED).cloned();
        if let Some(name) = had.or_else(|| N::given(peers, id))
            && self.routes.peer(name.borrow()).is_none()
        {
            self.routes.assign(id, name);
        }
    }

    /// Where there is no room for the probe there are messages, which tell the peer of us as well.
    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.incoming.opened(peers, id);
            if let Some(name) = self.routes.name(id) {
                acked.out.established(peers, id, name);
            }
        }
        if self.probe {
            peers.try_send(id, Outgoing::Slice(b""));
        }
    }

    /// Bytes for a connection make no sense on the next one: until there is one, nothing is taken for this peer.
    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        if self.raw {
            self.routes.release(id);
        }
        if let Some(acked) = &mut self.acked {
            acked.incoming.lost(peers, id);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        self.routes.release(id);
        if let Some(acked) = &mut self.acked {
            acked.incoming.lost(peers, id);
            acked.out.detached(peers, id, unsent);
        }
    }

    /// They were for a peer that settles nothing, of whom nobody knows any more.
    fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        if self.acked.is_some() {
            self.unroutable += unsent.len() as u64;
            for unsent in unsent {
                peers.discard(unsent.message);
            }
        }
    }

    fn writable(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.out.dispatch(peers, id);
        }
    }

    fn orphans(&self) -> usize {
        let acked = self.acked.as_ref();
        acked.map_or(0, |acked| acked.out.unsettled())
    }

    fn take_dead(&mut self) -> Vec<DeadLetter> {
        let acked = self.acked.as_mut();
        acked.map(|acked| acked.out.take_dead()).unwrap_or_default()
    }

    fn settled_as(&mut self, number: u64) -> Option<Settled> {
        self.acked.as_ref()?.out.settled_as(number)
    }

    fn forget_receipt(&mut self, number: u64) {
        if let Some(acked) = &mut self.acked {
            acked.out.forget_receipt(number);
        }
    }

    fn ended(&mut self, _peers: &mut Peers) -> Vec<u64> {
        let acked = self.acked.as_mut();
        acked
            .map(|acked| acked.out.take_settled())
            .unwrap_or_default()
    }

    fn delivery_stats(&self) -> DeliveryStats {
        let acked = self.acked.as_ref();
        acked.map(|acked| acked.out.stats()).unwrap_or_default()
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
        if let Some(acked) = &mut self.acked {
            acked.incoming.forget(id);
        }
        self.routes.forget(id);
    }

    fn has_more(&self) -> bool {
        match &self.acked {
            Some(acked) => acked.incoming.has_more(),
            None => self.queue.front().is_some(),
        }
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        if let Some(acked) = &mut self.acked {
            return acked.incoming.would_receive(peers);
        }
        let unexpected = &mut self.unexpected;
        match N::NUMBERED {
            true => next_formed::<OneFrame>(&mut self.queue, peers, unexpected),
            false => next_formed::<AnyFrames>(&mut self.queue, peers, unexpected),
        }
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if let Some(acked) = &mut self.acked {
            return acked.incoming.readable(peers, id);
        }
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        !self.raw
    }

    /// They are for one peer, which may be back for those that are to be settled.
    fn moves_unsent(&self) -> bool {
        self.acked.is_some()
    }

    fn unroutable(&self) -> u64 {
        self.unroutable
    }

    fn unexpected(&self) -> u64 {
        self.unexpected
    }

    fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        match (&mut self.acked, notice) {
            (None, _) => Ok(()),
            (Some(acked), Notice::Settle(_)) => acked.out.delivery(id, notice, now),
            (Some(acked), Notice::Run(_) | Notice::Revoke(_)) => {
                acked.incoming.delivery(id, notice)
            }
        }
    }

    fn acked_in(&mut self) -> Option<&mut AckedIn> {
        self.acked.as_mut().map(|acked| &mut acked.incoming)
    }

    fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.incoming.settled(peers, id);
            acked.out.dispatch(peers, id);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let acked = self.acked.as_ref()?;
        let incoming = acked.incoming.deadline();
        incoming.into_iter().chain(acked.out.deadline()).min()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(acked) = &mut self.acked {
            acked.incoming.handle_timeout(peers, now);
            acked.out.handle_timeout(peers, now);
        }
    }

    fn closing(&mut self, peers: &mut Peers) {
        if let Some(acked) = &mut self.acked {
            acked.incoming.closing(peers);
        }
    }

    fn clear(&mut self, peers: &mut Peers) {
        if let Some(acked) = &mut self.acked {
            acked.out.clear(peers);
        }
    }
}
