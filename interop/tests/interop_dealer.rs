//! What a libzmq ROUTER makes of a DEALER of ours, and a DEALER of theirs of ours, beyond the scenarios.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod unique;
}

use std::time::Duration;

use zerohop::{Context, Dealer, Options};

use common::deadline::DEADLINE;
use common::endpoints::Transport;

/// No wait for what cannot be delivered at the end of a failed test.
fn options() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .linger(Duration::ZERO)
}

fn libzmq(context: &zmq::Context, socket_type: zmq::SocketType) -> zmq::Socket {
    let socket = context.socket(socket_type).expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket.set_sndtimeo(patience).expect("a timeout");
    socket
}

fn bound(socket: &zmq::Socket, endpoint: &str) -> String {
    socket.bind(endpoint).expect("bound");
    let endpoint = socket.get_last_endpoint().expect("bound");
    endpoint.expect("an endpoint in UTF-8")
}

/// A ROUTER that is told to reach who is not there says so: it knows us by our name, as soon as there is a probe.
#[test]
fn a_router_knows_a_dealer_by_its_routing_id_and_its_probe() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let router = libzmq(&theirs, zmq::ROUTER);
        router.set_router_mandatory(true).expect("an option");
        let endpoint = bound(&router, &transport.endpoint());
        let options = options().routing_id("worker 1").probe_router(true);
        let dealer = Dealer::with_options(&Context::new(), options).expect("a DEALER");
        dealer.connect(&*endpoint).expect("connected");
        let probe = router.recv_multipart(0).expect("the probe");
        assert_eq!(probe, [&b"worker 1"[..], b""], "over {transport:?}");
        router
            .send_multipart(["worker 1", "job"], 0)
            .expect("it knows us");
        assert_eq!(dealer.recv_timeout(DEADLINE).expect("the job"), "job");
    }
}

/// And the other way round: theirs says nothing but that it is there.
#[test]
fn a_dealer_receives_the_probe_of_theirs() {
    for transport in Transport::FOREIGN {
        let dealer = Dealer::with_options(&Context::new(), options()).expect("a DEALER");
        let endpoint = dealer
            .bind(transport.endpoint())
            .expect("bound")
            .to_string();
        let context = zmq::Context::new();
        let theirs = libzmq(&context, zmq::DEALER);
        theirs.set_probe_router(true).expect("an option");
        theirs.connect(&endpoint).expect("connected");
        assert_eq!(dealer.recv_timeout(DEADLINE).expect("a probe"), "");
    }
}

/// With libzmq's default a ROUTER ignores a second peer of the same name; each of ours has its own, or none.
#[test]
fn a_router_gives_each_dealer_without_a_name_one_of_its_own() {
    let theirs = zmq::Context::new();
    let router = libzmq(&theirs, zmq::ROUTER);
    let endpoint = bound(&router, "tcp://127.0.0.1:*");
    let context = Context::new();
    let dealers = [(); 3].map(|()| {
        let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
        dealer.connect(&*endpoint).expect("connected");
        dealer
    });
    let names: Vec<Vec<u8>> = dealers
        .iter()
        .map(|dealer| {
            dealer.send_timeout("hello", DEADLINE).expect("sent");
            let message = router.recv_multipart(0).expect("a greeting");
            assert_eq!(message[1], b"hello");
            message[0].clone()
        })
        .collect();
    for (number, (name, dealer)) in names.iter().zip(&dealers).enumerate().rev() {
        let answer = number.to_string();
        router
            .send_multipart([&name[..], answer.as_bytes()], 0)
            .expect("sent");
        assert_eq!(dealer.recv_timeout(DEADLINE).expect("an answer"), answer);
    }
}

/// Ours keeps what it was given while a ROUTER restarts, and the one that takes its place gets it, under the same name.
#[test]
fn what_is_sent_while_a_router_restarts_arrives() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let router = libzmq(&theirs, zmq::ROUTER);
        let endpoint = bound(&router, &transport.endpoint());
        let options = options().routing_id("name");
        let dealer = Dealer::with_options(&Context::new(), options).expect("a DEALER");
        let monitor = dealer.monitor();
        dealer.connect(&*endpoint).expect("connected");
        dealer.send_timeout("before", DEADLINE).expect("sent");
        assert_eq!(router.recv_multipart(0).expect("received")[1], b"before");
        drop(router);
        while !matches!(
            monitor.recv_timeout(DEADLINE).expect("an event"),
            zerohop::Event::Disconnected { .. }
        ) {}
        for number in 0..100 {
            dealer
                .send_timeout(number.to_string(), DEADLINE)
                .expect("queued");
        }
        let router = libzmq(&theirs, zmq::ROUTER);
        router.bind(&endpoint).expect("bound again");
        for number in 0..100 {
            let message = router.recv_multipart(0).expect("received");
            assert_eq!(message, [b"name".to_vec(), number.to_string().into_bytes()]);
        }
    }
}
