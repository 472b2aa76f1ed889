//! Moves what is needed of old segments to the end of the log, so that they can go.

use super::error::SpoolError;
use super::reading::Reader;
use super::record::{self, Copied, Kind};
use super::settling::REASON_MAX;
use super::state::Need;
use super::store::{OpenSpool, now};
use crate::sync::lock;

/// So many messages are looked up at once.
const AT_ONCE: usize = 256;

/// While messages are appended, so many bytes are copied at a time: twice as many as are appended until the next time.
const STEP: u64 = 128 << 10;

impl OpenSpool {
    /// Copies what is needed of the oldest segment to the end of the log, so that the segment can be given up, if that is less than a twentieth of its
    /// messages, or if all segments together are more than twice as large as what is needed of them, and two segments; and so
    /// with the next one. Appending does this from time to time. Gives whether there was something to do.
    ///
    /// # Errors
    ///
    /// A message cannot be read, or what [`append`](OpenSpool::append) and [`sync`](OpenSpool::sync) fail with.
    pub fn compact(&self) -> Result<bool, SpoolError> {
        self.check_writable()?;
        self.compact_by(u64::MAX)
    }

    /// A part of that, for who has more to do.
    pub(super) fn compact_a_little(&self) -> Result<bool, SpoolError> {
        self.compact_by(STEP)
    }

    fn compact_by(&self, most: u64) -> Result<bool, SpoolError> {
        let Some(_one) = self.compacting.enter() else {
            return Ok(false);
        };
        let mut compacted = false;
        let mut left = most;
        loop {
            let seqs = lock(&self.state).next_to_copy(self.settings.segment_size, AT_ONCE);
            let Some(seqs) = seqs else {
                return Ok(compacted);
            };
            if seqs.is_empty() {
                // The originals may go only when the copies are safe.
                self.sync()?;
                self.trim();
                lock(&self.state).copied(true);
                compacted = true;
                continue;
            }
            for seq in seqs {
                if left == 0 {
                    lock(&self.state).copied(false);
                    return Ok(compacted);
                }
                left = left.saturating_sub(self.copy_forward(seq)?);
            }
        }
    }

    /// Gives the bytes that it takes.
    pub(super) fn copy_forward(&self, seq: u64) -> Result<u64, SpoolError> {
        let Some((place, _)) = self.place(seq)? else {
            return Ok(0);
        };
        let mut reader = Reader::one();
        let raw = reader.find(self, &place, seq)?;
        let reserved = record::padded(64 + REASON_MAX + raw.body.len());
        let time = now();
        let state = self.room(reserved, Need::Copy)?;
        let mut state = self.in_time(state, (reserved, Need::Copy), time)?;
        if !state.index.is_live(seq) {
            return Ok(0);
        }
        let note = state.index.note_of(seq).cloned().unwrap_or_default();
        let note = note.at(time);
        let copy = Copied {
            time: raw.time,
            note: note.clone(),
            body: raw.body,
        };
        let at = state.put((Kind::Copy, raw.flags), seq, time, |out| copy.put(out));
        let len = record::padded(copy.len()) as u64;
        if let Some(latest) = &mut state.latest {
            latest.moved(seq, len);
        }
        // All that is known of it is in the copy.
        state.behind.changed.remove(&seq);
        state.index.push_copy(seq, at, len, note);
        Ok(len)
    }
}
