//! The memory budget of a context under attack: whatever peers and senders do, the process holds no more than it, and goes on when they let go.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod memory;
    pub(crate) mod raw;
    pub(crate) mod until;
}

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use zerohop::{
    AnySocket, Context, ContextOptions, Delivery, DisconnectCause, Event, Options, Pub, Pull, Push,
    RecvError, Router, SendErrorKind, Sub,
};

use common::deadline::DEADLINE;
use common::memory::Watch;
use common::raw::{LONG, MORE, RawPeer, command, frame, greeting, property, ready};
use common::until::{GLANCE, until};

const MIB: usize = 1 << 20;

/// What is not in the budget, for each connection, with our own side of it …
const PER_PEER: usize = 80 * 1024;

/// … and for a socket, with what the allocator keeps.
const PER_SOCKET: usize = 16 * MIB;

/// What the systems take by themselves: little, so that the rest waits with us.
const SYSTEM: usize = 8192;

/// Tests here measure what the whole process has, and so run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_budget(bytes: usize) -> Context {
    Context::with_options(ContextOptions::new().memory_budget(bytes))
}

/// No limit but the budget.
fn unlimited() -> Options {
    Options::new().send_hwm(0).recv_hwm(0).recv_buffer(SYSTEM)
}

fn pull(context: &Context, options: Options) -> (Pull, String) {
    let pull = Pull::with_options(context, options).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    (pull, endpoint)
}

/// Peers of which each sends the same, as fast as it is taken, from one thread.
struct Crowd {
    peers: Vec<(TcpStream, usize)>,
    wire: Vec<u8>,
}

impl Crowd {
    fn connect(endpoint: &str, count: usize, wire: Vec<u8>) -> Crowd {
        Crowd::connect_as(endpoint, count, wire, |_| ready("PUSH"))
    }

    /// Each with a handshake of its own.
    fn connect_as(
        endpoint: &str,
        count: usize,
        wire: Vec<u8>,
        ready: impl Fn(usize) -> Vec<u8>,
    ) -> Crowd {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        let peers = (0..count).map(|number| {
            let mut hello = greeting(1, "NULL");
            hello.extend(ready(number));
            let mut stream = TcpStream::connect(address).expect("the socket accepts");
            stream.write_all(&hello).expect("a handshake");
            // Its greeting: with that the socket has read ours.
            stream.read_exact(&mut [0; 64]).expect("a greeting");
            SockRef::from(&stream)
                .set_send_buffer_size(SYSTEM)
                .expect("a small buffer");
            stream.set_nonblocking(true).expect("does not block");
            (stream, 0)
        });
        Crowd {
            peers: peers.collect(),
            wire,
        }
    }

    /// Writes what is taken of the first `end` bytes of each; says whether anything was.
    fn pour(&mut self, end: usize) -> bool {
        let mut poured = false;
        for (stream, written) in &mut self.peers {
            while *written < end {
                match stream.write(&self.wire[*written..end]) {
                    Ok(count) => *written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("the socket hung up: {error}"),
                }
                poured = true;
            }
        }
        poured
    }

    /// The same until more than half of the budget is in use, and then nothing is taken for a while.
    fn flood(&mut self, end: usize, context: &Context, budget: usize) {
        let mut pauses = 0;
        until("the budget is used, and no more is taken", || {
            match self.pour(end) {
                true => pauses = 0,
                false => {
                    pauses += 1;
                    thread::sleep(GLANCE);
                }
            }
            (pauses >= 10 && context.memory_used() > budget / 2).then_some(())
        });
    }

    fn is_done(&self) -> bool {
        self.peers
            .iter()
            .all(|(_, written)| *written == self.wire.len())
    }
}

/// Receives all of it while the crowd goes on, and checks that nothing of the budget stays in use.
fn receive_all(context: &Context, pull: &Pull, crowd: &mut Crowd, messages: usize, size: usize) {
    let receive = |timeout| pull.recv_timeout(timeout).map(|message| message.size());
    receive_all_by(context, receive, crowd, messages, size);
}

/// The same by a call that gives the size of a message.
fn receive_all_by(
    context: &Context,
    receive: impl Fn(Duration) -> Result<usize, RecvError> + Sync,
    crowd: &mut Crowd,
    messages: usize,
    size: usize,
) {
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            for number in 0..messages {
                let received = receive(DEADLINE);
                assert_eq!(received, Ok(size), "message {number}");
            }
        });
        while !crowd.is_done() && !receiving.is_finished() {
            if !crowd.pour(crowd.wire.len()) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        receiving.join().expect("all received");
    });
    assert!(crowd.is_done());
    until("the budget is free", || {
        // A caller drives.
        let _ = receive(GLANCE);
        (context.memory_used() == 0).then_some(())
    });
}

