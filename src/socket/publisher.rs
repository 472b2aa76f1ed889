//! The PUB socket.

use super::Socket;
use super::common::common;
use super::log;
use super::publishing::publishing;
use crate::pattern::PubPattern;

/// Sends each message to every peer that has subscribed to a prefix of its first frame.
///
/// - A subscriber that is at its high-water mark misses the message. `send` says how many got it and how
///   many were skipped, and [`stats`](Self::stats) counts per peer. With
///   [`pub_block`](crate::Options::pub_block) `send` waits instead.
/// - What is published before a subscription has arrived is not sent:
///   [`wait_for_subscribers`](Self::wait_for_subscribers) spares everybody the sleep.
/// - With a [log](crate::Log) neither is so for subscribers that are a [`Sub`](crate::Sub), over tcp and ipc: they read what they have missed.
///
/// RFC 29; libzmq: `ZMQ_PUB`.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Pub, Sub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let publisher = Pub::new(&context)?;
/// let endpoint = publisher.bind("tcp://127.0.0.1:*")?;
///
/// let sub = Sub::new(&context)?;
/// sub.subscribe("review.")?;
/// sub.connect(&endpoint)?;
///
/// publisher.wait_for_subscribers("review.", 1, Duration::from_secs(5))?;
/// publisher.send(["stock.42", "not wanted"])?;
/// assert_eq!(publisher.send(["review.42", "five stars"])?.sent, 1);
/// assert_eq!(sub.recv()?, ["review.42", "five stars"]);
/// # Ok(())
/// # }
/// ```
pub struct Pub {
    pub(super) socket: Socket<PubPattern>,
}

common!(Pub, "PUB", options => try log::open(options), PubPattern, |socket| log::beside(socket));

publishing!(Pub);
