//! Errors of watching a socket from outside of its calls.

use std::error::Error;
use std::fmt;

use super::{CLOSED, CONTEXT_CLOSED, FORKED};
use crate::monitor::IoFailure;

/// Why a socket, or a descriptor, cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchError {
    /// The system refused a descriptor, or what it was given is none that can be polled.
    Io(IoFailure),
    /// The socket was shut down.
    Closed,
    /// The context was shut down.
    ContextClosed,
    /// The socket, or the poller, belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchError::Io(failure) => write!(f, "the system can't watch that: {failure}"),
            WatchError::Closed => f.write_str(CLOSED),
            WatchError::ContextClosed => f.write_str(CONTEXT_CLOSED),
            WatchError::Forked => f.write_str(FORKED),
        }
    }
}

impl Error for WatchError {}
