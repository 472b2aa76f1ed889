//! A peer that makes work as fast as it can, and a caller who is to notice little of it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Options, Pub, Sub};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::{RawPeer, command, frame};

/// How long the publisher sends, without an attack and with it.
const SPAN: Duration = Duration::from_millis(300);

/// Comparisons, of which one has to show that the attack does little. Whoever else uses the processors makes both figures worse at
/// random; what a peer can do to a publisher shows in each of them.
const COMPARISONS: usize = 20;

/// Far more than a turn of whoever drives, for a loaded machine; far less than what a flood took.
const PATIENCE: Duration = Duration::from_millis(1);

/// What a publisher noticed of its own calls.
#[derive(Debug)]
struct Pace {
    calls: usize,
    /// The time that a call took on average, and the slowest of ten.
    mean: Duration,
    slow: Duration,
}

/// Sends for a while, as a program that has something else to do between any two messages.
fn publish(publisher: &Pub) -> Pace {
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < SPAN {
        let before = Instant::now();
        publisher.send("wanted").expect("published");
        took.push(before.elapsed());
        while before.elapsed() < Duration::from_micros(100) {
            thread::yield_now();
        }
    }
    took.sort_unstable();
    let spent: Duration = took.iter().sum();
    Pace {
        calls: took.len(),
        mean: spent / took.len() as u32,
        slow: took[took.len() * 9 / 10],
    }
}

/// Commands about so many topics.
fn topics(name: &str, count: usize) -> Vec<u8> {
    let topics = (0..count).map(|number| format!("{number:06}"));
    topics
        .flat_map(|topic| command(name, topic.as_bytes()))
        .collect()
}

/// One comparison at a time, or they would take the processors from each other.
static ALONE: Mutex<()> = Mutex::new(());

/// Publishes to one subscriber, without and with an `attack`, which is to go on as long as it is told to; and compares.
fn compare(attack: impl Fn(&str, &dyn Fn() -> bool) + Sync) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (context, others) = (Context::new(), Context::new());
    let options = Options::new().linger(Duration::ZERO);
    let publisher = Pub::with_options(&context, options).expect("a PUB");
    let endpoint = publisher.bind(crate::ANY_PORT).expect("bound").to_string();
    let sub = Sub::new(&others).expect("a SUB");
    sub.subscribe("wanted").expect("subscribed");
    sub.connect(&endpoint).expect("connected");
    publisher
        .wait_for_subscribers("wanted", 1, DEADLINE)
        .expect("a subscriber");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| while sub.recv().is_ok() {});
        let calm: Vec<Pace> = (0..3).map(|_| publish(&publisher)).collect();
        scope.spawn(|| attack(&endpoint, &|| !over.load(Ordering::Relaxed)));
        let begun = publisher.wait_for_any_subscribers(2, DEADLINE);
        // When the machine had the least time for it.
        let calls = calm.iter().map(|pace| pace.calls).min();
        let mut attacked = Vec::new();
        let endured = (0..COMPARISONS).any(|_| {
            let pace = publish(&publisher);
            let little = pace.calls * 4 > calls.unwrap_or_default()
                && pace.mean < PATIENCE
                && pace.slow < PATIENCE;
            attacked.push(pace);
            little
        });
        // Before anything can fail, or the other threads would go on.
        over.store(true, Ordering::Relaxed);
        others.shutdown();
        context.shutdown();
        begun.expect("the attack has begun");
        assert!(endured, "{calm:?}, and attacked {attacked:?}");
    });
}

/// One subscriber that changes its mind as fast as it can write.
#[test]
fn leaves_the_publisher_its_time_while_subscriptions_stream() {
    compare(|endpoint, goes_on| {
        let mut raw = RawPeer::connect(endpoint);
        raw.shake_hands(1, "SUB");
        let flood = [topics("SUBSCRIBE", 2_000), topics("CANCEL", 2_000)].concat();
        while goes_on() && raw.pour(&flood) {}
    });
}

