//! What a peer has sent whole before it breaks the protocol is received, although its connection is closed at once.

use std::thread;
use std::time::Instant;

use zerohop::{Context, DisconnectCause, Monitor, Options, Pub, Pull, Rep, Req, Sub};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::{COMMAND, MORE, RawPeer, command, frame, greeting, ready};
use crate::{ANY_PORT, header, hello};

fn options() -> Options {
    Options::new().max_message_size(100_000).max_parts(4)
}

/// Each breaks the protocol in its own way.
fn violations() -> [(&'static str, Vec<u8>); 5] {
    let begun = frame(MORE, b"begun");
    [
        ("a message too large", header(0, 1 << 20)),
        ("a part too large", [begun, header(MORE, 1 << 20)].concat()),
        ("too many parts", frame(MORE, b"").repeat(5)),
        ("a command too large", header(COMMAND, 1 << 40)),
        ("a short PING", command("PING", b"\0")),
    ]
}

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    InOneWrite,
    WithTheHandshake,
    BehindALargeMessage,
    ByteByByte,
}

const WAYS: [Way; 4] = [
    Way::InOneWrite,
    Way::WithTheHandshake,
    Way::BehindALargeMessage,
    Way::ByteByByte,
];

fn assert_violation(monitor: &Monitor, name: &str) {
    let cause = wait_for_end(monitor);
    let violation = matches!(cause, DisconnectCause::Protocol(_));
    assert!(violation, "{name}: {cause:?}");
}

#[test]
fn what_came_whole_before_a_violation_is_received() {
    for (name, violation) in violations() {
        for way in WAYS {
            receive_all_before(&violation, way, &format!("{name}, {way:?}"));
        }
    }
}

fn receive_all_before(violation: &[u8], way: Way, name: &str) {
    let context = Context::new();
    let pull = Pull::with_options(&context, options()).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let monitor = pull.monitor();
    let mut expected: Vec<Vec<u8>> = (0..100).map(|number| vec![number]).collect();
    if way == Way::BehindALargeMessage {
        expected.insert(0, vec![b'l'; 50_000]);
    }
    let mut bytes: Vec<u8> = expected.iter().flat_map(|body| frame(0, body)).collect();
    bytes.extend_from_slice(violation);
    bytes.extend(frame(0, b"behind it"));

    let mut raw = RawPeer::connect(&endpoint);
    if way == Way::WithTheHandshake {
        bytes = [hello("PUSH"), bytes].concat();
    } else {
        raw.shake_hands(1, "PUSH");
    }
    let size = match way {
        Way::ByteByByte => 1,
        Way::InOneWrite | Way::WithTheHandshake | Way::BehindALargeMessage => bytes.len(),
    };
    for piece in bytes.chunks(size) {
        // It may hang up as soon as it has seen enough.
        raw.pour(piece);
    }
    raw.expect_closed();
    assert_violation(&monitor, name);
    let stats = pull.stats();
    let counted = (stats.messages_in, stats.protocol_errors);
    assert_eq!(counted, (expected.len() as u64, 1), "{name}");
    for body in &expected {
        let got = pull.recv_timeout(DEADLINE).expect(name);
        assert_eq!(got, *body, "{name}");
    }
    let more = pull.try_recv();
    assert!(more.is_err(), "{name}: {more:?}");
    assert!(pull.stats().peers.is_empty(), "{name}: the peer has gone");
}

#[test]
fn what_a_sub_got_before_a_violation_is_received() {
    for (name, violation) in violations() {
        let context = Context::new();
        let sub = Sub::with_options(&context, options()).expect("a SUB");
        sub.subscribe("").expect("subscribed");
        let monitor = sub.monitor();
        let mut raw = RawPeer::connect(&sub.bind(ANY_PORT).expect("bound").to_string());
        raw.shake_hands(1, "PUB");
        raw.write(&[frame(0, b"news"), violation].concat());
        assert_violation(&monitor, name);
        let got = sub.recv_timeout(DEADLINE).expect(name);
        assert_eq!(got, *"news", "{name}");
    }
}

