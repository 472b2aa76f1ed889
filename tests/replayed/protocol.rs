//! What peers say of logs, byte by byte: those that know nothing of them, and those that mean no good.

use super::*;

#[test]
fn whoever_does_not_know_logs_is_told_nothing_of_them() {
    let folder = Folder::new("plain");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    publish(&source, "x", 0..10);
    let mut peer = RawPeer::connect(&endpoint);
    let ready = hello(&mut peer, "SUB", None);
    assert!(ready.windows(4).any(|bytes| bytes == b"\x03Log"));
    // It has not said that it knows what this is.
    peer.write(&command("REPLAY", b"\x01\x01x"));
    peer.write(&command("REPLAY", b"\xff"));
    peer.write(&command("SUBSCRIBE", b"x"));
    source
        .wait_for_subscribers("x", 1, DEADLINE)
        .expect("subscribed");
    publish(&source, "x", 10..12);
    for expected in ["10", "11"] {
        assert_eq!(peer.read_frame(), (MORE, b"x".to_vec()));
        assert_eq!(peer.read_frame(), (0, expected.as_bytes().to_vec()));
    }
}

#[test]
fn hostile_subscribers_lose_their_connection_and_nothing_else() {
    let malformed = DeliveryError::Malformed { command: "REPLAY" };
    let cases: [(&str, &[u8], DeliveryError); 4] = [
        ("REPLAY", b"", malformed),
        ("REPLAY", b"\x09\x01x", malformed),
        ("REPLAY", b"\x01\xff", malformed),
        (
            "GAP",
            b"\0\x01\x02",
            DeliveryError::WrongSide { command: "GAP" },
        ),
    ];
    let folder = Folder::new("hostile");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    publish(&source, "x", 0..5);
    for (name, data, expected) in cases {
        let monitor = source.monitor();
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "SUB", Some(b"\x01"));
        peer.write(&command(name, data));
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
    }
    let sub = subscriber(&context);
    sub.subscribe_from("", ReplayFrom::Last(u64::MAX))
        .expect("all");
    sub.connect(&*endpoint).expect("connected");
    receive(&sub, 0..5);
}

#[test]
fn golden_bytes_of_a_replay() {
    let folder = Folder::new("golden");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    publish(&source, "a", 0..2);
    publish(&source, "b", 2..4);
    publish(&source, "a", 4..5);
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "SUB", Some(b"\x01"));
    peer.write(&command("REPLAY", b"\x01\x02a"));
    let expect = |peer: &mut RawPeer, flags: u8, body: &[u8]| {
        assert_eq!(peer.read_frame(), (flags, body.to_vec()));
    };
    expect(&mut peer, COMMAND, b"\x05START\0\x02");
    expect(&mut peer, COMMAND, b"\x02AT\0\x02");
    expect(&mut peer, MORE, b"a");
    expect(&mut peer, 0, b"1");
    expect(&mut peer, COMMAND, b"\x02AT\x01\x05");
    expect(&mut peer, MORE, b"a");
    expect(&mut peer, 0, b"4");
    // One that does not ask where it begins.
    peer.write(&command("SUBSCRIBE", b"b"));
    source
        .wait_for_subscribers("b", 1, DEADLINE)
        .expect("subscribed");
    publish(&source, "b", 5..6);
    expect(&mut peer, MORE, b"b");
    expect(&mut peer, 0, b"5");
}

