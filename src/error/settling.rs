//! Errors of settling a job, and of learning that it is settled.

use std::error::Error;
use std::fmt;

use super::{CLOSED, CONTEXT_CLOSED, FORKED};
use crate::engine::{Shut, Stop};
use crate::spool::SpoolError;
use crate::zmtp::delivery::Unsettled;

/// Why what was said of a [`Job`](crate::Job) has not reached its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettleError {
    /// The [job timeout](crate::Delivery::job_timeout) was over: the message has gone back, and is delivered again.
    TimedOut,
    /// The connection to the sender is lost. The message is delivered again: if to this socket, it is settled without being received again, if it was done or
    /// rejected.
    Lost,
    /// The sender does not know acknowledged delivery: the message does not come again, and nobody keeps it.
    Unacknowledged,
    /// The socket is closed: the message is delivered again, to another one.
    Closed,
    /// The context is shut down.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<Unsettled> for SettleError {
    fn from(unsettled: Unsettled) -> SettleError {
        match unsettled {
            Unsettled::TimedOut => SettleError::TimedOut,
            Unsettled::Lost => SettleError::Lost,
        }
    }
}

impl From<Stop> for SettleError {
    fn from(stop: Stop) -> SettleError {
        match stop {
            // Nothing of it waits.
            Stop::WouldBlock | Stop::TimedOut | Stop::Shut(Shut::Socket) => SettleError::Closed,
            Stop::Shut(Shut::Context) => SettleError::ContextClosed,
            Stop::Shut(Shut::Forked) => SettleError::Forked,
        }
    }
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SettleError::TimedOut => "the time for the job was over; it is delivered again",
            SettleError::Lost => "the connection to the sender is lost",
            SettleError::Unacknowledged => "the sender does not know acknowledged delivery",
            SettleError::Closed => CLOSED,
            SettleError::ContextClosed => CONTEXT_CLOSED,
            SettleError::Forked => FORKED,
        })
    }
}

impl Error for SettleError {}

/// Why it is not known what has become of a message: see [`Receipt`](crate::Receipt).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The call was not to wait, and the message is still held.
    WouldBlock,
    /// The message was still held when the time was up.
    TimedOut,
    /// There is no [spool](crate::Delivery::spool): the message is in memory alone.
    NoSpool,
    /// The spool has failed to write or to sync: it is not known whether the message is safe, and it will not be before the spool is
    /// opened again. It is delivered all the same.
    SpoolFailed,
    /// The socket was closed before it was known.
    Closed,
    /// The context was shut down before it was known.
    ContextClosed,
    /// The socket belongs to the process that this one was forked from.
    Forked,
}

impl From<Stop> for ReceiptError {
    fn from(stop: Stop) -> ReceiptError {
        match stop {
            Stop::WouldBlock => ReceiptError::WouldBlock,
            Stop::TimedOut => ReceiptError::TimedOut,
            Stop::Shut(Shut::Socket) => ReceiptError::Closed,
            Stop::Shut(Shut::Context) => ReceiptError::ContextClosed,
            Stop::Shut(Shut::Forked) => ReceiptError::Forked,
        }
    }
}

impl From<SpoolError> for ReceiptError {
    fn from(error: SpoolError) -> ReceiptError {
        match error {
            SpoolError::Closed => ReceiptError::Closed,
            SpoolError::Forked => ReceiptError::Forked,
            _ => ReceiptError::SpoolFailed,
        }
    }
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReceiptError::WouldBlock => "the message is not settled yet",
            ReceiptError::TimedOut => "the message was not settled in time",
            ReceiptError::NoSpool => "there is no spool that the message could be safe in",
            ReceiptError::SpoolFailed => {
                "the spool has failed, so that the message is not known to be safe"
            }
            ReceiptError::Closed => CLOSED,
            ReceiptError::ContextClosed => CONTEXT_CLOSED,
            ReceiptError::Forked => FORKED,
        })
    }
}

impl Error for ReceiptError {}
