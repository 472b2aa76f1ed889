//! Strangers at a port with CURVE, and on the wire to it: what `hostile.rs` has for ports without. Each costs one connection, which ends with a
//! typed cause; what arrived whole before is kept, and who means well is served meanwhile.

#![cfg(feature = "curve")]

mod common {
    pub(crate) mod between;
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod memory;
    #[allow(
        dead_code,
        reason = "nobody here has a message of several frames, or is a peer without CURVE"
    )]
    pub(crate) mod raw;
    pub(crate) mod until;
}

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use zerohop::{
    Context, ContextOptions, DisconnectCause, Options, ProtocolError, Pub, Pull, Push, RecvError,
    SendErrorKind, Sub,
};

use common::between::{Between, Victim};
use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::memory::Watch;
use common::raw::{COMMAND, LONG, RawPeer, command, frame, greeting, ready};
use common::until::{GLANCE, until};

/// How long a handshake may take where that is to be seen.
const SHORT: Duration = Duration::from_millis(300);

/// Serves a client that means well, by a connection of its own.
#[track_caller]
fn serves(victim: &Victim) {
    let push = victim.push(&victim.endpoint);
    push.send("from a friend").expect("queued");
    let got = victim.pull.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(got, "from a friend");
}

/// The stranger's connection ends for that cause.
#[track_caller]
fn ends(victim: &Victim, raw: &mut RawPeer, expected: &ProtocolError) {
    raw.expect_closed();
    match wait_for_end(&victim.monitor) {
        DisconnectCause::Protocol(error) => assert_eq!(&error, expected),
        cause => panic!("{cause:?} in place of {expected}"),
    }
}

/// The body of a frame.
fn body(frame: &[u8]) -> &[u8] {
    match frame[0] & LONG {
        0 => &frame[2..],
        _ => &frame[9..],
    }
}

