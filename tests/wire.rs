//! What goes over the wire, byte by byte, with peers of every version zerohop talks to.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod raw;
}

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Channel, Client, Context, Dealer, DisconnectCause, Dish, Event, Gather, Message, Options, Peer,
    ProtocolError, Pub, Pull, Push, Radio, Rep, Req, RequestError, Retry, Router, Scatter, Server,
    Sub,
};

use common::block_on::block_on;
use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::raw::{COMMAND, LONG, MORE, RawPeer, command, frame, greeting, property, ready};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

#[test]
fn push_writes_canonical_frames() {
    let push = Push::new(&Context::new()).expect("a PUSH");
    let mut raw = RawPeer::connect(&push.bind(ANY_PORT).expect("bound").to_string());
    assert_eq!(
        raw.shake_hands(1, "PULL"),
        (COMMAND, ready("PUSH")[2..].to_vec())
    );

    push.send_timeout("hello", DEADLINE).expect("sent");
    assert_eq!(raw.read(7), b"\x00\x05hello");
    push.send_timeout(["a", "", "bc"], DEADLINE).expect("sent");
    assert_eq!(raw.read(9), b"\x01\x01a\x01\x00\x00\x02bc");
    push.send_timeout(vec![b'x'; 255], DEADLINE).expect("sent");
    assert_eq!(raw.read(257)[..3], [0, 255, b'x']);
    push.send_timeout(vec![b'y'; 256], DEADLINE).expect("sent");
    assert_eq!(raw.read(265)[..10], [LONG, 0, 0, 0, 0, 0, 0, 1, 0, b'y']);
}

#[test]
fn pull_reads_every_frame_form() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    let properties = [
        property("Socket-Type", b"PULL"),
        property("Max-Message-Size", b"268435456"),
        property("Max-Parts", b"4096"),
    ]
    .concat();
    assert_eq!(
        raw.shake_hands(1, "PUSH"),
        (COMMAND, command("READY", &properties)[2..].to_vec())
    );
    raw.write(&conversation());
    assert_conversation(&pull);
}

/// What is limited is announced, and what is not is not; peers of ZMTP 3.0 are told the same.
#[test]
fn limits_are_announced() {
    for minor in [0, 1] {
        let context = Context::new();
        let options = Options::new().max_message_size(None).max_parts(7);
        let pull = Pull::with_options(&context, options).expect("a PULL");
        let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
        let properties = [
            property("Socket-Type", b"PULL"),
            property("Max-Parts", b"7"),
        ]
        .concat();
        let (_, body) = raw.shake_hands(minor, "PUSH");
        assert_eq!(body, command("READY", &properties)[2..]);

        let publisher = Pub::new(&context).expect("a PUB");
        let mut raw = RawPeer::connect(&publisher.bind(ANY_PORT).expect("bound").to_string());
        let properties = [
            property("Socket-Type", b"PUB"),
            property("Max-Subscription-Length", b"4096"),
            property("Max-Subscriptions", b"250000"),
        ]
        .concat();
        let (_, body) = raw.shake_hands(minor, "SUB");
        assert_eq!(body, command("READY", &properties)[2..]);
    }
}

#[test]
fn pull_reads_a_conversation_byte_by_byte() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    for byte in [greeting(1, "NULL"), ready("PUSH"), conversation()].concat() {
        raw.write(&[byte]);
    }
    assert_conversation(&pull);
}

/// A reader that is full answers a peer that asks, as long as there is not much before the question.
#[test]
fn pull_answers_pings_a_little_beyond_its_mark() {
    const MARK: usize = 2;
    let options = Options::new().recv_hwm(MARK);
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "PUSH");
    let mut ask = |messages: &[u8]| {
        raw.write(messages);
        raw.write(&command("PING", b"\0\0"));
        assert_eq!(raw.read_frame().1, b"\x04PONG");
    };
    ask(b"");
    for _ in 0..10 {
        ask(&frame(0, b"more"));
    }
    assert_eq!(pull.stats().peers[0].queued_in, 10, "nobody has received");
    // And it does not read on for ever.
    let flood = frame(0, &[b'x'; 1000]).repeat(16 * 1024);
    std::thread::scope(|scope| {
        scope.spawn(|| raw.pour(&flood));
        let queued = || pull.stats().peers[0].queued_in;
        let mut before = 0;
        // Once it reads no more, looking again finds the same.
        let mut same = 0;
        while same < 20 {
            let now = queued();
            same = if now == before { same + 1 } else { 0 };
            before = now;
            let waited = pull.wait_for_peers(2, Duration::from_millis(20));
            assert!(waited.is_err(), "there is one peer");
        }
        assert!(before < 200, "{before} messages of 1000 bytes were read");
        pull.shutdown();
    });
}

/// Frames in every form a peer may choose, with commands a PULL has no use for between them.
fn conversation() -> Vec<u8> {
    [
        frame(0, b"short"),
        b"\x02\0\0\0\0\0\0\0\x04long".to_vec(),
        frame(MORE, b""),
        frame(MORE, &[b'x'; 300]),
        command("UNHEARD", b"of"),
        frame(0, b"end"),
        frame(COMMAND, b""),
        frame(0, b""),
    ]
    .concat()
}

