//! Messages that tell of connections: those that a socket receives in its own name of a peer, when its connection begins, and when
//! it ends; and the one by which it greets the peer.
//!
//! The former lie among what the peer has sent, in the order in which things happened. They count neither as received nor as a sign that
//! the peer is of use. A greeting leaves first, on each connection anew.

use super::out_buffer::OutBuffer;
use super::outgoing::Outgoing;
use super::pool::ChunkPool;
use super::state::{Link, Origin, PeerId};
use super::turn::Turn;
use crate::engine::Note;
use crate::engine::driving::timers::Timer;
use crate::message::{Frame, Message};
use crate::monitor::DisconnectCause;
use crate::options::Options;
use crate::zmtp::SocketType;

/// What is put there.
#[derive(Debug, PartialEq)]
pub(super) struct Notices {
    /// A connection begins.
    begun: Option<Message>,
    /// It ends: one that we accepted, or one that we will dial again.
    ended: Option<Message>,
    /// It ends, and is one that we accepted, over inproc as well.
    departed: Option<Message>,
    /// It ends, and is one that we will dial again.
    interrupted: Option<Message>,
    /// What each peer is sent first.
    hello: Option<Message>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Begun,
    Ended,
}

impl Notices {
    const NONE: Notices = Notices {
        begun: None,
        ended: None,
        departed: None,
        interrupted: None,
        hello: None,
    };

    /// `None` where nothing is, as mostly.
    pub(super) fn new(socket_type: SocketType, options: &Options) -> Option<Box<Notices>> {
        use SocketType::{Client, Dealer, Peer, Router, Server, Stream};
        let (begun, ended) = match socket_type {
            Stream => (options.stream_notify, options.stream_notify),
            Router => (
                options.router_notify & 1 != 0,
                options.router_notify & 2 != 0,
            ),
            _ => (false, false),
        };
        let only_for = |frame: &Frame, types: &[SocketType]| {
            let wanted = !frame.is_empty() && types.contains(&socket_type);
            wanted.then(|| Message::from(frame.clone()))
        };
        let notices = Notices {
            begun: begun.then(Message::new),
            ended: ended.then(Message::new),
            departed: only_for(&options.disconnect_message, &[Router, Server, Peer]),
            interrupted: only_for(&options.hiccup_message, &[Dealer, Client, Peer]),
            hello: only_for(
                &options.hello_message,
                &[Router, Dealer, Client, Server, Peer],
            ),
        };
        (notices != Notices::NONE).then(|| Box::new(notices))
    }

    fn of(&self, what: Happened, origin: &Origin) -> [Option<&Message>; 2] {
        let ended = self.ended.as_ref();
        match (what, origin) {
            (Happened::Begun, _) => [self.begun.as_ref(), None],
            (Happened::Ended, Origin::Accepted(_)) => [ended, self.departed.as_ref()],
            (Happened::Ended, Origin::Dialed(_)) => [ended, self.interrupted.as_ref()],
            (Happened::Ended, Origin::Bound(_)) => [self.departed.as_ref(), None],
            (Happened::Ended, Origin::Offered(_)) => [None, None],
        }
    }
}

impl Turn<'_> {
    /// Puts what is to be received of that behind what the peer has sent.
    pub(super) fn put_notices(&mut self, id: PeerId, what: Happened) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Some(notices) = &self.net.notices else {
            return;
        };
        let notices = notices.of(what, &peer.origin);
        if notices == [None, None] || peer.ending {
            return;
        }
        for notice in notices.into_iter().flatten() {
            peer.inbound.push(notice, &mut self.net.peers.pool);
        }
        self.announce(id);
    }

    /// Greets a peer that has just been connected, before it is sent anything else.
    pub(super) fn greet(&mut self, id: PeerId) {
        let notices = self.net.notices.as_deref();
        let Some(hello) = notices.and_then(|notices| notices.hello.clone()) else {
            return;
        };
        if let Some(excess) = self.net.peers.excess(id, Outgoing::Message(&hello)) {
            return self.net.peers.give_up(id, hello.size(), excess.into());
        }
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        match &mut peer.link {
            Link::Inproc(link) => {
                link.appended += 1;
                let append = |buffer: &mut OutBuffer, pool: &mut ChunkPool| {
                    buffer.push_for_this_connection(&hello, pool);
                };
                let appended = link.outbox.append(&mut link.writer, false, append);
                peer.counters.bytes_out += appended.bytes as u64;
                if appended.tell {
                    link.tell(Note::InprocReadable);
                }
            }
            // Otherwise when what is being written is back, which was for an earlier connection.
            _ if !peer.being_written => peer.outbound.push_first(&hello),
            _ => return,
        }
        peer.counters.messages_out += 1;
    }

    /// The same where it has been connected for a while, if it is.
    pub(super) fn greet_late(&mut self, id: PeerId) {
        let peer = self.net.peers.slab.get(id);
        if peer.is_some_and(|peer| matches!(peer.link, Link::Up(_))) {
            self.greet(id);
        }
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
