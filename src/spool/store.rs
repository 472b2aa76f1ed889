//! An open spool: appends, settles, and knows what became of each message.

use std::fmt::{self, Debug};
use std::mem;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::commit::{GroupCommit, Level, Reached};
use super::disk::Disk;
use super::error::SpoolError;
use super::identity::{self, Identity};
use super::index::{Index, Place, Segment};
use super::latest::Latest;
use super::record::{self, Kind, Note, message_flags, message_len, put_message, put_numbers};
use super::recover::{Damage, LOCK, Loaded, load};
use super::segment::{HEADER, SegmentFile, SegmentHeader, seed};
use super::settings::{Spool, Sync};
use super::state::{Chunk, Need, State};
use super::writing::{Maker, One, SPARES, Spare, Writer};
use crate::Payload;
use crate::process::Process;
use crate::sync::lock;

/// More than this is not kept in memory: who appends it writes it.
pub(super) const PENDING_MAX: usize = 1 << 20;

/// The record that says what is on the disk.
pub(super) const NOTE_LEN: usize = record::HEADER + 16;

/// An open spool: see [the module](crate::spool). It may be used by several threads at once.
///
/// Dropping it closes it, as [`close`](OpenSpool::close) does, but tells of no error.
pub struct OpenSpool {
    pub(super) settings: Spool,
    pub(super) disk: Box<dyn Disk>,
    pub(super) group: GroupCommit<Writer>,
    pub(super) state: Mutex<State>,
    pub(super) maker: Mutex<Maker>,
    pub(super) compacting: One,
    /// The file `spool.id` does not say yet that the spool has been opened once more, as there was no room for that.
    identity_due: AtomicBool,
    /// Files have been made, renamed or removed since the folder was last synced.
    pub(super) folder_changed: AtomicBool,
    identity: Identity,
    process: Process,
    recovery: Recovery,
    /// Given back last.
    _lock: Box<dyn Debug + Send + std::marker::Sync>,
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
    /// Opens the spool on this disk.
    pub(super) fn open(settings: Spool, disk: Box<dyn Disk>) -> Result<OpenSpool, SpoolError> {
        let begun = Instant::now();
        let settings = settings.with_segments_within_limit();
        let folder = settings.path.clone();
        let io = |action| {
            let folder = folder.clone();
            move |error| SpoolError::io(action, &folder, &error)
        };
        // Nothing is put into a folder of somebody else.
        if Identity::read(&*disk, &folder)?.is_none() {
            let names = disk.list().map_err(io("list"))?;
            let ours = |name: &String| name == LOCK || name == identity::NEW_NAME;
            if settings.read_only || !names.iter().all(ours) {
                return Err(SpoolError::NotASpool {
                    path: folder,
                    what: "it has no file spool.id",
                });
            }
        }
        let locked = disk.lock(LOCK, !settings.read_only).map_err(io("lock"))?;
        let Some(lock) = locked else {
            return Err(SpoolError::Locked { path: folder });
        };
        let loaded = load(&*disk, &settings)?;
        let mut loaded = match loaded {
            Some(loaded) => loaded,
            None => Loaded::new(
                Identity::new(now()).map_err(io("make"))?,
                settings.keep_last,
            ),
        };
        let recovery = Recovery {
            clean: loaded.clean,
            damage: mem::take(&mut loaded.damage),
            segments: loaded.index.segments.len(),
            records: loaded.records,
            unsettled: loaded.index.live,
            dead: loaded.index.dead,
            elapsed: Duration::ZERO,
        };
        let mut spool = OpenSpool {
            disk,
            group: GroupCommit::new(Writer::default(), Reached::default()),
            state: Mutex::new(State::new(Index::default(), 0, 0, (0, 0))),
            maker: Mutex::default(),
            compacting: One::default(),
            identity_due: AtomicBool::new(false),
            folder_changed: AtomicBool::new(true),
            identity: loaded.identity,
            process: Process::current(),
            recovery,
            settings,
            _lock: lock,
        };
        spool.start(loaded)?;
        spool.recovery.elapsed = begun.elapsed();
        Ok(spool)
    }

