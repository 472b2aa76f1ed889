//! One message from each peer that has one, in turn: how PULL, SUB, REP and REQ receive.

use super::FairQueue;
use crate::engine::{PeerId, Peers};
use crate::message::Message;

/// Takes one message from the peer whose turn it is, and says whose that was.
///
/// Messages are written into a place that the caller provides, all the way up: a message is 72 bytes, and each
/// move of it costs as much as taking it out of its buffer.
#[inline(always)]
pub(super) fn take_fairly(
    queue: &mut FairQueue,
    peers: &mut Peers,
    message: &mut Message,
) -> Option<PeerId> {
    let id = queue.front()?;
    if !peers.take_single(id, message) {
        return take_any_fairly(queue, peers, message);
    }
    end_turn(queue, peers);
    Some(id)
}

/// Whether there is a message, of those that are `wanted`, given their frames. What is before it is dropped.
#[cold]
pub(super) fn next_is(
    queue: &mut FairQueue,
    peers: &mut Peers,
    mut wanted: impl FnMut(&[&[u8]]) -> bool,
) -> bool {
    while let Some(id) = queue.front() {
        if peers.messages(id) == 0 {
            queue.pop_front();
        } else if peers.look_at_next(id, &mut wanted) {
            return true;
        } else {
            let mut unwanted = Message::new();
            let _ = take_fairly(queue, peers, &mut unwanted);
            peers.discard(unwanted);
        }
    }
    false
}

/// The same for messages of all kinds.
#[inline(never)]
fn take_any_fairly(
    queue: &mut FairQueue,
    peers: &mut Peers,
    message: &mut Message,
) -> Option<PeerId> {
    while let Some(id) = queue.front() {
        match peers.take(id, message) {
            Some(true) => {
                end_turn(queue, peers);
                return Some(id);
            }
            Some(false) => {
                queue.pop_front();
                return Some(id);
            }
            None => {
                queue.pop_front();
            }
        }
    }
    None
}

#[inline]
fn end_turn(queue: &mut FairQueue, peers: &Peers) {
    if let Some(soon) = queue.rotate_many() {
        peers.prefetch(soon);
    }
}
