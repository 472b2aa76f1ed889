//! The perf tools against each other and against sockets of libzmq in the roles of libzmq's tools.

use serde_json::Value;

use super::program::{Program, run};
use crate::common::deadline::DEADLINE;
use crate::common::endpoints::Transport;

const SIZE: usize = 100;
const COUNT: usize = 2_000;

/// The lines of libzmq's tools, with numbers as `#`.
fn shape(lines: &str) -> Vec<String> {
    let number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let words = |line: &str| {
        line.split(' ')
            .map(|word| if number(word) { "#" } else { word }.to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.lines().map(words).collect()
}

const THROUGHPUT: [&str; 4] = [
    "message size: # [B]",
    "message count: #",
    "mean throughput: # [msg/s]",
    "mean throughput: # [Mb/s]",
];

const LATENCY: [&str; 3] = [
    "message size: # [B]",
    "roundtrip count: #",
    "average latency: # [us]",
];

fn perf(tool: &str, endpoint: &str, more: &[&str]) -> Program {
    let (size, count) = (SIZE.to_string(), COUNT.to_string());
    Program::start(&[&["perf", tool, endpoint, &size, &count], more].concat())
}

/// An endpoint that both sides know beforehand, as the tools want it.
fn endpoint() -> String {
    Transport::Ipc.endpoint()
}

#[test]
fn throughput_between_our_own() {
    let endpoint = endpoint();
    let local = perf("local-thr", &endpoint, &[]);
    assert_eq!(perf("remote-thr", &endpoint, &[]).end().ok(), "");
    let printed = local.end().ok();
    assert_eq!(shape(&printed), THROUGHPUT);
    assert!(
        printed.starts_with("message size: 100 [B]\nmessage count: 2000\n"),
        "{printed}"
    );
}

#[test]
fn latency_between_our_own() {
    let endpoint = endpoint();
    let local = perf("local-lat", &endpoint, &[]);
    assert_eq!(
        shape(&perf("remote-lat", &endpoint, &[]).end().ok()),
        LATENCY
    );
    assert_eq!(local.end().ok(), "");
}

/// A socket of libzmq that gives up where a test has failed.
fn patient(context: &zmq::Context, socket_type: zmq::SocketType) -> zmq::Socket {
    let socket = context.socket(socket_type).expect("a socket");
    let patience = i32::try_from(DEADLINE.as_millis()).expect("a time that libzmq can count");
    socket.set_rcvtimeo(patience).expect("a limit");
    socket.set_sndtimeo(patience).expect("a limit");
    socket.set_linger(0).expect("no linger");
    socket
}

#[test]
fn either_side_can_be_libzmq() {
    let context = zmq::Context::new();
    let payload = vec![0; SIZE];

    let address = endpoint();
    let local = perf("local-thr", &address, &[]);
    let push = patient(&context, zmq::PUSH);
    push.connect(&address).expect("libzmq connects");
    for _ in 0..COUNT {
        push.send(&payload, 0).expect("libzmq sends");
    }
    assert_eq!(shape(&local.end().ok()), THROUGHPUT);

    let address = endpoint();
    let pull = patient(&context, zmq::PULL);
    // A libzmq whose queue is full, and whose peer closes an ipc connection, forgets what it has not read of it.
    pull.set_rcvhwm(0).expect("no limit");
    pull.bind(&address).expect("libzmq binds");
    let remote = perf("remote-thr", &address, &[]);
    for _ in 0..COUNT {
        assert_eq!(pull.recv_bytes(0).expect("libzmq receives").len(), SIZE);
    }
    assert_eq!(remote.end().ok(), "");

    let address = endpoint();
    let local = perf("local-lat", &address, &[]);
    let req = patient(&context, zmq::REQ);
    req.connect(&address).expect("libzmq connects");
    for _ in 0..COUNT {
        req.send(&payload, 0).expect("libzmq sends");
        assert_eq!(req.recv_bytes(0).expect("libzmq receives").len(), SIZE);
    }
    assert_eq!(local.end().ok(), "");

    let address = endpoint();
    let rep = patient(&context, zmq::REP);
    rep.bind(&address).expect("libzmq binds");
    let remote = perf("remote-lat", &address, &[]);
    for _ in 0..COUNT {
        let request = rep.recv_bytes(0).expect("libzmq receives");
        rep.send(request, 0).expect("libzmq sends");
    }
    assert_eq!(shape(&remote.end().ok()), LATENCY);
}

#[test]
fn within_one_process() {
    assert_eq!(
        shape(&run(&["perf", "inproc-thr", "64", "20000"]).ok()),
        THROUGHPUT
    );
    assert_eq!(
        shape(&run(&["perf", "inproc-lat", "64", "2000"]).ok()),
        LATENCY
    );
}

#[test]
fn json_is_one_line() {
    let numbers = |json: &str, keys: &[&str]| {
        let object: Value = serde_json::from_str(json).expect("JSON");
        for key in keys {
            assert!(
                object[key].as_f64().is_some_and(|value| value > 0.0),
                "{key} in {json}"
            );
        }
        assert_eq!(
            object.as_object().map(|object| object.len()),
            Some(keys.len()),
            "{json}"
        );
        assert_eq!(json.lines().count(), 1, "{json}");
    };
    let throughput = ["size", "count", "msgs_per_s", "mb_per_s"];
    let latency = [
        "size",
        "count",
        "latency_us_mean",
        "latency_us_p50",
        "latency_us_p99",
    ];
    numbers(
        &run(&["perf", "inproc-thr", "64", "20000", "--json"]).ok(),
        &throughput,
    );
    numbers(
        &run(&["perf", "inproc-lat", "64", "2000", "--json"]).ok(),
        &latency,
    );

    let address = endpoint();
    let local = perf("local-thr", &address, &["--json"]);
    assert_eq!(perf("remote-thr", &address, &["--json"]).end().ok(), "");
    numbers(&local.end().ok(), &throughput);

    let address = endpoint();
    let local = perf("local-lat", &address, &["--json"]);
    numbers(
        &perf("remote-lat", &address, &["--json"]).end().ok(),
        &latency,
    );
    assert_eq!(local.end().ok(), "");
}

#[test]
fn another_size_is_noticed() {
    let address = endpoint();
    let local = perf("local-thr", &address, &[]);
    let push = Program::start(&["push", "--connect", &address, "-m", "short"]);
    assert_eq!(push.end().code, Some(0));
    local
        .end()
        .failed(1, &["message of incorrect size received"]);
}
