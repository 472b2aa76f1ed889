//! The network side of a socket: its peers, listeners and timers.
//!
//! A [`Net`] is only touched under its socket's state lock, by whoever drives: a caller in the seat or the
//! caretaker. It knows streams and the protocol. What happens to it by events, notes and timers is in `turn`, as methods of
//! [`Turn`](super::turn::Turn), which has the pattern at hand to tell it what messages mean.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::addresses::Addresses;
use super::farewell::Farewells;
use super::link::Loss;
use super::listen::Listening;
use super::local::LateTopics;
use super::notices::Notices;
use super::peers::Peers;
use super::state::{Link, PeerId};
use crate::auth::Authenticator;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::budget::Budget;
use crate::engine::driving::caretaker::Caretaker;
use crate::engine::driving::context::ContextInner;
use crate::engine::driving::later::{Later, contain};
use crate::engine::driving::timers::{Timer, Timers};
use crate::engine::tempo::Tempo;
use crate::engine::tempo::rhythm::Rhythm;
use crate::engine::{Note, SocketMailbox};
use crate::error::Shortage;
use crate::monitor::{ConnectionId, Journal, Monitors};
use crate::options::Options;
use crate::pattern::Pattern;
use crate::transport::{Keepalive, StreamOptions};
use crate::zmtp::delivery::PROPERTY;
use crate::zmtp::{Announced, HandshakeConfig, Limits, SocketType, own_metadata, put_property};
use crate::zmtp::{idempotent, replay};

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "zerohop needs a system of 64 bits: what events are about is told by the upper half of a number"
);

/// The token of the waker in a socket's poll.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// Set in the token of a listener; the rest is its index.
pub(super) const LISTENER: usize = 1 << 63;

/// Set, both bits of it, in the token of a connection that we have ended; the rest is its index.
pub(super) const FAREWELL: usize = LISTENER | 1 << 62;

/// See the module.
pub(crate) struct Net {
    /// What patterns send to and take from.
    pub(crate) peers: Peers,
    pub(super) listeners: Vec<Option<Listening>>,
    pub(super) timers: Timers,
    pub(super) options: Arc<Options>,
    /// Messages go to connected peers alone.
    pub(super) immediate: bool,
    pub(super) handshake: Arc<HandshakeConfig>,
    pub(super) authenticator: Arc<Authenticator>,
    /// Peers speak no ZMTP.
    pub(super) raw: bool,
    pub(super) notices: Option<Box<Notices>>,
    pub(super) registry: LazyRegistry,
    pub(super) context: Arc<ContextInner>,
    pub(super) mailbox: Arc<SocketMailbox>,
    pub(super) caretaker: Arc<Caretaker>,
    /// The name of the socket with the caretaker.
    pub(super) id: usize,
    /// What each peer may read at once in this round.
    pub(super) read_share: usize,
    /// Peers to read from, or to shake hands with, in the order in which they became readable.
    pub(super) readable: VecDeque<PeerId>,
    /// Accepted peers whose handshake is not done, oldest first; entries may be stale.
    pub(super) pending: VecDeque<(PeerId, ConnectionId)>,
    pub(super) pending_count: usize,
    pub(super) addresses: Addresses,
    /// The last endpoint bound or connected.
    pub(super) last_endpoint: Option<Arc<crate::Endpoint>>,
    pub(super) tempo: Tempo,
    /// Messages have begun to gather, and the calling thread is to remember that it has left them.
    pub(super) leaves: bool,
    pub(super) handshakes_failed: u64,
    pub(super) denied: u64,
    pub(super) protocol_errors: u64,
    /// How a connection ended whose buffer was being written without the lock, for `end_write`.
    pub(super) lost_while_written: Option<Box<Loss>>,
    /// What we have ended and peers have yet to read.
    pub(super) farewells: Farewells,
    /// Counts the turns that readable peers have had.
    pub(super) served: u64,
    /// Notes taken, for which there was no time yet.
    pub(super) notes: VecDeque<Note>,
    /// Topics of inproc peers, for which there was no time yet.
    pub(super) late_topics: VecDeque<LateTopics>,
    /// What those who wait have not been told of.
    pub(super) changes: Changes,
    /// The pattern has yet to forget what peers that have gone had subscribed to.
    pub(super) forgets: bool,
    /// The earliest timer that is armed for acknowledged delivery.
    pub(super) delivery_armed: Option<Instant>,
    /// When peers that wait for some of the memory budget ask again.
    pub(super) budget_due: Option<Instant>,
}

