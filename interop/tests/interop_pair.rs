//! What becomes of a second peer between our PAIR and those of libzmq.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::time::Duration;

use zerohop::{Context, DisconnectCause, Event, Options, Pair, PeerRefusal};

use common::deadline::DEADLINE;
use common::endpoints::Transport;
use common::until::{GLANCE, until};

fn libzmq(context: &zmq::Context) -> zmq::Socket {
    let socket = context.socket(zmq::PAIR).expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket.set_sndtimeo(patience).expect("a timeout");
    socket
}

fn pair() -> Pair {
    let options = Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .linger(Duration::ZERO);
    Pair::with_options(&Context::new(), options).expect("a PAIR")
}

/// Theirs dials again and again by itself, so that it gets in when the first has gone: with libzmq as the server it never does.
#[test]
fn their_second_pair_waits_for_the_first_to_leave() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let ours = pair();
        let monitor = ours.monitor();
        let endpoint = ours.bind(transport.endpoint().as_str()).expect("bound");
        let first = libzmq(&theirs);
        first.connect(&endpoint.to_string()).expect("connected");
        first.send("first", 0).expect("sent");
        assert_eq!(ours.recv_timeout(DEADLINE).expect("a message"), "first");

        let second = libzmq(&theirs);
        second.connect(&endpoint.to_string()).expect("connected");
        until("the second is refused", || {
            let event = monitor.recv_timeout(DEADLINE).expect("an event");
            let Event::Disconnected { cause, .. } = event else {
                return None;
            };
            assert_eq!(cause, DisconnectCause::Refused(PeerRefusal::HasPeer));
            Some(())
        });
        ours.send_timeout("for the first", DEADLINE).expect("sent");
        let received = first.recv_bytes(0).expect("a message");
        assert_eq!(received, b"for the first", "over {transport:?}");

        drop(first);
        until("the second gets in", || {
            // What it writes into a connection that is refused is lost with that.
            second.send("second", 0).expect("queued");
            ours.recv_timeout(GLANCE).ok()
        });
        ours.send_timeout("for the second", DEADLINE).expect("sent");
        let received = second.recv_bytes(0).expect("a message");
        assert_eq!(received, b"for the second", "over {transport:?}");
    }
}

/// A second one of ours that connects to theirs shakes hands and is not heard, as if it were one of theirs; the first is none the worse.
#[test]
fn our_second_pair_leaves_the_first_alone() {
    for transport in Transport::FOREIGN {
        let theirs = zmq::Context::new();
        let bound = libzmq(&theirs);
        bound.bind(&transport.endpoint()).expect("bound");
        let endpoint = bound.get_last_endpoint().expect("bound");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        let [first, second] = [(); 2].map(|()| {
            let ours = pair();
            ours.connect(&*endpoint).expect("connected");
            ours.wait_for_peers(1, DEADLINE).expect("a peer");
            // libzmq looks at a new peer from within a call of its application.
            let _ = bound.poll(zmq::POLLIN, 0);
            ours
        });
        second.send_timeout("not heard", DEADLINE).expect("sent");
        first.send_timeout("heard", DEADLINE).expect("sent");
        let received = bound.recv_bytes(0).expect("a message");
        assert_eq!(received, b"heard", "over {transport:?}");
        bound.send("for the first", 0).expect("sent");
        let received = first.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(received, "for the first");
        second.recv_timeout(GLANCE).expect_err("nothing for it");
    }
}
