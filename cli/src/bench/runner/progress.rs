//! How far a run of the benchmark has come, and how long the rest will take.

use std::fmt;
use std::time::{Duration, Instant};

/// Counts the turns of all contestants in all rounds.
pub(super) struct Progress {
    begun: Instant,
    done: usize,
    total: usize,
    /// What a turn is likely to take, as long as none has shown it.
    guess: Duration,
}

impl Progress {
    pub(super) fn new(total: usize, guess: Duration) -> Progress {
        Progress {
            begun: Instant::now(),
            done: 0,
            total,
            guess,
        }
    }

    /// Notes that so many turns are over, or will not be taken.
    pub(super) fn advance(&mut self, turns: usize) {
        self.done += turns;
    }

    fn left(&self, elapsed: Duration) -> Duration {
        let each = match u32::try_from(self.done) {
            Ok(0) | Err(_) => self.guess,
            Ok(done) => elapsed / done,
        };
        each.mul_f64(self.total.saturating_sub(self.done) as f64)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { done, total, .. } = self;
        let left = self.left(self.begun.elapsed()).as_secs();
        match left {
            0..60 => write!(f, "{done} of {total} turns, about {left} s left"),
            _ => {
                let minutes = left.div_ceil(60);
                write!(f, "{done} of {total} turns, about {minutes} min left")
            }
        }
    }
}

#[cfg(test)]
#[allow(dead_code, unused_imports)] // `cargo bench` includes this module, and has no test harness to call them.
mod tests {
    use super::*;

    #[test]
    fn turns_to_come_take_as_long_as_those_that_are_over() {
        let mut progress = Progress::new(10, Duration::from_secs(2));
        let elapsed = Duration::from_secs(12);
        assert_eq!(progress.left(elapsed), Duration::from_secs(20));
        progress.advance(4);
        assert_eq!(progress.left(elapsed), Duration::from_secs(18));
        progress.advance(6);
        assert_eq!(progress.left(elapsed), Duration::ZERO);
    }
}
