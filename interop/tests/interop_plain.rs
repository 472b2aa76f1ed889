//! PLAIN with libzmq, pyzmq and czmq: either as the server and as the client, let in and not.

mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod events;
    pub(crate) mod line_peer;
    #[allow(dead_code, reason = "not all of them have PLAIN")]
    pub(crate) mod others;
    #[allow(dead_code, reason = "frames here are short")]
    pub(crate) mod part;
    #[allow(dead_code, reason = "no scenario runs each way here")]
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod unique;
}

use std::thread;

use zerohop::{Allow, Context, DisconnectCause, Options, Principal, ProtocolError, Pull, Push};

use common::deadline::DEADLINE;
use common::endpoints::Transport;
use common::events::wait_for_end;
use common::others::Other;
use common::part::Part;
use common::peer::{Peer, Role};
use common::pyzmq::Pyzmq;

fn server() -> Pull {
    let users = Allow::new().user("alice", "tiger");
    let options = Options::new().plain_server(true).allow(users);
    Pull::with_options(&Context::new(), options).expect("a PULL")
}

fn client(password: &str) -> Push {
    let options = Options::new().plain_client("alice", password);
    Push::with_options(&Context::new(), options).expect("a PUSH")
}

fn refused_with(push: &Push, connect: impl FnOnce()) -> ProtocolError {
    let monitor = push.monitor();
    connect();
    match wait_for_end(&monitor) {
        DisconnectCause::Protocol(error) => error,
        cause => panic!("ended for another cause: {cause:?}"),
    }
}

fn bad_password() -> ProtocolError {
    let reason = String::from("400");
    ProtocolError::PeerError { reason }
}

fn libzmq_socket(context: &zmq::Context, socket_type: zmq::SocketType) -> zmq::Socket {
    let socket = context.socket(socket_type).expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket.set_sndtimeo(patience).expect("a timeout");
    socket
}

fn libzmq_client(context: &zmq::Context, password: &str, endpoint: &str) -> zmq::Socket {
    let push = libzmq_socket(context, zmq::PUSH);
    push.set_plain_username(Some("alice")).expect("a name");
    push.set_plain_password(Some(password)).expect("a password");
    push.connect(endpoint).expect("connected");
    push
}

#[test]
fn libzmq_shows_us_its_password() {
    for transport in Transport::FOREIGN {
        let context = zmq::Context::new();
        let pull = server();
        let monitor = pull.monitor();
        let endpoint = pull
            .bind(transport.endpoint().as_str())
            .expect("bound")
            .to_string();
        let wrong = libzmq_client(&context, "lion", &endpoint);
        let cause = wait_for_end(&monitor);
        assert!(matches!(cause, DisconnectCause::Denied { .. }), "{cause:?}");
        drop(wrong);
        let push = libzmq_client(&context, "tiger", &endpoint);
        push.send("from libzmq", 0).expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "from libzmq");
        let principal = Some(Principal::User("alice".to_owned()));
        let peers = pull.stats().peers;
        assert!(
            peers.iter().any(|peer| peer.principal == principal),
            "{peers:?}"
        );
    }
}

/// Decides in the place of libzmq's server, which cannot by itself.
fn libzmq_zap_handler(context: &zmq::Context, requests: usize) -> thread::JoinHandle<()> {
    let handler = libzmq_socket(context, zmq::REP);
    handler.bind("inproc://zeromq.zap.01").expect("bound");
    thread::spawn(move || {
        for _ in 0..requests {
            let request = handler.recv_multipart(0).expect("a request");
            assert_eq!(request[5], b"PLAIN");
            let status: &[u8] = match (&request[6][..], &request[7][..]) {
                (b"alice", b"tiger") => b"200",
                _ => b"400",
            };
            let reply = [b"1.0", &request[1][..], status, b"", b"alice", b""];
            handler.send_multipart(reply, 0).expect("answered");
        }
    })
}

#[test]
fn we_show_libzmq_our_password() {
    for transport in Transport::FOREIGN {
        let context = zmq::Context::new();
        let handler = libzmq_zap_handler(&context, 2);
        let pull = libzmq_socket(&context, zmq::PULL);
        pull.set_plain_server(true).expect("a server");
        pull.bind(&transport.endpoint()).expect("bound");
        let endpoint = pull.get_last_endpoint().expect("bound").expect("text");
        let wrong = client("lion");
        let error = refused_with(&wrong, || wrong.connect(&*endpoint).expect("connected"));
        // In libzmq's own spelling.
        assert_eq!(error, bad_password());
        drop(wrong);
        let push = client("tiger");
        push.connect(&*endpoint).expect("connected");
        push.send("to libzmq").expect("queued");
        assert_eq!(pull.recv_bytes(0).expect("let in"), b"to libzmq");
        handler.join().expect("asked twice");
    }
}

#[test]
fn pyzmq_shows_us_its_password() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let pull = server();
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let push_with = |password: &str| {
        let mut push = pyzmq.start(Role::Push);
        push.set("PLAIN_USERNAME", Part::from("alice"));
        push.set("PLAIN_PASSWORD", Part::from(password));
        push.connect(&endpoint);
        push
    };
    let wrong = push_with("lion");
    let cause = wait_for_end(&monitor);
    assert!(matches!(cause, DisconnectCause::Denied { .. }), "{cause:?}");
    drop(wrong);
    let mut push = push_with("tiger");
    push.send(&[Part::from("from pyzmq")]);
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "from pyzmq");
}

/// With pyzmq's own authenticator as the handler of ZAP.
#[test]
fn we_show_pyzmq_our_password() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let mut pull = pyzmq.start(Role::Pull);
    let (name, password) = (Part::from("alice"), Part::from("tiger"));
    pull.ask(&format!("users {name} {password}"));
    pull.set("PLAIN_SERVER", 1);
    let endpoint = pull.bind("tcp://127.0.0.1:*");
    let wrong = client("lion");
    let error = refused_with(&wrong, || wrong.connect(&*endpoint).expect("connected"));
    assert_eq!(error, bad_password());
    let push = client("tiger");
    push.connect(&*endpoint).expect("connected");
    push.send("to pyzmq").expect("queued");
    assert_eq!(pull.recv(), [Part::from("to pyzmq")]);
}

/// With czmq's `zauth` as the handler of ZAP, and its file of passwords.
#[test]
fn we_show_zauth_our_password() {
    let Some(czmq) = Other::Czmq.available() else {
        return;
    };
    let name = format!("zerohop-passwords-{}", std::process::id());
    let passwords = std::env::temp_dir().join(name);
    std::fs::write(&passwords, "alice=tiger\n").expect("written");
    let mut pull = czmq.start("PULL");
    pull.ask(&format!("passwords {}", passwords.display()));
    pull.set("PLAIN_SERVER", 1);
    let endpoint = pull.bind("tcp://127.0.0.1:*");
    let wrong = client("lion");
    let error = refused_with(&wrong, || wrong.connect(&*endpoint).expect("connected"));
    assert_eq!(error, bad_password());
    let push = client("tiger");
    push.connect(&*endpoint).expect("connected");
    push.send("to czmq").expect("queued");
    assert_eq!(pull.recv(), [Part::from("to czmq")]);
    std::fs::remove_file(&passwords).expect("removed");
}
