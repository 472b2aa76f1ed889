//! PAIR: one peer, and only one, both ways at once.

use std::thread;

use crate::sockets::{
    Context, DisconnectCause, Event, Message, Monitor, Options, Pair, PeerRefusal, RecvError,
    SendErrorKind, WAYS,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    carries_frames_both_ways,
    sends_and_receives_at_once,
    waits_for_its_peer,
    waits_for_room,
    refuses_a_second_peer,
    refuses_a_second_endpoint,
    keeps_what_is_for_an_endpoint_it_connects_to,
    drops_and_counts_what_is_for_a_peer_that_has_gone,
    receives_what_each_peer_has_left,
);

fn pair(context: &Context, options: Options) -> Pair {
    Pair::with_options(context, options).expect("a PAIR")
}

/// Two that are connected.
fn two(transport: Transport, options: Options) -> (Pair, Pair) {
    two_with(transport, options.clone(), options)
}

/// The bound one with the first options, the connected one with the others.
fn two_with(transport: Transport, options: Options, others: Options) -> (Pair, Pair) {
    let context = Context::new();
    let (bound, connected) = (pair(&context, options), pair(&context, others));
    Socket::connect(&connected, &Socket::bind(&bound, &transport.endpoint()));
    bound.wait_for_peers(1, DEADLINE).expect("a peer");
    (bound, connected)
}

fn recv(pair: &Pair) -> Message {
    pair.recv_timeout(DEADLINE).expect("a message")
}

fn send(pair: &Pair, message: impl zerohop::Payload) {
    pair.send_timeout(message, DEADLINE).expect("sent");
}

fn carries_frames_both_ways(transport: Transport) {
    let (one, other) = two(transport, nimble());
    let bodies = [
        Message::from("one"),
        Message::from(""),
        Message::from(["", "a", "", "b", ""]),
        Message::from(vec![b'x'; 1 << 20]),
    ];
    for (from, to) in [(&one, &other), (&other, &one)] {
        for body in &bodies {
            send(from, body);
        }
        for body in &bodies {
            assert_eq!(recv(to), *body);
        }
        assert_eq!(to.try_recv(), Err(RecvError::WouldBlock));
    }
}

fn sends_and_receives_at_once(transport: Transport) {
    const MESSAGES: u32 = 20_000 / WAYS;
    let (one, other) = two(transport, nimble());
    thread::scope(|scope| {
        for (from, to) in [(&one, &other), (&other, &one)] {
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    send(from, number.to_be_bytes());
                }
            });
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    assert_eq!(recv(to), number.to_be_bytes());
                }
            });
        }
    });
}

fn waits_for_its_peer(transport: Transport) {
    let context = Context::new();
    let bound = pair(&context, nimble());
    let endpoint = Socket::bind(&bound, &transport.endpoint());
    let error = bound.try_send(["nobody", "is there"]).expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.into_message(), ["nobody", "is there"]);
    let error = bound.send_timeout("nobody", GLANCE).expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    thread::scope(|scope| {
        let sending = scope.spawn(|| bound.send_timeout("at last", DEADLINE));
        let connected = pair(&context, nimble());
        Socket::connect(&connected, &endpoint);
        assert_eq!(recv(&connected), "at last");
        sending.join().expect("the sending thread").expect("sent");
    });
}

fn waits_for_room(transport: Transport) {
    let (one, other) = two(transport, nimble().send_hwm(5).recv_hwm(5));
    let body = vec![b'x'; 100_000];
    let (mut sent, mut refused) = (0, 0);
    // Full is when nothing has gone for a while: at first the kernel still makes room.
    while refused < 5 {
        match one.send_timeout(&body, GLANCE) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::TimedOut);
                refused += 1;
            }
        }
    }
    assert!(sent >= 10, "only {sent} found room");
    thread::scope(|scope| {
        let sending = scope.spawn(|| one.send_timeout("last", DEADLINE));
        (0..sent).for_each(|_| assert_eq!(recv(&other), body));
        assert_eq!(recv(&other), "last");
        sending.join().expect("the sending thread").expect("sent");
    });
}

/// Waits until one side of `socket` has refused a peer. Over inproc, where there are no events, until `refused` has none.
fn await_refusal(transport: Transport, socket: &Pair, monitor: &Monitor, refused: &Pair) {
    until("a peer is refused", || {
        let _ = socket.wait_for_peers(2, GLANCE);
        if transport == Transport::Inproc {
            let connected = refused.wait_for_peers(1, GLANCE);
            return connected.is_err().then_some(());
        }
        while let Ok(event) = monitor.try_recv() {
            if let Event::Disconnected { cause, .. } = event {
                assert_eq!(cause, DisconnectCause::Refused(PeerRefusal::HasPeer));
                return Some(());
            }
        }
        None
    });
}

