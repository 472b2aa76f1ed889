//! Gives up the segments of a log that keeps the newest messages of each topic alone.
//!
//! A message that takes the place of another one is not safe at once, and the segment of the other one must not go before it is. So everything is synced
//! first, and only segments go of which nothing was needed before that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::SpoolError;
use super::latest::Latest;
use super::record::{self, Kind, put_numbers};
use super::settling::RANGES;
use super::state::Need;
use super::store::{OpenSpool, now};
use crate::sync::lock;

/// So many segments are given up at once, for one sync; or one of so many, if that is more, as all messages are looked at for it.
const AT_ONCE: (usize, usize) = (2, 8);

/// So many messages are looked at with the lock held.
const LOOK_AT: usize = 256;

impl OpenSpool {
    /// The ranges of messages between these, by their first and last, that are gone although no newer ones of their topics took their place.
    pub(crate) fn lost_between(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        match &lock(&self.state).latest {
            Some(latest) => latest.lost().within(first, last),
            None => vec![(first, last)],
        }
    }

    /// Whether messages that follow each other in the files may be ones that others have taken the place of.
    pub(crate) fn keeps_latest(&self) -> bool {
        lock(&self.state).latest.is_some()
    }

    /// As [`outdated`](Self::outdated): messages go one by one.
    pub(super) fn outdated_of(
        &self,
        latest: &Latest,
        keep: Option<u64>,
        keep_for: Option<Duration>,
    ) -> (Option<u64>, Option<Duration>) {
        // By size not each of them alone.
        let most = keep.map(|keep| keep.saturating_add(self.settings.segment_size));
        let keep = keep.filter(|_| most.is_some_and(|most| latest.bytes() >= most));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let since = keep_for.map(|time| now.saturating_sub(time));
        let since = since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let (upto, oldest) = latest.outdated(keep, since, millis);
        let again = keep_for.zip(oldest).map(|(time, oldest)| {
            // Its time is known to the second.
            let due = Duration::from_millis(oldest).saturating_add(time) + Duration::from_secs(1);
            due.saturating_sub(now)
        });
        (upto.map(|upto| upto + 1), again)
    }

    /// Gives up the oldest segments where all of them have more than twice the bytes that are needed, and two segments: what is needed of them is copied
    /// to the end of the log first. Gives whether there was something to do.
    pub(crate) fn clean(&self) -> Result<bool, SpoolError> {
        let mut cleaned = false;
        while let Some(before) = self.to_clean() {
            let mut from = Some(0);
            while let Some(seq) = from {
                let (seqs, next) = lock(&self.state).index.in_segments(before, seq, LOOK_AT);
                for seq in seqs {
                    match self.copy_forward(seq) {
                        Err(SpoolError::Corrupt { .. }) => self.lose(seq),
                        copied => copied.map(drop)?,
                    }
                }
                from = next;
            }
            self.note_lost()?;
            let needed = lock(&self.state).index.first_needed();
            self.sync()?;
            let trimmed = lock(&self.state).index.trim(needed.min(before));
            self.give_up(trimmed);
            cleaned = true;
        }
        Ok(cleaned)
    }

    /// A message that cannot be read is gone.
    fn lose(&self, seq: u64) {
        let mut state = lock(&self.state);
        state.index.settle(seq, seq);
        if let Some(latest) = &mut state.latest {
            latest.lose(seq, seq);
        }
    }

    /// The number of the first segment that is not to be given up. `None`: nothing is to be.
    fn to_clean(&self) -> Option<u64> {
        let state = lock(&self.state);
        let kept = state.latest.as_ref()?.bytes();
        let segments = &state.index.segments;
        let used: u64 = segments.iter().map(|segment| segment.end).sum();
        let bound = 2 * kept + 2 * self.settings.segment_size;
        let (least, part) = AT_ONCE;
        let count = (segments.len() / part).max(least);
        let next = segments.get(count.min(segments.len().checked_sub(1)?))?;
        (used > bound && segments.len() > 1).then_some(next.file.number)
    }

    /// What is known of lost messages is in the segments that go, and so is noted again.
    fn note_lost(&self) -> Result<(), SpoolError> {
        let lost: Vec<_> = match &lock(&self.state).latest {
            Some(latest) => latest.lost().iter().collect(),
            None => return Ok(()),
        };
        for ranges in lost.chunks(RANGES) {
            let mut state = self.room(record::padded(ranges.len() * 16), Need::Copy)?;
            let numbers = ranges.iter().flat_map(|(first, last)| [*first, *last]);
            state.put((Kind::Settled, 0), 0, now(), |out| {
                put_numbers(out, numbers)
            });
        }
        Ok(())
    }
}
