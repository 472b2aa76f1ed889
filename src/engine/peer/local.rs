//! The life of a peer in another socket of the same context.
//!
//! The connecting side makes both channels at once and starts sending; when the name is bound, before or
//! after, the binder is offered the other ends and adopts them in its own time.

use std::sync::{Arc, OnceLock};

use super::dialer::Attempt;
use super::net::Net;
use super::notices::Happened;
use super::out_buffer::Unsent;
use super::state::{Link, Origin, PeerId, Place};
use super::turn::Turn;
use crate::engine::Note;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::timers::Timer;
use crate::engine::inproc::channel::Channel;
use crate::engine::inproc::link::{InprocLink, Remote};
use crate::engine::inproc::names::{Accepted, Misfit, Offer};
use crate::engine::inproc::offerer::Offerer;
use crate::message::RoutingId;
use crate::transport::Endpoint;
use crate::zmtp::{PeerFacts, SocketType};

impl Turn<'_> {
    /// Connects to an inproc name. Gives the peer there, or the type of the socket bound there, if it does not fit.
    pub(crate) fn connect_inproc(
        &mut self,
        name: &str,
        given_name: Option<RoutingId>,
    ) -> Result<PeerId, SocketType> {
        let mut peers = self.net.peers.slab.iter();
        let connected = peers.find(|(_, peer)| {
            peer.origin.is_connected_to(name) && !matches!(peer.link, Link::Gone)
        });
        if self.pattern.connects_once()
            && let Some((id, peer)) = connected
        {
            if matches!(peer.link, Link::Down) && self.net.options.reconnect_interval.is_none() {
                self.offer_at(id, Misfit::IsAnError)?;
            }
            return Ok(id);
        }
        let waits = self.net.reconnect_waits();
        let offerer = Offerer::new(name.into(), given_name, self.now, waits);
        self.offer_inproc(Box::new(offerer), Misfit::IsAnError)
    }

    /// Makes a place for a peer, and an offer at once.
    fn offer_inproc(
        &mut self,
        offerer: Box<Offerer>,
        misfit: Misfit,
    ) -> Result<PeerId, SocketType> {
        let id = self.net.new_offerer(offerer);
        match self.offer_at(id, misfit) {
            Ok(()) => Ok(id),
            Err(theirs) => {
                self.net.peers.remove(id, self.pattern);
                Err(theirs)
            }
        }
    }

    /// Makes an offer for a peer that has none. Where it is an error, the peer is as it was.
    fn offer_at(&mut self, id: PeerId, misfit: Misfit) -> Result<(), SocketType> {
        let now = self.now;
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return Ok(());
        };
        let Origin::Offered(offerer) = &mut peer.origin else {
            return Ok(());
        };
        offerer.offers(now);
        let name = Arc::clone(&offerer.name);
        let (forth, back) = (Channel::new(), Channel::new());
        let link = InprocLink::new(Arc::clone(&forth), Arc::clone(&back), self.net.recv_step());
        let taker = Arc::clone(&link.remote);
        let offer = Offer {
            name,
            socket_type: self.net.handshake.socket_type,
            facts: self.net.own_facts(),
            recv_hwm: self.net.options.recv_hwm,
            forth,
            back,
            from: Remote {
                mailbox: Arc::clone(&self.net.mailbox),
                place: self.net.place_of(id),
            },
            taker,
        };
        let later = &mut self.net.peers.pool.later;
        crate::engine::lock(&self.net.context.names).connect(offer, misfit, later)?;
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.link = Link::Inproc(Box::new(link));
        }
        self.greet(id);
        self.net.peers.hand_over_queue(id);
        if !self.net.immediate {
            self.attach(id);
        }
        Ok(())
    }

    /// A socket has connected to a name that we have bound.
    pub(crate) fn adopt(&mut self, offer: Offer) {
        let Remote { mailbox, place } = offer.from.clone();
        let mut link = InprocLink::new(offer.back, offer.forth, self.net.recv_step());
        link.remote = Arc::new(OnceLock::from(offer.from));
        link.accepted = true;
        link.remote_hwm = Some(offer.recv_hwm);
        let (recv_hwm, send_hwm) = (self.net.options.recv_hwm, self.net.options.send_hwm);
        let mark = link.mark(send_hwm);
        let origin = Origin::Bound(Arc::clone(&offer.name));
        let label = format!("inproc://{}", offer.name);
        let id = self
            .net
            .new_peer(Link::Inproc(Box::new(link)), origin, label.into());
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.send_hwm = mark;
            peer.facts = Some(Arc::new(offer.facts));
        }
        if let Err(refusal) = self.let_in(id) {
            let text = format_args!("inproc://{}: a peer is refused: {refusal}", offer.name);
            self.net.warn(text);
            mailbox.post(Note::InprocRefused(place));
            return self.net.peers.remove(id, self.pattern);
        }
        let near = Remote {
            mailbox: Arc::clone(&self.net.mailbox),
            place: self.net.place_of(id),
        };
        // Set once, here; nobody else does.
        let _ = offer.taker.set(near);
        let accepted = Accepted {
            recv_hwm,
            facts: self.net.own_facts(),
        };
        mailbox.post(Note::InprocAccepted {
            place,
            accepted: Box::new(accepted),
        });
        self.greet(id);
        self.attach(id);
        self.pattern.established(&mut self.net.peers, id);
        self.weigh(id);
        self.arm_delivery();
        self.fetch_inproc(id);
    }

    /// Our offer has been taken up.
    pub(crate) fn accepted_inproc(&mut self, place: Place, accepted: Accepted) {
        if !self.net.at_place(place) {
            return;
        }
        let id = place.id;
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.facts = Some(Arc::new(accepted.facts));
            if let Link::Inproc(link) = &mut peer.link {
                link.accepted = true;
                link.remote_hwm = Some(accepted.recv_hwm);
                peer.send_hwm = link.mark(self.net.options.send_hwm);
            }
        }
        if let Err(refusal) = self.let_in(id) {
            let text =
                format_args!("inproc: a peer that we have connected to is refused: {refusal}");
            self.net.warn(text);
            self.net.close_inproc(id);
            return self.inproc_gone(id, End::Refused);
        }
        self.attach(id);
        self.net.changes.add(Changes::PEERS);
        self.pattern.established(&mut self.net.peers, id);
        self.weigh(id);
        self.pattern.writable(&mut self.net.peers, id);
        self.arm_delivery();
        self.fetch_inproc(id);
    }

    /// Ends the connection of a socket that has connected to a name which is not ours any more. What it has sent can still be taken.
    pub(super) fn part_with_inproc(&mut self, id: PeerId) {
        self.fetch_inproc(id);
        self.net.close_inproc(id);
        self.inproc_gone(id, End::Unbound);
    }

    /// Our offer is refused, or its taker sends us away for the sake of another.
    pub(crate) fn refused_inproc(&mut self, place: Place) {
        if !self.net.at_place(place) {
            return;
        }
        let accepted = self.net.peers.is_connected(place.id);
        if accepted {
            self.fetch_inproc(place.id);
        }
        self.inproc_gone(place.id, End::Refused);
    }

    /// Ends the connection to a peer for the sake of another one. What it has sent can still be taken.
    pub(crate) fn send_away_inproc(&mut self, id: PeerId) {
        self.fetch_inproc(id);
        let peer = self.net.peers.slab.get(id);
        match peer.map(|peer| (&peer.origin, &peer.link)) {
            Some((Origin::Bound(_), Link::Inproc(link))) => link.tell(Note::InprocRefused),
            Some((_, Link::Inproc(_))) => self.net.close_inproc(id),
            Some(_) | None => return,
        }
        self.inproc_gone(id, End::Refused);
    }

    /// The wait for the next offer may be over.
    pub(crate) fn offer_again(&mut self, id: PeerId, attempt: Attempt) {
        let peer = self.net.peers.slab.get(id);
        let waits = peer.is_some_and(|peer| {
            matches!(&peer.origin, Origin::Offered(offerer) if offerer.is_at(attempt))
                && matches!(peer.link, Link::Down)
        });
        if waits {
            // Never an error.
            let _ = self.offer_at(id, Misfit::IsWaitedFor);
        }
    }

    /// Takes in what sockets of this process have sent so far, told of or not.
    pub(crate) fn take_in_within(&mut self) {
        let peers = self.net.peers.slab.iter();
        let within = peers.filter(|(_, peer)| matches!(peer.link, Link::Inproc(_)));
        let ids: Vec<PeerId> = within.map(|(id, _)| id).collect();
        for id in ids {
            self.fetch_inproc(id);
        }
    }

    fn fetch_inproc(&mut self, id: PeerId) {
        self.net.peers.receive_inproc(id);
        self.announce(id);
    }

    /// Takes topics from inproc peers, as many as there is time for in this turn, and lets those go that have gone, and peers of any
    /// kind that are gone and have been read empty, or that the application has ended the connection of.
    pub(crate) fn take_news(&mut self) {
        while let Some(id) = self.net.peers.news.pop() {
            let Some(peer) = self.net.peers.slab.get(id) else {
                continue;
            };
            if peer.ending && !matches!(peer.link, Link::Gone) {
                self.see_off(id);
                continue;
            }
            let link = match &peer.link {
                Link::Inproc(link) => link,
                Link::Gone => {
                    self.let_go(id);
                    continue;
                }
                Link::Down | Link::Connecting(_) | Link::Handshaking(_) | Link::Up(_) => continue,
            };
            let news = link.inbox.news();
            if !news.topics.is_empty() {
                self.net.late_topics.push_back(LateTopics {
                    place: self.net.place_of(id),
                    topics: news.topics.into_iter(),
                });
            }
            if news.closed {
                self.inproc_gone(id, End::Gone);
            } else {
                self.fetch_inproc(id);
            }
        }
        if !self.net.late_topics.is_empty() {
            self.take_topics();
        }
    }

    /// Tells the pattern of topics in the order in which they came, one at least.
    fn take_topics(&mut self) {
        while let Some(late) = self.net.late_topics.front_mut() {
            let place = late.place;
            let next = late.topics.next();
            // The peer may be gone, and with it all that it wanted.
            let peer = self.net.peers.slab.get(place.id);
            let peer = peer.filter(|peer| {
                peer.connection == place.connection && matches!(peer.link, Link::Inproc(_))
            });
            let (Some((topic, subscribe)), Some(_)) = (next, peer) else {
                self.net.late_topics.pop_front();
                continue;
            };
            self.net.changes.add(Changes::PEERS);
            self.pattern.own_topic(place.id, &topic, subscribe);
            if self.slice.is_over() {
                return;
            }
        }
    }

    /// The connection is over; what came by it can still be taken. If this socket had connected, it offers itself again: at once, and so
    /// waits until the name is bound again, or after a while.
    fn inproc_gone(&mut self, id: PeerId, end: End) {
        let (keeps, moves) = (self.pattern.keeps_unsent(), self.pattern.moves_unsent());
        let immediate = self.net.immediate;
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Inproc(link) = &peer.link else {
            return;
        };
        let reclaimed = link.outbox.reclaim(&mut self.net.peers.pool);
        let mut unsent = reclaimed.messages;
        peer.counters.withdrawn += reclaimed.unwanted as u64;
        if let Link::Inproc(link) = std::mem::replace(&mut peer.link, Link::Gone) {
            self.net.peers.pool.later.drop_link(link);
        }
        self.net.peers.gone += 1;
        let received = peer.counters.messages_in > 0;
        let renewed = match &peer.origin {
            Origin::Offered(offerer) => Some(offerer.clone()),
            Origin::Bound(_) | Origin::Dialed(_) | Origin::Accepted(_) => None,
        };
        let mut kept = Vec::new();
        if keeps && !moves && renewed.is_some() && !immediate {
            // For the next connection, as where it is dialed.
            kept = std::mem::take(&mut unsent);
        } else if !moves {
            peer.counters.dropped_disconnect += unsent.len() as u64;
            unsent = Vec::new();
        }
        if std::mem::take(&mut peer.attached) {
            self.net.changes.add(Changes::PEERS);
            self.pattern.detached(&mut self.net.peers, id, unsent);
        }
        if end == End::Gone {
            self.put_notices(id, Happened::Ended);
        }
        self.let_go(id);
        if let Some(offerer) = renewed {
            self.renew_offer(offerer, kept, end, received);
        }
    }

    /// Makes a place for a peer, in which what was kept for it is queued, and an offer: at once, or after a while.
    fn renew_offer(
        &mut self,
        mut offerer: Box<Offerer>,
        kept: Vec<Unsent>,
        end: End,
        received: bool,
    ) {
        let wait = (end == End::Refused).then(|| offerer.refused(self.now, received));
        let id = self.net.new_offerer(offerer);
        self.net.peers.requeue(id, &kept);
        let Some((delay, attempt)) = wait else {
            // Never an error.
            let _ = self.offer_at(id, Misfit::IsWaitedFor);
            return;
        };
        if !self.net.immediate {
            self.attach(id);
        }
        if self.net.options.reconnect_interval.is_some() {
            let at = (self.now + delay).max(self.next_turn());
            self.net.timers.arm(at, Timer::Offer(id, attempt));
        }
    }
}

