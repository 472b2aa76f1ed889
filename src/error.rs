//! What can go wrong, by operation and by blame.
//!
//! Each operation has its own error, with only what can befall that operation. An error that leaves
//! a message unsent carries it, so that nothing is lost to a time-out: `into_message` gives it back.
//!
//! The text of an error is whole, that of an error inside it included. So none has a `source`, which code
//! that prints a chain of errors would print again; the error inside is in the variant.

use std::error::Error;
use std::fmt;
use std::io;

use crate::Message;
use crate::engine::Excess;
use crate::monitor::{IoFailure, RefusalCause};
use crate::transport::EndpointError;
use crate::zmtp::SocketType;

/// Why a message was not sent; gives the message back.
///
/// ```
/// # use zerohop::{SendError, SendErrorKind};
/// fn worth_retrying(error: &SendError) -> bool {
///     matches!(error.kind(), SendErrorKind::WouldBlock | SendErrorKind::TimedOut)
/// }
/// ```
pub struct SendError(Box<Unsent<SendErrorKind>>);

// `send` returns it at full speed: it travels in a register.
const _: () = assert!(size_of::<Result<(), SendError>>() <= 16);

/// A message that stayed here, and why.
struct Unsent<K> {
    message: Message,
    kind: K,
}

/// The ways for a send to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The send was not to wait, and no peer has room: there are none, or all are at their
    /// high-water mark.
    WouldBlock,
    /// No peer had room before the time was up.
    TimedOut,
    /// The last request of a REQ that is not [`req_relaxed`](crate::Options::req_relaxed) has not been answered yet.
    OutOfTurn,
    /// Each peer there is has announced that it takes no message that large, and ends a connection that brings one.
    TooLarge {
        /// The bytes in all frames of the message, its envelope included if it is a request.
        size: u64,
        /// The most bytes that one of the peers takes.
        limit: u64,
    },
    /// Each peer there is has announced that it takes no message of so many frames.
    TooManyParts {
        /// The frames of the message, its envelope included if it is a request.
        parts: usize,
        /// The most frames that one of the peers takes.
        limit: u32,
    },
    /// The socket was shut down, before the call or during it by another thread.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendErrorKind::WouldBlock => f.write_str("no peer has room for the message now"),
            SendErrorKind::TimedOut => f.write_str("no peer had room for the message in time"),
            SendErrorKind::OutOfTurn => f.write_str("the last request has not been answered yet"),
            SendErrorKind::TooLarge { size, limit } => too_large(f, *size, *limit),
            SendErrorKind::TooManyParts { parts, limit } => too_many_parts(f, *parts, *limit),
            SendErrorKind::Closed => f.write_str(CLOSED),
            SendErrorKind::ContextClosed => f.write_str(CONTEXT_CLOSED),
            SendErrorKind::Forked => f.write_str(FORKED),
        }
    }
}

/// Why a reply was not sent; gives the reply back.
pub struct ReplyError(Box<Unsent<ReplyErrorKind>>);

const _: () = assert!(size_of::<Result<(), ReplyError>>() <= 16);

/// The ways for a reply to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyErrorKind {
    /// The connection that the request came on is gone, and with it the way back.
    PeerGone,
    /// The reply was not to wait, and the requester is not reading its replies.
    WouldBlock,
    /// The requester has announced that it takes no message that large, and ends a connection that brings one.
    TooLarge {
        /// The bytes in all frames of the reply, its envelope included.
        size: u64,
        /// The most bytes that the requester takes.
        limit: u64,
    },
    /// The requester has announced that it takes no message of so many frames.
    TooManyParts {
        /// The frames of the reply, its envelope included.
        parts: usize,
        /// The most frames that the requester takes.
        limit: u32,
    },
    /// The socket was shut down, before the call or during it by another thread.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for ReplyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyErrorKind::PeerGone => f.write_str("the peer that sent the request is gone"),
            ReplyErrorKind::WouldBlock => {
                f.write_str("the peer that sent the request has no room for the reply now")
            }
            ReplyErrorKind::TooLarge { size, limit } => too_large(f, *size, *limit),
            ReplyErrorKind::TooManyParts { parts, limit } => too_many_parts(f, *parts, *limit),
            ReplyErrorKind::Closed => f.write_str(CLOSED),
            ReplyErrorKind::ContextClosed => f.write_str(CONTEXT_CLOSED),
            ReplyErrorKind::Forked => f.write_str(FORKED),
        }
    }
}

fn too_large(f: &mut fmt::Formatter<'_>, size: u64, limit: u64) -> fmt::Result {
    write!(
        f,
        "the message has {size} bytes, the peer takes at most {limit}"
    )
}

fn too_many_parts(f: &mut fmt::Formatter<'_>, parts: usize, limit: u32) -> fmt::Result {
    write!(
        f,
        "the message has {parts} frames, the peer takes at most {limit}"
    )
}

const CLOSED: &str = "the socket is closed";
const CONTEXT_CLOSED: &str = "the context is shut down";
const FORKED: &str =
    "the socket belongs to the process that this one was forked from; make a context here";

/// An error around an [`Unsent`] message.
macro_rules! unsent {
    ($error:ident, $kind:ident) => {
        impl $error {
            pub(crate) fn new(kind: $kind, message: impl Into<Message>) -> $error {
                let message = message.into();
                $error(Box::new(Unsent { message, kind }))
            }

            /// What went wrong.
            pub fn kind(&self) -> $kind {
                self.0.kind
            }

            /// The message, which is still here and whole.
            pub fn message(&self) -> &Message {
                &self.0.message
            }

            /// Gives the message back.
            pub fn into_message(self) -> Message {
                self.0.message
            }
        }

        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($error))
                    .field("kind", &self.0.kind)
                    .field("message", &self.0.message)
                    .finish()
            }
        }

        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.kind.fmt(f)
            }
        }

        impl Error for $error {}
    };
}

