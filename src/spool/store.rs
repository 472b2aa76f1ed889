//! An open spool: appends, settles, and knows what became of each message.

use std::fmt::{self, Debug};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::commit::{GroupCommit, Level};
use super::disk::Disk;
use super::error::SpoolError;
use super::identity::Identity;
use super::index::{Place, Segment};
use super::record::{self, Kind, Note, message_flags, message_len, put_message, put_numbers};
use super::recover::Damage;
use super::segment::{HEADER, SegmentFile, SegmentHeader, seed};
use super::settings::{Spool, Sync};
use super::state::{Chunk, Need, State};
use super::writing::{Maker, One, SPARES, Writer};
use crate::Payload;
use crate::process::Process;
use crate::sync::lock;

/// More than this is not kept in memory: who appends it writes it.
pub(super) const PENDING_MAX: usize = 1 << 20;

/// The record that says what is on the disk.
pub(super) const NOTE_LEN: usize = record::HEADER + 16;

/// An open spool: see [the module](crate::spool). It may be used by several threads at once. In a forked child it is the parent's: what can fail does with
/// [`SpoolError::Forked`], and otherwise it is as if there were nothing in it.
///
/// Dropping it closes it, as [`close`](OpenSpool::close) does, but tells of no error.
pub struct OpenSpool {
    pub(super) settings: Spool,
    pub(super) disk: Box<dyn Disk>,
    pub(super) group: Arc<GroupCommit<Writer>>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) maker: Arc<Mutex<Maker>>,
    pub(super) compacting: One,
    /// The file `spool.id` does not say yet that the spool has been opened once more, as there was no room for that.
    pub(super) identity_due: AtomicBool,
    /// Files have been made, renamed or removed since the folder was last synced.
    pub(super) folder_changed: AtomicBool,
    pub(super) identity: Identity,
    pub(super) process: Process,
    pub(super) recovery: Recovery,
    /// Given back last.
    pub(super) _lock: Box<dyn Debug + Send + std::marker::Sync>,
}

/// What opening a spool has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The process that had it before has closed it in good order.
    pub clean: bool,
    /// What could not be read. What is at the end of the log was being written when the system crashed; in the middle, it was not known to be on the disk,
    /// or the spool was opened with [`Spool::salvage`].
    pub damage: Vec<Damage>,
    /// Segments.
    pub segments: usize,
    /// Records that were read.
    pub records: u64,
    /// Messages that are not settled, dead letters included.
    pub unsettled: u64,
    /// Dead letters.
    pub dead: u64,
    /// The time it took.
    pub elapsed: Duration,
}

/// A segment of a spool, which is one file: see [`OpenSpool::segments`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// The file.
    pub file: PathBuf,
    /// Bytes in the file.
    pub size: u64,
    /// Bytes of it that are used, messages that are settled included.
    pub used: u64,
    /// Messages in it that are not settled, dead letters included.
    pub unsettled: u64,
}

impl OpenSpool {
    /// Appends a message, and gives its number. It is in memory then, and made safe by [`commit`](OpenSpool::commit), or by later calls.
    ///
    /// Pass a reference to keep the message if that fails: nothing of it is kept here then.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Full`], [`SpoolError::Limit`], [`SpoolError::TooLarge`], [`SpoolError::Failed`].
    pub fn append(&self, message: impl Payload) -> Result<u64, SpoolError> {
        match message.as_single() {
            Some(bytes) => Ok(self.append_some([bytes], now())?.start),
            None => {
                let message = message.into_message();
                let flags = message_flags(&message);
                self.put_message(message_len(&message), flags, now(), |out| {
                    put_message(out, &message)
                })
            }
        }
    }

