//! The life of a connection: dial, shake hands, be up, be lost, be dialed again.

mod beat;
mod ending;
mod loss;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source as _;

pub(crate) use loss::Loss;

use super::bytes::ByteLimits;
use super::dialer::{Attempt, Dialer};
use super::in_buffer::InBuffer;
use super::limits::Takes;
use super::net::{BOTH, Net};
use super::notices::Happened;
use super::out_buffer::OutBuffer;
use super::state::{Connected, Counters, Handshaking, Link, Origin, Peer, PeerId};
use super::turn::Turn;
use super::wire;
use crate::engine::Note;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::timers::Timer;
use crate::message::RoutingId;
use crate::monitor::{ConnectionId, DisconnectCause, Event, IoFailure};
use crate::transport::dial::{self, SocketAddress};
use crate::transport::{Endpoint, Stream};
use crate::zmtp::{Credentials, Established, Handshake, Heartbeat, Principal, Scanner};

/// Room for all that a side usually says in its handshake.
const HANDSHAKE: usize = 256;

/// So much is read of what a peer sends while it waits for a verdict.
const MOST_EARLY_INPUT: usize = 4096;

impl Turn<'_> {
    /// Adds an endpoint to dial, and dials it. If there is one already, and one is enough, it is dialed if nobody else would.
    /// What the peer there is to be called may be given.
    pub(crate) fn connect(
        &mut self,
        endpoint: impl Into<Arc<Endpoint>>,
        given_name: Option<RoutingId>,
    ) -> PeerId {
        let endpoint = endpoint.into();
        let mut peers = self.net.peers.slab.iter();
        if self.pattern.connects_once()
            && let Some((id, peer)) = peers.find(|(_, peer)| peer.origin.is_dialed(&endpoint))
        {
            if matches!(peer.link, Link::Down) && self.net.options.reconnect_interval.is_none() {
                self.dial(id);
            }
            return id;
        }
        let label: Arc<str> = endpoint.to_string().into();
        let waits = self.net.reconnect_waits();
        let dialer = Dialer::new(endpoint, Arc::clone(&label), given_name, waits);
        let origin = Origin::Dialed(Box::new(dialer));
        let id = self.net.new_peer(Link::Down, origin, label);
        if !self.net.immediate {
            self.attach(id);
        }
        self.dial(id);
        id
    }

    /// The peer can be sent to, if it could not be before.
    pub(crate) fn attach(&mut self, id: PeerId) {
        if let Some(peer) = self.net.peers.slab.get_mut(id)
            && !peer.attached
        {
            peer.attached = true;
            self.net.changes.add(Changes::PEERS);
            self.pattern.attached(&mut self.net.peers, id);
        }
    }

    /// Starts a round of attempts: the name is looked up anew. Or goes on with the one that there was no time for.
    pub(crate) fn dial(&mut self, id: PeerId) {
        let Some(dialer) = self.net.dialer(id) else {
            return;
        };
        let attempt = dialer.begin();
        if !dialer.addresses.is_empty() {
            return self.dial_next(id, None);
        }
        let endpoint = Arc::clone(&dialer.endpoint);
        if dial::resolves_instantly(&endpoint) {
            let addresses = dial::resolve(&endpoint, &self.net.stream_options());
            return self.resolved(id, attempt, addresses);
        }
        let mailbox = Arc::clone(&self.net.mailbox);
        let done = Box::new(move |addresses| {
            mailbox.post(Note::Resolved {
                id,
                attempt,
                addresses,
            });
        });
        let options = self.net.stream_options();
        let resolver = &self.net.context.resolver;
        let (wanted, unwanted) = resolver.lookup(endpoint, options, done);
        self.net.later().drop_lookups(unwanted);
        if let Some(dialer) = self.net.dialer(id) {
            dialer.looked_up = Some(wanted);
        }
    }

    /// The addresses of an endpoint are known.
    pub(crate) fn resolved(
        &mut self,
        id: PeerId,
        attempt: Attempt,
        addresses: io::Result<Vec<SocketAddress>>,
    ) {
        let Some(dialer) = self.net.dialer(id).filter(|dialer| dialer.is_at(attempt)) else {
            return;
        };
        dialer.looked_up = None;
        match addresses {
            Ok(mut addresses) => {
                addresses.reverse();
                dialer.addresses = addresses;
                self.dial_next(id, None);
            }
            Err(error) => self.dial_next(id, Some(error)),
        }
    }

    /// Tries the next addresses until one does not fail at once, or waits for the next round when there is none left. A name may have
    /// thousands that all fail at once: when this turn is over, the others have theirs.
    fn dial_next(&mut self, id: PeerId, mut failed: Option<io::Error>) {
        loop {
            let over = failed.is_some() && self.slice.is_over();
            let Some(dialer) = self.net.dialer(id) else {
                return;
            };
            if over && !dialer.addresses.is_empty() {
                let timer = Timer::Redial(id, dialer.begin());
                let at = self.next_turn();
                return self.net.timers.arm(at, timer);
            }
            let Some(address) = dialer.addresses.pop() else {
                let error =
                    failed.unwrap_or_else(|| io::Error::other("the name has no usable address"));
                return self.connect_failed(id, &error);
            };
            match self.dial_one(id, &address) {
                Ok(()) => return,
                Err(error) => failed = Some(error),
            }
        }
    }

    /// Begins an attempt. An error: it has failed at once.
    fn dial_one(&mut self, id: PeerId, address: &SocketAddress) -> io::Result<()> {
        let options = self.net.stream_options();
        let Some(dialer) = self.net.dialer(id) else {
            return Ok(());
        };
        let label = Arc::clone(&dialer.label);
        let source = dial::source_for(&dialer.endpoint, address);
        let event = self.net.peers.wants_events().then(|| Event::Connecting {
            endpoint: label.to_string(),
            peer: address.to_string(),
        });
        self.net.peers.tell(event);
        self.dialing(id, dial::dial(address, source?, &options)?)
    }

    /// A round of attempts has come to nothing.
    fn connect_failed(&mut self, id: PeerId, error: &io::Error) {
        if let Some(dialer) = self.net.dialer(id) {
            let endpoint = dialer.label.to_string();
            let event = self.net.peers.wants_events().then(|| Event::ConnectFailed {
                endpoint,
                error: IoFailure::from(error),
            });
            self.net.peers.tell(event);
        }
        self.redial_later(id);
    }

    pub(super) fn dialing(&mut self, id: PeerId, mut stream: Stream) -> io::Result<()> {
        let connection = ConnectionId::next();
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return Ok(());
        };
        peer.connection = connection;
        let token = self.net.token_of(id);
        stream.register(self.net.registry.get()?, token, BOTH)?;
        if let Some(timeout) = self.net.options.connect_timeout {
            self.net
                .timers
                .arm(self.now + timeout, Timer::Connection(token.0));
        }
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.link = Link::Connecting(stream);
        }
        // A unix socket connects at once, and no event may come of it. What is wrong with it already, an event will say.
        self.finish_connecting(id, false)
    }

    /// The kernel may have finished connecting.
    pub(crate) fn connecting_event(&mut self, id: PeerId, hung_up: bool) {
        if let Err(error) = self.finish_connecting(id, hung_up) {
            self.dial_next(id, Some(error));
        }
    }

    /// Goes on with a connection that is there. An error: it has failed.
    fn finish_connecting(&mut self, id: PeerId, hung_up: bool) -> io::Result<()> {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return Ok(());
        };
        let Link::Connecting(stream) = &peer.link else {
            return Ok(());
        };
        let error = match stream.finish_connect() {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let label = stream.peer_label();
                let Link::Connecting(stream) = std::mem::replace(&mut peer.link, Link::Down) else {
                    return Ok(());
                };
                // Who was dialed by an address has that for a label.
                peer.address = match *peer.label == *label {
                    true => Arc::clone(&peer.label),
                    false => label.into(),
                };
                let event = self.net.peers.wants_events().then(|| Event::Connected {
                    connection: self.net.info(id),
                });
                self.net.peers.tell(event);
                self.begin_handshake(id, stream, hung_up);
                self.greet_peer(id);
                return Ok(());
            }
            Err(error) => error,
        };
        if let Link::Connecting(mut stream) = std::mem::replace(&mut peer.link, Link::Down) {
            self.net.registry.deregister(&mut stream);
        }
        Err(error)
    }

    /// Watches over an accepted stream, and greets the peer.
    pub(crate) fn greet_accepted(&mut self, id: PeerId, mut stream: Stream) {
        let token = self.net.token_of(id);
        let registered = self.net.registry.get();
        let registered = registered.and_then(|registry| stream.register(registry, token, BOTH));
        // If it has hung up already, the first event will say so.
        self.begin_handshake(id, stream, false);
        match registered {
            Ok(()) => self.greet_peer(id),
            // Nobody would hear of what it says.
            Err(error) => self.connection_lost(id, DisconnectCause::from(&error)),
        }
    }

    /// Takes charge of a stream whose peer is to be greeted. `hung_up`: an event has said so of it.
    fn begin_handshake(&mut self, id: PeerId, stream: Stream, hung_up: bool) {
        let token = self.net.token_of(id);
        let mut output = Vec::with_capacity(HANDSHAKE);
        let machine = Handshake::new(Arc::clone(&self.net.handshake), &mut output);
        let timeout = self.net.options.handshake_timeout;
        let timeout = timeout.filter(|_| !self.net.raw);
        let deadline = timeout.map(|timeout| self.now + timeout);
        if let Some(deadline) = deadline {
            self.net.timers.arm(deadline, Timer::Connection(token.0));
        }
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.link = Link::Handshaking(Box::new(Handshaking {
                stream,
                machine,
                input: Vec::with_capacity(HANDSHAKE),
                output,
                readable: true,
                hung_up,
                queued: false,
                finished: None,
                deadline,
                question: None,
                principal: None,
            }));
        }
    }

    fn greet_peer(&mut self, id: PeerId) {
        match self.net.raw {
            true => self.established(id, Established::raw()),
            false => self.advance_handshake(id),
        }
    }

    /// Moves a handshake on: writes what is to be said, reads what was answered.
    pub(crate) fn advance_handshake(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Handshaking(state) = &mut peer.link else {
            return;
        };
        match state.advance() {
            Ok(Step::Waiting) => {}
            Ok(Step::Ask(credentials)) => self.ask(id, credentials),
            Ok(Step::Done(established)) => self.established(id, established),
            Err(cause) => self.connection_lost(id, cause),
        }
    }

    pub(super) fn established(&mut self, id: PeerId, mut established: Established) {
        let told = self.net.peers.wants_events();
        let limits = self.net.limits();
        let takes = Takes::new(established.facts.announced());
        let heartbeat = Heartbeat::new(self.net.heartbeat_config(established.version), self.now);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Handshaking(state) = std::mem::replace(&mut peer.link, Link::Down) else {
            return;
        };
        let Handshaking {
            stream,
            input,
            readable,
            hung_up,
            principal,
            ..
        } = *state;
        let ipc = stream.ipc_credentials();
        let by_system = || ipc.map(|ipc| Principal::Uid(ipc.uid));
        established.facts.principal = principal.or_else(by_system);
        established.facts.ipc = ipc;
        let latest = &self.net.context.alike.facts;
        let facts = established.facts.shared_with(latest.get());
        latest.set(&facts);
        let (writer, reader) = wire::halves(established.security, limits, peer.is_in_budget());
        peer.link = Link::Up(Box::new(Connected {
            stream: Arc::new(stream),
            writer: Some(writer),
            reader,
            scanner: Scanner::new(limits),
            heartbeat,
            since: self.now,
            received_before: peer.counters.messages_in,
            armed: None,
            version: established.version,
            carried: false,
            held_pong: Vec::new(),
            unread_since: None,
            answers_due: None,
            pinged: None,
            told_at: None,
            topics_due: None,
            readable,
            hung_up,
            write_failed: None,
            queued: readable,
            sends_pings: false,
            read_beyond: 0,
            writable: true,
            refused_at: 0,
            writable_again: false,
            watches_room: true,
        }));
        if readable {
            self.net.readable.push_back(id);
        }
        if let Some(address) = peer.counted {
            self.net.addresses.shaken_hands(address);
        }
        peer.takes = takes;
        let was_full = peer.renew_byte_limits(&self.net.options);
        match &mut peer.origin {
            Origin::Dialed(dialer) => peer.counters.reconnects += u64::from(dialer.succeeded()),
            Origin::Accepted(_) => {
                self.net.pending_count = self.net.pending_count.saturating_sub(1)
            }
            Origin::Bound(_) | Origin::Offered(_) => {}
        }
        let event = told.then(|| Event::HandshakeSucceeded {
            connection: peer.info(),
            facts: (*facts).clone(),
        });
        peer.facts = Some(facts);
        self.net.peers.tell(event);
        self.net.watch_room(id, false);
        self.net.arm_heartbeat(id);
        if let Err(refusal) = self.let_in(id) {
            return self.refuse_peer(id, refusal);
        }
        self.attach(id);
        if was_full && self.net.peers.has_room(id) {
            self.announce_room(id);
        }
        self.sort_out_refused(id);
        self.greet(id);
        self.net.changes.add(Changes::PEERS);
        self.pattern.established(&mut self.net.peers, id);
        self.weigh(id);
        self.arm_delivery();
        self.watch_topics(id);
        self.net.peers.mark_dirty(id);
        self.put_notices(id, Happened::Begun);
        if !input.is_empty() {
            self.preload(id, &input);
        }
    }

    /// A deadline of the current connection may have passed.
    pub(crate) fn connection_timer(&mut self, id: PeerId) {
        if self.is_overdue(id) {
            return;
        }
        if self.leaves_answers_unread(id) {
            return self.connection_lost(id, DisconnectCause::AnswersUnread);
        }
        self.presume_topics_taken(id);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        match &mut peer.link {
            Link::Connecting(_) => {
                self.net.disconnect_link(id, &DisconnectCause::LocalClose);
                let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                self.dial_next(id, Some(error));
            }
            Link::Handshaking(state) => {
                if state.deadline.is_some_and(|deadline| deadline <= self.now) {
                    let cause = match state.question {
                        Some(_) => DisconnectCause::VerdictTimeout,
                        None => DisconnectCause::HandshakeTimeout,
                    };
                    self.connection_lost(id, cause);
                }
            }
            // One that was armed before it was known that there is a sooner one.
            Link::Up(up) if up.armed.is_some_and(|armed| armed > self.now) => {}
            Link::Up(_) => self.handle_heartbeat(id),
            Link::Down | Link::Inproc(_) | Link::Gone => {}
        }
    }
}