fn assert_conversation(pull: &Pull) {
    let next = || pull.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(next(), b"short");
    assert_eq!(next(), b"long");
    let multipart = next();
    assert_eq!(multipart.parts(), 3);
    assert_eq!(multipart.get(0).expect("a frame"), &b"");
    assert_eq!(multipart.get(1).expect("a frame"), &[b'x'; 300]);
    assert_eq!(multipart.get(2).expect("a frame"), &b"end");
    assert_eq!(next(), b"");
}

#[test]
fn pull_discards_half_a_message() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    for cut_off in [
        frame(MORE, b"first of two"),
        b"\x00\x05hell".to_vec(),
        b"\x02\0\0".to_vec(),
    ] {
        let mut raw = RawPeer::connect(&endpoint);
        raw.shake_hands(1, "PUSH");
        raw.write(&frame(0, b"whole"));
        raw.write(&cut_off);
    }
    let mut raw = RawPeer::connect(&endpoint);
    raw.shake_hands(1, "PUSH");
    raw.write(&frame(0, b"whole"));
    for _ in 0..4 {
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), b"whole");
    }
}

/// The end of a stream may come in one piece with the bytes before it. It is noticed then, too, and not only when the time for the
/// handshake is over; what came whole before it is received.
#[test]
fn an_end_right_behind_other_bytes_is_noticed() {
    let context = Context::new();
    let whole = [greeting(1, "NULL"), ready("PUSH"), frame(0, b"whole")].concat();
    for accepts in [true, false] {
        for length in [0, 11, 64, whole.len() - 7, whole.len()] {
            for _ in 0..10 {
                let options = Options::new().handshake_timeout(None);
                let pull = Pull::with_options(&context, options).expect("a PULL");
                let monitor = pull.monitor();
                let mut stream = match accepts {
                    true => {
                        let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
                        let address = endpoint.strip_prefix("tcp://").expect("tcp");
                        TcpStream::connect(address).expect("the socket accepts")
                    }
                    false => {
                        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                        pull.connect(endpoint_of(&listener)).expect("dialed");
                        listener.accept().expect("the socket connects").0
                    }
                };
                stream.write_all(&whole[..length]).expect("written");
                stream.shutdown(Shutdown::Write).expect("shut down");

                assert_eq!(wait_for_end(&monitor), DisconnectCause::PeerClosed);
                if length == whole.len() {
                    assert_eq!(pull.recv_timeout(DEADLINE).expect("received"), "whole");
                }
            }
        }
    }
}

#[test]
fn req_frames_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // It goes before its peer does.
    let options = Options::new().req_correlate(false).linger(Duration::ZERO);
    let req = Req::with_options(&Context::new(), options).expect("a REQ");
    req.connect(endpoint_of(&listener)).expect("connected");
    let asking = thread::spawn(move || req.request_timeout("hello", DEADLINE));

    let mut raw = RawPeer::accept(&listener);
    let properties = [
        property("Socket-Type", b"REQ"),
        property("Identity", b""),
        property("Max-Message-Size", b"268435456"),
        property("Max-Parts", b"4096"),
    ]
    .concat();
    assert_eq!(
        raw.shake_hands(1, "REP"),
        (COMMAND, command("READY", &properties)[2..].to_vec())
    );
    assert_eq!(raw.read(9), b"\x01\x00\x00\x05hello");
    raw.write(b"\x01\x00\x00\x05world");
    let reply = asking.join().expect("the asking thread").expect("a reply");
    assert_eq!(reply, b"world");
}

#[test]
fn req_skips_replies_to_other_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // It goes before its peer does.
    let options = Options::new().linger(Duration::ZERO);
    let req = Req::with_options(&Context::new(), options).expect("a REQ");
    req.connect(endpoint_of(&listener)).expect("connected");
    let asking = thread::spawn(move || req.request_timeout("hello", DEADLINE));

    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "REP");
    let (flags, number) = raw.read_frame();
    assert_eq!((flags, number.len()), (MORE, 4));
    assert_eq!(raw.read(9), b"\x01\x00\x00\x05hello");
    let other: Vec<u8> = number.iter().map(|byte| !byte).collect();
    raw.write(&[frame(MORE, &other), frame(MORE, b""), frame(0, b"not this")].concat());
    raw.write(&[frame(MORE, &number), frame(MORE, b""), frame(0, b"this")].concat());
    let reply = asking.join().expect("the asking thread").expect("a reply");
    assert_eq!(reply, b"this");
}