    /// From what was found to a spool that can be written to.
    fn start(&mut self, mut loaded: Loaded) -> Result<(), SpoolError> {
        if self.settings.read_only {
            let bytes = loaded.index.size();
            let (end, next) = (loaded.end, loaded.next_seq);
            let last = loaded
                .index
                .segments
                .back()
                .map_or(0, |last| last.file.number);
            let mut state = State::new(loaded.index, next, loaded.next_segment, (last, end));
            state.latest = loaded.latest;
            state.bytes = bytes;
            self.state = Mutex::new(state);
            return Ok(());
        }
        let first_time = loaded.index.segments.is_empty() && loaded.identity.incarnation == 0;
        loaded.identity.incarnation += 1;
        self.identity = loaded.identity;
        match self.identity.write(&*self.disk, &self.settings.path) {
            // What it holds can be delivered all the same, which makes room.
            Err(SpoolError::Full { .. }) if !first_time => {
                self.identity_due.store(true, Ordering::Relaxed);
            }
            written => written?,
        }
        if !loaded.clean && !first_time {
            // Numbers that may have been given out and seen by others, though no trace of them is left, are not given out again.
            let epoch = (loaded.next_seq >> 32).max(loaded.identity.incarnation - 1) + 1;
            if let Some(latest) = &mut loaded.latest {
                latest.lose(loaded.next_seq, (epoch << 32) - 1);
            }
            loaded.next_seq = epoch << 32;
        }
        if self.settings.sync == Sync::Disk {
            self.write_again(&loaded)?;
        }
        if !loaded.clean {
            self.shrink(&mut loaded)?;
        }
        let last = loaded.index.segments.back();
        let end = last.map_or((0, 0), |last| (last.file.number, last.end));
        let synced = match self.settings.sync {
            Sync::Disk => end,
            Sync::Os => loaded.synced,
        };
        // What a process before has written is to be synced with what this one writes.
        let segments = loaded.index.segments.iter();
        let unsynced = match self.settings.sync {
            Sync::Disk => Vec::new(),
            Sync::Os => segments
                .map(|segment| Arc::downgrade(&segment.file))
                .collect(),
        };
        let mut state = State::new(loaded.index, loaded.next_seq, loaded.next_segment, synced);
        state.latest = loaded.latest;
        state.noted = loaded.synced;
        state.bytes = state.index.size();
        state.spares = self.spares(loaded.leftovers, loaded.clean);
        state.bytes += state.spares.iter().map(|spare| spare.size).sum::<u64>();
        let reached = Reached {
            written: loaded.next_seq,
            synced: match self.settings.sync {
                Sync::Disk => loaded.next_seq,
                Sync::Os => 0,
            },
        };
        self.group = GroupCommit::new(Writer::new(unsynced), reached);
        self.state = Mutex::new(state);
        if !loaded.clean {
            match self.begin_segment(&loaded.holes) {
                // The first that is to be noted, or appended, begins it.
                Err(SpoolError::Full { .. }) if loaded.holes.is_empty() => {
                    lock(&self.state).begins = true;
                }
                begun => begun?,
            }
        }
        self.trim();
        Ok(())
    }

