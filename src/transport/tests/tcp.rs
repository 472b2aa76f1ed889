//! What is particular to `tcp`: hosts, interfaces, ports and families.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use mio::Interest;
use socket2::{Domain, Socket, Type};

use super::super::dial;
use super::super::{BindError, Endpoint, EndpointError, Listener, StreamOptions};
use super::{
    DEADLINE, accept, bind, bind_default, connection, dial_first, echo, finish, has_ipv6, wait,
};

#[test]
fn tcp_v4_echoes_and_labels() {
    let options = StreamOptions::default();
    let mut listener = bind_default("tcp://127.0.0.1:*").unwrap();
    let (dialed, accepted) = echo(&mut listener, &options);
    let endpoint = listener.endpoint().to_string();
    assert!(!endpoint.contains('*'), "{endpoint} is not concrete");
    assert_eq!(dialed.peer_label(), endpoint);
    assert_eq!(accepted.local_label(), endpoint);
    assert_eq!(accepted.peer_label(), dialed.local_label());
}

#[cfg(target_os = "linux")]
#[test]
fn what_stays_on_this_machine_has_no_congestion_to_control() {
    let options = StreamOptions {
        ipv6: has_ipv6(),
        ..StreamOptions::default()
    };
    for bound in ["tcp://127.0.0.1:*", "tcp://*:*", "tcp://localhost:*"] {
        let mut listener = bind(bound, &options).unwrap();
        let endpoint = listener.endpoint().to_string();
        let endpoint = endpoint
            .replace("0.0.0.0", "127.0.0.1")
            .replace("[::]", "127.0.0.1");
        let mut dialed = dial_first(&endpoint.parse().unwrap(), &options).unwrap();
        let accepted = accept(&mut listener);
        finish(&mut dialed).unwrap();
        for end in [dialed, accepted] {
            let name = end.socket().tcp_congestion().unwrap();
            let name = String::from_utf8_lossy(&name).into_owned();
            assert_eq!(name.trim_end_matches('\0'), "reno", "{bound}");
        }
    }
}

#[test]
fn a_tcp_wildcard_is_every_ipv4_interface() {
    let listener = bind_default("tcp://*:*").unwrap();
    let text = listener.endpoint().to_string();
    let port = text
        .strip_prefix("tcp://0.0.0.0:")
        .unwrap_or_else(|| panic!("{text}"));
    let mut listener = listener;
    let endpoint: Endpoint = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    dial_first(&endpoint, &StreamOptions::default()).unwrap();
    assert!(
        accept(&mut listener)
            .peer_label()
            .starts_with("tcp://127.0.0.1:")
    );
}

#[test]
fn with_ipv6_a_tcp_wildcard_is_both_families() {
    if !has_ipv6() {
        return;
    }
    let options = StreamOptions {
        ipv6: true,
        ..StreamOptions::default()
    };
    let mut listener = bind("tcp://*:*", &options).unwrap();
    let text = listener.endpoint().to_string();
    let port = text
        .strip_prefix("tcp://[::]:")
        .unwrap_or_else(|| panic!("{text}"));
    for host in ["127.0.0.1", "[::1]"] {
        let endpoint: Endpoint = format!("tcp://{host}:{port}").parse().unwrap();
        dial_first(&endpoint, &options).unwrap();
        let peer = accept(&mut listener).peer_label();
        assert!(peer.starts_with(&format!("tcp://{host}:")), "{peer}");
    }
}

#[test]
fn an_ipv6_literal_needs_no_option() {
    if has_ipv6() {
        let mut listener = bind_default("tcp://[::1]:*").unwrap();
        echo(&mut listener, &StreamOptions::default());
    }
}

/// As with libzmq, whose last endpoint is the same unless its option for IPv6 is on.
#[test]
fn an_ipv4_address_mapped_into_ipv6_is_that_ipv4_address() {
    for ipv6 in [false, true] {
        let options = StreamOptions {
            ipv6,
            ..StreamOptions::default()
        };
        let mut listener = bind("tcp://[::ffff:127.0.0.1]:*", &options).unwrap();
        let endpoint = listener.endpoint().to_string();
        assert!(endpoint.starts_with("tcp://127.0.0.1:"), "{endpoint}");
        let mapped = endpoint.replace("127.0.0.1", "[::ffff:127.0.0.1]");
        assert_eq!(*listener.endpoint(), mapped.parse().unwrap());
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
            let sourced = mapped.replace("tcp://", &format!("tcp://{host}:0;"));
            for dialed in [&endpoint, &mapped, &sourced] {
                let mut dialed = dial_first(&dialed.parse().unwrap(), &options).unwrap();
                let peer = accept(&mut listener).peer_label();
                assert!(peer.starts_with("tcp://127.0.0.1:"), "{peer}");
                finish(&mut dialed).unwrap();
            }
        }
        if has_ipv6() {
            let port = listener.endpoint().port().unwrap();
            let address = ("::ffff:127.0.0.1", port);
            let client = std::net::TcpStream::connect(address).unwrap();
            assert!(client.local_addr().unwrap().is_ipv6());
            accept(&mut listener);
        }
    }
}