/// Without ids a reply is one to the request under way. What a server has sent before that was written, as it answers twice or late, is
/// none, though it is still with the system: whatever call asks, and also where it is long.
#[test]
fn req_without_ids_takes_no_reply_that_was_there_before() {
    type Ask = fn(&Req) -> Result<Message, RequestError>;
    let ways: [Ask; 4] = [
        |req| req.request_timeout("next", DEADLINE),
        |req| req.request("next"),
        |req| block_on(req.request_async("next")),
        |req| req.ask().deadline(DEADLINE).request("next"),
    ];
    let options = Options::new().req_correlate(false).recv_timeout(DEADLINE);
    let (req, mut raw) = req_over_ipc(options);
    let mut stale = 0;
    for (round, ask) in (0..25).flat_map(|round| ways.map(|ask| (round, ask))) {
        // Written to such a connection is with the system of the other side.
        let length = if round % 8 == 7 { 100_000 } else { 5 };
        for _ in 0..=round % 3 {
            raw.write(&[frame(MORE, b""), frame(0, &vec![b'x'; length])].concat());
            stale += 1;
        }
        let reply = thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(raw.read(8), b"\x01\x00\x00\x04next");
                raw.write(b"\x01\x00\x00\x04good");
            });
            ask(&req)
        });
        assert_eq!(reply.expect("a reply"), *"good", "round {round}");
        assert_eq!(req.stats().dropped.unexpected, stale);
    }
}

/// The same for the second attempt of a request.
#[test]
fn req_without_ids_takes_no_such_reply_for_one_to_another_attempt() {
    let options = Options::new().req_correlate(false);
    let (req, first) = req_over_ipc(options);
    let endpoint = req.last_endpoint().expect("bound").to_string();
    let mut raws = [first, RawPeer::connect(&endpoint)];
    raws[1].shake_hands(1, "REP");
    req.wait_for_peers(2, DEADLINE).expect("both");
    for round in 0..20 {
        for raw in &mut raws {
            raw.write(b"\x01\x00\x00\x05stale");
        }
        let hung = AtomicBool::new(false);
        let reply = thread::scope(|scope| {
            for raw in &mut raws {
                scope.spawn(|| {
                    assert_eq!(raw.read(8), b"\x01\x00\x00\x04next");
                    // Whoever is asked first answers too late.
                    if hung.swap(true, Ordering::SeqCst) {
                        raw.write(b"\x01\x00\x00\x04good");
                    }
                });
            }
            let retry = Retry::attempts(2).each(PATIENCE);
            req.ask().deadline(DEADLINE).retry(retry).request("next")
        });
        match reply {
            Ok(reply) => assert_eq!(reply, *"good", "round {round}"),
            // On a machine that is slow.
            Err(error) => assert!(error.is_timed_out(), "{error:?}"),
        }
        for raw in &mut raws {
            raw.write(b"\x01\x00\x00\x04late");
        }
    }
}

/// In strict mode a late reply that is with the system no longer stands in the way of the next request.
#[test]
fn strict_req_finds_a_late_reply_that_is_there() {
    for correlate in [false, true] {
        let options = Options::new().req_relaxed(false).req_correlate(correlate);
        let (req, mut raw) = req_over_ipc(options);
        for round in 0..20 {
            let late = req.request_timeout("late", PATIENCE);
            assert!(matches!(late, Err(RequestError::TimedOut)), "{late:?}");
            let (id, _) = read_request_of(&mut raw, correlate);
            let refused = req.request_timeout("early", DEADLINE);
            assert!(matches!(refused, Err(RequestError::Send(_))), "{refused:?}");
            raw.write(&[id, frame(0, b"too late")].concat());
            let reply = thread::scope(|scope| {
                scope.spawn(|| {
                    let (id, body) = read_request_of(&mut raw, correlate);
                    assert_eq!(body, b"next");
                    raw.write(&[id, frame(0, b"good")].concat());
                });
                req.request_timeout("next", DEADLINE)
            });
            assert_eq!(reply.expect("a reply"), *"good", "round {round}");
        }
    }
}

/// A REQ, and a server that is connected to it.
fn req_over_ipc(options: Options) -> (Req, RawPeer) {
    // It goes before its peer does.
    let options = options.linger(Duration::ZERO);
    let req = Req::with_options(&Context::new(), options).expect("a REQ");
    let mut raw = RawPeer::connect(&req.bind("ipc://*").expect("bound").to_string());
    raw.shake_hands(1, "REP");
    req.wait_for_peers(1, DEADLINE).expect("a peer");
    (req, raw)
}

/// Reads a request: what a reply begins with, and its body.
fn read_request_of(raw: &mut RawPeer, correlate: bool) -> (Vec<u8>, Vec<u8>) {
    let mut start = Vec::new();
    for _ in 0..1 + usize::from(correlate) {
        let (flags, body) = raw.read_frame();
        assert_eq!(flags, MORE);
        start.extend(frame(MORE, &body));
    }
    (start, raw.read_frame().1)
}

