//! All ways of waiting at one socket at once, on each runtime and in tasks without one, while futures are dropped at random: every message is
//! counted. Nobody looks again by the clock, so that a wake-up that is lost is a message that is not taken.
//!
//! `ZEROHOP_ROUNDS=200 cargo test -p zerohop-runtimes --test at_once` does that for minutes, with other seeds each round, and
//! `ZEROHOP_PLACE=smol` in one place only.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}
mod place;

use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use futures_lite::future::{poll_once, yield_now, zip};
use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use zerohop::{
    Dealer, Message, Options, PollRecv, PollSend, Poller, Pull, Push, RecvError, RecvSocket,
    RecvStream, SendErrorKind, SendSocket, WatchError,
};

use common::deadline::DEADLINE;
use place::Place;

/// How long messages are sent in a round.
const ROUND: Duration = Duration::from_millis(200);

/// How many are sent one after the other.
const SINGLY: usize = 50;

const TRANSPORTS: [&str; 3] = ["tcp://127.0.0.1:*", "ipc://*", "inproc://*"];

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

/// What has been received.
#[derive(Default)]
struct Seen {
    numbers: Vec<usize>,
    /// How often all that was sent had been received.
    pauses: usize,
    over: bool,
}

/// Who sends what, who has received it, and how many futures have been dropped.
struct Round<S, R> {
    sender: S,
    receiver: R,
    end: Instant,
    next: AtomicUsize,
    seen: Mutex<Seen>,
    changed: Condvar,
    dropped: AtomicUsize,
}

