//! PULL: one message from each peer that has one, in turn.

use super::{FairQueue, Pattern};
use crate::engine::{PeerId, Peers};
use crate::message::Message;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PullPattern {
    queue: FairQueue,
}

impl PullPattern {
    pub(crate) fn new() -> Self {
        PullPattern {
            queue: FairQueue::new(),
        }
    }

    /// Takes the next message into `message`, if there is one.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_fairly(&mut self.queue, peers, message).map(drop)
    }
}

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

impl Pattern for PullPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Pull
    }

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn detached(&mut self, _peers: &mut Peers, _id: PeerId, _unsent: Vec<Message>) {}

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn writable(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn topic(&mut self, _id: PeerId, _topic: &[u8], _subscribe: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
