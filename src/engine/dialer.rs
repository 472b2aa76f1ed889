//! Connecting, again and again: which address is next, and how long to wait before it.
//!
//! Every kind of failure counts alike: refused, reset, unreachable, a handshake that fails. Waits grow
//! exponentially with *full jitter above the half*: a random part between half of the step and the whole
//! of it, so that a thousand clients of a restarted server do not come back in step. Names are looked up
//! anew for every round, and every address is tried before the next wait.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::transport::Endpoint;
use crate::transport::dial::SocketAddress;

/// Names an attempt: none of this process's is called the same, since a peer's place may go to another dialer while a name is
/// still being looked up for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt(u64);

impl Attempt {
    fn next() -> Attempt {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Attempt(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The endless attempt to be connected to an endpoint.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    /// Its text, for events.
    pub(crate) label: Arc<str>,
    /// Addresses of this round not yet tried.
    pub(crate) addresses: Vec<SocketAddress>,
    /// The present attempt; a timer or look-up of another one is stale.
    attempt: Attempt,
    /// There has been a connection.
    succeeded: bool,
    backoff: Backoff,
}

impl Dialer {
    pub(crate) fn new(endpoint: Endpoint, label: Arc<str>, first: Duration, max: Duration) -> Self {
        Dialer {
            endpoint,
            label,
            addresses: Vec::new(),
            attempt: Attempt::next(),
            succeeded: false,
            backoff: Backoff::new(first, max, seed()),
        }
    }

    /// Begins an attempt, or the wait before it.
    pub(crate) fn begin(&mut self) -> Attempt {
        self.attempt = Attempt::next();
        self.attempt
    }

    pub(crate) fn is_at(&self, attempt: Attempt) -> bool {
        self.attempt == attempt
    }

    /// How long to wait before the next round.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.backoff.next()
    }

    /// The handshake is done: the next failure starts from the shortest wait. Says whether it was not the first.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.backoff.step = self.backoff.first;
        std::mem::replace(&mut self.succeeded, true)
    }
}

/// Differs from dialer to dialer, and from that of another child of the same process: they have all inherited the same randomness.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Jittered exponential backoff.
#[derive(Debug)]
struct Backoff {
    first: Duration,
    max: Duration,
    step: Duration,
    random: u64,
}

impl Backoff {
    fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Backoff {
            first,
            max: max.max(first),
            step: first,
            random: seed | 1,
        }
    }

    fn next(&mut self) -> Duration {
        // xorshift64: spreads retries, guards nothing.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = self.step / 2;
        let parts = (self.random >> 54) as u32;
        let delay = half + half * parts / 1024;
        self.step = (self.step * 2).min(self.max);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_the_maximum_and_are_jittered() {
        let mut backoff = Backoff::new(100 * MS, 1_000 * MS, 42);
        let mut step = 100 * MS;
        let mut different = std::collections::HashSet::new();
        for _ in 0..50 {
            let delay = backoff.next();
            assert!(delay >= step / 2 && delay <= step, "{delay:?} of {step:?}");
            different.insert(delay);
            step = (step * 2).min(1_000 * MS);
        }
        assert!(different.len() > 40);
    }

    /// A name is looked up for an endpoint that is disconnected meanwhile, and the next one gets the same place.
    #[test]
    fn what_was_looked_up_for_another_endpoint_is_not_dialed() {
        let context = crate::Context::new();
        let options = crate::Options::new().linger(Duration::ZERO);
        let core =
            crate::engine::Core::new(context.inner(), options, crate::pattern::PushPattern::new())
                .expect("a core");
        let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
        let (first, second) = (endpoint("tcp://localhost:1"), endpoint("tcp://localhost:2"));
        core.inspect(|pattern, net| {
            let place = |net: &crate::engine::Net| {
                let (id, peer) = net.peers.slab.iter().next().expect("a peer");
                match &peer.origin {
                    crate::engine::peers::Origin::Dialed(dialer) => (id, dialer.attempt),
                    _ => panic!("not dialed"),
                }
            };
            net.connect(first.clone(), pattern);
            let (id, stale) = place(net);
            assert!(net.disconnect(&first, pattern));
            net.connect(second, pattern);
            assert_eq!(place(net).0, id, "the same place");
            let addresses = vec![SocketAddress::Unix("/nowhere".into())];
            let monitor = net.monitors.subscribe();
            net.resolved(id, stale, Ok(addresses), std::time::Instant::now(), pattern);
            assert!(monitor.try_recv().is_err(), "it was dialed");
        })
        .expect("not forked");
    }

    #[test]
    fn a_maximum_below_the_first_wait_is_the_first_wait() {
        let mut backoff = Backoff::new(100 * MS, 10 * MS, 7);
        for _ in 0..5 {
            assert!(backoff.next() >= 50 * MS);
        }
    }

    #[test]
    fn a_zero_wait_stays_zero() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, 7);
        assert_eq!(backoff.next(), Duration::ZERO);
    }
}
