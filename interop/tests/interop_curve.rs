//! CURVE with pyzmq, whose wheels bring libzmq with libsodium: either as the server, in every role, over every transport. The libzmq that
//! these tests build has no CURVE. With omq and czmq: `curve/others.rs`.

mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod events;
    pub(crate) mod line_peer;
    #[allow(dead_code, reason = "not all of them have CURVE")]
    pub(crate) mod others;
    pub(crate) mod ours;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "curve/others.rs"]
mod others;

use std::process::Command;
use std::time::Duration;

use zerohop::{
    Allow, Context, DisconnectCause, KeyPair, Options, ProtocolError, PublicKey, Pull, Push,
};

use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::line_peer::LinePeer;
use common::ours::Zerohop;
use common::part::Part;
use common::peer::{
    Implementation, Peer,
    Role::{self, Dealer, Pair, Pub, Rep, Req, Router, Sub, XPub, XSub},
    each_way,
};
use common::pyzmq::Pyzmq;
use common::scenarios;

fn keys() -> KeyPair {
    KeyPair::generate().expect("random bytes")
}

/// pyzmq with keys.
struct Keyed {
    pyzmq: Pyzmq,
    keys: KeyPair,
    /// `None`: it is the server.
    server: Option<PublicKey>,
}

impl Keyed {
    fn start(&self, role: Role) -> LinePeer {
        let mut peer = self.pyzmq.start(role);
        set_keys(&mut peer, &self.keys, self.server);
        peer
    }
}

/// Has a peer talk to that server, or be one.
fn set_keys(peer: &mut LinePeer, keys: &KeyPair, server: Option<PublicKey>) {
    let text = |text: String| Part::from(text.as_str());
    peer.set("CURVE_PUBLICKEY", text(keys.public().to_z85()));
    peer.set("CURVE_SECRETKEY", text(keys.secret().to_z85()));
    match server {
        Some(server) => peer.set("CURVE_SERVERKEY", text(server.to_z85())),
        None => peer.set("CURVE_SERVER", 1),
    }
}

impl Implementation for Keyed {
    fn name(&self) -> &str {
        "pyzmq"
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        Box::new(self.start(role))
    }
}

/// Each of the two as the server, in each role, binding or connecting.
fn all(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    let (server, client) = (keys(), keys());
    if let Some(pyzmq) = Pyzmq::available() {
        let ours = Options::new()
            .curve_server(&server)
            .allow([client.public()]);
        let theirs = Keyed {
            pyzmq,
            keys: client.clone(),
            server: Some(server.public()),
        };
        each_way(&Zerohop::with_options(ours), &theirs, roles, scenario);
    }
    if let Some(pyzmq) = Pyzmq::available() {
        let ours = Options::new().curve_client(&client, server.public());
        let theirs = Keyed {
            pyzmq,
            keys: server,
            server: None,
        };
        each_way(&Zerohop::with_options(ours), &theirs, roles, scenario);
    }
}

#[test]
fn keeps_frames() {
    all((Role::Push, Role::Pull), scenarios::keeps_frames);
}

#[test]
fn carries_sizes() {
    all((Role::Push, Role::Pull), scenarios::carries_sizes);
}

#[test]
fn keeps_order() {
    all((Role::Push, Role::Pull), scenarios::keeps_order);
}

#[test]
fn selects_topics() {
    all((Pub, Sub), scenarios::selects_topics);
}

#[test]
fn an_xsub_subscribes_to_all() {
    all((Pub, XSub), scenarios::subscribes_to_all);
}

#[test]
fn dealers_talk() {
    all((Dealer, Dealer), scenarios::dealers_talk);
}

/// Far more than any buffer on its way. In a debug build every byte costs its cipher dear.
#[test]
fn carries_16_mib() {
    all((Role::Push, Role::Pull), scenarios::carries_mib::<16>);
}

#[test]
fn tells_subscriptions() {
    all((XPub, Sub), scenarios::tells_subscriptions);
}

#[test]
fn xsub_talks_up() {
    all((XPub, XSub), scenarios::xsub_talks_up);
}

#[test]
fn asks_and_answers() {
    all((Req, Rep), scenarios::asks_and_answers);
}

#[test]
fn dealer_asks_rep() {
    all((Dealer, Rep), scenarios::dealer_asks_rep);
}

#[test]
fn router_answers_req() {
    all((Req, Router), scenarios::router_answers_req);
}

#[test]
fn router_answers_dealer() {
    all((Dealer, Router), scenarios::router_answers_dealer);
}

#[test]
fn pairs_talk() {
    all((Pair, Pair), scenarios::pairs_talk);
}

/// Each length at which the cipher takes another way. libsodium opens what we seal, and we what it seals.
#[test]
fn every_length_opens() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let (server, client) = (keys(), keys());
    let ours = Options::new().curve_client(&client, server.public());
    let theirs = Keyed {
        pyzmq,
        keys: server,
        server: None,
    };
    let mut their_dealer = theirs.start(Dealer);
    let our_dealer = zerohop::Dealer::with_options(&Context::new(), ours.linger(Duration::ZERO))
        .expect("a DEALER");
    let endpoint = their_dealer.bind("tcp://127.0.0.1:*");
    our_dealer.connect(&*endpoint).expect("connected");
    for len in (0..700).chain([1023, 1024, 1025, 4000, 4096, 8191, 16_384, 65_537, 300_001]) {
        let part = Part::sized(len);
        their_dealer.send(std::slice::from_ref(&part));
        let message = our_dealer.recv_timeout(DEADLINE).expect("what they seal");
        our_dealer.send(message).expect("queued");
        assert_eq!(their_dealer.recv(), [part], "{len}");
    }
}

