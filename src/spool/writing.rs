//! What is done to files while a spool is open, all of it without the state lock: what the leader of a group writes and syncs, segments that are
//! prepared in advance, and those that are no longer needed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::commit::{Lead, Level, Reached, Turn};
use super::disk::DiskFile;
use super::error::SpoolError;
use super::index::Segment;
use super::segment::SegmentFile;
use super::settings::Sync;
use super::state::{Chunk, Need};
use super::store::OpenSpool;
use crate::sync::lock;

/// So many files are kept to be used again: one for messages, and one for what is noted of them.
pub(super) const SPARES: usize = 2;

/// Zeros are written in pieces of this size.
const PIECE: usize = 256 * 1024;

/// What can wait does not try to prepare a file for so long after that has failed: on a full disk, it is mostly filled before that is known.
const TRY_AFTER: Duration = Duration::from_millis(100);

/// After a file could not be prepared in advance, it is tried again after so many commits.
const PAUSE: u32 = 1000;

/// How far a leader takes what has been appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Written,
    /// Written, and on its way to the disk.
    Begun,
    Synced,
}

impl From<Level> for Goal {
    fn from(level: Level) -> Goal {
        match level {
            Level::Written => Goal::Written,
            Level::Synced => Goal::Synced,
        }
    }
}

/// What the leader of a group needs.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Files that have been written to since they were last synced.
    unsynced: Vec<Weak<SegmentFile>>,
}

/// A file that may become a segment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) name: String,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) size: u64,
    /// It holds nothing but zeros.
    pub(super) fresh: bool,
    /// Its length is on the disk.
    pub(super) allocated: bool,
}

/// Prepares spares. Its lock is held while a file is filled, and taken by nobody else but who needs that file.
#[derive(Debug, Default)]
pub(super) struct Maker {
    names: u64,
    making: Option<Making>,
    pause: u32,
    /// When a file could not be prepared, and why.
    failed: Option<(Instant, SpoolError)>,
}

#[derive(Debug)]
struct Making {
    name: String,
    file: Box<dyn DiskFile>,
    size: u64,
    filled: u64,
}

impl OpenSpool {
    /// Makes sure that all messages below `target` are as safe as that, together with others that want the same.
    pub(super) fn reach(&self, level: Level, target: u64) -> Result<(), SpoolError> {
        match self.group.join(level, target) {
            Turn::Reached => Ok(()),
            Turn::Failed => Err(self.fault()),
            Turn::Lead(lead) => self.write_out(lead, level.into()),
        }
    }

    /// Where messages are to be on the disk, this writes what has been appended, and has the system begin to bring it there, so that the caller can do something
    /// else before it [commits](Self::commit). If another thread is just writing, that one or the commit sees to it.
    pub(crate) fn begin_commit(&self) {
        if self.settings.sync == Sync::Disk
            && self.check_writable().is_ok()
            && let Some(lead) = self.group.try_lead()
        {
            // An error stays, and the commit tells of it.
            let _ = self.write_out(lead, Goal::Begun);
        }
    }

    /// Writes what has been appended, for all.
    fn write_out(&self, mut lead: Lead<'_, Writer>, goal: Goal) -> Result<(), SpoolError> {
        let (chunks, upto, end) = {
            let mut state = lock(&self.state);
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            let chunks = state.take_chunks();
            (chunks, state.next_seq, state.end())
        };
        let result = match lead.writer() {
            Some(writer) => self.write_chunks(writer, &chunks, goal),
            None => Ok(()),
        };
        let mut state = lock(&self.state);
        if let Err(fault) = result {
            state.fault = Some(fault.clone());
            drop(state);
            // The lead is dropped, so that all others are told.
            return Err(fault);
        }
        let synced = goal == Goal::Synced;
        state.written(chunks);
        if synced {
            state.synced = end;
        }
        // What has only begun is not to be kept waiting by that.
        let used = state.wants_spare().filter(|_| goal != Goal::Begun);
        drop(state);
        lead.finish(Reached {
            written: upto,
            synced: if synced { upto } else { 0 },
        });
        if let Some((used, prepared)) = used {
            self.prepare(used, prepared);
        }
        Ok(())
    }

