//! What libzmq refuses: `ZMQ_MAXMSGSIZE` ends the connection when the header of a larger frame is read.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod unique;
}

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Event, Monitor, Options, Pub, Push, RefusalCause, Req, RequestError, Sub};

use common::deadline::DEADLINE;
use common::endpoints::Transport;

/// More than the buffers of a connection hold, so that a part of it is still here when the peer ends the connection.
const HUGE: usize = 20 << 20;

/// What the libzmq peers take in one frame.
const LIMIT: usize = 1_000_000;

/// No wait for what cannot be delivered at the end of a failed test.
fn options() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .linger(Duration::ZERO)
}

/// The next refusal of a message: its size and the cause.
fn refusal(monitor: &Monitor) -> (usize, RefusalCause) {
    loop {
        match monitor.recv_timeout(DEADLINE) {
            Ok(Event::MessageRefused { size, cause, .. }) => return (size, cause),
            Ok(_) => {}
            Err(error) => panic!("no refusal: {error}"),
        }
    }
}

fn limited_pull() -> zmq::Socket {
    limited(zmq::PULL)
}

/// A libzmq socket that takes frames of up to [`LIMIT`] bytes.
fn limited(socket_type: zmq::SocketType) -> zmq::Socket {
    let socket = zmq::Context::new()
        .socket(socket_type)
        .expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    socket.set_maxmsgsize(LIMIT as i64).expect("a limit");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket
}

/// Passes on what it receives, by its length and first byte, until nobody wants to know.
fn pass_on(pull: zmq::Socket, to: Sender<(usize, u8)>) {
    thread::spawn(move || {
        while let Ok(bytes) = pull.recv_bytes(0) {
            let first = bytes.first().copied().unwrap_or_default();
            if to.send((bytes.len(), first)).is_err() {
                return;
            }
        }
    });
}

/// A peer that does not say what it takes: all it can do is to end the connection.
#[test]
fn a_push_gives_up_what_libzmq_refuses_and_goes_on() {
    for transport in Transport::FOREIGN {
        let pull = limited_pull();
        pull.bind(&transport.endpoint()).expect("bound");
        let endpoint = pull.get_last_endpoint().expect("bound");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        let (sender, received) = channel();
        pass_on(pull, sender);
        let push = Push::with_options(&Context::new(), options()).expect("a PUSH");
        let monitor = push.monitor();
        push.connect(&*endpoint).expect("connected");
        push.send(vec![1; HUGE]).expect("sent");
        for number in 2..10 {
            push.send([number]).expect("sent");
        }
        for number in 2..10 {
            let received = received.recv_timeout(DEADLINE).expect("what is behind it");
            assert_eq!(received, (1, number));
        }
        let cause = RefusalCause::BrokeConnections { count: 2 };
        assert_eq!(refusal(&monitor), (HUGE, cause));
        let stats = push.stats();
        assert_eq!((stats.dropped.refused, stats.dropped.total()), (1, 1));
        assert_eq!(stats.messages_out, 9);
        assert!(
            stats.bytes_out < 3 * HUGE as u64,
            "{} bytes",
            stats.bytes_out
        );
    }
}

#[test]
fn a_request_that_libzmq_refuses_fails_and_the_next_one_goes_on() {
    for transport in Transport::FOREIGN {
        let rep = limited(zmq::REP);
        rep.bind(&transport.endpoint()).expect("bound");
        let endpoint = rep.get_last_endpoint().expect("bound").expect("UTF-8");
        thread::spawn(move || {
            while let Ok(request) = rep.recv_bytes(0) {
                rep.send(request, 0).expect("replied");
            }
        });
        let req = Req::with_options(&Context::new(), options()).expect("a REQ");
        req.connect(&*endpoint).expect("connected");
        for round in 0..2 {
            let refused = req.request_timeout(vec![1; HUGE], DEADLINE);
            assert!(
                matches!(refused, Err(RequestError::Refused { size, .. }) if size >= HUGE),
                "{refused:?}"
            );
            let reply = req.request_timeout([round; 10], DEADLINE).expect("a reply");
            assert_eq!(reply, [round; 10]);
        }
        assert_eq!(req.stats().dropped.refused, 2);
    }
}

