//! Messages that a socket receives in its own name of a peer: when its connection begins, and when it ends.
//!
//! They lie among what the peer has sent, in the order in which things happened. They count neither as received nor as a sign that
//! the peer is of use.

use super::state::PeerId;
use super::turn::Turn;
use crate::engine::driving::timers::Timer;
use crate::message::Message;
use crate::monitor::DisconnectCause;
use crate::options::Options;
use crate::zmtp::SocketType;

/// What is put there; mostly nothing.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// A connection begins.
    begun: Vec<Message>,
    /// It ends: one that we accepted, or one that we will dial again.
    ended: Vec<Message>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Begun,
    Ended,
}

impl Notices {
    pub(super) fn new(socket_type: SocketType, options: &Options) -> Notices {
        let mut notices = Notices::default();
        let (begun, ended) = match socket_type {
            SocketType::Stream => (options.stream_notify, options.stream_notify),
            SocketType::Router => (
                options.router_notify & 1 != 0,
                options.router_notify & 2 != 0,
            ),
            _ => (false, false),
        };
        notices.begun.extend(begun.then(Message::new));
        notices.ended.extend(ended.then(Message::new));
        notices
    }

    fn of(&self, what: Happened) -> &[Message] {
        match what {
            Happened::Begun => &self.begun,
            Happened::Ended => &self.ended,
        }
    }
}

impl Turn<'_> {
    /// Puts what is to be received of that behind what the peer has sent.
    pub(super) fn put_notices(&mut self, id: PeerId, what: Happened) {
        let notices = self.net.notices.of(what);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        if notices.is_empty() || peer.ending {
            return;
        }
        for notice in notices {
            peer.inbound.push(notice, &mut self.net.peers.pool);
        }
        self.announce(id);
    }

    /// The application has ended the connection. It goes once all has left that was queued for it, or when the time for that is up.
    pub(super) fn see_off(&mut self, id: PeerId) {
        let until = self.farewell_time();
        let token = self.net.token_of(id);
        let linger = self.net.options.linger;
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        if !peer.has_left() {
            if peer.ends_at.is_none()
                && let Some(at) = linger.and_then(|linger| self.now.checked_add(linger))
            {
                peer.ends_at = Some(at);
                self.net.timers.arm(at, Timer::Connection(token.0));
            }
            return;
        }
        self.drop_peer(id, DisconnectCause::LocalClose, until);
    }

    /// The time that [`see_off`](Self::see_off) gives may be up. `true`: it is, and the peer has gone.
    pub(super) fn is_overdue(&mut self, id: PeerId) -> bool {
        let until = self.farewell_time();
        let peer = self.net.peers.slab.get(id);
        let overdue = peer.is_some_and(|peer| peer.ends_at.is_some_and(|at| at <= self.now));
        if overdue {
            self.drop_peer(id, DisconnectCause::LocalClose, until);
        }
        overdue
    }
}
