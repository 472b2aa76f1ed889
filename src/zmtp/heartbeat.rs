//! Heartbeats: finding out that a peer is gone although its connection is not.
//!
//! ```text
//!   every interval:      send PING, and expect any byte at all within the timeout
//!   on a PING with ttl:  expect any byte at all within the ttl
//! ```
//!
//! Silence counts only while we listen: when reading is paused, what the peer sends waits in the kernel, and
//! the pause is not held against it. PINGs go out all the same, so that the peer does not give us up. Nor does it count that this process
//! was stopped: what has come meanwhile is read before the peer is given up.
//!
//! A PING waits its turn behind the messages that were sent before it. A peer that reads slowly, since its application does, cannot
//! answer before it has read those; to give it up then would end a connection for working as it should. So a PING that is
//! unanswered in time raises the question whether the peer is *slow*:
//!
//! - messages have left for it meanwhile, or
//! - messages wait for it, as they did when the PING was sent, since its system has no room, and that system still answers.
//!
//! A slow peer is given the same time again, as often as that is so. All others are given up: those whose system is silent (cut off,
//! powered off), and those that have room for all that was sent to them and yet do not answer (stopped, or hanging).

use std::time::{Duration, Instant};

/// How often to ask for a sign of life, and how long to wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatConfig {
    /// Between two PINGs; `None` or zero sends none. ZMTP 2.0 has no PING: a peer that speaks it needs `None`.
    pub(crate) interval: Option<Duration>,
    /// From a PING to giving the peer up; zero never does.
    pub(crate) timeout: Duration,
}

/// What to do now that a deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatAction {
    /// It was not ours, or has moved.
    Nothing,
    /// Send a PING with the configured time-to-live.
    SendPing,
    /// A PING of ours is unanswered: find out what became of what was sent, and [judge](Heartbeat::judge).
    Doubt,
    /// The peer was silent for too long: close the connection.
    Expired,
}

/// What has become of all that was sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Bytes that have left, as far as is known to the peer's system.
    pub(crate) left: u64,
    /// Bytes that have yet to leave.
    pub(crate) waiting: u64,
    /// For how long the system at the other end has not answered what it was sent, be it only that it has no room. `None`: nobody knows.
    pub(crate) silence: Option<Duration>,
}

/// PINGs of our own.
#[derive(Debug)]
struct Pinging {
    interval: Duration,
    timeout: Duration,
    /// When the next one is due; `None` for a time too far away to be represented.
    next: Option<Instant>,
    /// Belongs to `answer_due`, if that is there.
    asked: Option<Asked>,
}

/// What was known when an answer began to be waited for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    outgoing: Outgoing,
    /// Bytes of PINGs sent since. They leave as well, and are no messages.
    pings: u64,
}

