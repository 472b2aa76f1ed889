//! PULL: one message from each peer that has one, in turn. And GATHER, whose messages have one frame.

use std::marker::PhantomData;

use super::form::{AnyFrames, Form, OneFrame, next_formed, take_formed};
use super::{FairQueue, Pattern, Receiving};
use crate::engine::{PeerId, Peers};
use crate::message::Message;
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct PullOf<F> {
    form: PhantomData<F>,
    queue: FairQueue,
    unexpected: u64,
}

/// PULL.
pub(crate) type PullPattern = PullOf<AnyFrames>;

/// GATHER.
pub(crate) type GatherPattern = PullOf<OneFrame>;

impl<F: Form> PullOf<F> {
    pub(crate) fn new() -> Self {
        PullOf {
            form: PhantomData,
            queue: FairQueue::new(),
            unexpected: 0,
        }
    }
}

impl<F: Form> Receiving for PullOf<F> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected).map(drop)
    }
}

impl<F: Form> Pattern for PullOf<F> {
    fn socket_type(&self) -> SocketType {
        match F::SINGLE {
            true => SocketType::Gather,
            false => SocketType::Pull,
        }
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        !F::SINGLE
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        next_formed::<F>(&mut self.queue, peers, &mut self.unexpected)
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        false
    }

    fn unexpected(&self) -> u64 {
        self.unexpected
    }
}
