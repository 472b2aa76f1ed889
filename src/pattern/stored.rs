//! What the messages of a PUSH or DEALER have to do with its spool. Files are never touched here: what is to be written there is noted, for
//! [somebody else](crate::spool::Notes).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acked_out::{DeadReason, Settled};
use crate::message::Message;
use crate::spool::Notes;
use crate::zmtp::delivery::Returned;

/// What is to be written of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpoolNote {
    /// So many, whose numbers follow each other, are needed no more.
    Settled { first: u64, count: u64 },
    /// It has been delivered so often, and is to be delivered again, but not before `due`.
    Returned {
        number: u64,
        deliveries: u32,
        due: Option<Instant>,
    },
    Dead {
        number: u64,
        deliveries: u32,
        reason: String,
    },
}

/// A message that the spool holds of an earlier socket.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) message: Message,
    pub(crate) number: u64,
    pub(crate) deliveries: u32,
    pub(crate) due: Option<Instant>,
    /// How long ago it was sent.
    pub(crate) age: Duration,
    /// It was a dead letter: who has rejected it is to get it again.
    pub(crate) replayed: bool,
}

/// Messages that are not in the spool have numbers from here on: what a peer that settles nothing was not sent. The spool gives none as
/// high.
const UNSTORED: u64 = 1 << 63;

/// While messages are sent, somebody looks so often for what workers have said, whatever else drives the socket: what is not noted when this process is
/// killed is work that is done twice.
const LOOK_AFTER: Duration = Duration::from_millis(1);

/// See the module.
pub(crate) struct Stored {
    notes: Arc<Notes<SpoolNote>>,
    /// Not yet among them.
    fresh: Vec<SpoolNote>,
    /// Messages of an earlier socket that are in the spool alone. They go before all that is sent now.
    backlog: usize,
    /// Dead letters that are replayed, and may be read as a part of that, too.
    replayed: HashSet<u64>,
    /// Places of messages that are just being stored.
    reserved: usize,
    /// All messages with lower numbers are as safe as was asked for.
    durable: u64,
    /// The others never will be.
    failed: bool,
    /// When somebody is to look next for what workers have said.
    look_at: Option<Instant>,
}

impl Stored {
    pub(super) fn new(notes: Arc<Notes<SpoolNote>>, backlog: usize) -> Stored {
        Stored {
            notes,
            fresh: Vec::new(),
            backlog,
            replayed: HashSet::new(),
            reserved: 0,
            durable: 0,
            failed: false,
            look_at: None,
        }
    }

    /// From where on a socket numbers messages that are not in the spool: no other one of the stream has those.
    pub(super) fn first_unstored(incarnation: u64) -> u64 {
        UNSTORED | (incarnation << 32)
    }

    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    pub(super) fn set_backlog(&mut self, backlog: usize) {
        self.backlog = backlog;
        if backlog == 0 {
            self.replayed = HashSet::new();
        }
    }

    /// A dead letter is about to be replayed: it is not a part of the backlog.
    pub(super) fn note_replay(&mut self, number: u64) {
        if self.backlog > 0 {
            self.replayed.insert(number);
        }
    }

    pub(super) fn is_replayed(&self, number: u64) -> bool {
        !self.replayed.is_empty() && self.replayed.contains(&number)
    }

