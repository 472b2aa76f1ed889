//! ROUTER: every message reaches the peer it names, or its sender is told, and who sent what is known.

use std::collections::HashSet;
use std::thread;

use crate::sockets::{
    ConnectError, Context, DisconnectCause, Incoming, Message, Monitor, Options, PeerRefusal,
    RecvError, RecvSocket, Req, Routed, Router, RoutingId, SendErrorKind, SendSocket,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    knows_peers_by_the_names_they_ask_for,
    makes_up_names_for_others,
    answers_a_req_in_its_envelope,
    takes_turns,
    sends_to_the_peer_it_names,
    drops_and_counts_what_cannot_be_routed,
    gives_back_what_cannot_be_routed_if_it_must_be,
    waits_for_room_only_if_it_must,
    refuses_a_name_that_is_taken,
    hands_a_name_over_if_told_to,
    gives_a_name_to_whom_it_connects_to,
    keeps_what_is_for_a_peer_it_connects_to,
    drops_and_counts_what_is_for_a_peer_that_has_gone,
    receives_what_a_peer_has_left,
    says_hello_to_routers,
    speaks_libzmqs_form,
    tells_of_connections_if_told_to,
    tells_of_each_connection_that_it_makes,
    echoes_for_many_threads,
);

fn router(context: &Context, options: Options) -> Router {
    Router::with_options(context, options).expect("a ROUTER")
}

fn mandatory() -> Options {
    nimble().router_mandatory(true)
}

/// A ROUTER named so, that calls the one at this endpoint `server`.
fn client(context: &Context, name: &str, endpoint: &str) -> Router {
    let client = router(context, nimble().routing_id(name));
    let connected = client.connect_with_routing_id(endpoint, "server");
    connected.expect("connected");
    client
}

/// A ROUTER and its endpoint.
fn server(context: &Context, options: Options, transport: Transport) -> (Router, String) {
    let server = router(context, options);
    let endpoint = Socket::bind(&server, &transport.endpoint());
    (server, endpoint)
}

fn text(message: &Message) -> String {
    message.to_str().expect("one frame of text").to_owned()
}

fn recv(router: &Router) -> Incoming {
    router.recv_timeout(DEADLINE).expect("a message")
}

fn send(router: &Router, peer: impl AsRef<[u8]>, message: impl zerohop::Payload) {
    let routed = router.send_to_timeout(peer, message, DEADLINE);
    assert_eq!(routed.expect("sent"), Routed::Queued);
}

/// Waits until the ROUTER has a peer of this name.
fn await_name(router: &Router, name: &str) {
    until("the peer is there", || {
        let ids = router.routing_ids();
        // Driven by who waits.
        let _ = router.wait_for_peers(usize::MAX, GLANCE);
        ids.iter().any(|id| *id == name).then_some(())
    });
}

fn knows_peers_by_the_names_they_ask_for(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, nimble(), transport);
    let longest = "x".repeat(255);
    let names = ["a", "client 2", "\u{1}", &longest];
    let clients = names.map(|name| client(&context, name, &endpoint));
    for (name, client) in names.iter().zip(&clients) {
        send(client, "server", ["hello from", name]);
        let incoming = recv(&server);
        assert_eq!(incoming.peer, *name);
        assert_eq!(incoming.message, ["hello from", name]);
    }
    let expected: HashSet<RoutingId> = names.into_iter().map(RoutingId::from).collect();
    assert_eq!(HashSet::from_iter(server.routing_ids()), expected);
}

fn makes_up_names_for_others(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, nimble(), transport);
    let clients = [(); 3].map(|()| client(&context, "", &endpoint));
    let mut names = HashSet::new();
    for (number, client) in clients.iter().enumerate() {
        send(client, "server", number.to_string());
        let Incoming { peer, message } = recv(&server);
        assert_eq!(message, *number.to_string());
        // As libzmq makes them.
        assert_eq!((peer.as_bytes().len(), peer.as_bytes()[0]), (5, 0));
        send(&server, &peer, ["answer", &number.to_string()]);
        assert_eq!(recv(client).message, ["answer", &number.to_string()]);
        assert!(names.insert(peer), "two peers have one name");
    }
}

fn answers_a_req_in_its_envelope(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, nimble(), transport);
    let req = Req::with_options(&context, nimble()).expect("a REQ");
    Socket::connect(&req, &endpoint);
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout(["question", "42"], DEADLINE));
        let Incoming { peer, message } = recv(&server);
        let mut frames = message.into_frames();
        let envelope = [(); 2].map(|()| frames.next().expect("an envelope"));
        assert!(envelope[1].is_empty());
        assert_eq!(Message::from_frames(frames), ["question", "42"]);
        let mut reply = Message::from_frames(envelope);
        reply.push_back("answer");
        send(&server, &peer, reply);
        let answer = asking.join().expect("the asking thread");
        assert_eq!(answer.expect("answered"), "answer");
    });
}