impl Net {
    pub(crate) fn new(
        pattern: &dyn Pattern,
        options: Arc<Options>,
        context: Arc<ContextInner>,
        mailbox: Arc<SocketMailbox>,
        caretaker: Arc<Caretaker>,
        id: usize,
    ) -> Self {
        let authenticator = context
            .alike
            .authenticators
            .share(Authenticator::new(&options));
        let notices = Notices::new(pattern.socket_type(), &options);
        let handshake = handshake(
            pattern,
            &options,
            context.budget(),
            authenticator.is_there(),
        );
        Net {
            peers: Peers {
                conflate: options.conflate && pattern.may_conflate(),
                monitors: Monitors::new(),
                journal: Journal::default(),
                ..Peers::default()
            },
            listeners: Vec::new(),
            timers: Timers::default(),
            immediate: is_immediate(pattern, &options),
            options,
            handshake: context.alike.handshakes.share(handshake),
            authenticator,
            raw: pattern.is_raw(),
            notices,
            registry: LazyRegistry::default(),
            context,
            mailbox,
            caretaker,
            id,
            read_share: super::pool::CHUNK,
            readable: VecDeque::new(),
            pending: VecDeque::new(),
            pending_count: 0,
            addresses: Addresses::default(),
            last_endpoint: None,
            tempo: Tempo::default(),
            handshakes_failed: 0,
            denied: 0,
            protocol_errors: 0,
            lost_while_written: None,
            farewells: Farewells::default(),
            served: 0,
            notes: VecDeque::new(),
            late_topics: VecDeque::new(),
            changes: Changes::default(),
            forgets: false,
            delivery_armed: None,
            leaves: false,
            budget_due: None,
        }
    }

    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    pub(crate) fn stream_options(&self) -> StreamOptions {
        stream_options(&self.options)
    }

    /// Takes notes out of the mailbox: they are for this socket to remember now.
    pub(super) fn fetch_notes(&mut self) {
        let notes = self.mailbox.take();
        if !notes.is_empty() {
            self.notes.extend(notes);
        }
    }

    /// Takes every note there is, whatever time that takes.
    pub(super) fn all_notes(&mut self) -> VecDeque<Note> {
        self.fetch_notes();
        std::mem::take(&mut self.notes)
    }

