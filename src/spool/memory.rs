//! A disk in memory that crashes, fills up and fails.
//!
//! A crash keeps what was synced, and of what was written since then any sectors. Names are kept in order: a folder that was not synced
//! is as it was at some moment since it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, DiskFile};
use crate::sync::lock;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// A small generator: same seed, same run.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Inner>>);

#[derive(Clone, Debug, Default)]
struct Inner {
    files: BTreeMap<u64, Contents>,
    names: BTreeMap<String, u64>,
    /// The names when the folder was last synced, and after each change since then.
    past: Vec<BTreeMap<String, u64>>,
    next_file: u64,
    locked: bool,
    dead: bool,
    /// Bytes that there is room for.
    room: Option<u64>,
    /// Files have been synced so often.
    syncs: u64,
    /// Bytes that were to be brought to the disk before a sync.
    begun: u64,
    /// So many syncs succeed before one fails.
    fail_sync: Option<u32>,
    fail_write: Option<u32>,
    /// Files are not synced until this is over.
    sync_hangs: bool,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    now: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl MemoryDisk {
    pub(crate) fn new() -> MemoryDisk {
        let disk = MemoryDisk::default();
        lock(&disk.0).past.push(BTreeMap::new());
        disk
    }

    /// The process has been killed: what it has open is of no use, and another one finds all that was written.
    pub(crate) fn kill(&self) -> MemoryDisk {
        let mut inner = lock(&self.0);
        let mut next = inner.clone();
        inner.dead = true;
        next.locked = false;
        MemoryDisk(Arc::new(Mutex::new(next)))
    }

    /// The power has failed.
    pub(crate) fn crash(&self, random: &mut Random) -> MemoryDisk {
        let next = self.kill();
        {
            let mut inner = lock(&next.0);
            let at = random.below(inner.past.len());
            let names = inner.past[at].clone();
            inner.past = vec![names.clone()];
            inner.names = names;
            for file in inner.files.values_mut() {
                file.crash(random);
            }
        }
        next
    }

    /// A handle to the same disk.
    pub(crate) fn boxed(&self) -> Box<dyn Disk> {
        Box::new(self.clone())
    }

    pub(crate) fn room(&self, bytes: Option<u64>) {
        lock(&self.0).room = bytes;
    }

    pub(crate) fn syncs(&self) -> u64 {
        lock(&self.0).syncs
    }

    /// Bytes that were to be brought to the disk before a sync.
    pub(crate) fn begun(&self) -> u64 {
        lock(&self.0).begun
    }

    pub(crate) fn fail_sync(&self, after: Option<u32>) {
        lock(&self.0).fail_sync = after;
    }

    pub(crate) fn fail_write(&self, after: Option<u32>) {
        lock(&self.0).fail_write = after;
    }

    /// Whether syncing a file takes until this is said again.
    pub(crate) fn hang_sync(&self, hangs: bool) {
        lock(&self.0).sync_hangs = hangs;
    }

    /// Flips a bit of a file.
    pub(crate) fn spoil(&self, name: &str, at: usize) {
        let mut inner = lock(&self.0);
        let id = inner.names[name];
        if let Some(byte) = inner
            .files
            .get_mut(&id)
            .and_then(|file| file.now.get_mut(at))
        {
            *byte ^= 1;
        }
    }

    /// The files, sorted by name.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let inner = lock(&self.0);
        let names = inner.names.iter();
        names
            .map(|(name, id)| (name.clone(), inner.files[id].now.clone()))
            .collect()
    }

    /// A disk with these files, all of it synced.
    pub(crate) fn with(files: &[(String, Vec<u8>)]) -> MemoryDisk {
        let disk = MemoryDisk::new();
        {
            let mut inner = lock(&disk.0);
            for (name, bytes) in files {
                let id = inner.next_file;
                inner.next_file += 1;
                let contents = Contents {
                    now: bytes.clone(),
                    synced: bytes.clone(),
                    dirty: BTreeSet::new(),
                };
                inner.files.insert(id, contents);
                inner.names.insert(name.clone(), id);
            }
            inner.past = vec![inner.names.clone()];
        }
        disk
    }
}

