//! Bytes of any protocol: STREAM, and ROUTER with `router_raw`, against plain TCP sockets that behave well, badly, and worse.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use zerohop::{
    Allow, BindError, ConnectError, Context, Dealer, EndpointError, Incoming, Message, Options,
    RecvError, RecvSocket, Routed, Router, RoutingId, SendErrorKind, SendSocket, SocketError,
    SocketType, Stream,
};

use common::deadline::DEADLINE;
use common::unique;
use common::until::{GLANCE, until};

fn options() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .recv_timeout(DEADLINE)
        .send_timeout(DEADLINE)
        .linger(Duration::ZERO)
}

fn stream(options: Options) -> Stream {
    Stream::with_options(&Context::new(), options).expect("a STREAM")
}

/// A STREAM, and the address that it listens at.
fn server(options: Options) -> (Stream, String) {
    let server = stream(options);
    let endpoint = server.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    (server, endpoint.trim_start_matches("tcp://").to_owned())
}

fn client(address: &str) -> TcpStream {
    let client = TcpStream::connect(address).expect("connected");
    client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    client.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    client
}

/// The name of the peer whose connection has begun.
fn begun(socket: &Stream) -> RoutingId {
    let Incoming { peer, message } = socket.recv().expect("a notice");
    assert_eq!(message, "");
    peer
}

/// What comes from this peer up to so many bytes.
fn bytes_from(socket: &Stream, peer: &RoutingId, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let incoming = socket.recv().expect("bytes");
        assert_eq!(incoming.peer, *peer);
        assert_eq!(incoming.message.parts(), 1);
        assert!(!incoming.message.first().is_empty(), "ended too early");
        bytes.extend_from_slice(incoming.message.first());
    }
    bytes
}

/// Bytes that tell where they are.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_come_and_go_between_a_beginning_and_an_end() {
    let (server, address) = server(options());
    let mut client = client(&address);
    let peer = begun(&server);
    assert_eq!(peer.as_bytes().len(), 5);
    assert_eq!(peer.as_bytes()[0], 0);
    assert_eq!(server.routing_ids(), std::slice::from_ref(&peer));
    let facts = server.facts(&peer).expect("facts");
    assert_eq!(facts.socket_type(), SocketType::Stream);
    assert_eq!((facts.mechanism(), facts.version().major), ("", 0));

    client.write_all(b"hello").expect("written");
    assert_eq!(bytes_from(&server, &peer, 5), b"hello");
    let sent = server.send_to(&peer, "good day").expect("sent");
    assert_eq!(sent, Routed::Queued);
    // The frames of a message leave one behind the other, and empty ones are nothing.
    server
        .send_to(&peer, [" to", "", " you", ""])
        .expect("sent");
    let mut heard = [0; 15];
    client.read_exact(&mut heard).expect("read");
    assert_eq!(&heard, b"good day to you");

    client.write_all(b"bye").expect("written");
    drop(client);
    assert_eq!(bytes_from(&server, &peer, 3), b"bye");
    assert_eq!(begun(&server), peer, "its end");
    let error = server.send_to(&peer, "too late").expect_err("gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), "too late");
    assert_eq!(server.recv_timeout(GLANCE), Err(RecvError::TimedOut));
}

#[test]
fn says_nothing_of_beginnings_and_ends_if_told_not_to() {
    let (server, address) = server(options().stream_notify(false));
    let mut client = client(&address);
    client.write_all(b"x").expect("written");
    let incoming = server.recv().expect("bytes");
    assert_eq!(incoming.message, "x");
    drop(client);
    until("it is gone", || {
        server.routing_ids().is_empty().then_some(())
    });
    assert_eq!(server.recv_timeout(GLANCE), Err(RecvError::TimedOut));
}

