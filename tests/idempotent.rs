//! Requests that are sent again when their server dies, and that each server works on once.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod raw;
    pub(crate) mod relay;
    pub(crate) mod until;
}

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use zerohop::{
    Allow, Context, DisconnectCause, Event, Idempotent, Monitor, Options, PeerRefusal, Rep,
    ReplyErrorKind, Req, Request, RequestError, SocketError,
};

use common::block_on::block_on;
use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::raw::{self, MORE, RawPeer, command, frame, greeting, property};
use common::relay::Relay;
use common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

fn options(idempotent: Idempotent) -> Options {
    Options::new()
        .idempotent(idempotent)
        .reconnect_interval(Duration::from_millis(10))
        .reconnect_interval_max(None)
}

fn server(context: &Context, idempotent: Idempotent) -> (Rep, String) {
    let rep = Rep::with_options(context, options(idempotent)).expect("a REP");
    let endpoint = rep.bind(ANY_PORT).expect("bound").to_string();
    (rep, endpoint)
}

/// A REQ that is connected to all of them.
fn client(context: &Context, idempotent: Idempotent, endpoints: &[&str]) -> Req {
    let req = Req::with_options(context, options(idempotent)).expect("a REQ");
    for endpoint in endpoints {
        req.connect(*endpoint).expect("connected");
    }
    req.wait_for_peers(endpoints.len(), DEADLINE)
        .expect("connected");
    req
}

fn request(rep: &Rep) -> Request {
    rep.recv_timeout(DEADLINE).expect("a request")
}

/// Whichever of two servers gets a request, with the other one.
fn first_of(servers: [Rep; 2]) -> (Request, Rep, Rep) {
    let [one, other] = servers;
    let (request, is_one) = until("one of them has it", || {
        if let Ok(request) = one.recv_timeout(GLANCE) {
            return Some((request, true));
        }
        Some((other.recv_timeout(GLANCE).ok()?, false))
    });
    match is_one {
        true => (request, one, other),
        false => (request, other, one),
    }
}

#[test]
fn a_request_goes_to_another_server_when_one_dies() {
    let context = Context::new();
    for in_a_task in [false, true] {
        let (one, one_at) = server(&context, Idempotent::new());
        let (other, other_at) = server(&context, Idempotent::new());
        let req = client(&context, Idempotent::new(), &[&one_at, &other_at]);
        thread::scope(|scope| {
            let asking = scope.spawn(|| match in_a_task {
                true => block_on(req.request_async("price of 42?")),
                false => req.request_timeout("price of 42?", DEADLINE),
            });
            let (held, dies, lives) = first_of([one, other]);
            assert_eq!(*held.message(), "price of 42?");
            drop(dies);
            let again = request(&lives);
            assert_eq!(again.message(), held.message());
            again.reply("9.99").expect("sent");
            assert_eq!(asking.join().expect("no panic").expect("a reply"), "9.99");
        });
        assert_eq!(req.stats().delivery.retried, 1);
    }
}

/// What a server was asked while it worked on it, and after it had replied, it does not work on again.
#[test]
fn a_cut_connection_makes_no_server_work_twice() {
    let context = Context::new();
    let (rep, endpoint) = server(&context, Idempotent::new());
    let relay = Relay::to(&endpoint);
    let req = client(&context, Idempotent::new(), &[&relay.address]);
    let cut = || {
        let before = req.stats().reconnects;
        assert!(relay.cut() > 0);
        until("it is connected again", || {
            thread::sleep(Duration::from_millis(1));
            (req.stats().reconnects > before && !req.stats().peers.is_empty()).then_some(())
        });
    };
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("while it works", DEADLINE));
        let held = request(&rep);
        cut();
        // It is passed over: the request that is held is it.
        assert!(rep.recv_timeout(GLANCE).is_err());
        until("it has come again", || {
            assert!(rep.recv_timeout(GLANCE).is_err());
            (rep.stats().delivery.retried == 1).then_some(())
        });
        held.reply("done").expect("sent by the new connection");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "done");
    });
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("replied into the void", DEADLINE));
        let held = request(&rep);
        // The REQ sends it again; until that is read, nobody knows where it is.
        cut();
        held.reply("kept").expect("it is remembered");
        until("it is answered from memory", || {
            assert!(rep.recv_timeout(GLANCE).is_err());
            asking.is_finished().then_some(())
        });
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "kept");
    });
    assert_eq!(rep.stats().delivery.retried, 2);
    assert_eq!(req.stats().delivery.retried, 2);
}

