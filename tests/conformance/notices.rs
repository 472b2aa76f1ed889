//! Messages that stand for what happens to connections: `test_hello_msg`, `test_disconnect_msg` and `test_hiccup_msg` of libzmq.

use zerohop::{
    Client, Context, Dealer, Incoming, Message, Options, Peer, RecvError, Router, Server,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    greets_both_ways_before_anything_else,
    greets_on_each_connection_and_loses_nothing,
    tells_who_has_gone,
    tells_of_whom_it_connects_to_that_it_was_interrupted,
);

fn hello() -> Options {
    nimble().hello_message("hello")
}

fn open<S: Socket>(context: &Context, options: Options) -> S {
    <S as Socket>::with_options(context, options)
}

fn text(message: &Message) -> &str {
    message.to_str().expect("one frame of text")
}

/// Also where something has been queued before there was a connection.
fn greets_both_ways_before_anything_else(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    let dealer: Dealer = open(&context, hello().probe_router(true));
    Socket::connect(&dealer, &endpoint);
    let queued = ["1", "2", "3"].map(|text| Message::from([text, "body"]));
    for message in &queued {
        dealer.send(message).expect("sent");
    }
    let router: Router = open(&context, hello());
    Socket::bind(&router, &endpoint);
    let recv = || router.recv_timeout(DEADLINE).expect("a message");
    let Incoming { peer, message } = recv();
    assert_eq!(message, "hello");
    let rest: Vec<Message> = (0..4).map(|_| recv().message).collect();
    assert!(rest.contains(&Message::new()), "the probe: {rest:?}");
    let rest = rest.into_iter().filter(|message| *message != "");
    assert!(rest.eq(queued));
    router
        .send_to_timeout(&peer, "answer", DEADLINE)
        .expect("sent");
    for expected in ["hello", "answer"] {
        assert_eq!(dealer.recv_timeout(DEADLINE).expect(expected), expected);
    }

    let server: Server = open(&context, hello());
    let endpoint = Socket::bind(&server, &transport.endpoint());
    let client: Client = open(&context, hello());
    Socket::connect(&client, &endpoint);
    let Incoming { peer, message } = server.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message, "hello");
    server.send_to(peer, "answer").expect("sent");
    for expected in ["hello", "answer"] {
        assert_eq!(client.recv_timeout(DEADLINE).expect(expected), expected);
    }

    let (here, there): (Peer, Peer) = (open(&context, hello()), open(&context, nimble()));
    let endpoint = Socket::bind(&there, &transport.endpoint());
    let number = here.connect_peer(endpoint.as_str()).expect("connected");
    here.send_to_timeout(number, "more", DEADLINE)
        .expect("sent");
    for expected in ["hello", "more"] {
        let incoming = there.recv_timeout(DEADLINE).expect(expected);
        assert_eq!(incoming.message, expected);
    }
}

fn greets_on_each_connection_and_loses_nothing(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    let dealer: Dealer = open(&context, hello());
    Socket::connect(&dealer, &endpoint);
    for round in 0..3 {
        let message = format!("message {round}");
        dealer.send(&message).expect("sent");
        let router: Router = open(&context, nimble());
        Socket::bind(&router, &endpoint);
        for expected in ["hello", &message] {
            let incoming = router.recv_timeout(DEADLINE).expect(expected);
            assert_eq!(text(&incoming.message), expected, "in round {round}");
        }
        assert_eq!(router.recv_timeout(GLANCE), Err(RecvError::TimedOut));
        drop(router);
        until("the connection has ended", || {
            let _ = dealer.wait_for_peers(1, GLANCE);
            let peers = dealer.stats().peers;
            peers
                .iter()
                .all(|peer| peer.connection.is_none())
                .then_some(())
        });
    }
    let stats = dealer.stats();
    assert_eq!(stats.dropped, zerohop::Dropped::default());
}

fn tells_who_has_gone(transport: Transport) {
    let context = Context::new();
    let options = || nimble().disconnect_message("gone");
    let router: Router = open(&context, options());
    let endpoint = Socket::bind(&router, &transport.endpoint());
    let server: Server = open(&context, options());
    let numbered = Socket::bind(&server, &transport.endpoint());
    for _ in 0..2 {
        let dealer: Dealer = open(&context, nimble().routing_id("dealer"));
        Socket::connect(&dealer, &endpoint);
        dealer.send_timeout("last", DEADLINE).expect("sent");
        Socket::close(dealer, DEADLINE).expect("closed");
        for expected in ["last", "gone"] {
            let incoming = router.recv_timeout(DEADLINE).expect(expected);
            assert_eq!(text(&incoming.message), expected);
            assert_eq!(incoming.peer, "dealer");
        }

        let client: Client = open(&context, nimble());
        Socket::connect(&client, &numbered);
        client.send_timeout("last", DEADLINE).expect("sent");
        let first = server.recv_timeout(DEADLINE).expect("a message");
        Socket::disconnect(&client, &numbered).expect("disconnected");
        let second = server.recv_timeout(DEADLINE).expect("its end");
        assert_eq!((text(&second.message), second.peer), ("gone", first.peer));
    }
    // Whom the application itself sends away it need not be told of; nor of one that it connects to.
    let dealer: Dealer = open(&context, nimble());
    Socket::connect(&dealer, &endpoint);
    router.wait_for_peers(1, DEADLINE).expect("a peer");
    if transport != Transport::Inproc {
        Socket::unbind(&router, &endpoint).expect("unbound");
    }
    assert_eq!(router.recv_timeout(GLANCE), Err(RecvError::TimedOut));
    assert!(server.try_recv().is_err());
}

fn tells_of_whom_it_connects_to_that_it_was_interrupted(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    let options = nimble().hiccup_message("hiccup").disconnect_message("gone");
    let dealer: Dealer = open(&context, options);
    Socket::connect(&dealer, &endpoint);
    for _ in 0..2 {
        let router: Router = open(&context, nimble());
        Socket::bind(&router, &endpoint);
        dealer.send_timeout("question", DEADLINE).expect("sent");
        let peer = router.recv_timeout(DEADLINE).expect("a message").peer;
        router.send_to(&peer, "answer").expect("sent");
        assert_eq!(dealer.recv_timeout(DEADLINE).expect("it"), "answer");
        drop(router);
        if transport != Transport::Inproc {
            assert_eq!(dealer.recv_timeout(DEADLINE).expect("its end"), "hiccup");
        }
    }
    assert_eq!(dealer.recv_timeout(GLANCE), Err(RecvError::TimedOut));
}
