//! Opens a spool: from what is in its folder to one that can be written to.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::commit::{GroupCommit, Reached};
use super::disk::Disk;
use super::error::SpoolError;
use super::identity::{self, Identity};
use super::index::Index;
use super::latest::Latest;
use super::record::{self, Kind, put_numbers};
use super::recover::{LOCK, Loaded, load};
use super::segment::{HEADER, SegmentHeader};
use super::settings::{Spool, Sync};
use super::state::{Need, State};
use super::store::{NOTE_LEN, OpenSpool, Recovery, now};
use super::writing::{One, SPARES, Spare, Writer};
use crate::process::Process;
use crate::sync::lock;

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
            group: Arc::new(GroupCommit::new(Writer::default(), Reached::default())),
            state: Arc::new(Mutex::new(State::new(Index::default(), 0, 0, (0, 0)))),
            maker: Arc::default(),
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
            self.state = Arc::new(Mutex::new(state));
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
        self.group = Arc::new(GroupCommit::new(Writer::new(unsynced), reached));
        self.state = Arc::new(Mutex::new(state));
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
