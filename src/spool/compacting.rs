//! Moves the last messages of old segments to the end of the log.

use super::error::SpoolError;
use super::reading::Reader;
use super::record::{self, Copied, Kind};
use super::settling::REASON_MAX;
use super::store::{OpenSpool, now};
use crate::sync::lock;

impl OpenSpool {
    /// If less than a twentieth of the oldest segment is needed, copies that to the end of the log, so that the segment can be given up; and so
    /// with the next one. Appending does this from time to time. Gives whether there was something to do.
    ///
    /// # Errors
    ///
    /// A message cannot be read, or what [`append`](OpenSpool::append) and [`sync`](OpenSpool::sync) fail with.
    pub fn compact(&self) -> Result<bool, SpoolError> {
        self.check_writable()?;
        let Some(_one) = self.compacting.enter() else {
            return Ok(false);
        };
        let mut compacted = false;
        loop {
            let Some(seqs) = lock(&self.state).index.sparse() else {
                return Ok(compacted);
            };
            for seq in seqs {
                self.copy_forward(seq)?;
            }
            // The originals may go only when the copies are safe.
            self.sync()?;
            self.trim();
            compacted = true;
        }
    }

    pub(super) fn copy_forward(&self, seq: u64) -> Result<(), SpoolError> {
        let Some((place, _)) = self.place(seq)? else {
            return Ok(());
        };
        let mut reader = Reader::one();
        let raw = reader.find(self, &place, seq)?;
        let reserved = record::padded(64 + REASON_MAX + raw.body.len());
        let time = now();
        let state = self.room(reserved, false)?;
        let mut state = self.in_time(state, (reserved, false), time)?;
        if !state.index.is_live(seq) {
            return Ok(());
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
        state.index.push_copy(seq, at, len, note);
        Ok(())
    }
}
