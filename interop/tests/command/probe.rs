//! `zerohop probe` at sockets of libzmq.

use std::fs;

use serde_json::Value;

use super::program::run;
use crate::common::part::Part;
use crate::common::peer::{Peer, Role};
use crate::common::pyzmq::Pyzmq;
use crate::common::unique;

#[test]
fn probe_tells_what_is_there() {
    let context = zmq::Context::new();
    for (socket_type, name) in [
        (zmq::PULL, "PULL"),
        (zmq::PUSH, "PUSH"),
        (zmq::PUB, "PUB"),
        (zmq::SUB, "SUB"),
        (zmq::XPUB, "XPUB"),
        (zmq::XSUB, "XSUB"),
        (zmq::REQ, "REQ"),
        (zmq::REP, "REP"),
        (zmq::ROUTER, "ROUTER"),
        (zmq::DEALER, "DEALER"),
        (zmq::PAIR, "PAIR"),
    ] {
        let socket = context.socket(socket_type).expect("a socket");
        socket.bind("tcp://127.0.0.1:*").expect("libzmq binds");
        let endpoint = socket
            .get_last_endpoint()
            .expect("an endpoint")
            .expect("in UTF-8");
        let screen = run(&["probe", &endpoint]).ok();
        assert!(screen.contains(&format!("socket type  {name}")), "{screen}");
        let json: Value =
            serde_json::from_str(&run(&["probe", &endpoint, "--json"]).ok()).expect("JSON");
        assert_eq!(json["socket_type"], name, "{json}");
        assert_eq!(json["version"], "3.1", "{json}");
        assert_eq!(json["mechanism"], "NULL", "{json}");
        assert_eq!(json["metadata"]["Socket-Type"], name, "{json}");
        assert!(
            json["rtt_us"].as_f64().is_some_and(|time| time > 0.0),
            "{json}"
        );
    }
}

#[test]
fn probe_tells_a_name() {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::DEALER).expect("a socket");
    socket.set_identity(b"till 4").expect("a name");
    socket.bind("tcp://127.0.0.1:*").expect("libzmq binds");
    let endpoint = socket.get_last_endpoint().expect("an endpoint");
    let screen = run(&["probe", &endpoint.expect("in UTF-8")]).ok();
    assert!(screen.contains("Identity = till 4"), "{screen}");
}

/// Those that would hand out messages do not tell their type to a probe, as it comes as nothing that goes with them.
#[test]
fn probe_looks_behind_curve() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let name = std::env::temp_dir().join(unique::name());
    let name = name.display().to_string();
    let key = run(&["keygen", &name]).ok();
    let secret = format!("{name}.secret");
    let text = fs::read_to_string(&secret).expect("keys");
    let own = text.split('"').nth(3).expect("a secret key");
    for (role, told) in [
        (Role::Pull, "socket type  PULL"),
        (Role::XPub, "socket type  XPUB"),
        (Role::Sub, "socket type  SUB"),
        (Role::Router, "socket type  ROUTER"),
        (Role::Push, "may hand out messages"),
        (Role::Dealer, "may hand out messages"),
    ] {
        let mut server = pyzmq.start(role);
        server.set("CURVE_SECRETKEY", Part::from(own));
        server.set("CURVE_SERVER", 1);
        let endpoint = server.bind("tcp://127.0.0.1:*");
        let keys = ["--curve-key", &secret, "--server-key", key.trim()];
        let screen = run(&[&["probe", &endpoint][..], &keys].concat()).ok();
        assert!(screen.contains(told), "{screen}");
        assert!(screen.contains("mechanism    CURVE"), "{screen}");
        assert!(screen.contains("the one that was given"), "{screen}");
    }
    for ending in ["secret", "public"] {
        fs::remove_file(format!("{name}.{ending}")).expect("removed");
    }
}