/// In libzmq's form, and by way of the traits.
#[test]
fn has_the_form_of_libzmq() {
    let (server, address) = server(options());
    let mut client = client(&address);
    let id = RecvSocket::recv(&server).expect("a notice");
    assert_eq!((id.parts(), id.size()), (2, 5));
    client.write_all(b"echo").expect("written");
    let message = RecvSocket::recv(&server).expect("bytes");
    assert_eq!(message.first(), id.first());
    SendSocket::send(&server, message).expect("sent");
    let mut heard = [0; 4];
    client.read_exact(&mut heard).expect("read");
    assert_eq!(&heard, b"echo");
    let error = SendSocket::send(&server, "no body").expect_err("no body");
    assert_eq!(error.kind(), SendErrorKind::NoBody);
    let nobody = Message::from(["nobody", "x"]);
    let error = SendSocket::send(&server, &nobody).expect_err("nobody");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), nobody);
    // [id, ""] ends the connection.
    SendSocket::send(&server, id).expect("sent");
    assert_eq!(client.read(&mut heard).expect("read"), 0);
}

/// All that was sent before has left by then, however much it is, and nothing of the peer is received any more.
#[test]
fn an_empty_message_ends_a_connection_behind_what_was_sent() {
    let (server, address) = server(options().linger(DEADLINE));
    for len in [0, 1, 300_000, 5_000_000] {
        let mut client = client(&address);
        let before = server.stats();
        client.write_all(b"unheard").expect("written");
        let peer = begun(&server);
        until("it has come", || {
            (server.stats().messages_in > before.messages_in).then_some(())
        });
        let body = pattern(len);
        for chunk in body.chunks(100_000) {
            server.send_to(&peer, chunk).expect("sent");
        }
        server.send_to(&peer, "").expect("ended");
        let error = server.send_to(&peer, "more").expect_err("ended");
        assert_eq!(error.kind(), SendErrorKind::Unroutable);
        assert_eq!(server.recv_timeout(GLANCE), Err(RecvError::TimedOut));
        let _ = client.write(b"unheard, too");
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).expect("read");
        assert!(heard == body, "{} of {len} bytes", heard.len());
        until("its place is free", || {
            server.stats().peers.is_empty().then_some(())
        });
        let dropped = server.stats().dropped;
        assert!(dropped.unreceived > before.dropped.unreceived);
        assert_eq!(dropped.total(), dropped.unreceived);
    }
}

/// A peer that does not read keeps its connection for as long as `linger` says.
#[test]
fn an_ended_connection_does_not_stay_for_ever() {
    let (server, address) = server(options().linger(Duration::from_millis(50)));
    let client = client(&address);
    let peer = begun(&server);
    let body = pattern(1 << 20);
    for _ in 0..16 {
        server.send_to(&peer, &body).expect("sent");
    }
    server.send_to(&peer, "").expect("ended");
    until("its place is free", || {
        server.stats().peers.is_empty().then_some(())
    });
    drop(client);
}

#[test]
fn connects_gives_names_and_connects_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    let client = stream(options());
    client
        .connect_with_routing_id(&*endpoint, "server")
        .expect("connected");
    // It waits for the first connection.
    client.send_to("server", "first ").expect("queued");
    let taken = client.connect_with_routing_id(&*endpoint, "server");
    assert!(matches!(taken, Err(ConnectError::RoutingId { .. })));

    let (mut server, _) = listener.accept().expect("accepted");
    assert_eq!(begun(&client), "server");
    client.send_to("server", "second").expect("sent");
    let mut heard = [0; 12];
    server.read_exact(&mut heard).expect("read");
    assert_eq!(&heard, b"first second");
    server.write_all(b"answer").expect("written");
    assert_eq!(bytes_from(&client, &"server".into(), 6), b"answer");
    drop(server);
    assert_eq!(begun(&client), "server", "its end");

    let (mut server, _) = listener.accept().expect("accepted again");
    assert_eq!(begun(&client), "server");
    client.send_to("server", "again").expect("sent");
    let mut heard = [0; 5];
    server.read_exact(&mut heard).expect("read");
    assert_eq!(&heard, b"again");

    // What the application ends is not made again.
    client.send_to("server", "").expect("ended");
    assert_eq!(server.read(&mut heard).expect("read"), 0);
    drop(server);
    until("it has gone", || {
        client.stats().peers.is_empty().then_some(())
    });
    // Another connection comes, breaks, and comes again meanwhile.
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("tcp://{}", other.local_addr().expect("an address"));
    client
        .connect_with_routing_id(&*endpoint, "other")
        .expect("connected");
    for _ in 0..3 {
        drop(other.accept().expect("accepted"));
        for _ in ["its beginning", "its end"] {
            assert_eq!(begun(&client), "other");
        }
    }
    listener.set_nonblocking(true).expect("non-blocking");
    let none = listener.accept().expect_err("nobody");
    assert_eq!(none.kind(), ErrorKind::WouldBlock);
}