/// Both sides send PINGs, and hold on to the connection.
#[test]
fn heartbeats_are_sealed() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let (server, client) = (keys(), keys());
    let interval = Duration::from_millis(20);
    let options = Options::new()
        .curve_server(&server)
        .heartbeat_interval(interval);
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let theirs = Keyed {
        pyzmq,
        keys: client,
        server: Some(server.public()),
    };
    let mut push = theirs.start(Role::Push);
    push.set("HEARTBEAT_IVL", 20);
    push.set("HEARTBEAT_TIMEOUT", 10_000);
    push.connect(&endpoint);
    let monitor = pull.monitor();
    push.send(&[Part::from("first")]);
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "first");
    let bytes = |pull: &Pull| pull.stats().peers.first().map_or(0, |peer| peer.bytes_in);
    let before = bytes(&pull);
    // Fifty PINGs or PONGs, in 33 bytes each and a header.
    common::until::until("heartbeats", || {
        let _ = pull.recv_timeout(common::until::GLANCE);
        (bytes(&pull) > before + 50 * 40).then_some(())
    });
    push.send(&[Part::from("last")]);
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "last");
    while let Ok(event) = monitor.try_recv() {
        assert!(!format!("{event:?}").contains("Disconnected"), "{event:?}");
    }
}

#[test]
fn who_has_the_wrong_key_is_not_let_in() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let (server, client, stranger) = (keys(), keys(), keys());
    let allow = Allow::from([client.public()]);
    let options = Options::new().curve_server(&server).allow(allow);
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut theirs = Keyed {
        pyzmq,
        keys: stranger.clone(),
        server: Some(server.public()),
    };
    let mut push = theirs.start(Role::Push);
    push.connect(&endpoint);
    let cause = wait_for_end(&monitor);
    assert!(matches!(cause, DisconnectCause::Denied { .. }), "{cause:?}");
    drop(push);
    theirs.server = Some(stranger.public());
    let mut push = theirs.start(Role::Push);
    push.connect(&endpoint);
    let cause = wait_for_end(&monitor);
    let bad_box = ProtocolError::BadBox { command: "HELLO" };
    assert_eq!(cause, DisconnectCause::Protocol(bad_box));
}

/// pyzmq reads the files that we write, and we those that it writes.
#[test]
fn certificates_are_read_on_both_sides() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("zerohop-certificates-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let alice = keys();
    alice.write(folder.join("alice.secret")).expect("written");
    alice
        .public()
        .write(folder.join("alice.public"))
        .expect("written");
    let script = "import os, sys, zmq.auth as auth\n\
        os.umask(0o077)\n\
        auth.create_certificates('.', 'bob')\n\
        for name in ('alice.secret', 'alice.public', 'bob.key_secret'):\n\
        \x20   print(*(key.decode() if key else '-' for key in auth.load_certificate(name)))\n";
    let output = Command::new(pyzmq.python())
        .current_dir(&folder)
        .args(["-c", script])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = printed.lines().collect();
    let (public, secret) = (alice.public().to_z85(), alice.secret().to_z85());
    assert_eq!(lines[0], format!("{public} {secret}"));
    assert_eq!(lines[1], format!("{public} -"));
    let bob = KeyPair::read(folder.join("bob.key_secret")).expect("bob's keys");
    assert_eq!(
        lines[2],
        format!("{} {}", bob.public(), bob.secret().to_z85())
    );
    let public = PublicKey::read(folder.join("bob.key")).expect("bob's key");
    assert_eq!(public, bob.public());
    std::fs::remove_dir_all(&folder).expect("removed");
}

/// A server in Python's libzmq with no handler lets every key in, and we talk to no other server than the one we know.
#[test]
fn we_talk_to_no_other_server() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let (server, client) = (keys(), keys());
    let theirs = Keyed {
        pyzmq,
        keys: server.clone(),
        server: None,
    };
    let mut pull = theirs.start(Role::Pull);
    let endpoint = pull.bind("tcp://127.0.0.1:*");
    let wrong = Options::new().curve_client(&client, client.public());
    let push = Push::with_options(&Context::new(), wrong.linger(Duration::ZERO)).expect("a PUSH");
    let monitor = push.monitor();
    push.connect(&*endpoint).expect("connected");
    // Theirs closes the connection without a word.
    assert_eq!(wait_for_end(&monitor), DisconnectCause::PeerClosed);
    let right = Options::new().curve_client(&client, server.public());
    let push = Push::with_options(&Context::new(), right).expect("a PUSH");
    push.connect(&*endpoint).expect("connected");
    push.send("to the right one").expect("queued");
    assert_eq!(pull.recv(), [Part::from("to the right one")]);
}
