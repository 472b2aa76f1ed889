//! Events as lines of the log, and no more of them than somebody may want to read.
//!
//! | level | of what |
//! |---|---|
//! | warn | a peer that broke the protocol, does not fit or is not let in; messages and topics that are refused; an endpoint that can't be bound, a connection that can't be accepted |
//! | info | a peer that is connected, or lost; an endpoint that is listened at, or no longer |
//! | debug | attempts to connect, and what came of them before the handshake |
//!
//! Whoever makes trouble can make it as often as they can connect, and the log is not to be filled by them: for each peer there
//! are [`BURST`] lines of a level in [`PERIOD`], and then the number of those left out.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter};

use super::{DisconnectCause, Event};

/// As many lines of one level about one peer are logged one after the other.
const BURST: u32 = 10;

/// Then none follows before so much time has passed since the first of them.
const PERIOD: Duration = Duration::from_secs(10);

/// So many peers are told apart: those of this much time ago are forgotten first, and then all.
const MOST_PEERS: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    peers: HashMap<(Level, String), Told>,
}

/// What has been logged about a peer.
#[derive(Debug)]
struct Told {
    since: Instant,
    lines: u32,
    left_out: u32,
}

impl Journal {
    /// Whether the application has a log that takes any of it.
    #[inline]
    pub(crate) fn is_kept() -> bool {
        log::max_level() >= LevelFilter::Warn
    }

    /// Writes an event down by `log`, unless there have been too many lines about that peer.
    pub(crate) fn enter(
        &mut self,
        event: &Event,
        now: Instant,
        mut log: impl FnMut(Level, fmt::Arguments<'_>),
    ) {
        let Some(level) = level_of(event) else {
            return;
        };
        if level > log::max_level() {
            return;
        }
        match self.admit(level, event, now) {
            None => {}
            Some(0) => log(level, format_args!("{event}")),
            Some(left_out) => log(
                level,
                format_args!("{event} ({left_out} more lines about this peer were left out)"),
            ),
        }
    }

    /// Whether there may be a line, and how many were left out before it.
    fn admit(&mut self, level: Level, event: &Event, now: Instant) -> Option<u32> {
        let is_over = |told: &Told| now.duration_since(told.since) >= PERIOD;
        if self.peers.len() >= MOST_PEERS {
            self.peers.retain(|_, told| !is_over(told));
        }
        if self.peers.len() >= MOST_PEERS {
            self.peers.clear();
        }
        let told = self.peers.entry((level, peer_of(event))).or_insert(Told {
            since: now,
            lines: 0,
            left_out: 0,
        });
        if is_over(told) {
            *told = Told {
                since: now,
                lines: 0,
                left_out: told.left_out,
            };
        }
        if told.lines == BURST {
            told.left_out += 1;
            return None;
        }
        told.lines += 1;
        Some(std::mem::take(&mut told.left_out))
    }
}

/// Who is one and the same: a machine, whatever its port, at an endpoint.
fn peer_of(event: &Event) -> String {
    let endpoint = event.endpoint().unwrap_or_default();
    let peer = event
        .connection()
        .map_or("", |connection| &*connection.peer);
    // Each connection of a machine has a port of its own.
    let machine = peer.rsplit_once(':').map_or(peer, |(machine, _)| machine);
    format!("{endpoint} {machine}")
}

/// `None`: it is not for the log.
fn level_of(event: &Event) -> Option<Level> {
    Some(match event {
        Event::BindFailed { .. }
        | Event::AcceptFailed { .. }
        | Event::MessageRefused { .. }
        | Event::Unacknowledged { .. }
        | Event::NoLog { .. }
        | Event::Gap { .. }
        | Event::SubscriptionRefused { .. }
        | Event::SubscriberSlow { .. } => Level::Warn,
        Event::HandshakeFailed { cause, .. } | Event::Disconnected { cause, .. }
            if matches!(
                cause,
                DisconnectCause::Protocol(_)
                    | DisconnectCause::Denied { .. }
                    | DisconnectCause::ZapReply(_)
                    | DisconnectCause::VerdictTimeout
            ) =>
        {
            Level::Warn
        }
        Event::Listening { .. }
        | Event::ListenerClosed { .. }
        | Event::HandshakeSucceeded { .. }
        | Event::HandshakeFailed { .. }
        | Event::Disconnected { .. } => Level::Info,
        Event::Connecting { .. }
        | Event::ConnectFailed { .. }
        | Event::RetryIn { .. }
        | Event::Accepted { .. }
        | Event::Connected { .. } => Level::Debug,
        Event::Lost(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{ConnectionId, ConnectionInfo};
    use crate::zmtp::ProtocolError;

    fn stranger(port: u16, machine: u8) -> Event {
        let peer = format!("tcp://10.0.0.{machine}:{port}");
        Event::HandshakeFailed {
            connection: ConnectionInfo::new(ConnectionId::new(1), "tcp://*:5555", peer),
            cause: DisconnectCause::Protocol(ProtocolError::Zmtp10 { looks_like: None }),
        }
    }

    #[test]
    fn a_peer_fills_no_log() {
        let (mut journal, now) = (Journal::default(), Instant::now());
        let mut lines = |event: &Event, after: u64| {
            journal.admit(Level::Warn, event, now + Duration::from_secs(after))
        };
        let told = (0..1000).filter(|port| lines(&stranger(*port, 1), 0) == Some(0));
        assert_eq!(told.count(), BURST as usize);
        // Others are not held responsible for it.
        assert_eq!(lines(&stranger(1, 2), 1), Some(0));
        assert_eq!(lines(&stranger(1000, 1), 9), None);
        assert_eq!(lines(&stranger(1001, 1), 10), Some(1000 - BURST + 1));
        assert_eq!(lines(&stranger(1002, 1), 10), Some(0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut journal, now) = (Journal::default(), Instant::now());
        for number in 0..10 * MOST_PEERS {
            let event = Event::Listening {
                endpoint: number.to_string(),
            };
            assert_eq!(journal.admit(Level::Info, &event, now), Some(0));
            assert!(journal.peers.len() <= MOST_PEERS);
        }
    }

    #[test]
    fn levels_tell_trouble_from_routine() {
        let lost = Event::Disconnected {
            connection: ConnectionInfo::new(
                ConnectionId::new(1),
                "tcp://*:5555",
                "tcp://10.0.0.1:1",
            ),
            cause: DisconnectCause::PeerClosed,
        };
        let retry = Event::RetryIn {
            endpoint: "tcp://there:1".to_owned(),
            delay: PERIOD,
        };
        let levels = [stranger(1, 1), lost, retry, Event::Lost(1)].map(|event| level_of(&event));
        let expected = [
            Some(Level::Warn),
            Some(Level::Info),
            Some(Level::Debug),
            None,
        ];
        assert_eq!(levels, expected);
    }
}
