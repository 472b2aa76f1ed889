//! What an application learns of messages that are to be settled.

use std::fmt;

use crate::message::{Message, RoutingId};

/// Names a message however often it is delivered: the stream of the PUSH that has sent it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    /// Which PUSH it is from. It is another one each time that such a socket is made; but one with a [spool](crate::Delivery::spool) has that of the spool.
    pub stream: [u8; 16],
    /// The number of the message, counted from 1. With a spool, numbers may be left out.
    pub number: u64,
}

/// The stream as hexadecimal digits, a hyphen, and the number.
impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.stream {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.number)
    }
}

/// A message that is delivered no more: see [`Push::dead_letters`](crate::Push::dead_letters).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What was sent.
    pub message: Message,
    /// Its name, as [`Job::id`](crate::Job::id) gave it.
    pub id: JobId,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Why it is delivered no more.
    pub reason: DeadReason,
    /// Which peer it was for, where a ROUTER has sent it.
    pub peer: Option<RoutingId>,
}

/// Why a message is delivered no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// A PULL has [rejected](crate::Job::reject) it, for the reason that it gave.
    Rejected(String),
    /// It has been delivered as often as [`Delivery::limit`](crate::Delivery::limit) says.
    DeliveryLimit,
    /// All peers have announced to take no message as large as this, or of so many frames.
    TooLarge,
    /// It was not settled within its [`ttl`](crate::Delivery::ttl).
    Expired,
    /// The one peer that a ROUTER has sent it to is gone, and was not back within [`grace`](crate::Delivery::grace), or another has come in its name.
    PeerGone,
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadReason::Rejected(reason) => write!(f, "rejected: {reason}"),
            DeadReason::DeliveryLimit => f.write_str("delivered too often"),
            DeadReason::TooLarge => f.write_str("larger than any peer takes"),
            DeadReason::Expired => f.write_str("not settled in time"),
            DeadReason::PeerGone => f.write_str("the peer that it was for is gone"),
        }
    }
}

/// What has become of a message that was to be settled: see [`Receipt`](crate::Receipt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// A worker has settled it.
    Done,
    /// It is delivered no more: it is, or was, among the [dead letters](crate::Push::dead_letters).
    Dead(DeadReason),
    /// It was handed to a peer that does not say what becomes of it; or this socket was not asked to have its messages settled.
    Unacknowledged,
}