fn takes_turns(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, nimble(), transport);
    let clients = ["a", "b", "c"].map(|name| client(&context, name, &endpoint));
    for client in &clients {
        for _ in 0..10 {
            send(client, "server", "more");
        }
    }
    if transport != Transport::Inproc {
        // Over inproc, messages are fetched from the peer as they are received.
        until("all has come", || {
            let _ = server.wait_for_peers(usize::MAX, GLANCE);
            (server.stats().messages_in == 30).then_some(())
        });
    }
    let mut counts = [0; 3];
    for _ in 0..30 {
        counts[usize::from(recv(&server).peer.as_bytes()[0] - b'a')] += 1;
        let spread = counts.iter().max().expect("3") - counts.iter().min().expect("3");
        assert!(spread <= 1 || transport == Transport::Inproc, "{counts:?}");
    }
    assert_eq!(counts, [10; 3]);
    // And several at once.
    for number in 0..10 {
        send(&clients[1], "server", number.to_string());
    }
    let mut batches = Vec::new();
    while batches.len() < 10 {
        let batch = server.recv_batch(4).expect("messages");
        assert!((1..=4).contains(&batch.len()));
        batches.extend(batch);
    }
    for (number, incoming) in batches.iter().enumerate() {
        assert_eq!(incoming.peer, "b");
        assert_eq!(incoming.message, *number.to_string());
    }
}

fn sends_to_the_peer_it_names(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let names = ["a", "b", "c"];
    let clients = names.map(|name| client(&context, name, &endpoint));
    names.iter().for_each(|name| await_name(&server, name));
    let long = vec![b'l'; 1 << 20];
    for number in 0..100 {
        for name in names {
            send(&server, name, format!("{name} {number}"));
        }
    }
    for name in names {
        send(&server, name, &long);
        send(&server, name, ["", name, ""]);
    }
    for (name, client) in names.iter().zip(&clients) {
        for number in 0..100 {
            assert_eq!(recv(client).message, *format!("{name} {number}"));
        }
        assert_eq!(recv(client).message, Message::from(&long));
        let last = recv(client);
        assert_eq!(
            (last.peer.to_string(), last.message),
            ("server".into(), ["", name, ""].into())
        );
        assert_eq!(client.try_recv().err(), Some(RecvError::WouldBlock));
    }
}

fn drops_and_counts_what_cannot_be_routed(transport: Transport) {
    let context = Context::new();
    let (server, _) = server(&context, nimble(), transport);
    for (count, name) in (1..).zip(["nobody", "", "\0\0\0\0\0"]) {
        let routed = server.send_to(name, "lost").expect("dropped");
        assert_eq!(routed, Routed::Unroutable);
        assert_eq!(server.stats().dropped.unroutable, count);
        assert_eq!(server.stats().dropped.total(), count);
    }
    assert_eq!(server.stats().messages_out, 0);
}

fn gives_back_what_cannot_be_routed_if_it_must_be(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let error = server.send_to("c", ["not", "lost"]).expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), ["not", "lost"]);
    let client = client(&context, "c", &endpoint);
    await_name(&server, "c");
    send(&server, "c", ["not", "lost"]);
    assert_eq!(recv(&client).message, ["not", "lost"]);
    drop(client);
    server.settle_at(0);
    let error = server.send_to("c", "late").expect_err("gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(server.stats().dropped.unroutable, 0);
}

