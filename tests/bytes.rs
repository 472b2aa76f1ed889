//! Limits in bytes beside those in messages: what is queued stays below them, nobody who waits for room is forgotten, and nothing is lost
//! that is not counted.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod loopback;
    pub(crate) mod raw;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use zerohop::{Context, Dealer, Message, Options, Pub, Pull, Push, Router, SendErrorKind, Sub};

use common::deadline::DEADLINE;
use common::loopback;
use common::raw::{MORE, RawPeer, command, frame};
use common::unique;
use common::until::{GLANCE, until};

/// The limit in most tests.
const LIMIT: usize = 100_000;

/// What the system takes by itself: little, so that messages wait with us.
const SYSTEM: usize = 4096;

fn sending() -> Options {
    Options::new()
        .send_hwm(0)
        .send_hwm_bytes(LIMIT)
        .send_buffer(SYSTEM)
}

fn receiving() -> Options {
    Options::new()
        .recv_hwm(0)
        .recv_hwm_bytes(LIMIT)
        .recv_buffer(SYSTEM)
}

/// A message that says which it is.
fn numbered(number: usize, len: usize) -> Vec<u8> {
    let mut body = vec![b'x'; len.max(8)];
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body
}

fn number_of(body: &[u8]) -> usize {
    u64::from_be_bytes(body[..8].try_into().expect("8 bytes")) as usize
}

/// A PUSH whose peer shakes hands and reads nothing.
fn stuck() -> (Push, RawPeer) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let push = Push::with_options(&Context::new(), sending()).expect("a PUSH");
    push.connect(format!("tcp://{address}")).expect("connected");
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    (push, raw)
}

/// Sends until nothing has gone for a while.
fn fill(len: usize, mut send: impl FnMut(Vec<u8>) -> bool) -> usize {
    let (mut sent, mut refused) = (0, 0);
    while refused < 5 {
        match send(numbered(sent, len)) {
            true => (sent, refused) = (sent + 1, 0),
            false => refused += 1,
        }
    }
    sent
}

#[test]
fn no_more_bytes_wait_for_a_peer() {
    for len in [8, 64, 700, 5_000, 40_000] {
        let (push, mut raw) = stuck();
        let sent = fill(len, |body| {
            match push.send_timeout(body, Duration::from_millis(20)) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.kind(), SendErrorKind::TimedOut);
                    false
                }
            }
        });
        let waiting = push.stats().peers[0].queued_out;
        assert!(waiting * len <= LIMIT, "{waiting} messages of {len} wait");
        // It is used, too.
        assert!((waiting + 1) * (len + 10) > LIMIT / 2, "{waiting} of {len}");
        for number in 0..sent {
            let (_, body) = raw.read_frame();
            assert_eq!((number_of(&body), body.len()), (number, len.max(8)));
        }
        // There is room again.
        push.send_timeout("more", DEADLINE).expect("room");
        assert_eq!(raw.read_frame().1, b"more");
    }
}

#[test]
fn a_message_longer_than_the_limit_waits_for_its_turn() {
    let (push, mut raw) = stuck();
    let long = vec![b'l'; 3 * LIMIT];
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for number in 0..20 {
                push.send_timeout(numbered(number, 30_000), DEADLINE)?;
                push.send_timeout(long.clone(), DEADLINE)?;
                push.send_timeout(["in", "parts"], DEADLINE)?;
            }
            Ok::<_, zerohop::SendError>(())
        });
        for number in 0..20 {
            assert_eq!(number_of(&raw.read_frame().1), number);
            assert_eq!(raw.read_frame().1.len(), long.len());
            assert_eq!(raw.read_frame().1, b"in");
            assert_eq!(raw.read_frame().1, b"parts");
        }
        sending.join().expect("no panic").expect("all sent");
    });
}

#[test]
fn a_peer_is_not_read_from_beyond_the_limit() {
    for len in [8, 700, 5_000, 40_000] {
        let pull = Pull::with_options(&Context::new(), receiving()).expect("a PULL");
        let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        let mut raw = RawPeer::connect(&endpoint);
        raw.shake_hands(1, "PUSH");
        let count = 20 * LIMIT / len;
        let writing = thread::spawn(move || {
            for number in 0..count {
                raw.write(&frame(MORE, b""));
                raw.write(&frame(0, &numbered(number, len)));
            }
            raw
        });
        let waiting = || pull.stats().peers.first().map_or(0, |peer| peer.queued_in) * len;
        until("as much is taken in as may be", || {
            thread::sleep(GLANCE);
            (waiting() >= LIMIT / 2).then_some(())
        });
        // What is read at once, and a message that had begun.
        let most = LIMIT + 64 * 1024 + len;
        for number in 0..count {
            let waiting = waiting();
            assert!(waiting <= most, "{waiting} bytes, messages of {len}");
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            let body = message.get(1).expect("a body");
            assert_eq!((number_of(body), body.len()), (number, len));
        }
        let mut raw = writing.join().expect("no panic");
        drop(pull);
        raw.expect_closed();
    }
}