/// One connection's heartbeat, from the end of its handshake on.
///
/// Time comes in as an argument and never goes back. Tell it of every read that gave bytes
/// ([`received`](Self::received)), then of the PINGs among them ([`peer_ttl`](Self::peer_ttl)). Ask for the
/// [`deadline`](Self::deadline) after any call, and call [`handle_timeout`](Self::handle_timeout) when it has
/// come; calling it early does nothing.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// `None`: we send none. Apart, as most connections do without, and each of thousands that are idle has a heartbeat.
    pinging: Option<Box<Pinging>>,
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
        let pinging = interval.map(|interval| Pinging {
            interval,
            timeout: config.timeout,
            next: now.checked_add(interval),
            asked: None,
        });
        Self {
            pinging: pinging.map(Box::new),
            answer_due: None,
            ttl_due: None,
            suspended_at: None,
        }
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
        self.ttl_due = due_after(ttl, self.suspended_at.unwrap_or(now));
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if there is nothing to wait for.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let silence = if self.suspended_at.is_some() {
            None
        } else {
            earlier(self.answer_due, self.ttl_due)
        };
        let next_ping = self.pinging.as_ref().and_then(|pinging| pinging.next);
        earlier(next_ping, silence)
    }

    /// Whether the peer has been silent for too long, as far as it has been read from. It is to be read from before it is given up.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        let silence = earlier(self.answer_due, self.ttl_due);
        self.suspended_at.is_none() && silence.is_some_and(|due| due <= now)
    }

    /// Acts on the deadlines that `now` has reached. One call does for all of them.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> HeartbeatAction {
        let reached = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if self.suspended_at.is_none() {
            // It has said that it would speak by now, whatever we do.
            if reached(self.ttl_due) {
                return HeartbeatAction::Expired;
            }
            if reached(self.answer_due) {
                return HeartbeatAction::Doubt;
            }
        }
        let Some(pinging) = self
            .pinging
            .as_mut()
            .filter(|pinging| reached(pinging.next))
        else {
            return HeartbeatAction::Nothing;
        };
        pinging.next = now.checked_add(pinging.interval);
        // A PING that is still unanswered keeps its deadline, or frequent PINGs would put it off for ever.
        if self.answer_due.is_none() {
            self.answer_due = due_after(pinging.timeout, self.suspended_at.unwrap_or(now));
            pinging.asked = None;
        }
        HeartbeatAction::SendPing
    }

    /// A PING of so many bytes is about to be sent. `outgoing` says what has become of all that was sent before, and is asked only
    /// if the last PING was answered.
    pub(crate) fn sending_ping(&mut self, len: usize, outgoing: impl FnOnce() -> Outgoing) {
        if let Some(pinging) = &mut self.pinging {
            let asked = pinging.asked.get_or_insert_with(|| Asked {
                outgoing: outgoing(),
                pings: 0,
            });
            asked.pings += len as u64;
        }
    }

    /// Decides about a peer that has not answered, by what has become of all that was sent to it: it is given up, or given the
    /// same time again.
    pub(crate) fn judge(&mut self, outgoing: Outgoing, now: Instant) -> HeartbeatAction {
        let Some(pinging) = &mut self.pinging else {
            return HeartbeatAction::Expired;
        };
        let Some(asked) = &pinging.asked else {
            return HeartbeatAction::Expired;
        };
        let before = asked.outgoing;
        let went = outgoing.left.saturating_sub(before.left) > asked.pings;
        let answers = outgoing
            .silence
            .is_some_and(|silence| silence < pinging.timeout);
        let held_up = before.waiting > 0 && outgoing.waiting > 0 && answers;
        if !went && !held_up {
            return HeartbeatAction::Expired;
        }
        pinging.asked = Some(Asked { outgoing, pings: 0 });
        self.answer_due = due_after(pinging.timeout, self.suspended_at.unwrap_or(now));
        HeartbeatAction::Nothing
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
}

