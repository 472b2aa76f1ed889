//! A PUB with a log and its subscribers, as pure state machines: no sockets, no files, no clock.
//!
//! Both sides say in their READY that they know it, by the property `Log`. Where one of them does not, the connection is one of plain ZMTP and
//! none of the commands below is ever sent. `docs/delivery.md` describes the protocol for whoever wants to implement it.
//!
//! Each message in the log has an *offset*, by which all of them are in one order. A subscriber asks for a topic from some offset on. The
//! publisher has one *position* for each connection, up to which the subscriber has all that it wants, and sends what follows in
//! the order of the log; whether a message is still in the queue of a `send` or is read from a file makes no difference. A topic that
//! begins further back takes the position back, and what others have had meanwhile is passed over.
//!
//! | part | what |
//! |---|---|
//! | [`wire`] | the property and the commands REPLAY, START, AT, GAP and NEXT, as bytes |
//! | [`progress`] | which messages a subscriber wants and has not had; at both ends |
//! | [`feed`] | what a publisher knows of one connection |
//! | [`follower`] | what a subscriber knows of one connection |
//!
//! **Nothing that a peer says makes this panic, or grow without bound**: what does not fit is a
//! [`DeliveryError`](super::DeliveryError), which ends that one connection.

use std::sync::Arc;

pub(crate) mod feed;
pub(crate) mod follower;
pub(crate) mod progress;
#[cfg(test)]
mod simulation;
pub(crate) mod wire;

pub(crate) use feed::Feed;
pub(crate) use follower::Follower;
pub(crate) use progress::Progress;
pub(crate) use wire::{LogId, LogNotice, PROPERTY, Start};

/// A log: what it calls itself, and who its publisher has shown to be, where publishers have to. A [`LogId`] is no secret, so that without the other
/// everybody who is let in may say what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogName {
    pub(crate) id: LogId,
    /// As text of one line.
    pub(crate) owner: Option<Arc<str>>,
}

/// The offset to go on with, in each log.
pub(crate) type Offsets = std::collections::HashMap<LogName, u64>;
