//! Accepting connections, and surviving those that never speak.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::event::Source as _;

use super::addresses::{AddressLimit, Limits};
use super::net::{Net, listener_token};
use super::state::{Link, Origin, Peer, PeerId};
use super::turn::Turn;
use crate::engine::driving::timers::Timer;
use crate::monitor::{ConnectionId, ConnectionInfo, DisconnectCause, Event, IoFailure};
use crate::transport::{self, Address, BindError, Endpoint, Listener, Reason};

/// How long a listener rests when file descriptors or memory have run out.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(100);

/// Peers that have gone and left messages behind; with more of them no connection is accepted until the
/// application has read some. The high-water mark holds for one connection, and this for those who come
/// back with another.
const MAX_GONE: usize = 4096;

/// A bound endpoint.
pub(crate) struct Listening {
    pub(crate) listener: Listener,
    pub(crate) endpoint: Arc<str>,
    /// Nothing is accepted before this time; a timer is armed for it.
    pub(crate) rests_until: Option<Instant>,
}

impl Net {
    /// An endpoint that is bound and that other machines can reach, if there is one.
    pub(super) fn reachable_endpoint(&self) -> Option<Endpoint> {
        let mut listeners = self.listeners.iter().flatten();
        let reachable = listeners.find(|listening| listening.listener.is_reachable());
        reachable.map(|listening| listening.listener.endpoint().clone())
    }
}

impl Net {
    /// All peers that fit.
    fn those(&self, fits: impl Fn(&Peer) -> bool) -> Vec<PeerId> {
        let peers = self.peers.slab.iter().filter(|(_, peer)| fits(peer));
        peers.map(|(id, _)| id).collect()
    }
}

impl Turn<'_> {
    /// Unbinds an endpoint, and closes what was accepted there; `false` if it is not bound. What has come by then can still be received.
    pub(crate) fn unbind(&mut self, endpoint: &Endpoint) -> bool {
        if let Address::Inproc(name) = endpoint.address() {
            if !crate::engine::lock(&self.net.context.names).unbind(name, &self.net.mailbox) {
                return false;
            }
            // Of sockets that have just connected there are only notes yet. They are made peers, and then parted with like the others.
            for note in self.net.all_notes() {
                self.handle_note(note);
            }
            self.part_with_those(
                |peer| matches!(&peer.origin, Origin::Bound(bound_name) if **bound_name == **name),
            );
            return true;
        }
        let bound = self.net.listeners.iter().position(|listening| {
            let listening = listening.as_ref();
            listening.is_some_and(|listening| listening.listener.endpoint() == endpoint)
        });
        let Some(index) = bound else {
            return false;
        };
        self.net.stop_listening(index);
        self.part_with_those(|peer| matches!(peer.origin, Origin::Accepted(at) if at == index));
        true
    }

    /// Ends all connections to an endpoint; `false` if there is none. What has come by them and was not received is dropped, and counted.
    pub(crate) fn disconnect(&mut self, endpoint: &Endpoint) -> bool {
        let ids = self.net.those(|peer| peer.origin.is_dialed(endpoint));
        let until = self.farewell_time();
        for id in &ids {
            self.cut_off(*id, until);
        }
        !ids.is_empty()
    }

    fn part_with_those(&mut self, fits: impl Fn(&Peer) -> bool) {
        let until = self.farewell_time();
        for id in self.net.those(fits) {
            self.part_with(id, until);
        }
    }

    /// Accepts what has come in: one connection at least, and as many as there is time for in the first half of the turn. The rest
    /// waits for the next, so that a flood of connections does not keep established peers waiting.
    pub(crate) fn accept_ready(&mut self, index: usize) {
        let Some(Some(listening)) = self.net.listeners.get_mut(index) else {
            return;
        };
        if listening.rests_until.is_some_and(|until| self.now < until) {
            return;
        }
        listening.rests_until = None;
        if self.net.peers.gone >= MAX_GONE {
            // Their messages wait for the application; strangers must not add to them without end.
            return self.net.rest(index, self.now + EXHAUSTION_PAUSE);
        }
        loop {
            let Some(Some(listening)) = self.net.listeners.get_mut(index) else {
                return;
            };
            let later = &mut self.net.peers.pool.later;
            let endpoint = &listening.endpoint;
            let accepted = listening.listener.accept(|error| {
                let text =
                    format_args!("{endpoint}: a connection ended before it was accepted: {error}");
                later.log(log::Level::Debug, text);
            });
            match accepted {
                Ok(stream) => {
                    self.accepted(stream, index);
                    if self.slice.half().is_over() {
                        break;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let event = self.net.peers.wants_events().then(|| Event::AcceptFailed {
                        endpoint: listening.endpoint.to_string(),
                        error: IoFailure::from(&error),
                    });
                    self.net.peers.tell(event);
                    let pause = if transport::is_exhaustion(&error) {
                        EXHAUSTION_PAUSE
                    } else {
                        Duration::from_millis(1)
                    };
                    return self.net.rest(index, self.now + pause);
                }
            }
        }
        // More may wait, and the edge is spent.
        let at = self.next_turn();
        self.net.timers.arm(at, Timer::Listener(index));
    }

    fn accepted(&mut self, stream: transport::Stream, index: usize) {
        let address = stream.peer_label();
        let Some(Some(listening)) = self.net.listeners.get(index) else {
            return;
        };
        let label = Arc::clone(&listening.endpoint);
        let counted = stream.peer_ip();
        if let Some(ip) = counted
            && let Err(limit) = self.admit_address(ip)
        {
            self.net.handshakes_failed += 1;
            let event = self
                .net
                .peers
                .wants_events()
                .then(|| Event::HandshakeFailed {
                    connection: ConnectionInfo::new(ConnectionId::next(), &*label, address),
                    cause: DisconnectCause::AddressLimit(limit),
                });
            return self.net.peers.tell(event);
        }
        let id = self
            .net
            .new_peer(Link::Down, Origin::Accepted(index), label);
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.address = address.into();
            peer.counted = counted;
        }
        let event = self.net.peers.wants_events().then(|| Event::Accepted {
            connection: self.net.info(id),
        });
        self.net.peers.tell(event);
        self.net.pending.push_back((id, self.net.connection_of(id)));
        self.net.pending_count += 1;
        self.limit_pending();
        self.greet_accepted(id, stream);
    }

    fn admit_address(&mut self, ip: IpAddr) -> Result<(), AddressLimit> {
        let options = &self.net.options;
        let limits = Limits {
            connections: options.max_connections_per_address,
            handshakes: options.max_handshakes_per_address,
            rate: options.max_handshake_rate_per_address,
        };
        self.net.addresses.admit(ip, limits, self.now)
    }

    /// Keeps the number of accepted connections that have not shaken hands yet within its limit: the
    /// oldest goes. A peer that means well is done within milliseconds.
    pub(crate) fn limit_pending(&mut self) {
        while self.net.pending_count > self.net.options.max_pending_handshakes {
            let Some((id, connection)) = self.net.pending.pop_front() else {
                return;
            };
            if self.net.is_pending(id, connection) {
                self.connection_lost(id, DisconnectCause::TooManyPending);
            }
        }
        if self.net.pending.len() > 2 * self.net.pending_count + 64 {
            let mut pending = std::mem::take(&mut self.net.pending);
            pending.retain(|(id, connection)| self.net.is_pending(*id, *connection));
            self.net.pending = pending;
        }
    }
}

