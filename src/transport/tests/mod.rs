//! Listeners, dialers and streams against the real system. Whatever is awaited is awaited with a deadline.

mod ipc;
mod stream;
mod tcp;

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};

use super::dial;
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
    wait(listener, Interest::READABLE, |listener| {
        listener.accept(|_| {})
    })
    .unwrap()
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

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}