    /// Timers of connections that are gone, or that have a sooner one by now, are dropped when they come up. Where connections
    /// come and go by the thousand, or a peer names ever shorter times, they would pile up until then.
    pub(super) fn prune_timers(&mut self) {
        if self.timers.len() > 4 * self.peers.slab.len() + 256 {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|at, timer| match timer {
                Timer::Connection(token) => self.waits_for(at, Token(*token)),
                Timer::Farewell(index) => self.farewells.contains(*index),
                Timer::Redial(..)
                | Timer::Offer(..)
                | Timer::Listener(_)
                | Timer::Delivery
                | Timer::Budget => true,
            });
            self.timers = timers;
        }
    }

    /// The peer that a token names, if the connection it was made for is still the current one.
    pub(super) fn peer_at(&self, token: Token) -> Option<PeerId> {
        let id = token.0 & 0xffff_ffff;
        let peer = self.peers.slab.get(id)?;
        (peer_token(id, peer.connection) == token).then_some(id)
    }

    /// Whether the connection with this token is still there, and has this deadline.
    fn waits_for(&self, at: Instant, token: Token) -> bool {
        let peer = self.peer_at(token).and_then(|id| self.peers.slab.get(id));
        peer.is_some_and(|peer| match &peer.link {
            Link::Up(up) => {
                [up.armed, up.answers_due, up.topics_due, peer.ends_at].contains(&Some(at))
            }
            Link::Connecting(_) | Link::Handshaking(_) => true,
            Link::Down | Link::Inproc(_) | Link::Gone => false,
        })
    }

    /// The token of a peer's current connection.
    pub(crate) fn token_of(&self, id: PeerId) -> Token {
        peer_token(id, self.connection_of(id))
    }

    /// The size limits for what peers send.
    pub(crate) fn limits(&self) -> Limits {
        let limits = limits(
            self.handshake.socket_type,
            &self.options,
            self.context.budget(),
        );
        match self.raw {
            // What comes is cut into messages here, and none of them is long.
            true => Limits {
                max_message_size: u64::MAX,
                ..limits
            },
            false => limits,
        }
    }

    /// Whether [`settle`](super::turn::Turn::settle) has anything to do.
    #[inline]
    pub(crate) fn is_unsettled(&self) -> bool {
        self.has_work() || !self.peers.dirty.is_empty() && !self.tempo.is_gathering()
    }

    /// Whether there is something to do without the kernel saying so.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        let Peers {
            resumable, news, ..
        } = &self.peers;
        // Put off when a turn was over.
        let late = self.notes.len() | self.late_topics.len() | self.farewells.waiting_len();
        // All in one comparison: a call that waits asks this several times.
        let known = self.readable.len() | resumable.len() | news.len();
        known | late != 0 || self.forgets
    }

    /// Up to which count of `served` all peers will have had a turn that are known to be readable now.
    pub(crate) fn all_served(&self) -> u64 {
        self.served + self.readable.len() as u64
    }

    /// Whether all have had it, and all notes have been handled.
    pub(crate) fn has_served(&self, all: u64) -> bool {
        self.served >= all && self.notes.is_empty()
    }

    /// Whether there was more to do than there was time for, so that somebody has to come back at once.
    pub(crate) fn is_behind(&self, now: Instant) -> bool {
        self.has_work() || self.timers.next().is_some_and(|due| due <= now)
    }

    /// Whether taking a message has left something to do.
    #[inline]
    pub(crate) fn has_chores(&self) -> bool {
        // All in one comparison: this is asked with each message.
        let Peers {
            resumable,
            news,
            pool,
            ..
        } = &self.peers;
        resumable.len() | news.len() | pool.later.len() != 0
    }

    /// Something has changed that somebody may wait for, and no peer has to do with it.
    pub(crate) fn note_other_change(&mut self) {
        self.changes.add(Changes::PEERS);
    }

    /// Whoever waits for room, though no peer is full, is to look again.
    pub(crate) fn note_room(&mut self) {
        self.changes.add(Changes::WRITABLE);
    }

    /// Something has changed that somebody may wait for.
    pub(crate) fn note_change(&mut self, change: Changes) {
        self.changes.add(change);
    }

    /// Nobody is to be told of it any more.
    pub(crate) fn unnote_change(&mut self, change: Changes) {
        self.changes.remove(change);
    }

    /// Whether something has changed that nobody has been told of.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// What is to be done once no lock is held.
    pub(crate) fn later(&mut self) -> &mut Later {
        &mut self.peers.pool.later
    }

    #[inline]
    /// Whether the calling thread is to remember that it has left messages to gather. `true` is returned once.
    pub(crate) fn take_leaves(&mut self) -> bool {
        std::mem::take(&mut self.leaves)
    }

    pub(crate) fn has_later(&self) -> bool {
        !self.peers.pool.later.is_empty()
    }

    /// Whether the socket has a poll: it gets one with its first endpoint.
    pub(crate) fn is_open(&self) -> bool {
        self.registry.is_open()
    }

    /// From now on streams and listeners are registered with this poll.
    pub(crate) fn open(&mut self, registry: Registry) {
        self.registry.open(registry);
    }

    /// Whether no stream and no listener is registered any more.
    pub(crate) fn is_bare(&self) -> bool {
        self.peers.slab.is_empty()
            && self.farewells.is_empty()
            && self.listeners.iter().all(Option::is_none)
    }

    /// What streams and listeners were registered with: there will be no more.
    pub(crate) fn close(&mut self) -> Option<Registry> {
        self.registry.0.take()
    }

    /// How many events there may be at once.
    pub(crate) fn most_events(&self) -> usize {
        // And that of the waker.
        self.peers.slab.len() + self.listeners.len() + self.farewells.len() + 1
    }

    /// That of the socket's poll, once it has one.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.get().ok()
    }

    /// Sees to it that what is due of acknowledged delivery is done then. Says whether that is sooner than what was known.
    pub(crate) fn arm_delivery(&mut self, at: Option<Instant>) -> bool {
        let armed = self.delivery_armed;
        let Some(at) = at.filter(|at| armed.is_none_or(|armed| *at < armed)) else {
            return false;
        };
        self.delivery_armed = Some(at);
        self.timers.arm(at, Timer::Delivery);
        true
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The same, for the caretaker, which comes then.
    pub(crate) fn announce_timer(&mut self) -> Option<Instant> {
        self.timers.announce()
    }

    /// Whether there is a timer that the caretaker would miss.
    pub(crate) fn has_unannounced_timer(&self) -> bool {
        self.timers.unannounced()
    }

    /// What the caller that writes and the caretaker know of each other without the lock.
    pub(crate) fn rhythm(&self) -> &Arc<Rhythm> {
        self.tempo.rhythm()
    }

    /// The seat's poll has failed, or not. Not to be expected, and there is nobody to return it to.
    pub(crate) fn poll_failed(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            let text = format_args!("polling a socket failed: {error}");
            self.peers.pool.later.log(log::Level::Error, text);
        }
    }

    /// Tells the log, once no lock is held.
    pub(crate) fn warn(&mut self, text: std::fmt::Arguments<'_>) {
        self.peers.pool.later.log(log::Level::Warn, text);
    }

    /// Passwords that others may read are worth a word.
    pub(crate) fn warn_of_clear_text(&mut self, endpoint: &crate::Endpoint) {
        if self.handshake.mechanism.name() == "PLAIN" && !endpoint.is_local() {
            self.warn(format_args!(
                "{endpoint}: PLAIN sends passwords and messages in clear; whoever reads the network knows them"
            ));
        }
    }

    /// Whether a peer waits for the kernel to take more; with the number of writes that callers have done so far.
    pub(crate) fn leftover(&self) -> Option<u64> {
        let rhythm = self.tempo.rhythm();
        let writes = rhythm.read().writes + self.peers.written_directly;
        rhythm.is_held_up().then_some(writes)
    }

    /// What was wanting when no peer could take a message.
    pub(crate) fn shortage(&self) -> Shortage {
        let slab = &self.peers.slab;
        match slab.iter().any(|(_, peer)| peer.is_connected()) {
            true => Shortage::Room,
            false if slab.is_empty() => Shortage::Peers,
            false => Shortage::Connections,
        }
    }

    /// Peers whose handshake is done.
    pub(crate) fn connected_peers(&self) -> usize {
        let peers = self.peers.slab.iter();
        peers.filter(|(_, peer)| peer.is_connected()).count()
    }

    /// Frees spare memory, unless something is going on.
    pub(crate) fn release_memory(&mut self) {
        if self.peers.dirty.is_empty() && self.readable.is_empty() {
            self.peers.pool.release();
            self.timers.shrink();
            for (_, peer) in &self.peers.slab {
                if let Link::Inproc(link) = &peer.link {
                    link.shelf.clear();
                }
            }
        }
    }

    /// In a forked child: closes its copies of what a peer would notice. The parent's stay, with their places in the
    /// poll that both have. What is of this process alone is left as it is.
    pub(crate) fn close_copies(&mut self) {
        self.listeners.clear();
        self.farewells.end();
        for (_, peer) in &mut self.peers.slab {
            match std::mem::replace(&mut peer.link, Link::Gone) {
                Link::Inproc(link) => std::mem::forget(link),
                link @ (Link::Down
                | Link::Connecting(_)
                | Link::Handshaking(_)
                | Link::Up(_)
                | Link::Gone) => drop(link),
            }
        }
    }
}

