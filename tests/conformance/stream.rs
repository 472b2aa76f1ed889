//! STREAM, which is for tcp alone. `tests/raw.rs` has what it does beyond waiting, with peers of all kinds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::sockets::{Context, Incoming, RecvError, Routed, SendErrorKind, Stream};

use crate::arena::{Transport, nimble, on_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::GLANCE;

on_transport!(tcp, Tcp =>
    streams_take_bytes_from_each_other,
    a_stream_waits_for_room,
    a_stream_tells_when_nothing_comes
);

/// One that listens, and its endpoint.
fn server(transport: Transport) -> (Context, Stream, String) {
    let context = Context::new();
    let server = Stream::with_options(&context, nimble().send_hwm(10)).expect("a STREAM");
    let endpoint = server.bind(transport.endpoint().as_str()).expect("bound");
    (context, server, endpoint.to_string())
}

/// The next notice or bytes.
fn next(stream: &Stream) -> Incoming {
    stream.recv_timeout(DEADLINE).expect("a message")
}

/// Takes bytes of this peer until there are as many.
fn expect(stream: &Stream, peer: impl AsRef<[u8]>, bytes: &[u8]) {
    let mut heard = Vec::new();
    while heard.len() < bytes.len() {
        let incoming = next(stream);
        assert_eq!(incoming.peer.as_bytes(), peer.as_ref());
        heard.extend_from_slice(incoming.message.first());
    }
    assert_eq!(heard, bytes);
}

fn streams_take_bytes_from_each_other(transport: Transport) {
    let (context, server, endpoint) = server(transport);
    let client = Stream::with_options(&context, nimble()).expect("a STREAM");
    client
        .connect_with_routing_id(endpoint.as_str(), "server")
        .expect("connected");
    let begun = next(&client);
    assert_eq!(
        (begun.peer.as_bytes(), begun.message.size()),
        (&b"server"[..], 0)
    );
    let peer = next(&server).peer;
    for round in 0..10 {
        let text = format!("question {round}");
        let sent = client.send_to_timeout("server", &text, DEADLINE);
        assert_eq!(sent.expect("sent"), Routed::Queued);
        expect(&server, &peer, text.as_bytes());
        let answer = format!("answer {round}");
        server.send_to(&peer, &answer).expect("sent");
        expect(&client, "server", answer.as_bytes());
    }
    drop(client);
    let end = next(&server);
    assert_eq!((&end.peer, end.message.size()), (&peer, 0));
    let late = server.send_to_timeout(&peer, "too late", DEADLINE);
    let error = late.expect_err("gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), "too late");
}

fn a_stream_waits_for_room(transport: Transport) {
    let (_context, server, endpoint) = server(transport);
    let address = endpoint.trim_start_matches("tcp://");
    let mut client = TcpStream::connect(address).expect("connected");
    client.write_all(b"hello").expect("written");
    let peer = next(&server).peer;
    expect(&server, &peer, b"hello");
    let body = vec![b'x'; 100_000];
    let mut sent = 0;
    let error = loop {
        match server.send_to_timeout(&peer, &body, GLANCE) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    assert_eq!(error.into_message(), body);
    thread::scope(|scope| {
        let sending = scope.spawn(|| server.send_to_timeout(&peer, "end", DEADLINE));
        let mut heard = vec![0; sent * body.len() + 3];
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        client.read_exact(&mut heard).expect("read");
        assert!(heard.chunks(body.len()).take(sent).all(|it| it == body));
        assert!(heard.ends_with(b"end"));
        sending.join().expect("the thread").expect("sent");
    });
}

fn a_stream_tells_when_nothing_comes(transport: Transport) {
    let (_context, server, endpoint) = server(transport);
    assert_eq!(server.recv_timeout(GLANCE), Err(RecvError::TimedOut));
    let address = endpoint.trim_start_matches("tcp://");
    let client = TcpStream::connect(address).expect("connected");
    let (begun, origin) = server.recv_from_timeout(DEADLINE).expect("a notice");
    assert_eq!(begun.message, "");
    assert_eq!(origin.socket_address(), client.local_addr().ok());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.recv_timeout(DEADLINE));
        server.shutdown();
        let end = waiting.join().expect("the thread");
        assert_eq!(end, Err(RecvError::Closed));
    });
}
