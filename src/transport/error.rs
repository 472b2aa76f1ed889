//! What can be wrong with an endpoint, and what can go wrong when binding one.
//!
//! Every message says what was wrong, quotes the offending text, and says what would be right.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::endpoint::Endpoint;

/// Why a text is no endpoint, or why an endpoint cannot be used in this way.
///
/// `endpoint` is always the whole endpoint: as it was written if it is malformed, else in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no `scheme://` at the start.
    MissingScheme {
        /// The whole endpoint.
        endpoint: String,
    },
    /// The scheme names no transport of this library.
    UnknownScheme {
        /// The whole endpoint.
        endpoint: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// Nothing follows `scheme://`.
    EmptyAddress {
        /// The whole endpoint.
        endpoint: String,
    },
    /// A `tcp` endpoint has no port.
    MissingPort {
        /// The whole endpoint.
        endpoint: String,
    },
    /// The port is neither a number from 0 to 65535 nor `*`.
    InvalidPort {
        /// The whole endpoint.
        endpoint: String,
        /// What stands in the place of the port.
        port: String,
    },
    /// The host is neither an address nor a well-formed name.
    InvalidHost {
        /// The whole endpoint.
        endpoint: String,
        /// What stands in the place of the host.
        host: String,
    },
    /// An IPv6 address stands without brackets.
    UnbracketedIpv6 {
        /// The whole endpoint.
        endpoint: String,
        /// The address.
        address: String,
    },
    /// `ipc://@` without a name.
    EmptyAbstractName {
        /// The whole endpoint.
        endpoint: String,
    },
    /// An `ipc` path holds a NUL byte.
    NulInPath {
        /// The whole endpoint.
        endpoint: String,
    },
    /// An `ipc` path or abstract name is longer than the system can take.
    PathTooLong {
        /// The whole endpoint.
        endpoint: String,
        /// Its length in bytes.
        length: usize,
        /// The longest that this system takes.
        limit: usize,
    },
    /// `ipc://@name` exists on Linux only.
    AbstractUnsupported {
        /// The whole endpoint.
        endpoint: String,
    },
    /// `*` (or port 0) in an endpoint to connect to.
    WildcardInConnect {
        /// The whole endpoint.
        endpoint: String,
    },
    /// `source;destination` in an endpoint to bind.
    SourceInBind {
        /// The whole endpoint.
        endpoint: String,
    },
    /// A socket that speaks no ZMTP, as [`Stream`](crate::Stream), was given an endpoint that is not of `tcp`.
    TcpOnly {
        /// The whole endpoint.
        endpoint: String,
    },
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointError::MissingScheme { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} has no scheme: \
                     write tcp://host:port, ipc://path or inproc://name"
                )
            }
            EndpointError::UnknownScheme { endpoint, scheme } => {
                write!(
                    f,
                    "unknown scheme {scheme:?} in endpoint {endpoint:?}: \
                     use tcp, ipc or inproc, in lower case"
                )
            }
            EndpointError::EmptyAddress { endpoint } => {
                write!(f, "endpoint {endpoint:?} has no address after \"://\"")
            }
            EndpointError::MissingPort { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} has no port: write tcp://host:port"
                )
            }
            EndpointError::InvalidPort { endpoint, port } => {
                write!(
                    f,
                    "invalid port {port:?} in endpoint {endpoint:?}: \
                     use a number from 0 to 65535, or * for any free port"
                )
            }
            EndpointError::InvalidHost { endpoint, host } => {
                write!(
                    f,
                    "invalid host {host:?} in endpoint {endpoint:?}: \
                     use a name, an IPv4 address, an IPv6 address in brackets, or *"
                )
            }
            EndpointError::UnbracketedIpv6 { endpoint, address } => {
                write!(
                    f,
                    "IPv6 address without brackets in endpoint {endpoint:?}: \
                     write [{address}]"
                )
            }
            EndpointError::EmptyAbstractName { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} has no name after \"@\": write ipc://@name"
                )
            }
            EndpointError::NulInPath { endpoint } => {
                write!(
                    f,
                    "the path of endpoint {endpoint:?} holds a NUL byte: no path can"
                )
            }
            EndpointError::PathTooLong {
                endpoint,
                length,
                limit,
            } => {
                write!(
                    f,
                    "the path of endpoint {endpoint:?} is {length} bytes long: \
                     this system takes {limit} at most"
                )
            }
            EndpointError::AbstractUnsupported { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} is abstract, which only Linux has: \
                     write ipc://path"
                )
            }
            EndpointError::WildcardInConnect { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} holds a wildcard, which only bind can resolve: \
                     connect to the address that the other side bound"
                )
            }
            EndpointError::SourceInBind { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} names a source address, which only connect can use: \
                     bind the part after \";\""
                )
            }
            EndpointError::TcpOnly { endpoint } => {
                write!(
                    f,
                    "endpoint {endpoint:?} is not of tcp, which is all that bytes without ZMTP travel by"
                )
            }
        }
    }
}

impl Error for EndpointError {}

/// An endpoint that is one already cannot be malformed.
impl From<Infallible> for EndpointError {
    fn from(never: Infallible) -> EndpointError {
        match never {}
    }
}