/// A request is too large for the system's buffers, and its caller gives up while the server has read half of it. The rest
/// follows, since the connection would be of no use otherwise; a reply is dropped.
#[test]
fn what_timed_out_half_written_is_finished_and_its_reply_dropped() {
    let (req, listener, body) = req_that_asks_too_much();
    let mut raw = accept_rep(&req, &listener);
    let none = req.request_timeout(&body, PATIENCE);
    assert!(matches!(none, Err(RequestError::TimedOut)), "{none:?}");
    // What is queued behind it has not left, and does not.
    let none = req.request_timeout("also late", Duration::ZERO);
    assert!(matches!(none, Err(RequestError::Send(_))), "{none:?}");
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("fresh", DEADLINE));
        let (id, late) = read_request(&mut raw);
        assert!(late == body, "the request is whole");
        raw.write(&[frame(MORE, &id), frame(MORE, b""), frame(0, b"late")].concat());
        let (id, fresh) = read_request(&mut raw);
        assert_eq!(fresh, b"fresh");
        raw.write(&[frame(MORE, &id), frame(MORE, b""), frame(0, b"answer")].concat());
        let reply = asking.join().expect("the asking thread");
        assert_eq!(reply.expect("a reply"), *"answer");
    });
    let dropped = req.stats().dropped;
    assert_eq!((dropped.withdrawn, dropped.unexpected), (1, 1));
}

/// The same, but then the connection breaks: the request does not leave by the next one, and `close` does not wait for it.
#[test]
fn what_timed_out_half_written_is_not_sent_again() {
    let (req, listener, body) = req_that_asks_too_much();
    let raw = accept_rep(&req, &listener);
    let none = req.request_timeout(&body, PATIENCE);
    assert!(matches!(none, Err(RequestError::TimedOut)), "{none:?}");
    let monitor = req.monitor();
    drop(raw);
    wait_for_end(&monitor);
    assert_eq!(req.stats().dropped.withdrawn, 1);
    let mut raw = accept_rep(&req, &listener);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (id, fresh) = read_request(&mut raw);
            assert_eq!(fresh, b"fresh");
            raw.write(&[frame(MORE, &id), frame(MORE, b""), frame(0, b"answer")].concat());
        });
        let reply = req.request_timeout("fresh", DEADLINE).expect("a reply");
        assert_eq!(reply, *"answer");
    });
    let monitor = req.monitor();
    drop(raw);
    wait_for_end(&monitor);
    let raw = accept_rep(&req, &listener);
    let none = req.request_timeout(&body, PATIENCE);
    assert!(matches!(none, Err(RequestError::TimedOut)), "{none:?}");
    let start = Instant::now();
    req.close(DEADLINE).expect("nothing that anybody waits for");
    assert!(start.elapsed() < DEADLINE, "waited out");
    drop(raw);
}

/// On a connection that is there a request begins to leave at once.
const PATIENCE: Duration = Duration::from_millis(50);

/// A REQ that is about to connect, and a body that is larger than all buffers between it and the server.
fn req_that_asks_too_much() -> (Req, TcpListener, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = Options::new().reconnect_interval(Duration::from_millis(5));
    let req = Req::with_options(&Context::new(), options).expect("a REQ");
    req.connect(endpoint_of(&listener)).expect("connected");
    (req, listener, vec![b'x'; 32 << 20])
}

/// Takes the connection that a REQ makes, and waits until it knows.
fn accept_rep(req: &Req, listener: &TcpListener) -> RawPeer {
    let mut raw = RawPeer::accept(listener);
    raw.shake_hands(1, "REP");
    req.wait_for_peers(1, DEADLINE).expect("a peer");
    raw
}

/// Reads a request: its id and its body.
fn read_request(raw: &mut RawPeer) -> (Vec<u8>, Vec<u8>) {
    let (flags, id) = raw.read_frame();
    assert_eq!(flags, MORE);
    assert_eq!(raw.read_frame(), (MORE, Vec::new()));
    (id, raw.read_frame().1)
}

#[test]
fn rep_returns_envelopes_and_skips_what_has_none() {
    let rep = Rep::new(&Context::new()).expect("a REP");
    let mut raw = RawPeer::connect(&rep.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "DEALER");
    raw.write(b"\x00\x0bno envelope\x01\x02id\x01\x00\x01\x01a\x00\x01b");
    let request = rep.recv_timeout(DEADLINE).expect("a request");
    assert_eq!(request.message().parts(), 2);
    request.reply("answer").expect("replied");
    assert_eq!(raw.read(14), b"\x01\x02id\x01\x00\x00\x06answer");
}

#[test]
fn answers_ping_with_its_context() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "PUSH");
    for context in [&b""[..], b"c", b"sixteen bytes ok"] {
        raw.write(&command("PING", &[b"\x00\x00", context].concat()));
        assert_eq!(raw.read_frame(), (COMMAND, [b"\x04PONG", context].concat()));
    }
}

