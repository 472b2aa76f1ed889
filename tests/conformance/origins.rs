//! Messages are received with who they come from: by every type, in every form of the call.

use std::time::Duration;

use crate::sockets::{
    AnySocket, Channel, Client, Context, Dealer, Delivery, Dish, Gather, Options, Origin, Pair,
    Peer, Principal, Pub, Pull, Push, Radio, RecvError, RecvSocket, Rep, Req, Router, Scatter,
    SendSocket, Server, Stream, Sub, Xpub, Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::until::until;

on_every_transport!(
    every_type_tells_who_has_sent,
    every_form_of_the_call_tells,
    each_of_several_is_told_apart,
    who_has_gone_is_told_still,
);

/// Two sockets that are connected, and the endpoint.
fn two<A: AnySocket, B: AnySocket>(transport: Transport, options: Options) -> (A, B, String) {
    let context = Context::new();
    let bound = A::with_options(&context, options.clone()).expect("a socket");
    let connected = B::with_options(&context, options).expect("a socket");
    let endpoint = bound.bind(&transport.endpoint()).expect("bound");
    connected.connect(&endpoint.to_string()).expect("connected");
    bound.wait_for_peers(1, DEADLINE).expect("a peer");
    connected.wait_for_peers(1, DEADLINE).expect("a peer");
    (bound, connected, endpoint.to_string())
}

fn is_told(origin: &Origin, transport: Transport, endpoint: &str) {
    assert_eq!(origin.endpoint(), endpoint);
    assert_eq!(origin.mechanism(), "NULL");
    let facts = origin.facts().expect("it has shaken hands");
    assert_eq!(facts.mechanism(), "NULL");
    match transport {
        Transport::Tcp => {
            let address = origin.socket_address().expect("an address");
            assert!(address.ip().is_loopback());
            assert_eq!(origin.address(), format!("tcp://{address}"));
        }
        Transport::Inproc => assert_eq!(origin.address(), endpoint),
        // The user of the system, and the process: both ends are of this one.
        _ => {
            let ipc = origin.ipc_credentials().expect("of the system");
            assert_eq!(ipc.pid, std::process::id());
            assert_eq!(origin.principal(), Some(&Principal::Uid(ipc.uid)));
        }
    }
    let over_ipc = !matches!(transport, Transport::Tcp | Transport::Inproc);
    assert_eq!(facts.ipc_credentials().is_some(), over_ipc);
}

fn every_type_tells_who_has_sent(transport: Transport) {
    macro_rules! one_way {
        ($bound:ident from $connected:ident) => {
            let options = nimble().routing_id("me");
            let (bound, connected, endpoint) = two::<$bound, $connected>(transport, options);
            connected.send_timeout("x", DEADLINE).expect("sent");
            let (_, origin) = bound.recv_from_timeout(DEADLINE).expect("a message");
            is_told(&origin, transport, &endpoint);
        };
    }
    one_way!(Pull from Push);
    one_way!(Gather from Scatter);
    one_way!(Dealer from Dealer);
    one_way!(Pair from Pair);
    one_way!(Channel from Channel);
    one_way!(Router from Dealer);
    one_way!(Server from Client);

    let (bound, connected, endpoint) = two::<Router, Dealer>(transport, nimble().routing_id("me"));
    connected.send("x").expect("sent");
    let (incoming, origin) = bound.recv_from_timeout(DEADLINE).expect("a message");
    assert_eq!(
        (incoming.message.to_str(), origin.routing_id()),
        (Ok("x"), &b"me"[..])
    );
    bound.send_to(&incoming.peer, "back").expect("sent");
    let (back, origin) = connected.recv_from_timeout(DEADLINE).expect("a message");
    assert_eq!(back, "back");
    is_told(&origin, transport, &endpoint);

    let (server, client, endpoint) = two::<Server, Client>(transport, nimble());
    client.send("x").expect("sent");
    let number = server.recv_timeout(DEADLINE).expect("a message").peer;
    server.send_to(number, "back").expect("sent");
    let (_, origin) = client.recv_from_timeout(DEADLINE).expect("a message");
    is_told(&origin, transport, &endpoint);

    let (there, here, endpoint) = two::<Peer, Peer>(transport, nimble());
    let number = here.peers()[0];
    here.send_to_timeout(number, "x", DEADLINE).expect("sent");
    let (_, origin) = there.recv_from_timeout(DEADLINE).expect("a message");
    is_told(&origin, transport, &endpoint);

    let (publisher, sub, endpoint) = two::<Xpub, Sub>(transport, nimble());
    sub.subscribe("a").expect("subscribed");
    let (message, origin) = publisher
        .recv_from_timeout(DEADLINE)
        .expect("a subscription");
    assert_eq!(message, "\u{1}a");
    is_told(&origin, transport, &endpoint);
    publisher.send("about it").expect("sent");
    let (_, origin) = sub.recv_from_timeout(DEADLINE).expect("a message");
    is_told(&origin, transport, &endpoint);

    let (publisher, xsub, endpoint) = two::<Pub, Xsub>(transport, nimble());
    xsub.subscribe("a").expect("subscribed");
    publisher
        .wait_for_subscribers("a", 1, DEADLINE)
        .expect("a subscriber");
    publisher.send("about it").expect("sent");
    let (_, origin) = xsub.recv_from_timeout(DEADLINE).expect("a message");
    is_told(&origin, transport, &endpoint);

    let (radio, dish, endpoint) = two::<Radio, Dish>(transport, nimble());
    dish.join("group").expect("joined");
    radio
        .wait_for_members("group", 1, DEADLINE)
        .expect("a member");
    radio.send("group", "x").expect("sent");
    let (received, origin) = dish.recv_from_timeout(DEADLINE).expect("a message");
    assert_eq!(received.message, "x");
    is_told(&origin, transport, &endpoint);

    let (rep, req, endpoint) = two::<Rep, Req>(transport, nimble());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("x", DEADLINE));
        let request = rep.recv_timeout(DEADLINE).expect("a request");
        is_told(
            &request.origin().expect("it is there"),
            transport,
            &endpoint,
        );
        request.reply("y").expect("replied");
        asking.join().expect("the thread").expect("a reply");
    });

    // Where messages are settled as well.
    let options = nimble().delivery(Delivery::at_least_once());
    let (pull, push, endpoint) = two::<Pull, Push>(transport, options);
    push.send_timeout("x", DEADLINE).expect("sent");
    let (_, origin) = pull.recv_from_timeout(DEADLINE).expect("a message");
    is_told(&origin, transport, &endpoint);

    if transport == Transport::Tcp {
        let stream = Stream::with_options(&Context::new(), nimble()).expect("a STREAM");
        let endpoint = stream
            .bind(transport.endpoint().as_str())
            .expect("bound")
            .to_string();
        let address = endpoint.trim_start_matches("tcp://");
        let client = std::net::TcpStream::connect(address).expect("connected");
        let (begun, origin) = stream.recv_from_timeout(DEADLINE).expect("a notice");
        assert_eq!(begun.message, "");
        assert_eq!(origin.socket_address(), client.local_addr().ok());
        assert_eq!((origin.mechanism(), origin.principal()), ("", None));
    }
}