/// A thousand requests are answered at once when their connection is back: more than a queue takes.
#[test]
fn more_replies_are_remembered_than_a_queue_takes() {
    const REQUESTS: usize = 300;
    let context = Context::new();
    let rep = Rep::with_options(&context, options(Idempotent::new()).send_hwm(10)).expect("a REP");
    let relay = Relay::to(&rep.bind(ANY_PORT).expect("bound").to_string());
    let req = client(&context, Idempotent::new(), &[&relay.address]);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..REQUESTS)
            .map(|number| {
                let req = &req;
                scope.spawn(move || req.request_timeout(number.to_string(), DEADLINE))
            })
            .collect();
        let held: Vec<Request> = (0..REQUESTS).map(|_| request(&rep)).collect();
        relay.cut();
        // There may be no connection at all for a moment, an old one, or a new one whose queue is full.
        for request in held {
            let reply = request.message().clone();
            if let Err(error) = request.reply(reply) {
                assert_eq!(error.kind(), ReplyErrorKind::WouldBlock);
            }
        }
        relay.cut();
        until("all is answered from memory", || {
            let taken = rep.recv_timeout(GLANCE).ok();
            assert!(taken.is_none(), "{taken:?} was asked twice");
            asking
                .iter()
                .all(|asking| asking.is_finished())
                .then_some(())
        });
        for (number, asking) in asking.into_iter().enumerate() {
            let reply = asking.join().expect("no panic").expect("a reply");
            assert_eq!(reply, number.to_string());
        }
    });
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    let context = Context::new();
    let (one, one_at) = server(&context, Idempotent::new());
    let (other, other_at) = server(&context, Idempotent::new());
    let impatient = Idempotent::new().attempt_timeout(Duration::from_millis(20));
    let req = client(&context, impatient, &[&one_at, &other_at]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("price?", DEADLINE));
        let (held, hangs, works) = first_of([one, other]);
        request(&works).reply("9.99").expect("sent");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "9.99");
        // Too late, and nobody's.
        held.reply("8.88").expect("sent");
        let asking = scope.spawn(|| req.request_timeout("and now?", DEADLINE));
        let (held, again, _other) = first_of([hangs, works]);
        // It goes on to ask, and whoever has it may still be the first to reply.
        until("others are asked", || {
            assert!(
                again.recv_timeout(GLANCE).is_err(),
                "it works on it already"
            );
            (req.stats().delivery.retried >= 3).then_some(())
        });
        held.reply("7.77").expect("sent");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "7.77");
    });
}

#[test]
fn a_request_that_servers_die_of_comes_to_an_end() {
    let context = Context::new();
    let (rep, endpoint) = server(&context, Idempotent::new());
    let relay = Relay::to(&endpoint);
    let req = client(&context, Idempotent::new().limit(2), &[&relay.address]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("poison", DEADLINE));
        for _ in 0..2 {
            // Dropped, it is a new one when it comes again.
            drop(request(&rep));
            assert!(relay.cut() > 0);
        }
        let error = asking.join().expect("no panic").expect_err("given up");
        assert!(matches!(error, RequestError::PeerGone), "{error:?}");
    });
}

/// A request waits for a server that is there, and what has not left is given back.
#[test]
fn a_request_is_sent_to_nobody_who_is_not_there() {
    let context = Context::new();
    let req = Req::with_options(&context, options(Idempotent::new())).expect("a REQ");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    req.connect(&*address).expect("it is tried");
    let error = req.request_timeout("price?", GLANCE).expect_err("nobody");
    assert!(matches!(error, RequestError::Send(_)), "{error:?}");
    let (rep, endpoint) = server(&context, Idempotent::new());
    req.connect(&*endpoint).expect("connected");
    thread::scope(|scope| {
        scope.spawn(|| request(&rep).reply("9.99").expect("sent"));
        let reply = req.request_timeout("price?", DEADLINE);
        assert_eq!(reply.expect("a reply"), "9.99");
    });
}

fn say_hello(peer: &mut RawPeer, socket_type: &str, idempotent: &[u8]) -> (u8, Vec<u8>) {
    peer.write(&greeting(1, "NULL"));
    let properties = [
        property("Socket-Type", socket_type.as_bytes()),
        property("Idempotent", idempotent),
    ];
    peer.write(&command("READY", &properties.concat()));
    peer.read(64);
    peer.read_frame()
}

fn numbered(number: u64, body: &[u8]) -> Vec<u8> {
    let id = number.to_be_bytes();
    [frame(MORE, &id), frame(MORE, b""), frame(0, body)].concat()
}

fn read_message(peer: &mut RawPeer) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let (flags, body) = peer.read_frame();
        frames.push(body);
        if flags & MORE == 0 {
            return frames;
        }
    }
}

