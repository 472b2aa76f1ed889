//! Connecting, again and again: which address is next, and how long to wait before it.
//!
//! Every kind of failure counts alike: refused, reset, unreachable, a handshake that fails. Waits grow
//! exponentially with *full jitter above the half*: a random part between half of the step and the whole
//! of it, so that a thousand clients of a restarted server do not come back in step. Names are looked up
//! anew for every round, and every address is tried before the next wait. They start over from the shortest after a
//! connection that was good for something, see [`Dialer::lost`].

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::message::RoutingId;
use crate::transport::dial::SocketAddress;
use crate::transport::{Endpoint, Wanted};

/// Names an attempt: none of this process's is called the same, since a peer's place may go to another dialer while a name is
/// still being looked up for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt(u64);

impl Attempt {
    pub(crate) fn next() -> Attempt {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Attempt(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A connection that lives so long is worth having, whatever it is that ends it: at one new connection a second nobody is
/// harmed.
const A_WHILE: Duration = Duration::from_secs(1);

/// The endless attempt to be connected to an endpoint.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its text, for events.
    pub(crate) label: Arc<str>,
    /// What the peer is to be called, whatever it asks for.
    pub(super) given_name: Option<Box<RoutingId>>,
    /// Addresses of this round not yet tried.
    pub(crate) addresses: Vec<SocketAddress>,
    /// The name is being looked up, for the present attempt.
    pub(super) looked_up: Option<Wanted>,
    /// The present attempt; a timer or look-up of another one is stale.
    attempt: Attempt,
    /// There has been a connection.
    succeeded: bool,
    backoff: Backoff,
}

impl Dialer {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        label: Arc<str>,
        given_name: Option<RoutingId>,
        (first, max): (Duration, Duration),
    ) -> Self {
        Dialer {
            endpoint,
            label,
            given_name: given_name.map(Box::new),
            addresses: Vec::new(),
            looked_up: None,
            attempt: Attempt::next(),
            succeeded: false,
            backoff: Backoff::new(first, max),
        }
    }

    /// The first wait is to be this long from now on, and the longest.
    pub(crate) fn set_waits(&mut self, (first, max): (Duration, Duration)) {
        self.backoff.set_waits(first, max);
    }

    /// Begins an attempt, or the wait before it.
    pub(crate) fn begin(&mut self) -> Attempt {
        self.looked_up = None;
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

    /// The handshake is done. Says whether it was not the first.
    pub(crate) fn succeeded(&mut self) -> bool {
        // With its memory: a name is looked up anew for the next round.
        self.addresses = Vec::new();
        std::mem::replace(&mut self.succeeded, true)
    }

    /// A connection is lost after its handshake. If it has been good for something, the waits start over from the shortest: a
    /// message was `received`, or it has `lived` for a while and longer than was waited for it. A handshake alone says
    /// nothing: a peer that refuses what we then send has one each time.
    pub(crate) fn lost(&mut self, lived: Duration, received: bool) {
        self.backoff.lost(lived, received);
    }
}

/// Differs from dialer to dialer, and from that of another child of the same process: they have all inherited the same randomness.
fn seed() -> u64 {
    // Not zero, which would stay so.
    RandomState::new().hash_one(std::process::id()) | 1
}

/// Jittered exponential backoff.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    /// Since the last connection that was good for something. Apart, as most dialers never wait.
    waited: Option<Box<Waited>>,
}

#[derive(Debug, Clone)]
struct Waited {
    step: Duration,
    /// The last wait.
    last: Duration,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Backoff {
            first,
            max: max.max(first),
            waited: None,
        }
    }

    /// See [`Dialer::set_waits`]. If they are others than before, the waits start over.
    pub(crate) fn set_waits(&mut self, first: Duration, max: Duration) {
        if (self.first, self.max) != (first, max.max(first)) {
            *self = Backoff::new(first, max);
        }
    }