#[test]
fn hostile_publishers_lose_their_connection_and_nothing_else() {
    let message = [frame(MORE, b"x"), frame(0, b"0")].concat();
    let at = command("AT", b"\0\x05");
    let cases: [(Vec<u8>, DeliveryError); 5] = [
        (message.clone(), DeliveryError::Unnumbered),
        (
            command("START", b"\0"),
            DeliveryError::Malformed { command: "START" },
        ),
        (
            [command("START", b"\0\x05"), command("START", b"\0\x05")].concat(),
            DeliveryError::Unasked { command: "START" },
        ),
        (
            [
                at.clone(),
                message.clone(),
                command("NEXT", b"\x07\x09"),
                message.clone(),
            ]
            .concat(),
            DeliveryError::NeverSent { tag: 7 },
        ),
        (
            command("REPLAY", b"\0"),
            DeliveryError::WrongSide { command: "REPLAY" },
        ),
    ];
    let context = Context::new();
    let sub = subscriber(&context);
    sub.subscribe("x").expect("subscribed");
    let endpoint = sub.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    for (index, (bytes, expected)) in cases.into_iter().enumerate() {
        let monitor = sub.monitor();
        let mut peer = RawPeer::connect(&endpoint);
        let id = [&[1][..], &[index as u8; 16]].concat();
        let ready = hello(&mut peer, "PUB", Some(&id));
        assert!(
            ready
                .windows(9)
                .any(|bytes| bytes == b"\x03Log\0\0\0\x01\x01")
        );
        assert_eq!(
            peer.read_frame(),
            (COMMAND, b"\x06REPLAY\0x".to_vec()),
            "{expected:?}"
        );
        peer.write(&bytes);
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
    }
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "PUB", Some(&[&[1][..], &[8; 16]].concat()));
    peer.read_frame();
    let good = [command("START", b"\0\x05"), at, message];
    peer.write(&good.concat());
    let source = loop {
        match next(&sub) {
            Logged::Message { source, .. } => match source.expect("a log") {
                source if source.log == [8; 16] => break source,
                _ => {}
            },
            Logged::Gap(gap) => panic!("{gap:?}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(source.offset, 5);
}

/// Where publishers show who they are, the id of another one's log is of no use.
#[test]
fn a_log_goes_with_its_user() {
    let folder = Folder::new("user");
    let cursor = folder.0.with_extension("cursor");
    let context = Context::new();
    let users = Allow::new().user("ann", "1").user("bob", "2");
    let options = Options::new().plain_server(true).allow(users);
    let sub = Sub::with_options(&context, options).expect("a SUB");
    sub.subscribe_from("x", ReplayFrom::Resume(cursor.clone()))
        .expect("subscribed");
    let endpoint = sub.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let options = Options::new().log(folder.log()).plain_client("ann", "1");
    let ann = Pub::with_options(&context, options).expect("a PUB");
    ann.connect(&*endpoint).expect("connected");
    publish(&ann, "x", 0..1);
    let Logged::Message { source, .. } = next(&sub) else {
        panic!("no message");
    };
    let log = source.expect("a log").log;

    let mut bob = RawPeer::connect(&endpoint);
    bob.write(&greeting(1, "PLAIN"));
    bob.write(&command("HELLO", b"\x03bob\x012"));
    let properties = [
        property("Socket-Type", b"PUB"),
        property("Log", &[&[1][..], &log].concat()),
    ];
    bob.write(&command("INITIATE", &properties.concat()));
    // As if all up to an offset far away had been sent.
    bob.write(&command("START", b"\0\x01"));
    bob.write(&command("NEXT", b"\0\x80\x80\x80\x80\x10"));
    bob.write(&command("AT", b"\0\x81\x80\x80\x80\x10"));
    bob.write(&[frame(MORE, b"x"), frame(0, b"7")].concat());
    assert_eq!(number(&sub.recv_timeout(DEADLINE).expect("of bob")), 7);
    publish(&ann, "x", 1..2);
    assert_eq!(number(&sub.recv_timeout(DEADLINE).expect("of ann")), 1);
    sub.close(DEADLINE).expect("closed");
    let text = std::fs::read_to_string(&cursor).expect("a cursor");
    let ends = [" 3 user ann", " 4294967298 user bob"];
    for end in ends {
        assert!(text.lines().any(|line| line.ends_with(end)), "{text}");
    }
    std::fs::remove_file(&cursor).expect("removed");
}

/// Whoever asks without end, and reads no answer, does not have them pile up.
#[test]
fn a_subscriber_that_reads_no_answers_is_sent_away() {
    let context = Context::new();
    let source = publisher(&context, Log::memory(1_000_000));
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    publish(&source, "x", 0..1);
    let monitor = source.monitor();
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "SUB", Some(b"\x01"));
    let questions = command("REPLAY", b"\0x").repeat(1000);
    // Some hundred MB, if nothing ends it.
    let ended = (0..10_000).any(|_| !peer.pour(&questions));
    assert!(ended, "all was taken");
    assert_eq!(wait_for_end(&monitor), DisconnectCause::TooSlow);
    let sub = subscriber(&context);
    sub.subscribe_from("", ReplayFrom::Last(1)).expect("all");
    sub.connect(&*endpoint).expect("connected");
    receive(&sub, 0..1);
}
