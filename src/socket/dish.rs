//! The DISH socket.

use std::time::Duration;

use super::Socket;
use super::common::common;
use super::futures;
use super::with_origin::with_origin;
use crate::engine::{Net, Wait};
use crate::error::{GroupError, RecvError};
use crate::message::{Frame, Message};
use crate::pattern::{DishPattern, Receiving};

/// Receives what is sent to the groups that it has joined, from all its [radios](crate::Radio), fairly.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// - Groups may be joined before and after connecting; every connection, new or renewed, is told all of them. The name of a group is up to
///   255 bytes, and means that group alone: the empty one is not all.
/// - A message has one frame, besides the name of its group. A peer that sends anything else loses its connection
///   ([`ProtocolError::TooFewParts`](crate::ProtocolError), or `TooManyParts`).
///
/// RFC 48; libzmq: `ZMQ_DISH`, over tcp, ipc and inproc; there is no udp here yet. For an example see [`Radio`](crate::Radio).
pub struct Dish {
    pub(super) socket: Socket<DishPattern>,
}

common!(Dish, "DISH", options => DishPattern::new(options.max_delivery_attempts, false));

/// A message, and the group that it was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMessage {
    /// The name of the group.
    pub group: Frame,
    /// The message: one frame.
    pub message: Message,
}

with_origin!(Dish, GroupMessage, recv_from, recv_from_in_task, |(
    message,
    source,
)| (
    apart(message),
    source
));

impl Dish {
    /// Wants messages that are sent to this group.
    ///
    /// libzmq: `zmq_join`.
    ///
    /// # Errors
    ///
    /// It has joined this group already, the name is longer than 255 bytes, or the socket is closed.
    pub fn join(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
        let group = group.as_ref();
        check(group)?;
        self.socket
            .core()
            .change(|pattern, net| match pattern.has(group) {
                true => Err(GroupError::AlreadyJoined),
                false => {
                    pattern.subscribe(&mut net.peers, group);
                    Ok(())
                }
            })?
    }

    /// Wants messages to this group no longer.
    ///
    /// libzmq: `zmq_leave`.
    ///
    /// # Errors
    ///
    /// It has not joined this group, or the socket is closed.
    pub fn leave(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
        let group = group.as_ref();
        self.socket
            .core()
            .change(|pattern, net| match pattern.has(group) {
                true => {
                    pattern.unsubscribe(&mut net.peers, group);
                    Ok(())
                }
                false => Err(GroupError::NotJoined),
            })?
    }

    /// Receives the next message; waits for one, at most for [`recv_timeout`](crate::Options::recv_timeout).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv(&self) -> Result<GroupMessage, RecvError> {
        self.receive(self.socket.recv_wait())
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    pub fn try_recv(&self) -> Result<GroupMessage, RecvError> {
        self.receive(Wait::Not)
    }

    /// Receives the next message, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<GroupMessage, RecvError> {
        self.receive(Wait::AtMost(timeout))
    }

    /// Receives the next message, in a task, and waits without end. It can be dropped at any time, as
    /// [`Pull::recv_async`](crate::Pull::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_async(&self) -> impl Future<Output = Result<GroupMessage, RecvError>> + Send {
        futures::receive(
            self.socket.core(),
            |pattern: &mut DishPattern, net: &mut Net| {
                let mut message = Message::new();
                pattern.recv(&mut net.peers, &mut message)?;
                Some(apart(message))
            },
        )
    }

    /// Receives at least one message, and as many more as are here already, up to `max`. Waits for the first like
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_batch(&self, max: usize) -> Result<Vec<GroupMessage>, RecvError> {
        let batch = self.socket.recv_batch(max, self.socket.recv_wait())?;
        Ok(batch.into_iter().map(apart).collect())
    }

    fn receive(&self, wait: Wait) -> Result<GroupMessage, RecvError> {
        self.socket.recv(wait).map(apart)
    }
}

/// It comes as two frames.
fn apart(message: Message) -> GroupMessage {
    let mut frames = message.into_frames();
    let group = frames.next().unwrap_or_default();
    let message = Message::from_frames(frames);
    GroupMessage { group, message }
}

fn check(group: &[u8]) -> Result<(), GroupError> {
    match group.len() {
        0..=MAX_GROUP => Ok(()),
        length => Err(GroupError::TooLong { length }),
    }
}

/// The longest name of a group, in bytes (RFC 48).
pub(super) const MAX_GROUP: usize = 255;