fn every_form_of_the_call_tells(transport: Transport) {
    let (pull, push, endpoint) = two::<Pull, Push>(transport, nimble());
    assert_eq!(pull.try_recv_from().err(), Some(RecvError::WouldBlock));
    let none = pull.recv_from_timeout(Duration::from_millis(1));
    assert_eq!(none.err(), Some(RecvError::TimedOut));
    for _ in 0..6 {
        push.send_timeout("x", DEADLINE).expect("sent");
    }
    let origins = [
        pull.recv_from(),
        until("the second is there", || {
            Some(pull.try_recv_from()).filter(Result::is_ok)
        }),
        pull.recv_from_timeout(DEADLINE),
        block_on(pull.recv_from_async()),
        RecvSocket::recv_from_timeout(&pull, DEADLINE),
        block_on(RecvSocket::recv_from_async(&pull)),
    ];
    for received in origins {
        let (message, origin) = received.expect("a message");
        assert_eq!(message, "x");
        is_told(&origin, transport, &endpoint);
    }
    let (router, dealer, endpoint) = two::<Router, Dealer>(transport, nimble().routing_id("me"));
    SendSocket::send(&dealer, "x").expect("sent");
    let (message, origin) = RecvSocket::recv_from_timeout(&router, DEADLINE).expect("a message");
    assert_eq!(message, ["me", "x"]);
    is_told(&origin, transport, &endpoint);
    pull.shutdown();
    assert_eq!(pull.recv_from().err(), Some(RecvError::Closed));
    assert_eq!(
        block_on(pull.recv_from_async()).err(),
        Some(RecvError::Closed)
    );
}

fn each_of_several_is_told_apart(transport: Transport) {
    let context = Context::new();
    let pull = Pull::with_options(&context, nimble()).expect("a PULL");
    let endpoint = AnySocket::bind(&pull, &transport.endpoint()).expect("bound");
    let dealers = ["a", "b", "c"].map(|name| {
        let push = Push::with_options(&context, nimble()).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        for _ in 0..10 {
            push.send(name).expect("sent");
        }
        push
    });
    let mut origins: Vec<(String, String)> = (0..30)
        .map(|_| {
            let (message, origin) = pull.recv_from_timeout(DEADLINE).expect("a message");
            let text = message.to_str().expect("text").to_owned();
            (text, origin.address().to_owned())
        })
        .collect();
    origins.sort();
    origins.dedup();
    assert_eq!(origins.len(), 3, "one address for each: {origins:?}");
    drop(dealers);
}

fn who_has_gone_is_told_still(transport: Transport) {
    let (dealer, other, endpoint) = two::<Dealer, Dealer>(transport, nimble());
    for _ in 0..3 {
        other.send("x").expect("sent");
    }
    other.close(DEADLINE).expect("closed");
    for _ in 0..3 {
        let (_, origin) = dealer.recv_from_timeout(DEADLINE).expect("a message");
        is_told(&origin, transport, &endpoint);
    }
}