impl Contents {
    fn crash(&mut self, random: &mut Random) {
        if self.now.len() != self.synced.len() {
            // Some of the new length, which may be less.
            let (low, high) = (
                self.now.len().min(self.synced.len()),
                self.now.len().max(self.synced.len()),
            );
            let len = low + random.below(high - low + 1);
            self.synced.resize(len, 0);
        }
        let often = 1 + random.below(4);
        for sector in &self.dirty {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(self.now.len()).min(self.synced.len());
            if from < to && !random.one_in(often + 1) {
                self.synced[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        self.dirty.clear();
        self.now = self.synced.clone();
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("this process is dead"));
        }
        Ok(())
    }

    fn changed(&mut self) {
        let names = self.names.clone();
        self.past.push(names);
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn count_down(counter: &mut Option<u32>) -> io::Result<()> {
        match counter {
            Some(0) => Err(io::Error::other("made to fail")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let inner = lock(&self.0);
        inner.alive()?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn DiskFile>> {
        let inner = lock(&self.0);
        inner.alive()?;
        let id = inner.find(name)?;
        Ok(Box::new(MemoryFile(self.clone(), id)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = lock(&self.0);
        inner.alive()?;
        let id = inner.next_file;
        inner.next_file += 1;
        inner.files.insert(id, Contents::default());
        inner.names.insert(name.to_owned(), id);
        inner.changed();
        drop(inner);
        Ok(Box::new(MemoryFile(self.clone(), id)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner.alive()?;
        let id = inner.find(from)?;
        inner.names.remove(from);
        inner.names.insert(to.to_owned(), id);
        inner.changed();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner.alive()?;
        inner.find(name)?;
        inner.names.remove(name);
        inner.changed();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner.alive()?;
        Inner::count_down(&mut inner.fail_sync)?;
        inner.past = vec![inner.names.clone()];
        Ok(())
    }

    fn lock(&self, _name: &str, _: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let mut inner = lock(&self.0);
        inner.alive()?;
        if inner.locked {
            return Ok(None);
        }
        inner.locked = true;
        Ok(Some(Box::new(Held(self.clone()))))
    }
}

#[derive(Debug)]
struct Held(MemoryDisk);

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0.0).locked = false;
    }
}

#[derive(Debug)]
struct MemoryFile(MemoryDisk, u64);

impl MemoryFile {
    fn with<T>(&self, f: impl FnOnce(&mut Inner, u64) -> io::Result<T>) -> io::Result<T> {
        let mut inner = lock(&self.0.0);
        inner.alive()?;
        f(&mut inner, self.1)
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner, id| Ok(inner.files[&id].now.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|inner, id| {
            let from = inner.files[&id].now.get(at as usize..).unwrap_or_default();
            let len = from.len().min(buffer.len());
            buffer[..len].copy_from_slice(&from[..len]);
            Ok(len)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|inner, id| {
            Inner::count_down(&mut inner.fail_write)?;
            let (from, to) = (at as usize, at as usize + bytes.len());
            let used: usize = inner
                .names
                .values()
                .map(|id| inner.files[id].now.len())
                .sum();
            let room = inner.room;
            let file = inner.files.get_mut(&id).expect("an open file");
            let more = to.saturating_sub(file.now.len());
            if more > 0 && room.is_some_and(|room| (used + more) as u64 > room) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            if to > file.now.len() {
                file.now.resize(to, 0);
            }
            file.now[from..to].copy_from_slice(bytes);
            if from < to {
                file.dirty.extend(from / SECTOR..=(to - 1) / SECTOR);
            }
            Ok(())
        })
    }

    fn begin_sync(&self, _at: u64, len: u64) {
        lock(&self.0.0).begun += len;
    }

    fn sync(&self) -> io::Result<()> {
        while lock(&self.0.0).sync_hangs {
            std::thread::yield_now();
        }
        self.with(|inner, id| {
            inner.syncs += 1;
            let failed = Inner::count_down(&mut inner.fail_sync);
            let file = inner.files.get_mut(&id).expect("an open file");
            // What could not be written is forgotten, and looks written from then on.
            let dirty = std::mem::take(&mut file.dirty);
            failed?;
            file.synced.resize(file.now.len(), 0);
            for sector in dirty {
                let from = sector * SECTOR;
                let to = (from + SECTOR).min(file.now.len());
                if from < to {
                    file.synced[from..to].copy_from_slice(&file.now[from..to]);
                }
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|inner, id| {
            let file = inner.files.get_mut(&id).expect("an open file");
            file.now.resize(len as usize, 0);
            Ok(())
        })
    }
}
