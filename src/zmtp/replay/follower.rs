//! What a subscriber knows of one connection to a publisher with a log: which message has which offset, and what was said between them.
//!
//! Commands are read as they come, and messages wait until the application takes them. So what a command says is kept with its place
//! among the messages (*tag*), and counts when those before it have been taken.

use std::collections::VecDeque;

use super::super::delivery::DeliveryError;
use super::progress::Progress;
use super::wire::{self, LogNotice};

/// Messages of which a publisher has said that they are gone, by their first and last offset.
pub(crate) type Gap = (u64, u64);

/// So many commands may wait, besides as many for each message that does.
const MAX_MARKS: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// Topics that were asked for and have not begun. `None`: it is no longer wanted.
    asked: VecDeque<Option<Vec<u8>>>,
    marks: VecDeque<(u64, Mark)>,
    /// The tag of the first message of this connection: those of earlier ones are counted on.
    base: u64,
    arrived: u64,
    taken: u64,
    /// The last command's.
    last_tag: u64,
    /// The publisher has said on this connection which offset its messages have.
    numbered: bool,
    /// The tag and offset of some message; those of later ones follow.
    run: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// A connection begins.
    Opened,
    Start(Option<Vec<u8>>, u64),
    At(u64),
    Gap(u64, u64),
    Next(u64),
}

/// A message as it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) offset: u64,
    /// It has not been had before.
    pub(crate) fresh: bool,
}

impl Follower {
    /// There is a connection. Messages of the one before may still wait.
    pub(crate) fn opened(&mut self) {
        self.asked.clear();
        self.marks.push_back((self.arrived, Mark::Opened));
        self.base = self.arrived;
        self.last_tag = self.arrived;
        self.numbered = false;
    }

    /// The publisher is asked for a topic.
    pub(crate) fn ask(&mut self, topic: &[u8]) {
        self.asked.push_back(Some(topic.to_vec()));
    }

    /// A topic is no longer wanted.
    pub(crate) fn cancel(&mut self, topic: &[u8]) {
        for asked in &mut self.asked {
            if asked.as_deref() == Some(topic) {
                *asked = None;
            }
        }
        for (_, mark) in &mut self.marks {
            if let Mark::Start(begun, _) = mark
                && begun.as_deref() == Some(topic)
            {
                *begun = None;
            }
        }
    }

    /// So many messages wait.
    pub(crate) fn arrived(&mut self, waiting: u64) -> Result<(), DeliveryError> {
        self.arrived = self.taken + waiting;
        if self.arrived < self.last_tag {
            return Err(DeliveryError::NeverSent {
                tag: self.last_tag - self.base,
            });
        }
        if self.arrived > self.base && !self.numbered {
            return Err(DeliveryError::Unnumbered);
        }
        Ok(())
    }

    /// A command has come.
    pub(crate) fn notice(&mut self, notice: LogNotice<'_>) -> Result<(), DeliveryError> {
        let (tag, mark) = match notice {
            LogNotice::Start(data) => {
                let [tag, offset] = wire::numbers(notice, data)?;
                let command = notice.name();
                let asked = self.asked.pop_front();
                let topic = asked.ok_or(DeliveryError::Unasked { command })?;
                (tag, Mark::Start(topic, offset))
            }
            LogNotice::At(data) => {
                let [tag, offset] = wire::numbers(notice, data)?;
                self.numbered = true;
                (tag, Mark::At(offset))
            }
            LogNotice::Gap(data) => {
                let [tag, first, last] = wire::numbers(notice, data)?;
                if first > last {
                    return Err(DeliveryError::Malformed { command: "GAP" });
                }
                (tag, Mark::Gap(first, last))
            }
            LogNotice::Next(data) => {
                let [tag, offset] = wire::numbers(notice, data)?;
                (tag, Mark::Next(offset))
            }
            LogNotice::Replay(_) => {
                let command = notice.name();
                return Err(DeliveryError::WrongSide { command });
            }
        };
        let absolute = self.base.saturating_add(tag);
        if absolute < self.last_tag.max(self.taken) {
            return Err(DeliveryError::Repeated { tag });
        }
        let waiting = usize::try_from(absolute - self.taken).unwrap_or(usize::MAX);
        if self.marks.len() >= waiting.saturating_mul(2).saturating_add(MAX_MARKS) {
            let limit = MAX_MARKS;
            return Err(DeliveryError::TooManyNotices { limit });
        }
        self.last_tag = absolute;
        self.marks.push_back((absolute, mark));
        Ok(())
    }

    /// What was said before the next message counts from now on. Gives the next gap; it is to be called until there is none.
    pub(crate) fn settle(&mut self, progress: &mut Progress) -> Option<Gap> {
        while self
            .marks
            .front()
            .is_some_and(|(tag, _)| *tag <= self.taken)
        {
            let (tag, mark) = self.marks.pop_front()?;
            if let Some(gap) = apply(tag, mark, progress, &mut self.run) {
                return Some(gap);
            }
        }
        None
    }

