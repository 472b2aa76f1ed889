//! PULL: one message from each peer that has one, in turn.

use super::fair_turns::{next_is, take_fairly};
use super::{FairQueue, Pattern, Receiving};
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
}

impl Receiving for PullPattern {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_fairly(&mut self.queue, peers, message).map(drop)
    }
}

impl Pattern for PullPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Pull
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        true
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        next_is(&mut self.queue, peers, |_| true)
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
