//! The draft types, where they differ from the type that each of them is like.

use crate::sockets::{
    Channel, Client, Context, Dish, Gather, GroupError, GroupMessage, Incoming, Message, Peer,
    Radio, RecvError, Scatter, SendError, SendErrorKind, Server,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    server_knows_clients_by_number,
    server_waits_for_room,
    a_number_ends_with_its_client,
    peer_tells_the_number_of_whom_it_connects_to,
    peer_sends_before_there_is_anyone,
    dish_receives_its_groups_alone,
    dish_joins_and_leaves_while_connected,
    radio_skips_members_without_room,
    radio_waits_for_room_if_asked_to,
    messages_have_one_frame,
    tasks_send_and_receive,
);

fn two<A: Socket, B: Socket>(transport: Transport) -> (A, B) {
    let context = Context::new();
    let (bound, connected) = (A::open(&context), B::open(&context));
    Socket::connect(&connected, &Socket::bind(&bound, &transport.endpoint()));
    Socket::wait_for_peers(&bound, 1, DEADLINE).expect("a peer");
    Socket::wait_for_peers(&connected, 1, DEADLINE).expect("a peer");
    (bound, connected)
}

fn server_knows_clients_by_number(transport: Transport) {
    let context = Context::new();
    let server = Server::open(&context);
    let endpoint = Socket::bind(&server, &transport.endpoint());
    let clients: Vec<Client> = (0..3)
        .map(|_| {
            let client = Client::open(&context);
            Socket::connect(&client, &endpoint);
            client
        })
        .collect();
    for (index, client) in clients.iter().enumerate() {
        let text = format!("from {index}");
        client.send_timeout(&text, DEADLINE).expect("sent");
        let Incoming { peer, message } = server.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, *text);
        assert_ne!(peer, 0);
        assert!(server.peers().contains(&peer));
        // Any number of answers, none of which has to wait for a question.
        for number in 0..3 {
            let answer = format!("{number} for {index}");
            server
                .send_to_timeout(peer, answer, DEADLINE)
                .expect("sent");
        }
    }
    for (index, client) in clients.iter().enumerate() {
        for number in 0..3 {
            let answer = client.recv_timeout(DEADLINE).expect("an answer");
            assert_eq!(answer, *format!("{number} for {index}"));
        }
    }
    let mut numbers = server.peers();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
}

/// Unlike a ROUTER, which drops.
fn server_waits_for_room(transport: Transport) {
    let context = Context::new();
    let options = || nimble().send_hwm(5).recv_hwm(5);
    let server = <Server as Socket>::with_options(&context, options());
    let client = <Client as Socket>::with_options(&context, options());
    Socket::connect(&client, &Socket::bind(&server, &transport.endpoint()));
    client.send_timeout("hello", DEADLINE).expect("sent");
    let peer = server.recv_timeout(DEADLINE).expect("a message").peer;
    let body = vec![b'x'; 100_000];
    let (mut sent, mut refused) = (0, 0);
    // Full is when nothing has gone for a while: at first the kernel still makes room.
    while refused < 5 {
        match server.send_to_timeout(peer, &body, GLANCE) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::TimedOut);
                refused += 1;
            }
        }
    }
    let error = server.try_send_to(peer, "one more").expect_err("no room");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    for _ in 0..sent {
        assert_eq!(client.recv_timeout(DEADLINE).expect("a message"), body);
    }
    server
        .send_to_timeout(peer, "last", DEADLINE)
        .expect("sent");
    assert_eq!(client.recv_timeout(DEADLINE).expect("a message"), "last");
    assert_eq!(server.stats().dropped.total(), 0);
}

fn a_number_ends_with_its_client(transport: Transport) {
    let (server, client) = two::<Server, Client>(transport);
    client.send_timeout("hello", DEADLINE).expect("sent");
    let peer = server.recv_timeout(DEADLINE).expect("a message").peer;
    drop(client);
    server.settle_at(0);
    let error = server
        .send_to_timeout(peer, "too late", DEADLINE)
        .expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), "too late");
    let error = server.try_send_to(0, "nobody").expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
}