    /// Appends messages of one frame, at a time in milliseconds since 1970: at least the first, and as many of those behind it as there is room for at once.
    /// Gives their numbers.
    pub(crate) fn append_some<'a>(
        &self,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        time: u64,
    ) -> Result<Range<u64>, SpoolError> {
        let mut bodies = bodies.into_iter();
        let Some(first) = bodies.next() else {
            return Ok(0..0);
        };
        check_len(first.len())?;
        let record = (record::padded(first.len()), Need::Message);
        let state = self.room(record.0, record.1)?;
        let mut state = self.in_time(state, record, time)?;
        let start = state.next_seq;
        state.append(first, time);
        for body in bodies {
            let len = record::padded(body.len());
            if state.pending >= PENDING_MAX
                || check_len(body.len()).is_err()
                || !state.fits(NOTE_LEN + len + self.reserve(&state))
            {
                break;
            }
            state.append(body, time);
        }
        let end = state.next_seq;
        self.appended(state)?;
        Ok(start..end)
    }

    /// The time of what is appended now, in milliseconds since 1970.
    pub(crate) fn now() -> u64 {
        now()
    }

    #[inline]
    fn put_message(
        &self,
        len: usize,
        flags: u8,
        time: u64,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, SpoolError> {
        check_len(len)?;
        let record = (record::padded(len), Need::Message);
        let state = self.room(record.0, record.1)?;
        let mut state = self.in_time(state, record, time)?;
        let seq = state.next_seq;
        let at = state.put((Kind::Message, flags), seq, time, put);
        state.index.push(seq, at, false);
        state.next_seq += 1;
        self.appended(state)?;
        Ok(seq)
    }

    /// What is due when something was appended.
    #[inline]
    fn appended(&self, mut state: MutexGuard<'_, State>) -> Result<(), SpoolError> {
        let end = state.next_seq;
        let full = state.pending >= PENDING_MAX;
        let compacts = state.is_compaction_due();
        let behind = !state.behind.is_empty();
        drop(state);
        if full {
            self.reach(Level::Written, end)?;
        }
        if behind {
            // There is room again. What finds none still can wait.
            let _ = self.note_behind();
        }
        if compacts {
            // What cannot be copied now is tried again with the next segment.
            let _ = self.compact_a_little();
        }
        Ok(())
    }

    /// Makes all messages up to this one as safe as [`Sync`] says. Waits for the disk, together with other threads that do the same. Of
    /// several messages, commit the last.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Failed`]: it is not known whether they are safe, and it will not be before the spool is opened again.
    pub fn commit(&self, seq: u64) -> Result<(), SpoolError> {
        self.check_process()?;
        self.reach(self.level(), seq.saturating_add(1))
    }

    /// Gives all that was appended to the operating system, settlements included: it survives this process.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Failed`].
    pub fn flush(&self) -> Result<(), SpoolError> {
        self.check_process()?;
        self.reach(Level::Written, u64::MAX)
    }

    /// Makes all that was appended survive a power failure, whatever [`Sync`] says.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Failed`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.check_process()?;
        self.reach(Level::Synced, u64::MAX)
    }

    /// All messages below this number are as safe as [`Sync`] says.
    pub fn committed(&self) -> u64 {
        match self.process.is_current() {
            true => self.group.reached().at(self.level()),
            false => 0,
        }
    }

    /// Makes everything safe, and notes that the spool was closed in good order.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Failed`]. The spool is closed nevertheless.
    pub fn close(self) -> Result<(), SpoolError> {
        self.finish()
    }

    fn finish(&self) -> Result<(), SpoolError> {
        if self.settings.read_only {
            return Ok(());
        }
        self.check_writable()?;
        match self.note_behind() {
            // It is as if it had not happened, after a restart.
            Err(error) if error.is_no_room() => {}
            noted => noted?,
        }
        self.reach(self.level(), u64::MAX)?;
        let mut state = self.room(record::padded(24), Need::Log)?;
        let (number, offset) = state.synced;
        let numbers = [self.identity.incarnation, number, offset];
        state.put((Kind::Closed, 0), 0, now(), |out| put_numbers(out, numbers));
        drop(state);
        self.reach(Level::Written, u64::MAX)?;
        // No more is accepted, and dropping it does not do this again.
        lock(&self.state).fault = Some(SpoolError::Closed);
        Ok(())
    }

    /// Closes it, and leaves the handle.
    #[cfg(test)]
    pub(super) fn close_for_test(&self) {
        self.finish().expect("a spool that can be closed");
    }

    /// Messages that are not settled, dead letters included.
    pub fn len(&self) -> u64 {
        self.look(|state| state.index.live)
    }

    /// Whether all messages are settled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of dead letters.
    pub fn dead_count(&self) -> u64 {
        self.look(|state| state.index.dead)
    }

    /// The number that the next message will have, or a lower one.
    pub fn next_seq(&self) -> u64 {
        self.look(|state| state.next_seq)
    }

    /// The numbers of the oldest and of the newest message that is not settled, dead letters included. `None` if all are settled.
    pub fn range(&self) -> Option<RangeInclusive<u64>> {
        self.look(|state| Some(state.index.next_live(0)?..=state.index.last_live()?))
    }

    /// The segments, from the oldest on, without files that are prepared in advance.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Segment| SegmentInfo {
            file: self.path().join(segment.file.name()),
            size: segment.size,
            used: segment.end,
            unsettled: segment.live_count + segment.guests,
        };
        self.look(|state| state.index.segments.iter().map(info).collect())
    }

    /// Bytes in all segments, those prepared in advance included.
    pub fn size(&self) -> u64 {
        self.look(|state| state.bytes)
    }

    /// What opening it has found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// The id of the stream of messages: 16 random bytes that live as long as the folder. With it, the number of a message is unique in
    /// the world. A copy of a folder has the same one: never use both.
    pub fn stream_id(&self) -> [u8; 16] {
        self.identity.stream
    }

    /// How often the spool has been opened to be written to, this time included.
    pub fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    pub(super) fn level(&self) -> Level {
        match self.settings.sync {
            Sync::Os => Level::Written,
            Sync::Disk => Level::Synced,
        }
    }

    pub(super) fn fault(&self) -> SpoolError {
        let fault = lock(&self.state).fault.clone();
        fault.unwrap_or(SpoolError::Closed)
    }

    /// Looks at the state. A forked child does not: another thread may have locked it for ever.
    fn look<T: Default>(&self, look: impl FnOnce(&State) -> T) -> T {
        match self.process.is_current() {
            true => look(&lock(&self.state)),
            false => T::default(),
        }
    }

    pub(super) fn check_process(&self) -> Result<(), SpoolError> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(SpoolError::Forked)
        }
    }

    pub(super) fn check_writable(&self) -> Result<(), SpoolError> {
        self.check_process()?;
        if self.settings.read_only {
            return Err(SpoolError::ReadOnly);
        }
        Ok(())
    }

    /// Where a live message is, with the system, and what is known of it.
    pub(super) fn place(&self, seq: u64) -> Result<Option<(Place, Note)>, SpoolError> {
        self.check_process()?;
        loop {
            {
                let mut state = lock(&self.state);
                let Some(place) = state.index.place(seq) else {
                    return Ok(None);
                };
                if place.to <= place.written {
                    let note = state.index.note_of(seq).cloned().unwrap_or_default();
                    return Ok(Some((place, note)));
                }
            }
            self.flush()?;
        }
    }

    pub(super) fn next_unsettled(&self, from: u64) -> Option<u64> {
        self.look(|state| state.index.next_live(from))
    }

    pub(super) fn next_dead(&self, from: u64) -> Option<u64> {
        self.look(|state| state.index.next_dead(from))
    }

    /// The state, with room for a record of this length. For a message, with the [reserve](Self::reserve) left.
    #[inline]
    pub(super) fn room(&self, len: usize, need: Need) -> Result<MutexGuard<'_, State>, SpoolError> {
        self.check_writable()?;
        loop {
            let mut state = lock(&self.state);
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            let reserve = match need {
                Need::Message => self.reserve(&state),
                _ => 0,
            };
            let wanted = NOTE_LEN + len;
            if state.fits(wanted + reserve) {
                return Ok(state);
            }
            state.reserves |= need == Need::Message;
            // What is reserved may be as large as the segment, if that is a small one.
            if self.roll(&mut state, wanted + reserve, need) && state.fits(wanted) {
                return Ok(state);
            }
            drop(state);
            self.make_room_for((HEADER + wanted + reserve) as u64, need)?;
        }
    }

    /// Prepares a file that a segment can be begun with. Where there is no room, what is needed of old segments is copied, so that they can go.
    #[cold]
    fn make_room_for(&self, size: u64, need: Need) -> Result<(), SpoolError> {
        match self.make_spare(size, need) {
            Err(error) if error.is_no_room() && need != Need::Copy => match self.compact() {
                Ok(true) => Ok(()),
                Ok(false) => Err(error),
                Err(other) if other.is_no_room() => Err(error),
                Err(other) => Err(other),
            },
            made => made,
        }
    }

    /// Numbers of this time must not be given out by a later one that knows of none of them, so this comes before a segment is begun.
    pub(super) fn write_due_identity(&self) -> Result<(), SpoolError> {
        if self.identity_due.load(Ordering::Relaxed) {
            self.identity.write(&*self.disk, &self.settings.path)?;
            self.identity_due.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Room that messages leave for what is to be noted about them when the disk is full.
    #[inline]
    fn reserve(&self, state: &State) -> usize {
        match state.spares.len() < SPARES {
            true => usize::try_from(self.settings.segment_size / 32).unwrap_or(0),
            false => 0,
        }
    }

    /// The state in which there is [room](Self::room) for such a record, with a segment that can hold this time. If there is no room for another segment, the last
    /// one has to do, so that a full disk takes what it took.
    #[inline]
    pub(super) fn in_time<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        record: (usize, Need),
        time: u64,
    ) -> Result<MutexGuard<'a, State>, SpoolError> {
        match state.is_timely(time) {
            true => Ok(state),
            false => self.renew(state, record, time),
        }
    }

    #[cold]
    fn renew<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        (len, need): (usize, Need),
        time: u64,
    ) -> Result<MutexGuard<'a, State>, SpoolError> {
        let reserve = usize::try_from(self.settings.segment_size / 32).unwrap_or(0);
        let wanted = NOTE_LEN + len + reserve;
        if self.roll_at(&mut state, (wanted, need), time) {
            return Ok(state);
        }
        drop(state);
        // Why there is none is told when the last segment is full.
        let _ = self.make_spare((HEADER + wanted) as u64, need);
        let mut state = self.room(len, need)?;
        if !state.is_timely(time) && !self.roll_at(&mut state, (wanted, need), time) {
            state.stay(time);
        }
        Ok(state)
    }

    /// Begins a segment with room for so much, if there is a file for it.
    pub(super) fn roll(&self, state: &mut State, len: usize, need: Need) -> bool {
        self.roll_at(state, (len, need), now())
    }

    /// The same at a time in milliseconds since 1970.
    pub(super) fn roll_at(
        &self,
        state: &mut State,
        (len, need): (usize, Need),
        base_time: u64,
    ) -> bool {
        if self.identity_due.load(Ordering::Relaxed) {
            return false;
        }
        let needed = (HEADER + len) as u64;
        let Some(spare) = state.take_spare(needed, need) else {
            return false;
        };
        state.begins = false;
        let number = state.next_segment;
        let segments = &mut state.index.segments;
        let header = SegmentHeader {
            stream: self.identity.stream,
            number,
            first_seq: state.next_seq,
            previous_end: segments.back().map_or(0, |last| last.end),
            oldest: segments.front().map_or(number, |first| first.file.number),
            base_time,
            size: spare.size,
            fresh: spare.fresh,
            allocated: spare.allocated,
        };
        let file = Arc::new(SegmentFile {
            number,
            seed: seed(&self.identity.stream, number),
            base_time,
            file: spare.file,
            spare_name: Some(spare.name),
            recycled: !spare.fresh,
        });
        segments.push_back(Segment::new(Arc::clone(&file), spare.size, state.next_seq));
        state.next_segment += 1;
        let mut bytes = state.buffers.pop().unwrap_or_default();
        bytes.extend_from_slice(&header.encode());
        state.chunks.push(Chunk { file, at: 0, bytes });
        true
    }
}

impl fmt::Debug for OpenSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpool")
            .field("settings", &self.settings)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

impl Drop for OpenSpool {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // A thread of the parent may have been changing any of this at the fork, so that it cannot be dropped here.
            std::mem::forget(Arc::clone(&self.group));
            std::mem::forget(Arc::clone(&self.state));
            std::mem::forget(Arc::clone(&self.maker));
            return;
        }
        // There is nobody to tell.
        let _ = self.finish();
    }
}

/// Whether there are records for messages of this length.
fn check_len(len: usize) -> Result<(), SpoolError> {
    match len > u32::MAX as usize - 4096 {
        true => Err(SpoolError::TooLarge { size: len as u64 }),
        false => Ok(()),
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn now() -> u64 {
    millis(SystemTime::now())
}