/// With messages too long for the kernel to take many.
fn waits_for_room_only_if_it_must(transport: Transport) {
    let context = Context::new();
    let body = vec![b'x'; 100_000];
    for must in [false, true] {
        let options = nimble().send_hwm(5).recv_hwm(5).router_mandatory(must);
        let (server, endpoint) = server(&context, options, transport);
        let client = router(&context, nimble().recv_hwm(5).send_hwm(5).routing_id("c"));
        client
            .connect_with_routing_id(&endpoint, "server")
            .expect("connected");
        await_name(&server, "c");
        let mut queued = 0;
        // Full is when nothing has gone for a while: at first the kernel still makes room.
        let mut refused = 0;
        while refused < 5 {
            let sent = server.send_to_timeout("c", &body, GLANCE);
            match (must, sent) {
                (_, Ok(Routed::Queued)) => (queued, refused) = (queued + 1, 0),
                (false, Ok(Routed::Full)) => {
                    let _ = server.wait_for_peers(2, GLANCE);
                    refused += 1;
                }
                (true, Err(error)) => {
                    assert_eq!(error.kind(), SendErrorKind::TimedOut);
                    assert_eq!(error.into_message(), Message::from(&body));
                    refused += 1;
                }
                (_, sent) => panic!("{sent:?}"),
            }
        }
        assert!(queued >= 10, "only {queued} found room");
        let dropped = server.stats().dropped.high_water_mark;
        if must {
            let error = server.try_send_to("c", &body).expect_err("full");
            assert_eq!(error.kind(), SendErrorKind::WouldBlock);
            thread::scope(|scope| {
                let sending = scope.spawn(|| server.send_to_timeout("c", "last", DEADLINE));
                (0..queued).for_each(|_| assert_eq!(recv(&client).message, Message::from(&body)));
                assert_eq!(recv(&client).message, "last");
                let sent = sending.join().expect("the sending thread");
                assert_eq!(sent.expect("sent"), Routed::Queued);
            });
            assert_eq!(dropped, 0);
        } else {
            assert!(dropped >= 5, "{dropped}");
            (0..queued).for_each(|_| assert_eq!(recv(&client).message, Message::from(&body)));
            assert_eq!(client.try_recv().err(), Some(RecvError::WouldBlock));
        }
    }
}

/// Why connections have ended so far, over a transport that tells.
fn refusals(monitor: &Monitor) -> Vec<PeerRefusal> {
    let mut refusals = Vec::new();
    while let Ok(event) = monitor.try_recv() {
        if let zerohop::Event::Disconnected {
            cause: DisconnectCause::Refused(refusal),
            ..
        } = event
        {
            refusals.push(refusal);
        }
    }
    refusals
}

fn refuses_a_name_that_is_taken(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let monitor = server.monitor();
    let first = client(&context, "same", &endpoint);
    send(&first, "server", "first");
    assert_eq!(recv(&server).message, "first");

    let second = client(&context, "same", &endpoint);
    // Over a transport with events, until it has been refused; inproc has none.
    if transport != Transport::Inproc {
        until("the second is refused", || {
            let _ = server.wait_for_peers(usize::MAX, GLANCE);
            refusals(&monitor)
                .contains(&PeerRefusal::RoutingIdTaken)
                .then_some(())
        });
    } else {
        until("the second is refused", || {
            let _ = second.wait_for_peers(1, GLANCE);
            second
                .stats()
                .peers
                .iter()
                .all(|peer| peer.connection.is_none())
                .then_some(())
        });
    }
    // Whoever has the name keeps it.
    send(&server, "same", "for the first");
    assert_eq!(recv(&first).message, "for the first");
    assert_eq!(server.routing_ids().len(), 1);

    // The name falls free with the peer, and the second one has come again and again for it.
    drop(first);
    until("the second gets in", || {
        let _ = second.try_send_to("server", "second");
        let incoming = server.recv_timeout(GLANCE).ok()?;
        assert_eq!(incoming.peer, "same");
        (incoming.message == "second").then_some(())
    });
    send(&server, "same", "for the second");
    assert_eq!(recv(&second).message, "for the second");
}

fn hands_a_name_over_if_told_to(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory().router_handover(true), transport);
    let monitor = server.monitor();
    let slow = Options::new().reconnect_interval(DEADLINE).linger(None);
    let open = || {
        let client = router(&context, slow.clone().routing_id("same"));
        client
            .connect_with_routing_id(&endpoint, "server")
            .expect("connected");
        client
    };
    let first = open();
    send(&first, "server", "first");
    until("the message is there", || {
        let _ = server.wait_for_peers(usize::MAX, GLANCE);
        (server.stats().messages_in == 1).then_some(())
    });
    let second = open();
    send(&second, "server", "second");
    // What the first has sent is not lost.
    let mut came = [recv(&server), recv(&server)].map(|incoming| {
        assert_eq!(incoming.peer, "same");
        text(&incoming.message)
    });
    came.sort();
    assert_eq!(came, ["first", "second"]);
    send(&server, "same", "for the second");
    assert_eq!(recv(&second).message, "for the second");
    server.settle_at(1);
    first.settle_at(0);
    if transport != Transport::Inproc {
        assert_eq!(refusals(&monitor), [PeerRefusal::RoutingIdHandedOver]);
    }
}