impl Net {
    /// Takes a bound listener in.
    pub(crate) fn listen(&mut self, mut listener: Listener) -> std::io::Result<()> {
        let index = match self.listeners.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.listeners.push(None);
                self.listeners.len() - 1
            }
        };
        listener.register(
            self.registry.get()?,
            listener_token(index),
            Interest::READABLE,
        )?;
        let endpoint: Arc<str> = listener.endpoint().to_string().into();
        self.last_endpoint = Some(Arc::new(listener.endpoint().clone()));
        let event = self.peers.wants_events().then(|| Event::Listening {
            endpoint: endpoint.to_string(),
        });
        self.peers.tell(event);
        self.listeners[index] = Some(Listening {
            listener,
            endpoint,
            rests_until: None,
        });
        Ok(())
    }

    /// A listener could not be made.
    pub(crate) fn bind_failed(&mut self, endpoint: &Endpoint, error: &BindError) {
        let event = self.peers.wants_events().then(|| Event::BindFailed {
            endpoint: endpoint.to_string(),
            error: IoFailure::new(error.kind(), Reason(error).to_string()),
        });
        self.peers.tell(event);
    }

    pub(crate) fn stop_listening_everywhere(&mut self) {
        for index in 0..self.listeners.len() {
            self.stop_listening(index);
        }
    }

    /// Unbinds; connections accepted there are closed by the caller.
    fn stop_listening(&mut self, index: usize) {
        if let Some(mut listening) = self.listeners.get_mut(index).and_then(Option::take) {
            self.registry.deregister(&mut listening.listener);
            let event = self.peers.wants_events().then(|| Event::ListenerClosed {
                endpoint: listening.endpoint.to_string(),
            });
            self.peers.tell(event);
            self.peers.pool.later.drop_listener(listening);
        }
    }

    /// Leaves a listener alone for a while, however many connections come meanwhile: each of them is an event,
    /// and none is to cost an attempt.
    fn rest(&mut self, index: usize, until: Instant) {
        if let Some(Some(listening)) = self.listeners.get_mut(index) {
            listening.rests_until = Some(until);
            self.timers.arm(until, Timer::Listener(index));
        }
    }

    fn is_pending(&self, id: usize, connection: ConnectionId) -> bool {
        self.peers.slab.get(id).is_some_and(|peer| {
            peer.connection == connection && matches!(peer.link, Link::Handshaking(_))
        })
    }
}
