//! PLAIN: both sides against each other and against bytes by hand, over every split.

use super::{greeting, ready};
use crate::fuzzing::{Event, Peer};
use crate::zmtp::{
    Credentials, Denial, FrameKind, Grant, MechanismConfig, ProtocolError, SocketType, put_frame,
};

fn client(username: &str, password: &str) -> Peer {
    let mechanism = MechanismConfig::PlainClient {
        username: username.to_owned(),
        password: password.into(),
    };
    Peer::with_mechanism(SocketType::Push, b"", mechanism, false)
}

fn server() -> Peer {
    Peer::with_mechanism(SocketType::Pull, b"", MechanismConfig::PlainServer, false)
}

fn alice() -> Credentials {
    Credentials::Plain {
        username: String::from("alice"),
        password: "tiger".into(),
    }
}

fn command(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, FrameKind::Command, body);
    out
}

/// READY and INITIATE differ in the name alone.
fn initiate(socket_type: SocketType) -> Vec<u8> {
    let ready = ready(socket_type);
    command(&[&b"\x08INITIATE"[..], &ready[8..]].concat())
}

const HELLO: &[u8] = b"\x04\x12\x05HELLO\x05alice\x05tiger";
const WELCOME: &[u8] = b"\x04\x08\x07WELCOME";

/// The bytes of both sides, written by hand after RFC 24.
#[test]
fn golden_bytes() {
    let mut client = client("alice", "tiger");
    client.feed(&greeting(3, 1, "PLAIN")[..11]);
    assert_eq!(
        client.seen.out.len(),
        64,
        "no password before it knows whom it talks to"
    );
    assert_eq!(client.seen.out[12..18], *b"PLAIN\0");
    assert_eq!(client.seen.out[32], 0, "not a server");
    client.feed(&greeting(3, 1, "PLAIN")[11..]);
    assert_eq!(client.seen.out[64..], *HELLO);
    client.feed(WELCOME);
    assert_eq!(
        client.seen.out[64 + HELLO.len()..],
        initiate(SocketType::Push)
    );
    client.feed(&ready(SocketType::Pull));
    let facts = client.seen.established.expect("established").facts;
    assert_eq!((facts.mechanism(), facts.principal()), ("PLAIN", None));

    let mut server = server();
    server.verdict = None;
    server.feed(&greeting(3, 1, "PLAIN"));
    assert_eq!(server.seen.out.len(), 64);
    assert_eq!(server.seen.out[32], 1, "a server");
    server.feed(HELLO);
    assert_eq!(server.seen.asked, Some(alice()));
    assert_eq!(server.seen.out.len(), 64);
    server.decide(Ok(Grant::default()));
    assert_eq!(server.seen.out[64..], *WELCOME);
    server.feed(&initiate(SocketType::Push));
    assert_eq!(
        server.seen.out[64 + WELCOME.len()..],
        ready(SocketType::Pull)
    );
    assert!(server.seen.established.is_some());
}

#[test]
fn every_split_of_both_sides() {
    let mut to_server = greeting(3, 1, "PLAIN");
    to_server.extend_from_slice(HELLO);
    to_server.extend(initiate(SocketType::Push));
    to_server.extend_from_slice(b"\0\x01m");
    let mut to_client = greeting(3, 0, "PLAIN");
    to_client.extend_from_slice(WELCOME);
    to_client.extend(ready(SocketType::Pull));
    to_client.extend_from_slice(b"\0\x01m");
    let streams = [(to_server, true), (to_client, false)];
    for (stream, to_server) in streams {
        for split in 0..=stream.len() {
            let mut peer = match to_server {
                true => server(),
                false => client("alice", "tiger"),
            };
            peer.feed(&stream[..split]);
            peer.feed(&stream[split..]);
            assert_eq!(peer.seen.error, None);
            assert!(peer.seen.established.is_some());
            let body = b"m".to_vec();
            assert_eq!(peer.seen.events, [Event::Part { body, last: true }]);
            assert_eq!(peer.seen.asked, to_server.then(alice));
        }
    }
}

#[test]
fn who_is_not_let_in_is_told_so_by_either_spelling() {
    let mut server = server();
    server.verdict = Some(Err(Denial::Credentials));
    server.feed(&greeting(3, 1, "PLAIN"));
    server.feed(HELLO);
    assert!(server.seen.out.ends_with(b"\x04\x0a\x05ERROR\x03400"));
    assert_eq!(server.seen.denied, Some(Denial::Credentials));
    for error in [&b"\x05ERROR\x03400"[..], b"\x5eRROR\x03400"] {
        for welcomed in [false, true] {
            let mut client = client("alice", "lion");
            client.feed(&greeting(3, 1, "PLAIN"));
            if welcomed {
                client.feed(WELCOME);
            }
            client.feed(&command(error));
            let reason = String::from("400");
            assert_eq!(client.seen.error, Some(ProtocolError::PeerError { reason }));
        }
    }
}