fn gives_a_name_to_whom_it_connects_to(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    // Also before anybody is there, and whatever that one asks to be called.
    let client = router(&context, mandatory());
    client
        .connect_with_routing_id(&endpoint, "s")
        .expect("connected");
    send(&client, "s", "early");
    let error = client
        .connect_with_routing_id(&endpoint, "s")
        .expect_err("taken");
    let taken = RoutingId::from("s");
    assert_eq!(error, ConnectError::RoutingId { id: taken });
    for none in [&b""[..], b"\0zero", &[1; 256]] {
        let error = client
            .connect_with_routing_id(&endpoint, none)
            .expect_err("no name");
        assert_eq!(error, ConnectError::RoutingId { id: none.into() });
    }
    let server = router(&context, nimble().routing_id("other"));
    Socket::bind(&server, &endpoint);
    let Incoming { peer, message } = recv(&server);
    assert_eq!(message, "early");
    send(&server, &peer, "answer");
    let answer = recv(&client);
    assert_eq!(
        (answer.peer.to_string(), answer.message),
        ("s".into(), "answer".into())
    );
    assert_eq!(client.routing_ids(), [RoutingId::from("s")]);
    let error = client
        .try_send_to("other", "nobody is called so here")
        .expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    // The name is free again with the last of the endpoint.
    Socket::disconnect(&client, &endpoint).expect("disconnected");
    client
        .connect_with_routing_id(&endpoint, "s")
        .expect("connected again");
}

fn keeps_what_is_for_a_peer_it_connects_to(transport: Transport) {
    let context = Context::new();
    let endpoint = transport.endpoint();
    let client = router(&context, mandatory());
    client
        .connect_with_routing_id(&endpoint, "s")
        .expect("connected");
    for life in 0..3 {
        send(&client, "s", format!("life {life}"));
        let server = router(&context, nimble());
        Socket::bind(&server, &endpoint);
        assert_eq!(recv(&server).message, *format!("life {life}"));
        drop(server);
        client.settle_at(0);
    }
}

fn drops_and_counts_what_is_for_a_peer_that_has_gone(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let client = router(&context, nimble().recv_hwm(1).routing_id("c"));
    client
        .connect_with_routing_id(&endpoint, "server")
        .expect("connected");
    await_name(&server, "c");
    // More than any kernel takes.
    for _ in 0..100 {
        send(&server, "c", vec![b'x'; 1 << 20]);
    }
    drop(client);
    server.settle_at(0);
    // What the background thread is writing just then is counted when it is done with that.
    let dropped = until("a count of what is dropped", || {
        let _ = server.wait_for_peers(usize::MAX, GLANCE);
        let dropped = server.stats().dropped;
        (dropped.peer_gone > 0).then_some(dropped)
    });
    assert!((1..=100).contains(&dropped.peer_gone), "{dropped:?}");
    assert_eq!(dropped.total(), dropped.peer_gone);
    server.close(DEADLINE).expect("nothing is left unsent");
}

fn receives_what_a_peer_has_left(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    for life in 0..3 {
        let client = client(&context, "c", &endpoint);
        send(&client, "server", ["life", &life.to_string()]);
        client.close(DEADLINE).expect("all has left");
        if transport != Transport::Inproc {
            // Until then its successor is refused.
            server.settle_at(0);
        }
    }
    // Three peers of one name, one after the other.
    for _ in 0..3 {
        let incoming = recv(&server);
        assert_eq!(incoming.peer, "c");
        assert_eq!(incoming.message.get(0).expect("a frame"), "life");
    }
    server.settle_at(0);
    let error = server.send_to("c", "late").expect_err("gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
}

fn says_hello_to_routers(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let client = router(&context, nimble().routing_id("c").probe_router(true));
    Socket::connect(&client, &endpoint);
    let hello = recv(&server);
    assert_eq!(
        (hello.peer.to_string(), hello.message),
        ("c".into(), "".into())
    );
    // The server speaks first, and to whom it knows by name.
    send(&server, "c", "welcome");
    assert_eq!(recv(&client).message, "welcome");
    assert_eq!(server.try_recv(), Err(RecvError::WouldBlock), "one hello");
}

fn speaks_libzmqs_form(transport: Transport) {
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    let client = client(&context, "c", &endpoint);
    for body in [vec!["one"], vec!["", ""], vec!["a", "b", "c"]] {
        let mut message = Message::from_frames(body.iter().copied());
        message.push_front("server");
        SendSocket::send_timeout(&client, message, DEADLINE).expect("sent");
        let mut message = RecvSocket::recv_timeout(&server, DEADLINE).expect("a message");
        let mut expected = Message::from_frames(body.iter().copied());
        expected.push_front("c");
        assert_eq!(message, expected);
        message.push_back("back");
        SendSocket::send(&server, &message).expect("sent");
        let back = recv(&client).message;
        assert_eq!(back.parts(), body.len() + 1);
    }
    let long = [b"c".to_vec(), vec![7; 1 << 20], b"behind".to_vec()];
    SendSocket::send(&server, long.clone()).expect("sent");
    assert_eq!(recv(&client).message, Message::from_frames(&long[1..]));
    for alone in ["c", "nobody"] {
        let error = server.try_send(alone).expect_err("no message");
        assert_eq!(error.kind(), SendErrorKind::NoBody);
        assert_eq!(error.into_message(), *alone);
    }
    let error = server.try_send(["nobody", "body"]).expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), ["nobody", "body"]);
}

