//! Listeners, dialers and streams against the real system. Whatever is awaited is awaited with a deadline.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};

use super::dial::{self, SocketAddress};
use super::endpoint::IpcAddress;
use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn bind(endpoint: &str, options: &StreamOptions) -> Result<Listener, BindError> {
    Listener::bind(&endpoint.parse().unwrap(), options)
}

fn bind_default(endpoint: &str) -> Result<Listener, BindError> {
    bind(endpoint, &StreamOptions::default())
}

fn dial_first(endpoint: &Endpoint, options: &StreamOptions) -> io::Result<Stream> {
    let addresses = dial::resolve(endpoint, options)?;
    let source = dial::source_for(endpoint, &addresses[0])?;
    dial::dial(&addresses[0], source, options)
}

/// Repeats `attempt` on every readiness event of `source` until it does not say `WouldBlock`.
fn wait<S: Source, T>(
    source: &mut S,
    interest: Interest,
    mut attempt: impl FnMut(&mut S) -> io::Result<T>,
) -> io::Result<T> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    poll.registry().register(source, Token(0), interest)?;
    let end = Instant::now() + DEADLINE;
    let result = loop {
        match attempt(source) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => break result,
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no progress within {DEADLINE:?}");
        poll.poll(&mut events, Some(left))?;
    };
    poll.registry().deregister(source)?;
    result
}

fn accept(listener: &mut Listener) -> Stream {
    wait(listener, Interest::READABLE, Listener::accept).unwrap()
}

