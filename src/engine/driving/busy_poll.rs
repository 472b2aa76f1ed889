//! How long a caller polls the kernel again and again before it sleeps.
//!
//! Where requests and replies go back and forth, the next one is often a few microseconds away, and to sleep and
//! be woken takes longer than that; on a virtual machine whose cores fall asleep, several times longer. So the
//! caller polls for a while first ([`Options::busy_poll`](crate::Options::busy_poll)), as long as something has come that way
//! lately, and hardly ever if not: a peer that answers slowly, or needs this very core, is not kept waiting.
//! In a stream this would halve the latency, too, but keep a core busy: there it is done only if the option says so.

use std::time::Duration;

/// After so many attempts in a row that were in vain, the caller sleeps at once. A power of two.
const ATTEMPTS: u32 = 4;

/// Of so many waits that sleep at once, one polls again, in case that has changed.
const TRY_EVERY: u32 = 64;

/// How long a caller in a dialogue polls, if the option is not set.
const IN_DIALOGUE: Duration = Duration::from_micros(50);

/// See the module.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    limit: Duration,
    /// Not only in a dialogue.
    always: bool,
    /// Attempts in vain before it sleeps at once.
    attempts: u32,
    /// Waits since that slept at once.
    slept: u32,
}

impl BusyPoll {
    /// As the option says. If it is not set, for a default time, and only in a dialogue.
    pub(crate) fn new(busy_poll: Option<Duration>) -> Self {
        BusyPoll {
            limit: busy_poll.unwrap_or(IN_DIALOGUE),
            always: busy_poll.is_some(),
            attempts: ATTEMPTS,
            slept: 0,
        }
    }

    /// How long to poll before sleeping this time.
    pub(crate) fn duration(&mut self, dialogue: bool) -> Duration {
        if !dialogue && !self.always {
            return Duration::ZERO;
        }
        if self.attempts > 0 {
            return self.limit;
        }
        self.slept += 1;
        if self.slept < TRY_EVERY {
            return Duration::ZERO;
        }
        self.slept = 0;
        self.limit
    }

    /// Notes whether something has come within that time.
    pub(crate) fn record(&mut self, came: bool) {
        self.attempts = match came {
            true => ATTEMPTS,
            false => self.attempts.saturating_sub(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(10);

    #[test]
    fn polling_ends_soon_and_comes_back_when_it_pays() {
        let mut busy_poll = BusyPoll::new(Some(LIMIT));
        let polled = |busy_poll: &mut BusyPoll, waits: u32| {
            let mut polled = 0;
            for _ in 0..waits {
                if !busy_poll.duration(true).is_zero() {
                    busy_poll.record(false);
                    polled += 1;
                }
            }
            polled
        };
        assert_eq!(polled(&mut busy_poll, ATTEMPTS + TRY_EVERY - 1), ATTEMPTS);
        assert_eq!(polled(&mut busy_poll, 100 * TRY_EVERY), 100);
        busy_poll.record(true);
        assert_eq!(busy_poll.duration(true), LIMIT);
    }

    #[test]
    fn outside_of_a_dialogue_only_the_option_makes_it_poll() {
        let duration = |busy_poll, dialogue| BusyPoll::new(busy_poll).duration(dialogue);
        assert_eq!(duration(None, false), Duration::ZERO);
        assert_eq!(duration(None, true), IN_DIALOGUE);
        assert_eq!(duration(Some(LIMIT), false), LIMIT);
        assert_eq!(duration(Some(Duration::ZERO), true), Duration::ZERO);
    }
}