fn peer_tells_the_number_of_whom_it_connects_to(transport: Transport) {
    let context = Context::new();
    let bound: Vec<Peer> = (0..3).map(|_| Peer::open(&context)).collect();
    let here = Peer::open(&context);
    for (index, there) in bound.iter().enumerate() {
        let endpoint = Socket::bind(there, &transport.endpoint());
        let number = here.connect_peer(endpoint.as_str()).expect("connected");
        let text = format!("for {index}");
        here.send_to_timeout(number, &text, DEADLINE).expect("sent");
        let incoming = there.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(incoming.message, *text);
        there
            .send_to_timeout(incoming.peer, "back", DEADLINE)
            .expect("sent");
        let back = here.recv_timeout(DEADLINE).expect("an answer");
        assert_eq!(back.peer, number);
        assert_eq!(back.message, "back");
    }
}

fn peer_sends_before_there_is_anyone(transport: Transport) {
    for immediate in [false, true] {
        let context = Context::new();
        let options = nimble().immediate(immediate);
        let here = <Peer as Socket>::with_options(&context, options);
        let endpoint = transport.endpoint();
        let number = here.connect_peer(endpoint.as_str()).expect("connected");
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| here.send_to_timeout(number, "early", DEADLINE));
            let there = Peer::open(&context);
            Socket::bind(&there, &endpoint);
            let incoming = there.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(incoming.message, "early");
            sending.join().expect("the sending thread").expect("sent");
        });
    }
}

fn send(radio: &Radio, group: &str, text: &str) -> usize {
    radio.send(group, text).expect("sent").sent
}

fn recv(dish: &Dish) -> (String, String) {
    let GroupMessage { group, message } = dish.recv_timeout(DEADLINE).expect("a message");
    let text = message.to_str().expect("text").to_owned();
    (group.to_str().expect("text").to_owned(), text)
}

fn pair(group: &str, text: &str) -> (String, String) {
    (group.to_owned(), text.to_owned())
}

fn dish_receives_its_groups_alone(transport: Transport) {
    let (radio, dish) = two::<Radio, Dish>(transport);
    for group in ["news", ""] {
        dish.join(group).expect("joined");
        radio
            .wait_for_members(group, 1, DEADLINE)
            .expect("a member");
    }
    assert_eq!(dish.join("news"), Err(GroupError::AlreadyJoined));
    assert_eq!(dish.leave("paper"), Err(GroupError::NotJoined));
    let long = "x".repeat(256);
    assert_eq!(dish.join(&long), Err(GroupError::TooLong { length: 256 }));
    let error = radio.send(&long, "body").expect_err("too long");
    assert_eq!(error.kind(), SendErrorKind::GroupTooLong { length: 256 });

    // No beginning of a name is a name, and the empty name is not all.
    assert_eq!(send(&radio, "newspaper", "not wanted"), 0);
    assert_eq!(send(&radio, "new", "not wanted"), 0);
    assert_eq!(send(&radio, "news", "wanted"), 1);
    assert_eq!(send(&radio, "", "of no group"), 1);
    assert_eq!(send(&radio, "news", ""), 1);
    assert_eq!(recv(&dish), pair("news", "wanted"));
    assert_eq!(recv(&dish), pair("", "of no group"));
    assert_eq!(recv(&dish), pair("news", ""));
    let body = vec![b'x'; 1 << 20];
    assert_eq!(radio.send("news", &body).expect("sent").sent, 1);
    let received = dish.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(received.message, body);
    assert_eq!(dish.try_recv(), Err(RecvError::WouldBlock));
}

fn dish_joins_and_leaves_while_connected(transport: Transport) {
    let (radio, dish) = two::<Radio, Dish>(transport);
    let longest = "x".repeat(255);
    for group in ["a", &longest] {
        for _ in 0..2 {
            dish.join(group).expect("joined");
            radio
                .wait_for_members(group, 1, DEADLINE)
                .expect("a member");
            assert_eq!(send(&radio, group, "in"), 1);
            assert_eq!(recv(&dish), pair(group, "in"));
            dish.leave(group).expect("left");
            until("the group is empty", || {
                match send(&radio, group, "out") {
                    0 => Some(()),
                    _ => {
                        // What was under way is filtered here.
                        assert_eq!(dish.recv_timeout(GLANCE).err(), Some(RecvError::TimedOut));
                        None
                    }
                }
            });
        }
    }
}