/// How an inproc connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The other end has closed.
    Gone,
    /// One side does not let the other in.
    Refused,
    /// The application has unbound the name.
    Unbound,
}

impl Net {
    /// Binds the inproc name of an endpoint; `false` if it is taken.
    pub(crate) fn bind_inproc(&mut self, name: &str, endpoint: &Endpoint) -> bool {
        let name: Arc<str> = name.into();
        let socket_type = self.handshake.socket_type;
        let mut names = crate::engine::lock(&self.context.names);
        let later = &mut self.peers.pool.later;
        let bound = names.bind(&name, socket_type, &self.mailbox, later);
        if bound {
            self.last_endpoint = Some(Arc::new(endpoint.clone()));
        }
        bound
    }

    /// Tells the other end that we go.
    pub(crate) fn close_inproc(&mut self, id: PeerId) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Inproc(link) = &peer.link else {
            return;
        };
        link.outbox.close();
        link.tell(Note::InprocReadable);
        if let Origin::Offered(offerer) = &peer.origin {
            crate::engine::lock(&self.context.names).withdraw(&offerer.name, peer.connection);
        }
    }

    fn new_offerer(&mut self, offerer: Box<Offerer>) -> PeerId {
        let label = format!("inproc://{}", offerer.name);
        self.new_peer(Link::Down, Origin::Offered(offerer), label.into())
    }

    pub(crate) fn at_place(&self, place: Place) -> bool {
        let peer = self.peers.slab.get(place.id);
        peer.is_some_and(|peer| peer.connection == place.connection)
    }

    pub(crate) fn place_of(&self, id: PeerId) -> Place {
        Place {
            id,
            connection: self.connection_of(id),
        }
    }

    /// What the peer of an inproc pair is told of us.
    fn own_facts(&self) -> PeerFacts {
        PeerFacts::local(
            self.handshake.socket_type,
            self.handshake.routing_id.clone(),
        )
    }

    /// Tell the sender that there is room after so many messages: often enough that it need not stop,
    /// seldom enough that the count's cache line is not fought for.
    fn recv_step(&self) -> usize {
        (super::link::unlimited(self.options.recv_hwm) / 4).clamp(1, 128)
    }
}

/// Topics of one peer that the pattern has yet to be told of.
pub(crate) struct LateTopics {
    place: Place,
    topics: std::vec::IntoIter<(Vec<u8>, bool)>,
}
