//! A connection that messages are sent on, and what is unsettled there.

use std::collections::VecDeque;

use super::super::Party;
use super::super::wire::Run;
use super::tags::Tags;

/// A message that has been on so many connections that broke goes out alone, so that it takes no others with it if it is what breaks
/// them.
pub(super) const ALONE_AFTER: u8 = 3;

/// A connection that is open.
pub(super) struct Line {
    pub(super) receiver: Option<Party>,
    pub(super) window: usize,
    pub(super) next_tag: u64,
    /// What is unsettled, by its tag.
    pub(super) out: Tags,
    /// The last run that has been sent.
    pub(super) run: Option<Run>,
    /// What the receiver may still have of an earlier connection; it is sent that first.
    pub(super) back: VecDeque<usize>,
    /// One message is out that no other is to go with.
    pub(super) alone: bool,
    /// How much of all it is to have, where there is a difference.
    pub(super) share: Share,
}

/// Lower priorities come first, and messages are divided in proportion to weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) priority: u16,
    pub(super) weight: u16,
}

impl Share {
    /// One that is not known yet comes behind all others.
    pub(super) const UNKNOWN: Share = Share {
        priority: u8::MAX as u16 + 1,
        weight: 1,
    };
}

/// What a message adds to the load of a line of weight 1.
const UNIT: u64 = 1 << 20;

impl Line {
    /// How many more messages may go out, for one that has been on so many connections that broke. `None`: not this one.
    pub(super) fn free(&self, deaths: u8) -> Option<usize> {
        // Those who say what becomes of messages come first.
        if self.receiver.is_none() {
            return Some(0);
        }
        let free = self.window.saturating_sub(self.out.len());
        (self.back.is_empty() && free > 0 && self.lets_out(deaths)).then_some(free)
    }

    /// In which order lines are given messages, where so many may go out on this one: less is sooner.
    pub(super) fn rank(&self, free: usize, weighs: bool) -> (u16, u64) {
        if !weighs {
            return (0, u64::MAX - free as u64);
        }
        // Those who say what becomes of messages come first.
        let priority = match self.receiver {
            Some(_) => self.share.priority,
            None => u16::MAX,
        };
        let load = (self.out.len() as u64 + 1) * (UNIT / u64::from(self.share.weight));
        (priority, load)
    }

    pub(super) fn free_for_back(&self, deaths: u8) -> bool {
        self.out.len() < self.window && self.lets_out(deaths)
    }

    fn lets_out(&self, deaths: u8) -> bool {
        !self.alone && (deaths < ALONE_AFTER || self.out.is_empty())
    }
}