/// The same command with another body.
fn with_body(body: &[u8]) -> Vec<u8> {
    frame(COMMAND, body)
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn malformed(name: &str) -> ProtocolError {
    let name = name.to_owned();
    ProtocolError::MalformedCommand { name }
}

#[test]
fn a_hello_that_is_not_genuine_is_refused() {
    let victim = Victim::new();
    let genuine = Between::greeted(&victim).client_says();
    assert!(matches!(
        wait_for_end(&victim.monitor),
        DisconnectCause::PeerClosed
    ));
    let genuine = body(&genuine);
    let bad_box = || ProtocolError::BadBox { command: "HELLO" };
    let longer = |by| [genuine, &vec![0; by][..]].concat();
    let attempts = [
        (genuine[..6].to_vec(), malformed("HELLO")),
        (genuine[..80].to_vec(), malformed("HELLO")),
        (genuine[..199].to_vec(), malformed("HELLO")),
        (longer(1), malformed("HELLO")),
        (longer(400), malformed("HELLO")),
        // The version, the key, the counter, the tag, what is sealed.
        (
            flipped(genuine, 7),
            ProtocolError::CurveVersion { major: 1, minor: 1 },
        ),
        (flipped(genuine, 80), bad_box()),
        (flipped(genuine, 119), bad_box()),
        (flipped(genuine, 120), bad_box()),
        (flipped(genuine, 199), bad_box()),
        (
            [b"\x08INITIATE", &genuine[6..]].concat(),
            ProtocolError::UnexpectedCommand {
                name: String::from("INITIATE"),
            },
        ),
    ];
    for (attempt, expected) in attempts {
        let mut raw = RawPeer::connect(&victim.endpoint);
        raw.write(&greeting(1, "CURVE"));
        raw.write(&with_body(&attempt));
        ends(&victim, &mut raw, &expected);
    }
    // One that would be as long as a message may be is refused by its header.
    let mut raw = RawPeer::connect(&victim.endpoint);
    raw.write(&greeting(1, "CURVE"));
    raw.write(&[&[COMMAND | LONG][..], &(1_u64 << 20).to_be_bytes()].concat());
    raw.expect_closed();
    let cause = wait_for_end(&victim.monitor);
    assert!(
        matches!(
            cause,
            DisconnectCause::Protocol(ProtocolError::CommandTooLarge { .. })
        ),
        "{cause:?}"
    );
    serves(&victim);
}

#[test]
fn an_initiate_that_is_not_genuine_is_refused() {
    let victim = Victim::new();
    let bad_box = || ProtocolError::BadBox {
        command: "INITIATE",
    };
    type Change = fn(&[u8]) -> Vec<u8>;
    let attempts: [(Change, ProtocolError); 9] = [
        (|genuine| genuine[..9].to_vec(), malformed("INITIATE")),
        (|genuine| genuine[..105].to_vec(), malformed("INITIATE")),
        (|genuine| genuine[..256].to_vec(), malformed("INITIATE")),
        (|genuine| genuine[..genuine.len() - 1].to_vec(), bad_box()),
        (|genuine| [genuine, b"\0"].concat(), bad_box()),
        // The cookie's nonce, tag and content; the counter; what is sealed.
        (|genuine| flipped(genuine, 9), ProtocolError::BadCookie),
        (|genuine| flipped(genuine, 104), ProtocolError::BadCookie),
        (|genuine| flipped(genuine, 112), bad_box()),
        (|genuine| flipped(genuine, 200), bad_box()),
    ];
    for (change, expected) in attempts {
        let (mut between, _, initiate) = Between::initiating(&victim);
        between.server.write(&with_body(&change(body(&initiate))));
        ends(&victim, &mut between.server, &expected);
    }
    serves(&victim);
}

/// Of another connection, which stands; and of one that has gone, with the key that opens the cookie. What was recorded of a whole
/// handshake is of no use either.
#[test]
fn a_cookie_is_good_for_its_connection_alone() {
    let victim = Victim::new();
    let (mut one, _, of_one) = Between::initiating(&victim);
    let (mut two, hello, of_two) = Between::initiating(&victim);
    two.server.write(&of_one);
    ends(&victim, &mut two.server, &ProtocolError::BadCookie);

    for initiate in [&of_two, &of_one] {
        let mut raw = RawPeer::connect(&victim.endpoint);
        raw.write(&greeting(1, "CURVE"));
        raw.write(&hello);
        raw.write(initiate);
        ends(&victim, &mut raw, &ProtocolError::BadCookie);
    }
    // What others have tried harms nothing of the connection that the cookie is of.
    one.server.write(&of_one);
    one.back();
    let message = one.sealed("still here");
    one.server.write(&message);
    let got = victim.pull.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(got, "still here");
}

/// Frames after the handshake that don't open: what came whole before them is kept, also if it came in one piece with them, and others are
/// not disturbed.
#[test]
fn a_message_that_does_not_open_ends_its_connection_alone() {
    let victim = Victim::new();
    let mut beside = Between::established(&victim);
    let bad_box = || ProtocolError::BadBox { command: "MESSAGE" };
    let not_sealed = |begins: &str| ProtocolError::NotSealed {
        begins: begins.to_owned(),
    };
    type Change = fn(&[u8]) -> Vec<u8>;
    let attempts: [(Change, ProtocolError); 9] = [
        (|genuine| frame(0, &genuine[..8]), malformed("MESSAGE")),
        (|genuine| frame(0, &genuine[..31]), malformed("MESSAGE")),
        (|genuine| frame(0, &genuine[..32]), malformed("MESSAGE")),
        (|genuine| frame(0, &genuine[..33]), bad_box()),
        (|genuine| frame(0, &[genuine, b"\0"].concat()), bad_box()),
        (|genuine| frame(0, &flipped(genuine, 20)), bad_box()),
        // A counter far ahead.
        (|genuine| frame(0, &flipped(genuine, 8)), bad_box()),
        (|_| frame(0, b"in clear"), not_sealed("in clear")),
        (
            |_| command("PING", b"\0\0"),
            not_sealed("\\x04PING\\x00\\x00"),
        ),
    ];
    for (change, expected) in attempts {
        let mut between = Between::established(&victim);
        let whole = between.sealed("whole");
        let altered = between.sealed("altered");
        let after = between.sealed("after");
        let bytes = [whole, change(body(&altered)), after].concat();
        between.server.write(&bytes);
        ends(&victim, &mut between.server, &expected);
        let got = victim.pull.recv_timeout(DEADLINE).expect("kept");
        assert_eq!(got, "whole", "{expected}");
        assert!(matches!(victim.pull.try_recv(), Err(RecvError::WouldBlock)));
        let message = beside.sealed("beside");
        beside.server.write(&message);
        let got = victim.pull.recv_timeout(DEADLINE).expect("undisturbed");
        assert_eq!(got, "beside");
    }
    serves(&victim);
}

#[test]
fn messages_again_and_out_of_order_are_refused() {
    let victim = Victim::new();
    // The numbers of messages go on from those of the handshake.
    let repeated = |last, given| ProtocolError::NonceRepeated { last, given };
    let orders: [(&[usize], &[&str], ProtocolError); 4] = [
        (&[0, 0], &["0"], repeated(3, 3)),
        (&[0, 1, 0], &["0", "1"], repeated(4, 3)),
        (&[0, 1, 2, 1], &["0", "1", "2"], repeated(5, 4)),
        (&[1, 0], &["1"], repeated(4, 3)),
    ];
    for (order, received, expected) in orders {
        let mut between = Between::established(&victim);
        let sealed = ["0", "1", "2"].map(|message| between.sealed(message));
        for index in order {
            between.server.pour(&sealed[*index]);
        }
        ends(&victim, &mut between.server, &expected);
        for message in received {
            let got = victim.pull.recv_timeout(DEADLINE).expect("kept");
            assert_eq!(got, *message);
        }
        assert!(matches!(victim.pull.try_recv(), Err(RecvError::WouldBlock)));
    }
    // One of another session, whose number would be right.
    let (mut one, mut two) = (Between::established(&victim), Between::established(&victim));
    let message = one.sealed("of another session");
    two.server.write(&message);
    let expected = ProtocolError::BadBox { command: "MESSAGE" };
    ends(&victim, &mut two.server, &expected);
    serves(&victim);
}

/// By its header, when nothing else of the frame has come; one that is just within the limit passes.
#[test]
fn what_is_too_long_is_refused_before_it_is_opened() {
    // What could be a command is opened: up to 16 KiB.
    let limit: u64 = 100_000;
    let victim = Victim::with(Options::new().max_message_size(limit as usize));
    let mut between = Between::established(&victim);
    // What a peer announces concerns well-meaning ones: the frame is made by hand.
    let announced = limit + 1;
    let header = |plain: u64| [&[LONG][..], &(plain + 33).to_be_bytes()].concat();
    between.server.write(&header(announced));
    let expected = ProtocolError::MessageTooLarge { limit, announced };
    ends(&victim, &mut between.server, &expected);

    let mut between = Between::established(&victim);
    between.server.write(&header(u64::MAX - 33));
    between.server.expect_closed();
    let cause = wait_for_end(&victim.monitor);
    assert!(
        matches!(
            cause,
            DisconnectCause::Protocol(ProtocolError::MessageTooLarge { .. })
        ),
        "{cause:?}"
    );

    let mut between = Between::established(&victim);
    let longest = "x".repeat(limit as usize);
    let message = between.sealed(&longest);
    between.server.write(&message);
    let got = victim
        .pull
        .recv_timeout(DEADLINE)
        .expect("within the limit");
    assert_eq!(got, longest.as_str());
}

/// A promised body that never comes costs what has come of it.
#[test]
fn promised_bodies_cost_nothing() {
    let victim = Victim::new();
    let mut crowd: Vec<Between> = (0..20).map(|_| Between::established(&victim)).collect();
    let memory = Watch::start();
    for between in &mut crowd {
        let length: u64 = 200 << 20;
        let header = [&[LONG][..], &length.to_be_bytes()].concat();
        between.server.write(&header);
        between.server.write(b"\x07MESSAGE and a little more");
    }
    serves(&victim);
    memory.assert_growth_below(16 << 20);
}

#[test]
fn nothing_less_is_talked_to_and_nobody_less_is_answered() {
    let victim = Victim::new();
    let mismatch = |ours, theirs: &str| ProtocolError::MechanismMismatch {
        ours,
        theirs: theirs.to_owned(),
    };
    for theirs in ["NULL", "PLAIN"] {
        let mut raw = RawPeer::connect(&victim.endpoint);
        raw.write(&greeting(1, theirs));
        ends(&victim, &mut raw, &mismatch("CURVE", theirs));
    }
    // READY, HELLO of PLAIN, and a message, each in place of what is due.
    let unexpected = |name: &str| ProtocolError::UnexpectedCommand {
        name: name.to_owned(),
    };
    for (said, expected) in [
        (ready("PUSH"), unexpected("READY")),
        (command("HELLO", b"\x05alice\x05tiger"), malformed("HELLO")),
        (command("MESSAGE", &[0; 40]), unexpected("MESSAGE")),
        (
            command("ERROR", b"\x03400"),
            ProtocolError::PeerError {
                reason: String::from("400"),
            },
        ),
    ] {
        let mut raw = RawPeer::connect(&victim.endpoint);
        raw.write(&greeting(1, "CURVE"));
        raw.write(&said);
        ends(&victim, &mut raw, &expected);
    }
    // ZMTP 2.0 has no mechanisms.
    let mut raw = RawPeer::connect(&victim.endpoint);
    raw.write(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0");
    let expected = ProtocolError::InsecureVersion { mechanism: "CURVE" };
    ends(&victim, &mut raw, &expected);
    serves(&victim);

    // The other way round: a client of CURVE says nothing to a server of less.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = listener.local_addr().expect("an address");
    for theirs in ["NULL", "PLAIN"] {
        let push = victim.push(&format!("tcp://{near}"));
        let monitor = push.monitor();
        push.send("for nobody else").expect("queued");
        let mut raw = RawPeer::accept(&listener);
        raw.write(&greeting(1, theirs));
        raw.write(&ready("PULL"));
        assert_eq!(raw.read(64)[12..17], *b"CURVE");
        assert_eq!(raw.rest(), b"", "to {theirs}");
        let cause = wait_for_end(&monitor);
        assert_eq!(cause, DisconnectCause::Protocol(mismatch("CURVE", theirs)));
    }
    // And a CURVE client at a port without.
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let push = victim.push(&endpoint);
    push.send("for nobody else").expect("queued");
    let cause = wait_for_end(&monitor);
    assert_eq!(cause, DisconnectCause::Protocol(mismatch("NULL", "CURVE")));
    assert!(matches!(pull.try_recv(), Err(RecvError::WouldBlock)));
}

/// However the bytes are cut, both ways.
#[test]
fn a_conversation_passes_byte_by_byte() {
    let victim = Victim::new();
    let mut between = Between::greeted(&victim);
    let bytewise = |to: &mut RawPeer, bytes: &[u8]| bytes.chunks(1).for_each(|byte| to.write(byte));
    for _ in 0..2 {
        let said = between.client_says();
        bytewise(&mut between.server, &said);
        let (flags, said) = between.server.read_frame();
        bytewise(&mut between.client, &frame(flags, &said));
    }
    for message in ["", "short", &"long ".repeat(100)] {
        let sealed = between.sealed(message);
        bytewise(&mut between.server, &sealed);
        let got = victim.pull.recv_timeout(DEADLINE).expect("let in");
        assert_eq!(got, *message);
    }
}

/// Who stops in the middle of a handshake is gone when its time is over, whichever side it is.
#[test]
fn handshakes_that_never_end_are_ended() {
    let victim = Victim::with(Options::new().handshake_timeout(SHORT));
    let timed_out = |raw: &mut RawPeer| {
        raw.expect_closed();
        assert_eq!(
            wait_for_end(&victim.monitor),
            DisconnectCause::HandshakeTimeout
        );
    };
    let mut after_greeting = RawPeer::connect(&victim.endpoint);
    after_greeting.write(&greeting(1, "CURVE"));
    timed_out(&mut after_greeting);

    let mut between = Between::greeted(&victim);
    let hello = between.client_says();
    between.server.write(&hello[..100]);
    timed_out(&mut between.server);

    let (mut between, _, initiate) = Between::initiating(&victim);
    between.server.write(&initiate[..initiate.len() - 1]);
    timed_out(&mut between.server);
    serves(&victim);

    // A server that never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = listener.local_addr().expect("an address");
    let options = victim.friend().handshake_timeout(SHORT);
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    let monitor = push.monitor();
    push.connect(format!("tcp://{near}")).expect("connected");
    let mut silent = RawPeer::accept(&listener);
    silent.write(&greeting(1, "CURVE"));
    silent.expect_closed();
    assert_eq!(wait_for_end(&monitor), DisconnectCause::HandshakeTimeout);
}

/// Genuine HELLOs without end, from connections that come and go: each costs the server two scalar multiplications. Clients that mean well
/// get through, and nothing is left.
#[test]
fn a_flood_of_hellos_keeps_nobody_out() {
    let victim = Victim::new();
    serves(&victim);
    let memory = Watch::start();
    flood(&victim, |hellos| {
        while hellos.load(Ordering::Relaxed) < 500 {
            serves(&victim);
        }
    });
    memory.assert_growth_below(32 << 20);
    serves(&victim);
}

/// Genuine HELLOs without end, each over a connection of its own, for as long as the work takes that is told how many have been answered.
fn flood<R>(victim: &Victim, work: impl FnOnce(&AtomicUsize) -> R) -> R {
    let hello = Between::greeted(victim).client_says();
    let opening = [&greeting(1, "CURVE")[..], &hello].concat();
    let (stop, hellos) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut raw = RawPeer::connect(&victim.endpoint);
                    raw.write(&opening);
                    raw.read(64 + 170);
                    hellos.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&stop);
        work(&hellos)
    })
}

