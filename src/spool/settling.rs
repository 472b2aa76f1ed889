//! What becomes of messages, as it is noted in the log.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::commit::Level;
use super::error::SpoolError;
use super::record::{self, Kind, Note, put_numbers};
use super::state::{Need, State};
use super::store::{OpenSpool, PENDING_MAX, millis, now};
use crate::sync::lock;

/// The longest reason of a dead letter in bytes; longer ones are cut.
pub(super) const REASON_MAX: usize = 1024;

/// Ranges in one record of settlements.
pub(super) const RANGES: usize = 64;

impl OpenSpool {
    /// Messages that have been processed, or shall be forgotten, dead letters included: they are not given again. Gives how many of them there
    /// were. Others are passed over.
    ///
    /// This is written with the next commit, or by [`flush`](OpenSpool::flush); if it is lost before, the messages are there again after a
    /// restart.
    ///
    /// # Errors
    ///
    /// The messages are settled, but that could not be noted, so that they may be there again after a restart. If there was no room, it is noted when there is.
    pub fn settle(
        &self,
        ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
    ) -> Result<u64, SpoolError> {
        self.check_writable()?;
        let mut settled = 0;
        {
            let mut state = lock(&self.state);
            let next = state.next_seq;
            for range in ranges {
                let (first, last) = range.into_inner();
                // Later ones are yet to come, and may be there when this is noted.
                let last = last.min(next.saturating_sub(1));
                if let Some(latest) = &mut state.latest {
                    latest.lose(first, last);
                }
                let copied = state.index.has_copy(first, last);
                let count = state.index.settle(first, last);
                settled += count;
                if count > 0 {
                    state.behind.settle(first, last, copied);
                }
            }
        }
        self.trim();
        self.note_behind()?;
        Ok(settled)
    }

    /// The message is not to be delivered before `due`, and was delivered so often. If the clock is set back meanwhile, it waits as long as from now to then, and
    /// no longer.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`], or what [`append`](OpenSpool::append) fails with. If there is no room, it holds all the same, and is noted
    /// when there is; before that, a restart does not know of it.
    pub fn retry_at(&self, seq: u64, due: SystemTime, deliveries: u32) -> Result<(), SpoolError> {
        self.retry_at_soon(seq, due, deliveries)?;
        self.note_behind()
    }

    /// The same, which is known in memory until the next call that notes something, as [`settle`](OpenSpool::settle) does.
    pub(crate) fn retry_at_soon(
        &self,
        seq: u64,
        due: SystemTime,
        deliveries: u32,
    ) -> Result<(), SpoolError> {
        self.change(seq, Note::waits(now(), millis(due), deliveries))
    }

    /// As [`retry_at`](OpenSpool::retry_at) at a time, until then, both in milliseconds since 1970.
    #[cfg(test)]
    pub(crate) fn retry_from(
        &self,
        seq: u64,
        (now, due): (u64, u64),
        deliveries: u32,
    ) -> Result<(), SpoolError> {
        self.change(seq, Note::waits(now, due, deliveries))?;
        self.note_behind_at(|| now)
    }

    /// The message becomes a dead letter. Of the reason, the first 1,024 bytes are kept.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`], or what [`append`](OpenSpool::append) fails with. If there is no room, it holds all the same, as with
    /// [`retry_at`](OpenSpool::retry_at).
    pub fn dead(&self, seq: u64, reason: &str, deliveries: u32) -> Result<(), SpoolError> {
        self.dead_soon(seq, reason, deliveries)?;
        self.note_behind()
    }

    /// The same, as with [`retry_at_soon`](OpenSpool::retry_at_soon).
    pub(crate) fn dead_soon(
        &self,
        seq: u64,
        reason: &str,
        deliveries: u32,
    ) -> Result<(), SpoolError> {
        let mut len = reason.len().min(REASON_MAX);
        while !reason.is_char_boundary(len) {
            len -= 1;
        }
        let note = Note {
            deliveries,
            dead: Some(reason[..len].into()),
            ..Note::default()
        };
        self.change(seq, note)
    }

