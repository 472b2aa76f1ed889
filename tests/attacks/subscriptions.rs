//! An XPUB keeps what its peers say for the application. A peer that says more than anybody receives is held back, and cannot
//! speak for others.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use zerohop::{
    Context, DisconnectCause, Options, ProtocolError, Proxy, RecvError, Sub, Upstream, Xpub, Xsub,
};

use crate::ANY_PORT;
use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::memory::Watch;
use crate::common::raw::{RawPeer, command, frame, greeting, ready};

/// What an XPUB keeps of a peer that it does not read from, and the system's buffers are no part of it.
const GROWTH: u64 = 8 << 20;

fn xpub(options: Options) -> (Xpub, String) {
    let xpub = Xpub::with_options(&Context::new(), options).expect("an XPUB");
    let endpoint = xpub.bind(ANY_PORT).expect("bound").to_string();
    (xpub, endpoint)
}

fn next(xpub: &Xpub) -> Upstream {
    xpub.recv_upstream_timeout(DEADLINE).expect("news")
}

fn told(xpub: &Xpub) -> String {
    match next(xpub) {
        Upstream::Subscribe(it) => format!("+{}", it.topic().to_string_lossy()),
        Upstream::Unsubscribe(it) => format!("-{}", it.topic().to_string_lossy()),
        other => panic!("no subscription: {other:?}"),
    }
}

/// As a peer of ZMTP 3.1 says it, or one of 3.0.
fn there_and_gone(minor: u8, topic: &str) -> Vec<u8> {
    let topic = topic.as_bytes();
    match minor {
        0 => [&b"\x01"[..], b"\0"]
            .map(|first| frame(0, &[first, topic].concat()))
            .concat(),
        _ => [command("SUBSCRIBE", topic), command("CANCEL", topic)].concat(),
    }
}

/// Subscribes and cancels without end, until it is not read from any more; then somebody receives all of it.
#[test]
fn a_storm_of_subscriptions_that_nobody_receives_is_held_back() {
    for minor in [1, 0] {
        let memory = Watch::start();
        let (xpub, endpoint) = xpub(Options::new().xpub_verboser(true));
        let address = endpoint.strip_prefix("tcp://").expect("tcp");
        let mut stream = TcpStream::connect(address).expect("accepted");
        let patience = Some(Duration::from_millis(500));
        stream.set_write_timeout(patience).expect("a timeout");
        stream.write_all(&greeting(minor, "NULL")).expect("written");
        stream.write_all(&ready("SUB")).expect("written");
        let said = (0..).map(|round| -> Vec<u8> {
            let topic = |number| there_and_gone(minor, &format!("{round:04} {number:04}"));
            (0..1_000).flat_map(topic).collect()
        });
        let taken = said
            .take(2_000)
            .take_while(|thousand| match stream.write(thousand) {
                Ok(written) => written == thousand.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => panic!("it hung up: {error}"),
            });
        let rounds = taken.count();
        assert!((1..2_000).contains(&rounds), "read from without end");
        memory.assert_growth_below(GROWTH);

        // Whoever says little is heard meanwhile.
        let others = Context::new();
        let sub = Sub::new(&others).expect("a SUB");
        sub.subscribe("other").expect("subscribed");
        sub.connect(&*endpoint).expect("connected");
        xpub.wait_for_subscribers("other", 1, DEADLINE)
            .expect("it is heard");
        assert_eq!(xpub.send("other").expect("published").sent, 1);
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "other");

        // What was written in part is never finished.
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..rounds {
                    for number in 0..1_000 {
                        for sign in ["+", "-"] {
                            let mut it = told(&xpub);
                            if it == "+other" {
                                it = told(&xpub);
                            }
                            assert_eq!(it, format!("{sign}{round:04} {number:04}"));
                        }
                    }
                }
            });
        });
        drop(stream);
    }
}

/// A stranger who ends what it has never begun ends nothing of others, and is not heard. libzmq passes it on.
#[test]
fn nobody_ends_the_subscription_of_another() {
    for options in [Options::new(), Options::new().xpub_verboser(true)] {
        let (xpub, endpoint) = xpub(options);
        let others = Context::new();
        let sub = Sub::new(&others).expect("a SUB");
        sub.subscribe("topic").expect("subscribed");
        sub.connect(&*endpoint).expect("connected");
        assert_eq!(told(&xpub), "+topic");
        for (minor, cancel) in [(1, command("CANCEL", b"topic")), (0, frame(0, b"\0topic"))] {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands(minor, "SUB");
            let mine = match minor {
                1 => command("SUBSCRIBE", b"mine"),
                _ => frame(0, b"\x01mine"),
            };
            raw.write(&[cancel, mine].concat());
            assert_eq!(told(&xpub), "+mine");
            drop(raw);
            assert_eq!(told(&xpub), "-mine");
        }
        assert_eq!(xpub.send("topic").expect("published").sent, 1);
        assert_eq!(xpub.try_recv(), Err(RecvError::WouldBlock));
    }
}

