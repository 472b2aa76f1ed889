//! Errors of making a socket and of giving it endpoints, options and topics.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use super::{CLOSED, CONTEXT_CLOSED, FORKED};
use crate::message::RoutingId;
use crate::monitor::IoFailure;
use crate::options::{OptionInfo, nearest_option};
use crate::spool::SpoolError;
use crate::transport::{Endpoint, EndpointError};
use crate::zmtp::SocketType;

/// An option was given a value that it can't have, does nothing on a socket of that type, or is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    option: Cow<'static, str>,
    given: String,
    expected: Cow<'static, str>,
    wrong: Wrong,
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Value,
    Name,
    SocketType(SocketType),
    Feature,
    /// It can't be changed any more.
    Change,
}

impl OptionError {
    pub(crate) fn new(option: &'static str, given: String, expected: &'static str) -> OptionError {
        OptionError {
            option: option.into(),
            given,
            expected: expected.into(),
            wrong: Wrong::Value,
        }
    }

    /// The option needs a feature that the library was built without.
    #[cfg_attr(feature = "curve", allow(dead_code))]
    pub(crate) fn needs_feature(option: &'static str, feature: &'static str) -> OptionError {
        OptionError {
            option: option.into(),
            given: String::new(),
            expected: feature.into(),
            wrong: Wrong::Feature,
        }
    }

    /// There is no option of this name.
    pub(crate) fn unknown(name: &str) -> OptionError {
        OptionError {
            option: name.to_owned().into(),
            given: String::new(),
            expected: nearest_option(name).unwrap_or_default().into(),
            wrong: Wrong::Name,
        }
    }

    /// The option does nothing on sockets of this type.
    pub(crate) fn not_for(row: &OptionInfo, socket_type: SocketType) -> OptionError {
        OptionError {
            option: row.name.into(),
            given: String::new(),
            expected: row.sockets.to_string().into(),
            wrong: Wrong::SocketType(socket_type),
        }
    }

    /// The option can't be changed on a socket that is there, or not now, for this reason.
    pub(crate) fn fixed(option: &'static str, why: &'static str) -> OptionError {
        OptionError {
            option: option.into(),
            given: String::new(),
            expected: why.into(),
            wrong: Wrong::Change,
        }
    }

    /// The name of the option, which is that of its setter; if there is no such option, the name that was given.
    pub fn option(&self) -> &str {
        &self.option
    }

    /// The value that was given; empty if it is not the value that is wrong.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// What would have been right: values, or the socket types that the option is for, or the name that may be meant, or the feature that is
    /// missing. If the option can't be changed, why.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionError {
            option,
            given,
            expected,
            wrong,
        } = self;
        match wrong {
            Wrong::Value => write!(f, "option {option} can't be {given}; allowed is {expected}"),
            Wrong::Feature => write!(
                f,
                "option {option} needs the feature {expected:?} of the library, which was built without it"
            ),
            Wrong::Name if expected.is_empty() => write!(f, "there is no option {option:?}"),
            Wrong::Name => write!(f, "there is no option {option:?}; is it {expected}?"),
            Wrong::Change => write!(
                f,
                "option {option} can't be changed on a socket that is in use: {expected}"
            ),
            Wrong::SocketType(socket_type) => write!(
                f,
                "option {option} does nothing on a {socket_type} socket; it is for {expected}"
            ),
        }
    }
}

impl Error for OptionError {}

/// Why options of a socket were not changed. Then none was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// An option has a value that it can't have, or can't be changed on a socket that is in use.
    Option(OptionError),
    /// Everyone would be let in at this endpoint, which other machines can reach: see
    /// [`allow_insecure`](crate::Options::allow_insecure).
    Insecure {
        /// The endpoint, as it was bound.
        endpoint: Endpoint,
    },
    /// The socket is closed.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<OptionError> for ReconfigureError {
    fn from(error: OptionError) -> ReconfigureError {
        ReconfigureError::Option(error)
    }
}

impl fmt::Display for ReconfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReconfigureError::Option(error) => error.fmt(f),
            ReconfigureError::Insecure { endpoint } => write!(
                f,
                "{endpoint} would let everyone in who reaches it; unbind it first, or set allow_insecure if that is meant"
            ),
            ReconfigureError::Closed => f.write_str(CLOSED),
            ReconfigureError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            ReconfigureError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for ReconfigureError {}

/// Why a socket was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocketError {
    /// An option has a value that it can't have.
    Option(OptionError),
    /// The system refused what a context needs with its first socket, which is a thread and a few file descriptors.
    Io(io::Error),
    /// The folder of the [spool](crate::Delivery::spool), or of the [log](crate::Log), cannot be opened.
    Spool(SpoolError),
    /// The context was shut down.
    ContextClosed,
    /// The context belongs to the process that this one was forked from.
    Forked,
}