fn refuses_a_second_peer(transport: Transport) {
    let context = Context::new();
    let bound = pair(&context, nimble());
    let monitor = bound.monitor();
    let endpoint = Socket::bind(&bound, &transport.endpoint());
    let first = pair(&context, nimble());
    Socket::connect(&first, &endpoint);
    bound.wait_for_peers(1, DEADLINE).expect("a peer");

    let second = pair(&context, nimble());
    Socket::connect(&second, &endpoint);
    if transport == Transport::Inproc {
        // It waits for its turn, whether it was sent before the refusal or after.
        send(&second, "from the second");
    }
    await_refusal(transport, &bound, &monitor, &second);
    // The first notices nothing, and the second gets nothing.
    send(&bound, "for the first");
    send(&first, "from the first");
    assert_eq!(recv(&first), "for the first");
    assert_eq!(recv(&bound), "from the first");
    assert_eq!(second.try_recv(), Err(RecvError::WouldBlock));
    if transport == Transport::Inproc {
        send(&second, "from the second");
    }

    drop(first);
    until("the second gets in", || {
        if transport != Transport::Inproc {
            // What it writes into a connection that is refused is lost with that.
            let _ = second.send_timeout("from the second", GLANCE);
        }
        let message = bound.recv_timeout(GLANCE).ok()?;
        assert_eq!(message, "from the second");
        Some(())
    });
    send(&bound, "for the second");
    assert_eq!(recv(&second), "for the second");
}

/// The second peer may as well be one that the socket itself has connected to.
fn refuses_a_second_endpoint(transport: Transport) {
    let context = Context::new();
    let [first, second] = [(); 2].map(|()| {
        let bound = pair(&context, nimble());
        let endpoint = Socket::bind(&bound, &transport.endpoint());
        (bound, endpoint)
    });
    let connected = pair(&context, nimble());
    let monitor = connected.monitor();
    Socket::connect(&connected, &first.1);
    connected.wait_for_peers(1, DEADLINE).expect("a peer");
    Socket::connect(&connected, &second.1);
    await_refusal(transport, &connected, &monitor, &second.0);
    send(&connected, "for the first");
    assert_eq!(recv(&first.0), "for the first");
    assert_eq!(second.0.try_recv(), Err(RecvError::WouldBlock));

    Socket::disconnect(&connected, &first.1).expect("disconnected");
    until("the second is the peer", || {
        connected.send_timeout("for the second", GLANCE).ok()
    });
    assert_eq!(recv(&second.0), "for the second");
}

fn keeps_what_is_for_an_endpoint_it_connects_to(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    let connected = pair(&context, nimble());
    Socket::connect(&connected, &endpoint);
    for life in 0..3 {
        send(&connected, format!("life {life}"));
        let bound = pair(&context, nimble());
        Socket::bind(&bound, &endpoint);
        assert_eq!(recv(&bound), *format!("life {life}"));
        drop(bound);
        connected.settle_at(0);
    }
    assert_eq!(connected.stats().dropped.total(), 0);
}

fn drops_and_counts_what_is_for_a_peer_that_has_gone(transport: Transport) {
    let (bound, connected) = two_with(transport, nimble(), nimble().recv_hwm(1));
    // More than any kernel takes.
    for _ in 0..100 {
        send(&bound, vec![b'x'; 1 << 20]);
    }
    drop(connected);
    bound.settle_at(0);
    // What the background thread is writing just then is counted when it is done with that.
    let dropped = until("a count of what is dropped", || {
        let _ = bound.wait_for_peers(usize::MAX, GLANCE);
        let dropped = bound.stats().dropped;
        (dropped.peer_gone > 0).then_some(dropped)
    });
    assert!((1..=100).contains(&dropped.peer_gone), "{dropped:?}");
    assert_eq!(dropped.total(), dropped.peer_gone);
    let error = bound.try_send("nobody").expect_err("nobody is there");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    bound.close(DEADLINE).expect("nothing is left unsent");
}

/// Peer after peer, in order.
fn receives_what_each_peer_has_left(transport: Transport) {
    let context = Context::new();
    let bound = pair(&context, nimble());
    let endpoint = Socket::bind(&bound, &transport.endpoint());
    for life in 0..3 {
        let connected = pair(&context, nimble());
        Socket::connect(&connected, &endpoint);
        for number in 0..10 {
            send(&connected, format!("{life}: {number}"));
        }
        connected.close(DEADLINE).expect("all has left");
        if transport != Transport::Inproc {
            // Until then its successor is refused.
            bound.settle_at(0);
        }
    }
    for life in 0..3 {
        for number in 0..10 {
            assert_eq!(recv(&bound), *format!("{life}: {number}"));
        }
    }
}
