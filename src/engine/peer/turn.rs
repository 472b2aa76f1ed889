//! One turn of driving a socket: what arrived, what is due, and what is left from the turn before.
//!
//! A [`Turn`] is made where something is to happen to peers, under the state lock, and does not outlive that stay. It holds what nearly all of it
//! needs: the [`Net`], the [`Pattern`] that is told of it, and the time. **The clock is read once, when a turn begins**, and again only where much
//! time may have passed: a poll comes before the turn, a write whose cost is measured sets `now` to its end, and so does
//! [`has_time_for_more`](Turn::has_time_for_more) after reading.
//!
//! What needs neither the pattern nor the time is a method of [`Net`]. So is `pace`, which is called with each message: it makes a turn
//! only when it looks at the clock.
//!
//! The rest of its methods are in the files named after what they do: `link` (the life of a connection), `reading` and `writing` (bytes in
//! and out), `listen` (accepting), `local` (inproc).

use std::time::{Duration, Instant};

use mio::{Events, Token};

use super::net::{FAREWELL, LISTENER, Net, WAKER};
use super::state::{Link, Origin, PeerId};
use crate::engine::driving::time_slice::TimeSlice;
use crate::engine::driving::timers::Timer;
use crate::engine::{Deadline, Note};
use crate::monitor::DisconnectCause;
use crate::pattern::Pattern;

/// A peer whose subscriptions are still being forgotten is dialed again no sooner than after this time.
const FORGETTING: Duration = Duration::from_millis(10);

/// See the module.
pub(crate) struct Turn<'a> {
    pub(super) net: &'a mut Net,
    pub(super) pattern: &'a mut dyn Pattern,
    /// When it began.
    pub(super) now: Instant,
    /// How long it may last.
    pub(super) slice: TimeSlice,
}

/// What the system has reported of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has closed its side, or the connection has failed.
    pub(super) hung_up: bool,
}

impl Readiness {
    #[inline]
    fn of(event: &mio::event::Event) -> Self {
        let error = event.is_error();
        Readiness {
            readable: event.is_readable(),
            writable: event.is_writable() && !error,
            hung_up: event.is_read_closed() || error,
        }
    }
}

impl<'a> Turn<'a> {
    /// Begins a turn, and reads the clock.
    pub(crate) fn begin(net: &'a mut Net, pattern: &'a mut dyn Pattern) -> Self {
        Turn::at(Instant::now(), net, pattern)
    }

    /// Begins a turn now, where the clock has just been read.
    #[inline]
    pub(crate) fn at(now: Instant, net: &'a mut Net, pattern: &'a mut dyn Pattern) -> Self {
        Turn {
            net,
            pattern,
            now,
            slice: TimeSlice::begun(now),
        }
    }

    /// Whether there is something left to do, and time for it in this turn: reading has taken some of it, so the clock is read again.
    pub(crate) fn has_time_for_more(&mut self) -> bool {
        if !self.net.has_work() {
            return false;
        }
        self.now = Instant::now();
        !self.slice.is_over_at(self.now)
    }

    /// The time, as it was when the clock was last read.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The earliest time for a timer that is not to come up within this turn, however short the wait for it is.
    pub(super) fn next_turn(&self) -> Instant {
        self.now + Duration::from_nanos(1)
    }
}

