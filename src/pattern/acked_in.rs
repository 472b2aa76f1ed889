//! Messages that are to be settled, on the side of a PULL or a ROUTER: the [`Receiver`] of acknowledged delivery, over peers.

use std::time::{Duration, Instant};

use super::acked_out::{JobId, admit, new_id, sender_of};
use super::{Admission, FairQueue};
use crate::Delivery;
use crate::engine::{PeerId, Peers};
use crate::message::Message;
use crate::zmtp::ProtocolError;
use crate::zmtp::delivery::{
    DeliveryError, HeldKey, Hello, Job, Notice, Receiver, Settling, Taken, Unsettled,
};

/// A sender that leaves so many bytes of settlements unread is told of no more, and runs out of credit.
const MAX_UNREAD: usize = 64 * 1024;

/// Then it is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A message that the application works on.
#[derive(Debug)]
pub(crate) struct HeldJob {
    /// By which it is settled.
    pub(crate) key: HeldKey,
    pub(crate) id: JobId,
    pub(crate) deliveries: u64,
}

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
pub(crate) struct AckedIn {
    hello: Hello,
    required: bool,
    receiver: Receiver,
    /// All peers that have messages, those that want them settled or not.
    queue: FairQueue,
    /// Peers that could not be told what was due, and when to look at them again.
    unread: Vec<PeerId>,
    look_again: Option<Instant>,
    /// Reused.
    frames: Vec<u8>,
}

/// What a message is, besides its frames.
struct Next {
    from: PeerId,
    /// It is to be settled.
    job: Option<Job>,
}

impl AckedIn {
    pub(super) fn new(delivery: &Delivery) -> Self {
        let window = u64::from(delivery.window);
        AckedIn {
            hello: Hello {
                id: new_id(),
                window,
            },
            required: delivery.required,
            receiver: Receiver::new(window, delivery.job_timeout),
            queue: FairQueue::new(),
            unread: Vec::new(),
            look_again: None,
            frames: Vec::new(),
        }
    }

    pub(super) fn hello(&self) -> Hello {
        self.hello
    }

