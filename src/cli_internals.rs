//! What the program `zerohop` needs to reach an endpoint as a socket does, without being one: for `zerohop probe`, and to
//! bind names without waiting for a name server longer than it was told to. Only there with the feature `cli-internals`, and
//! no part of the stable API.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::engine::stream_options;
use crate::transport::dial::{self, SocketAddress};
use crate::{Endpoint, EndpointError, Options};

/// One of the addresses that an endpoint stands for.
#[derive(Clone, Debug)]
pub struct Address(SocketAddress);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a socket could connect to the endpoint.
///
/// # Errors
///
/// Says why not.
pub fn check_connect(endpoint: &Endpoint) -> Result<(), EndpointError> {
    endpoint.check_connect()
}

/// Whether binding or connecting looks a host name up, which can take half a minute when a name server does not answer.
pub fn needs_lookup(endpoint: &Endpoint) -> bool {
    !dial::resolves_instantly(endpoint)
}

/// The addresses that a socket with these options would try, in this order. Blocks while a name is looked up.
///
/// # Errors
///
/// The name has no address that the options allow, or the zone is no interface.
pub fn resolve(endpoint: &Endpoint, options: &Options) -> io::Result<Vec<Address>> {
    let found = dial::resolve(endpoint, &stream_options(options))?;
    Ok(found.into_iter().map(Address).collect())
}

/// A connection as a socket with these options would make it, from the source address that the endpoint names. It blocks,
/// and nothing has been said on it. Waits for at most `timeout`.
///
/// # Errors
///
/// Those of the system; `TimedOut` when the time is up.
pub fn connect(
    endpoint: &Endpoint,
    address: &Address,
    options: &Options,
    timeout: Duration,
) -> io::Result<OwnedFd> {
    let end = Instant::now().checked_add(timeout);
    let source = dial::source_for(endpoint, &address.0)?;
    let mut stream = dial::dial(&address.0, source, &stream_options(options))?;
    let mut poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(&mut stream, Token(0), Interest::WRITABLE)?;
    let mut events = Events::with_capacity(1);
    while !stream.finish_connect()? {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match poll.poll(&mut events, left) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    poll.registry().deregister(&mut stream)?;
    stream.blocking_copy()
}