    /// What is not known to be on the disk is written to it once more. The system may believe that it is there already: after a sync has failed, it
    /// forgets what it could not write.
    fn write_again(&self, loaded: &Loaded) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        let (number, offset) = loaded.synced;
        for segment in &loaded.index.segments {
            let file = &segment.file;
            let from = match file.number {
                n if n < number => continue,
                n if n == number => offset,
                _ => 0,
            };
            let len = segment.end.min(segment.size).saturating_sub(from);
            buffer.resize(usize::try_from(len).unwrap_or(0), 0);
            let written = file.file.read_at(&mut buffer, from).and_then(|read| {
                file.file.write_at(&buffer[..read], from)?;
                file.file.sync()
            });
            let path = self.settings.path.join(file.name());
            written.map_err(|error| SpoolError::io("write", path, &error))?;
        }
        self.disk
            .sync()
            .map_err(|error| SpoolError::io("sync", &self.settings.path, &error))
    }

    /// Cuts the last segment behind its last record: no more is written to it.
    fn shrink(&self, loaded: &mut Loaded) -> Result<(), SpoolError> {
        let (Some(last), Some(header)) = (loaded.index.segments.back_mut(), loaded.last_header)
        else {
            return Ok(());
        };
        let size = last.end.next_multiple_of(4096);
        if size >= last.size {
            return Ok(());
        }
        // Its header says how long it has to be, and so comes first.
        let header = SegmentHeader { size, ..header }.encode();
        let file = &last.file.file;
        let shrunk = file.write_at(&header, 0).and_then(|()| {
            if self.settings.sync == Sync::Disk {
                file.sync()?;
            }
            file.set_len(size)
        });
        let path = self.settings.path.join(last.file.name());
        shrunk.map_err(|error| SpoolError::io("write", path, &error))?;
        last.size = size;
        Ok(())
    }

    /// Sorts what was left over: files that can be used for segments, and others, which are removed. After a crash, a file may hold records of
    /// the segment that is begun next, as it was on its way to become that one; so all are removed.
    fn spares(&self, leftovers: Vec<String>, clean: bool) -> Vec<Spare> {
        let mut spares = Vec::new();
        for name in leftovers {
            let size = self.settings.segment_size;
            let usable = clean && name.starts_with("spare-") && spares.len() < SPARES;
            if usable
                && let Ok(file) = self.disk.open(&name, true)
                && matches!(file.len(), Ok(len) if len == size)
            {
                spares.push(Spare {
                    name,
                    file,
                    size,
                    fresh: false,
                    allocated: false,
                });
            } else {
                // It does no harm if it stays.
                let _ = self.disk.remove(&name);
            }
        }
        spares
    }

    /// Begins a segment, in which the damage that was found is noted, so that it is known from then on.
    fn begin_segment(&self, holes: &[[u64; 3]]) -> Result<(), SpoolError> {
        let len = record::padded(holes.len() * 24);
        self.make_spare((HEADER + NOTE_LEN + len) as u64, Need::Copy)?;
        let mut state = lock(&self.state);
        self.roll(&mut state, NOTE_LEN + len, Need::Copy);
        if !holes.is_empty() {
            state.put((Kind::Holes, 0), 0, now(), |out| {
                put_numbers(out, holes.iter().flatten().copied());
            });
        }
        drop(state);
        let level = self.level();
        self.reach(level, u64::MAX)
    }

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
        self.group.reached().at(self.level())
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
        lock(&self.state).index.live
    }

    /// Whether all messages are settled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of dead letters.
    pub fn dead_count(&self) -> u64 {
        lock(&self.state).index.dead
    }

    /// The number that the next message will have, or a lower one.
    pub fn next_seq(&self) -> u64 {
        lock(&self.state).next_seq
    }

    /// The numbers of the oldest and of the newest message that is not settled, dead letters included. `None` if all are settled.
    pub fn range(&self) -> Option<RangeInclusive<u64>> {
        let state = lock(&self.state);
        Some(state.index.next_live(0)?..=state.index.last_live()?)
    }

    /// The segments, from the oldest on, without files that are prepared in advance.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let state = lock(&self.state);
        let segments = state.index.segments.iter();
        segments
            .map(|segment| SegmentInfo {
                file: self.path().join(segment.file.name()),
                size: segment.size,
                used: segment.end,
                unsettled: segment.live_count + segment.guests,
            })
            .collect()
    }

    /// Bytes in all segments, those prepared in advance included.
    pub fn size(&self) -> u64 {
        lock(&self.state).bytes
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

    /// Whether messages are safe when they are on the disk, and not before.
    pub(crate) fn syncs(&self) -> bool {
        self.settings.sync == Sync::Disk
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

    fn check_process(&self) -> Result<(), SpoolError> {
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
        lock(&self.state).index.next_live(from)
    }

    pub(super) fn next_dead(&self, from: u64) -> Option<u64> {
        lock(&self.state).index.next_dead(from)
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
        // There is nobody to tell.
        let _ = self.finish();
    }
}

impl Loaded {
    /// A new spool.
    fn new(identity: Identity, keep_last: Option<u64>) -> Loaded {
        Loaded {
            identity,
            index: Index::default(),
            latest: keep_last.map(Latest::new),
            next_seq: 1,
            next_segment: 1,
            end: 0,
            synced: (0, 0),
            clean: false,
            damage: Vec::new(),
            holes: Vec::new(),
            last_header: None,
            leftovers: Vec::new(),
            records: 0,
        }
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
