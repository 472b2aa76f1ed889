//! PLAIN over real connections: who is let in with which password, and who finds no way past it.

use zerohop::{
    Allow, Context, Denial, DisconnectCause, Options, Principal, ProtocolError, Pull, Push,
    SocketError,
};
use zerohop::{Dealer, Rep, Router};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::{RawPeer, command, frame, greeting, property, ready};

fn server(context: &Context, allow: Allow) -> Pull {
    let options = Options::new().plain_server(true).allow(allow);
    Pull::with_options(context, options).expect("a PULL")
}

fn client(context: &Context, name: &str, password: &str) -> Push {
    let options = Options::new().plain_client(name, password);
    Push::with_options(context, options).expect("a PUSH")
}

#[test]
fn a_password_lets_in_whichever_side_binds() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        for server_binds in [true, false] {
            let context = Context::new();
            let users = Allow::new().user("alice", "tiger");
            let (pull, push) = (server(&context, users), client(&context, "alice", "tiger"));
            match server_binds {
                true => push.connect(pull.bind(endpoint).expect("bound")),
                false => pull.connect(push.bind(endpoint).expect("bound")),
            }
            .expect("connected");
            push.send("from alice").expect("queued");
            assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "from alice");
            let peer = &pull.stats().peers[0];
            assert_eq!(peer.principal, Some(Principal::User("alice".to_owned())));
            assert_eq!(peer.mechanism, "PLAIN");
        }
    }
}

#[test]
fn a_wrong_password_does_not() {
    let context = Context::new();
    let pull = server(&context, Allow::new().user("alice", "tiger"));
    let inside = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound");
    for (name, password) in [("alice", "lion"), ("bob", "tiger"), ("alice", "")] {
        let push = client(&context, name, password);
        let outside = push.monitor();
        push.connect(&endpoint).expect("connected");
        let cause = wait_for_end(&inside);
        assert!(
            matches!(
                &cause,
                DisconnectCause::Denied {
                    denial: Denial::Credentials,
                    ..
                }
            ),
            "{cause:?}"
        );
        let reason = String::from("400");
        let error = ProtocolError::PeerError { reason };
        assert_eq!(wait_for_end(&outside), DisconnectCause::Protocol(error));
    }
}

/// A server that was told of no users has none.
#[test]
fn a_server_without_users_lets_nobody_in() {
    let context = Context::new();
    let pull = server(&context, Allow::anyone());
    let inside = pull.monitor();
    let push = client(&context, "alice", "tiger");
    push.connect(pull.bind("ipc://*").expect("bound"))
        .expect("connected");
    let cause = wait_for_end(&inside);
    assert!(
        matches!(
            &cause,
            DisconnectCause::Denied {
                denial: Denial::Internal,
                ..
            }
        ),
        "{cause:?}"
    );
}

#[test]
fn a_socket_is_a_client_or_a_server() {
    let options = Options::new()
        .plain_client("alice", "tiger")
        .plain_server(true);
    let error = Pull::with_options(&Context::new(), options).expect_err("both");
    assert!(matches!(&error, SocketError::Option(error) if error.option() == "plain_server"));
}

/// Neither another mechanism, nor an older protocol, nor a READY out of turn.
#[test]
fn there_is_no_way_past_the_password() {
    let context = Context::new();
    let pull = server(&context, Allow::new().user("alice", "tiger"));
    let inside = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let initiate = command("INITIATE", &property("Socket-Type", b"PUSH"));
    let plain = |rest: &[u8]| [&greeting(1, "PLAIN"), rest].concat();
    let null = [greeting(1, "NULL"), ready("PUSH"), frame(0, b"in")].concat();
    let old = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0\0\x02in".to_vec();
    let attempts = [
        null,
        old,
        plain(&[ready("PUSH"), frame(0, b"in")].concat()),
        plain(&[initiate.clone(), frame(0, b"in")].concat()),
        plain(
            &[
                command("HELLO", b"\x05alice\x04lion"),
                initiate,
                frame(0, b"in"),
            ]
            .concat(),
        ),
    ];
    for attempt in attempts {
        let mut raw = RawPeer::connect(&endpoint);
        raw.pour(&attempt);
        raw.expect_closed();
        let cause = wait_for_end(&inside);
        assert!(
            matches!(
                cause,
                DisconnectCause::Protocol(_) | DisconnectCause::Denied { .. }
            ),
            "{cause:?}"
        );
    }
    assert!(pull.try_recv().is_err());
    assert_eq!(pull.stats().messages_in, 0);
}

/// A client keeps its password from whoever is no server of PLAIN.
#[test]
fn a_client_shows_nothing_to_another_mechanism() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let context = Context::new();
    let push = client(&context, "alice", "tiger");
    let outside = push.monitor();
    let address = listener.local_addr().expect("bound");
    push.connect(&*format!("tcp://{address}"))
        .expect("connected");
    let mut raw = RawPeer::accept(&listener);
    raw.write(&greeting(1, "NULL"));
    assert_eq!(raw.read(64)[12..17], *b"PLAIN");
    raw.expect_closed();
    let cause = wait_for_end(&outside);
    assert!(
        matches!(
            &cause,
            DisconnectCause::Protocol(ProtocolError::MechanismMismatch { .. })
        ),
        "{cause:?}"
    );
}

/// Whoever serves several users knows which of them asks.
#[test]
fn a_server_knows_who_asks() {
    let context = Context::new();
    let users = || Allow::new().user("alice", "tiger").user("bob", "lion");
    let server = || Options::new().plain_server(true).allow(users());
    let alice = Some(Principal::User("alice".to_owned()));

    let rep = Rep::with_options(&context, server()).expect("a REP");
    let options = Options::new().plain_client("alice", "tiger");
    let dealer = Dealer::with_options(&context, options).expect("a DEALER");
    dealer
        .connect(rep.bind("ipc://*").expect("bound"))
        .expect("connected");
    dealer.send(["", "who am I?"]).expect("queued");
    let request = rep.recv_timeout(DEADLINE).expect("asked");
    let facts = request.peer().expect("there");
    assert_eq!(facts.principal().cloned(), alice);

    let router = Router::with_options(&context, server()).expect("a ROUTER");
    dealer
        .connect(router.bind("ipc://*").expect("bound"))
        .expect("connected");
    dealer.wait_for_peers(2, DEADLINE).expect("both");
    dealer.send("to one").expect("queued");
    dealer.send("to the other").expect("queued");
    let incoming = router.recv_timeout(DEADLINE).expect("asked");
    let facts = router.facts(&incoming.peer).expect("there");
    assert_eq!(facts.principal().cloned(), alice);
    assert!(router.facts(&"nobody".into()).is_none());
}
