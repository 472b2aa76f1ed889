//! What becomes of messages, as it is noted in the log.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::commit::Level;
use super::error::SpoolError;
use super::record::{self, Kind, Note, put_numbers};
use super::state::State;
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
    /// The messages are settled, but that could not be noted, so that they may be there again after a restart.
    pub fn settle(
        &self,
        ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
    ) -> Result<u64, SpoolError> {
        self.check_writable()?;
        let mut settled = 0;
        let mut noted = Vec::new();
        {
            let mut state = lock(&self.state);
            let next = state.next_seq;
            for range in ranges {
                let (first, mut last) = range.into_inner();
                if let Some(latest) = &mut state.latest {
                    // Later ones are yet to come.
                    last = last.min(next.saturating_sub(1));
                    latest.lose(first, last);
                }
                let copied = state.index.has_copy(first, last);
                let count = state.index.settle(first, last);
                settled += count;
                if count > 0 {
                    noted.push((first, last, copied));
                }
            }
        }
        self.trim();
        for ranges in noted.chunks(RANGES) {
            let mut state = self.room(record::padded(ranges.len() * 16), false)?;
            let oldest = state
                .index
                .segments
                .front()
                .map_or(0, |oldest| oldest.first_seq);
            // Of what was before there is nothing left, but for copies.
            let noted = ranges.iter();
            let noted = noted.filter(|(_, last, copied)| *copied || *last >= oldest);
            let noted: Vec<u64> = noted.flat_map(|(first, last, _)| [*first, *last]).collect();
            if !noted.is_empty() {
                state.put((Kind::Settled, 0), 0, now(), |out| put_numbers(out, noted));
            }
        }
        self.write_if_much()?;
        Ok(settled)
    }

    /// The message is not to be delivered before `due`, and was delivered so often. If the clock is set back meanwhile, it waits as long as from now to then, and
    /// no longer.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`], or what [`append`](OpenSpool::append) fails with.
    pub fn retry_at(&self, seq: u64, due: SystemTime, deliveries: u32) -> Result<(), SpoolError> {
        self.retry_from(seq, (now(), millis(due)), deliveries)
    }

    /// The same at a time, and then: both in milliseconds since 1970.
    pub(crate) fn retry_from(
        &self,
        seq: u64,
        (time, due): (u64, u64),
        deliveries: u32,
    ) -> Result<(), SpoolError> {
        let due = due.max(1);
        let note = Note {
            deliveries,
            due,
            noted: time,
            ..Note::default()
        };
        self.change(seq, (Kind::Retry, time), 16, note, |out| {
            put_numbers(out, [due, u64::from(deliveries)]);
        })
    }

    /// The message becomes a dead letter. Of the reason, the first 1,024 bytes are kept.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`], or what [`append`](OpenSpool::append) fails with.
    pub fn dead(&self, seq: u64, reason: &str, deliveries: u32) -> Result<(), SpoolError> {
        let mut len = reason.len().min(REASON_MAX);
        while !reason.is_char_boundary(len) {
            len -= 1;
        }
        let reason = &reason[..len];
        let note = Note {
            deliveries,
            dead: Some(reason.into()),
            ..Note::default()
        };
        self.change(seq, (Kind::Dead, now()), 4 + len, note, |out| {
            out.extend_from_slice(&deliveries.to_le_bytes());
            out.extend_from_slice(reason.as_bytes());
        })
    }

    /// A dead letter becomes a message again that was never delivered.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`] if it is not a dead letter, or what [`append`](OpenSpool::append) fails with.
    pub fn replay(&self, seq: u64) -> Result<(), SpoolError> {
        let is_dead = |state: &State| state.index.next_dead(seq) == Some(seq);
        if !is_dead(&lock(&self.state)) {
            return Err(SpoolError::NoSuchMessage { seq });
        }
        self.change(seq, (Kind::Replayed, now()), 0, Note::replayed(), |_| {})
    }

    fn change(
        &self,
        seq: u64,
        (kind, time): (Kind, u64),
        len: usize,
        note: Note,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SpoolError> {
        let mut state = self.room(record::padded(len), false)?;
        if kind == Kind::Retry {
            // How long the wait is is known by the time of the record.
            state = self.in_time(state, (record::padded(len), false), time)?;
        }
        if !state.index.note(seq, |old| *old = note) {
            return Err(SpoolError::NoSuchMessage { seq });
        }
        state.put((kind, 0), seq, time, put);
        drop(state);
        self.write_if_much()
    }

    fn write_if_much(&self) -> Result<(), SpoolError> {
        if lock(&self.state).pending < PENDING_MAX {
            return Ok(());
        }
        self.reach(Level::Written, u64::MAX)
    }
}