/// Why an endpoint could not be bound.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint is malformed, or can only be connected to.
    Endpoint(EndpointError),
    /// Something else is bound there: for `ipc`, a live socket.
    AddrInUse {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// No interface of this machine has that address.
    AddrNotAvailable {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// The system does not let this process bind there.
    PermissionDenied {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// The directory of an `ipc` path does not exist.
    NoSuchDirectory {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// Something that is no socket stands at an `ipc` path. It is left alone.
    NotASocket {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// The host is neither an interface of this machine nor a name that could be looked up.
    UnknownHost {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What the look-up said.
        source: Arc<io::Error>,
    },
    /// Other machines could reach the socket, and everyone would be let in unseen: the mechanism is NULL, or the
    /// socket is a client of PLAIN, which asks nobody who its server is.
    Insecure {
        /// What was to be bound.
        endpoint: Endpoint,
    },
    /// At an `ipc` path stands a socket that nobody listens at, of another user. It is left alone.
    OthersSocket {
        /// What was to be bound.
        endpoint: Endpoint,
        /// The user that it belongs to.
        uid: u32,
    },
    /// What was to be listened on is no stream socket of tcp or ipc that listens already.
    NotAListener {
        /// What the system said of it, or what it is.
        source: Arc<io::Error>,
    },
    /// The system refused for another reason.
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The socket was shut down.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl BindError {
    /// What was to be bound, if it came to that.
    fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            BindError::AddrInUse { endpoint }
            | BindError::AddrNotAvailable { endpoint }
            | BindError::PermissionDenied { endpoint }
            | BindError::NoSuchDirectory { endpoint }
            | BindError::NotASocket { endpoint }
            | BindError::UnknownHost { endpoint, .. }
            | BindError::Insecure { endpoint }
            | BindError::OthersSocket { endpoint, .. }
            | BindError::Io { endpoint, .. } => Some(endpoint),
            BindError::Endpoint(_)
            | BindError::NotAListener { .. }
            | BindError::Closed
            | BindError::ContextClosed
            | BindError::Forked => None,
        }
    }

    /// The kind that the system's error had, or would have had.
    pub(crate) fn kind(&self) -> io::ErrorKind {
        match self {
            BindError::Endpoint(_) | BindError::NotAListener { .. } => io::ErrorKind::InvalidInput,
            BindError::AddrInUse { .. } => io::ErrorKind::AddrInUse,
            BindError::AddrNotAvailable { .. } => io::ErrorKind::AddrNotAvailable,
            BindError::PermissionDenied { .. }
            | BindError::Insecure { .. }
            | BindError::OthersSocket { .. } => io::ErrorKind::PermissionDenied,
            BindError::NoSuchDirectory { .. } => io::ErrorKind::NotFound,
            BindError::NotASocket { .. } => io::ErrorKind::AlreadyExists,
            BindError::UnknownHost { source, .. } | BindError::Io { source, .. } => source.kind(),
            BindError::Closed | BindError::ContextClosed | BindError::Forked => {
                io::ErrorKind::NotConnected
            }
        }
    }

    pub(crate) fn not_a_listener(source: io::Error) -> BindError {
        BindError::NotAListener {
            source: Arc::new(source),
        }
    }

    /// Sorts what the system said when `endpoint` was being bound.
    pub(crate) fn from_io(endpoint: &Endpoint, source: io::Error) -> BindError {
        let endpoint = endpoint.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::AddrInUse { endpoint },
            io::ErrorKind::AddrNotAvailable => BindError::AddrNotAvailable { endpoint },
            io::ErrorKind::PermissionDenied => BindError::PermissionDenied { endpoint },
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                BindError::NoSuchDirectory { endpoint }
            }
            _ => BindError::Io {
                endpoint,
                source: Arc::new(source),
            },
        }
    }
}

impl From<EndpointError> for BindError {
    fn from(error: EndpointError) -> BindError {
        BindError::Endpoint(error)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = self.endpoint() {
            write!(f, "cannot bind {endpoint}: ")?;
        }
        Reason(self).fmt(f)
    }
}

impl Error for BindError {}

/// What a [`BindError`] says beside the endpoint.
pub(crate) struct Reason<'a>(pub(crate) &'a BindError);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BindError::Endpoint(error) => error.fmt(f),
            BindError::AddrInUse { .. } => f.write_str("the address is in use"),
            BindError::AddrNotAvailable { .. } => {
                f.write_str("no interface of this machine has that address")
            }
            BindError::PermissionDenied { .. } => f.write_str("permission denied"),
            BindError::NoSuchDirectory { .. } => f.write_str("its directory does not exist"),
            BindError::NotASocket { .. } => f.write_str(
                "a file that is not a socket stands there; remove it or choose another path",
            ),
            BindError::UnknownHost { source, .. } => write!(
                f,
                "no interface has that name and it cannot be looked up ({source})"
            ),
            BindError::Insecure { .. } => f.write_str(
                "other machines could connect, and whoever does would be let in unseen (mechanism NULL, or a client of PLAIN). \
                 Bind a loopback address, such as tcp://127.0.0.1:*; or say who is let in \
                 (Options::allow, with curve_server or plain_server); \
                 or mean it (Options::insecure)",
            ),
            BindError::OthersSocket { uid, .. } => write!(
                f,
                "a socket of another user (uid {uid}) stands there; have it removed, or choose another path"
            ),
            BindError::NotAListener { source } => {
                write!(f, "the descriptor is no socket to accept peers from: {source}")
            }
            BindError::Io { source, .. } => source.fmt(f),
            BindError::Closed => f.write_str("the socket is closed"),
            BindError::ContextClosed => f.write_str("the context is shut down"),
            BindError::Forked => f.write_str(
                "the socket belongs to the process that this one was forked from; make a context here",
            ),
        }
    }
}