/// Both have limits that are far less than what is under way, and each message has another length.
#[test]
fn streams_come_through_small_limits() {
    const COUNT: usize = 20_000;
    let len = |number: usize| match number % 7 {
        0 => 8 + number % 300,
        1..=4 => 64,
        5 => 3_000 + number % 5_000,
        _ => 20_000 + number % 40_000,
    };
    let ipc = format!("ipc://@{}", unique::name());
    for endpoint in ["tcp://127.0.0.1:*", &ipc, "inproc://bytes"] {
        let context = Context::new();
        let options = receiving().send_hwm(0).send_hwm_bytes(LIMIT);
        let pull = Pull::with_options(&context, options.clone()).expect("a PULL");
        let endpoint = pull.bind(endpoint).expect("bound");
        let push = Push::with_options(&context, options).expect("a PUSH");
        push.connect(endpoint).expect("connected");
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..COUNT {
                    let message = Message::from(numbered(number, len(number)));
                    push.send_timeout(message, DEADLINE).expect("room");
                }
            });
            for number in 0..COUNT {
                let message = pull.recv_timeout(DEADLINE).expect("a message");
                assert_eq!(number_of(message.first()), number);
                assert_eq!(message.size(), len(number).max(8));
            }
        });
    }
}

#[test]
fn a_publisher_counts_what_finds_no_room() {
    let context = Context::new();
    let publisher = Pub::with_options(&context, sending()).expect("a PUB");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let mut raw = RawPeer::connect(&endpoint.to_string());
    raw.shake_hands(1, "SUB");
    raw.write(&command("SUBSCRIBE", b""));
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    let (mut sent, mut skipped) = (0, 0);
    while skipped < 10 {
        let published = publisher.send(numbered(sent, 1_000)).expect("sent");
        assert_eq!(published.sent + published.skipped, 1);
        sent += published.sent;
        skipped += published.skipped;
        let waiting = publisher.stats().peers[0].queued_out;
        assert!(waiting * 1_000 <= LIMIT, "{waiting} messages wait");
    }
    assert_eq!(publisher.stats().dropped.high_water_mark, skipped as u64);
    for number in 0..sent {
        assert_eq!(number_of(&raw.read_frame().1), number);
    }
}

#[test]
fn a_publisher_that_blocks_waits_for_bytes() {
    const COUNT: usize = 2_000;
    let context = Context::new();
    let publisher = Pub::with_options(&context, sending().pub_block(true)).expect("a PUB");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let sub = Sub::with_options(&context, receiving()).expect("a SUB");
    sub.subscribe("").expect("subscribed");
    sub.connect(endpoint).expect("connected");
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                let published = publisher.send(numbered(number, 2_000)).expect("sent");
                assert_eq!((published.sent, published.skipped), (1, 0));
            }
        });
        for number in 0..COUNT {
            let message = sub.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(number_of(message.first()), number);
        }
    });
}

#[test]
fn both_directions_of_a_socket_wait_for_bytes() {
    const COUNT: usize = 3_000;
    let context = Context::new();
    let options = sending()
        .recv_hwm(0)
        .recv_hwm_bytes(LIMIT)
        .router_mandatory(true);
    let router = Router::with_options(&context, options.clone()).expect("a ROUTER");
    let endpoint = router.bind("tcp://127.0.0.1:*").expect("bound");
    let dealer = Dealer::with_options(&context, options).expect("a DEALER");
    dealer.connect(endpoint).expect("connected");
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                dealer.send(numbered(number, 2_000)).expect("sent");
            }
        });
        scope.spawn(|| {
            for _ in 0..COUNT {
                let incoming = router.recv().expect("a message");
                router
                    .send_to(&incoming.peer, incoming.message)
                    .expect("sent");
            }
        });
        for number in 0..COUNT {
            let message = dealer.recv_timeout(DEADLINE).expect("an answer");
            assert_eq!(number_of(message.first()), number);
        }
    });
    assert_eq!(router.stats().dropped.total(), 0);
}

/// A queue that was full before its peer came has room again when that one reads.
#[test]
fn a_sender_that_was_full_before_its_connection_goes_on() {
    const MORE_OF_THEM: usize = 100;
    let context = Context::new();
    let options = sending().reconnect_interval(Duration::from_millis(5));
    let push = Push::with_options(&context, options).expect("a PUSH");
    let endpoint = loopback::tcp_endpoint();
    push.connect(endpoint.as_str()).expect("connected");
    let queued = fill(2_000, |message| push.try_send(message).is_ok());
    assert!(queued * 2_000 > LIMIT / 2, "{queued} were queued");
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in queued..queued + MORE_OF_THEM {
                let sent = push.send_timeout(numbered(number, 2_000), DEADLINE);
                sent.expect("room");
            }
        });
        let pull = Pull::with_options(&context, receiving()).expect("a PULL");
        pull.bind(endpoint.as_str()).expect("bound");
        for number in 0..queued + MORE_OF_THEM {
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(number_of(message.first()), number);
        }
    });
}
