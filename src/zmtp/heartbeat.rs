//! Heartbeats: finding out that a peer is gone although its connection is not.
//!
//! ```text
//!   every interval:      send PING, and expect any byte at all within the timeout
//!   on a PING with ttl:  expect any byte at all within the ttl
//! ```
//!
//! Silence counts only while we listen: when reading is paused, what the peer sends waits in the kernel, and
//! the pause is not held against it. PINGs go out all the same, so that the peer does not give us up.

use std::time::{Duration, Instant};

/// How often to ask for a sign of life, and how long to wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatConfig {
    /// Between two PINGs; `None` or zero sends none. ZMTP 2.0 has no PING: a peer that speaks it needs `None`.
    pub(crate) interval: Option<Duration>,
    /// From a PING to giving the peer up; zero never does.
    pub(crate) timeout: Duration,
    /// What our PINGs ask the peer to hold us to; for the caller, who writes the PINGs.
    pub(crate) ttl: Duration,
}

/// What to do now that a deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatAction {
    /// It was not ours, or has moved.
    Nothing,
    /// Send a PING with the configured time-to-live.
    SendPing,
    /// The peer was silent for too long: close the connection.
    Expired,
}

/// One connection's heartbeat, from the end of its handshake on.
///
/// Time comes in as an argument and never goes back. Tell it of every read that gave bytes
/// ([`received`](Self::received)), then of the PINGs among them ([`peer_ttl`](Self::peer_ttl)). Ask for the
/// [`deadline`](Self::deadline) after any call, and call [`handle_timeout`](Self::handle_timeout) when it has
/// come; calling it early does nothing.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    config: HeartbeatConfig,
    next_ping: Option<Instant>,
    /// When a PING of ours will have gone unanswered for too long.
    answer_due: Option<Instant>,
    /// When the peer will have been silent for longer than it said it would be.
    ttl_due: Option<Instant>,
    /// Since when reading is paused. The two deadlines above stand still from then on.
    suspended_at: Option<Instant>,
}

impl Heartbeat {
    /// Starts at the end of the handshake; the first PING is due one interval later.
    pub(crate) fn new(config: HeartbeatConfig, now: Instant) -> Self {
        let interval = config.interval.filter(|interval| !interval.is_zero());
        let config = HeartbeatConfig { interval, ..config };
        let mut heartbeat = Self {
            config,
            next_ping: None,
            answer_due: None,
            ttl_due: None,
            suspended_at: None,
        };
        heartbeat.schedule_ping(now);
        heartbeat
    }

    /// Bytes have come, whichever they are: the peer lives. The time is not needed, as nothing runs until
    /// the next PING, ours or the peer's; it is taken so that callers need not know that.
    #[inline]
    pub(crate) fn received(&mut self, _now: Instant) {
        self.answer_due = None;
        self.ttl_due = None;
    }

    /// A PING with this time-to-live has come; zero asks for nothing.
    pub(crate) fn peer_ttl(&mut self, ttl: Duration, now: Instant) {
        self.ttl_due = self.due_after(ttl, now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if there is nothing to wait for.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let silence = if self.suspended_at.is_some() {
            None
        } else {
            earlier(self.answer_due, self.ttl_due)
        };
        earlier(self.next_ping, silence)
    }

    /// Acts on the deadlines that `now` has reached. One call does for all of them.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> HeartbeatAction {
        let reached = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if self.suspended_at.is_none() && (reached(self.answer_due) || reached(self.ttl_due)) {
            return HeartbeatAction::Expired;
        }
        if !reached(self.next_ping) {
            return HeartbeatAction::Nothing;
        }
        self.schedule_ping(now);
        // A PING that is still unanswered keeps its deadline, or frequent PINGs would put it off for ever.
        if self.answer_due.is_none() {
            self.answer_due = self.due_after(self.config.timeout, now);
        }
        HeartbeatAction::SendPing
    }

    /// Reading is paused: from now on the peer's silence is our own doing.
    pub(crate) fn suspend(&mut self, now: Instant) {
        self.suspended_at.get_or_insert(now);
    }

    /// Reading goes on: the peer has as much time left as it had when it was paused.
    pub(crate) fn resume(&mut self, now: Instant) {
        let Some(since) = self.suspended_at.take() else {
            return;
        };
        let pause = now.saturating_duration_since(since);
        self.answer_due = self.answer_due.and_then(|due| due.checked_add(pause));
        self.ttl_due = self.ttl_due.and_then(|due| due.checked_add(pause));
    }

    /// A time too far away to be represented never comes.
    fn schedule_ping(&mut self, now: Instant) {
        self.next_ping = self
            .config
            .interval
            .and_then(|interval| now.checked_add(interval));
    }