#[test]
fn host_names_bind_and_connect() {
    let options = StreamOptions::default();
    let mut listener = bind_default("tcp://localhost:*").unwrap();
    let port = listener
        .endpoint()
        .to_string()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let endpoint: Endpoint = format!("tcp://localhost:{port}").parse().unwrap();
    assert!(!dial::resolves_instantly(&endpoint));
    assert!(dial::resolves_instantly(listener.endpoint()));
    dial_first(&endpoint, &options).unwrap();
    accept(&mut listener);
}

#[cfg(target_os = "linux")]
#[test]
fn interface_names_bind_and_serve_as_source() {
    let mut listener = bind_default("tcp://lo:*").unwrap();
    let text = listener.endpoint().to_string();
    let port = text
        .strip_prefix("tcp://127.0.0.1:")
        .unwrap_or_else(|| panic!("{text}"));
    for source in ["lo:0", "127.0.0.1:*", "*:*"] {
        let endpoint: Endpoint = format!("tcp://{source};127.0.0.1:{port}").parse().unwrap();
        dial_first(&endpoint, &StreamOptions::default()).unwrap();
        assert!(
            accept(&mut listener)
                .peer_label()
                .starts_with("tcp://127.0.0.1:")
        );
    }
    let endpoint: Endpoint = "tcp://nosuchif0:0;127.0.0.1:1".parse().unwrap();
    assert!(dial_first(&endpoint, &StreamOptions::default()).is_err());
}

#[test]
fn tcp_bind_failures_are_told_apart() {
    let first = bind_default("tcp://127.0.0.1:*").unwrap();
    let again = Listener::bind(first.endpoint(), &StreamOptions::default());
    assert!(
        matches!(again, Err(BindError::AddrInUse { endpoint }) if endpoint == *first.endpoint())
    );
    // TEST-NET-3: no machine has such an address.
    let foreign = bind_default("tcp://203.0.113.77:*");
    assert!(
        matches!(foreign, Err(BindError::AddrNotAvailable { .. })),
        "{foreign:?}"
    );
    let unknown = bind_default("tcp://no-such-host.invalid:1");
    assert!(
        matches!(unknown, Err(BindError::UnknownHost { .. })),
        "{unknown:?}"
    );
    let sourced = bind_default("tcp://127.0.0.1:0;127.0.0.1:1");
    assert!(matches!(
        sourced,
        Err(BindError::Endpoint(EndpointError::SourceInBind { .. }))
    ));
    let inproc = bind_default("inproc://name");
    assert!(matches!(inproc, Err(BindError::Io { .. })));
}

#[test]
fn a_refused_connection_fails() {
    // Bound but not listening: the port refuses, and nobody else gets it meanwhile.
    let mute = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    mute.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let port = mute.local_addr().unwrap().as_socket().unwrap().port();
    let endpoint: Endpoint = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    let outcome =
        dial_first(&endpoint, &StreamOptions::default()).and_then(|mut stream| finish(&mut stream));
    assert_eq!(
        outcome.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
}

/// The local port of a connection may be that of a server that is yet to start.
#[test]
fn a_dialed_connection_does_not_bar_its_local_port() {
    // The system may give the same port to a connection of another program's, which does bar it: hence more than one attempt.
    let end = Instant::now() + DEADLINE;
    let is_open = (0..10).any(|_| {
        let mut listener = bind_default("tcp://127.0.0.1:*").unwrap();
        let (dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
        let local = dialed.local_label();
        if bind_default(&local).is_err() {
            return false;
        }
        // Who closes first keeps the port in TIME_WAIT.
        drop(dialed);
        let read = wait(&mut accepted, Interest::READABLE, |stream| {
            stream.read(&mut [0])
        });
        assert_eq!(read.unwrap(), 0);
        drop(accepted);
        // The system may take a moment until it has both ends.
        let end = end.min(Instant::now() + DEADLINE / 10);
        while bind_default(&local).is_err() {
            if Instant::now() > end {
                return false;
            }
            std::thread::yield_now();
        }
        true
    });
    assert!(is_open, "it is barred each time");
}

#[test]
fn a_stream_connected_to_itself_is_noticed_and_leaves_nothing_behind() {
    // Another test may be quicker to take the port that is free just now, hence more than one attempt.
    let noticed = (0..10).find_map(|_| {
        let free = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .unwrap();
        let endpoint: Endpoint = format!("tcp://{free};{free}").parse().unwrap();
        dial_first(&endpoint, &StreamOptions::default())
            .and_then(|mut stream| finish(&mut stream))
            .is_err_and(|error| error.to_string().contains("came back to its own socket"))
            .then_some(free)
    });
    let port = noticed.expect("an attempt that reaches itself").port();
    bind_default(&format!("tcp://127.0.0.1:{port}")).unwrap();
    #[cfg(target_os = "linux")]
    {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let end = format!("0100007F:{port:04X}");
        let left = sockets
            .lines()
            .filter(|line| line.matches(&end).count() == 2);
        assert_eq!(left.count(), 0, "it is in TIME_WAIT");
    }
}
