//! Offering ourselves to whoever binds an inproc name, again and again.
//!
//! An offer that nobody can take up yet waits with the name, and one whose taker goes is made again at once. One that is refused is
//! made again after a wait, as a refused connection is dialed again: what stands in its way may be gone by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::peer::dialer::{Attempt, Backoff};
use crate::message::RoutingId;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Offerer {
    pub(crate) name: Arc<str>,
    /// What the peer is to be called, whatever it asks for.
    pub(crate) given_name: Option<RoutingId>,
    /// The present wait; a timer of another one is stale.
    attempt: Attempt,
    backoff: Backoff,
    /// When the present offer was made.
    offered: Instant,
}

impl Offerer {
    pub(crate) fn new(
        name: Arc<str>,
        given_name: Option<RoutingId>,
        now: Instant,
        (first, max): (Duration, Duration),
    ) -> Self {
        Offerer {
            name,
            given_name,
            attempt: Attempt::next(),
            backoff: Backoff::new(first, max),
            offered: now,
        }
    }

    /// The first wait is to be this long from now on, and the longest.
    pub(crate) fn set_waits(&mut self, (first, max): (Duration, Duration)) {
        self.backoff.set_waits(first, max);
    }

    pub(crate) fn is_at(&self, attempt: Attempt) -> bool {
        self.attempt == attempt
    }

    /// An offer is made.
    pub(crate) fn offers(&mut self, now: Instant) {
        self.offered = now;
    }

    /// The offer has been refused, or its taker has sent us away after a while, in which we have `received` something or not. Says how
    /// long to wait before the next one.
    pub(crate) fn refused(&mut self, now: Instant, received: bool) -> (Duration, Attempt) {
        let lived = now.saturating_duration_since(self.offered);
        self.backoff.lost(lived, received);
        self.attempt = Attempt::next();
        (self.backoff.next(), self.attempt)
    }
}