fn radio_skips_members_without_room(transport: Transport) {
    let context = Context::new();
    let options = || nimble().send_hwm(2).recv_hwm(2);
    let radio = <Radio as Socket>::with_options(&context, options());
    let dish = <Dish as Socket>::with_options(&context, options());
    dish.join("group").expect("joined");
    Socket::connect(&dish, &Socket::bind(&radio, &transport.endpoint()));
    radio
        .wait_for_members("group", 1, DEADLINE)
        .expect("a member");
    let body = vec![b'x'; 100_000];
    let skipped = until("the member is full", || {
        let sent = radio.send("group", &body).expect("sent");
        (sent.skipped > 0).then_some(sent.skipped)
    });
    assert_eq!(skipped, 1);
    assert_eq!(radio.stats().dropped.high_water_mark, 1);
}

fn radio_waits_for_room_if_asked_to(transport: Transport) {
    const MESSAGES: u32 = 200;
    let context = Context::new();
    let options = || nimble().send_hwm(2).recv_hwm(2).pub_block(true);
    let radio = <Radio as Socket>::with_options(&context, options());
    let dish = <Dish as Socket>::with_options(&context, options());
    dish.join("group").expect("joined");
    Socket::connect(&dish, &Socket::bind(&radio, &transport.endpoint()));
    radio
        .wait_for_members("group", 1, DEADLINE)
        .expect("a member");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                let body = number.to_be_bytes().repeat(10_000);
                let sent = radio.send_timeout("group", body, DEADLINE).expect("sent");
                assert_eq!((sent.sent, sent.skipped), (1, 0));
            }
        });
        for number in 0..MESSAGES {
            let received = dish.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(received.message, number.to_be_bytes().repeat(10_000));
        }
    });
}

fn messages_have_one_frame(transport: Transport) {
    fn refused<T: std::fmt::Debug>(sent: Result<T, SendError>) {
        let error = sent.expect_err("two frames");
        assert_eq!(error.kind(), SendErrorKind::Multipart { parts: 2 });
        assert_eq!(error.into_message(), ["two", "frames"]);
    }
    let body = ["two", "frames"];
    let (server, client) = two::<Server, Client>(transport);
    refused(client.send(body));
    refused(client.try_send(body));
    refused(client.send_timeout(body, DEADLINE));
    refused(block_on(client.send_async(body)));
    let number = server.peers()[0];
    refused(server.send_to(number, body));
    refused(block_on(server.send_to_async(number, body)));
    let (scatter, gather) = two::<Scatter, Gather>(transport);
    refused(scatter.send(body));
    let (here, there) = two::<Channel, Channel>(transport);
    refused(here.send(body));
    refused(there.send(body));
    let (radio, dish) = two::<Radio, Dish>(transport);
    refused(radio.send("group", body));
    refused(block_on(radio.send_async("group", body)));
    let (peer, other) = two::<Peer, Peer>(transport);
    refused(peer.send_to(peer.peers()[0], body));

    // Nothing of it has been sent.
    client.send_timeout("one", DEADLINE).expect("sent");
    assert_eq!(server.recv_timeout(DEADLINE).expect("it").message, "one");
    scatter.send_timeout("one", DEADLINE).expect("sent");
    assert_eq!(gather.recv_timeout(DEADLINE).expect("it"), "one");
    here.send_timeout("one", DEADLINE).expect("sent");
    assert_eq!(there.recv_timeout(DEADLINE).expect("it"), "one");
    assert_eq!(dish.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(other.try_recv().err(), Some(RecvError::WouldBlock));
}

fn tasks_send_and_receive(transport: Transport) {
    let long = Message::from(vec![b'x'; 100_000]);
    let (server, client) = two::<Server, Client>(transport);
    block_on(client.send_async(&long)).expect("sent");
    let incoming = block_on(server.recv_async()).expect("a message");
    assert_eq!(incoming.message, long);
    block_on(server.send_to_async(incoming.peer, "answer")).expect("sent");
    assert_eq!(block_on(client.recv_async()).expect("it"), "answer");
    let (radio, dish) = two::<Radio, Dish>(transport);
    dish.join("group").expect("joined");
    radio
        .wait_for_members("group", 1, DEADLINE)
        .expect("a member");
    block_on(radio.send_async("group", &long)).expect("sent");
    let received = block_on(dish.recv_async()).expect("a message");
    assert_eq!(
        (received.group.to_str(), received.message),
        (Ok("group"), long)
    );
}