/// The flood ends when it is dropped, also if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that is connected goes on sending, and new ones come in. The figures mean something in a release build, and with the machine to itself:
/// `cargo test --release --features curve --test hostile_curve -- --nocapture get_through`.
#[test]
fn messages_get_through_a_flood_of_hellos() {
    const BATCH: usize = 500;
    const HELLOS: usize = 600;

    let victim = Victim::new();
    let push = victim.push(&victim.endpoint);
    let pass = || {
        for _ in 0..BATCH {
            push.send(&[7; 64][..]).expect("queued");
        }
        for _ in 0..BATCH {
            let got = victim.pull.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(got, [7; 64][..]);
        }
    };
    let rate = |count: usize, begun: Instant| count as f64 / begun.elapsed().as_secs_f64();
    pass();
    let begun = Instant::now();
    (0..20).for_each(|_| pass());
    let alone = rate(20 * BATCH, begun);
    flood(&victim, |hellos| {
        let answered = || hellos.load(Ordering::Relaxed);
        let (begun, first, mut passed) = (Instant::now(), answered(), 0);
        while answered() < first + HELLOS {
            pass();
            passed += BATCH;
        }
        let (messages, others) = (rate(passed, begun), rate(answered() - first, begun));
        println!("{alone:.0} messages/s alone, {messages:.0} beside {others:.0} HELLOs/s");
        assert!(passed > 0);
        let (begun, first, mut come) = (Instant::now(), answered(), 0);
        while answered() < first + HELLOS {
            serves(&victim);
            come += 1;
        }
        let (clients, others) = (rate(come, begun), rate(answered() - first, begun));
        println!("{clients:.0} clients/s come in beside {others:.0} HELLOs/s");
        assert!(come > 0);
    });
}

