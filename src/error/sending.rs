//! Errors of sending, of replying and of asking. What was not sent comes back with the error.

use std::error::Error;
use std::fmt;

use super::{CLOSED, CONTEXT_CLOSED, FORKED};
use crate::Message;
use crate::engine::Excess;
use crate::monitor::RefusalCause;
use crate::spool::SpoolError;

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
    shortage: Shortage,
    spool: Option<Box<SpoolError>>,
}

/// What was wanting when no peer could take a message: so that nobody looks for a slow peer where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// There was no peer, nor an endpoint connected to.
    Peers,
    /// There was no connection, and no more messages may wait for one.
    Connections,
    /// There were connections, and as many messages as may wait for each.
    #[default]
    Room,
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
    /// No peer of a ROUTER has the routing id, and [`router_mandatory`](crate::Options::router_mandatory) is set.
    Unroutable,
    /// A message for a ROUTER in libzmq's form has nothing behind the frame with the routing id.
    NoBody,
    /// Messages of this socket type have one frame, and this one has more: see [`SocketType::is_draft`](crate::SocketType::is_draft).
    Multipart {
        /// The frames of the message.
        parts: usize,
    },
    /// The name of a group is longer than 255 bytes.
    GroupTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The [log](crate::Log) of a PUB cannot take the message: its disk is full or broken, or the message is larger than a log takes.
    /// [`Pub::commit`](crate::Pub::commit) says why. When the disk has room again, so has the log.
    Log,
    /// There is no room in the [spool](crate::Delivery::spool): the disk is full, or the spool is as large as it may become. Nothing of the message is
    /// kept. Settled messages give room, so that it may be sent again later. [`SendError::spool_error`] says more.
    SpoolFull,
    /// The [spool](crate::Delivery::spool) has failed to write or to sync, now or before, so that the message is not known to be safe. It may be
    /// delivered all the same. No other message is accepted until a socket opens the spool again.
    /// [`SendError::spool_error`] says more.
    SpoolFailed,
    /// The socket was shut down, before the call or during it by another thread.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<&SpoolError> for SendErrorKind {
    fn from(error: &SpoolError) -> SendErrorKind {
        match error {
            SpoolError::Full { .. } | SpoolError::Limit { .. } => SendErrorKind::SpoolFull,
            SpoolError::TooLarge { size } => SendErrorKind::TooLarge {
                size: *size,
                limit: u32::MAX.into(),
            },
            SpoolError::Closed => SendErrorKind::Closed,
            SpoolError::Forked => SendErrorKind::Forked,
            _ => SendErrorKind::SpoolFailed,
        }
    }
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendErrorKind::WouldBlock => f.write_str("no peer can take the message now"),
            SendErrorKind::TimedOut => f.write_str("no peer could take the message in time"),
            SendErrorKind::OutOfTurn => f.write_str("the last request has not been answered yet"),
            SendErrorKind::TooLarge { size, limit } => too_large(f, *size, *limit),
            SendErrorKind::TooManyParts { parts, limit } => too_many_parts(f, *parts, *limit),
            SendErrorKind::Unroutable => f.write_str("no peer has this routing id"),
            SendErrorKind::NoBody => f.write_str("nothing follows the frame with the routing id"),
            SendErrorKind::Multipart { parts } => write!(
                f,
                "messages of this socket type have one frame, and this one has {parts}"
            ),
            SendErrorKind::GroupTooLong { length } => group_too_long(f, *length),
            SendErrorKind::Log => f.write_str("the log cannot take the message"),
            SendErrorKind::SpoolFull => f.write_str("the spool has no room for the message"),
            SendErrorKind::SpoolFailed => {
                f.write_str("the spool has failed, so that the message is not known to be safe")
            }
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

pub(super) fn group_too_long(f: &mut fmt::Formatter<'_>, length: usize) -> fmt::Result {
    write!(
        f,
        "the name of the group has {length} bytes, it may have at most 255"
    )
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

/// An error around an [`Unsent`] message.
macro_rules! unsent {
    ($error:ident, $kind:ident) => {
        impl $error {
            pub(crate) fn new(kind: $kind, message: impl Into<Message>) -> $error {
                let message = message.into();
                let shortage = Shortage::default();
                $error(Box::new(Unsent {
                    message,
                    kind,
                    shortage,
                    spool: None,
                }))
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

        /// Without what is in the message: errors end up in logs, and messages may be confidential.
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($error))
                    .field("kind", &self.0.kind)
                    .field("message", &self.0.message.outline())
                    .finish()
            }
        }

        impl Error for $error {}
    };
}

unsent!(SendError, SendErrorKind);

impl SendError {
    /// The same error, with what was wanting.
    pub(crate) fn for_want_of(mut self, shortage: Shortage) -> SendError {
        self.0.shortage = shortage;
        self
    }

    /// The same error, with what the spool says.
    pub(crate) fn because_of(mut self, spool: Option<Box<SpoolError>>) -> SendError {
        self.0.spool = spool;
        self
    }

    /// What is wrong with the [spool](crate::Delivery::spool), if it is that.
    pub fn spool_error(&self) -> Option<&SpoolError> {
        self.0.spool.as_deref()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.spool_error() {
            return error.fmt(f);
        }
        f.write_str(match (self.0.kind, self.0.shortage) {
            (SendErrorKind::WouldBlock, Shortage::Peers) => "there is no peer",
            (SendErrorKind::WouldBlock, Shortage::Connections) => {
                "no peer is connected, and no more messages may wait for one"
            }
            (SendErrorKind::WouldBlock, Shortage::Room) => "no peer has room for the message now",
            (SendErrorKind::TimedOut, Shortage::Peers) => "no peer came in time",
            (SendErrorKind::TimedOut, Shortage::Connections) => "no peer was connected in time",
            (SendErrorKind::TimedOut, Shortage::Room) => "no peer had room for the message in time",
            (kind, _) => return kind.fmt(f),
        })
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

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
    behind: Vec<Message>,
}

impl SendBatchError {
    pub(crate) fn new(sent: usize, error: SendError) -> SendBatchError {
        let behind = Vec::new();
        SendBatchError {
            sent,
            error,
            behind,
        }
    }

    /// The same, where messages behind that one have been taken from the iterator and are not sent.
    pub(crate) fn with_behind(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.behind.extend(messages);
        self
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

    /// The message after them, and those behind it that have been taken from the iterator and are not sent: with a spool that may be some hundreds. All
    /// that follow are still in the iterator, if it was lent.
    pub fn into_messages(self) -> Vec<Message> {
        let mut messages = vec![self.error.into_message()];
        messages.extend(self.behind);
        messages
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

/// Why a request got no reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent, and will not be; the error gives it back. Of [`SendErrorKind::TimedOut`] are those for which there
    /// was no room in time, and those that waited for a connection when the time was up: they have been taken back.
    Send(SendError),
    /// The request has left, or was just leaving, and no reply came before the time was up. The peer may have acted on it.
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

impl RequestError {
    /// Whether the time was up, for the reply or already for the request itself: nobody has answered.
    pub fn is_timed_out(&self) -> bool {
        match self {
            RequestError::Send(error) => error.kind() == SendErrorKind::TimedOut,
            error => matches!(error, RequestError::TimedOut),
        }
    }

    /// Whether the socket or its context was shut down, before the request had left or after.
    pub fn is_closed(&self) -> bool {
        match self {
            RequestError::Send(error) => matches!(
                error.kind(),
                SendErrorKind::Closed | SendErrorKind::ContextClosed
            ),
            error => matches!(error, RequestError::Closed | RequestError::ContextClosed),
        }
    }
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