#[test]
fn a_thousand_fast_senders_stay_within_the_budget() {
    const PEERS: usize = 1_000;
    const MESSAGES: usize = 100;
    const SIZE: usize = 1_000;
    let _alone = alone();
    let budget = 16 * MIB;
    let context = with_budget(budget);
    let (pull, endpoint) = pull(&context, unlimited());
    let wire = frame(0, &[b'x'; SIZE]).repeat(MESSAGES);
    let memory = Watch::start();
    let mut crowd = Crowd::connect(&endpoint, PEERS, wire);
    crowd.flood(crowd.wire.len(), &context, budget);
    assert!(!crowd.is_done(), "there was no pressure");
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * PER_PEER) as u64);
    receive_all(&context, &pull, &mut crowd, PEERS * MESSAGES, SIZE);
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * PER_PEER) as u64);
}

/// So many peers of this process have descriptors, of which each takes two: two thousand where the system allows them.
fn crowd_size() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let allowed = soft.map_or(usize::MAX, |soft: usize| soft.saturating_sub(200) / 2);
    allowed.min(2_000)
}

/// The budget is that of other types as well, whose queues are others.
fn stays_within_the_budget<S: AnySocket>(
    socket: impl FnOnce(&Context) -> S,
    ready: impl Fn(usize) -> Vec<u8>,
    before: &[u8],
    receive: impl Fn(&S, Duration) -> Result<usize, RecvError> + Sync,
) {
    const MESSAGES: usize = 100;
    const SIZE: usize = 1_000;
    let _alone = alone();
    let peers = crowd_size();
    let budget = 16 * MIB;
    let context = with_budget(budget);
    let socket = socket(&context);
    let endpoint = socket.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut wire = before.to_vec();
    wire.extend(frame(0, &[b'x'; SIZE]).repeat(MESSAGES));
    let memory = Watch::start();
    let mut crowd = Crowd::connect_as(&endpoint, peers, wire, ready);
    crowd.flood(crowd.wire.len(), &context, budget);
    assert!(!crowd.is_done(), "there was no pressure");
    assert!(context.memory_used() <= budget);
    memory.assert_growth_below((budget + PER_SOCKET + peers * PER_PEER) as u64);
    let receive = |timeout| receive(&socket, timeout);
    receive_all_by(&context, receive, &mut crowd, peers * MESSAGES, SIZE);
    memory.assert_growth_below((budget + PER_SOCKET + peers * PER_PEER) as u64);
}

#[test]
fn thousands_of_dealers_stay_within_the_budget_of_a_router() {
    stays_within_the_budget(
        |context| Router::with_options(context, unlimited()).expect("a ROUTER"),
        |_| ready("DEALER"),
        b"",
        |router, timeout| router.recv_timeout(timeout).map(|it| it.message.size()),
    );
}

#[test]
fn thousands_of_publishers_stay_within_the_budget_of_a_subscriber() {
    stays_within_the_budget(
        |context| {
            let sub = Sub::with_options(context, unlimited()).expect("a SUB");
            sub.subscribe("").expect("subscribed");
            sub
        },
        |_| ready("PUB"),
        b"",
        |sub, timeout| sub.recv_timeout(timeout).map(|message| message.size()),
    );
}

/// Where messages are settled: each of these senders has a stream of its own.
#[test]
fn thousands_of_sources_of_jobs_stay_within_the_budget() {
    let delivers = |number: usize| {
        let mut value = vec![1];
        value.extend_from_slice(&(number as u128 + 1).to_be_bytes());
        value.push(0);
        let list = [
            property("Socket-Type", b"PUSH"),
            property("Delivery", &value),
        ];
        command("READY", &list.concat())
    };
    stays_within_the_budget(
        |context| {
            let options = unlimited().delivery(Delivery::at_least_once().window(1_000));
            Pull::with_options(context, options).expect("a PULL")
        },
        delivers,
        // The first has number 1, and so on.
        &command("RUN", b"\0\x01\x01\0"),
        |pull, timeout| {
            let job = pull.recv_job_timeout(timeout)?;
            let size = job.message().size();
            job.settle().expect("settled");
            Ok(size)
        },
    );
}

