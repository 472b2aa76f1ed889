//! How long a caller looks for what it waits for before it sleeps.
//!
//! Where requests and replies go back and forth, the next one is often a few microseconds away, and sleeping and
//! being woken takes longer than that; on a virtual machine whose cores fall asleep, several times longer. So the
//! caller looks for a while first ([`Options::busy_poll`](crate::Options::busy_poll)), as long as that has been worth
//! it lately, and hardly ever where it has not: what answers slowly, or needs this very core, is not kept waiting.
//! In a stream the same halves the latency, and keeps a core busy: there it is left to who sets the option.

use std::time::Duration;

/// Waits in vain, in a row, after which the caller sleeps at once. A power of two.
const VAIN: u32 = 4;

/// Of so many waits that sleep at once, one looks again whether that has changed.
const TRY_EVERY: u32 = 64;

/// How long a caller in a dialogue looks, if nobody has said otherwise.
const IN_DIALOGUE: Duration = Duration::from_micros(50);

/// See the module.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// Not in a dialogue only.
    always: bool,
    /// Waits in vain that are still allowed.
    left: u32,
    /// Waits since the last look.
    slept: u32,
}

impl Patience {
    /// As the option says, and without it as suits a dialogue, in a dialogue.
    pub(crate) fn new(busy_poll: Option<Duration>) -> Self {
        Patience {
            limit: busy_poll.unwrap_or(IN_DIALOGUE),
            always: busy_poll.is_some(),
            left: VAIN,
            slept: 0,
        }
    }

    /// How long to look before sleeping this time.
    pub(crate) fn span(&mut self, dialogue: bool) -> Duration {
        if !dialogue && !self.always {
            return Duration::ZERO;
        }
        if self.left > 0 {
            return self.limit;
        }
        self.slept += 1;
        if self.slept < TRY_EVERY {
            return Duration::ZERO;
        }
        self.slept = 0;
        self.limit
    }

    /// Whether looking was worth it.
    pub(crate) fn learn(&mut self, came: bool) {
        self.left = match came {
            true => VAIN,
            false => self.left.saturating_sub(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(10);

    #[test]
    fn patience_ends_soon_and_comes_back_when_it_pays() {
        let mut patience = Patience::new(Some(LIMIT));
        let looked = |patience: &mut Patience, waits: u32| {
            let mut looked = 0;
            for _ in 0..waits {
                if !patience.span(true).is_zero() {
                    patience.learn(false);
                    looked += 1;
                }
            }
            looked
        };
        assert_eq!(looked(&mut patience, VAIN + TRY_EVERY - 1), VAIN);
        assert_eq!(looked(&mut patience, 100 * TRY_EVERY), 100);
        patience.learn(true);
        assert_eq!(patience.span(true), LIMIT);
    }

    #[test]
    fn outside_of_a_dialogue_only_who_is_told_to_looks() {
        let span = |busy_poll, dialogue| Patience::new(busy_poll).span(dialogue);
        assert_eq!(span(None, false), Duration::ZERO);
        assert_eq!(span(None, true), IN_DIALOGUE);
        assert_eq!(span(Some(LIMIT), false), LIMIT);
        assert_eq!(span(Some(Duration::ZERO), true), Duration::ZERO);
    }
}