/// The same by a peer of ZMTP 3.0, whose subscriptions are messages.
#[test]
fn leaves_the_publisher_its_time_while_old_subscriptions_stream() {
    compare(|endpoint, goes_on| {
        let mut raw = RawPeer::connect(endpoint);
        raw.shake_hands(0, "SUB");
        let names = (0..2_000).map(|number| format!("{number:06}"));
        let flood: Vec<u8> = names
            .flat_map(|name| {
                let of = |first: u8| frame(0, &[&[first], name.as_bytes()].concat());
                [of(1), of(0)].concat()
            })
            .collect();
        while goes_on() && raw.pour(&flood) {}
    });
}

/// A subscriber that leaves with all it has subscribed to, again and again: that is to be forgotten.
#[test]
fn leaves_the_publisher_its_time_while_subscribers_leave() {
    compare(|endpoint, goes_on| {
        let many = topics("SUBSCRIBE", 20_000);
        while goes_on() {
            let mut raw = RawPeer::connect(endpoint);
            raw.shake_hands(1, "SUB");
            raw.pour(&many);
            // Behind them, so that all have been taken when the answer comes.
            raw.pour(&command("PING", b"\0\0"));
            while goes_on() && raw.read_frame().1 != b"\x04PONG" {}
        }
    });
}

/// Connections, as many as the system makes, none of which speaks.
#[test]
fn leaves_the_publisher_its_time_while_connections_flood_in() {
    compare(|endpoint, goes_on| {
        let mut first = RawPeer::connect(endpoint);
        first.shake_hands(1, "SUB");
        first.pour(&topics("SUBSCRIBE", 1));
        while goes_on() {
            drop(RawPeer::connect(endpoint));
        }
    });
}

/// What a subscriber had subscribed to is forgotten bit by bit once it has gone, and counts no more from the beginning of that.
#[test]
fn sends_nothing_to_a_subscriber_that_has_gone_with_all_it_wanted() {
    let options = Options::new().linger(Duration::ZERO);
    for options in [
        options.clone(),
        options.clone().pub_block(true),
        options.clone().conflate(true),
    ] {
        for dials in [false, true] {
            let context = Context::new();
            let publisher = Pub::with_options(&context, options.clone()).expect("a PUB");
            let monitor = publisher.monitor();
            let mut raw = if dials {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let port = listener.local_addr().expect("its address").port();
                publisher
                    .connect(format!("tcp://127.0.0.1:{port}"))
                    .expect("connected");
                RawPeer::accept(&listener)
            } else {
                RawPeer::connect(&publisher.bind(crate::ANY_PORT).expect("bound").to_string())
            };
            raw.shake_hands(1, "SUB");
            raw.pour(&topics("SUBSCRIBE", 20_000));
            publisher
                .wait_for_subscribers("019999", 1, DEADLINE)
                .expect("all subscriptions");
            drop(raw);
            wait_for_end(&monitor);
            let published = publisher.try_send("000000").expect("published");
            assert_eq!((published.sent, published.skipped), (0, 0));
            let waited = publisher.wait_for_any_subscribers(1, Duration::ZERO);
            assert!(waited.is_err(), "there is none");
            assert_eq!(publisher.stats().dropped.high_water_mark, 0);

            let sub = Sub::new(&context).expect("a SUB");
            sub.subscribe("0").expect("subscribed");
            let endpoint = publisher.bind(crate::ANY_PORT).expect("bound");
            sub.connect(endpoint).expect("connected");
            publisher
                .wait_for_subscribers("000000", 1, DEADLINE)
                .expect("a subscriber");
            assert_eq!(publisher.send("000000").expect("published").sent, 1);
            assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "000000");
        }
    }
}

/// Nobody would take the rest of what it has sent, for which its place would be kept; and there are only so many of those.
#[test]
fn keeps_no_place_for_an_old_subscriber_that_broke_a_limit() {
    let publisher = Pub::new(&Context::new()).expect("a PUB");
    let monitor = publisher.monitor();
    let endpoint = publisher.bind(crate::ANY_PORT).expect("bound").to_string();
    let mut raw = RawPeer::connect(&endpoint);
    raw.shake_hands(0, "SUB");
    let too_long = frame(0, &[1; 4200]);
    raw.pour(&[too_long, frame(0, b"\x01a"), frame(0, b"\x01b")].concat());
    raw.expect_closed();
    wait_for_end(&monitor);
    assert!(publisher.stats().peers.is_empty());
}