#[test]
fn pub_takes_either_form_of_subscription() {
    let legacy = |flag: u8, topic: &str| frame(0, &[&[flag], topic.as_bytes()].concat());
    let modern = |name: &str, topic: &str| command(name, topic.as_bytes());
    let forms = [
        (
            1,
            modern("SUBSCRIBE", "one"),
            modern("SUBSCRIBE", "two"),
            modern("CANCEL", "one"),
        ),
        (1, legacy(1, "one"), legacy(1, "two"), legacy(0, "one")),
        (0, legacy(1, "one"), legacy(1, "two"), legacy(0, "one")),
    ];
    for (minor, one, two, cancel_one) in forms {
        let publisher = Pub::new(&Context::new()).expect("a PUB");
        let mut raw = RawPeer::connect(&publisher.bind(ANY_PORT).expect("bound").to_string());
        raw.shake_hands(minor, "SUB");
        raw.write(&one);
        publisher
            .wait_for_subscribers("one", 1, DEADLINE)
            .expect("subscribed");
        publisher.send("one.").expect("published");
        assert_eq!(raw.read_frame(), (0, b"one.".to_vec()));

        // Changes take effect in order: with the second subscription there, the first is gone.
        raw.write(&[cancel_one, two].concat());
        publisher
            .wait_for_subscribers("two", 1, DEADLINE)
            .expect("subscribed");
        publisher.send("one.").expect("published");
        publisher.send("two.").expect("published");
        assert_eq!(raw.read_frame(), (0, b"two.".to_vec()));
    }
}

#[test]
fn sub_subscribes_in_the_form_its_peer_knows() {
    let forms = [
        (
            1,
            command("SUBSCRIBE", b"topic"),
            command("CANCEL", b"topic"),
        ),
        (0, frame(0, b"\x01topic"), frame(0, b"\x00topic")),
    ];
    for (minor, subscribe, cancel) in forms {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let sub = Sub::new(&Context::new()).expect("a SUB");
        sub.subscribe("topic").expect("subscribed");
        sub.connect(endpoint_of(&listener)).expect("connected");
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(minor, "PUB");
        assert_eq!(raw.read(subscribe.len()), subscribe);
        raw.write(&[frame(0, b"tropic"), frame(0, b"topical")].concat());
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), b"topical");
        sub.unsubscribe("topic").expect("unsubscribed");
        assert_eq!(raw.read(cancel.len()), cancel);
    }
}

#[test]
fn closing_a_socket_closes_its_connections() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "PUSH");
    drop(pull);
    raw.expect_closed();
}

/// The numbers by which ZMTP 2.0 calls socket types.
const SUB_2_0: u8 = 2;
const PULL_2_0: u8 = 7;
const PUSH_2_0: u8 = 8;
const PUB_2_0: u8 = 1;

#[test]
fn pull_speaks_2_0() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let mut raw = RawPeer::connect(&pull.bind(ANY_PORT).expect("bound").to_string());
    greet_2_0(&mut raw, PUSH_2_0, PULL_2_0);
    raw.write(b"\x00\x05hello\x01\x01a\x00\x01b");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), b"hello");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message").parts(), 2);
}

#[test]
fn pub_speaks_2_0() {
    let publisher = Pub::new(&Context::new()).expect("a PUB");
    let mut raw = RawPeer::connect(&publisher.bind(ANY_PORT).expect("bound").to_string());
    greet_2_0(&mut raw, SUB_2_0, PUB_2_0);
    raw.write(b"\x00\x06\x01topic");
    publisher
        .wait_for_subscribers("topic", 1, DEADLINE)
        .expect("subscribed");
    publisher.send("topic").expect("published");
    assert_eq!(raw.read(7), b"\x00\x05topic");
}