impl<S, R> Round<S, R>
where
    S: SendSocket + PollSend,
    R: RecvSocket + PollRecv,
{
    fn new(place: &Place, transport: &str, hwm: usize) -> Self {
        let context = place.context();
        let options = Options::new()
            .send_hwm(hwm)
            .recv_hwm(hwm)
            .linger(Duration::ZERO);
        let sender = S::with_options(&context, options.clone()).expect("a socket");
        let receiver = R::with_options(&context, options).expect("a socket");
        let endpoint = receiver.bind(transport).expect("bound").to_string();
        sender.connect(&endpoint).expect("connected");
        Round {
            sender,
            receiver,
            end: Instant::now() + ROUND,
            next: AtomicUsize::new(0),
            seen: Mutex::default(),
            changed: Condvar::new(),
            dropped: AtomicUsize::new(0),
        }
    }

    /// The number of the next message; `None`: the round is over. One is sent also where the machine did nothing for so long.
    fn claim(&self) -> Option<usize> {
        let goes_on = Instant::now() < self.end || self.next.load(Ordering::SeqCst) == 0;
        goes_on.then(|| self.next.fetch_add(1, Ordering::SeqCst))
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().expect("what has come"));
        self.changed.notify_all();
    }

    /// Waits until this is so. `false`: not in time.
    fn wait_until(&self, so: impl Fn(&Seen) -> bool) -> bool {
        let seen = self.seen.lock().expect("what has come");
        let waited = self
            .changed
            .wait_timeout_while(seen, DEADLINE, |seen| !so(seen));
        !waited.expect("what has come").1.timed_out()
    }

    /// Notes what a call has received. `false`: the socket is closed.
    fn note(&self, received: Result<Message, RecvError>) -> bool {
        match received {
            Ok(message) => {
                let number = message.first().as_slice().try_into().expect("a number");
                self.change(|seen| seen.numbers.push(usize::from_be_bytes(number)));
                true
            }
            Err(error) => {
                assert_eq!(error, RecvError::Closed);
                false
            }
        }
    }

    /// Takes all that is there. `false`: the socket is closed.
    fn take_all(&self) -> bool {
        loop {
            match self.receiver.try_recv() {
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
            // Waits to be woken.
            return Some(future.await);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    async fn send_in_task(&self, mut random: Random) {
        while let Some(number) = self.claim() {
            loop {
                let send = self.sender.send_async(number.to_be_bytes());
                match self.look(send, &mut random).await {
                    Some(Ok(_)) => break,
                    Some(Err(_)) => return,
                    None => {}
                }
            }
            if random.below(8) == 0 {
                yield_now().await;
            }
        }
    }

    async fn look_in_task(&self, mut random: Random) {
        loop {
            if let Some(received) = self.look(self.receiver.recv_async(), &mut random).await
                && !self.note(received)
            {
                return;
            }
            yield_now().await;
        }
    }

    async fn receive_in_task(&self) {
        while self.note(self.receiver.recv_async().await) {}
    }

    async fn receive_in_stream(&self) {
        let mut stream = RecvStream::new(&self.receiver);
        while let Some(message) = stream.next().await {
            self.note(Ok(message));
        }
    }

    fn send_in_thread(&self) {
        while let Some(number) = self.claim() {
            if self.sender.send(number.to_be_bytes()).is_err() {
                return;
            }
        }
    }

    fn send_in_poller(&self) {
        let mut poller = Poller::new().expect("a poller");
        poller.add_send(0, &self.sender).expect("added");
        while let Some(number) = self.claim() {
            while let Err(error) = self.sender.try_send(number.to_be_bytes()) {
                if error.kind() != SendErrorKind::WouldBlock {
                    return;
                }
                poller.wait(None).expect("polled");
            }
        }
    }

    fn receive_in_thread(&self) {
        while self.note(self.receiver.recv()) {}
    }

    fn receive_in_poller(&self) {
        let mut poller = Poller::new().expect("a poller");
        match poller.add_recv(0, &self.receiver) {
            Ok(()) => {}
            // This thread has come too late: the others have taken everything.
            Err(WatchError::Closed) => return,
            Err(error) => panic!("{error}"),
        }
        while self.take_all() {
            poller.wait(None).expect("polled");
        }
    }

    fn receive_by_descriptor(&self) {
        let ready = match self.receiver.recv_fd() {
            Ok(ready) => ready,
            // As in the poller.
            Err(WatchError::Closed) => return,
            Err(error) => panic!("{error}"),
        };
        let mut poll = mio::Poll::new().expect("a poll");
        let descriptor = ready.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
            .expect("registered");
        let mut events = Events::with_capacity(4);
        while self.take_all() {
            poll.poll(&mut events, None).expect("polled");
        }
    }

    /// Drops futures that have been woken, and others, and leaves the messages that these were woken for to others: it does not
    /// look again before all have been taken.
    fn drop_futures(&self, mut random: Random) {
        loop {
            let (waker, woken) = Told::pair();
            {
                let mut future = pin!(self.receiver.recv_async());
                let mut context = Context::from_waker(&waker);
                match future.as_mut().poll(&mut context) {
                    Poll::Ready(received) => match self.note(received) {
                        true => continue,
                        false => return,
                    },
                    Poll::Pending => {}
                }
                let patience = Duration::from_micros(random.below(2_000));
                let told = woken.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
                if told
                    && random.below(2) == 0
                    && let Poll::Ready(received) = future.as_mut().poll(&mut context)
                {
                    match self.note(received) {
                        true => continue,
                        false => return,
                    }
                }
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            let pauses = self.seen.lock().expect("what has come").pauses;
            self.wait_until(|seen| seen.over || seen.pauses > pauses);
            if self.seen.lock().expect("what has come").over {
                return;
            }
        }
    }

    /// Ends all calls, and says what has been received.
    fn shut(&self) {
        self.change(|seen| seen.over = true);
        self.sender.shutdown();
        self.receiver.shutdown();
    }

    fn count(self, what: &str) -> usize {
        let mut numbers = self.seen.into_inner().expect("what has come").numbers;
        numbers.sort_unstable();
        let all: Vec<usize> = (0..self.next.into_inner()).collect();
        assert!(!all.is_empty());
        assert!(
            numbers == all,
            "{what}: lost or doubled, {} of {}",
            numbers.len(),
            all.len()
        );
        self.dropped.into_inner()
    }
}

/// Tells a thread that it is woken.
struct Told(Sender<()>);

impl Told {
    fn pair() -> (Waker, Receiver<()>) {
        let (told, woken) = channel();
        (Waker::from(Arc::new(Told(told))), woken)
    }
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        // Nobody may be there any more.
        let _ = self.0.send(());
    }
}

/// Returns how many futures were dropped.
fn play<S, R>(place: &Place, transport: &str, seed: u64) -> usize
where
    S: SendSocket + PollSend,
    R: RecvSocket + PollRecv,
{
    let what = format!("{place}, {transport}, seed {seed}");
    let hwm = [1, 5, 200][Random::new(seed).below(3) as usize];
    let round = Round::<S, R>::new(place, transport, hwm);
    let random = |number: u64| Random::new(seed << 8 | number);
    let in_time = thread::scope(|scope| {
        let round = &round;
        scope.spawn(|| round.receive_in_thread());
        scope.spawn(|| round.receive_in_poller());
        scope.spawn(|| round.receive_by_descriptor());
        scope.spawn(|| {
            let two = zip(round.look_in_task(random(1)), round.look_in_task(random(2)));
            place.run(two);
        });
        let senders = [
            scope.spawn(|| round.send_in_thread()),
            scope.spawn(|| round.send_in_poller()),
            scope.spawn(|| {
                let two = zip(round.send_in_task(random(3)), round.send_in_task(random(4)));
                place.run(two);
            }),
        ];
        let end = Instant::now() + DEADLINE;
        while !senders.iter().all(|sender| sender.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        let in_time = senders.iter().all(|sender| sender.is_finished());
        let sent = round.next.load(Ordering::SeqCst);
        let in_time = in_time && round.wait_until(|seen| seen.numbers.len() >= sent);
        round.shut();
        in_time
    });
    assert!(in_time, "{what}: not all was sent and received in time");
    round.count(&what)
}

/// Who waits, in turn: each alone, so that nobody else takes what it was to be woken for, and all together.
const WAITING: [&[Kind]; 6] = [
    &[Kind::Thread],
    &[Kind::Poller],
    &[Kind::Descriptor],
    &[Kind::Task],
    &[Kind::Stream],
    &[
        Kind::Thread,
        Kind::Poller,
        Kind::Descriptor,
        Kind::Task,
        Kind::Stream,
    ],
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Thread,
    Poller,
    Descriptor,
    Task,
    Stream,
}

/// One message at a time, for those who wait and those who drop their futures meanwhile. Returns how many were dropped.
fn play_singly<S, R>(place: &Place, transport: &str, kinds: &[Kind], seed: u64) -> usize
where
    S: SendSocket + PollSend,
    R: RecvSocket + PollRecv,
{
    let what = format!("{place}, {transport}, {kinds:?}, seed {seed}");
    let round = Round::<S, R>::new(place, transport, 5);
    let lost = thread::scope(|scope| {
        let round = &round;
        for kind in kinds {
            scope.spawn(move || match kind {
                Kind::Thread => round.receive_in_thread(),
                Kind::Poller => round.receive_in_poller(),
                Kind::Descriptor => round.receive_by_descriptor(),
                Kind::Task => place.run(round.receive_in_task()),
                Kind::Stream => place.run(round.receive_in_stream()),
            });
        }
        for number in 0..2 {
            scope.spawn(move || round.drop_futures(Random::new(seed << 8 | number)));
        }
        let mut random = Random::new(seed << 8 | 2);
        let mut sent = 0;
        let lost = loop {
            if sent >= SINGLY {
                break false;
            }
            for _ in 0..=random.below(2) {
                let number = round.next.fetch_add(1, Ordering::SeqCst);
                // If it is not sent, it is not received either.
                drop(round.sender.send_timeout(number.to_be_bytes(), DEADLINE));
                sent += 1;
            }
            if !round.wait_until(|seen| seen.numbers.len() >= sent) {
                break true;
            }
            round.change(|seen| seen.pauses += 1);
            if random.below(3) > 0 {
                // Some find those who wait asleep, and others find them on their way there.
                thread::sleep(Duration::from_micros(random.below(500)));
            }
        };
        round.shut();
        lost
    });
    assert!(!lost, "{what}: a message was not taken");
    round.count(&what)
}

fn rounds() -> u64 {
    let rounds = std::env::var("ZEROHOP_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().expect("a number"))
}

/// All of them, or those whose name has what is asked for.
fn places() -> Vec<Place> {
    let wanted = std::env::var("ZEROHOP_PLACE").unwrap_or_default();
    let mut places = Vec::from(Place::all());
    places.retain(|place| place.to_string().contains(&wanted));
    places
}

#[test]
fn everybody_waits_at_one_socket_and_nothing_is_lost() {
    let mut dropped = 0;
    let mut seed = 0;
    for round in 0..rounds() {
        for place in places() {
            for transport in TRANSPORTS {
                // With 12 or 3 seeds in a round, other ones meet in the next.
                dropped += match (seed + round) % 2 {
                    0 => play::<Push, Pull>(&place, transport, seed),
                    _ => play::<Dealer, Dealer>(&place, transport, seed),
                };
                seed += 1;
            }
        }
    }
    assert!(dropped > 10, "only {dropped} futures were dropped");
}

#[test]
fn one_message_at_a_time_is_taken_by_whoever_waits() {
    let mut dropped = 0;
    let mut seed = 0;
    for _ in 0..rounds() {
        for place in places() {
            for transport in TRANSPORTS {
                for kinds in WAITING {
                    dropped += play_singly::<Push, Pull>(&place, transport, kinds, seed);
                    dropped += play_singly::<Dealer, Dealer>(&place, transport, kinds, seed + 1);
                    seed += 2;
                }
            }
        }
    }
    assert!(dropped > 10, "only {dropped} futures were dropped");
}
