//! Sockets without a network, for tests: their connections are streams in memory, the test says what time it is, and nothing happens but
//! what the test does.

mod pairing;
mod passing;
mod publishing;
mod pushing;
mod relaying;
mod repeating;
mod requesting;
mod routing;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::dialer::Dialer;
use super::net::Net;
use super::state::{Link, Origin, PeerId};
use super::turn::{Readiness, Turn};
use super::writing::WriteJob;
use crate::engine::Core;
use crate::engine::driving::timers::Timer;
use crate::pattern::Pattern;
use crate::transport::Stream;
use crate::transport::memory::{self, Direction};
use crate::{Balancing, Context, Options, Share};

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
            let endpoint: crate::Endpoint = "tcp://127.0.0.1:1".parse().expect("an endpoint");
            let first = Duration::from_millis(10);
            let dialer = Dialer::new(endpoint.into(), "memory".into(), None, (first, first));
            let origin = Origin::Dialed(Box::new(dialer));
            let id = turn.net.new_peer(Link::Down, origin, "memory".into());
            if !turn.net.immediate {
                turn.attach(id);
            }
            id
        });
        self.redial(id, stream);
        id
    }

    /// The peer that is down is dialed, and connected at once.
    fn redial(&self, id: PeerId, stream: Stream) {
        self.turn(|turn| turn.dialing(id, stream)).expect("watched");
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
            for id in turn.ids() {
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

impl Turn<'_> {
    fn ids(&self) -> Vec<PeerId> {
        self.net.peers.slab.iter().map(|(id, _)| id).collect()
    }
}

/// Begins to connect two sockets; with `again`, at the place of a peer of the first that is down.
pub(in crate::engine) fn join<P: Pattern + 'static, Q: Pattern + 'static>(
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
    Wire {
        ids: (here, there),
        out,
        back,
    }
}

/// The same, until they are connected.
pub(in crate::engine) fn connect<P: Pattern + 'static, Q: Pattern + 'static>(
    from: &Stand<P>,
    to: &Stand<Q>,
    again: Option<PeerId>,
) -> Wire {
    let before = (from.connected(), to.connected());
    let wire = join(from, to, again);
    for _ in 0..10 {
        to.go_on();
        from.go_on();
    }
    assert_eq!(from.connected(), before.0 + 1);
    assert_eq!(to.connected(), before.1 + 1);
    wire
}

impl Wire {
    /// The network fails. What has been written can still be read.
    pub(in crate::engine) fn break_off(&self) {
        self.out.close();
        self.back.close();
    }

    /// From now on nothing is in the way of bytes.
    pub(in crate::engine) fn widen(&self) {
        for direction in [&self.out, &self.back] {
            direction.set_room(usize::MAX);
            direction.set_most(usize::MAX);
        }
    }

    /// Changes what the system takes and gives.
    fn vary(&self, random: &mut Random) {
        for direction in [&self.out, &self.back] {
            let limit = random.of(&[1, 20, 500, 20_000, 200_000]);
            let room = match random.below(3) {
                0 => usize::MAX,
                _ => random.below(limit),
            };
            direction.set_room(room);
            direction.set_most(random.of(&[7, 100, 5_000, usize::MAX]));
        }
    }
}

/// Queues so short that schedules run into their ends.
fn options() -> Options {
    Options::new()
        .send_hwm(4)
        .recv_hwm(3)
        .max_delivery_attempts(None)
}

/// Each way of choosing peers in turn.
fn balancing(seed: u64) -> Balancing {
    match seed % 4 {
        0 => Balancing::round_robin(),
        1 => Balancing::least_outstanding(),
        2 => Balancing::least_outstanding().local_first(),
        _ => Balancing::round_robin().by(|_: &crate::Origin| Share::new(2)),
    }
}

/// The steps of a schedule. Told if it fails.
struct Log(Vec<String>);

impl Log {
    fn new(begin: fmt::Arguments<'_>) -> Log {
        Log(vec![begin.to_string()])
    }

    fn step(&mut self, choice: usize, index: usize) {
        self.0.push(format!("{choice} at {index}"));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join(", "));
        }
    }
}

/// One direction between a socket and one of up to three others: how much was accepted of that, and what has arrived. A number says
/// whose it is.
#[derive(Default)]
struct Way {
    accepted: u32,
    arrived: Vec<u32>,
}

impl Way {
    fn next(&self, index: usize) -> u32 {
        self.accepted * 3 + index as u32
    }

    fn arrived(&mut self, number: u32, index: usize) {
        assert_eq!(number % 3, index as u32, "it is another's");
        assert!(number / 3 < self.accepted);
        self.arrived.push(number);
    }

    fn check(&self, all: bool) {
        let different: HashSet<&u32> = self.arrived.iter().collect();
        assert_eq!(different.len(), self.arrived.len(), "one came twice");
        if all {
            assert_eq!(self.arrived.len(), self.accepted as usize);
            assert!(self.arrived.is_sorted());
        }
    }
}

/// Writes without the lock of one socket, one at a time.
#[derive(Default)]
struct Job(Option<(WriteJob, io::Result<()>)>);

impl Job {
    /// Takes a step: begins one, goes on with it, or ends it.
    fn step<P: Pattern + 'static>(&mut self, stand: &Stand<P>, random: &mut Random) {
        match &mut self.0 {
            None => {
                let job = stand.turn(|turn| {
                    // The system may take more of what it has refused.
                    for id in turn.ids() {
                        let readiness = Readiness {
                            writable: true,
                            ..Readiness::default()
                        };
                        turn.handle_event(id, readiness);
                    }
                    turn.net.begin_write()
                });
                self.0 = job.map(|job| (job, Ok(())));
            }
            Some((job, result)) if random.below(2) == 0 => *result = job.run(),
            Some(_) => self.end(stand),
        }
    }

    fn end<P: Pattern + 'static>(&mut self, stand: &Stand<P>) {
        if let Some((job, result)) = self.0.take() {
            stand.turn(|turn| turn.end_write(job, result));
        }
    }
}

/// The same numbers for the same seed.
pub(in crate::engine) struct Random(u64);

impl Random {
    pub(in crate::engine) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(in crate::engine) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    pub(in crate::engine) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A body that begins with a number, of any length that matters.
fn numbered(number: u32, random: &mut Random) -> Vec<u8> {
    let more = random.of(&[0, 0, 1, 50, 251, 252, 1_000, 9_000, 40_000]);
    let mut body = number.to_be_bytes().to_vec();
    body.resize(4 + more, number as u8);
    body
}

/// The number, if the rest is as it should be.
fn number_of(body: &[u8]) -> u32 {
    let (number, rest) = body.split_first_chunk().expect("a number");
    let number = u32::from_be_bytes(*number);
    assert!(rest.iter().all(|&byte| byte == number as u8));
    number
}