/// A 2.0 greeting: signature, revision, socket type, and our empty identity in a frame.
fn greet_2_0(raw: &mut RawPeer, ours: u8, theirs: u8) {
    raw.write(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01");
    raw.write(&[ours, 0, 0]);
    let greeting = raw.read(14);
    assert_eq!((greeting[0], greeting[9] & 1), (0xff, 1), "the signature");
    assert_eq!(
        greeting[10..],
        [3, theirs, 0, 0],
        "revision, socket type, empty identity"
    );
}

fn endpoint_of(listener: &TcpListener) -> String {
    format!("tcp://{}", listener.local_addr().expect("an address"))
}

/// A long message goes to the kernel in parts, without waiting for all of it. If the connection breaks in the middle of it,
/// the next one gets it from its start.
#[test]
fn half_a_message_is_sent_again_whole() {
    // More than two kernels hold.
    const LENGTH: usize = 32 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let options = Options::new().reconnect_interval(Duration::from_millis(5));
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    push.connect(endpoint_of(&listener)).expect("connected");
    let body: Vec<u8> = (0..=250).cycle().take(LENGTH).collect();
    {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        push.wait_for_peers(1, DEADLINE).expect("a peer");
        push.send_timeout("first", DEADLINE).expect("sent");
        push.send_timeout(&body, DEADLINE).expect("sent");
        push.send_timeout("last", DEADLINE).expect("sent");
        assert_eq!(raw.read_frame(), (0, b"first".to_vec()));
        assert_eq!(raw.read(100_009)[9..], body[..100_000]);
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    let (flags, again) = raw.read_frame();
    assert_eq!(flags, LONG);
    assert!(again == body, "another message came");
    assert_eq!(raw.read_frame(), (0, b"last".to_vec()));
}

/// What a reader has not read when its writer closes is not taken away from it: it is told the end, and waited for.
/// It has ceased to read, and the connection stands: reading from it does not find that out.
#[test]
fn a_peer_that_nothing_can_be_written_to_is_let_go() {
    let push = Push::new(&Context::new()).expect("a PUSH");
    let monitor = push.monitor();
    let endpoint = push.bind("ipc://*").expect("bound").to_string();
    let mut deaf = UnixStream::connect(endpoint.replace("ipc://", "")).expect("connected");
    let said = [greeting(1, "NULL"), ready("PULL")].concat();
    deaf.write_all(&said).expect("said");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    deaf.shutdown(Shutdown::Read).expect("no longer reads");
    push.send_timeout("to whoever reads", DEADLINE)
        .expect("sent");
    assert!(matches!(wait_for_end(&monitor), DisconnectCause::Reset));
    let mut raw = RawPeer::connect(&endpoint);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame(), (0, b"to whoever reads".to_vec()));
}

#[test]
fn closing_waits_until_the_end_has_been_read() {
    for endpoint in [ANY_PORT, "ipc://*"] {
        // More than the reader's system takes, less than the two do.
        const LENGTH: usize = 150_000;
        let options = Options::new().send_buffer(200_000);
        let (push, mut raw) = push_over(endpoint, &Context::new(), options);
        push.send_timeout(vec![b'x'; LENGTH], DEADLINE)
            .expect("sent");
        let monitor = push.monitor();
        thread::scope(|scope| {
            let start = Instant::now();
            let closing = scope.spawn(|| push.close(DEADLINE));
            wait_for_end(&monitor);
            raw.write(&command("PING", &[0, 0]));
            assert_eq!(raw.read(LENGTH + 9)[9..], [b'x'; LENGTH]);
            raw.expect_closed();
            // It was told so; but the connection is there still.
            raw.write(&command("PING", &[0, 0]));
            drop(raw);
            let closed = closing.join().expect("the closing thread");
            closed.expect("all has left");
            assert!(start.elapsed() < DEADLINE, "waited out");
        });
    }
}

/// All has left, so that is no error; and nobody waits for ever, not even for a peer that goes on talking.
#[test]
fn closing_gives_a_reader_no_more_than_its_time() {
    for endpoint in [ANY_PORT, "ipc://*"] {
        const TIME: Duration = Duration::from_millis(50);
        let (push, raw) = push_over(endpoint, &Context::new(), Options::new());
        push.send_timeout("unread", DEADLINE).expect("sent");
        let start = Instant::now();
        push.close(TIME).expect("all has left");
        assert!((TIME..DEADLINE).contains(&start.elapsed()));
        drop(raw);

        let context = Context::new();
        let (push, mut raw) = push_over(endpoint, &context, Options::new().linger(TIME));
        push.send_timeout("unread", DEADLINE).expect("sent");
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| while raw.pour(&[0, 1, b'x'].repeat(10_000)) {});
            drop(push);
            drop(context);
        });
        assert!((TIME..DEADLINE).contains(&start.elapsed()));
    }
}

#[test]
fn closing_ends_with_the_reader() {
    for endpoint in [ANY_PORT, "ipc://*"] {
        let (push, raw) = push_over(endpoint, &Context::new(), Options::new());
        push.send_timeout("unread", DEADLINE).expect("sent");
        let monitor = push.monitor();
        thread::scope(|scope| {
            let start = Instant::now();
            let closing = scope.spawn(|| push.close(DEADLINE));
            wait_for_end(&monitor);
            drop(raw);
            let closed = closing.join().expect("the closing thread");
            closed.expect("all has left");
            assert!(start.elapsed() < DEADLINE, "waited out");
        });
    }
}

/// What an earlier connection carried is no reason to wait for the reader of this one.
#[test]
fn closing_waits_for_no_connection_that_has_carried_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = Options::new().reconnect_interval(Duration::from_millis(5));
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    push.connect(endpoint_of(&listener)).expect("connected");
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    push.send_timeout("hello", DEADLINE).expect("sent");
    assert_eq!(raw.read(7), b"\x00\x05hello");
    let monitor = push.monitor();
    drop(raw);
    wait_for_end(&monitor);
    let mut silent = RawPeer::accept(&listener);
    silent.shake_hands(1, "PULL");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    let start = Instant::now();
    push.close(DEADLINE).expect("nothing to send");
    assert!(start.elapsed() < DEADLINE, "waited out");
    silent.expect_closed();
}