    fn write_chunks(
        &self,
        writer: &mut Writer,
        chunks: &[Chunk],
        goal: Goal,
    ) -> Result<(), SpoolError> {
        for chunk in chunks {
            let name = chunk.file.name();
            if let Some(spare) = chunk.file.spare_name.as_ref().filter(|_| chunk.at == 0) {
                let to_disk = self.settings.sync == Sync::Disk;
                let renamed = self.disk.rename(spare, &name).and_then(|()| {
                    // What a file holds belongs to its name. Before it is overwritten, the old name must be gone for good, or after a
                    // crash an older segment would be there without the settlements in this one.
                    if to_disk || chunk.file.recycled {
                        return self.disk.sync();
                    }
                    self.folder_changed.store(true, Ordering::Release);
                    Ok(())
                });
                renamed.map_err(|error| self.failed(&name, &error))?;
            }
            let written = chunk.file.file.write_at(&chunk.bytes, chunk.at);
            written.map_err(|error| self.failed(&name, &error))?;
            writer.note(&chunk.file);
            if goal == Goal::Begun {
                let len = chunk.bytes.len() as u64;
                chunk.file.file.begin_sync(chunk.at, len);
            }
        }
        if goal == Goal::Synced {
            for file in writer.unsynced.drain(..).filter_map(|file| file.upgrade()) {
                let synced = file.file.sync();
                synced.map_err(|error| self.failed(&file.name(), &error))?;
            }
            if self.folder_changed.swap(false, Ordering::AcqRel) {
                self.disk.sync().map_err(|error| self.failed("", &error))?;
            }
        }
        Ok(())
    }

    fn failed(&self, name: &str, error: &io::Error) -> SpoolError {
        SpoolError::Failed {
            path: self.path().join(name),
            cause: error.into(),
        }
    }

    /// Goes on preparing the next segment, in step with the use of this one, so that no caller has to wait for the whole of it. In the first half of
    /// this one, the first of two is filled, if there is none yet.
    fn prepare(&self, used: u64, prepared: u64) {
        let Ok(mut maker) = self.maker.try_lock() else {
            return;
        };
        if maker.pause > 0 {
            maker.pause -= 1;
            return;
        }
        let size = self.settings.segment_size;
        let slice = (size / 64).max(4096);
        let both = used.saturating_add(slice).saturating_mul(2);
        let upto = both.saturating_sub(prepared.saturating_mul(size));
        let upto = upto.next_multiple_of(slice).min(size);
        if upto == 0 {
            return;
        }
        // Mostly it is so far already, and a sync takes its time also where there is nothing to do.
        let making = maker.making.as_ref();
        if making.is_some_and(|making| making.size == size && making.filled >= upto) {
            return;
        }
        if self.fill(&mut maker, size, upto, Need::Message).is_err() {
            // Whoever needs the segment will be told.
            maker.pause = PAUSE;
        }
    }

    /// Makes a file for a segment of this size, unless there is one; and the one that is kept for others, where that is missing.
    pub(super) fn make_spare(&self, size: u64, need: Need) -> Result<(), SpoolError> {
        let mut maker = lock(&self.maker);
        self.write_due_identity()?;
        let usual = self.settings.segment_size;
        let size = size.max(usual);
        loop {
            let missing = {
                let state = lock(&self.state);
                if state.has_spare(size, need) {
                    return Ok(());
                }
                match state.has_spare(size, Need::Copy) {
                    true => usual,
                    false => size,
                }
            };
            if need == Need::Change
                && let Some((when, error)) = &maker.failed
                && when.elapsed() < TRY_AFTER
            {
                return Err(error.clone());
            }
            self.fill(&mut maker, missing, missing, need)?;
        }
    }

    /// Fills the file that is being prepared so far.
    fn fill(&self, maker: &mut Maker, size: u64, upto: u64, need: Need) -> Result<(), SpoolError> {
        let filled = self.try_fill(maker, size, upto, need);
        let failed = filled.as_ref().err();
        maker.failed = failed.map(|error| (Instant::now(), error.clone()));
        if filled.is_err()
            && let Some(making) = maker.making.take()
        {
            // Half a file is of no use to anybody. What cannot be removed now is when the spool is next opened.
            let _ = self.disk.remove(&making.name);
        }
        filled
    }