/// What a subscriber refuses it misses, once, and with it what was queued behind.
#[test]
fn a_publisher_does_not_repeat_what_libzmq_refuses() {
    for transport in Transport::FOREIGN {
        let sub = limited(zmq::SUB);
        sub.set_subscribe(b"").expect("subscribed");
        sub.bind(&transport.endpoint()).expect("bound");
        let endpoint = sub.get_last_endpoint().expect("bound").expect("UTF-8");
        // It subscribes only while its application is in a call.
        let (sender, received) = channel();
        pass_on(sub, sender);
        let publisher = Pub::with_options(&Context::new(), options()).expect("a PUB");
        publisher.connect(&*endpoint).expect("connected");
        let monitor = publisher.monitor();
        publisher
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("a subscriber");
        publisher.send(vec![1; HUGE]).expect("published");
        while !matches!(
            monitor.recv_timeout(DEADLINE),
            Ok(Event::Disconnected { .. })
        ) {}
        publisher
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("a subscriber");
        publisher.send("behind it").expect("published");
        let received = received.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(received, (9, b'b'));
        let stats = publisher.stats();
        assert_eq!((stats.reconnects, stats.dropped.peer_gone), (1, 1));
        assert!(stats.bytes_out < HUGE as u64, "{} bytes", stats.bytes_out);
    }
}

/// A publisher that takes no topic that long, and does not say so.
#[test]
fn a_topic_that_libzmq_refuses_does_not_cost_the_others() {
    for transport in Transport::FOREIGN {
        let publisher = zmq::Context::new().socket(zmq::PUB).expect("a libzmq PUB");
        publisher.set_linger(0).expect("linger");
        publisher.set_maxmsgsize(1000).expect("a limit");
        publisher.bind(&transport.endpoint()).expect("bound");
        let endpoint = publisher.get_last_endpoint().expect("bound");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        let sub = Sub::with_options(&Context::new(), options()).expect("a SUB");
        let monitor = sub.monitor();
        sub.connect(&*endpoint).expect("connected");
        for number in 10..40 {
            sub.subscribe(format!("topic {number}"))
                .expect("subscribed");
        }
        sub.subscribe(vec![b'x'; 5000]).expect("subscribed");
        let cause = loop {
            match monitor.recv_timeout(DEADLINE).expect("a refusal") {
                Event::SubscriptionRefused { length, cause, .. } => {
                    assert_eq!(length, 5000);
                    break cause;
                }
                _ => continue,
            }
        };
        assert_eq!(cause, RefusalCause::BrokeConnections { count: 2 });
        let reconnects = sub.stats().reconnects;
        for number in 10..40 {
            let topic = format!("topic {number}");
            let began = Instant::now();
            let message = loop {
                // A PUB does not say whom it has.
                publisher.send(&topic, 0).expect("published");
                match sub.recv_timeout(Duration::from_millis(20)) {
                    Ok(message) if message == *topic => break message,
                    _ => assert!(began.elapsed() < DEADLINE, "no {topic}"),
                }
            };
            assert_eq!(message.parts(), 1);
        }
        assert_eq!(sub.stats().reconnects, reconnects, "the connection stays");
    }
}

/// A bound PUSH has one peer after the other: the count goes with the message.
#[test]
fn a_message_does_not_break_one_peer_after_the_other() {
    let push = Push::with_options(&Context::new(), options()).expect("a PUSH");
    let endpoint = push.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let monitor = push.monitor();
    let (sender, received) = channel();
    for _ in 0..4 {
        let pull = limited_pull();
        pull.connect(&endpoint).expect("connected");
        pass_on(pull, sender.clone());
    }
    push.wait_for_peers(4, DEADLINE).expect("four peers");
    push.send(vec![1; HUGE]).expect("sent");
    let cause = RefusalCause::BrokeConnections { count: 2 };
    assert_eq!(refusal(&monitor), (HUGE, cause));
    // libzmq does not dial again what has broken its limit: two are left.
    for number in 2..10 {
        push.send([number]).expect("sent");
    }
    let numbers = (2..10).map(|_| received.recv_timeout(DEADLINE).expect("a message").1);
    let mut numbers: Vec<u8> = numbers.collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9]);
    let stats = push.stats();
    assert_eq!((stats.dropped.refused, stats.dropped.total()), (1, 1));
    assert_eq!(stats.messages_out, 9, "none counts twice");
}
