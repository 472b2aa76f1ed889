//! CURVE with implementations that are not pyzmq: omq, which shares no code with libzmq, and czmq, with its certificates, and `zauth` as the handler of ZAP.
//! rzmq calls a mechanism CURVE that is another one: its nonces are not those of RFC 26, and talk to none but its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zerohop::{Allow, Context, DisconnectCause, KeyPair, Options, ProtocolError, PublicKey};
use zerohop::{Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::endpoints::Transport;
use crate::common::events::wait_for_end;
use crate::common::line_peer::LinePeer;
use crate::common::others::Other;
use crate::common::ours::Zerohop;
use crate::common::part::Part;
use crate::common::peer::{Implementation, Peer, Role, each_way};
use crate::common::scenarios;
use crate::{keys, set_keys};

/// One of them with keys.
struct Keyed {
    other: Other,
    keys: KeyPair,
    /// `None`: it is the server.
    server: Option<PublicKey>,
}

impl Implementation for Keyed {
    fn name(&self) -> &str {
        self.other.name()
    }

    fn transports(&self) -> &[Transport] {
        self.other.transports()
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        let mut peer = self.other.start(&format!("{role:?}").to_uppercase());
        set_keys(&mut peer, &self.keys, self.server);
        Box::new(peer)
    }
}

/// Each of the two as the server, in each role, binding or connecting.
fn both(other: Other, roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    let Some(other) = other.available() else {
        return;
    };
    let (server, client) = (keys(), keys());
    let ours = Options::new()
        .curve_server(&server)
        .allow([client.public()]);
    let theirs = Keyed {
        other,
        keys: client.clone(),
        server: Some(server.public()),
    };
    each_way(&Zerohop::with_options(ours), &theirs, roles, scenario);
    let ours = Options::new().curve_client(&client, server.public());
    let theirs = Keyed {
        other,
        keys: server,
        server: None,
    };
    each_way(&Zerohop::with_options(ours), &theirs, roles, scenario);
}

macro_rules! with {
    ($module:ident, $other:ident: $($test:ident($one:ident, $two:ident);)*) => {
        mod $module {
            use super::{Other, Role, both, scenarios};

            $(#[test]
            fn $test() {
                both(Other::$other, (Role::$one, Role::$two), scenarios::$test);
            })*
        }
    };
}

with! { omq, Omq:
    keeps_frames(Push, Pull);
    carries_sizes(Push, Pull);
    selects_topics(Pub, Sub);
    asks_and_answers(Req, Rep);
    router_answers_dealer(Dealer, Router);
}

with! { czmq, Czmq:
    keeps_frames(Push, Pull);
    carries_sizes(Push, Pull);
    selects_topics(Pub, Sub);
    asks_and_answers(Req, Rep);
    router_answers_dealer(Dealer, Router);
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("zerohop-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("allowed")).expect("a folder");
        Folder(folder)
    }

    fn allowed(&self) -> PathBuf {
        self.0.join("allowed")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One socket of czmq, if it is there.
fn czmq(role: &str) -> Option<LinePeer> {
    Some(Other::Czmq.available()?.start(role))
}

fn tell(peer: &mut LinePeer, what: &str, path: &Path) {
    peer.ask(&format!("{what} {}", path.display()));
}

/// A server of czmq that reads our files: its own keys, and in a folder those of who is let in. The folder is read again when it changes.
#[test]
fn zauth_lets_in_whose_certificate_is_in_its_folder() {
    let Some(mut pull) = czmq("PULL") else {
        return;
    };
    let folder = Folder::new("zauth");
    let (server, alice, bob) = (keys(), keys(), keys());
    let file = folder.file("server.secret");
    server.write(&file).expect("written");
    let let_in = |keys: &KeyPair, name: &str| {
        let file = folder.allowed().join(name);
        keys.public().write(file).expect("written");
    };
    let_in(&alice, "alice.key");
    tell(&mut pull, "folder", &folder.allowed());
    tell(&mut pull, "certificate", &file);
    pull.set("CURVE_SERVER", 1);
    let endpoint = pull.bind("tcp://127.0.0.1:*");

    let client = |keys: &KeyPair| {
        let options = Options::new().curve_client(keys, server.public());
        let options = options.reconnect_interval(Some(Duration::from_millis(20)));
        Push::with_options(&Context::new(), options).expect("a PUSH")
    };
    let push = client(&alice);
    push.connect(&*endpoint).expect("connected");
    push.send("from alice").expect("queued");
    assert_eq!(pull.recv(), [Part::from("from alice")]);

    let push = client(&bob);
    let monitor = push.monitor();
    push.connect(&*endpoint).expect("connected");
    let reason = String::from("400");
    let refused = DisconnectCause::Protocol(ProtocolError::PeerError { reason });
    assert_eq!(wait_for_end(&monitor), refused);
    let_in(&bob, "bob.key");
    push.send("from bob").expect("queued");
    assert_eq!(pull.recv(), [Part::from("from bob")]);
}

/// A client of czmq with a certificate that czmq has made. Our list is the folder with the public half, as czmq writes it.
#[test]
fn a_certificate_of_czmq_lets_in() {
    let (Some(mut push), Some(mut stranger)) = (czmq("PUSH"), czmq("PUSH")) else {
        return;
    };
    let folder = Folder::new("zcert");
    let server = keys();
    let options = Options::new()
        .curve_server(&server)
        .allow(Allow::path(folder.allowed()));
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let serverkey = Part::from(server.public().to_z85().as_str());
    let connect = |peer: &mut LinePeer, file: &Path| {
        tell(peer, "certificate", file);
        peer.set("CURVE_SERVERKEY", &serverkey);
        peer.connect(&endpoint);
    };
    let file = folder.file("stranger");
    tell(&mut stranger, "save", &file);
    connect(&mut stranger, &file);
    let cause = wait_for_end(&monitor);
    assert!(matches!(cause, DisconnectCause::Denied { .. }), "{cause:?}");

    let file = folder.file("alice");
    tell(&mut push, "save", &file);
    fs::copy(&file, folder.allowed().join("alice.key")).expect("copied");
    let secret = KeyPair::read(folder.file("alice_secret")).expect("the secret half");
    let public = PublicKey::read(&file).expect("the public half");
    assert_eq!(secret.public(), public);
    connect(&mut push, &file);
    push.send(&[Part::from("from czmq")]);
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "from czmq");
}
