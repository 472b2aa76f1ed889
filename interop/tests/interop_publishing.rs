//! Options of publishers and subscribers that show on the wire, beside libzmq.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod raw_options;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::time::Duration;

use zerohop::{Context, Options, Pub, Sub, Xsub};

use common::deadline::DEADLINE;
use common::endpoints::Transport;
use common::raw_options::{self, ZMQ_INVERT_MATCHING, ZMQ_XPUB_MANUAL};
use common::until::{GLANCE, until};

fn libzmq(context: &zmq::Context, socket_type: zmq::SocketType) -> zmq::Socket {
    let socket = context.socket(socket_type).expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket
}

fn inverted() -> Options {
    Options::new().invert_matching(true).linger(Duration::ZERO)
}

#[test]
fn our_inverted_pub_serves_their_inverted_sub() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let ours = Pub::with_options(&Context::new(), inverted()).expect("a PUB");
        let endpoint = ours.bind(transport.endpoint().as_str()).expect("bound");
        let mut sub = libzmq(&theirs, zmq::SUB);
        raw_options::set(&mut sub, ZMQ_INVERT_MATCHING, 1);
        sub.set_subscribe(b"not this").expect("subscribed");
        sub.connect(&endpoint.to_string()).expect("connected");
        ours.wait_for_peers(1, DEADLINE).expect("a peer");
        until("the subscription is there", || {
            let others = ours.wait_for_subscribers("not this", 1, Duration::from_millis(1));
            others.is_err().then_some(())
        });
        let published = ours.send("not this nor that").expect("published");
        assert_eq!(published.sent, 0);
        assert_eq!(ours.send("not that").expect("published").sent, 1);
        let received = sub.recv_bytes(0).expect("a message");
        assert_eq!(received, b"not that", "over {transport:?}");
    }
}

#[test]
fn their_inverted_pub_serves_our_inverted_sub() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let mut publisher = libzmq(&theirs, zmq::XPUB);
        raw_options::set(&mut publisher, ZMQ_INVERT_MATCHING, 1);
        publisher.bind(&transport.endpoint()).expect("bound");
        let endpoint = publisher.get_last_endpoint().expect("bound");
        let ours = Sub::with_options(&Context::new(), inverted()).expect("a SUB");
        ours.subscribe("not this").expect("subscribed");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        ours.connect(&*endpoint).expect("connected");
        let heard = publisher.recv_bytes(0).expect("a subscription");
        assert_eq!(heard, b"\x01not this");
        for message in ["not this nor that", "not that"] {
            publisher.send(message, 0).expect("published");
        }
        let received = ours.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(received, "not that", "over {transport:?}");
        ours.recv_timeout(GLANCE).expect_err("nothing else");
    }
}

/// To an XPUB of theirs that is manual, which hears of everything.
#[test]
fn our_xsub_tells_their_xpub_of_every_end() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let mut publisher = libzmq(&theirs, zmq::XPUB);
        raw_options::set(&mut publisher, ZMQ_XPUB_MANUAL, 1);
        publisher.bind(&transport.endpoint()).expect("bound");
        let endpoint = publisher.get_last_endpoint().expect("bound");
        let options = Options::new()
            .xsub_verbose_unsubscribe(true)
            .linger(Duration::ZERO);
        let ours = Xsub::with_options(&Context::new(), options).expect("an XSUB");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        ours.connect(&*endpoint).expect("connected");
        ours.wait_for_peers(1, DEADLINE).expect("a publisher");
        for text in ["\u{1}a", "\u{1}a", "\0a", "\0a", "\0never", "\u{1}end"] {
            ours.send(text).expect("sent");
            let heard = publisher.recv_bytes(0).expect("news");
            assert_eq!(heard, text.as_bytes(), "over {transport:?}");
        }
    }
}
