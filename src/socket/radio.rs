//! The RADIO socket.

use std::time::Duration;

use super::common::common;
use super::dish::MAX_GROUP;
use super::{Refused, Socket, futures, send_error};
use crate::engine::{Envelope, Enveloped, Outgoing, Wait};
use crate::error::{SendError, SendErrorKind, WaitError};
use crate::message::Payload;
use crate::pattern::{Published, RadioPattern, Sending};

/// Sends each message to a group: to every [dish](crate::Dish) that has joined it.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// - The name of a group is up to 255 bytes. A message has one frame, besides that: others are refused with
///   [`SendErrorKind::Multipart`](crate::SendErrorKind::Multipart).
/// - A member that is at its high-water mark misses the message. `send` says how many got it and how many were skipped, and
///   [`stats`](Self::stats) counts per peer. With [`pub_block`](crate::Options::pub_block) `send` waits instead.
/// - What is sent before a DISH has joined is not sent to it: [`wait_for_members`](Self::wait_for_members) spares everybody the sleep.
///
/// RFC 48; libzmq: `ZMQ_RADIO`, over tcp, ipc and inproc; there is no udp here yet.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Dish, Radio};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let radio = Radio::new(&context)?;
/// let dish = Dish::new(&context)?;
/// dish.join("weather")?;
/// dish.connect(radio.bind("tcp://127.0.0.1:*")?)?;
///
/// radio.wait_for_members("weather", 1, Duration::from_secs(5))?;
/// radio.send("news", "not wanted")?;
/// assert_eq!(radio.send("weather", "12 °C")?.sent, 1);
/// let received = dish.recv()?;
/// assert_eq!(received.group, "weather");
/// assert_eq!(received.message, "12 °C");
/// # Ok(())
/// # }
/// ```
pub struct Radio {
    pub(super) socket: Socket<RadioPattern>,
}

common!(Radio, "RADIO", options => RadioPattern::new(options));

impl Radio {
    /// Sends a message to a group. Does not wait, unless [`pub_block`](crate::Options::pub_block) is set.
    ///
    /// # Errors
    ///
    /// The message has [several frames](SendErrorKind::Multipart), the name of the group is [too long](SendErrorKind::GroupTooLong),
    /// closed, or timed out with `pub_block`. The error gives the message back.
    pub fn send(
        &self,
        group: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> Result<Published, SendError> {
        self.send_by(group.as_ref(), message, self.socket.send_wait())
    }

    /// Sends a message to a group; with [`pub_block`](crate::Options::pub_block), only if every member has room now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and where it would wait.
    pub fn try_send(
        &self,
        group: impl AsRef<[u8]>,
        message: impl Payload,
    ) -> Result<Published, SendError> {
        self.send_by(group.as_ref(), message, Wait::Not)
    }

    /// Sends a message to a group; with [`pub_block`](crate::Options::pub_block), waits for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_timeout(
        &self,
        group: impl AsRef<[u8]>,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Published, SendError> {
        self.send_by(group.as_ref(), message, Wait::AtMost(timeout))
    }

    /// Sends a message to a group, in a task; with [`pub_block`](crate::Options::pub_block), waits without end while a member has no room.
    /// It can be dropped at any time, as [`Push::send_async`](crate::Push::send_async).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), but for time.
    pub fn send_async<M: Payload>(
        &self,
        group: impl AsRef<[u8]>,
        message: M,
    ) -> impl Future<Output = Result<Published, SendError>> {
        futures::send(self.socket.core(), message, move |pattern, net, body| {
            let group = group.as_ref();
            if let Err(kind) = check(group, body) {
                return Some(Err(kind));
            }
            let frames = [group];
            let enveloped = enveloped(&frames, body);
            let outgoing = Outgoing::Enveloped(&enveloped);
            let sent = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            sent.map(Ok)
        })
    }

    /// Waits until a message to this group would go to at least so many peers.
    ///
    /// # Errors
    ///
    /// There were fewer when the time was up, or the socket was closed.
    pub fn wait_for_members(
        &self,
        group: impl AsRef<[u8]>,
        count: usize,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let group = group.as_ref();
        self.socket
            .wait_for_count(count, timeout, |pattern, _| pattern.subscribers(group))
    }

    fn send_by<M: Payload>(
        &self,
        group: &[u8],
        message: M,
        wait: Wait,
    ) -> Result<Published, SendError> {
        if let Some(slice) = message.as_single() {
            return match self.send_outgoing(group, Outgoing::Slice(slice), wait) {
                Ok(sent) => Ok(sent),
                Err(refused) => Err(send_error(refused, message)),
            };
        }
        let message = message.into_message();
        self.send_outgoing(group, Outgoing::Message(&message), wait)
            .map_err(|refused| send_error(refused, message))
    }

    fn send_outgoing(
        &self,
        group: &[u8],
        body: Outgoing<'_>,
        wait: Wait,
    ) -> Result<Published, Refused> {
        check(group, body)?;
        let frames = [group];
        let enveloped = enveloped(&frames, body);
        self.socket
            .send_outgoing(Outgoing::Enveloped(&enveloped), wait)
    }
}

fn enveloped<'a>(group: &'a [&'a [u8]; 1], body: Outgoing<'a>) -> Enveloped<'a> {
    let envelope = Envelope::Slices(group);
    Enveloped { envelope, body }
}

fn check(group: &[u8], body: Outgoing<'_>) -> Result<(), SendErrorKind> {
    let (length, parts) = (group.len(), body.extent().1);
    if length > MAX_GROUP {
        return Err(SendErrorKind::GroupTooLong { length });
    }
    match parts {
        1 => Ok(()),
        parts => Err(SendErrorKind::Multipart { parts }),
    }
}
