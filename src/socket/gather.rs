//! The GATHER socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use crate::pattern::GatherPattern;

/// Receives from all its peers, fairly: the end of a pipeline.
///
/// **Draft**: it does what libzmq's draft type does, and changes if that does.
///
/// It is a [`Pull`](crate::Pull) whose messages have one frame: others are dropped and counted
/// ([`Dropped::unexpected`](crate::Dropped::unexpected)) if a peer sends one.
///
/// RFC 49; libzmq: `ZMQ_GATHER`. For an example see [`Scatter`](crate::Scatter).
pub struct Gather {
    pub(super) socket: Socket<GatherPattern>,
}

common!(Gather, "GATHER", _options => GatherPattern::new());

receiving!(Gather);