    /// A dead letter becomes a message again that was never delivered.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`] if it is not a dead letter, or what [`append`](OpenSpool::append) fails with.
    pub fn replay(&self, seq: u64) -> Result<(), SpoolError> {
        self.check_process()?;
        let is_dead = |state: &State| state.index.next_dead(seq) == Some(seq);
        if !is_dead(&lock(&self.state)) {
            return Err(SpoolError::NoSuchMessage { seq });
        }
        self.change(seq, Note::replayed())?;
        self.note_behind()
    }

    /// Changes what is known of a message, in memory.
    fn change(&self, seq: u64, note: Note) -> Result<(), SpoolError> {
        self.check_writable()?;
        let mut state = lock(&self.state);
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        if !state.index.note(seq, |old| *old = note) {
            return Err(SpoolError::NoSuchMessage { seq });
        }
        state.behind.changed.insert(seq);
        Ok(())
    }

    /// Notes in the log what is known of messages in memory alone, as far as there is room for it.
    pub(super) fn note_behind(&self) -> Result<(), SpoolError> {
        self.note_behind_at(now)
    }

    /// The same by a clock, in milliseconds since 1970.
    fn note_behind_at(&self, clock: impl Fn() -> u64) -> Result<(), SpoolError> {
        loop {
            let state = lock(&self.state);
            let ranges = state.behind.settled.len().min(RANGES);
            let changed = state.behind.changed.first().copied();
            if ranges > 0 {
                drop(state);
                self.note_settled(ranges)?;
            } else if let Some(seq) = changed {
                let len = state.index.note_of(seq).map_or(0, Note::len);
                drop(state);
                self.note_change(seq, len, clock())?;
            } else {
                break;
            }
        }
        self.write_if_much()?;
        let compacts = lock(&self.state).is_compaction_due();
        if compacts {
            // What cannot be copied now is tried again with the next segment.
            let _ = self.compact_a_little();
        }
        Ok(())
    }

    /// Notes so many ranges of settled messages.
    fn note_settled(&self, ranges: usize) -> Result<(), SpoolError> {
        let mut state = self.room(record::padded(ranges * 16), Need::Change)?;
        // Others may have done so meanwhile.
        let ranges = ranges.min(state.behind.settled.len());
        let oldest = state.index.segments.front();
        let oldest = oldest.map_or(0, |oldest| oldest.first_seq);
        let ranges: Vec<_> = state.behind.settled.drain(..ranges).collect();
        // Of what was before there is nothing left, but for copies.
        let noted = ranges.iter();
        let noted = noted.filter(|(_, last, copied)| *copied || *last >= oldest);
        let noted: Vec<u64> = noted.flat_map(|(first, last, _)| [*first, *last]).collect();
        if !noted.is_empty() {
            state.put((Kind::Settled, 0), 0, now(), |out| put_numbers(out, noted));
        }
        Ok(())
    }

    /// Notes what is known of a message at a time, in a record with a body of this length.
    fn note_change(&self, seq: u64, len: usize, time: u64) -> Result<(), SpoolError> {
        let record = (record::padded(len), Need::Change);
        let state = self.room(record.0, record.1)?;
        // How long a wait is is known by the time of the record.
        let mut state = self.in_time(state, record, time)?;
        let note = state.index.note_of(seq).cloned().unwrap_or_default();
        let note = note.at(time);
        if note.len() > len {
            // It has become another meanwhile.
            return Ok(());
        }
        if state.behind.changed.remove(&seq) && state.index.note(seq, |old| old.clone_from(&note)) {
            state.put((note.kind(), 0), seq, time, |out| note.put(out));
        }
        Ok(())
    }

    fn write_if_much(&self) -> Result<(), SpoolError> {
        if lock(&self.state).pending < PENDING_MAX {
            return Ok(());
        }
        self.reach(Level::Written, u64::MAX)
    }
}
