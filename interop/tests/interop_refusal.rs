//! What libzmq refuses: `ZMQ_MAXMSGSIZE` ends the connection when the header of a larger frame is read.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod unique;
}

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use zerohop::{Context, Event, Monitor, Options, Push, RefusalCause};

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

/// A libzmq PULL that takes frames of up to [`LIMIT`] bytes.
fn limited_pull() -> zmq::Socket {
    let socket = zmq::Context::new()
        .socket(zmq::PULL)
        .expect("a libzmq PULL");
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
