//! The perf tools against sockets of libzmq in the roles of libzmq's tools.

use super::perf_tools::{COUNT, LATENCY, SIZE, THROUGHPUT, endpoint, perf, shape};
use crate::common::deadline::DEADLINE;

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