impl Net {
    /// Makes a place for a peer.
    pub(crate) fn new_peer(&mut self, link: Link, origin: Origin, label: Arc<str>) -> PeerId {
        let connection = ConnectionId::next();
        let bytes = match origin {
            Origin::Dialed(_) | Origin::Accepted(_) => {
                ByteLimits::new(&self.options, self.context.budget.as_ref())
            }
            Origin::Bound(_) | Origin::Offered(_) => None,
        };
        if self.peers.slab.capacity() == 0 {
            // Room for one, and not for the four that a vector begins with: many a socket connects to one peer, and stays with that.
            self.peers.slab.reserve_exact(1);
        }
        self.peers.slab.insert(Peer {
            link,
            origin,
            inbound: InBuffer::new(bytes.is_some() && self.context.budget.is_some()),
            outbound: OutBuffer::default(),
            in_flight: 0,
            commands_in_flight: 0,
            being_written: false,
            send_hwm: unlimited(self.options.send_hwm),
            recv_hwm: unlimited(self.options.recv_hwm),
            gathered_at_most: ByteLimits::gathered_at_most(bytes.as_deref()),
            bytes,
            attached: false,
            ending: false,
            ends_at: None,
            held: false,
            dirty: false,
            paused: false,
            connection,
            birth: connection,
            address: Arc::clone(&label),
            label,
            facts: None,
            takes: Takes::default(),
            counted: None,
            counters: Counters::default(),
            slow_at: None,
            arrived: 0,
        })
    }