    /// How many places are taken beside those of messages that are held.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    pub(super) fn reserve(&mut self, places: usize) {
        self.reserved += places;
    }

    pub(super) fn release(&mut self, places: usize) {
        self.reserved = self.reserved.saturating_sub(places);
    }

    /// Whether the call that has sent a message is to look for what workers have said.
    pub(super) fn is_look_due(&mut self, now: Instant) -> bool {
        let is_due = self.look_at.is_none_or(|at| at <= now);
        if is_due {
            self.look_at = Some(now + LOOK_AFTER);
        }
        is_due
    }

    pub(super) fn note_end(&mut self, number: u64, deliveries: u32, settled: &Settled) {
        if number >= UNSTORED {
            return;
        }
        self.fresh.push(match settled {
            Settled::Done | Settled::Unacknowledged => SpoolNote::Settled {
                first: number,
                count: 1,
            },
            Settled::Dead(reason) => SpoolNote::Dead {
                number,
                deliveries,
                reason: reason.to_string(),
            },
        });
    }

    /// So many messages are settled, whose numbers follow each other.
    pub(super) fn note_settled(&mut self, first: u64, count: u64) {
        if first < UNSTORED {
            self.fresh.push(SpoolNote::Settled { first, count });
        }
    }

    pub(super) fn note_return(&mut self, returned: Returned) {
        let Returned {
            number,
            deliveries,
            due,
        } = returned;
        if number < UNSTORED {
            self.fresh.push(SpoolNote::Returned {
                number,
                deliveries,
                due,
            });
        }
    }

    pub(super) fn hand_over(&mut self) {
        if !self.fresh.is_empty() {
            self.notes.add(&mut self.fresh);
        }
    }

    /// Says how far the log is safe. `None`: it is no further, and never will be.
    pub(super) fn set_durable(&mut self, upto: Option<u64>) {
        match upto {
            Some(upto) => self.durable = self.durable.max(upto),
            None => self.failed = true,
        }
    }

    /// Whether a message is safe. `None`: not yet.
    pub(super) fn is_durable(&self, number: u64) -> Option<bool> {
        match number < self.durable {
            true => Some(true),
            false => self.failed.then_some(false),
        }
    }

    /// Of messages with lower numbers that is known.
    pub(super) fn safety_known_below(&self) -> u64 {
        match self.failed {
            true => u64::MAX,
            false => self.durable,
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.hand_over();
        self.notes.close();
    }
}

/// A reason as the spool has it.
pub(crate) fn dead_reason(text: &str) -> DeadReason {
    let others = [
        DeadReason::DeliveryLimit,
        DeadReason::TooLarge,
        DeadReason::Expired,
    ];
    let other = others.into_iter().find(|other| other.to_string() == text);
    other.unwrap_or_else(|| {
        let reason = text.strip_prefix("rejected: ").unwrap_or(text);
        DeadReason::Rejected(reason.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_same_after_a_restart() {
        for reason in [
            DeadReason::DeliveryLimit,
            DeadReason::TooLarge,
            DeadReason::Expired,
            DeadReason::Rejected("delivered too often".into()),
            DeadReason::Rejected(String::new()),
        ] {
            assert_eq!(dead_reason(&reason.to_string()), reason);
        }
        let other = DeadReason::Rejected("of another program".into());
        assert_eq!(dead_reason("of another program"), other);
    }

    #[test]
    fn what_is_not_in_the_spool_is_not_noted() {
        let notes = Arc::new(Notes::new());
        let mut stored = Stored::new(Arc::clone(&notes), 0);
        stored.note_end(Stored::first_unstored(7), 1, &Settled::Done);
        stored.note_end(7, 1, &Settled::Done);
        assert!(notes.take().is_empty(), "they have not been handed over");
        drop(stored);
        assert_eq!(notes.take(), [SpoolNote::Settled { first: 7, count: 1 }]);
        assert!(notes.wait(Duration::ZERO).closed);
    }

    #[test]
    fn somebody_looks_every_millisecond() {
        let mut stored = Stored::new(Arc::new(Notes::new()), 0);
        let now = Instant::now();
        assert!(stored.is_look_due(now));
        assert!(!stored.is_look_due(now + LOOK_AFTER / 2));
        assert!(stored.is_look_due(now + LOOK_AFTER));
        assert!(!stored.is_look_due(now + LOOK_AFTER));
    }

    #[test]
    fn nothing_is_durable_after_a_failure() {
        let mut stored = Stored::new(Arc::new(Notes::new()), 0);
        assert_eq!(stored.is_durable(0), None);
        stored.set_durable(Some(5));
        assert_eq!(stored.safety_known_below(), 5);
        stored.set_durable(None);
        assert_eq!(stored.is_durable(4), Some(true));
        assert_eq!(stored.safety_known_below(), u64::MAX);
        assert_eq!(stored.is_durable(5), Some(false));
    }
}
