//! CURVE from end to end: what a listener on the wire sees, which is nothing; and what strangers can do, which is little.

#![cfg(feature = "curve")]

mod common {
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod until;
}

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use zerohop::{
    Allow, Channel, Client, Context, Dealer, DisconnectCause, Dish, Gather, KeyPair, Options, Pair,
    Peer, Principal, ProtocolError, Pub, Pull, Push, Radio, Rep, Req, Router, RoutingId, Scatter,
    Server, SocketError, Sub, Xpub, Xsub,
};

use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::until::{GLANCE, until};

/// Long enough not to come about by chance, in what is said, whom it is for, and what it is about.
const MARK: &str = "this is for nobody else to read";
const NAME: &str = "the routing id of a DEALER";
const TOPIC: &str = "what a subscriber is after";

fn keys() -> KeyPair {
    KeyPair::generate().expect("random bytes")
}

/// A server's options, and those of a client that it lets in.
fn both() -> (Options, Options) {
    let (server, client) = (keys(), keys());
    let ours = Options::new()
        .curve_server(&server)
        .allow([client.public()]);
    let theirs = Options::new().curve_client(&client, server.public());
    (ours.linger(Duration::ZERO), theirs.linger(Duration::ZERO))
}

/// Passes connections on and remembers every byte, in both directions.
struct Wire {
    endpoint: String,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn to(endpoint: &str) -> Wire {
        let target = endpoint.trim_start_matches("tcp://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let memory = Arc::clone(&seen);
        thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let Ok(far) = TcpStream::connect(&target) else {
                    return;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let memory = Arc::clone(&memory);
                    if let (Ok(from), Ok(to)) = (from, to) {
                        thread::spawn(move || pass(from, to, &memory));
                    }
                }
            }
        });
        Wire {
            endpoint: format!("tcp://{address}"),
            seen,
        }
    }

    fn shows(&self, text: &[u8]) -> bool {
        let seen = self.seen.lock().expect("no panic");
        seen.windows(text.len()).any(|window| window == text)
    }

    /// There were bytes, and nothing can be read from them but that they are CURVE's.
    #[track_caller]
    fn shows_nothing(&self) {
        assert!(self.shows(b"CURVE") && self.shows(b"HELLO") && self.shows(b"MESSAGE"));
        for text in [
            MARK,
            NAME,
            TOPIC,
            "Socket-Type",
            "Identity",
            "SUBSCRIBE",
            "\x04JOIN",
            "\x04PING",
            "Max-",
        ] {
            assert!(!self.shows(text.as_bytes()), "{text}");
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, memory: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        memory
            .lock()
            .expect("no panic")
            .extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

macro_rules! pair {
    ($server:ident, $client:ident) => {
        pair!($server, $client, both())
    };
    ($server:ident, $client:ident, $options:expr) => {{
        let context = Context::new();
        let (ours, theirs) = $options;
        // PINGs are sealed, too.
        let theirs = theirs.heartbeat_interval(Duration::from_millis(5));
        let server = $server::with_options(&context, ours).expect("a socket");
        let client = $client::with_options(&context, theirs).expect("a socket");
        let endpoint = server.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        let wire = Wire::to(&endpoint);
        client.connect(&*wire.endpoint).expect("connected");
        (server, client, wire)
    }};
}

#[test]
fn the_wire_shows_nothing_of_push_and_pull() {
    let (pull, push, wire) = pair!(Pull, Push);
    push.send([MARK, MARK]).expect("queued");
    push.send(MARK.repeat(5000)).expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), [MARK, MARK]);
    assert_eq!(
        pull.recv_timeout(DEADLINE).expect("let in"),
        MARK.repeat(5000).as_str()
    );
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_pub_and_sub() {
    let (publisher, sub, wire) = pair!(Pub, Sub);
    sub.subscribe(TOPIC).expect("subscribed");
    publisher
        .wait_for_subscribers(TOPIC, 1, DEADLINE)
        .expect("told of it");
    publisher.send([TOPIC, MARK]).expect("sent");
    assert_eq!(sub.recv_timeout(DEADLINE).expect("let in"), [TOPIC, MARK]);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_xpub_and_xsub() {
    let (xpub, xsub, wire) = pair!(Xpub, Xsub);
    xsub.subscribe(TOPIC).expect("subscribed");
    xpub.recv_upstream_timeout(DEADLINE).expect("told of it");
    xpub.send([TOPIC, MARK]).expect("sent");
    assert_eq!(xsub.recv_timeout(DEADLINE).expect("let in"), [TOPIC, MARK]);
    xsub.send(MARK).expect("sent");
    xpub.recv_upstream_timeout(DEADLINE).expect("a message");
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_req_and_rep() {
    let (rep, req, wire) = pair!(Rep, Req);
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = rep.recv_timeout(DEADLINE).expect("a request");
            assert_eq!(request.message(), MARK);
            request.reply([MARK, "to you"]).expect("sent");
        });
        let reply = req.request_timeout(MARK, DEADLINE).expect("a reply");
        assert_eq!(reply, [MARK, "to you"]);
    });
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_dealer_and_router() {
    let (ours, theirs) = both();
    let (router, dealer, wire) = pair!(Router, Dealer, (ours, theirs.routing_id(NAME)));
    dealer.send(MARK).expect("queued");
    let incoming = router.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(incoming.into_enveloped(), [NAME, MARK]);
    router
        .send_to_timeout(RoutingId::from(NAME), MARK, DEADLINE)
        .expect("it is there");
    assert_eq!(dealer.recv_timeout(DEADLINE).expect("a message"), MARK);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_pair() {
    let (one, other, wire) = pair!(Pair, Pair);
    other.send(MARK).expect("queued");
    assert_eq!(one.recv_timeout(DEADLINE).expect("let in"), MARK);
    one.send(MARK).expect("queued");
    assert_eq!(other.recv_timeout(DEADLINE).expect("a message"), MARK);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_client_and_server() {
    let (server, client, wire) = pair!(Server, Client);
    client.send(MARK).expect("queued");
    let incoming = server.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(incoming.message, MARK);
    server
        .send_to_timeout(incoming.peer, MARK, DEADLINE)
        .expect("sent");
    assert_eq!(client.recv_timeout(DEADLINE).expect("a message"), MARK);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_radio_and_dish() {
    let (radio, dish, wire) = pair!(Radio, Dish);
    dish.join(TOPIC).expect("joined");
    radio
        .wait_for_members(TOPIC, 1, DEADLINE)
        .expect("told of it");
    radio.send(TOPIC, MARK).expect("sent");
    let received = dish.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(
        (received.group, received.message),
        (TOPIC.into(), MARK.into())
    );
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_gather_and_scatter() {
    let (gather, scatter, wire) = pair!(Gather, Scatter);
    scatter.send(MARK).expect("queued");
    assert_eq!(gather.recv_timeout(DEADLINE).expect("let in"), MARK);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_channel() {
    let (one, other, wire) = pair!(Channel, Channel);
    other.send(MARK).expect("queued");
    assert_eq!(one.recv_timeout(DEADLINE).expect("let in"), MARK);
    one.send(MARK).expect("queued");
    assert_eq!(other.recv_timeout(DEADLINE).expect("a message"), MARK);
    wire.shows_nothing();
}

#[test]
fn the_wire_shows_nothing_of_peer() {
    let context = Context::new();
    let (ours, theirs) = both();
    let there = Peer::with_options(&context, ours).expect("a PEER");
    let here = Peer::with_options(&context, theirs).expect("a PEER");
    let endpoint = there.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let wire = Wire::to(&endpoint);
    let number = here.connect_peer(&*wire.endpoint).expect("connected");
    here.send_to_timeout(number, MARK, DEADLINE).expect("sent");
    let incoming = there.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(incoming.message, MARK);
    there
        .send_to_timeout(incoming.peer, MARK, DEADLINE)
        .expect("sent");
    let back = here.recv_timeout(DEADLINE).expect("an answer");
    assert_eq!(back.message, MARK);
    wire.shows_nothing();
}

/// The same proxy sees everything where there is no CURVE.
#[test]
fn the_wire_shows_what_is_not_sealed() {
    let (pull, push, wire) = pair!(Pull, Push, (Options::new(), Options::new()));
    push.send(MARK).expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), MARK);
    assert!(wire.shows(MARK.as_bytes()) && wire.shows(b"Socket-Type"));
}

#[test]
fn who_the_peer_is_is_known() {
    let (server, client) = (keys(), keys());
    let options = Options::new().curve_server(&server);
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let endpoint = pull.bind("ipc://*").expect("bound");
    let options = Options::new().curve_client(&client, server.public());
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push.send("hello").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "hello");
    let stats = pull.stats();
    let principal = Some(Principal::Key(client.public().into()));
    assert!(
        stats.peers.iter().any(|peer| peer.principal == principal),
        "{stats:?}"
    );
}

#[test]
fn a_stranger_is_not_heard() {
    let (ours, theirs) = both();
    let server = Pull::with_options(&Context::new(), ours).expect("a PULL");
    let monitor = server.monitor();
    let endpoint = server.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let stranger = keys();
    let pretender = Options::new().curve_client(&stranger, stranger.public());
    let clear = Options::new().linger(Duration::ZERO);
    for (options, expected) in [
        (clear, "MechanismMismatch"),
        (pretender.linger(Duration::ZERO), "BadBox"),
    ] {
        let push = Push::with_options(&Context::new(), options).expect("a PUSH");
        push.connect(&*endpoint).expect("connected");
        push.send(MARK).expect("queued");
        let cause = format!("{:?}", wait_for_end(&monitor));
        assert!(cause.contains(expected), "{cause}");
    }
    let push = Push::with_options(&Context::new(), theirs).expect("a PUSH");
    push.connect(&*endpoint).expect("connected");
    push.send("from a friend").expect("queued");
    assert_eq!(
        server.recv_timeout(DEADLINE).expect("let in"),
        "from a friend"
    );
    assert!(server.try_recv().is_err());
}

/// What is unsent when a connection breaks goes over the next one, sealed for that.
#[test]
fn what_was_not_sent_goes_over_the_next_connection() {
    let (ours, theirs) = both();
    let theirs = theirs.reconnect_interval(Duration::from_millis(5));
    let push = Push::with_options(&Context::new(), theirs).expect("a PUSH");
    let mut endpoint = String::from("tcp://127.0.0.1:*");
    for round in 0..3 {
        let pull = Pull::with_options(&Context::new(), ours.clone()).expect("a PULL");
        endpoint = until("the port is free again", || match pull.bind(&*endpoint) {
            Ok(bound) => Some(bound.to_string()),
            Err(_) => {
                thread::park_timeout(GLANCE);
                None
            }
        });
        if round == 0 {
            push.connect(&*endpoint).expect("connected");
        }
        push.send(format!("{round}")).expect("queued");
        assert_eq!(
            pull.recv_timeout(DEADLINE).expect("a message"),
            format!("{round}").as_str()
        );
        let monitor = push.monitor();
        drop(pull);
        wait_for_end(&monitor);
    }
}

/// One that alters a byte, or plays bytes again, ends the connection, and what came before is received.
#[test]
fn an_altered_message_ends_the_connection() {
    let (ours, theirs) = both();
    let pull = Pull::with_options(&Context::new(), ours).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let target = endpoint.trim_start_matches("tcp://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = format!("tcp://{}", listener.local_addr().expect("an address"));
    let push = Push::with_options(&Context::new(), theirs).expect("a PUSH");
    push.connect(&*near).expect("connected");
    let (client, _) = listener.accept().expect("a connection");
    let server = TcpStream::connect(target).expect("there");
    let (from, to) = (
        server.try_clone().expect("a copy"),
        client.try_clone().expect("a copy"),
    );
    thread::spawn(move || pass(from, to, &Mutex::default()));
    let (mut client, mut server) = (client, server);
    let mut forward = |until: &mut dyn FnMut(&mut Vec<u8>) -> bool| {
        let mut buffer = vec![0; 65_536];
        loop {
            let count = client.read(&mut buffer).expect("bytes");
            let mut bytes = buffer[..count].to_vec();
            let done = until(&mut bytes);
            server.write_all(&bytes).expect("taken");
            if done {
                return;
            }
        }
    };
    let is_message = |bytes: &[u8]| bytes.windows(8).any(|window| window == b"\x07MESSAGE");
    push.send("good").expect("queued");
    forward(&mut |bytes| is_message(bytes));
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "good");
    push.send("altered").expect("queued");
    forward(&mut |bytes| {
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        is_message(bytes)
    });
    let bad_box = ProtocolError::BadBox { command: "MESSAGE" };
    assert_eq!(wait_for_end(&monitor), DisconnectCause::Protocol(bad_box));
    assert!(pull.try_recv().is_err());
}

/// A server's key that is not there, or options of both sides at once, are errors and no handshake that never ends.
#[test]
fn options_that_do_not_go_together_are_refused() {
    let (server, other) = (keys(), keys());
    let refused = |options: Options| match Pull::with_options(&Context::new(), options) {
        Err(SocketError::Option(error)) => {
            let text = error.to_string();
            assert!(!text.contains(&server.secret().to_z85()), "{text}");
            error.option().to_owned()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Options::new().curve_server(true)),
        "curve_secretkey"
    );
    let secret = server.secret().clone();
    let only = Options::new().curve_secretkey(secret.clone());
    assert_eq!(refused(only.clone()), "curve_serverkey");
    assert_eq!(
        refused(Options::new().curve_serverkey(server.public())),
        "curve_secretkey"
    );
    let both = Options::new()
        .curve_server(&server)
        .curve_serverkey(other.public());
    assert_eq!(refused(both), "curve_serverkey");
    let wrong = only
        .clone()
        .curve_server(true)
        .curve_publickey(other.public());
    assert_eq!(refused(wrong), "curve_publickey");
    let plain = Options::new().curve_server(&server).plain_server(true);
    assert_eq!(refused(plain), "curve_secretkey");
    for allow in [Allow::new().user("alice", "tiger"), Allow::new().uid(0)] {
        let nobody = Options::new().curve_server(&server).allow(allow);
        assert_eq!(refused(nobody), "allow");
    }
    let not_asked = Options::new().curve_client(&other, server.public());
    assert_eq!(refused(not_asked.allow([server.public()])), "allow");
    let good = only.curve_server(true).curve_publickey(server.public());
    assert!(Pull::with_options(&Context::new(), good).is_ok());
    let shown = format!("{:?}", Options::new().curve_server(&server));
    assert!(
        !shown.contains(&server.secret().to_z85()) && !shown.contains(&server.secret().to_hex())
    );
    let mut by_name = Options::new();
    by_name
        .set("curve_secretkey", &secret.to_z85())
        .expect("a key");
    by_name.set("curve_server", "true").expect("a choice");
    assert_eq!(by_name.get("curve_secretkey").as_deref(), Some("***"));
    assert!(by_name.validate().is_ok());
    let error = by_name
        .set("curve_secretkey", &secret.to_z85()[1..])
        .expect_err("too short");
    assert!(
        !error.to_string().contains(&secret.to_z85()[1..]),
        "{error}"
    );
}

/// Whatever the type of the socket, and before it has an endpoint.
#[test]
fn every_type_of_socket_checks_its_options() {
    let context = Context::new();
    let wrong = || Options::new().curve_server(true);
    assert!(wrong().validate().is_err());
    macro_rules! refuse {
        ($($socket:ident)+) => {$(
            assert!(
                matches!($socket::with_options(&context, wrong()), Err(SocketError::Option(_))),
                stringify!($socket)
            );
        )+};
    }
    refuse!(Push Pull Pub Sub Req Rep Dealer Router Pair Xpub Xsub);
    refuse!(Client Server Peer Scatter Gather Channel Radio Dish);
}

/// Within the process there is no wire, and no CURVE.
#[test]
fn inproc_needs_no_keys() {
    let context = Context::new();
    let (ours, _) = both();
    let pull = Pull::with_options(&context, ours).expect("a PULL");
    pull.bind("inproc://clear").expect("bound");
    let push = Push::new(&context).expect("a PUSH");
    push.connect("inproc://clear").expect("connected");
    push.send("hello").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "hello");
}

/// A port of all the world, as it has keys.
#[test]
fn a_server_with_keys_may_listen_to_the_world() {
    let (ours, _) = both();
    let pull = Pull::with_options(&Context::new(), ours).expect("a PULL");
    assert!(pull.bind("tcp://*:*").is_ok());
}
