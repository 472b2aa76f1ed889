//! Reading, writing and ending, and the options.

use std::io::{self, IoSlice};
use std::time::Duration;

use mio::Interest;

use super::super::{Keepalive, StreamOptions, is_exhaustion};
use super::{
    accept, bind, bind_default, connection, dial_first, echo, has_ipv6, read_exactly, wait,
};

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

/// Linux copies a listener's options to what it accepts, and they are not set again; what is set later, and what is for local peers only, is.
#[test]
fn what_is_accepted_has_the_options_of_its_listener() {
    let idle = Duration::from_secs(30);
    let with = |nodelay, idle: Option<Duration>| StreamOptions {
        nodelay,
        keepalive: idle.map(|idle| Keepalive {
            idle: Some(idle),
            ..Keepalive::default()
        }),
        ..StreamOptions::default()
    };
    for bound in ["tcp://127.0.0.1:*", "tcp://*:*"] {
        let mut listener = bind(bound, &with(true, Some(idle))).unwrap();
        let endpoint = listener.endpoint().to_string();
        let endpoint = endpoint.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
        for (later, nodelay, keepalive) in [
            (None, true, true),
            (Some(with(false, None)), false, true),
            (Some(with(true, Some(idle))), true, true),
        ] {
            if let Some(later) = later {
                listener.set_options(&later).unwrap();
            }
            let _dialed = dial_first(&endpoint, &StreamOptions::default()).unwrap();
            let accepted = accept(&mut listener);
            let socket = accepted.socket();
            assert_eq!(socket.tcp_nodelay().unwrap(), nodelay, "{bound}");
            if keepalive && nodelay {
                assert!(socket.keepalive().unwrap(), "{bound}");
                assert_eq!(socket.tcp_keepalive_time().unwrap(), idle, "{bound}");
            }
        }
    }
}

#[test]
fn data_written_before_a_close_is_read_to_its_end() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let mut listener = bind_default(endpoint).unwrap();
        let (dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
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
    let (dialed, accepted) = connection(&mut listener, &StreamOptions::default());
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
    let (dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
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
    let (dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
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
fn read_spare_two_fills_the_first_first() {
    let mut listener = bind_default("tcp://127.0.0.1:*").unwrap();
    let (dialed, mut accepted) = connection(&mut listener, &StreamOptions::default());
    assert_eq!(dialed.write(b"0123456789").unwrap(), 10);
    let (mut first, mut second) = (Vec::with_capacity(64), Vec::with_capacity(64));
    first.push(b'a');
    second.push(b'b');
    let mut read = |first: &mut Vec<u8>, max, second: &mut Vec<u8>, more| {
        wait(&mut accepted, Interest::READABLE, |stream| {
            stream.read_spare_two(first, max, second, more)
        })
    };

    assert_eq!(read(&mut first, 3, &mut second, 2).unwrap(), 5);
    assert_eq!((&first[..], &second[..]), (&b"a012"[..], &b"b34"[..]));
    assert_eq!(read(&mut first, 2, &mut second, 0).unwrap(), 2);
    assert_eq!((&first[..], &second[..]), (&b"a01256"[..], &b"b34"[..]));
    let nowhere = read(&mut first, 0, &mut second, 0).unwrap_err();
    assert_eq!(nowhere.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        read(&mut first, 100, &mut second, usize::MAX).unwrap(),
        3,
        "there is no more than that"
    );
    assert_eq!((&first[..], &second[..]), (&b"a01256789"[..], &b"b34"[..]));

    drop(dialed);
    assert_eq!(read(&mut first, 1, &mut second, 1).unwrap(), 0);
}

#[test]
fn exhaustion_is_told_from_other_errors() {
    for code in [12, 23, 24] {
        assert!(is_exhaustion(&io::Error::from_raw_os_error(code)));
    }
    assert!(!is_exhaustion(&io::ErrorKind::WouldBlock.into()));
    assert!(!is_exhaustion(&io::ErrorKind::ConnectionAborted.into()));
}