/// All of them begin a message that fills the budget with some others, and stop in the middle. They have all the time that they need.
#[test]
fn messages_that_are_not_whole_stay_within_the_budget() {
    const PEERS: usize = 60;
    let _alone = alone();
    let budget = 16 * MIB;
    let context = with_budget(budget);
    let (pull, endpoint) = pull(&context, unlimited().handshake_timeout(None));
    let wire = frame(LONG, &vec![b'l'; 3 * MIB]);
    let memory = Watch::start();
    let mut crowd = Crowd::connect(&endpoint, PEERS, wire);
    crowd.flood(2 * MIB, &context, budget);
    assert!(context.memory_used() <= budget);
    // Short messages go on.
    let mut other = RawPeer::connect(&endpoint);
    other.shake_hands(1, "PUSH");
    other.write(&frame(0, b"short").repeat(100));
    for _ in 0..100 {
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "short");
    }
    // What is more than a quarter of the budget is not taken at all.
    let mut large = RawPeer::connect(&endpoint);
    large.shake_hands(1, "PUSH");
    let header = frame(LONG, &vec![0; budget / 4 + 1]);
    large.write(&header[..9]);
    large.expect_closed();
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * PER_PEER) as u64);
    receive_all(&context, &pull, &mut crowd, PEERS, 3 * MIB);
    // One more is with the application.
    memory.assert_growth_below((budget + 4 * MIB + PER_SOCKET + PEERS * PER_PEER) as u64);
}

/// The same in many short frames: each has a part of the budget, and none can have all that it needs by itself.
#[test]
fn messages_of_many_frames_that_are_in_each_others_way_become_whole() {
    const PEERS: usize = 40;
    const FRAMES: usize = 300;
    const SIZE: usize = 1_000;
    let _alone = alone();
    let budget = 4 * MIB;
    let context = with_budget(budget);
    let (pull, endpoint) = pull(&context, unlimited().handshake_timeout(None));
    let mut wire = frame(MORE | LONG, &[b'm'; SIZE]).repeat(FRAMES - 1);
    wire.extend(frame(LONG, &[b'm'; SIZE]));
    let memory = Watch::start();
    let mut crowd = Crowd::connect(&endpoint, PEERS, wire);
    crowd.flood(crowd.wire.len() - SIZE, &context, budget);
    assert!(context.memory_used() <= budget);
    receive_all(&context, &pull, &mut crowd, PEERS, FRAMES * SIZE);
    memory.assert_growth_below((budget + MIB + PER_SOCKET + PEERS * PER_PEER) as u64);
}

/// And in many short frames of which nobody knows how many are to come. They never go on, and lose their connections.
#[test]
fn who_leaves_messages_unfinished_is_let_go() {
    const PEERS: usize = 100;
    let _alone = alone();
    let budget = 4 * MIB;
    let context = with_budget(budget);
    let patient = unlimited().handshake_timeout(Duration::from_secs(2));
    let (pull, endpoint) = pull(&context, patient);
    let monitor = pull.monitor();
    let wire = frame(MORE, &[b'm'; 200]).repeat(4_000);
    let memory = Watch::start();
    let mut crowd = Crowd::connect(&endpoint, PEERS, wire);
    until("most of the budget is in use", || {
        for (stream, written) in &mut crowd.peers {
            // Some may be gone by now.
            let rest = &crowd.wire[*written..];
            *written += stream.write(rest).unwrap_or(0);
        }
        (context.memory_used() > budget * 3 / 4).then_some(())
    });
    // A long message of somebody else comes through all the same.
    let (_, port) = endpoint.rsplit_once(':').expect("a port");
    let push = Push::new(&Context::new()).expect("a PUSH");
    push.connect(format!("tcp://127.0.0.1:{port}"))
        .expect("connected");
    push.send(vec![b'h'; MIB / 2]).expect("sent");
    let message = pull.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message.size(), MIB / 2);
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * PER_PEER) as u64);
    let cause = until("somebody is let go", || {
        match monitor.recv_timeout(GLANCE) {
            Ok(Event::Disconnected { cause, .. }) => Some(cause),
            Ok(_) | Err(_) => None,
        }
    });
    assert_eq!(cause, DisconnectCause::MemoryBudget);
}

/// They cannot hide behind a whole message that they sent before, either.
#[test]
fn who_leaves_messages_unfinished_behind_whole_ones_is_let_go() {
    const PEERS: usize = 3;
    let _alone = alone();
    let budget = 4 * MIB;
    let context = with_budget(budget);
    let patient = unlimited().handshake_timeout(Duration::from_secs(1));
    let (pull, endpoint) = pull(&context, patient);
    let monitor = pull.monitor();
    let mut wire = frame(0, b"whole");
    wire.extend(&frame(LONG, &vec![b'l'; 3 * MIB / 4])[..100_000]);
    let all = (PEERS * wire.len()) as u64;
    let mut crowd = Crowd::connect(&endpoint, PEERS, wire);
    until("all has come", || {
        crowd.pour(crowd.wire.len());
        (pull.stats().bytes_in >= all).then_some(())
    });
    assert!(context.memory_used() > budget / 2, "the budget is used");
    for _ in 0..PEERS {
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "whole");
    }
    let cause = until("somebody is let go", || {
        match monitor.recv_timeout(GLANCE) {
            Ok(Event::Disconnected { cause, .. }) => Some(cause),
            Ok(_) | Err(_) => None,
        }
    });
    assert_eq!(cause, DisconnectCause::MemoryBudget);
}