impl From<OptionError> for SocketError {
    fn from(error: OptionError) -> SocketError {
        SocketError::Option(error)
    }
}

impl From<SpoolError> for SocketError {
    fn from(error: SpoolError) -> SocketError {
        SocketError::Spool(error)
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> SocketError {
        SocketError::Io(error)
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketError::Option(error) => error.fmt(f),
            SocketError::Io(error) => write!(f, "the system refused a file descriptor: {error}"),
            SocketError::Spool(error) => error.fmt(f),
            SocketError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            SocketError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for SocketError {}

/// An endpoint could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is malformed, or cannot be connected to.
    Endpoint(EndpointError),
    /// The inproc name is bound by a socket whose type does not fit.
    Incompatible {
        /// The type of the connecting socket.
        ours: SocketType,
        /// The type of the socket that has bound the name.
        theirs: SocketType,
    },
    /// Another peer has the routing id that was to be given to this one, or it is none: see
    /// [`Router::connect_with_routing_id`](crate::Router::connect_with_routing_id).
    RoutingId {
        /// The routing id.
        id: RoutingId,
    },
    /// The system refused the descriptors that a socket needs from its first endpoint on.
    Io(IoFailure),
    /// The socket was shut down.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<EndpointError> for ConnectError {
    fn from(error: EndpointError) -> ConnectError {
        ConnectError::Endpoint(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Endpoint(error) => error.fmt(f),
            ConnectError::Incompatible { ours, theirs } => {
                write!(
                    f,
                    "a {ours} socket cannot talk to the {theirs} that has bound the name"
                )
            }
            ConnectError::RoutingId { id } if id.is_valid() => {
                write!(f, "another peer has the routing id {id}")
            }
            ConnectError::RoutingId { .. } => {
                f.write_str("a routing id has 1 to 255 bytes, of which the first is not 0")
            }
            ConnectError::Io(error) => write!(f, "the system refused a file descriptor: {error}"),
            ConnectError::Closed => f.write_str(CLOSED),
            ConnectError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            ConnectError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for ConnectError {}

/// An endpoint could not be unbound or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnbindError {
    /// The endpoint is malformed.
    Endpoint(EndpointError),
    /// Nothing is bound, or connected, there. `unbind` wants the endpoint that `bind` returned.
    NotFound {
        /// The endpoint as given.
        endpoint: String,
    },
    /// The socket was shut down.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<EndpointError> for UnbindError {
    fn from(error: EndpointError) -> UnbindError {
        UnbindError::Endpoint(error)
    }
}

impl fmt::Display for UnbindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnbindError::Endpoint(error) => error.fmt(f),
            UnbindError::NotFound { endpoint } => {
                write!(
                    f,
                    "the socket has nothing at {endpoint}; give the endpoint that bind returned, or that was connected"
                )
            }
            UnbindError::Closed => f.write_str(CLOSED),
            UnbindError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            UnbindError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for UnbindError {}

/// A subscription could not be made or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscribeError {
    /// An XPUB subscribes for its peers only with [`xpub_manual`](crate::Options::xpub_manual).
    NotManual,
    /// The subscriber has gone, or none has been received yet.
    SubscriberGone,
    /// [`Sub::subscribe_from`](crate::Sub::subscribe_from) is for topics that are not subscribed to: this one is.
    Subscribed,
    /// The file of [`ReplayFrom::Resume`](crate::ReplayFrom::Resume) cannot be read or written, or is none
    /// ([`InvalidData`](io::ErrorKind::InvalidData)).
    Cursor {
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// A socket with [`conflate`](crate::Options::conflate) or [`invert_matching`](crate::Options::invert_matching) cannot ask for what was published before.
    NoReplay,
    /// The socket was shut down.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubscribeError::Cursor { kind } => return write!(f, "the cursor cannot be read or written: {kind}"),
            SubscribeError::NotManual => {
                "an XPUB subscribes for its peers only with the option xpub_manual"
            }
            SubscribeError::Subscribed => "the topic is subscribed to already",
            SubscribeError::NoReplay => {
                "a socket that conflates, or wants what no topic matches, cannot ask for what was published before"
            }
            SubscribeError::SubscriberGone => "the subscriber has gone, or there was none yet",
            SubscribeError::Closed => CLOSED,
            SubscribeError::ContextClosed => CONTEXT_CLOSED,
            SubscribeError::Forked => FORKED,
        })
    }
}

impl Error for SubscribeError {}
