//! Monitors and counters.

use std::time::Duration;

use zerohop::{Context, DisconnectCause, Event, Monitor, Pull, Push, RecvError};

use crate::arena::{Transport, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::until;
use crate::pairs::{Pairing, Socket};

on_every_transport!(push_pull: PushPull => tells_in_order, ends_with_its_socket);
on_every_transport!(pub_sub: PubSub => tells_in_order, ends_with_its_socket);
on_every_transport!(req_rep: ReqRep => tells_in_order, ends_with_its_socket);
on_every_transport!(counts_messages_and_bytes);

fn tells_in_order<P: Pairing>(transport: Transport) {
    if transport == Transport::Inproc {
        // Nothing listens, connects or shakes hands there; nor does libzmq report any.
        return;
    }
    let context = Context::new();
    let taker = P::Taker::open(&context);
    let (bound, endpoint) = (taker.monitor(), transport.endpoint());
    taker.bind(&endpoint);
    assert_eq!(next(&bound), listening(&endpoint));

    let giver = P::Giver::open(&context);
    let connected = giver.monitor();
    giver.connect(&endpoint);
    assert_eq!(passing_over_attempts(&connected), "Connected");
    assert_eq!(next_kind(&connected), "HandshakeSucceeded");
    assert_eq!(next_kind(&bound), "Accepted");
    assert_eq!(next_kind(&bound), "HandshakeSucceeded");

    taker.unbind(&endpoint).expect("unbound");
    let (one, other) = (next(&bound), next(&bound));
    for event in [one, other] {
        match event {
            Event::ListenerClosed { endpoint: which } => assert_eq!(which, endpoint),
            Event::Disconnected { cause, .. } => assert_eq!(cause, DisconnectCause::LocalClose),
            event => panic!("neither closed nor disconnected: {event:?}"),
        }
    }
    match next(&connected) {
        Event::Disconnected { cause, connection } => {
            let by_peer = [DisconnectCause::PeerClosed, DisconnectCause::Reset];
            assert!(by_peer.contains(&cause), "{cause:?}");
            assert_eq!(connection.endpoint, endpoint);
        }
        event => panic!("not a disconnect: {event:?}"),
    }
    assert_eq!(next_kind(&connected), "RetryIn");
}

fn ends_with_its_socket<P: Pairing>(transport: Transport) {
    let taker = P::Taker::open(&Context::new());
    let monitor = taker.monitor();
    taker.bind(&transport.endpoint());
    drop(taker);
    until("the monitor ends", || {
        match monitor.recv_timeout(DEADLINE) {
            Ok(_) => None,
            Err(error) => {
                assert_eq!(error, RecvError::Closed);
                Some(())
            }
        }
    });
}

/// Every event names its connection or endpoint, whatever else it says.
fn next(monitor: &Monitor) -> Event {
    let event = monitor.recv_timeout(DEADLINE).expect("an event");
    assert!(event.endpoint().is_some(), "{event:?}");
    event
}

fn next_kind(monitor: &Monitor) -> String {
    kind(&next(monitor))
}

fn passing_over_attempts(monitor: &Monitor) -> String {
    until("something but an attempt", || {
        let kind = next_kind(monitor);
        (kind != "Connecting").then_some(kind)
    })
}

fn kind(event: &Event) -> String {
    let text = format!("{event:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

fn listening(endpoint: &str) -> Event {
    let endpoint = endpoint.to_owned();
    Event::Listening { endpoint }
}

fn counts_messages_and_bytes(transport: Transport) {
    let context = Context::new();
    let (push, pull) = (Push::open(&context), Pull::open(&context));
    let monitored = Socket::bind(&pull, &transport.endpoint());
    Socket::connect(&push, &monitored);
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    for number in 0..100 {
        push.send_timeout(["0123456789", "body"], DEADLINE)
            .expect("sent");
        pull.recv_timeout(DEADLINE).expect("received");
        let (sent, received) = (push.stats(), pull.stats());
        assert_eq!(sent.messages_out, number + 1);
        assert_eq!(received.messages_in, number + 1);
    }
    let (sent, received) = (push.stats(), pull.stats());
    // Two headers of two bytes each with every message.
    assert_eq!(received.bytes_in, 1800);
    until("the sender has counted what it wrote", || {
        (push.stats().bytes_out == 1800).then_some(())
    });
    assert_eq!((sent.messages_in, received.messages_out), (0, 0));
    assert_eq!((sent.peers.len(), received.peers.len()), (1, 1));
    assert_eq!((sent.dropped.total(), received.dropped.total()), (0, 0));
    assert_eq!(sent.peers[0].messages_out, 100);
    assert_eq!(received.peers[0].messages_in, 100);
    assert_eq!(received.peers[0].endpoint, monitored);

    // Received and not taken, or on the way there: in one of the two queues or the kernel.
    push.send_timeout("waiting", DEADLINE).expect("sent");
    until("the message is here", || {
        let queued = pull.stats().peers[0].queued_in;
        let _ = pull.wait_for_peers(2, Duration::from_millis(1));
        (queued == 1).then_some(())
    });
}