/// Those who have been answered and never come back: each holds a place among the handshakes under way, and little memory.
#[test]
fn handshakes_under_way_hold_little() {
    const HELD: usize = 200;
    /// Both ends, in a debug build. The state of such a handshake itself has some hundred bytes.
    const MOST: u64 = 16 << 10;

    let victim = Victim::new();
    let hello = Between::greeted(&victim).client_says();
    let opening = [&greeting(1, "CURVE")[..], &hello].concat();
    let held = |count| -> Vec<RawPeer> {
        let mut all: Vec<RawPeer> = (0..count)
            .map(|_| RawPeer::connect(&victim.endpoint))
            .collect();
        for raw in &mut all {
            raw.write(&opening);
        }
        for raw in &mut all {
            assert_eq!(raw.read(64 + 170)[64..74], *b"\x04\xa8\x07WELCOME");
        }
        all
    };
    let first = held(20);
    let memory = Watch::start();
    let others = held(HELD);
    memory.assert_growth_below(HELD as u64 * MOST);
    serves(&victim);
    drop((first, others));
    serves(&victim);
}

/// Commands under CURVE are handled as they come, and leave nothing: subscriptions without end.
#[test]
fn sealed_commands_leave_nothing() {
    let victim = Victim::new();
    let keys = zerohop::KeyPair::generate().expect("random bytes");
    let context = Context::new();
    let publisher = Pub::with_options(&context, Options::new().curve_server(&keys)).expect("a PUB");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let client = zerohop::KeyPair::generate().expect("random bytes");
    let options = Options::new().curve_client(&client, keys.public());
    let sub = Sub::with_options(&context, options).expect("a SUB");
    sub.connect(endpoint).expect("connected");
    let flood = |round: &str| {
        for number in 0..20_000 {
            let topic = format!("{round} {number}");
            sub.subscribe(&topic).expect("subscribed");
            sub.unsubscribe(&topic).expect("cancelled");
        }
        sub.subscribe(round).expect("subscribed");
        publisher
            .wait_for_subscribers(round, 1, DEADLINE)
            .expect("told of it");
    };
    flood("first");
    let memory = Watch::start();
    flood("second");
    memory.assert_growth_below(8 << 20);
    publisher.send("second").expect("sent");
    assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "second");
    serves(&victim);
}

