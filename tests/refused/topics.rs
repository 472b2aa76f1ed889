//! Topics that a publisher does not take: they do not cost the others.

use std::net::TcpListener;
use std::thread;

use zerohop::{Context, Event, Monitor, Pub, RefusalCause, Sub};

use crate::common::deadline::DEADLINE;
use crate::common::raw::{self, RawPeer};
use crate::common::until::until;
use crate::{ANY_PORT, ipc, options};

#[test]
fn a_topic_that_is_too_long_does_not_cost_the_others() {
    let context = Context::new();
    let publisher =
        Pub::with_options(&context, options().max_subscription_length(10)).expect("a PUB");
    let endpoint = publisher.bind(ANY_PORT).expect("bound");
    let sub = Sub::with_options(&context, options()).expect("a SUB");
    let monitor = sub.monitor();
    sub.subscribe("weather").expect("subscribed");
    sub.subscribe("weather in oslo").expect("subscribed");
    sub.connect(&endpoint).expect("connected");
    sub.subscribe("sports").expect("subscribed");
    for topic in ["weather", "sports"] {
        publisher
            .wait_for_subscribers(topic, 1, DEADLINE)
            .expect("a subscriber");
        publisher.send(topic).expect("published");
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
    }
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::SubscriptionRefused { length, cause, .. }) => {
            assert_eq!((length, cause), (15, RefusalCause::TooLarge { limit: 10 }));
            Some(())
        }
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    });
    sub.unsubscribe("weather in oslo").expect("unsubscribed");
    publisher.send("weather").expect("published");
    assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "weather");
    assert_eq!(publisher.stats().protocol_errors, 0);
}

/// The next topic that a publisher was not told of: its length and the cause.
fn withheld(monitor: &Monitor) -> (usize, RefusalCause) {
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::SubscriptionRefused { length, cause, .. }) => Some((length, cause)),
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    })
}

/// A publisher of another make: it announces no limits, ends connections over topics of more than 1,000 bytes, and answers PINGs
/// if it is new enough. Publishes when it is told of "news", and says how many other topics it was told of on that connection.
fn strict_publisher(listener: &TcpListener, minor: u8) -> (RawPeer, usize) {
    loop {
        let mut raw = RawPeer::accept(listener);
        raw.shake_hands(minor, "PUB");
        let mut told = 0;
        loop {
            let (_, body) = raw.read_frame();
            match body.strip_prefix(b"\x04PING") {
                Some(_) if minor == 0 => {}
                Some(ping) => raw.write(&raw::command("PONG", &ping[2..])),
                None if body.len() > 1000 => break,
                None if body.ends_with(b"news") => {
                    raw.write(&raw::frame(0, b"news of today"));
                    return (raw, told);
                }
                None => told += 1,
            }
        }
    }
}

#[test]
fn a_topic_over_which_a_publisher_ends_connections_is_not_sent_for_ever() {
    for (minor, short) in [(1, 0), (1, 100), (0, 0), (0, 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let sub = Sub::with_options(&Context::new(), options()).expect("a SUB");
        let monitor = sub.monitor();
        for number in 0..short {
            sub.subscribe(format!("topic {number}"))
                .expect("subscribed");
        }
        sub.subscribe("x".repeat(5000)).expect("subscribed");
        sub.connect(format!("tcp://{address}")).expect("connected");
        let publisher = thread::spawn(move || strict_publisher(&listener, minor));
        let cause = RefusalCause::BrokeConnections { count: 2 };
        assert_eq!(withheld(&monitor), (5000, cause));
        assert!(sub.stats().subscriptions_withheld > 0);
        sub.subscribe("news").expect("subscribed");
        let news = sub.recv_timeout(DEADLINE).expect("news");
        assert_eq!(news, "news of today");
        assert_eq!(publisher.join().expect("a publisher").1, short);
    }
}

#[test]
fn topics_beyond_a_publishers_number_wait_for_room() {
    for endpoint in [ANY_PORT, &*ipc()] {
        let context = Context::new();
        let publisher = Pub::with_options(&context, options().max_subscriptions(3)).expect("a PUB");
        let endpoint = publisher.bind(endpoint).expect("bound");
        let sub = Sub::with_options(&context, options()).expect("a SUB");
        let monitor = sub.monitor();
        let topics = ["a", "bb", "ccc", "dddd", "eeeee"];
        for topic in topics {
            sub.subscribe(topic).expect("subscribed");
        }
        sub.connect(&endpoint).expect("connected");
        publisher
            .wait_for_any_subscribers(1, DEADLINE)
            .expect("a subscriber");
        let cause = RefusalCause::TooManySubscriptions { limit: 3 };
        let mut missing = [withheld(&monitor), withheld(&monitor)].map(|(length, seen)| {
            assert_eq!(seen, cause);
            topics[length - 1]
        });
        missing.sort_unstable();
        // Each one that is given up makes room for one of those.
        for topic in topics
            .iter()
            .filter(|topic| !missing.contains(topic))
            .take(2)
        {
            publisher
                .wait_for_subscribers(topic, 1, DEADLINE)
                .expect("a subscriber");
            sub.unsubscribe(topic).expect("unsubscribed");
        }
        for topic in missing {
            publisher
                .wait_for_subscribers(topic, 1, DEADLINE)
                .expect("a subscriber");
            publisher.send(topic).expect("published");
            assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
        }
        assert_eq!(publisher.stats().protocol_errors, 0);
        assert_eq!(sub.stats().subscriptions_withheld, 2);
    }
}

/// Limits are for strangers.
#[test]
fn a_subscriber_within_the_process_may_want_what_it_likes() {
    let context = Context::new();
    let limits = options().max_subscription_length(3).max_subscriptions(1);
    let publisher = Pub::with_options(&context, limits).expect("a PUB");
    let endpoint = publisher.bind("inproc://news").expect("bound");
    let sub = Sub::with_options(&context, options()).expect("a SUB");
    sub.connect(&endpoint).expect("connected");
    for topic in ["weather", "sports"] {
        sub.subscribe(topic).expect("subscribed");
        publisher
            .wait_for_subscribers(topic, 1, DEADLINE)
            .expect("a subscriber");
        publisher.send(topic).expect("published");
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
    }
}
