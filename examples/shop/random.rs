//! Chance.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::thread;
use std::time::{Duration, Instant};

/// xorshift64*, with another start in every process.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(RandomState::new().build_hasher().finish() | 1)
    }

    /// Somewhere above 0, and up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = (self.unit() * choices.len() as f64) as usize;
        choices[index.min(choices.len() - 1)]
    }
}

/// The moments of a Poisson process: between any two of them lies a time of exponential distribution.
pub(crate) struct Arrivals {
    rate: f64,
    next: Instant,
}

impl Arrivals {
    pub(crate) fn new(rate: f64) -> Arrivals {
        Arrivals {
            rate,
            next: Instant::now(),
        }
    }

    /// Waits for the next arrival. One who is late does not delay those after it.
    pub(crate) fn wait(&mut self, random: &mut Random) {
        self.next += Duration::from_secs_f64(-random.unit().ln() / self.rate);
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }
}
