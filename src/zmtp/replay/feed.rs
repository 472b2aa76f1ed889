//! What a publisher with a log knows of one connection: what was asked for, what has been sent, and so what comes next.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::delivery::DeliveryError;
use super::progress::Progress;
use super::wire::{self, LogNotice, Start};

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Shared with whoever reads the log for it, for as long as that takes.
    progress: Arc<Progress>,
    /// It has all up to the end of the log, wherever that is.
    live: bool,
    asked: VecDeque<Asked>,
    /// Names what was asked for.
    asks: u64,
    /// Messages that have been sent.
    tag: u64,
    /// The offset that the next message has unless something else is said.
    implied: Option<u64>,
    /// The subscriber knows that it has all up to here.
    told: u64,
    /// Counts what changes what is to be read.
    version: u64,
}

/// A topic that was asked for, and has not begun.
#[derive(Debug)]
struct Asked {
    number: u64,
    /// `None`: it is no longer wanted.
    topic: Option<Vec<u8>>,
    /// The offset to begin with, once that is known.
    offset: Option<u64>,
}

/// Where a topic begins has to be found in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) number: u64,
    pub(crate) topic: Vec<u8>,
    pub(crate) start: Start,
    /// What has been looked through.
    pub(crate) looked: Option<Looked>,
}

/// How far a search for the last messages of a topic has come, from the end of the log on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    /// From this offset on all has been looked at.
    pub(crate) from: u64,
    /// So many messages have not been found.
    pub(crate) missing: u64,
    /// So many offsets are looked at next.
    pub(crate) stretch: u64,
}

impl Feed {
    /// One for a new connection; the next message will have the offset `next`.
    pub(crate) fn new(next: u64) -> Feed {
        Feed {
            progress: Arc::new(Progress::new(next)),
            live: true,
            asked: VecDeque::new(),
            asks: 0,
            tag: 0,
            implied: None,
            told: next,
            version: 0,
        }
    }

    /// A REPLAY has come. What it asks for may have to be searched for, and is [answered](Self::answer) in order.
    pub(crate) fn replay(&mut self, topic: &[u8], start: Start, next: u64) -> Option<Search> {
        self.cancel(topic);
        self.asks += 1;
        let number = self.asks;
        let offset = match start {
            Start::Now => Some(next),
            Start::Offset(offset) => Some(offset.min(next)),
            Start::Last(0) => Some(next),
            Start::Last(_) | Start::Time(_) => None,
        };
        self.asked.push_back(Asked {
            number,
            topic: Some(topic.to_vec()),
            offset,
        });
        let topic = topic.to_vec();
        offset.is_none().then_some(Search {
            number,
            topic,
            start,
            looked: None,
        })
    }

    /// What was searched for has been found.
    pub(crate) fn found(&mut self, number: u64, offset: u64) {
        let mut asked = self.asked.iter_mut();
        if let Some(asked) = asked.find(|asked| asked.number == number) {
            asked.offset = Some(offset);
        }
    }

    /// Begins the next topic, if it is known where, and appends what says so. `Some(None)`: it was no longer wanted.
    pub(crate) fn answer(&mut self, next: u64, out: &mut Vec<u8>) -> Option<Option<Vec<u8>>> {
        let offset = self.asked.front()?.offset?;
        let asked = self.asked.pop_front()?;
        self.catch_up(next);
        wire::put_start(out, self.tag, offset);
        if let Some(topic) = &asked.topic {
            self.change().begin(topic, offset);
            self.review(next);
        }
        Some(asked.topic)
    }

    /// A topic is wanted from now on, by a subscriber that does not ask where it begins.
    pub(crate) fn begin_now(&mut self, topic: &[u8], next: u64) {
        self.catch_up(next);
        if !self.progress.has(topic) {
            self.change().begin(topic, next);
            self.review(next);
        }
    }