    /// The next message, whose first frame this is, is taken. What was said before it has been [settled](Self::settle). `None`: it came when it had no
    /// offset, and its connection has been ended for that.
    pub(crate) fn take(&mut self, progress: &mut Progress, first: &[u8]) -> Option<Numbered> {
        let offset = self.next_offset()?;
        self.taken += 1;
        let fresh = !progress.has_had(offset, first);
        progress.advance(offset.saturating_add(1));
        Some(Numbered { offset, fresh })
    }

    /// Whether the next message, whose first frame this is, will be [fresh](Numbered::fresh) when it is taken.
    pub(crate) fn is_next_fresh(&self, progress: &Progress, first: &[u8]) -> bool {
        let offset = self.next_offset();
        offset.is_some_and(|offset| !progress.has_had(offset, first))
    }

    /// `None`: messages have no offset yet, or one that is too large.
    fn next_offset(&self) -> Option<u64> {
        let (tag, from) = self.run?;
        from.checked_add(self.taken.checked_sub(tag)?)
    }

    /// Messages of this peer are dropped.
    pub(crate) fn waiting(&self) -> u64 {
        self.arrived - self.taken
    }

    /// How far it will be when all that has come has been taken.
    pub(crate) fn end(&self, progress: &Progress) -> Progress {
        let mut progress = progress.clone();
        let (mut run, mut taken) = (self.run, self.taken);
        let advance = |progress: &mut Progress, run: Option<(u64, u64)>, taken: u64| {
            if let Some((tag, offset)) = run
                && taken > tag
            {
                progress.advance(offset.saturating_add(taken - tag));
            }
        };
        for (tag, mark) in &self.marks {
            if *tag > taken {
                taken = *tag;
                advance(&mut progress, run, taken);
            }
            apply(*tag, mark.clone(), &mut progress, &mut run);
        }
        if self.arrived > taken {
            advance(&mut progress, run, self.arrived);
        }
        progress
    }
}

fn apply(
    tag: u64,
    mark: Mark,
    progress: &mut Progress,
    run: &mut Option<(u64, u64)>,
) -> Option<Gap> {
    match mark {
        Mark::Opened => {
            progress.suspend();
            *run = None;
            None
        }
        Mark::Start(None, _) => None,
        Mark::Start(Some(topic), offset) => {
            progress.resume(&topic, offset);
            None
        }
        Mark::At(offset) => {
            *run = Some((tag, offset));
            None
        }
        Mark::Gap(first, last) => {
            progress.advance(last + 1);
            Some((first, last))
        }
        Mark::Next(offset) => {
            progress.advance(offset);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(put: impl FnOnce(&mut Vec<u8>), follower: &mut Follower) -> Result<(), DeliveryError> {
        let mut out = Vec::new();
        put(&mut out);
        follower.notice(super::super::simulation::notice(&out).0)
    }

    #[test]
    fn what_makes_no_sense_ends_the_connection() {
        let fresh = || {
            let mut follower = Follower::default();
            follower.opened();
            follower.ask(b"a");
            follower
        };
        let mut follower = fresh();
        assert_eq!(say(|out| wire::put_start(out, 0, 5), &mut follower), Ok(()));
        let unasked = DeliveryError::Unasked { command: "START" };
        let said = say(|out| wire::put_start(out, 0, 5), &mut follower);
        assert_eq!(said, Err(unasked));
        assert_eq!(follower.arrived(1), Err(DeliveryError::Unnumbered));

        let mut follower = fresh();
        assert_eq!(say(|out| wire::put_at(out, 3, 5), &mut follower), Ok(()));
        let said = say(|out| wire::put_next(out, 2, 5), &mut follower);
        assert_eq!(said, Err(DeliveryError::Repeated { tag: 2 }));
        let never = DeliveryError::NeverSent { tag: 3 };
        assert_eq!(follower.arrived(2), Err(never));

        let mut follower = fresh();
        let said = say(|out| wire::put_gap(out, 0, 5, 4), &mut follower);
        assert_eq!(said, Err(DeliveryError::Malformed { command: "GAP" }));
        let said = say(
            |out| wire::put_replay(out, b"a", wire::Start::Now),
            &mut follower,
        );
        assert_eq!(said, Err(DeliveryError::WrongSide { command: "REPLAY" }));
        let mut said = Ok(());
        for _ in 0..=MAX_MARKS {
            said = said.and(say(|out| wire::put_gap(out, 0, 5, 6), &mut follower));
        }
        let limit = MAX_MARKS;
        assert_eq!(said, Err(DeliveryError::TooManyNotices { limit }));
    }
}
