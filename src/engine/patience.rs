//! How long a caller looks for an answer before it sleeps.
//!
//! Where requests and replies go back and forth, the next one is often a few microseconds away, and sleeping and
//! being woken takes longer than that; on a virtual machine whose cores fall asleep, several times longer. So the
//! caller looks for a while first ([`Options::busy_poll`](crate::Options::busy_poll)), as long as that has been worth
//! it lately, and hardly ever where it has not: what answers slowly, or needs this very core, is not kept waiting.

use std::time::Duration;

/// Waits in vain, in a row, after which the caller sleeps at once. A power of two.
const VAIN: u32 = 4;

/// Of so many waits that sleep at once, one looks again whether that has changed.
const TRY_EVERY: u32 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// Waits in vain that are still allowed.
    left: u32,
    /// Waits since the last look.
    slept: u32,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Patience {
            limit,
            left: VAIN,
            slept: 0,
        }
    }

    /// How long to look before sleeping this time.
    pub(crate) fn span(&mut self) -> Duration {
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
        let mut patience = Patience::new(LIMIT);
        let looked = |patience: &mut Patience, waits: u32| {
            let mut looked = 0;
            for _ in 0..waits {
                if !patience.span().is_zero() {
                    patience.learn(false);
                    looked += 1;
                }
            }
            looked
        };
        assert_eq!(looked(&mut patience, VAIN + TRY_EVERY - 1), VAIN);
        assert_eq!(looked(&mut patience, 100 * TRY_EVERY), 100);
        patience.learn(true);
        assert_eq!(patience.span(), LIMIT);
    }
}
