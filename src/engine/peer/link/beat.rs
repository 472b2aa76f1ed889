//! The heartbeat of a connection: when it is due, and what the system knows of a peer that does not answer.

use std::time::Instant;

use super::super::net::Net;
use super::super::state::{Connected, Link, MAX_COMMAND_BYTES, PeerId};
use super::super::turn::Turn;
use crate::engine::driving::timers::Timer;
use crate::monitor::DisconnectCause;
use crate::transport::Transit;
use crate::zmtp::{HeartbeatAction, HeartbeatConfig, Outgoing, Version, put_ping};

impl Turn<'_> {
    /// There is no room for an answer to a PING: the peer is given some time to read those that wait.
    #[cold]
    pub(in crate::engine::peer) fn watch_answers(&mut self, id: PeerId) {
        let token = self.net.token_of(id);
        let deadline = self.net.options.answers_timeout;
        if let Some(deadline) = deadline.and_then(|timeout| self.now.checked_add(timeout))
            && let Some(peer) = self.net.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && up.unread_since.is_none()
        {
            up.unread_since = Some((self.now, peer.counters.bytes_out));
            up.answers_due = Some(deadline);
            self.net.timers.arm(deadline, Timer::Connection(token.0));
        }
    }

    /// Whether it has let that time pass. If anything has left for it meanwhile, it gets as much time again.
    pub(super) fn leaves_answers_unread(&mut self, id: PeerId) -> bool {
        let timeout = self.net.options.answers_timeout;
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return false;
        };
        let many = peer.waiting_commands() > MAX_COMMAND_BYTES / 2;
        let Link::Up(up) = &mut peer.link else {
            return false;
        };
        let due = |(since, _): &mut (Instant, u64)| {
            timeout.is_some_and(|timeout| self.now.saturating_duration_since(*since) >= timeout)
        };
        let Some((_, written)) = up.unread_since.take_if(due) else {
            return false;
        };
        if !many {
            return false;
        }
        if written != peer.counters.bytes_out {
            self.watch_answers(id);
            return false;
        }
        true
    }

    /// A deadline of the heartbeat may have passed.
    pub(super) fn handle_heartbeat(&mut self, id: PeerId) {
        if !self.listens_before_it_gives_up(id) {
            return;
        }
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let (written, unwritten) = (peer.counters.bytes_out, peer.outbound.unwritten() as u64);
        // Behind so much that it has not read, it would not learn more from another one.
        let pings = peer.waiting_commands() <= MAX_COMMAND_BYTES;
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        up.armed = None;
        let action = match up.heartbeat.handle_timeout(self.now) {
            HeartbeatAction::Doubt => {
                let outgoing = outgoing(up.stream.transit(), written, unwritten);
                up.heartbeat.judge(outgoing, self.now)
            }
            action => action,
        };
        match action {
            HeartbeatAction::Nothing => {}
            HeartbeatAction::SendPing => {
                let mut ping = Vec::new();
                if pings {
                    let ttl = self.net.options.heartbeat_ttl.unwrap_or_default();
                    put_ping(&mut ping, ttl, b"");
                }
                let Connected {
                    heartbeat, stream, ..
                } = &mut **up;
                heartbeat.sending_ping(ping.len(), || {
                    outgoing(stream.transit(), written, unwritten)
                });
                if pings {
                    self.net.peers.send_commands(id, &ping);
                }
            }
            HeartbeatAction::Doubt | HeartbeatAction::Expired => {
                return self.connection_lost(id, DisconnectCause::HeartbeatTimeout);
            }
        }
        self.net.arm_heartbeat(id);
    }
}

impl Turn<'_> {
    /// A peer that seems to have been silent for too long is read from first. What it has said may be with the system: this process may have
    /// been stopped, or too busy to read. `false`: its connection has ended by that.
    fn listens_before_it_gives_up(&mut self, id: PeerId) -> bool {
        let token = self.net.token_of(id);
        let peer = self.net.peers.slab.get_mut(id);
        let Some(Link::Up(up)) = peer.map(|peer| &mut peer.link) else {
            return false;
        };
        if !up.heartbeat.is_silent(self.now) {
            return true;
        }
        // Reported or not: there may be more events than were looked at.
        up.readable = true;
        self.read_peer(id);
        let peer = self
            .net
            .peer_at(token)
            .and_then(|id| self.net.peers.slab.get(id));
        peer.is_some_and(|peer| matches!(peer.link, Link::Up(_)))
    }
}

impl Net {
    pub(super) fn heartbeat_config(&self, version: Version) -> HeartbeatConfig {
        let interval = self.options.heartbeat_interval;
        // ZMTP 2.0 has no PING.
        let interval = interval.filter(|_| version.has_commands());
        HeartbeatConfig {
            interval,
            timeout: self
                .options
                .heartbeat_timeout
                .or(interval)
                .unwrap_or_default(),
        }
    }

    /// Sees to it that a timer is armed for the connection's next deadline.
    pub(crate) fn arm_heartbeat(&mut self, id: PeerId) {
        let token = self.token_of(id);
        if let Some(peer) = self.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && let Some(deadline) = up.heartbeat.deadline()
            && up.armed.is_none_or(|armed| armed > deadline)
        {
            up.armed = Some(deadline);
            self.timers.arm(deadline, Timer::Connection(token.0));
        }
    }
}

/// What has become of the bytes for a peer, of which so many have been written, ever, and so many not.
fn outgoing(transit: Option<Transit>, written: u64, unwritten: u64) -> Outgoing {
    let Some(transit) = transit else {
        return Outgoing {
            left: written,
            waiting: unwritten,
            silence: None,
        };
    };
    Outgoing {
        left: written.saturating_sub(transit.unsent),
        waiting: transit.waiting + unwritten,
        silence: Some(transit.silence),
    }
}
