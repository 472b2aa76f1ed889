//! What can go wrong, by operation and by blame.
//!
//! Each operation has its own error, with only what can befall that operation. An error that leaves
//! a message unsent carries it, so that nothing is lost to a time-out: `into_message` gives it back.
//!
//! The text of an error is whole, that of an error inside it included. So none has a `source`, which code
//! that prints a chain of errors would print again; the error inside is in the variant.

mod group;
mod sending;
mod settling;
mod setup;
#[cfg(any(feature = "json", feature = "msgpack"))]
mod values;
mod watching;

use std::error::Error;
use std::fmt;

pub use group::GroupError;
pub(crate) use sending::Shortage;
pub use sending::{
    ReplyError, ReplyErrorKind, RequestError, SendBatchError, SendError, SendErrorKind,
};
pub use settling::{ReceiptError, SettleError};
pub use setup::{
    ConnectError, OptionError, ReconfigureError, SocketError, SubscribeError, UnbindError,
};
#[cfg(any(feature = "json", feature = "msgpack"))]
pub use values::{RecvValueError, SendValueError};
pub use watching::WatchError;

const CLOSED: &str = "the socket is closed";
const CONTEXT_CLOSED: &str = "the context is shut down";
const FORKED: &str =
    "the socket belongs to the process that this one was forked from; make a context here";

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

    /// How many messages had been accepted by `send` and not been handed to the kernel; or, with [`delivery`](crate::Options::delivery), not been settled, which
    /// a spool keeps for the next socket.
    pub fn unsent(&self) -> u64 {
        self.unsent
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forked {
            return f.write_str(FORKED);
        }
        let were = match self.unsent {
            1 => "message was",
            _ => "messages were",
        };
        write!(
            f,
            "{} {were} still unsent, or not settled, when the linger time ran out",
            self.unsent
        )
    }
}

impl Error for CloseError {}

#[cfg(test)]
mod tests;