/// The bytes on the wire, of a REQ that comes back; and what a stranger can do with its name where nobody shows who it is.
#[test]
fn a_request_is_known_by_name_and_number() {
    let context = Context::new();
    let (rep, endpoint) = server(&context, Idempotent::new());
    let hello = &b"\x01sixteen bytes id"[..];
    let ask = |id: &[u8], request: &[u8]| {
        let mut peer = RawPeer::connect(&endpoint);
        say_hello(&mut peer, "REQ", id);
        peer.write(request);
        peer
    };
    let mut first = ask(hello, &numbered(7, b"price?"));
    let held = request(&rep);
    assert_eq!(*held.message(), "price?");
    held.reply("9.99").expect("sent");
    let reply = [&7_u64.to_be_bytes()[..], b"", b"9.99"];
    assert_eq!(read_message(&mut first), reply);
    drop(first);

    // Anyone who knows the name is it: here a body that is another changes nothing.
    let mut again = ask(hello, &numbered(7, b"something else?"));
    until("answered from memory", || {
        assert!(rep.recv_timeout(GLANCE).is_err());
        (rep.stats().delivery.retried == 1).then_some(())
    });
    assert_eq!(read_message(&mut again), reply);

    // Another name, another number, and one that has none, are new.
    for (id, bytes) in [
        (&b"\x01some other name."[..], numbered(7, b"a")),
        (hello, numbered(8, b"b")),
        (
            hello,
            [frame(MORE, b"4byt"), frame(MORE, b""), frame(0, b"c")].concat(),
        ),
        (hello, [frame(MORE, b""), frame(0, b"d")].concat()),
    ] {
        for _ in 0..2 {
            let _peer = ask(id, &bytes);
            let fresh = request(&rep);
            assert_eq!(fresh.message().size(), 1);
            drop(fresh);
        }
    }
    assert_eq!(rep.stats().delivery.retried, 1);
}

/// Where peers show who they are, the name of another is of no use.
#[test]
fn a_name_goes_with_its_user() {
    let context = Context::new();
    let users = Allow::new().user("ann", "1").user("bob", "2");
    let options = options(Idempotent::new()).plain_server(true).allow(users);
    let rep = Rep::with_options(&context, options).expect("a REP");
    let endpoint = rep.bind(ANY_PORT).expect("bound").to_string();
    let ask = |credentials: &[u8]| {
        let mut peer = RawPeer::connect(&endpoint);
        peer.write(&greeting(1, "PLAIN"));
        peer.write(&command("HELLO", credentials));
        let properties = [
            property("Socket-Type", b"REQ"),
            property("Idempotent", b"\x01sixteen bytes id"),
        ];
        peer.write(&command("INITIATE", &properties.concat()));
        peer.write(&numbered(7, b"price?"));
        peer.read(64);
        assert!(peer.read_frame().1.ends_with(b"WELCOME"));
        assert!(peer.read_frame().1.starts_with(b"\x05READY"));
        peer
    };
    let (ann, bob) = (b"\x03ann\x011", b"\x03bob\x012");
    for (user, reply) in [(ann, &b"for ann"[..]), (bob, b"for bob")] {
        let mut peer = ask(user);
        request(&rep).reply(reply).expect("sent");
        assert_eq!(read_message(&mut peer)[2], reply);
    }
    for (user, reply) in [(ann, &b"for ann"[..]), (bob, b"for bob")] {
        let mut peer = ask(user);
        let before = rep.stats().delivery.retried;
        until("answered from memory", || {
            assert!(rep.recv_timeout(GLANCE).is_err());
            (rep.stats().delivery.retried > before).then_some(())
        });
        assert_eq!(read_message(&mut peer)[2], reply);
    }
}

/// To a peer that does not know it, it is plain ZeroMQ: a request id is a frame, which comes back.
#[test]
fn peers_without_it_see_plain_requests() {
    let context = Context::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let req = Req::with_options(&context, options(Idempotent::new())).expect("a REQ");
    let monitor = req.monitor();
    req.connect(&*address).expect("connected");
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("price?", DEADLINE));
        let mut peer = RawPeer::accept(&listener);
        let (flags, hello) = peer.shake_hands(1, "REP");
        assert_eq!(flags, raw::COMMAND);
        let property = b"\x0aIdempotent\0\0\0\x11\x01";
        let at = hello.windows(property.len()).position(|w| w == property);
        assert_eq!(at.map(|at| at + property.len() + 16), Some(hello.len()));
        let first = read_message(&mut peer);
        assert_eq!(first.len(), 3);
        assert_eq!((first[0].len(), &first[1][..]), (8, &b""[..]));
        assert_eq!(first[2], b"price?");
        drop(peer);
        let mut peer = RawPeer::accept(&listener);
        peer.shake_hands(0, "REP");
        let again = read_message(&mut peer);
        assert_eq!(again, first, "it keeps its number");
        let reply = [frame(MORE, &again[0]), frame(MORE, b""), frame(0, b"9.99")];
        peer.write(&reply.concat());
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "9.99");
    });
    wait_for_plain(&monitor);

    let (rep, endpoint) = server(&context, Idempotent::new());
    let monitor = rep.monitor();
    let mut peer = RawPeer::connect(&endpoint);
    let (_, hello) = peer.shake_hands(1, "REQ");
    assert!(hello.ends_with(b"\x0aIdempotent\0\0\0\x01\x01"));
    wait_for_plain(&monitor);
    for _ in 0..2 {
        peer.write(&numbered(1, b"x"));
        request(&rep).reply("y").expect("sent");
        assert_eq!(read_message(&mut peer)[2], b"y");
    }
}