/// What is given for a body instead of what is waited for.
fn refused(mut peer: Peer, before: &[&[u8]], body: &[u8]) -> ProtocolError {
    peer.feed(&greeting(3, 1, "PLAIN"));
    for frame in before {
        peer.feed(frame);
    }
    peer.feed(&command(body));
    assert_eq!(peer.seen.established, None);
    peer.seen.error.expect("refused")
}

#[test]
fn nothing_comes_before_its_time() {
    let unexpected = |name: &str| ProtocolError::UnexpectedCommand {
        name: name.to_owned(),
    };
    let ready = &ready(SocketType::Push)[2..];
    let initiate = &initiate(SocketType::Push)[2..];
    assert_eq!(refused(server(), &[], ready), unexpected("READY"));
    assert_eq!(refused(server(), &[], initiate), unexpected("INITIATE"));
    assert_eq!(refused(server(), &[], &WELCOME[2..]), unexpected("WELCOME"));
    assert_eq!(refused(server(), &[HELLO], ready), unexpected("READY"));
    assert_eq!(
        refused(server(), &[HELLO], &HELLO[2..]),
        unexpected("HELLO")
    );
    assert_eq!(refused(server(), &[], b"\x04PING\0\0"), unexpected("PING"));
    let client = || client("alice", "tiger");
    assert_eq!(refused(client(), &[], ready), unexpected("READY"));
    assert_eq!(refused(client(), &[], &HELLO[2..]), unexpected("HELLO"));
    assert_eq!(
        refused(client(), &[WELCOME], &WELCOME[2..]),
        unexpected("WELCOME")
    );
}

/// What comes while the verdict is waited for is looked at after it, and is no way past it.
#[test]
fn ready_does_not_replace_the_verdict() {
    let mut peer = server();
    peer.verdict = None;
    peer.feed(&greeting(3, 1, "PLAIN"));
    peer.feed(HELLO);
    peer.feed(&ready(SocketType::Push));
    put_frame(&mut peer.seen.out, FrameKind::Last, b"m");
    assert_eq!((&peer.seen.error, &peer.seen.established), (&None, &None));
    peer.decide(Ok(Grant::default()));
    let name = String::from("READY");
    assert_eq!(
        peer.seen.error,
        Some(ProtocolError::UnexpectedCommand { name })
    );
    assert!(peer.seen.events.is_empty());
}

#[test]
fn lengths_have_to_fit() {
    for body in [
        &b"\x05HELLO"[..],
        b"\x05HELLO\x05alic",
        b"\x05HELLO\x05alice",
        b"\x05HELLO\x05alice\x05tige",
        b"\x05HELLO\x05alice\x05tiger!",
        b"\x05HELLO\x01\xff\x00",
    ] {
        let name = String::from("HELLO");
        assert_eq!(
            refused(server(), &[], body),
            ProtocolError::MalformedCommand { name }
        );
    }
    let name = String::from("WELCOME");
    let error = refused(client("a", "b"), &[], b"\x07WELCOME!");
    assert_eq!(error, ProtocolError::MalformedCommand { name });
    let mut peer = server();
    peer.feed(&greeting(3, 1, "PLAIN"));
    peer.feed(&command(b"\x05HELLO\0\0"));
    assert!(peer.seen.asked.is_some(), "both may be empty");
}

/// A peer without security is not talked to, whatever its version; nor is a server of another mechanism shown a password.
#[test]
fn there_is_no_way_down() {
    for mechanism in ["NULL", "CURVE", "PLAIN2"] {
        for mut peer in [server(), client("alice", "tiger")] {
            peer.feed(&greeting(3, 1, mechanism));
            let theirs = mechanism.to_owned();
            let error = ProtocolError::MechanismMismatch {
                ours: "PLAIN",
                theirs,
            };
            assert_eq!(peer.seen.error, Some(error));
            assert_eq!(peer.seen.out.len(), 64);
        }
    }
    for mut peer in [server(), client("alice", "tiger")] {
        peer.feed(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0");
        let error = ProtocolError::InsecureVersion { mechanism: "PLAIN" };
        assert_eq!(peer.seen.error, Some(error));
    }
}
