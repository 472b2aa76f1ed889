//! `zerohop probe` at sockets of libzmq.

use serde_json::Value;

use super::program::run;

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