/// The end of a silence that begins at this time. Zero waits for nothing, and a time too far away to be represented never comes.
fn due_after(silence: Duration, from: Instant) -> Option<Instant> {
    if silence.is_zero() {
        return None;
    }
    from.checked_add(silence)
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
        hb.sending_ping(PING, || NOTHING_SENT);
        assert_eq!(hb.handle_timeout(start + ms(149)), HeartbeatAction::Nothing);
        assert_eq!(hb.handle_timeout(start + ms(150)), HeartbeatAction::Doubt);
        let pinged = sent(PING as u64, 0, ANSWERS);
        assert_eq!(hb.judge(pinged, start + ms(150)), HeartbeatAction::Expired);
    }

    #[test]
    fn more_pings_do_not_put_off_the_expiry() {
        let (mut hb, start) = heartbeat(10, 25);
        assert_eq!(hb.handle_timeout(start + ms(10)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(20)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(30)), HeartbeatAction::SendPing);
        assert_eq!(hb.handle_timeout(start + ms(35)), HeartbeatAction::Doubt);
    }

    #[test]
    fn without_interval_or_timeout_nothing_happens() {
        let start = Instant::now();
        for interval in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            let config = HeartbeatConfig {
                interval,
                timeout: ms(1),
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
        assert_eq!(hb.handle_timeout(start + ms(1150)), HeartbeatAction::Doubt);
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
        assert_eq!(hb.handle_timeout(start + ms(240)), HeartbeatAction::Doubt);
        hb.resume(start + ms(999));
        assert_eq!(hb.handle_timeout(start + ms(240)), HeartbeatAction::Doubt);
    }

    const PING: usize = 9;

    const ANSWERS: Option<Duration> = Some(Duration::ZERO);

    const NOTHING_SENT: Outgoing = sent(0, 0, ANSWERS);

    const fn sent(left: u64, waiting: u64, silence: Option<Duration>) -> Outgoing {
        Outgoing {
            left,
            waiting,
            silence,
        }
    }

    /// Sends PINGs without an answer to a peer, of which `outgoing` says what becomes of all that was sent to it at each time
    /// that it is asked; gives how often it was given time again before it was given up.
    fn times_given(outgoing: &[Outgoing]) -> usize {
        let (mut hb, _) = heartbeat(100, 100);
        let mut outgoing = outgoing.iter();
        let mut given = 0;
        loop {
            let now = hb.deadline().expect("a deadline");
            match hb.handle_timeout(now) {
                HeartbeatAction::SendPing => {
                    hb.sending_ping(PING, || *outgoing.next().expect("asked once more"));
                }
                HeartbeatAction::Doubt => {
                    let Some(outgoing) = outgoing.next() else {
                        return given;
                    };
                    match hb.judge(*outgoing, now) {
                        HeartbeatAction::Nothing => given += 1,
                        action => {
                            assert_eq!(action, HeartbeatAction::Expired);
                            return given;
                        }
                    }
                }
                HeartbeatAction::Nothing | HeartbeatAction::Expired => {
                    unreachable!("it was asked at the deadline")
                }
            }
        }
    }

    #[test]
    fn a_peer_that_takes_messages_or_has_no_room_for_them_is_slow() {
        let takes = [
            sent(0, 0, None),
            sent(100, 0, None),
            sent(200, 50, None),
            sent(300, 0, None),
        ];
        assert_eq!(times_given(&takes), 3);
        let full = [
            sent(1000, 500, ANSWERS),
            sent(1000, 509, ANSWERS),
            sent(1000, 518, ANSWERS),
        ];
        assert_eq!(times_given(&full), 2);
        let fills_up = [
            sent(0, 0, ANSWERS),
            sent(900, 500, ANSWERS),
            sent(900, 500, ANSWERS),
        ];
        assert_eq!(times_given(&fills_up), 2);
    }

    #[test]
    fn a_peer_with_room_that_takes_nothing_but_pings_is_not_slow() {
        let idle = [sent(1000, 0, ANSWERS), sent(1009, 0, ANSWERS)];
        assert_eq!(times_given(&idle), 0);
        let on_the_way = [sent(1000, 0, ANSWERS), sent(1000, 9, ANSWERS)];
        assert_eq!(times_given(&on_the_way), 0, "nothing waited before it");
        let read_up = [
            sent(1000, 500, ANSWERS),
            sent(1509, 0, ANSWERS),
            sent(1518, 0, ANSWERS),
        ];
        assert_eq!(times_given(&read_up), 1);
    }

    #[test]
    fn a_peer_whose_system_is_silent_is_not_slow() {
        let full = |silence| sent(1000, 500, silence);
        assert_eq!(times_given(&[full(ANSWERS), full(None)]), 0);
        assert_eq!(times_given(&[full(ANSWERS), full(Some(ms(100)))]), 0);
        let short = full(Some(ms(99)));
        assert_eq!(times_given(&[full(ANSWERS), short, short]), 2);
    }
}