impl Turn<'_> {
    /// Handles a batch of events, and then notes, timers that are due and what there is to read, as many as there is time for in
    /// this turn.
    pub(crate) fn process(&mut self, events: &Events) {
        for event in events {
            let token = event.token();
            if token == WAKER {
                continue;
            }
            if token.0 & FAREWELL == FAREWELL {
                self.net.farewells.ready(token.0 & !FAREWELL);
            } else if token.0 & LISTENER != 0 {
                self.accept_ready(token.0 & !LISTENER);
            } else if let Some(id) = self.net.peer_at(token) {
                self.handle_event(id, Readiness::of(event));
            }
        }
        self.take_notes();
        self.net.prune_timers();
        while let Some(timer) = self.net.timers.expired(self.now) {
            self.handle_timer(timer);
            if self.slice.half().is_over() {
                break;
            }
        }
        if self.net.farewells.waiting_len() > 0 {
            self.net.farewells.see_to(self.slice, &self.net.registry);
        }
        self.settle();
    }

    pub(crate) fn take_notes(&mut self) {
        self.net.fetch_notes();
        if !self.net.notes.is_empty() {
            self.handle_notes(self.slice.half());
        }
    }

    fn handle_notes(&mut self, slice: TimeSlice) {
        while let Some(note) = self.net.notes.pop_front() {
            self.handle_note(note);
            if !self.net.notes.is_empty() && slice.is_over() {
                return;
            }
        }
    }

    /// Does what is due whoever calls: reads from readable peers, takes news, writes what cannot wait.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.net.is_unsettled() {
            self.do_work();
        }
    }

    #[inline(never)]
    fn do_work(&mut self) {
        if !self.net.notes.is_empty() {
            self.handle_notes(self.slice.half());
        }
        self.read_round();
        self.take_news();
        if self.net.forgets {
            self.forget_more();
        }
        if !self.net.peers.dirty.is_empty() && !self.net.tempo.is_gathering() {
            self.write_dirty();
        }
    }

    pub(super) fn handle_event(&mut self, id: PeerId, ready: Readiness) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        match &mut peer.link {
            Link::Connecting(_) => self.connecting_event(id, ready.hung_up),
            Link::Handshaking(state) => {
                state.hung_up |= ready.hung_up;
                state.readable |= ready.readable || ready.hung_up;
                if !std::mem::replace(&mut state.queued, true) {
                    self.net.readable.push_back(id);
                }
            }
            Link::Up(up) => {
                up.hung_up |= ready.hung_up;
                if ready.readable || up.hung_up {
                    up.readable = true;
                    if !up.queued && !peer.paused {
                        up.queued = true;
                        self.net.readable.push_back(id);
                    }
                }
                if ready.writable {
                    up.writable_again = true;
                    let was = std::mem::replace(&mut up.writable, true);
                    self.net.tempo.rhythm().writable(was, true);
                    let spare = up.watches_room && peer.outbound.is_empty() && !peer.being_written;
                    if spare {
                        self.net.watch_room(id, false);
                    }
                    self.net.peers.mark_dirty(id);
                }
            }
            Link::Down | Link::Inproc(_) | Link::Gone => {}
        }
    }

    pub(crate) fn handle_note(&mut self, note: Note) {
        match note {
            Note::Resolved {
                id,
                attempt,
                addresses,
            } => self.resolved(id, attempt, addresses),
            Note::InprocConnect(offer) => self.adopt(*offer),
            Note::InprocAccepted { place, accepted } => {
                self.accepted_inproc(place, *accepted);
            }
            Note::InprocRefused(place) => self.refused_inproc(place),
            Note::InprocReadable(place) => {
                if self.net.at_place(place) {
                    self.net.peers.receive_inproc(place.id);
                    self.announce(place.id);
                }
            }
            Note::TooSlow(place) => self.send_away_slow(place),
            Note::Verdict(place) => self.verdict_given(place),
            Note::Share(place, share) => self.share_given(place, share),
            Note::InprocWritable(place) => {
                if self.net.at_place(place) {
                    self.announce_room(place.id);
                }
            }
        }
    }

    pub(super) fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connection(token) => {
                if let Some(id) = self.net.peer_at(Token(token)) {
                    self.connection_timer(id);
                }
            }
            Timer::Redial(id, attempt) => {
                let current = self.net.peers.slab.get(id).is_some_and(
                    |peer| matches!(&peer.origin, Origin::Dialed(dialer) if dialer.is_at(attempt)),
                );
                if current && self.pattern.remembers(id) {
                    // What the peer had subscribed to would count as said on the new connection.
                    let again = self.now + FORGETTING;
                    self.net.timers.arm(again, Timer::Redial(id, attempt));
                } else if current {
                    self.dial(id);
                }
            }
            Timer::Offer(id, attempt) => self.offer_again(id, attempt),
            Timer::Budget => self.retry_budget(),
            Timer::Listener(index) => self.accept_ready(index),
            Timer::Farewell(index) => self.net.farewells.timer(index, self.now),
            Timer::Delivery => self.delivery_due(),
        }
    }

    /// Messages accepted from the application that the kernel, or the peer, does not have yet.
    pub(crate) fn unsent(&self) -> usize {
        let peers = self.net.peers.slab.iter();
        // What the pattern holds it counts itself.
        let peers = peers.filter(|(_, peer)| !peer.held);
        peers.map(|(_, peer)| peer.unsent()).sum::<usize>() + self.pattern.orphans()
    }

    /// Ends everything: no peer is left, but for what peers have yet to read, `until` then.
    pub(crate) fn shut_down(&mut self, until: Deadline) {
        self.net.stop_listening_everywhere();
        for note in self.net.all_notes() {
            if let Note::InprocConnect(offer) = note {
                offer.refuse();
                self.net.peers.pool.later.drop_offer(offer);
            }
        }
        let ids: Vec<PeerId> = self.net.peers.slab.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.drop_peer(id, DisconnectCause::LocalClose, until);
        }
        self.net.peers.pool.release();
    }
}