/// Bytes for a connection that has broken do not come by the next.
#[test]
fn what_was_queued_for_one_connection_is_not_sent_by_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    let client = stream(options().send_hwm(4));
    client.connect(&*endpoint).expect("connected");
    let (server, _) = listener.accept().expect("accepted");
    let peer = begun(&client);
    let body = pattern(1 << 22);
    let mut sent = 0;
    while client.send_to_timeout(&peer, &body, GLANCE).is_ok() {
        sent += 1;
    }
    assert!(sent >= 4, "only {sent}");
    drop(server);
    assert_eq!(begun(&client), peer, "its end");
    let (mut server, _) = listener.accept().expect("accepted again");
    assert_eq!(begun(&client), peer);
    client.send_to(&peer, "fresh").expect("sent");
    let mut heard = [0; 5];
    server.read_exact(&mut heard).expect("read");
    assert_eq!(&heard, b"fresh");
    assert!(client.stats().dropped.peer_gone > 0);
}

/// The peer never reads: sending waits, and gives the message back.
#[test]
fn back_pressure_holds() {
    let (server, address) = server(options().send_hwm(10));
    let mut client = client(&address);
    let peer = begun(&server);
    let body = pattern(100_000);
    let mut sent = 0;
    let error = loop {
        match server.send_to_timeout(&peer, &body, GLANCE) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    assert_eq!(error.into_message().size(), body.len());
    let error = server.try_send_to(&peer, "x").expect_err("no room");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    // Others are none the worse.
    let mut other = self::client(&address);
    let second = begun(&server);
    server.send_to(&second, "hello").expect("sent");
    let mut heard = [0; 5];
    other.read_exact(&mut heard).expect("read");
    // It goes on where it was.
    thread::scope(|scope| {
        let sending = scope.spawn(|| server.send_to(&peer, "end"));
        let mut heard = vec![0; sent * body.len() + 3];
        client.read_exact(&mut heard).expect("read");
        assert!(heard.chunks(body.len()).take(sent).all(|it| it == body));
        assert!(heard.ends_with(b"end"));
        sending.join().expect("the thread").expect("sent");
    });
}

/// The application never receives: what is read is bounded, in pieces and in bytes, and the peer is held up by TCP.
#[test]
fn a_peer_is_not_read_from_beyond_the_mark() {
    for (options, most) in [
        (options().recv_hwm(4), 6 * 8192),
        (options().recv_hwm_bytes(50_000), 100_000),
    ] {
        let (server, address) = server(options.stream_notify(false));
        let mut client = client(&address);
        client.set_nonblocking(true).expect("non-blocking");
        let body = pattern(1 << 20);
        let mut written = 0;
        let mut idle = 0;
        while idle < 10 {
            match client.write(&body[written % body.len()..]) {
                Ok(count) => {
                    written += count;
                    idle = 0;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    thread::sleep(Duration::from_millis(5));
                    idle += 1;
                }
            }
            assert!(written < 64 << 20, "nothing holds it up");
        }
        let taken_in = server.stats().bytes_in as usize;
        assert!(taken_in <= most, "{taken_in} bytes were taken in");
        drop(client);
        let mut received = 0;
        while received < written {
            let incoming = server.recv().expect("bytes");
            for byte in incoming.message.first().iter() {
                assert_eq!(*byte, body[received % body.len()]);
                received += 1;
            }
        }
    }
}

/// Bytes one by one come whole and in order, and what waits grows with them by little more.
#[test]
fn takes_single_bytes() {
    let (server, address) = server(options());
    let mut client = client(&address);
    client.set_nodelay(true).expect("no delay");
    let peer = begun(&server);
    let body = pattern(3000);
    for byte in &body {
        client.write_all(&[*byte]).expect("written");
    }
    assert_eq!(bytes_from(&server, &peer, body.len()), body);
}

/// As `test_stream_exceeds_buffer` of libzmq: more than is read at once.
#[test]
fn a_piece_longer_than_a_read_is_whole() {
    let (server, address) = server(options());
    let mut client = client(&address);
    let peer = begun(&server);
    for len in [8191, 8192, 8193, 65_536, 3_000_000] {
        let body = pattern(len);
        thread::scope(|scope| {
            scope.spawn(|| client.write_all(&body).expect("written"));
            assert!(bytes_from(&server, &peer, len) == body, "{len} bytes");
        });
        server.send_to(&peer, &body).expect("sent");
        let mut heard = vec![0; len];
        client.read_exact(&mut heard).expect("read");
        assert!(heard == body, "{len} bytes");
    }
}

/// A reset is an end like any other; what came before it and was read stays readable.
#[test]
fn a_reset_is_an_end() {
    let (server, address) = server(options());
    for _ in 0..20 {
        let mut client = client(&address);
        let peer = begun(&server);
        client.write_all(b"x").expect("written");
        assert_eq!(bytes_from(&server, &peer, 1), b"x");
        server.send_to(&peer, "unread").expect("sent");
        let socket = socket2::SockRef::from(&client);
        socket.set_linger(Some(Duration::ZERO)).expect("linger");
        drop(client);
        assert_eq!(begun(&server), peer, "its end");
    }
    until("all are gone", || {
        server.stats().peers.is_empty().then_some(())
    });
}

#[test]
fn a_peer_that_shuts_down_its_side_has_ended() {
    let (server, address) = server(options());
    let mut client = client(&address);
    let peer = begun(&server);
    client.write_all(b"all").expect("written");
    client.shutdown(Shutdown::Write).expect("shut down");
    assert_eq!(bytes_from(&server, &peer, 3), b"all");
    assert_eq!(begun(&server), peer, "its end");
}

/// Connections that come and go unheard leave no more behind than some thousands of them; those beyond wait with the system.
#[test]
fn many_connections_are_bounded() {
    const COME: usize = 8000;
    let context = Context::new();
    let server = Stream::with_options(&context, options()).expect("a STREAM");
    let address = server.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let address = address.trim_start_matches("tcp://");
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..COME {
                drop(client(address));
            }
        });
        until("as many as may be", || {
            (server.stats().peers.len() >= 4096).then_some(())
        });
        // Another socket of the same context serves its own meanwhile.
        let other = Stream::with_options(&context, options()).expect("a STREAM");
        let endpoint = other.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        for _ in 0..100 {
            drop(client(endpoint.trim_start_matches("tcp://")));
            for _ in ["its beginning", "its end"] {
                begun(&other);
            }
        }
        let held = server.stats().peers.len();
        // Beside those that are gone, what was accepted in one go.
        assert!(held < 4096 + 2048, "{held} are held");
        for _ in 0..2 * COME {
            assert_eq!(server.recv().expect("a notice").message, "");
        }
    });
    until("all are gone", || {
        server.stats().peers.is_empty().then_some(())
    });
}

