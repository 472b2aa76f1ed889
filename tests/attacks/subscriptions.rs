//! An XPUB keeps what its peers say for the application. A peer that says more than anybody receives is held back, and cannot
//! speak for others.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use zerohop::{Context, DisconnectCause, Options, ProtocolError, RecvError, Sub, Upstream, Xpub};

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
