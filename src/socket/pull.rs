//! The PULL socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use crate::pattern::PullPattern;

/// Receives from all its peers, fairly: the end of a pipeline, or a worker in the middle.
///
/// Each peer that has a message yields one, in turn, so that a fast peer cannot starve a slow one. At most
/// [`recv_hwm`](crate::Options::recv_hwm) messages are read ahead per peer; after that the network's own
/// flow control holds the sender back.
///
/// With [`Options::delivery`](crate::Options::delivery), [`recv_job`](Pull::recv_job) gives each message as a [`Job`](crate::Job) to be settled.
///
/// RFC 30; libzmq: `ZMQ_PULL`. For an example see [`Push`](crate::Push).
pub struct Pull {
    pub(super) socket: Socket<PullPattern>,
}

common!(Pull, "PULL", options => PullPattern::with_options(options));

receiving!(Pull);