fn wait_for_plain(monitor: &Monitor) {
    loop {
        match monitor.recv_timeout(DEADLINE) {
            Ok(Event::Unacknowledged { .. }) => return,
            Ok(_) => {}
            Err(error) => panic!("nothing was said of it: {error}"),
        }
    }
}

#[test]
fn peers_without_it_are_refused_where_it_is_required() {
    let context = Context::new();
    let required = || Idempotent::new().required();
    let (rep, rep_at) = server(&context, required());
    let req = Req::with_options(&context, options(required())).expect("a REQ");
    let req_at = req.bind(ANY_PORT).expect("bound").to_string();
    for (monitor, endpoint, theirs, malformed) in [
        (rep.monitor(), &rep_at, "REQ", &b"\x01too short"[..]),
        (req.monitor(), &req_at, "REP", b"\0"),
    ] {
        let mut peer = RawPeer::connect(endpoint);
        peer.shake_hands(1, theirs);
        let cause = DisconnectCause::Refused(PeerRefusal::NotIdempotent);
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
        let mut peer = RawPeer::connect(endpoint);
        say_hello(&mut peer, theirs, malformed);
        let cause = DisconnectCause::Refused(PeerRefusal::MalformedDelivery);
        assert_eq!(wait_for_end(&monitor), cause);
    }
    req.connect(&*rep_at).expect("connected");
    thread::scope(|scope| {
        scope.spawn(|| request(&rep).reply("9.99").expect("sent"));
        let reply = req.request_timeout("price?", DEADLINE);
        assert_eq!(reply.expect("a reply"), "9.99");
    });
}

#[test]
fn what_contradicts_it_is_refused() {
    let context = Context::new();
    let plain = || options(Idempotent::new());
    for (options, name) in [
        (plain().req_relaxed(false), "req_relaxed"),
        (plain().req_correlate(false), "req_correlate"),
    ] {
        let Err(SocketError::Option(error)) = Req::with_options(&context, options) else {
            panic!("{name} is taken");
        };
        assert_eq!(error.option(), name);
    }
}

/// The endpoint that a child process serves at.
const SERVES: &str = "ZEROHOP_TEST_IDEMPOTENT";

#[test]
fn child_that_serves_until_it_is_killed() {
    let Ok(endpoint) = env::var(SERVES) else {
        return;
    };
    let rep = Rep::with_options(&Context::new(), options(Idempotent::new())).expect("a REP");
    rep.connect(&*endpoint).expect("connected");
    let mut out = std::io::stdout();
    loop {
        let request = rep.recv().expect("a request");
        let text = request.message().to_str().expect("text");
        writeln!(out, "\nHAS {text}").expect("a parent that reads");
        // It never gets further.
        std::mem::forget(request);
    }
}

/// Servers are processes, which connect to a REQ, and are killed in the middle of their work.
#[test]
fn requests_survive_killed_processes() {
    let context = Context::new();
    let req = Req::with_options(&context, options(Idempotent::new())).expect("a REQ");
    let endpoint = req.bind(ANY_PORT).expect("bound").to_string();
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("price?", DEADLINE));
        for _ in 0..3 {
            let mut child = Command::new(env::current_exe().expect("this program"))
                .args(["--exact", "child_that_serves_until_it_is_killed"])
                .arg("--nocapture")
                .env(SERVES, &endpoint)
                .stdout(Stdio::piped())
                .spawn()
                .expect("a child");
            let out = child.stdout.take().expect("its output");
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let has = lines.any(|line| line == "HAS price?");
            child.kill().expect("killed");
            child.wait().expect("its end");
            assert!(has, "it ended before it was asked");
        }
        let rep = Rep::with_options(&context, options(Idempotent::new())).expect("a REP");
        rep.connect(&*endpoint).expect("connected");
        request(&rep).reply("9.99").expect("sent");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "9.99");
    });
    assert_eq!(req.stats().delivery.retried, 3);
}
