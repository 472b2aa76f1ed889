//! All ways of waiting at one socket at once, on each runtime, while futures are dropped at random: every message is counted.
//!
//! `ZEROHOP_ROUNDS=200 cargo test -p zerohop-runtimes --test at_once` does that for minutes, with other seeds each round.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}
mod place;

use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{poll_once, yield_now, zip};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use zerohop::{
    Message, Options, PollRecv, Poller, Pull, Push, RecvError, SendError, SendErrorKind,
};

use common::deadline::DEADLINE;
use place::Place;

/// How long messages are sent in a round.
const ROUND: Duration = Duration::from_millis(300);

/// How long a call waits in a thread before it looks whether the round is over.
const GLANCE: Duration = Duration::from_millis(5);

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Who sends what, who has received it, and how many futures have been dropped.
struct Round {
    push: Push,
    pull: Pull,
    end: Instant,
    next: AtomicUsize,
    seen: Mutex<Vec<usize>>,
    dropped: AtomicUsize,
}

impl Round {
    /// The number of the next message; `None`: the round is over.
    fn claim(&self) -> Option<usize> {
        (Instant::now() < self.end).then(|| self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Notes what a call has received. `false`: the socket is closed.
    fn note(&self, received: Result<Message, RecvError>) -> bool {
        match received {
            Ok(message) => {
                let number = message.first().as_slice().try_into().expect("a number");
                let mut seen = self.seen.lock().expect("the numbers");
                seen.push(usize::from_be_bytes(number));
                true
            }
            Err(RecvError::WouldBlock | RecvError::TimedOut) => true,
            Err(error) => {
                assert_eq!(error, RecvError::Closed);
                false
            }
        }
    }

    /// Takes all that is there. `false`: the socket is closed.
    fn take_all(&self) -> bool {
        loop {
            match self.pull.try_recv() {
                Err(RecvError::WouldBlock) => return true,
                received => {
                    if !self.note(received) {
                        return false;
                    }
                }
            }
        }
    }

    /// Looks at a future some times, and drops it if it is not ready by then.
    async fn look<T>(&self, future: impl Future<Output = T>, random: &mut Random) -> Option<T> {
        let mut future = pin!(future);
        for _ in 0..=random.below(4) {
            if let Some(result) = poll_once(future.as_mut()).await {
                return Some(result);
            }
            yield_now().await;
        }
        if random.below(4) == 0 {
            // Waits to be woken; or the round is over.
            return Some(future.await);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    async fn send_in_task(&self, mut random: Random) {
        while let Some(number) = self.claim() {
            loop {
                let send = self.push.send_async(number.to_be_bytes());
                if let Some(sent) = self.look(send, &mut random).await {
                    break sent.expect("sent");
                }
            }
            if random.below(8) == 0 {
                yield_now().await;
            }
        }
    }

    async fn receive_in_task(&self, mut random: Random) {
        loop {
            if let Some(received) = self.look(self.pull.recv_async(), &mut random).await
                && !self.note(received)
            {
                return;
            }
            yield_now().await;
        }
    }

    fn send_in_thread(&self) {
        let is_late = |error: &SendError| {
            matches!(
                error.kind(),
                SendErrorKind::TimedOut | SendErrorKind::WouldBlock
            )
        };
        while let Some(number) = self.claim() {
            while let Err(error) = self.push.send_timeout(number.to_be_bytes(), GLANCE) {
                assert!(is_late(&error), "{error}");
            }
        }
    }

    fn send_in_poller(&self) {
        let mut poller = Poller::new().expect("a poller");
        poller.add_send(0, &self.push).expect("added");
        while let Some(number) = self.claim() {
            while let Err(error) = self.push.try_send(number.to_be_bytes()) {
                assert_eq!(error.kind(), SendErrorKind::WouldBlock);
                poller.wait(Some(GLANCE)).expect("polled");
            }
        }
    }

    fn receive_in_thread(&self) {
        while self.note(self.pull.recv_timeout(GLANCE)) {}
    }

    fn receive_in_poller(&self) {
        let mut poller = Poller::new().expect("a poller");
        poller.add_recv(0, &self.pull).expect("added");
        while self.take_all() {
            poller.wait(Some(GLANCE)).expect("polled");
        }
    }

    fn receive_by_descriptor(&self) {
        let ready = self.pull.recv_fd().expect("a descriptor");
        let mut poll = Poll::new().expect("a poll");
        let descriptor = ready.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
            .expect("registered");
        let mut events = Events::with_capacity(4);
        while self.take_all() {
            poll.poll(&mut events, Some(GLANCE)).expect("polled");
        }
    }
}

/// Returns how many futures were dropped.
fn play(place: &Place, seed: u64) -> usize {
    let hwm = [1, 5, 200][(seed % 3) as usize];
    let context = place.context();
    let options = Options::new()
        .send_hwm(hwm)
        .recv_hwm(hwm)
        .linger(Duration::ZERO);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    let round = Round {
        push,
        pull,
        end: Instant::now() + ROUND,
        next: AtomicUsize::new(0),
        seen: Mutex::new(Vec::new()),
        dropped: AtomicUsize::new(0),
    };
    let random = |number: u64| Random::new(seed << 8 | number);
    thread::scope(|scope| {
        let round = &round;
        let receivers = [
            scope.spawn(|| round.receive_in_thread()),
            scope.spawn(|| round.receive_in_poller()),
            scope.spawn(|| round.receive_by_descriptor()),
            scope.spawn(|| {
                let two = zip(
                    round.receive_in_task(random(1)),
                    round.receive_in_task(random(2)),
                );
                place.run(two);
            }),
        ];
        let senders = [
            scope.spawn(|| round.send_in_thread()),
            scope.spawn(|| round.send_in_poller()),
            scope.spawn(|| {
                let two = zip(round.send_in_task(random(3)), round.send_in_task(random(4)));
                place.run(two);
            }),
        ];
        for sender in senders {
            sender.join().expect("sent");
        }
        let sent = round.next.load(Ordering::SeqCst);
        let end = Instant::now() + DEADLINE;
        let seen = || round.seen.lock().expect("the numbers").len();
        while seen() < sent && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        round.pull.shutdown();
        for receiver in receivers {
            receiver.join().expect("received");
        }
    });
    let mut seen = round.seen.into_inner().expect("the numbers");
    seen.sort_unstable();
    let all: Vec<usize> = (0..round.next.into_inner()).collect();
    assert!(!all.is_empty());
    assert!(
        seen == all,
        "seed {seed}: lost or doubled, {} of {}",
        seen.len(),
        all.len()
    );
    round.dropped.into_inner()
}

#[test]
fn everybody_waits_at_one_socket_and_nothing_is_lost() {
    let rounds = std::env::var("ZEROHOP_ROUNDS").ok();
    let rounds = rounds.map_or(1, |rounds| rounds.parse().expect("a number"));
    let mut dropped = 0;
    for number in 0..rounds {
        for (place, seed) in Place::all().iter().zip(3 * number..) {
            dropped += play(place, seed);
        }
    }
    assert!(dropped > 10, "only {dropped} futures were dropped");
}
