//! Handshakes that ask whether their peer is let in.

use super::{greeting, ready};
use crate::fuzzing::{Event, Peer};
use crate::zmtp::{
    Credentials, Denial, FrameKind, Grant, MechanismConfig, ProtocolError, SocketType, put_frame,
};

/// A PULL of the mechanism NULL whose peers wait for a verdict.
fn asking() -> Peer {
    let mut peer = Peer::with_mechanism(SocketType::Pull, b"", MechanismConfig::Null, true);
    peer.verdict = None;
    peer
}

fn greeted() -> Vec<u8> {
    let mut golden = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL".to_vec();
    golden.resize(64, 0);
    golden
}

/// All that a PUSH sends, with a message right behind.
fn pushed() -> Vec<u8> {
    let mut stream = greeting(3, 1, "NULL");
    stream.extend(ready(SocketType::Push));
    put_frame(&mut stream, FrameKind::Last, b"early");
    stream
}

fn granted() -> Result<Grant, Denial> {
    Ok(Grant {
        user_id: String::from("alice"),
        metadata: vec![(String::from("Team"), "blue".into())],
    })
}

/// In which pieces the bytes come does not matter, nor which of them have come when the verdict does.
#[test]
fn null_takes_nothing_before_the_verdict_over_every_split() {
    let stream = pushed();
    for decided in 64..=stream.len() {
        for split in 0..=decided {
            let mut peer = asking();
            peer.feed(&stream[..split]);
            peer.feed(&stream[split..decided]);
            assert_eq!(peer.seen.asked, Some(Credentials::None));
            assert_eq!(peer.seen.out, greeted(), "neither READY nor ERROR");
            assert_eq!(
                (peer.seen.established.is_some(), peer.seen.events.len()),
                (false, 0)
            );
            peer.decide(granted());
            assert!(peer.seen.out.ends_with(b"PULL"), "a READY");
            peer.feed(&stream[decided..]);
            let facts = peer.seen.established.expect("established").facts;
            assert_eq!(
                facts.granted("team").map(|team| &team[..]),
                Some(&b"blue"[..])
            );
            assert_eq!(facts.property("team"), None, "not the peer's own claim");
            let body = b"early".to_vec();
            assert_eq!(peer.seen.events, [Event::Part { body, last: true }]);
        }
    }
}

#[test]
fn who_is_not_let_in_is_told_why_and_heard_no_more() {
    for (denial, said) in [
        (Denial::Credentials, &b"\x04\x0a\x05ERROR\x03400"[..]),
        (Denial::Internal, b"\x04\x0a\x05ERROR\x03500"),
        (Denial::Temporary, b""),
    ] {
        let mut peer = asking();
        peer.feed(&pushed());
        peer.decide(Err(denial));
        assert_eq!(peer.seen.out, [&greeted()[..], said].concat());
        peer.feed(&pushed());
        assert_eq!(peer.seen.denied, Some(denial));
        assert_eq!((peer.seen.established, peer.seen.events), (None, vec![]));
    }
}

/// Two sides that both ask do not wait for each other.
#[test]
fn both_sides_may_ask() {
    let mut pull = asking();
    let mut push = Peer::with_mechanism(SocketType::Push, b"", MechanismConfig::Null, true);
    push.verdict = None;
    for _ in 0..3 {
        pull.feed(&std::mem::take(&mut push.seen.out));
        push.feed(&std::mem::take(&mut pull.seen.out));
    }
    assert!(pull.seen.asked.is_some() && push.seen.asked.is_some());
    pull.decide(granted());
    push.decide(granted());
    pull.feed(&push.seen.out);
    push.feed(&pull.seen.out);
    assert!(pull.seen.established.is_some() && push.seen.established.is_some());
}

/// ZMTP 2.0 has no command to be told by that one waits.
#[test]
fn a_2_0_peer_is_not_talked_to() {
    let mut peer = asking();
    peer.feed(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0");
    let error = ProtocolError::InsecureVersion { mechanism: "NULL" };
    assert_eq!(peer.seen.error, Some(error));
    assert_eq!(peer.seen.asked, None);
}
