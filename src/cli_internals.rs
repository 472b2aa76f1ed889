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

/// The client's side of a handshake with CURVE, without a socket: bytes in, bytes out.
#[cfg(feature = "curve")]
#[derive(Debug)]
pub struct CurveHandshake {
    handshake: crate::zmtp::Handshake,
    input: Vec<u8>,
    server_proven: bool,
}

/// What a server of CURVE says of itself.
#[cfg(feature = "curve")]
#[derive(Debug, PartialEq, Eq)]
pub struct BehindCurve {
    /// The name of its socket type; `None`: it does not say.
    pub socket_type: Option<String>,
    /// All its properties; empty where its type does not go with that of the client, and so the handshake has failed.
    pub metadata: Vec<(String, Vec<u8>)>,
}

#[cfg(feature = "curve")]
impl CurveHandshake {
    /// A client of this type, which would talk to the server with this key and no other. Appends how it begins.
    pub fn new(
        keys: &crate::KeyPair,
        server: crate::PublicKey,
        socket_type: crate::SocketType,
        out: &mut Vec<u8>,
    ) -> CurveHandshake {
        use crate::zmtp::{Announced, Handshake, HandshakeConfig, own_metadata};

        let options = Options::new().curve_client(keys, server);
        let config = HandshakeConfig {
            socket_type,
            routing_id: crate::Bytes::new(),
            mechanism: options.mechanism(),
            authenticates: false,
            metadata: own_metadata(socket_type, b"", Announced::default()),
            max_command_size: 64 * 1024,
        };
        CurveHandshake {
            handshake: Handshake::new(std::sync::Arc::new(config), out),
            input: Vec::new(),
            server_proven: false,
        }
    }

    /// Takes what the peer has sent, and appends what it is to be told. Gives what it says of itself once it does.
    ///
    /// # Errors
    ///
    /// What the peer does wrong, or why it does not let the client in ([`PeerError`](crate::ProtocolError::PeerError)).
    pub fn handle(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<BehindCurve>, crate::ProtocolError> {
        use crate::ProtocolError;

        self.input.extend_from_slice(bytes);
        let before = out.len();
        let outcome = self.handshake.handle_input(&self.input, out);
        let said = &out[before..];
        self.server_proven |= said.windows(9).any(|window| window == b"\x08INITIATE");
        let typed = |name: String| BehindCurve {
            socket_type: Some(name),
            metadata: Vec::new(),
        };
        match outcome {
            Ok((consumed, established)) => {
                self.input.drain(..consumed);
                Ok(established.map(|established| BehindCurve {
                    socket_type: Some(established.facts.socket_type().to_string()),
                    metadata: established
                        .facts
                        .properties
                        .iter()
                        .map(|(name, value)| (name.clone().into_owned(), value.to_vec()))
                        .collect(),
                }))
            }
            Err(ProtocolError::IncompatibleSocketType { theirs, .. }) => {
                Ok(Some(typed(theirs.to_string())))
            }
            Err(ProtocolError::UnknownSocketType { name }) => Ok(Some(typed(name))),
            Err(ProtocolError::MissingSocketType) => Ok(Some(BehindCurve {
                socket_type: None,
                metadata: Vec::new(),
            })),
            Err(error) => Err(error),
        }
    }

    /// Whether the peer has shown that it has the server's secret key.
    pub fn server_proven(&self) -> bool {
        self.server_proven
    }
}