/// Where streams and listeners are registered: there once the socket has its first endpoint, before there are any.
#[derive(Default)]
pub(crate) struct LazyRegistry(Option<Registry>);

impl LazyRegistry {
    pub(crate) fn open(&mut self, registry: Registry) {
        self.0 = Some(registry);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn get(&self) -> io::Result<&Registry> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Fails only for what is not registered, which then need not be deregistered.
    pub(crate) fn deregister(&self, source: &mut dyn Source) {
        if let Ok(registry) = self.get() {
            let _ = source.deregister(registry);
        }
    }
}

/// Readiness for both directions: with edge-triggered events an interest costs nothing until its edge.
pub(crate) const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Slab index below, the low bits of the connection id above: an event of an earlier connection at the
/// same place is recognised. Bit 63 stays clear, it marks listeners and farewells.
fn peer_token(id: PeerId, connection: ConnectionId) -> Token {
    let generation = (connection.get() as usize) & 0x7fff_ffff;
    Token(generation << 32 | (id & 0xffff_ffff))
}

pub(crate) fn listener_token(index: usize) -> Token {
    Token(LISTENER | index)
}

pub(crate) fn farewell_token(index: usize) -> Token {
    Token(FAREWELL | index)
}

/// More than there is around what CURVE has sealed.
const SEALED_OVERHEAD: usize = 64;

/// How long a message may be, if there is a limit. None may take more than a quarter of the context's budget: there have to be some under way at once.
/// With CURVE it is there twice, while it is sealed or opened.
fn max_message_size(options: &Options, budget: Option<&Budget>) -> Option<u64> {
    let by_budget = budget.map(|budget| match options.is_curve() {
        true => (budget.reserve() / 2).saturating_sub(SEALED_OVERHEAD),
        false => budget.reserve(),
    });
    let limits = [options.max_message_size, by_budget];
    limits.into_iter().flatten().min().map(|size| size as u64)
}

/// A SUBSCRIBE command is the longest that is needed: its name, and the longest topic.
fn limits(socket_type: SocketType, options: &Options, budget: Option<&Budget>) -> Limits {
    const COMMAND_NAME: u64 = 16;
    const METADATA: u64 = 16 * 1024;
    /// No limit: but a longer message could not be held in memory at all, and is refused by its header.
    const ADDRESSABLE: u64 = isize::MAX as u64;
    Limits {
        max_message_size: max_message_size(options, budget).unwrap_or(ADDRESSABLE),
        max_parts: options.max_parts.min(*socket_type.frames().end()),
        min_parts: *socket_type.frames().start(),
        max_command_size: (options.max_subscription_length as u64 + COMMAND_NAME).max(METADATA),
    }
}

/// Whether messages go to connected peers alone.
pub(super) fn is_immediate(pattern: &dyn Pattern, options: &Options) -> bool {
    options.immediate || pattern.is_immediate()
}

/// What is said of the socket in its handshakes.
pub(super) fn handshake(
    pattern: &dyn Pattern,
    options: &Options,
    budget: Option<&Budget>,
    authenticates: bool,
) -> HandshakeConfig {
    let socket_type = pattern.socket_type();
    let routing_id = options.routing_id.clone().into_bytes();
    let mut metadata = own_metadata(
        socket_type,
        &routing_id,
        announced(pattern, options, budget),
    );
    if let Some(hello) = pattern.hello() {
        put_property(&mut metadata, PROPERTY, &hello.encode());
    }
    if let Some(log) = pattern.log_property() {
        put_property(&mut metadata, replay::PROPERTY, &log);
    }
    if let Some(value) = pattern.idempotent_property() {
        put_property(&mut metadata, idempotent::PROPERTY, &value);
    }
    HandshakeConfig {
        socket_type,
        metadata,
        routing_id,
        mechanism: options.mechanism(),
        max_command_size: limits(socket_type, options, budget).max_command_size,
        authenticates,
    }
}

/// What peers are told of the limits: those that matter to what they send.
fn announced(pattern: &dyn Pattern, options: &Options, budget: Option<&Budget>) -> Announced {
    let (receives, publishes) = (pattern.receives(), pattern.holds_subscriptions());
    let size = max_message_size(options, budget);
    Announced {
        max_message_size: size.filter(|_| receives),
        max_parts: receives.then_some(options.max_parts),
        max_subscription_length: publishes.then_some(options.max_subscription_length as u64),
        max_subscriptions: publishes.then_some(options.max_subscriptions as u64),
    }
}

pub(crate) fn stream_options(options: &Options) -> StreamOptions {
    StreamOptions {
        nodelay: options.tcp_nodelay,
        keepalive: options.tcp_keepalive.then_some(Keepalive {
            idle: options.tcp_keepalive_idle,
            interval: options.tcp_keepalive_interval,
            count: options.tcp_keepalive_count,
        }),
        send_buffer: options.send_buffer,
        recv_buffer: options.recv_buffer,
        tos: options.tos,
        ipv6: options.ipv6,
        backlog: i32::try_from(options.backlog).unwrap_or(i32::MAX),
        connect_timeout: options.connect_timeout,
        loopback_only: options.loopback_only(),
        ipc_mode: options.ipc_mode,
    }
}

/// An io error of the poll itself, logged: there is nobody to return it to. With no lock held.
pub(crate) fn log_poll_error(what: &str, error: &io::Error) {
    contain(|| log::error!("{what}: {error}"));
}