#[test]
fn a_request_before_a_violation_is_received() {
    for (name, violation) in violations() {
        let context = Context::new();
        let rep = Rep::with_options(&context, options()).expect("a REP");
        let monitor = rep.monitor();
        let mut raw = RawPeer::connect(&rep.bind(ANY_PORT).expect("bound").to_string());
        raw.shake_hands(1, "REQ");
        raw.write(&[frame(MORE, b""), frame(0, b"question"), violation].concat());
        assert_violation(&monitor, name);
        let request = rep.recv_timeout(DEADLINE).expect(name);
        assert_eq!(*request.message(), *"question", "{name}");
    }
}

#[test]
fn a_reply_before_a_violation_is_received() {
    for (name, violation) in violations() {
        let context = Context::new();
        let req = Req::with_options(&context, options()).expect("a REQ");
        let endpoint = req.bind(ANY_PORT).expect("bound").to_string();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut raw = RawPeer::connect(&endpoint);
                raw.shake_hands(1, "REP");
                let envelope = [raw.read_frame(), raw.read_frame()];
                assert_eq!(raw.read_frame(), (0, b"question".to_vec()));
                let envelope = envelope.map(|(flags, body)| frame(flags, &body)).concat();
                raw.write(&[envelope, frame(0, b"answer"), violation].concat());
                raw.expect_closed();
            });
            let reply = req.request_timeout("question", DEADLINE).expect(name);
            assert_eq!(reply, *"answer", "{name}");
        });
    }
}

/// A publisher receives nothing that could be kept, and must keep nothing of a peer that has gone: subscriptions are forgotten, and
/// messages behind one that is too long as well.
#[test]
fn nothing_is_left_of_a_subscriber_that_broke_the_protocol() {
    let context = Context::new();
    let publisher = Pub::new(&context).expect("a PUB");
    let endpoint = publisher.bind(ANY_PORT).expect("bound").to_string();
    let monitor = publisher.monitor();
    let legacy = |topic: &[u8]| frame(0, &[b"\x01", topic].concat());
    let too_long = vec![b't'; 5000];
    let attacks = [
        (0, [legacy(b"a"), legacy(&too_long), legacy(b"b")].concat()),
        (
            1,
            [
                command("SUBSCRIBE", b"a"),
                command("SUBSCRIBE", &too_long),
                legacy(b"b"),
            ]
            .concat(),
        ),
        (
            1,
            [legacy(b"a"), header(0, u64::MAX), legacy(b"b")].concat(),
        ),
    ];
    for (minor, attack) in attacks {
        let mut raw = RawPeer::connect(&endpoint);
        raw.write(&[greeting(minor, "NULL"), ready("SUB")].concat());
        raw.write(&attack);
        raw.expect_closed();
        assert_violation(&monitor, "a SUB");
        assert!(publisher.stats().peers.is_empty());
        let published = publisher.send("a").expect("published");
        assert_eq!(published.sent, 0);
    }
    assert_eq!(publisher.stats().protocol_errors, 3);
}

/// Closing at once would have the system answer what the peer goes on sending with a reset, and forget what it has not
/// delivered yet.
#[test]
fn a_reply_that_has_left_arrives_in_spite_of_a_violation() {
    let context = Context::new();
    let rep = Rep::with_options(&context, options()).expect("a REP");
    let monitor = rep.monitor();
    let mut raw = RawPeer::connect(&rep.bind(ANY_PORT).expect("bound").to_string());
    raw.shake_hands(1, "REQ");
    raw.write(&[frame(MORE, b""), frame(0, b"question")].concat());
    let request = rep.recv_timeout(DEADLINE).expect("a request");
    let answer = vec![b'a'; 150_000];
    request.reply(&answer[..]).expect("replied");
    let end = Instant::now() + DEADLINE;
    while rep.stats().peers[0].queued_out > 0 {
        assert!(Instant::now() < end, "the system does not take the reply");
        thread::yield_now();
    }
    raw.write(&header(0, 1 << 20));
    assert_violation(&monitor, "a request too large");
    for _ in 0..100 {
        // What is shown is not whether this can be written.
        raw.pour(&[b'r'; 10_000]);
    }
    assert_eq!(raw.read_frame(), (MORE, Vec::new()));
    let (_, got) = raw.read_frame();
    assert!(got == answer, "{} bytes", got.len());
    raw.expect_closed();
}
