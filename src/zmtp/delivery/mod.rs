//! Acknowledged delivery between a PUSH and a PULL, as pure state machines: no sockets, no threads, no clock.
//!
//! Both sides say in their READY that they know it, by the property `Delivery` ([`Hello`]). Where one of them does not, the
//! connection is one of plain ZMTP and none of the commands below is ever sent. `docs/delivery.md` describes the protocol for
//! whoever wants to implement it.
//!
//! ```text
//!   Sender     holds each message until it is settled; numbers what goes over a connection
//!   Receiver   knows what has come over a connection, what the application works on, and what has been settled
//! ```
//!
//! | part | what |
//! |---|---|
//! | [`wire`] | the property and the commands RUN, SETTLE and REVOKE, as bytes |
//! | [`sender`] | who gets which message, and what becomes of it when it comes back |
//! | [`receiver`] | which message is which, and what has been said of it |
//!
//! On a connection messages have *tags*, 0 for the first one, which are never sent. In its stream each has a *number*, which it
//! keeps however often it is sent. RUN says which number a tag has. SETTLE speaks of tags, each of which is settled once; it
//! gives the sender its credit back. By REVOKE the sender asks for what nobody has taken yet.
//!
//! **Nothing that a peer says makes this panic, or grow beyond the window**: what does not fit is a [`DeliveryError`], which ends that
//! one connection.

pub(crate) mod receiver;
pub(crate) mod sender;
#[cfg(test)]
mod simulation;
pub(crate) mod wire;

use std::fmt;

use super::Principal;

pub(crate) use receiver::{HeldKey, Job, Receiver, Settling, Taken, Unsettled};
pub(crate) use sender::{
    Content, DeadLine, Fate, Finished, Held, Left, Policy, Returned, Room, Sender, Terms,
};
pub(crate) use wire::{Hello, Notice, PROPERTY, Run, put_revoke, put_run};

/// Names a stream of messages, or a receiver: at random, for as long as its socket is there.
pub(crate) type Id = [u8; 16];

/// Who sends or receives: what it calls itself, and who it has shown to be, where peers have to. An [`Id`] is no secret, so that without the other
/// everybody who is let in may be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) id: Id,
    pub(crate) principal: Option<Principal>,
}

impl From<Id> for Party {
    fn from(id: Id) -> Party {
        Party {
            id,
            principal: None,
        }
    }
}

/// How a peer broke the protocol of acknowledged delivery, which it has said that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// A command whose fields do not fit its frame, or have values that they can't have.
    Malformed {
        /// The name of the command.
        command: &'static str,
    },
    /// A command that only the other side sends.
    WrongSide {
        /// The name of the command.
        command: &'static str,
    },
    /// More was settled with one command than a command may speak of.
    TooManyRanges {
        /// The most ranges of one command.
        limit: usize,
    },
    /// A message was settled that has not been sent on this connection.
    NeverSent {
        /// Which message of the connection, counted from 0.
        tag: u64,
    },
    /// A message was settled that had been settled before, or was numbered that had been numbered, or taken, before.
    Repeated {
        /// Which message of the connection, counted from 0.
        tag: u64,
    },
    /// More messages are on their way, or have been numbered, than the receiver has given credit for.
    OutOfWindow {
        /// The most messages that may be unsettled.
        window: u64,
    },
    /// A message came that nobody has given a number.
    Unnumbered,
    /// An answer came to what was not asked.
    Unasked {
        /// The name of the command.
        command: &'static str,
    },
    /// More was said between messages than a subscriber keeps that has yet to take them.
    TooManyNotices {
        /// The most commands, besides two for each message that waits.
        limit: usize,
    },
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { command } => {
                write!(
                    f,
                    "the peer sent a {command} command whose fields make no sense"
                )
            }
            Self::WrongSide { command } => {
                write!(
                    f,
                    "the peer sent a {command} command, which only the other side sends"
                )
            }
            Self::TooManyRanges { limit } => {
                write!(f, "the peer settled more than {limit} ranges at once")
            }
            Self::NeverSent { tag } => {
                write!(f, "the peer settled message {tag}, which it was never sent")
            }
            Self::Repeated { tag } => {
                write!(f, "the peer spoke again of message {tag}")
            }
            Self::OutOfWindow { window } => {
                write!(
                    f,
                    "the peer sent or numbered more messages than its credit of {window} allows"
                )
            }
            Self::Unnumbered => f.write_str("the peer sent a message without a number"),
            Self::Unasked { command } => {
                write!(f, "the peer sent a {command} command that answers nothing")
            }
            Self::TooManyNotices { limit } => {
                write!(
                    f,
                    "the peer sent more than {limit} commands between its messages"
                )
            }
        }
    }
}

impl std::error::Error for DeliveryError {}