    fn try_fill(
        &self,
        maker: &mut Maker,
        size: u64,
        upto: u64,
        need: Need,
    ) -> Result<(), SpoolError> {
        if let Some(limit) = self.settings.limit
            && need != Need::Copy
            && lock(&self.state).held_bytes().saturating_add(size) > limit
        {
            return Err(SpoolError::Limit { limit });
        }
        if let Some(other) = maker.making.take_if(|making| making.size != size) {
            let _ = self.disk.remove(&other.name);
        }
        let no_room = |error| SpoolError::no_room("prepare a segment in", self.path(), &error);
        let mut making = match maker.making.take() {
            Some(making) => making,
            None => {
                maker.names += 1;
                let name = format!("new-{:016x}-{}", self.incarnation(), maker.names);
                Making {
                    file: self.disk.create(&name).map_err(no_room)?,
                    name,
                    size,
                    filled: 0,
                }
            }
        };
        let zeros = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
        let to_disk = self.settings.sync == Sync::Disk;
        let filling = || -> io::Result<()> {
            while making.filled < upto {
                let piece = (upto - making.filled).min(zeros.len() as u64);
                making
                    .file
                    .write_at(&zeros[..piece as usize], making.filled)?;
                making.filled += piece;
            }
            if to_disk {
                making.file.sync()?;
            }
            Ok(())
        };
        let mut filling = filling;
        if let Err(error) = filling() {
            maker.making = Some(making);
            return Err(no_room(error));
        }
        if making.filled < size {
            maker.making = Some(making);
            return Ok(());
        }
        let name = making.name.replacen("new-", "spare-", 1);
        if let Err(error) = self.disk.rename(&making.name, &name) {
            maker.making = Some(making);
            return Err(no_room(error));
        }
        let mut state = lock(&self.state);
        state.bytes += size;
        state.spares.push(Spare {
            name,
            file: making.file,
            size,
            fresh: true,
            allocated: to_disk,
        });
        Ok(())
    }

    /// Gives up the segments that nothing is needed of any more, from the oldest on.
    pub(super) fn trim(&self) {
        let trimmed = {
            let mut state = lock(&self.state);
            // Of what another message took the place of, it is not known here whether that one is safe.
            if self.settings.read_only || state.latest.is_some() {
                return;
            }
            state.index.trim(u64::MAX)
        };
        self.give_up(trimmed);
    }

    pub(super) fn give_up(&self, segments: Vec<Segment>) {
        for segment in segments {
            self.release(segment);
        }
    }

    fn release(&self, segment: Segment) {
        let (name, number) = (segment.file.name(), segment.file.number);
        let size = segment.size;
        // Who still reads it keeps the file, which then is no longer in the folder.
        let file = Arc::into_inner(segment.file).filter(|_| {
            let state = lock(&self.state);
            let within = self.settings.limit.is_none_or(|limit| state.bytes <= limit);
            size == self.settings.segment_size && state.spares.len() < SPARES && within
        });
        let spare = format!("spare-{:016x}-of-{number:016x}", self.incarnation());
        let kept = file.is_some() && self.disk.rename(&name, &spare).is_ok();
        if !kept {
            // What cannot be removed now is when the spool is next opened.
            let _ = self.disk.remove(&name);
        }
        // An older segment must not come back without the settlements in a later one.
        if self.settings.sync == Sync::Os || self.disk.sync().is_err() {
            self.folder_changed.store(true, Ordering::Release);
        }
        let mut state = lock(&self.state);
        match file.filter(|_| kept) {
            Some(file) => state.spares.push(Spare {
                name: spare,
                file: file.file,
                size,
                fresh: false,
                allocated: self.settings.sync == Sync::Disk,
            }),
            None => state.bytes = state.bytes.saturating_sub(size),
        }
    }
}

impl Writer {
    /// When these files may have been written to without being synced.
    pub(super) fn new(unsynced: Vec<Weak<SegmentFile>>) -> Writer {
        Writer { unsynced }
    }

    fn note(&mut self, file: &Arc<SegmentFile>) {
        let file = Arc::downgrade(file);
        if !self.unsynced.last().is_some_and(|last| last.ptr_eq(&file)) {
            // Where nobody syncs, those that are gone must not pile up.
            self.unsynced.retain(|file| file.strong_count() > 0);
            self.unsynced.push(file);
        }
    }
}

/// Lets one thread at a time do something, and the others pass by.
#[derive(Debug, Default)]
pub(super) struct One(AtomicBool);

impl One {
    pub(super) fn enter(&self) -> Option<impl Drop + '_> {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        (!self.0.swap(true, Ordering::Acquire)).then(|| Leave(&self.0))
    }
}