    /// A topic is no longer wanted.
    pub(crate) fn cancel(&mut self, topic: &[u8]) {
        for asked in &mut self.asked {
            if asked.topic.as_deref() == Some(topic) {
                asked.topic = None;
            }
        }
        if self.progress.has(topic) {
            self.change().end(topic);
        }
    }

    /// Whether it is still of interest where this one begins that was asked for.
    pub(crate) fn seeks(&self, number: u64) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|asked| asked.number == number && asked.topic.is_some())
    }

    /// Topics that are wanted, or have been asked for.
    pub(crate) fn topics(&self) -> usize {
        self.progress.len() + self.asked.len()
    }

    fn change(&mut self) -> &mut Progress {
        self.version += 1;
        Arc::make_mut(&mut self.progress)
    }

    /// While it has all, its position is that of the log.
    fn catch_up(&mut self, next: u64) {
        if self.live {
            self.advance(next);
        }
    }

    fn advance(&mut self, position: u64) {
        if position > self.progress.position() {
            Arc::make_mut(&mut self.progress).advance(position);
        }
    }

    /// Whether it has all by now.
    fn review(&mut self, next: u64) {
        self.live = self.progress.position() >= next;
    }

    /// Whether it has all, up to the end of the log.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Something, which is at this offset, could not be sent: it is to be read later.
    pub(crate) fn fall_behind(&mut self, offset: u64) {
        self.catch_up(offset);
        self.live = false;
    }

    /// What is to be read, and sent to it: messages from the position of this on that it wants, and gaps. With the version that this holds for.
    pub(crate) fn to_read(&self) -> (Arc<Progress>, u64) {
        (Arc::clone(&self.progress), self.version)
    }

    /// Whether what was read for that version is still what is to be sent.
    pub(crate) fn is_version(&self, version: u64) -> bool {
        self.version == version
    }

    /// A message is sent. Appends what has to be said before it.
    #[inline]
    pub(crate) fn send(&mut self, offset: u64, out: &mut Vec<u8>) {
        if self.implied != Some(offset) {
            wire::put_at(out, self.tag, offset);
        }
        self.tag += 1;
        self.implied = Some(offset + 1);
        self.told = offset + 1;
        if !self.live {
            self.advance(offset + 1);
        }
    }

    /// A message that is wanted will never be sent, as the subscriber takes nothing that large. Appends what says so.
    pub(crate) fn miss(&mut self, offset: u64, out: &mut Vec<u8>) {
        wire::put_gap(out, self.tag, offset, offset);
        self.told = offset + 1;
        if !self.live {
            self.advance(offset + 1);
        }
    }

    /// Messages up to this offset are not wanted, or have been sent.
    pub(crate) fn pass(&mut self, position: u64, next: u64) {
        self.advance(position);
        self.review(next);
    }

    /// Messages with these offsets are gone. Says so, as far as any of them could have been wanted, and says which then.
    pub(crate) fn gap(&mut self, first: u64, last: u64, out: &mut Vec<u8>) -> Option<(u64, u64)> {
        let wanted = self.progress.wanted_from();
        self.advance(last.saturating_add(1));
        let first = first.max(wanted?);
        if first > last {
            return None;
        }
        wire::put_gap(out, self.tag, first, last);
        self.told = last + 1;
        Some((first, last))
    }

    /// Says how far the subscriber has all, if it may not know: so that it does not ask later for what did not concern it.
    pub(crate) fn tell_next(&mut self, next: u64, least: u64, out: &mut Vec<u8>) {
        self.catch_up(next);
        let position = self.progress.position();
        if self.progress.len() > 0 && position >= self.told.saturating_add(least) {
            wire::put_next(out, self.tag, position);
            self.told = position;
        }
    }
}

/// Reads what a subscriber has said.
pub(crate) fn parse(notice: LogNotice<'_>) -> Result<(Start, &[u8]), DeliveryError> {
    match notice {
        LogNotice::Replay(data) => wire::parse_replay(data),
        other => Err(DeliveryError::WrongSide {
            command: other.name(),
        }),
    }
}