    pub(crate) fn connection_of(&self, id: PeerId) -> ConnectionId {
        let peer = self.peers.slab.get(id);
        peer.map(|peer| peer.connection).unwrap_or_default()
    }

    /// The first wait before another attempt to connect, and the longest.
    pub(super) fn reconnect_waits(&self) -> (Duration, Duration) {
        (
            self.options.reconnect_interval.unwrap_or_default(),
            self.options.reconnect_interval_max.unwrap_or_default(),
        )
    }

    pub(super) fn dialer(&mut self, id: PeerId) -> Option<&mut Dialer> {
        match &mut self.peers.slab.get_mut(id)?.origin {
            Origin::Dialed(dialer) => Some(dialer),
            Origin::Accepted(_) | Origin::Bound(_) | Origin::Offered(_) => None,
        }
    }
}

/// What became of a handshake.
enum Step {
    Waiting,
    /// The peer has shown this, and whether it is let in is to be found out.
    Ask(Credentials),
    Done(Established),
}

impl Handshaking {
    /// Reads what is there before it writes: what the peer has sent by then says what can go out in one piece.
    fn advance(&mut self) -> Result<Step, DisconnectCause> {
        loop {
            if self.finished.is_none() && self.question.is_none() {
                self.finished = self.digest()?;
                if let Some(credentials) = self.machine.take_question() {
                    self.flush()?;
                    return Ok(Step::Ask(credentials));
                }
            }
            if self.finished.is_some() || self.input.len() >= self.most_input() || !self.readable {
                break;
            }
            self.read()?;
        }
        self.flush()?;
        if self.output.is_empty()
            && let Some(established) = self.finished.take()
        {
            return Ok(Step::Done(established));
        }
        Ok(Step::Waiting)
    }