fn finish(stream: &mut Stream) -> io::Result<()> {
    wait(stream, Interest::WRITABLE, |stream| {
        if stream.finish_connect()? {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    })
}

/// Both ends of one connection to `listener`: dialed and accepted.
fn connection(listener: &mut Listener, options: &StreamOptions) -> (Stream, Stream) {
    let mut dialed = dial_first(listener.endpoint(), options).unwrap();
    let accepted = accept(listener);
    finish(&mut dialed).unwrap();
    assert!(!dialed.is_self_connected());
    (dialed, accepted)
}

fn read_exactly(stream: &mut Stream, length: usize) -> Vec<u8> {
    let mut received = Vec::with_capacity(length);
    while received.len() < length {
        let more = wait(stream, Interest::READABLE, |stream| {
            stream.read_spare(&mut received, usize::MAX)
        });
        assert_ne!(more.unwrap(), 0, "the stream ended early");
    }
    received
}

/// Sends through every kind of write and read, both ways, and ends the stream.
fn echo(listener: &mut Listener, options: &StreamOptions) -> (Stream, Stream) {
    let (mut dialed, mut accepted) = connection(listener, options);
    assert_eq!(dialed.write(b"hello").unwrap(), 5);
    assert_eq!(read_exactly(&mut accepted, 5), b"hello");
    let slices = [
        IoSlice::new(b"wel"),
        IoSlice::new(b""),
        IoSlice::new(b"come"),
    ];
    assert_eq!(accepted.write_vectored(&slices).unwrap(), 7);
    let mut buffer = [0; 16];
    let length = wait(&mut dialed, Interest::READABLE, |stream| {
        stream.read(&mut buffer)
    })
    .unwrap();
    assert_eq!(&buffer[..length], b"welcome");

    dialed.shutdown_write().unwrap();
    let end = wait(&mut accepted, Interest::READABLE, |stream| {
        stream.read(&mut buffer)
    });
    assert_eq!(end.unwrap(), 0);
    (dialed, accepted)
}

/// A directory for the files of one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("zerohop-test-{}-{test}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("s")
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.path().display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ipc_path(endpoint: &Endpoint) -> &Path {
    match endpoint.address() {
        Address::Ipc(IpcAddress::Path(path)) => path,
        other => panic!("not a path: {other:?}"),
    }
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

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

#[test]
fn every_option_is_taken() {
    let options = StreamOptions {
        nodelay: false,
        keepalive: Some(Keepalive {
            idle: Some(Duration::from_secs(30)),
            interval: Some(Duration::from_secs(5)),
            count: Some(3),
        }),
        send_buffer: Some(64 * 1024),
        recv_buffer: Some(64 * 1024),
        tos: Some(0x10),
        ..StreamOptions::default()
    };
    echo(&mut bind("tcp://127.0.0.1:*", &options).unwrap(), &options);
    echo(&mut bind("ipc://*", &options).unwrap(), &options);
    if has_ipv6() {
        echo(&mut bind("tcp://[::1]:*", &options).unwrap(), &options);
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
    let endpoint = bind_default("tcp://127.0.0.1:*")
        .unwrap()
        .endpoint()
        .clone();
    let options = StreamOptions::default();
    let outcome = dial_first(&endpoint, &options).and_then(|mut stream| {
        finish(&mut stream)?;
        // The closed port may be picked as the source: TCP then connects to itself.
        if stream.is_self_connected() {
            Err(io::ErrorKind::ConnectionRefused.into())
        } else {
            Ok(())
        }
    });
    assert_eq!(
        outcome.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
}

#[test]
fn a_stream_connected_to_itself_is_noticed() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint: Endpoint = format!("tcp://127.0.0.1:{port};127.0.0.1:{port}")
        .parse()
        .unwrap();
    let mut stream = dial_first(&endpoint, &StreamOptions::default()).unwrap();
    finish(&mut stream).unwrap();
    assert!(stream.is_self_connected());
}

#[test]
fn an_ipc_path_echoes_and_is_removed() {
    let scratch = Scratch::new("echo");
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    let (dialed, accepted) = echo(&mut listener, &StreamOptions::default());
    assert_eq!(dialed.peer_label(), scratch.endpoint());
    assert_eq!(accepted.peer_label(), scratch.endpoint());
    drop(listener);
    assert!(!scratch.path().exists());
}

#[test]
fn an_ipc_wildcard_is_a_fresh_path_and_is_removed() {
    let mut listener = bind_default("ipc://*").unwrap();
    let other = bind_default("ipc://*").unwrap();
    assert_ne!(listener.endpoint(), other.endpoint());
    echo(&mut listener, &StreamOptions::default());
    let path = ipc_path(listener.endpoint()).to_owned();
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
    assert!(
        !path.parent().unwrap().exists(),
        "the directory is left behind"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_echoes() {
    let name = format!("ipc://@zerohop-test-{}", std::process::id());
    let mut listener = bind_default(&name).unwrap();
    assert_eq!(listener.endpoint().to_string(), name);
    echo(&mut listener, &StreamOptions::default());
    assert!(matches!(
        bind_default(&name),
        Err(BindError::AddrInUse { .. })
    ));
    drop(listener);
    bind_default(&name).unwrap();
}

#[test]
fn a_stale_ipc_socket_is_taken_over() {
    let scratch = Scratch::new("stale");
    // The standard library's listener leaves its file behind.
    drop(UnixListener::bind(scratch.path()).unwrap());
    assert!(scratch.path().exists());
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    echo(&mut listener, &StreamOptions::default());
}

#[test]
fn a_live_ipc_socket_is_not_stolen() {
    let scratch = Scratch::new("live");
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    let thief = bind_default(&scratch.endpoint());
    assert!(
        matches!(thief, Err(BindError::AddrInUse { .. })),
        "{thief:?}"
    );
    // What the failed bind left in the backlog is a connection that ended.
    let mut probe = accept(&mut listener);
    assert_eq!(
        wait(&mut probe, Interest::READABLE, |stream| stream
            .read(&mut [0]))
        .unwrap(),
        0
    );
    echo(&mut listener, &StreamOptions::default());
}

#[test]
fn a_socket_of_another_type_is_not_stolen() {
    let scratch = Scratch::new("datagram");
    let _alive = UnixDatagram::bind(scratch.path()).unwrap();
    let thief = bind_default(&scratch.endpoint());
    assert!(
        matches!(thief, Err(BindError::AddrInUse { .. })),
        "{thief:?}"
    );
    assert!(scratch.path().exists());
}

#[test]
fn what_is_not_a_socket_is_never_deleted() {
    let scratch = Scratch::new("file");
    fs::write(scratch.path(), "precious").unwrap();
    let error = bind_default(&scratch.endpoint());
    assert!(
        matches!(error, Err(BindError::NotASocket { .. })),
        "{error:?}"
    );
    assert_eq!(fs::read(scratch.path()).unwrap(), b"precious");

    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
    let error = bind_default(&format!("ipc://{}", link.display()));
    assert!(
        matches!(error, Err(BindError::NotASocket { .. })),
        "{error:?}"
    );
    assert!(link.is_symlink());
}

#[test]
fn a_successors_ipc_file_survives() {
    let scratch = Scratch::new("successor");
    let listener = bind_default(&scratch.endpoint()).unwrap();
    fs::remove_file(scratch.path()).unwrap();
    let _successor = bind_default(&scratch.endpoint()).unwrap();
    drop(listener);
    assert!(scratch.path().exists());
}

#[test]
fn a_missing_directory_is_named() {
    let scratch = Scratch::new("missing");
    let error = bind_default(&format!("{}/deeper", scratch.endpoint()));
    assert!(
        matches!(error, Err(BindError::NoSuchDirectory { .. })),
        "{error:?}"
    );
}

#[test]
fn a_full_ipc_backlog_is_busy_and_not_pending() {
    let options = StreamOptions {
        backlog: 1,
        ..StreamOptions::default()
    };
    let listener = bind("ipc://*", &options).unwrap();
    let address = SocketAddress::Unix(ipc_path(listener.endpoint()).to_owned());
    let mut waiting = Vec::new();
    let error = loop {
        assert!(waiting.len() < 100, "the backlog never fills");
        match dial::dial(&address, None, &options) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
    };
    if cfg!(target_os = "linux") {
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}

#[test]
fn data_written_before_a_close_is_read_to_its_end() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let mut listener = bind_default(endpoint).unwrap();
        let (mut dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
        assert_eq!(dialed.write(&[7; 1000]).unwrap(), 1000);
        drop(dialed);
        assert_eq!(read_exactly(&mut accepted, 1000), [7; 1000]);
        assert_eq!(
            wait(&mut accepted, Interest::READABLE, |stream| stream
                .read(&mut [0]))
            .unwrap(),
            0
        );
    }
}

#[test]
fn writing_to_a_closed_peer_is_an_error_and_no_signal() {
    let mut listener = bind_default("ipc://*").unwrap();
    let (mut dialed, accepted) = connection(&mut listener, &StreamOptions::default());
    drop(accepted);
    assert_eq!(
        dialed.write(b"x").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    let error = dialed.write_vectored(&[IoSlice::new(b"x")]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_full_stream_would_block() {
    let mut listener = bind_default("ipc://*").unwrap();
    let (mut dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
    let block = [1; 64 * 1024];
    let mut written = 0;
    let error = loop {
        match dialed.write(&block) {
            Ok(length) => written += length,
            Err(error) => break error,
        }
        assert!(written < 1 << 30, "the stream never fills");
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(read_exactly(&mut accepted, written).len(), written);
    let empty = accepted.read(&mut [0]).unwrap_err();
    assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn read_spare_appends_within_capacity_and_limit() {
    let mut listener = bind_default("tcp://127.0.0.1:*").unwrap();
    let (mut dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
    assert_eq!(dialed.write(b"0123456789").unwrap(), 10);
    let mut buffer = Vec::with_capacity(8);
    buffer.extend_from_slice(b"ab");
    let (start, capacity) = (buffer.as_ptr(), buffer.capacity());
    let mut read = |buffer: &mut Vec<u8>, max| {
        wait(&mut accepted, Interest::READABLE, |stream| {
            stream.read_spare(buffer, max)
        })
    };

    assert_eq!(read(&mut buffer, 3).unwrap(), 3);
    assert_eq!(buffer, b"ab012");
    assert_eq!(
        read(&mut buffer, 0).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    assert_eq!(read(&mut buffer, usize::MAX).unwrap(), capacity - 5);
    assert_eq!(buffer, b"ab0123456789"[..capacity]);
    let full = read(&mut buffer, usize::MAX).unwrap_err();
    assert_eq!(
        full.kind(),
        io::ErrorKind::InvalidInput,
        "no room must not look like the end"
    );
    assert_eq!(
        (buffer.as_ptr(), buffer.capacity()),
        (start, capacity),
        "the buffer moved"
    );

    drop(dialed);
    buffer.clear();
    let rest = read(&mut buffer, usize::MAX).unwrap();
    assert_eq!(buffer, b"0123456789"[capacity - 2..]);
    buffer.clear();
    assert_eq!(
        (rest, read(&mut buffer, usize::MAX).unwrap()),
        (12 - capacity, 0)
    );
}

#[test]
fn exhaustion_is_told_from_other_errors() {
    for code in [12, 23, 24] {
        assert!(is_exhaustion(&io::Error::from_raw_os_error(code)));
    }
    assert!(!is_exhaustion(&io::ErrorKind::WouldBlock.into()));
    assert!(!is_exhaustion(&io::ErrorKind::ConnectionAborted.into()));
}
