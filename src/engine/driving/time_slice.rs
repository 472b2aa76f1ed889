//! How long a thread that drives a socket keeps its state locked.
//!
//! Peers decide how much there is to do: how many of them connect at once, how much they send, how many topics that makes. So
//! what is done for them under the state lock ends after some time, whatever is left, and goes on in the next turn, between
//! which others get the lock. Each kind of work is done once at least, so that none is put off for ever.
//!
//! The clock is read only between one piece of work and the next. If there is just one, it is not read.

use std::time::{Duration, Instant};

/// A call may have to wait so long for the lock while another thread drives. A read of a whole chunk takes a fifth of it.
const WHOLE: Duration = Duration::from_micros(100);

/// A constant, as dividing takes longer than all else that is done here.
const HALF: Duration = Duration::from_micros(50);

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSlice {
    begun: Instant,
    lasts: Duration,
}

impl TimeSlice {
    pub(crate) fn begun(now: Instant) -> Self {
        TimeSlice {
            begun: now,
            lasts: WHOLE,
        }
    }

    /// Its first half. What may arrive in large numbers, such as connections, gets no more, and the rest is for peers that are there
    /// already.
    pub(crate) fn half(self) -> Self {
        TimeSlice {
            lasts: HALF,
            ..self
        }
    }

    /// Whether it is time to let others have the state.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    pub(crate) fn is_over_at(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= self.lasts
    }
}