    /// See [`Dialer::lost`].
    pub(crate) fn lost(&mut self, lived: Duration, received: bool) {
        let was_worth_it = |waited: &Waited| received || lived >= waited.last.max(A_WHILE);
        if self.waited.as_deref().is_some_and(was_worth_it) {
            self.waited = None;
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let waited = self.waited.get_or_insert_with(|| {
            Box::new(Waited {
                step: self.first,
                last: Duration::ZERO,
                random: seed(),
            })
        });
        // xorshift64: spreads retries, guards nothing.
        waited.random ^= waited.random << 13;
        waited.random ^= waited.random >> 7;
        waited.random ^= waited.random << 17;
        let half = waited.step / 2;
        let parts = (waited.random >> 54) as u32;
        waited.last = half + half * parts / 1024;
        waited.step = (waited.step * 2).min(self.max);
        waited.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Turn;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_the_maximum_and_are_jittered() {
        let mut backoff = Backoff::new(100 * MS, 1_000 * MS);
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
                    crate::engine::peer::state::Origin::Dialed(dialer) => (id, dialer.attempt),
                    _ => panic!("not dialed"),
                }
            };
            Turn::begin(net, pattern).connect(first.clone(), None);
            let (id, stale) = place(net);
            assert!(Turn::begin(net, pattern).disconnect(&first));
            Turn::begin(net, pattern).connect(second, None);
            assert_eq!(place(net).0, id, "the same place");
            let addresses = vec![SocketAddress::Unix("/nowhere".into())];
            let monitor = net.peers.monitors.subscribe();
            Turn::begin(net, pattern).resolved(id, stale, Ok(addresses));
            assert!(monitor.try_recv().is_err(), "it was dialed");
        })
        .expect("not forked");
    }

    /// Else it would be dialed until the turn is over, since time stands still in a turn.
    #[test]
    fn an_endpoint_that_refuses_at_once_is_dialed_once_a_turn() {
        let context = crate::Context::new();
        let options = crate::Options::new().reconnect_interval(Duration::ZERO);
        let pattern = crate::pattern::PushPattern::new();
        let core = crate::engine::Core::new(context.inner(), options, pattern).expect("a core");
        core.inspect(|pattern, net| {
            let mut turn = Turn::begin(net, pattern);
            let endpoint: Endpoint = "ipc:///nowhere/at/all".parse().expect("an endpoint");
            turn.connect(endpoint, None);
            let now = turn.now;
            assert!(turn.net.timers.expired(now).is_none(), "in the same turn");
            let redial = turn.net.timers.next().expect("another attempt");
            assert_eq!(redial, turn.next_turn());
        })
        .expect("not forked");
    }

    fn dialer() -> Dialer {
        let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse().expect("an endpoint");
        Dialer::new(endpoint.into(), "".into(), None, (100 * MS, 10_000 * MS))
    }

    /// The waits between connections that end as `lost` says.
    fn waits(mut lost: impl FnMut(&mut Dialer), count: usize) -> Vec<Duration> {
        let mut dialer = dialer();
        let mut wait = || {
            dialer.succeeded();
            lost(&mut dialer);
            dialer.next_delay()
        };
        (0..count).map(|_| wait()).collect()
    }

    #[test]
    fn a_handshake_alone_does_not_shorten_the_waits() {
        let waits = waits(|dialer| dialer.lost(20 * MS, false), 8);
        for (index, wait) in waits.iter().enumerate() {
            let step = (100 * MS * (1 << index)).min(10_000 * MS);
            assert!(*wait >= step / 2 && *wait <= step, "{index}: {wait:?}");
        }
        assert!(waits.iter().sum::<Duration>() > 10_000 * MS);
    }

    #[test]
    fn a_connection_that_was_good_for_something_shortens_the_waits() {
        let received = waits(|dialer| dialer.lost(MS, true), 8);
        let lasted = waits(|dialer| dialer.lost(A_WHILE, false), 8);
        assert!(received.iter().chain(&lasted).all(|wait| *wait <= 100 * MS));
    }

    /// Otherwise a peer that ends each connection after two seconds would be dialed as if nothing were wrong, and one that
    /// has been waited for for ten seconds would count as good after one.
    #[test]
    fn a_connection_is_to_last_longer_than_it_was_waited_for() {
        let mut dialer = dialer();
        let long = std::iter::repeat_with(|| dialer.next_delay()).find(|wait| *wait > 2_000 * MS);
        let long = long.expect("waits grow");
        dialer.lost(long - MS, false);
        assert!(dialer.next_delay() > 2_000 * MS);
        dialer.lost(10_000 * MS, false);
        assert!(dialer.next_delay() <= 100 * MS);
    }

    #[test]
    fn a_maximum_below_the_first_wait_is_the_first_wait() {
        let mut backoff = Backoff::new(100 * MS, 10 * MS);
        for _ in 0..5 {
            assert!(backoff.next() >= 50 * MS);
        }
    }

    #[test]
    fn a_zero_wait_stays_zero() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(backoff.next(), Duration::ZERO);
    }
}