/// The limits are those of a PUB, also for what is only wished for; and what had been said before is ended.
#[test]
fn an_xpub_has_the_limits_of_a_pub() {
    for manual in [false, true] {
        let options = Options::new()
            .xpub_manual(manual)
            .max_subscriptions(100)
            .max_subscription_length(50);
        let (xpub, endpoint) = xpub(options);
        let monitor = xpub.monitor();
        let topics = |count: usize| -> Vec<u8> {
            (0..count)
                .flat_map(|number| command("SUBSCRIBE", number.to_string().as_bytes()))
                .collect()
        };
        let too_long = command("SUBSCRIBE", &[b'l'; 51]);
        for (said, count) in [(topics(101), 100), ([topics(7), too_long].concat(), 7)] {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands(1, "SUB");
            raw.write(&said);
            let cause = wait_for_end(&monitor);
            let limit = matches!(
                cause,
                DisconnectCause::Protocol(
                    ProtocolError::TooManySubscriptions { .. } | ProtocolError::TopicTooLong { .. }
                )
            );
            assert!(limit, "{cause:?}");
            for number in 0..count {
                assert_eq!(told(&xpub), format!("+{number}"));
            }
            let mut ended: Vec<String> = (0..count).map(|_| told(&xpub)).collect();
            ended.sort();
            let mut expected: Vec<String> = (0..count).map(|number| format!("-{number}")).collect();
            expected.sort();
            assert_eq!(ended, expected);
        }
        assert_eq!(xpub.try_recv(), Err(RecvError::WouldBlock));
    }
}

/// An end that was said and not received yet does not bring a subscriber back, nor a message of one that has gone get lost.
#[test]
fn what_peers_below_3_1_say_is_told_as_it_was_said() {
    let (xpub, endpoint) = xpub(Options::new());
    let mut raw = RawPeer::connect(&endpoint);
    raw.shake_hands(0, "XSUB");
    raw.write(&frame(0, b"\x01topic"));
    raw.write(&frame(0, b"a message"));
    raw.write(&frame(0, b"\0topic"));
    drop(raw);
    assert_eq!(told(&xpub), "+topic");
    assert_eq!(next(&xpub), Upstream::Message("a message".into()));
    assert_eq!(told(&xpub), "-topic");
    assert_eq!(xpub.send("topic").expect("published").sent, 0);
    assert_eq!(xpub.try_recv(), Err(RecvError::WouldBlock));
}

/// So that fewer fill what the kernel takes.
fn long_topic(number: usize) -> String {
    format!("{number:0200}")
}

/// A publisher that says it is one, and reads nothing from then on.
fn deaf_publisher(endpoint: &str, minor: u8) -> RawPeer {
    let mut publisher = RawPeer::connect(endpoint);
    publisher.shake_hands(minor, "PUB");
    publisher
}

/// The same through a forwarder, to a publisher that does not read what it is told: neither the XPUB nor the XSUB of it takes in without end.
#[test]
fn a_storm_of_subscriptions_through_a_forwarder_is_held_back() {
    for minor in [1, 0] {
        let memory = Watch::start();
        let context = Context::new();
        let (xpub, endpoint) = xpub(Options::new().xpub_verboser(true).linger(Duration::ZERO));
        let options = Options::new()
            .xsub_verbose_unsubscribe(true)
            .linger(Duration::ZERO);
        let xsub = Xsub::with_options(&context, options).expect("an XSUB");
        let monitor = xsub.monitor();
        let backend = xsub.bind(ANY_PORT).expect("bound").to_string();
        let _publisher = deaf_publisher(&backend, minor);
        xsub.wait_for_peers(1, DEADLINE).expect("the publisher");
        let proxy = Proxy::new(&xpub, &xsub);
        let control = proxy.control();
        let address = endpoint.strip_prefix("tcp://").expect("tcp");
        let mut stream = TcpStream::connect(address).expect("accepted");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(&greeting(1, "NULL")).expect("written");
        stream.write_all(&ready("SUB")).expect("written");
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| proxy.run());
            let storm = scope.spawn(|| {
                for round in 0..2_000_usize {
                    let topic = |number| there_and_gone(1, &long_topic(1_000 * round + number));
                    let said: Vec<u8> = (0..1_000).flat_map(topic).collect();
                    if over.load(Ordering::Relaxed) || stream.write_all(&said).is_err() {
                        return;
                    }
                }
            });
            let cause = wait_for_end(&monitor);
            over.store(true, Ordering::Relaxed);
            control.terminate();
            assert_eq!(cause, DisconnectCause::TooSlow);
            xpub.shutdown();
            storm.join().expect("it does not panic");
        });
        memory.assert_growth_below(2 * GROWTH);
    }
}

/// So it is with a socket that subscribes and cancels by itself, and whoever reads is told of each topic once on the next connection.
#[test]
fn a_publisher_that_does_not_read_is_told_afresh() {
    for minor in [1, 0] {
        let memory = Watch::start();
        let context = Context::new();
        let sub = Sub::with_options(&context, Options::new().linger(Duration::ZERO));
        let sub = sub.expect("a SUB");
        let monitor = sub.monitor();
        let endpoint = sub.bind(ANY_PORT).expect("bound").to_string();
        let publisher = deaf_publisher(&endpoint, minor);
        sub.wait_for_peers(1, DEADLINE).expect("the publisher");
        sub.subscribe("kept").expect("subscribed");
        let mut ended = false;
        for number in 0..2_000_000 {
            let topic = long_topic(number);
            sub.subscribe(&topic).expect("subscribed");
            sub.unsubscribe(&topic).expect("cancelled");
            if number % 100 == 0 && sub.stats().peers.is_empty() {
                ended = true;
                break;
            }
        }
        assert!(ended, "it is told without end");
        assert_eq!(wait_for_end(&monitor), DisconnectCause::TooSlow);
        drop(publisher);
        let mut publisher = deaf_publisher(&endpoint, minor);
        let kept = match minor {
            1 => command("SUBSCRIBE", b"kept"),
            _ => frame(0, b"\x01kept"),
        };
        assert_eq!(publisher.read(kept.len()), kept);
        publisher.write(&frame(0, b"kept"));
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "kept");
        memory.assert_growth_below(GROWTH);
    }
}