/// Who has answered everything has read everything: nobody waits for such a peer. Who still owes an answer may have yet to read.
#[test]
fn closing_waits_for_no_peer_that_has_answered() {
    const TIME: Duration = Duration::from_millis(50);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    for answers in [true, false] {
        let options = Options::new().req_correlate(false);
        let req = Req::with_options(&Context::new(), options).expect("a REQ");
        req.connect(endpoint_of(&listener)).expect("connected");
        let patience = if answers { DEADLINE } else { TIME };
        let (raw, reply) = thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("hello", patience));
            let mut raw = RawPeer::accept(&listener);
            raw.shake_hands(1, "REP");
            assert_eq!(raw.read(9), b"\x01\x00\x00\x05hello");
            if answers {
                raw.write(b"\x01\x00\x00\x05world");
            }
            let reply = asking.join().expect("the asking thread");
            (raw, reply)
        });
        assert_eq!(reply.is_ok(), answers);
        let start = Instant::now();
        req.close(if answers { DEADLINE } else { TIME })
            .expect("all has left");
        let took = start.elapsed();
        assert!(took < DEADLINE, "waited out");
        assert!(answers || took >= TIME, "closed after {took:?}");
        drop(raw);
    }
}

/// To end one connection takes nothing away from its reader either, and holds nothing up.
#[test]
fn unbinding_leaves_the_reader_its_time() {
    for endpoint in [ANY_PORT, "ipc://*"] {
        let (push, mut raw) = push_over(endpoint, &Context::new(), Options::new());
        push.send_timeout("unread", DEADLINE).expect("sent");
        assert_eq!(raw.read(8), b"\x00\x06unread");
        let endpoint = push.last_endpoint().expect("bound");
        push.unbind(&endpoint).expect("unbound");
        raw.expect_closed();
        raw.write(&command("PING", &[0, 0]));
        drop(raw);
        push.close(DEADLINE).expect("all has left");
    }
}

/// What is still with the system when an endpoint is unbound has come as well, but for half a message.
#[test]
fn what_is_with_the_system_is_received_after_unbind() {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    for round in 0..50 {
        let endpoint = pull.bind("ipc://*").expect("bound");
        let mut raw = RawPeer::connect(&endpoint.to_string());
        raw.shake_hands(1, "PUSH");
        pull.wait_for_peers(1, DEADLINE).expect("a peer");
        raw.write(&[frame(0, b"one"), frame(0, &vec![b'x'; 100_000])].concat());
        raw.write(&[frame(MORE, b"half")].concat());
        pull.unbind(endpoint).expect("unbound");
        raw.expect_closed();
        assert!(!raw.pour(b"\x00\x05later"));
        for length in [3, 100_000] {
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(message.size(), length, "round {round}");
        }
        pull.try_recv().expect_err("nothing more");
        assert_eq!(pull.stats().peers, Vec::new());
    }
    assert_eq!(pull.stats().dropped.total(), 0);
}

/// A PUSH with a peer that reads only when it is told to.
fn push_over(endpoint: &str, context: &Context, options: Options) -> (Push, RawPeer) {
    let push = Push::with_options(context, options).expect("a PUSH");
    let mut raw = RawPeer::connect(&push.bind(endpoint).expect("bound").to_string());
    raw.shake_hands(1, "PULL");
    (push, raw)
}

#[test]
fn dish_and_radio_say_what_libzmq_says() {
    let context = Context::new();
    let dish = Dish::new(&context).expect("a DISH");
    dish.join("a").expect("joined");
    let mut raw = RawPeer::connect(&dish.bind(ANY_PORT).expect("bound").to_string());
    let (_, body) = raw.shake_hands(1, "RADIO");
    assert!(
        body.windows(15).any(|it| it == b"\x0bSocket-Type\0\0\0"),
        "{body:?}"
    );
    assert_eq!(raw.read(8), b"\x04\x06\x04JOINa");
    dish.join("").expect("joined");
    assert_eq!(raw.read(7), b"\x04\x05\x04JOIN");
    dish.leave("a").expect("left");
    assert_eq!(raw.read(9), b"\x04\x07\x05LEAVEa");
    dish.join("group").expect("joined");
    raw.write(b"\x01\x05group\x00\x04body\x01\x00\x00\x05empty");
    let received = dish.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(
        (received.group.to_str(), received.message),
        (Ok("group"), "body".into())
    );
    let received = dish.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(
        (received.group.to_str(), received.message),
        (Ok(""), "empty".into())
    );

    let radio = Radio::new(&context).expect("a RADIO");
    let mut raw = RawPeer::connect(&radio.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "DISH");
    // To a SUBSCRIBE a RADIO does not listen, nor to a message.
    raw.write(
        &[
            command("SUBSCRIBE", b"a"),
            frame(0, b"\x01a"),
            command("JOIN", b"b"),
        ]
        .concat(),
    );
    radio.wait_for_members("b", 1, DEADLINE).expect("a member");
    assert_eq!(radio.send("a", "nobody").expect("sent").sent, 0);
    radio.send("b", "body").expect("sent");
    radio.send("b", "").expect("sent");
    assert_eq!(raw.read(14), b"\x01\x01b\x00\x04body\x01\x01b\x00\x00");
    radio.send("b", vec![b'x'; 256]).expect("sent");
    assert_eq!(
        raw.read(3 + 9 + 256)[..12],
        *b"\x01\x01b\x02\0\0\0\0\0\0\x01\0"
    );
    raw.write(&command("LEAVE", b"b"));
    let left = std::time::Instant::now() + DEADLINE;
    while radio.send("b", "still there?").expect("sent").sent > 0 {
        assert!(std::time::Instant::now() < left, "it stays in the group");
        thread::yield_now();
    }
}

