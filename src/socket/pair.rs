//! The PAIR socket.

use super::Socket;
use super::common::common;
use super::receiving::receiving;
use super::sending::sending;
use crate::pattern::PairPattern;

/// Sends to one peer and receives from it: a line between two threads, or two programs.
///
/// - The first peer is the only one, for as long as it is there. Another that comes meanwhile is refused
///   ([`PeerRefusal::HasPeer`](crate::PeerRefusal)), and comes again after growing waits. An endpoint that this socket has connected to
///   counts as a peer that is there, whether the connection stands or not, until [`disconnect`](Self::disconnect), unless
///   [`immediate`](crate::Options::immediate) is set.
/// - While there is no peer, or it is at its high-water mark, `send` waits.
/// - If the connection breaks, what was not yet handed to the system goes with the next connection to the endpoint that this socket has
///   connected to. What was queued for a peer that had connected to this one is dropped, and counted
///   ([`Dropped::peer_gone`](crate::Dropped::peer_gone)): it is not for another.
///
/// RFC 31; libzmq: `ZMQ_PAIR`. There, a second peer stays connected and is neither read nor written, not even when the first has gone.
///
/// ```
/// use std::thread;
/// use zerohop::{Context, Pair};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let ours = Pair::new(&context)?;
/// ours.bind("inproc://worker")?;
/// let theirs = Pair::new(&context)?;
/// theirs.connect("inproc://worker")?;
/// let worker = thread::spawn(move || {
///     let job = theirs.recv().unwrap();
///     theirs.send(format!("{} is done", job.to_str().unwrap())).unwrap();
///     theirs
/// });
///
/// ours.send("job 1")?;
/// assert_eq!(ours.recv()?, "job 1 is done");
/// # drop(worker.join());
/// # Ok(())
/// # }
/// ```
pub struct Pair {
    pub(super) socket: Socket<PairPattern>,
}

common!(Pair, "PAIR", _options => PairPattern::new());

sending!(Pair);

receiving!(Pair);
