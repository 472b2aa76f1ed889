//! What becomes of messages that were sent, and who is told: receipts, who has passed a message on, the spool, and dead letters.

use super::{AckedOut, DeadLetter, DeadReason, JobId, RelayId, Settled};
use crate::engine::Peers;
use crate::message::Message;
use crate::pattern::acked_in::HeldJob;
use crate::zmtp::delivery::{DeadLine, Fate, Finished, Left};

impl AckedOut {
    /// A job of a message that is finished, and how it is.
    pub(crate) fn next_relayed(&mut self, relay: RelayId) -> Option<(HeldJob, Settled)> {
        let mut ends = self.relayed_ends.iter();
        let at = ends.position(|(by, ..)| *by == relay)?;
        let (_, job, settled) = self.relayed_ends.remove(at)?;
        Some((job, settled))
    }

    /// The jobs that are left, with what has become of them, if that is known. Nobody will be told of the others.
    pub(crate) fn end_relay(&mut self, relay: RelayId) -> Vec<(HeldJob, Option<Settled>)> {
        let mut jobs = Vec::new();
        while let Some((job, settled)) = self.next_relayed(relay) {
            jobs.push((job, Some(settled)));
        }
        let left = self.relayed.extract_if(|_, (by, _)| *by == relay);
        jobs.extend(left.map(|(_, (_, job))| (job, None)));
        jobs
    }

    /// What has become of a message with a receipt, if that is known.
    pub(in crate::pattern) fn settled_as(&self, number: u64) -> Option<Settled> {
        self.receipts.fate(number)
    }

    /// The messages with receipts that have been settled since this was last asked.
    pub(in crate::pattern) fn take_settled(&mut self) -> Vec<u64> {
        self.receipts.take_told()
    }

    /// The same, and what has become of them, which is not known here any more.
    pub(in crate::pattern) fn take_fates(&mut self) -> Vec<(u64, Settled)> {
        let told = self.take_settled().into_iter();
        let fates = told.map(|number| Some((number, self.receipts.fates.remove(&number)??)));
        fates.flatten().collect()
    }

    pub(in crate::pattern) fn forget_receipt(&mut self, number: u64) {
        self.receipts.forget(number);
    }

    pub(crate) fn take_dead(&mut self) -> Vec<DeadLetter> {
        self.dead.drain(..).collect()
    }

    /// Sees to the short messages that are settled, of which there are most.
    fn collect_settled(&mut self, peers: &mut Peers) {
        let numbers = self.sender.settled();
        if self.receipts.fates.is_empty() && self.relayed.is_empty() && self.stored.is_none() {
            return;
        }
        for (first, count) in numbers {
            if self.receipts.fates.is_empty() && self.relayed.is_empty() {
                if let Some(stored) = &mut self.stored {
                    stored.note_settled(first, count);
                }
                continue;
            }
            for number in first..first + count {
                self.receipts.tell(number, &Settled::Done);
                if !self.relayed.is_empty()
                    && let Some((relay, job)) = self.relayed.remove(&number)
                {
                    self.relayed_ends.push_back((relay, job, Settled::Done));
                    peers.prompt();
                } else if let Some(stored) = &mut self.stored {
                    stored.note_settled(number, 1);
                }
            }
        }
    }

    /// Sees to the messages that are finished.
    pub(super) fn collect(&mut self, peers: &mut Peers) {
        self.collect_settled(peers);
        for done in self.sender.finished() {
            let Finished {
                left,
                number,
                deliveries,
                fate,
            } = done;
            let settled = settled(fate);
            self.receipts.tell(number, &settled);
            let relayed = match self.relayed.is_empty() {
                true => None,
                false => self.relayed.remove(&number),
            };
            let reason = match (relayed, &mut self.stored, settled) {
                (Some((relay, job)), _, settled) => {
                    self.relayed_ends.push_back((relay, job, settled));
                    // Somebody waits for that, also where it is so at once.
                    peers.prompt();
                    None
                }
                (None, Some(stored), settled) => {
                    stored.note_end(number, deliveries, &settled);
                    None
                }
                (None, None, Settled::Dead(reason)) => Some(reason),
                (None, None, Settled::Done | Settled::Unacknowledged) => None,
            };
            let Some(reason) = reason else {
                if let Left::Whole(message) = left {
                    peers.discard(message);
                }
                continue;
            };
            self.dead.push_back(DeadLetter {
                message: match left {
                    Left::Whole(message) => message,
                    Left::Short(bytes) => Message::from(bytes),
                    Left::Nothing => Message::new(),
                },
                id: JobId {
                    stream: self.hello.id,
                    number,
                },
                deliveries,
                reason,
                peer: None,
            });
            if self.dead.len() > self.most_dead
                && let Some(dropped) = self.dead.pop_front()
            {
                self.dead_dropped += 1;
                peers.discard(dropped.message);
            }
        }
        if let Some(stored) = &mut self.stored {
            for returned in self.sender.returned() {
                stored.note_return(returned);
            }
            stored.hand_over();
        }
    }
}

fn settled(fate: Fate) -> Settled {
    let reason = match fate {
        Fate::Settled => return Settled::Done,
        Fate::Unacknowledged => return Settled::Unacknowledged,
        Fate::Dead(DeadLine::Rejected(reason)) => DeadReason::Rejected(reason),
        Fate::Dead(DeadLine::Limit) => DeadReason::DeliveryLimit,
        Fate::Dead(DeadLine::TooLarge) => DeadReason::TooLarge,
        Fate::Dead(DeadLine::Expired) => DeadReason::Expired,
        Fate::Dead(DeadLine::Gone) => DeadReason::PeerGone,
    };
    Settled::Dead(reason)
}