/// What is not a group and a body ends the connection, as with libzmq.
#[test]
fn dish_hangs_up_on_what_is_no_group_and_body() {
    for (bytes, fewer) in [
        (&b"\x00\x04body"[..], true),
        (b"\x01\x05group\x01\x04body\x00\x04more", false),
    ] {
        let dish = Dish::new(&Context::new()).expect("a DISH");
        dish.join("group").expect("joined");
        let monitor = dish.monitor();
        let mut raw = RawPeer::connect(&dish.bind(ANY_PORT).expect("bound").to_string());
        raw.shake_hands(1, "RADIO");
        raw.write(bytes);
        raw.expect_closed();
        let cause = wait_for_end(&monitor);
        match fewer {
            true => assert_eq!(
                cause,
                DisconnectCause::Protocol(ProtocolError::TooFewParts { least: 2 })
            ),
            false => assert_eq!(
                cause,
                DisconnectCause::Protocol(ProtocolError::TooManyParts { limit: 2 })
            ),
        }
        assert!(dish.try_recv().is_err());
    }
}

/// A message of several frames is dropped whole and counted, and the connection goes on.
#[test]
fn draft_types_drop_messages_of_several_frames() {
    const TWO_THEN_ONE: &[u8] = b"\x01\x01a\x00\x01b\x01\x01c\x00\x01d\x00\x03one";
    let context = Context::new();
    macro_rules! check {
        ($ours:ident from $theirs:literal, $message:expr) => {
            let socket = $ours::new(&context).expect("a socket");
            let mut raw = RawPeer::connect(&socket.bind(ANY_PORT).expect("bound").to_string());
            let (_, body) = raw.shake_hands(1, $theirs);
            let name = stringify!($ours).to_uppercase();
            let socket_type = property("Socket-Type", name.as_bytes());
            assert!(body[6..].starts_with(&socket_type), "{body:?}");
            raw.write(TWO_THEN_ONE);
            let received = socket.recv_timeout(DEADLINE).expect("a message");
            assert_eq!($message(received), "one");
            assert_eq!(socket.stats().dropped.unexpected, 2);
        };
    }
    check!(Client from "SERVER", |message| message);
    check!(Server from "CLIENT", |incoming: zerohop::Incoming<u32>| incoming.message);
    check!(Peer from "PEER", |incoming: zerohop::Incoming<u32>| incoming.message);
    check!(Gather from "SCATTER", |message| message);
    check!(Channel from "CHANNEL", |message| message);
    let scatter = Scatter::new(&context).expect("a SCATTER");
    let mut raw = RawPeer::connect(&scatter.bind(ANY_PORT).expect("bound").to_string());
    let (_, body) = raw.shake_hands(1, "GATHER");
    assert_eq!(
        body,
        command("READY", &property("Socket-Type", b"SCATTER"))[2..]
    );
    scatter.send_timeout("one", DEADLINE).expect("sent");
    assert_eq!(raw.read(5), b"\x00\x03one");
}

/// What greets a peer is a message like any other, and the first on each connection; one that the peer says it does not take is left out.
#[test]
fn a_hello_message_is_first_on_each_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let options = Options::new()
        .hello_message("hello")
        .reconnect_interval(Duration::from_millis(5))
        .linger(Duration::ZERO);
    let dealer = Dealer::with_options(&Context::new(), options).expect("a DEALER");
    let monitor = dealer.monitor();
    dealer.connect(endpoint_of(&listener)).expect("connecting");
    dealer.send("queued").expect("sent");
    for _ in 0..2 {
        let mut raw = RawPeer::accept(&listener);
        raw.write(&greeting(1, "NULL"));
        raw.read(64);
        // Gone before it says who it is: nothing is lost, and nothing sent to it.
        assert_eq!(raw.read_frame().0, COMMAND);
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "ROUTER");
    assert_eq!(raw.read(7 + 8), b"\x00\x05hello\x00\x06queued");
    drop(raw);
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "ROUTER");
    assert_eq!(raw.read(7), b"\x00\x05hello");
    dealer.send("next").expect("sent");
    assert_eq!(raw.read(6), b"\x00\x04next");
    drop(raw);

    let router = Router::with_options(&Context::new(), Options::new().max_message_size(4));
    let router = router.expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound");
    dealer.connect(&endpoint).expect("connecting");
    let size = loop {
        match monitor.recv_timeout(DEADLINE).expect("an event") {
            Event::MessageRefused { size, .. } => break size,
            _ => continue,
        }
    };
    assert_eq!(size, 5);
    dealer
        .disconnect(endpoint_of(&listener))
        .expect("it is there");
    dealer.send_timeout("body", DEADLINE).expect("sent");
    let incoming = router.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(incoming.message, "body");
}