#[test]
fn a_message_larger_than_a_quarter_of_the_budget_is_refused() {
    let context = with_budget(MIB);
    let (pull, endpoint) = pull(&context, Options::new());
    let push = Push::new(&Context::new()).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    let error = push.send(vec![0; MIB / 4 + 1]).expect_err("too large");
    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }));
    push.send(vec![0; MIB / 4]).expect("sent");
    let message = pull.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message.size(), MIB / 4);
}

/// Peers that read nothing.
fn deaf(count: usize, socket_type: &str, connect: impl Fn(&str)) -> Vec<RawPeer> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    let peers = (0..count).map(|_| {
        connect(&endpoint);
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, socket_type);
        raw
    });
    peers.collect()
}

#[test]
fn senders_wait_for_the_budget() {
    const PEERS: usize = 50;
    const SIZE: usize = 10_000;
    let _alone = alone();
    let budget = 8 * MIB;
    let context = with_budget(budget);
    let push = Push::with_options(
        &context,
        unlimited().send_buffer(4096).linger(Duration::ZERO),
    )
    .expect("a PUSH");
    let memory = Watch::start();
    let mut peers = deaf(PEERS, "PULL", |endpoint| {
        push.connect(endpoint).expect("connected");
    });
    push.wait_for_peers(PEERS, DEADLINE).expect("peers");
    let (mut sent, mut refused) = (0, 0);
    // Until then it may be that nobody has written for a while.
    let end = Instant::now() + DEADLINE;
    while refused < 5 || sent * SIZE <= budget / 2 {
        assert!(Instant::now() < end, "only {sent} found room");
        match push.send_timeout(vec![b's'; SIZE], GLANCE) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::TimedOut);
                refused += 1;
            }
        }
    }
    assert!(context.memory_used() <= budget);
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * 2 * PER_PEER) as u64);
    assert_eq!(push.stats().dropped.total(), 0);
    // One that reads makes room again, some of it for the others, and gets more than had been queued for it.
    let mut first = peers.swap_remove(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Err(error) = push.send_timeout(vec![b's'; SIZE], GLANCE) {
                    assert_eq!(error.kind(), SendErrorKind::TimedOut);
                }
            }
        });
        for _ in 0..500 {
            assert_eq!(first.read_frame().1.len(), SIZE);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(context.memory_used() <= budget);
    drop(peers);
    drop(first);
}

#[test]
fn publishers_count_what_the_budget_has_no_room_for() {
    const PEERS: usize = 50;
    let _alone = alone();
    let budget = 4 * MIB;
    let context = with_budget(budget);
    let publisher = Pub::with_options(&context, unlimited().send_buffer(4096)).expect("a PUB");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let memory = Watch::start();
    let mut peers: Vec<RawPeer> = (0..PEERS)
        .map(|_| {
            let mut raw = RawPeer::connect(&endpoint.to_string());
            raw.shake_hands(1, "SUB");
            raw.write(&command("SUBSCRIBE", b""));
            raw
        })
        .collect();
    publisher
        .wait_for_subscribers("", PEERS, DEADLINE)
        .expect("subscribers");
    let (mut sent, mut skipped) = (0, 0);
    for _ in 0..1_000 {
        let published = publisher.send(vec![b'p'; 3_000]).expect("sent");
        assert_eq!(published.sent + published.skipped, PEERS);
        sent += published.sent;
        skipped += published.skipped;
        assert!(context.memory_used() <= budget);
    }
    assert!(skipped > 0, "there was no pressure");
    assert_eq!(publisher.stats().dropped.high_water_mark, skipped as u64);
    memory.assert_growth_below((budget + PER_SOCKET + PEERS * 2 * PER_PEER) as u64);
    // What was sent comes.
    thread::scope(|scope| {
        let reading = peers.iter_mut().map(|raw| {
            scope.spawn(|| {
                let mut count = 0;
                while raw.read_frame().1 != b"end" {
                    count += 1;
                }
                count
            })
        });
        let reading: Vec<_> = reading.collect();
        until("there is room for the end", || {
            thread::sleep(GLANCE);
            (context.memory_used() == 0).then_some(())
        });
        let published = publisher.send("end").expect("sent");
        assert_eq!(published.sent, PEERS);
        let received: usize = reading
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum();
        assert_eq!(received, sent);
    });
}