    /// Takes the next message, which is settled thereby.
    pub(super) fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        self.recv_from(peers, message).map(drop)
    }

    /// The same, with the peer it is of.
    pub(super) fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<PeerId> {
        let Next { from, job } = self.next(peers, message)?;
        if let Some(job) = job {
            self.receiver.done(job);
            self.report_due(peers, from);
        }
        Some(from)
    }

    /// Takes the next message, for the application to settle: it is written to where it stays, and so is what is `held`, or `None` there if nobody waits for
    /// a settlement. Gives the peer it is of.
    pub(crate) fn recv_job(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
        held: &mut Option<HeldJob>,
    ) -> Option<PeerId> {
        let Next { from, job } = self.next(peers, message)?;
        *held = match job {
            None => None,
            Some(job) => Some(HeldJob {
                key: self.receiver.hold_by(job, Instant::now),
                id: JobId {
                    stream: job.stream,
                    number: job.number,
                },
                deliveries: job.deliveries,
            }),
        };
        Some(from)
    }

    /// Inlined, with what it calls for each message, so that a [`Job`] stays in registers.
    #[inline(always)]
    fn next(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Next> {
        loop {
            let id = self.queue.front()?;
            let more = match peers.take_single(id, message) {
                true => Some(true),
                false => peers.take(id, message),
            };
            match more {
                Some(true) => self.queue.rotate(),
                Some(false) => {
                    self.queue.remove(id);
                }
                None => {
                    self.queue.remove(id);
                    continue;
                }
            }
            let job = match self.receiver.take(id) {
                None => None,
                Some(Taken::New(job)) => Some(job),
                Some(Taken::Known) => {
                    peers.discard(std::mem::take(message));
                    self.report_due(peers, id);
                    continue;
                }
            };
            return Some(Next { from: id, job });
        }
    }

    /// A peer has said something: what it wants back goes at once, if it is the next.
    pub(super) fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if !self.receiver.is_next_revoked(id) {
            return;
        }
        let mut message = Message::new();
        let mut more = peers.messages(id) > 0;
        while more && self.receiver.is_next_revoked(id) {
            more = peers.take(id, &mut message).unwrap_or(false);
            self.receiver.take(id);
            peers.discard(std::mem::take(&mut message));
        }
        if !more {
            self.queue.remove(id);
        }
        self.report_due(peers, id);
    }

    pub(super) fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    /// Whether there is a message for the application. It stays with its connection, and goes with that; what is known and lies before it
    /// is dropped.
    pub(super) fn would_receive(&mut self, peers: &mut Peers) -> bool {
        while let Some(id) = self.queue.front() {
            if peers.messages(id) == 0 {
                self.queue.remove(id);
            } else if self.receiver.is_next_known(id) {
                self.discard_next(peers, id);
            } else {
                return true;
            }
        }
        false
    }

    /// Drops the next message of a peer, which is known.
    #[cold]
    fn discard_next(&mut self, peers: &mut Peers, id: PeerId) {
        let mut message = Message::new();
        let more = peers.take(id, &mut message);
        if more.is_some() {
            self.receiver.take(id);
            peers.discard(message);
        }
        if more != Some(true) {
            self.queue.remove(id);
        }
        self.report_due(peers, id);
    }

    /// Takes the next message, for somebody who passes it on: it has no time that could be over.
    pub(crate) fn recv_relayed(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
    ) -> Option<Option<HeldJob>> {
        let Some(job) = self.next(peers, message)?.job else {
            return Some(None);
        };
        let key = self.receiver.hold_for_long(job);
        let id = JobId {
            stream: job.stream,
            number: job.number,
        };
        let deliveries = job.deliveries;
        Some(Some(HeldJob {
            key,
            id,
            deliveries,
        }))
    }

    /// The application has settled a message.
    pub(crate) fn settle(
        &mut self,
        peers: &mut Peers,
        key: HeldKey,
        settling: &Settling,
    ) -> Result<(), Unsettled> {
        let settled = self.receiver.settle(key, settling);
        if let Ok(id) = settled {
            self.report_due(peers, id);
        }
        settled.map(drop)
    }

    /// The application needs more time for a message. `false`: its time was over.
    pub(crate) fn extend(&mut self, key: HeldKey) -> bool {
        self.receiver.extend(key, Instant::now())
    }

    fn report_due(&mut self, peers: &mut Peers, id: PeerId) {
        if self.receiver.can_wait(id, peers.messages(id)) {
            return;
        }
        let now = Instant::now();
        let before = self.receiver.deadline();
        if self.receiver.is_due(id, peers.messages(id), now) {
            self.report(peers, id, now);
        } else if self.receiver.deadline() != before {
            peers.prompt();
        }
    }

    /// Says what there is to be said to a peer.
    fn report(&mut self, peers: &mut Peers, id: PeerId, now: Instant) {
        if peers.waiting_commands(id) > MAX_UNREAD {
            if !self.unread.contains(&id) {
                self.unread.push(id);
            }
            self.look_again = Some(now + LOOK_AGAIN);
            return;
        }
        self.frames.clear();
        self.receiver.report(id, now, &mut self.frames);
        if !self.frames.is_empty() {
            peers.send_commands(id, &self.frames);
            peers.prompt();
        }
    }

    pub(super) fn admit(&self, peers: &Peers, id: PeerId) -> Admission {
        admit(sender_of(peers, id), self.required)
    }

    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if !self.opened(peers, id) {
            peers.tell_unacknowledged(id);
        }
    }

    /// The same, for who tells of a peer that settles nothing. `false`: it numbers nothing, either.
    pub(super) fn opened(&mut self, peers: &Peers, id: PeerId) -> bool {
        // One whose property is malformed is not let in.
        let sender = sender_of(peers, id).ok().flatten();
        let numbers = sender.is_some();
        if let Some(sender) = sender {
            self.receiver.opened(id, sender);
        }
        numbers
    }

    /// The connection is gone. What came over it and is to be settled comes again, to this PULL or another one.
    pub(super) fn lost(&mut self, peers: &mut Peers, id: PeerId) {
        if self.receiver.is_acknowledged(id) {
            self.receiver.closed(id);
            self.queue.remove(id);
            self.unread.retain(|unread| *unread != id);
            peers.discard_inbound(id);
        }
    }

    pub(super) fn forget(&mut self, id: PeerId) {
        self.queue.remove(id);
    }

    pub(super) fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.receiver.arrived(id, peers.messages(id) as u64)?;
        self.queue.push(id);
        Ok(())
    }

    pub(super) fn delivery(&mut self, id: PeerId, notice: Notice<'_>) -> Result<(), ProtocolError> {
        if !self.receiver.is_acknowledged(id) {
            return Ok(());
        }
        match notice {
            Notice::Run(data) => Ok(self.receiver.run(id, data)?),
            Notice::Revoke(data) => Ok(self.receiver.revoke(id, data)?),
            Notice::Settle(_) => Err(DeliveryError::WrongSide { command: "SETTLE" }.into()),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.receiver.deadline().into_iter();
        deadlines.chain(self.look_again).min()
    }

    pub(super) fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        if self.look_again.take_if(|at| *at <= now).is_some() {
            for id in std::mem::take(&mut self.unread) {
                self.report(peers, id, now);
            }
        }
        self.receiver.handle_timeout(now);
        while let Some(id) = self.receiver.hurried() {
            self.report(peers, id, now);
        }
    }

    /// What has been settled is said before the connections end.
    pub(super) fn closing(&mut self, peers: &mut Peers) {
        let now = Instant::now();
        for id in self.receiver.connections() {
            self.report(peers, id, now);
        }
    }
}
