//! Our STREAM and that of libzmq, at either end of a connection, and our raw ROUTER.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod until;
}

use std::time::Duration;

use zerohop::{Context, Incoming, Options, RecvSocket, Router, RoutingId, SendSocket, Stream};

use common::deadline::DEADLINE;
use common::until::{GLANCE, until};

fn libzmq(context: &zmq::Context) -> zmq::Socket {
    let socket = context.socket(zmq::STREAM).expect("a libzmq socket");
    socket.set_linger(0).expect("linger");
    let patience = DEADLINE.as_millis() as i32;
    socket.set_rcvtimeo(patience).expect("a timeout");
    socket.set_sndtimeo(patience).expect("a timeout");
    socket
}

fn options() -> Options {
    Options::new()
        .recv_timeout(DEADLINE)
        .send_timeout(DEADLINE)
        .linger(Duration::from_secs(1))
}

fn ours() -> Stream {
    Stream::with_options(&Context::new(), options()).expect("a STREAM")
}

/// Theirs: its peer's name and a piece.
fn heard(socket: &zmq::Socket) -> (Vec<u8>, Vec<u8>) {
    let mut frames = socket.recv_multipart(0).expect("a piece");
    let piece = frames.pop().expect("a piece");
    let id = frames.pop().expect("a name");
    assert!(frames.is_empty());
    (id, piece)
}

fn begun(socket: &Stream) -> RoutingId {
    let Incoming { peer, message } = socket.recv().expect("a notice");
    assert_eq!(message, "");
    peer
}

/// A dialogue of pieces longer than a read of either, and then the end, which one of them makes.
fn talk(ours: &Stream, theirs: &zmq::Socket, we_end_it: bool) {
    let us = begun(ours);
    let (id, notice) = heard(theirs);
    assert_eq!((id.len(), notice.len()), (5, 0));
    for len in [1, 255, 8192, 8193, 300_000] {
        let body: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        ours.send_to(&us, &body).expect("sent");
        let mut came = Vec::new();
        while came.len() < len {
            let (from, piece) = heard(theirs);
            assert_eq!(from, id);
            came.extend(piece);
        }
        assert!(came == body, "{len} bytes of ours");
        theirs.send_multipart([&id, &body], 0).expect("sent");
        let mut came = Vec::new();
        while came.len() < len {
            let incoming = ours.recv().expect("a piece");
            assert_eq!(incoming.peer, us);
            came.extend_from_slice(incoming.message.first());
        }
        assert!(came == body, "{len} bytes of theirs");
    }
    if we_end_it {
        ours.send_to(&us, "").expect("ended");
        assert_eq!(heard(theirs), (id, Vec::new()));
        until("it has gone", || {
            ours.stats().peers.is_empty().then_some(())
        });
    } else {
        theirs.send_multipart([&id[..], b""], 0).expect("ended");
        let end = until("its end", || {
            // libzmq ends it from within calls of its application.
            let heard = theirs.poll(zmq::POLLIN, GLANCE.as_millis() as i64);
            assert_eq!(heard, Ok(0));
            ours.try_recv().ok()
        });
        assert_eq!((end.peer, end.message.size()), (us, 0));
    }
}

#[test]
fn theirs_connects_to_ours() {
    for we_end_it in [false, true] {
        let (context, ours) = (zmq::Context::new(), ours());
        let endpoint = ours.bind("tcp://127.0.0.1:*").expect("bound");
        let theirs = libzmq(&context);
        theirs.connect(&endpoint.to_string()).expect("connected");
        talk(&ours, &theirs, we_end_it);
    }
}

#[test]
fn ours_connects_to_theirs() {
    for we_end_it in [false, true] {
        let (context, ours) = (zmq::Context::new(), ours());
        let theirs = libzmq(&context);
        theirs.bind("tcp://127.0.0.1:*").expect("bound");
        let endpoint = theirs.get_last_endpoint().expect("bound");
        let endpoint = endpoint.expect("an endpoint in UTF-8");
        ours.connect(&*endpoint).expect("connected");
        talk(&ours, &theirs, we_end_it);
    }
}

/// In libzmq's form, where the first frame is the name.
#[test]
fn our_raw_router_answers_their_stream() {
    let context = zmq::Context::new();
    let raw = options().router_raw(true);
    let router = Router::with_options(&Context::new(), raw).expect("a ROUTER");
    let endpoint = router.bind("tcp://127.0.0.1:*").expect("bound");
    let theirs = libzmq(&context);
    theirs.connect(&endpoint.to_string()).expect("connected");
    let (id, _) = heard(&theirs);
    theirs.send_multipart([&id[..], b"hello"], 0).expect("sent");
    let message = RecvSocket::recv(&router).expect("a piece");
    assert_eq!(
        message.get(1).map(|piece| piece.to_vec()),
        Some(b"hello".to_vec())
    );
    SendSocket::send(&router, message).expect("sent");
    assert_eq!(heard(&theirs), (id, b"hello".to_vec()));
}
