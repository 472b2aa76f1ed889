//! PULL: one message from each peer that has one, in turn. And GATHER, whose messages have one frame.

use std::marker::PhantomData;
use std::time::Instant;

use super::acked_in::AckedIn;
use super::form::{AnyFrames, Form, OneFrame, next_formed, take_formed};
use super::push::PushOf;
use super::{Admission, FairQueue, Pattern, Receiving};
use crate::Options;
use crate::engine::{Passed, PeerId, Peers, Unsent};
use crate::message::Message;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::{ProtocolError, SocketType};

/// So many bytes that have been passed on are written before more are …
const WORTH_A_WRITE: usize = 64 * 1024;

/// … and so many messages.
const MOST: usize = 1_000;

/// See the module.
pub(crate) struct PullOf<F> {
    form: PhantomData<F>,
    queue: FairQueue,
    unexpected: u64,
    /// Where messages are to be settled, they come this way alone: nothing is in the queue then.
    acked: Option<Box<AckedIn>>,
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
            acked: None,
        }
    }

    /// Messages are to be settled, if that is what the options ask for.
    pub(crate) fn with_options(options: &Options) -> Self {
        let delivery = options.delivery.as_ref();
        PullOf {
            acked: delivery.map(|delivery| Box::new(AckedIn::new(delivery))),
            ..PullOf::new()
        }
    }

    /// Passes messages on to `push`, as they have come and without decoding them: each from the peer whose turn it is to the peer whose turn it is. As
    /// many as are worth a write; none where it takes more than that.
    pub(crate) fn pass_on<G: Form>(
        &mut self,
        peers: &mut Peers,
        push: &mut PushOf<G>,
        to: &mut Peers,
    ) -> Passed {
        let mut all = Passed::default();
        while let Some(id) = self.queue.front()
            && let Some((to_id, to_alone)) = push.turn()
        {
            let alone = to_alone && self.queue.len() == 1;
            let most = if alone { usize::MAX } else { 1 };
            let Some((passed, has_more)) = peers.pass_on(id, most, to, to_id) else {
                break;
            };
            push.end_turn();
            match has_more {
                true => self.queue.rotate(),
                false => drop(self.queue.pop_front()),
            }
            all.add(passed);
            if alone || all.size >= WORTH_A_WRITE || all.messages >= MOST {
                break;
            }
        }
        all
    }
}

impl<F: Form> Receiving for PullOf<F> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        if take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected).is_some() {
            return Some(());
        }
        self.acked.as_mut()?.recv(peers, message)
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        let id = take_formed::<F>(&mut self.queue, peers, message, &mut self.unexpected);
        match id {
            Some(id) => Some(Some(id)),
            None => self.acked.as_mut()?.recv_from(peers, message).map(Some),
        }
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

    fn hello(&self) -> Option<Hello> {
        self.acked.as_ref().map(|acked| acked.hello())
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        match &self.acked {
            Some(acked) => acked.admit(peers, id),
            None => Admission::Granted,
        }
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.established(peers, id);
        }
    }

    fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.lost(peers, id);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.lost(peers, id);
    }

    fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
        if let Some(acked) = &mut self.acked {
            acked.forget(id);
        }
    }

    fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        _now: Instant,
    ) -> Result<(), ProtocolError> {
        match &mut self.acked {
            Some(acked) => acked.delivery(id, notice),
            None => Ok(()),
        }
    }

    fn acked_in(&mut self) -> Option<&mut AckedIn> {
        self.acked.as_deref_mut()
    }

    fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(acked) = &mut self.acked {
            acked.settled(peers, id);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.acked.as_ref()?.deadline()
    }

    fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if let Some(acked) = &mut self.acked {
            acked.handle_timeout(peers, now);
        }
    }

    fn closing(&mut self, peers: &mut Peers) {
        if let Some(acked) = &mut self.acked {
            acked.closing(peers);
        }
    }

    fn has_more(&self) -> bool {
        match &self.acked {
            Some(acked) => acked.has_more(),
            None => self.queue.front().is_some(),
        }
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        match &mut self.acked {
            Some(acked) => acked.would_receive(peers),
            None => next_formed::<F>(&mut self.queue, peers, &mut self.unexpected),
        }
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if let Some(acked) = &mut self.acked {
            return acked.readable(peers, id);
        }
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
