//! Errors of joining and leaving groups.

use std::error::Error;
use std::fmt;

use super::sending::group_too_long;
use super::{CLOSED, CONTEXT_CLOSED, FORKED};

/// A group could not be joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupError {
    /// It has been joined already.
    AlreadyJoined,
    /// It has not been joined.
    NotJoined,
    /// The name of the group is longer than 255 bytes.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The socket was shut down.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupError::AlreadyJoined => "the socket is in this group already",
            GroupError::NotJoined => "the socket is not in this group",
            GroupError::TooLong { length } => return group_too_long(f, *length),
            GroupError::Closed => CLOSED,
            GroupError::ContextClosed => CONTEXT_CLOSED,
            GroupError::Forked => FORKED,
        })
    }
}

impl Error for GroupError {}
