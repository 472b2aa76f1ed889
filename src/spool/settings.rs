//! How a spool is opened.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Folder};
use super::error::SpoolError;
use super::store::OpenSpool;
use super::volatile::Volatile;

/// What a committed message survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sync {
    /// The end of the process, by whatever cause: messages are with the operating system, which writes them to the disk when it sees
    /// fit, mostly within half a minute.
    Os,
    /// Also a power failure: messages are on the disk (`fdatasync`), as far as the disk tells the truth.
    #[default]
    Disk,
}

impl Sync {
    fn name(self) -> &'static str {
        match self {
            Sync::Os => "os",
            Sync::Disk => "disk",
        }
    }

    fn from_name(name: &str) -> Option<Sync> {
        [Sync::Os, Sync::Disk]
            .into_iter()
            .find(|sync| sync.name() == name)
    }
}

/// Where a spool is, and how it is to be opened.
///
/// ```
/// use zerohop::spool::{Spool, Sync};
///
/// let spool = Spool::at("orders.spool").sync(Sync::Os).limit(10 << 30);
/// # let _ = spool;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    pub(super) path: PathBuf,
    pub(super) sync: Sync,
    pub(super) segment_size: u64,
    pub(super) limit: Option<u64>,
    pub(super) salvage: bool,
    pub(super) read_only: bool,
    /// So many messages of each topic are kept: only of logs.
    pub(super) keep_last: Option<u64>,
}

/// The smallest segment.
const SEGMENT_MIN: u64 = 4096;

/// The largest segment: offsets in it are kept in 32 bits, in units of 8 bytes, and so are the numbers of its messages.
const SEGMENT_MAX: u64 = 4 << 30;

impl Spool {
    /// A spool in this folder, which is made if it is not there, for this user alone (0700); one that is there keeps its permissions. It is for spools alone: one with
    /// other files in it is refused. Nothing in it is encrypted.
    pub fn at(path: impl AsRef<Path>) -> Spool {
        Spool {
            path: path.as_ref().to_owned(),
            sync: Sync::default(),
            segment_size: 64 << 20,
            limit: None,
            salvage: false,
            read_only: false,
            keep_last: None,
        }
    }

    /// What committed messages survive. By default [`Sync::Disk`].
    #[must_use]
    pub fn sync(mut self, sync: Sync) -> Spool {
        self.sync = sync;
        self
    }

    /// The size of new segments in bytes, by default 64 MiB; from 4 KiB to 4 GiB, in steps of 4 KiB (others are rounded). A longer message gets a segment
    /// of its own. Room is given back, or used again, a segment at a time.
    #[must_use]
    pub fn segment_size(mut self, bytes: u64) -> Spool {
        self.segment_size = bytes.clamp(SEGMENT_MIN, SEGMENT_MAX).next_multiple_of(4096);
        self
    }

    /// The most bytes that all segments together may take, those prepared in advance included. By default there is no limit but the
    /// disk's. When it is reached, appending fails with [`SpoolError::Limit`] until messages have been settled. Segments are a quarter of it at the most,
    /// and one of them is kept for what is noted of messages. It may be exceeded by one segment, while messages are copied so that
    /// others can go, or after a crash.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Spool {
        self.limit = Some(bytes);
        self
    }

    /// Segments are a quarter of the limit at the most: some are in use while others are emptied.
    pub(super) fn with_segments_within_limit(mut self) -> Spool {
        if let Some(limit) = self.limit {
            let quarter = (limit / 4 / 4096 * 4096).max(SEGMENT_MIN);
            self.segment_size = self.segment_size.min(quarter);
        }
        self
    }

    /// Whether to go on without what cannot be read, instead of failing with [`SpoolError::Corrupt`]. By default not.
    /// [`Recovery::damage`](super::Recovery::damage) tells what is missing.
    #[must_use]
    pub fn salvage(mut self, salvage: bool) -> Spool {
        self.salvage = salvage;
        self
    }

    /// Whether only to look: nothing in the folder is changed, and whatever would change it fails. By default not.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Spool {
        self.read_only = read_only;
        self
    }

    /// What differs from the defaults, by name, the folder last.
    pub(crate) fn parts(&self) -> Vec<(&'static str, String)> {
        let plain = Spool::at(&self.path);
        let mut parts = Vec::new();
        if self.sync != plain.sync {
            parts.push(("sync", self.sync.name().to_owned()));
        }
        if self.segment_size != plain.segment_size {
            parts.push(("segment_size", self.segment_size.to_string()));
        }
        if let Some(limit) = self.limit {
            parts.push(("spool_limit", limit.to_string()));
        }
        if self.salvage {
            parts.push(("salvage", "true".to_owned()));
        }
        parts.push(("spool", self.path.display().to_string()));
        parts
    }

    /// Sets what [`parts`](Spool::parts) gives. `None`: there is no such thing, or it has no such value.
    pub(crate) fn with_part(self, name: &str, value: &str) -> Option<Spool> {
        Some(match name {
            "sync" => self.sync(Sync::from_name(value)?),
            "segment_size" => self.segment_size(value.parse().ok()?),
            "spool_limit" => self.limit(value.parse().ok()?),
            "salvage" => self.salvage(value.parse().ok()?),
            _ => return None,
        })
    }

    /// Keeps the newest messages of each topic alone. It is for logs, whose messages nobody settles.
    #[must_use]
    pub(crate) fn keep_last(mut self, count: Option<u64>) -> Spool {
        self.keep_last = count;
        self
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn has_path(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// Opens it, and keeps everybody else from doing so for as long as it is open.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Locked`], [`SpoolError::NotASpool`], [`SpoolError::Newer`], [`SpoolError::Corrupt`], [`SpoolError::Full`] or
    /// [`SpoolError::Io`]. But for the last two the folder is then as it was.
    pub fn open(&self) -> Result<OpenSpool, SpoolError> {
        if !self.read_only {
            self.make_folder()
                .map_err(|error| SpoolError::no_room("make", &self.path, &error))?;
        }
        self.open_on(Box::new(Folder::new(&self.path)))
    }

    /// One in memory, which ends with the process.
    pub(crate) fn open_in_memory(&self) -> Result<OpenSpool, SpoolError> {
        self.open_on(Box::new(Volatile::default()))
    }

    /// Makes the folder, so that it survives a crash: for this user alone, as what messages say is nobody else's business.
    fn make_folder(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
        if let Some(parent) = parent {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            // Somebody else has made it meanwhile.
            Err(_) if self.path.is_dir() => {}
            made => made?,
        }
        match parent {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The same on another disk.
    pub(crate) fn open_on(&self, disk: Box<dyn Disk>) -> Result<OpenSpool, SpoolError> {
        OpenSpool::open(self.clone(), disk)
    }
}