unsent!(SendError, SendErrorKind);

macro_rules! from_excess {
    ($($kind:ident),*) => {$(
        impl From<Excess> for $kind {
            fn from(excess: Excess) -> Self {
                match excess {
                    Excess::Size { size, limit } => $kind::TooLarge { size, limit },
                    Excess::Parts { parts, limit } => $kind::TooManyParts { parts, limit },
                }
            }
        }
    )*};
}

from_excess!(SendErrorKind, ReplyErrorKind);
unsent!(ReplyError, ReplyErrorKind);

/// Why a batch was not sent to its end. What was sent before stays sent.
#[derive(Debug)]
pub struct SendBatchError {
    sent: usize,
    error: SendError,
}

impl SendBatchError {
    pub(crate) fn new(sent: usize, error: SendError) -> SendBatchError {
        SendBatchError { sent, error }
    }

    /// How many messages of the batch were sent, all from its start.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// What happened to the message after them.
    pub fn error(&self) -> &SendError {
        &self.error
    }

    /// The error of the message after them, which gives that message back.
    pub fn into_error(self) -> SendError {
        self.error
    }
}

impl fmt::Display for SendBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the batch stopped after {} messages: {}",
            self.sent, self.error
        )
    }
}

impl Error for SendBatchError {}

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
// Beside a message in a `Result`, an error of one byte makes the compiler move that byte by itself and the rest of the
// message from the second byte on, across the stores that have just written it, which stalls. With as many bytes as
// are moved at a time, the moves match the stores: a `recv` of 64 B takes 16 ns instead of 20.
#[repr(align(16))]
pub enum RecvError {
    /// The receive was not to wait, and there is no message.
    WouldBlock,
    /// No message came before the time was up.
    TimedOut,
    /// The socket was shut down, before the call or during it by another thread.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::WouldBlock => "there is no message now",
            RecvError::TimedOut => "no message came in time",
            RecvError::Closed => CLOSED,
            RecvError::ContextClosed => CONTEXT_CLOSED,
            RecvError::Forked => FORKED,
        })
    }
}

impl Error for RecvError {}

/// Why a request got no reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent; the error gives it back.
    Send(SendError),
    /// The request was sent, and no reply came before the time was up. The peer may have acted on it.
    TimedOut,
    /// The request was sent, and the connection it went out on broke before the reply came. The peer
    /// may have acted on it.
    PeerGone,
    /// The request was accepted and then given up, because the peer does not take it. The peer has not acted on it.
    Refused {
        /// The bytes in all frames of the request, its envelope included.
        size: usize,
        /// Why.
        cause: RefusalCause,
    },
    /// The socket was shut down by another thread while the reply was awaited.
    Closed,
    /// The context was shut down while the reply was awaited.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> RequestError {
        RequestError::Send(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Send(error) => write!(f, "the request was not sent: {error}"),
            RequestError::TimedOut => f.write_str("no reply came in time"),
            RequestError::PeerGone => {
                f.write_str("the connection to the peer broke before the reply came")
            }
            RequestError::Refused { size, cause } => {
                write!(f, "the request of {size} bytes was refused: {cause}")
            }
            RequestError::Closed => f.write_str(CLOSED),
            RequestError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            RequestError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for RequestError {}

/// Why waiting for a number of peers or subscriptions ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up.
    TimedOut {
        /// How many there were then.
        have: usize,
        /// How many were waited for.
        wanted: usize,
    },
    /// The socket was shut down, before the call or during it by another thread.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::TimedOut { have, wanted } => {
                write!(f, "there were {have} of {wanted} when the time was up")
            }
            WaitError::Closed => f.write_str(CLOSED),
            WaitError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            WaitError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for WaitError {}

/// Some messages were not sent when the linger time of a closing socket ran out, and are dropped; or the socket was not this
/// process's to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseError {
    unsent: u64,
    forked: bool,
}

impl CloseError {
    pub(crate) fn new(unsent: u64) -> CloseError {
        CloseError {
            unsent,
            forked: false,
        }
    }

    pub(crate) fn forked() -> CloseError {
        CloseError {
            unsent: 0,
            forked: true,
        }
    }

    /// Whether nothing was closed, because the socket belongs to the process that this one was forked from.
    pub fn is_forked(&self) -> bool {
        self.forked
    }

    /// How many messages had been accepted by `send` and not been handed to the kernel.
    pub fn unsent(&self) -> u64 {
        self.unsent
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forked {
            return f.write_str(FORKED);
        }
        write!(
            f,
            "{} messages were still unsent when the linger time ran out",
            self.unsent
        )
    }
}

impl Error for CloseError {}

/// An option was given a value that it can't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    option: &'static str,
    given: String,
    expected: &'static str,
}

impl OptionError {
    pub(crate) fn new(option: &'static str, given: String, expected: &'static str) -> OptionError {
        OptionError {
            option,
            given,
            expected,
        }
    }

    /// The name of the option, which is that of its setter.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// The value that was given.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// What would have been right.
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionError {
            option,
            given,
            expected,
        } = self;
        write!(f, "option {option} can't be {given}; allowed is {expected}")
    }
}

impl Error for OptionError {}

/// Why a socket was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocketError {
    /// An option has a value that it can't have.
    Option(OptionError),
    /// The system refused what a context needs with its first socket, which is a thread and a few file descriptors.
    Io(io::Error),
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
            SubscribeError::Closed => CLOSED,
            SubscribeError::ContextClosed => CONTEXT_CLOSED,
            SubscribeError::Forked => FORKED,
        })
    }
}

impl Error for SubscribeError {}

#[cfg(test)]
mod tests;