fn echoes_for_many_threads(transport: Transport) {
    const CLIENTS: usize = 4;
    const MESSAGES: usize = 300;
    let context = Context::new();
    let (server, endpoint) = server(&context, mandatory(), transport);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Ok(Incoming { peer, message }) = server.recv() {
                    send(&server, &peer, message);
                }
            });
        }
        let clients = (0..CLIENTS).map(|number| {
            let client = client(&context, &format!("client {number}"), &endpoint);
            scope.spawn(move || {
                let mut wanted = HashSet::new();
                for message in 0..MESSAGES {
                    let text = format!("{number}: {message}");
                    send(&client, "server", &text);
                    wanted.insert(text);
                }
                while !wanted.is_empty() {
                    let echo = text(&recv(&client).message);
                    assert!(wanted.remove(&echo), "{echo} was not asked for");
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        for client in clients {
            client.join().expect("a client");
        }
        server.shutdown();
    });
}

/// As `test_router_notify` of libzmq: of those that begin, that end, or both, in the peer's name; and over inproc of none.
fn tells_of_connections_if_told_to(transport: Transport) {
    for notify in 0..=3 {
        let context = Context::new();
        let (server, endpoint) = server(&context, nimble().router_notify(notify), transport);
        if let Some(address) = endpoint.strip_prefix("tcp://") {
            // A handshake that fails is none.
            drop(std::net::TcpStream::connect(address).expect("connected"));
        }
        let client = client(&context, "client", &endpoint);
        let frames = Message::from_frames([b"two".to_vec(), vec![b'x'; 100_000]]);
        send(&client, "server", &frames);
        let mut expected = vec![frames];
        if transport != Transport::Inproc {
            if notify & 1 != 0 {
                expected.insert(0, Message::new());
            }
            if notify & 2 != 0 {
                expected.push(Message::new());
            }
        }
        for (index, message) in expected.iter().enumerate() {
            let incoming = recv(&server);
            assert_eq!(incoming.peer, "client");
            assert_eq!(incoming.message, *message, "{index} with {notify}");
            if message.parts() > 1 {
                client.shutdown();
            }
        }
        let none = server.recv_timeout(GLANCE);
        assert_eq!(none, Err(RecvError::TimedOut), "with {notify}");
        until("its name is free", || {
            let _ = server.wait_for_peers(usize::MAX, GLANCE);
            server.routing_ids().is_empty().then_some(())
        });
    }
    let error = Router::with_options(&Context::new(), nimble().router_notify(4)).err();
    assert!(error.is_some_and(|error| error.to_string().contains("router_notify")));
}

/// A peer that this socket connects to keeps its name, and each connection has a beginning and an end.
fn tells_of_each_connection_that_it_makes(transport: Transport) {
    let context = Context::new();
    let client = router(&context, nimble().router_notify(3));
    let endpoint = transport.endpoint();
    let connected = client.connect_with_routing_id(&*endpoint, "server");
    connected.expect("connected");
    for _ in 0..3 {
        let server = router(&context, nimble().routing_id("any"));
        Socket::bind(&server, &endpoint);
        client.wait_for_peers(1, DEADLINE).expect("a peer");
        if transport != Transport::Inproc {
            assert_eq!(recv(&client).message, "", "its beginning");
        }
        until("it is known", || {
            let _ = server.wait_for_peers(1, GLANCE);
            let ids = server.routing_ids();
            ids.first().map(|id| send(&server, id, "hello"))
        });
        let incoming = recv(&client);
        assert_eq!(
            (text(&incoming.message).as_str(), incoming.peer),
            ("hello", RoutingId::from("server"))
        );
        drop(server);
        if transport != Transport::Inproc {
            assert_eq!(recv(&client).message, "", "its end");
        } else {
            client.wait_for_peers(0, DEADLINE).expect("any number");
        }
    }
    assert_eq!(client.recv_timeout(GLANCE), Err(RecvError::TimedOut));
}