    /// A peer that waits for a verdict is read from to notice that it goes, and little of what it sends is kept.
    fn most_input(&self) -> usize {
        match self.question {
            Some(_) => MOST_EARLY_INPUT,
            None => usize::MAX,
        }
    }

    fn read(&mut self) -> Result<(), DisconnectCause> {
        match wire::read_some(&self.stream, &mut self.input) {
            Ok(Some(more)) => self.readable = more || self.hung_up,
            Ok(None) => return Err(DisconnectCause::PeerClosed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                self.hung_up = false;
            }
            Err(error) => return Err(DisconnectCause::from(&error)),
        }
        Ok(())
    }

    fn digest(&mut self) -> Result<Option<Established>, DisconnectCause> {
        let result = self.machine.handle_input(&self.input, &mut self.output);
        let (consumed, established) = result.map_err(DisconnectCause::Protocol)?;
        self.input.drain(..consumed);
        Ok(established)
    }

    fn flush(&mut self) -> Result<(), DisconnectCause> {
        wire::flush(&self.stream, &mut self.output).map_err(|error| DisconnectCause::from(&error))
    }

    /// Sends what the machine left to be said (an ERROR command), if the kernel takes it at once.
    fn say_goodbye(&mut self) {
        let _ = self.flush();
    }
}

/// 0 means no limit.
pub(crate) fn unlimited(hwm: usize) -> usize {
    if hwm == 0 { usize::MAX } else { hwm }
}