    /// The end of a silence that begins now, or begins when reading resumes.
    fn due_after(&self, silence: Duration, now: Instant) -> Option<Instant> {
        if silence.is_zero() {
            return None;
        }
        self.suspended_at.unwrap_or(now).checked_add(silence)
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn heartbeat(interval: u64, timeout: u64) -> (Heartbeat, Instant) {
        let start = Instant::now();
        let config = HeartbeatConfig {
            interval: Some(ms(interval)),
            timeout: ms(timeout),
            ttl: ms(0),
        };
        (Heartbeat::new(config, start), start)
    }

    #[test]
    fn pings_every_interval_while_the_peer_answers() {
        let (mut hb, start) = heartbeat(100, 50);
        for n in 1..=10 {
            let due = start + ms(100 * n);
            assert_eq!(hb.deadline(), Some(due));
            assert_eq!(hb.handle_timeout(due - ms(1)), HeartbeatAction::Nothing);
            assert_eq!(hb.handle_timeout(due), HeartbeatAction::SendPing);
            assert_eq!(hb.deadline(), Some(due + ms(50)));
            hb.received(due + ms(49));
        }
    }

    #[test]
    fn an_unanswered_ping_expires() {
        let (mut hb, start) = heartbeat(100, 50);
        assert_eq!(
            hb.handle_timeout(start + ms(100)),
            HeartbeatAction::SendPing
        );
        assert_eq!(hb.handle_timeout(start + ms(149)), HeartbeatAction::Nothing);
        assert_eq!(hb.handle_timeout(start + ms(150)), HeartbeatAction::Expired);
    }

    #[test]
    fn more_pings_do_not_put_off_the_expiry() {
        let (mut hb, start) = heartbeat(10, 25);
        assert_eq!(hb.handle_timeout(start + ms(10)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(20)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(30)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(35)), HeartbeatAction::Expired);
    }

    #[test]
    fn without_interval_or_timeout_nothing_happens() {
        let start = Instant::now();
        for interval in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            let config = HeartbeatConfig {
                interval,
                timeout: ms(1),
                ttl: ms(1),
            };
            let mut hb = Heartbeat::new(config, start);
            assert_eq!(hb.deadline(), None);
            assert_eq!(
                hb.handle_timeout(start + ms(1_000_000)),
                HeartbeatAction::Nothing
            );
        }
        let (mut hb, start) = heartbeat(100, 0);
        assert_eq!(
            hb.handle_timeout(start + ms(100)),
            HeartbeatAction::SendPing
        );
        assert_eq!(hb.deadline(), Some(start + ms(200)));
    }

    #[test]
    fn a_peers_ttl_expires_unless_anything_comes() {
        let start = Instant::now();
        let config = HeartbeatConfig {
            interval: None,
            timeout: ms(0),
            ttl: ms(0),
        };
        let mut hb = Heartbeat::new(config, start);
        hb.peer_ttl(ms(300), start);
        assert_eq!(hb.deadline(), Some(start + ms(300)));
        hb.received(start + ms(299));
        assert_eq!(hb.deadline(), None);
        hb.peer_ttl(ms(300), start + ms(299));
        assert_eq!(hb.handle_timeout(start + ms(599)), HeartbeatAction::Expired);
        hb.peer_ttl(ms(0), start + ms(600));
        assert_eq!(hb.deadline(), None);
    }

    #[test]
    fn a_pause_in_reading_is_not_silence() {
        let (mut hb, start) = heartbeat(100, 50);
        assert_eq!(
            hb.handle_timeout(start + ms(100)),
            HeartbeatAction::SendPing
        );
        hb.peer_ttl(ms(80), start + ms(100));
        hb.suspend(start + ms(120));
        hb.suspend(start + ms(130));
        assert_eq!(hb.deadline(), Some(start + ms(200)));
        assert_eq!(
            hb.handle_timeout(start + ms(200)),
            HeartbeatAction::SendPing
        );
        hb.resume(start + ms(1120));
        // 30 of the 50 were left, and 60 of the 80; the next PING is long due.
        assert_eq!(
            hb.handle_timeout(start + ms(1149)),
            HeartbeatAction::SendPing
        );
        assert_eq!(
            hb.handle_timeout(start + ms(1150)),
            HeartbeatAction::Expired
        );
        hb.received(start + ms(1150));
        assert_eq!(
            hb.handle_timeout(start + ms(1151)),
            HeartbeatAction::Nothing
        );
    }

    #[test]
    fn a_ping_sent_during_a_pause_is_answered_after_it() {
        let (mut hb, start) = heartbeat(100, 50);
        hb.suspend(start + ms(90));
        assert_eq!(
            hb.handle_timeout(start + ms(100)),
            HeartbeatAction::SendPing
        );
        assert_eq!(hb.handle_timeout(start + ms(180)), HeartbeatAction::Nothing);
        hb.resume(start + ms(190));
        assert_eq!(
            hb.handle_timeout(start + ms(239)),
            HeartbeatAction::SendPing
        );
        assert_eq!(hb.handle_timeout(start + ms(240)), HeartbeatAction::Expired);
        hb.resume(start + ms(999));
        assert_eq!(hb.handle_timeout(start + ms(240)), HeartbeatAction::Expired);
    }
}