/// Frames that are not whole cannot be opened, nor seen through: they are in the memory budget all the same, and become whole one after the other.
#[test]
fn frames_that_are_not_whole_stay_within_the_budget() {
    const PEERS: usize = 30;
    const BUDGET: usize = 4 << 20;
    const SIZE: usize = 500_000;
    let context = Context::with_options(ContextOptions::new().memory_budget(BUDGET));
    let options = Options::new().recv_buffer(8192).handshake_timeout(None);
    let victim = Victim::within(&context, options);
    let address = victim.endpoint.strip_prefix("tcp://").expect("tcp");
    let message = vec![b's'; SIZE];
    let memory = Watch::start();
    let mut strangers = Vec::new();
    for _ in 0..PEERS {
        let stream = TcpStream::connect(address).expect("accepted");
        let mut hand = stream.try_clone().expect("the same");
        let mut between = Between::greeted_by(&victim, RawPeer::new(stream));
        between.forward();
        between.back();
        between.forward();
        between.back();
        between.push.send(&message).expect("queued");
        let sealed = between.client_says();
        SockRef::from(&hand)
            .set_send_buffer_size(8192)
            .expect("a small buffer");
        hand.set_write_timeout(Some(Duration::from_millis(15)))
            .expect("a time limit");
        let mut left = &sealed[..SIZE - 50_000];
        while !left.is_empty() {
            match hand.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) => {
                    let kind = error.kind();
                    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    break;
                }
            }
        }
        strangers.push(hand);
    }
    assert!(
        context.memory_used() > BUDGET / 2,
        "there was some pressure"
    );
    assert!(context.memory_used() <= BUDGET);
    // What is outside of it is said with the option: so much for each connection, and for a socket; and there is what the allocator keeps.
    memory.assert_growth_below((BUDGET + (16 << 20) + PEERS * 384 * 1024) as u64);
    drop(strangers);
    // They are gone, and many who mean well come through although their messages together are too large.
    let friends: Vec<Push> = (0..12).map(|_| victim.push(&victim.endpoint)).collect();
    for push in &friends {
        push.send(&message).expect("queued");
    }
    for _ in &friends {
        let got = victim.pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(got.size(), SIZE);
    }
    until("the budget is free", || {
        // A caller drives.
        let _ = victim.pull.recv_timeout(GLANCE);
        (context.memory_used() == 0).then_some(())
    });
    let error = friends[0]
        .send(vec![b'l'; BUDGET / 8])
        .expect_err("too large");
    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }));
}
