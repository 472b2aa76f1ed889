//! Sockets without a network, for tests: their connections are streams in memory, the test says what time it is, and nothing happens but
//! what the test does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialer::Dialer;
use super::net::Net;
use super::state::{Link, Origin, PeerId};
use super::turn::{Readiness, Turn};
use crate::engine::Core;
use crate::engine::driving::timers::Timer;
use crate::pattern::Pattern;
use crate::transport::Stream;
use crate::transport::memory::{self, Direction};
use crate::{Context, Options};

/// A socket. Its core is there for the lock, and because what is to be dropped later is dropped when that is released.
pub(in crate::engine) struct Stand<P: Pattern + 'static> {
    core: Arc<Core<P>>,
    now: Instant,
}

/// A connection between two of them.
pub(in crate::engine) struct Wire {
    /// The peer at the end that dialed, and at the other.
    pub(in crate::engine) ids: (PeerId, PeerId),
    /// From the one that dialed to the other, and back.
    pub(in crate::engine) out: Arc<Direction>,
    pub(in crate::engine) back: Arc<Direction>,
}

impl<P: Pattern + 'static> Stand<P> {
    pub(in crate::engine) fn new(context: &Context, options: Options, pattern: P) -> Self {
        let core = Core::new(context.inner(), options, pattern);
        let stand = Stand {
            core: core.expect("a core"),
            now: Instant::now(),
        };
        // Streams in memory are registered there in vain.
        let poll = mio::Poll::new().expect("a poll");
        let registry = poll.registry().try_clone().expect("a registry");
        stand.look(|_, net| net.registry.open(registry));
        stand
    }

    pub(in crate::engine) fn look<T>(&self, look: impl FnOnce(&mut P, &mut Net) -> T) -> T {
        self.core.inspect(look).expect("not forked")
    }

    pub(in crate::engine) fn turn<T>(&self, turn: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        self.look(|pattern, net| turn(&mut Turn::at(self.now, net, pattern)))
    }

    /// Time passes.
    pub(in crate::engine) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// A peer comes.
    fn accept(&self, stream: Stream) -> PeerId {
        self.turn(|turn| {
            let id = turn
                .net
                .new_peer(Link::Down, Origin::Accepted(0), "memory".into());
            turn.net.pending_count += 1;
            turn.greet_accepted(id, stream);
            id
        })
    }

    /// A peer is dialed for the first time.
    fn dial(&self, stream: Stream) -> PeerId {
        let id = self.turn(|turn| {
            let endpoint = "tcp://127.0.0.1:1".parse().expect("an endpoint");
            let first = Duration::from_millis(10);
            let dialer = Dialer::new(endpoint, "memory".into(), None, (first, first));
            let origin = Origin::Dialed(Box::new(dialer));
            let id = turn.net.new_peer(Link::Down, origin, "memory".into());
            turn.attach(id);
            id
        });
        self.redial(id, stream);
        id
    }

    /// The peer that is down is dialed, and connected at once.
    fn redial(&self, id: PeerId, stream: Stream) {
        self.turn(|turn| turn.dialing(id, stream));
    }

    /// Peers that are to be dialed by now.
    pub(in crate::engine) fn to_dial(&self) -> Vec<PeerId> {
        let mut ids = Vec::new();
        self.turn(|turn| {
            while let Some(timer) = turn.net.timers.expired(turn.now) {
                match timer {
                    Timer::Redial(id, _) => ids.push(id),
                    timer => turn.handle_timer(timer),
                }
            }
        });
        ids
    }

    /// The system reports all that there is to report, and all of it is seen to.
    pub(in crate::engine) fn go_on(&self) {
        self.turn(|turn| {
            let ids: Vec<PeerId> = turn.net.peers.slab.iter().map(|(id, _)| id).collect();
            for id in ids {
                let readiness = Readiness {
                    readable: true,
                    writable: true,
                    // It may have: so it is read until there is nothing more.
                    hung_up: true,
                };
                turn.handle_event(id, readiness);
            }
            while turn.net.has_work() {
                turn.settle();
            }
            turn.write_dirty();
        });
    }

    pub(in crate::engine) fn connected(&self) -> usize {
        self.look(|_, net| net.connected_peers())
    }
}

/// Connects two sockets; with `again`, at the place of a peer of the first that is down.
pub(in crate::engine) fn connect<P: Pattern + 'static, Q: Pattern + 'static>(
    from: &Stand<P>,
    to: &Stand<Q>,
    again: Option<PeerId>,
) -> Wire {
    let (near, far, out, back) = memory::pair();
    let there = to.accept(far);
    let here = match again {
        Some(id) => {
            from.redial(id, near);
            id
        }
        None => from.dial(near),
    };
    let before = (from.connected(), to.connected());
    for _ in 0..10 {
        to.go_on();
        from.go_on();
    }
    assert_eq!(from.connected(), before.0 + 1);
    assert_eq!(to.connected(), before.1 + 1);
    Wire {
        ids: (here, there),
        out,
        back,
    }
}
