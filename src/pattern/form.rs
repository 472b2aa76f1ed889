//! How many frames a message has: what sets a draft type of libzmq apart from the older type whose pattern it is.
//!
//! | any number | one |
//! |---|---|
//! | PUSH, PULL | SCATTER, GATHER |
//! | DEALER | CLIENT |
//! | ROUTER | SERVER, PEER |
//! | PAIR | CHANNEL |
//!
//! A message of several frames is refused before it gets to such a pattern, and dropped and counted if a peer sends one, as libzmq does.

use super::FairQueue;
use super::fair_turns::{next_is, take_fairly};
use crate::engine::{PeerId, Peers};
use crate::message::Message;

/// See the module.
pub(crate) trait Form: Send + 'static {
    /// Messages have one frame.
    const SINGLE: bool;
}

/// Messages have any number of frames.
pub(crate) struct AnyFrames;

impl Form for AnyFrames {
    const SINGLE: bool = false;
}

/// Messages have one frame.
pub(crate) struct OneFrame;

impl Form for OneFrame {
    const SINGLE: bool = true;
}

/// Takes one message of this form from the peer whose turn it is, and says whose that was.
#[inline(always)]
pub(super) fn take_formed<F: Form>(
    queue: &mut FairQueue,
    peers: &mut Peers,
    message: &mut Message,
    unexpected: &mut u64,
) -> Option<PeerId> {
    let id = take_fairly(queue, peers, message)?;
    if F::SINGLE && message.is_multipart() {
        return take_single_frame(queue, peers, message, unexpected);
    }
    Some(id)
}

/// Whether there is a message of this form. What is before it is dropped.
#[cold]
pub(super) fn next_formed<F: Form>(
    queue: &mut FairQueue,
    peers: &mut Peers,
    unexpected: &mut u64,
) -> bool {
    next_is(queue, peers, |frames| {
        let wanted = !F::SINGLE || frames.len() == 1;
        *unexpected += u64::from(!wanted);
        wanted
    })
}

/// Drops the message, and those that follow it, up to the next one of one frame.
#[cold]
fn take_single_frame(
    queue: &mut FairQueue,
    peers: &mut Peers,
    message: &mut Message,
    unexpected: &mut u64,
) -> Option<PeerId> {
    loop {
        *unexpected += 1;
        peers.discard(std::mem::take(message));
        let id = take_fairly(queue, peers, message)?;
        if !message.is_multipart() {
            return Some(id);
        }
    }
}