#[test]
fn is_for_tcp_alone() {
    let socket = stream(options());
    for endpoint in ["ipc://@raw", "inproc://raw"] {
        let error = socket.bind(endpoint).expect_err("not tcp");
        let BindError::Endpoint(EndpointError::TcpOnly { endpoint: told }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(told, endpoint);
        assert!(error.to_string().contains("not of tcp"), "{error}");
        let error = socket.connect(endpoint).expect_err("not tcp");
        assert!(
            matches!(error, ConnectError::Endpoint(EndpointError::TcpOnly { .. })),
            "{error:?}"
        );
    }
    // Nor by way of a listener that is there already.
    let path = std::env::temp_dir().join(unique::name());
    let listener = UnixListener::bind(&path).expect("bound");
    let error = socket.bind_listener(listener).expect_err("not tcp");
    std::fs::remove_file(&path).expect("removed");
    assert!(
        matches!(error, BindError::Endpoint(EndpointError::TcpOnly { .. })),
        "{error:?}"
    );
}

/// There is no security, and nobody is to think that there is.
#[test]
fn is_for_this_machine_unless_that_is_said() {
    let socket = stream(options());
    let error = socket.bind("tcp://0.0.0.0:*").expect_err("refused");
    assert!(matches!(error, BindError::Insecure { .. }), "{error:?}");
    let open = stream(options().insecure());
    open.bind("tcp://0.0.0.0:*").expect("bound");

    for secured in [
        options()
            .plain_server(true)
            .allow(Allow::new().user("a", "b")),
        options().plain_client("a", "b"),
        options().zap_domain("domain"),
        options().allow(Allow::new().uid(0)),
    ] {
        let error = Stream::with_options(&Context::new(), secured.clone()).err();
        assert!(matches!(error, Some(SocketError::Option(_))), "{error:?}");
        let raw = secured.router_raw(true);
        let error = Router::with_options(&Context::new(), raw).err();
        assert!(matches!(error, Some(SocketError::Option(_))), "{error:?}");
    }
    let error = Options::new().set_for(SocketType::Stream, "plain_server", "true");
    assert!(error.is_err());
    let raw = Router::with_options(&Context::new(), options().router_raw(true)).expect("a ROUTER");
    let error = raw.bind("tcp://0.0.0.0:*").expect_err("refused");
    assert!(matches!(error, BindError::Insecure { .. }), "{error:?}");
    let error = raw.bind("inproc://raw").expect_err("not tcp");
    assert!(
        matches!(error, BindError::Endpoint(EndpointError::TcpOnly { .. })),
        "{error:?}"
    );
}

/// ROUTER with `router_raw`: the same, but for notices, and what cannot be routed is dropped unless it must not be.
#[test]
fn a_router_can_be_raw() {
    for mandatory in [false, true] {
        let options = options().router_raw(true).router_mandatory(mandatory);
        let server = Router::with_options(&Context::new(), options).expect("a ROUTER");
        let endpoint = server.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        let mut client = client(endpoint.trim_start_matches("tcp://"));
        client.write_all(b"hello").expect("written");
        let Incoming { peer, message } = server.recv().expect("bytes");
        assert_eq!(message, "hello");
        server.send_to(&peer, "good day").expect("sent");
        server.send_to(&peer, "").expect("ended");
        let mut heard = String::new();
        client.read_to_string(&mut heard).expect("read");
        assert_eq!(heard, "good day");
        match server.send_to(&peer, "too late") {
            Ok(routed) => assert_eq!((routed, mandatory), (Routed::Unroutable, false)),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::Unroutable);
                assert!(mandatory);
            }
        }
    }
}

/// As `test_stream` of libzmq: ZMTP, spoken by hand to a DEALER.
#[test]
fn speaks_zmtp_by_hand() {
    let context = Context::new();
    let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
    let endpoint = dealer.bind("tcp://127.0.0.1:*").expect("bound");
    let client = Stream::with_options(&context, options()).expect("a STREAM");
    client.connect(endpoint).expect("connected");
    let peer = begun(&client);
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
    greeting.extend(b"NULL");
    greeting.resize(64, 0);
    client.send_to(&peer, &greeting).expect("sent");
    let theirs = bytes_from(&client, &peer, 64);
    assert_eq!((theirs[0], theirs[9], theirs[10]), (0xff, 0x7f, 3));
    client
        .send_to(&peer, b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER")
        .expect("sent");
    client.send_to(&peer, b"\0\x05hello").expect("sent");
    assert_eq!(dealer.recv().expect("a message"), "hello");
}
