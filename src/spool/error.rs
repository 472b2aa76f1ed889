//! What can go wrong with a spool.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::monitor::IoFailure;

/// Why a spool could not be opened, or could not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolError {
    /// The system refused something.
    Io {
        /// What was being done, as in "open" or "read".
        action: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// What the system said.
        cause: IoFailure,
    },
    /// There is no room for another segment: the disk is full. Nothing of the message was kept, and it may be appended again
    /// when there is room. Settling frees segments.
    Full {
        /// The folder of the spool.
        path: PathBuf,
        /// What the system said.
        cause: IoFailure,
    },
    /// The spool is as large as it may become ([`Spool::limit`](super::Spool::limit)). Nothing of the message was kept.
    Limit {
        /// The limit in bytes.
        limit: u64,
    },
    /// Another process, or another handle of this one, has the spool open.
    Locked {
        /// The folder of the spool.
        path: PathBuf,
    },
    /// What was on the disk before is not as it was written. Nothing was changed: restore the file from a backup, or open the
    /// spool with [`Spool::salvage`](super::Spool::salvage), which goes on without what cannot be read.
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The spool was written by a later version of this library, which this one cannot read.
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// The folder holds something else, or the spool of a socket of another type. Nothing in it was changed.
    NotASpool {
        /// The file or folder.
        path: PathBuf,
        /// What is there instead.
        what: &'static str,
    },
    /// A write or a sync has failed before. What the disk holds of the messages that were not durable by then is unknown, so that nothing
    /// more is accepted, and nothing more is said to be durable. Opening the spool again finds out.
    Failed {
        /// The file that was written or synced.
        path: PathBuf,
        /// What the system said.
        cause: IoFailure,
    },
    /// There is no such message: it was settled, or there never was one of this number.
    NoSuchMessage {
        /// The number that was asked for.
        seq: u64,
    },
    /// A message of more than 4 GiB does not fit into a record.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The spool was opened only to be looked at ([`Spool::read_only`](super::Spool::read_only)).
    ReadOnly,
    /// The spool is being closed.
    Closed,
    /// The spool was opened by the process that this one was forked from, and belongs to that one.
    Forked,
}

impl SpoolError {
    pub(super) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
        error: &io::Error,
    ) -> SpoolError {
        SpoolError::Io {
            action,
            path: path.as_ref().to_owned(),
            cause: error.into(),
        }
    }

    /// Why a new segment could not be made.
    /// There is no room, and may be again.
    pub(crate) fn is_no_room(&self) -> bool {
        matches!(self, SpoolError::Full { .. } | SpoolError::Limit { .. })
    }

    pub(super) fn no_room(action: &'static str, path: &Path, error: &io::Error) -> SpoolError {
        let kinds = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ];
        if kinds.contains(&error.kind()) {
            SpoolError::Full {
                path: path.to_owned(),
                cause: error.into(),
            }
        } else {
            SpoolError::io(action, path, error)
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Io { action, path, cause } => {
                write!(f, "cannot {action} {}: {cause}", path.display())
            }
            SpoolError::Full { path, cause } => write!(
                f,
                "no room for another segment in {}: {cause}; settling messages frees segments",
                path.display()
            ),
            SpoolError::Limit { limit } => write!(
                f,
                "the spool has reached its limit of {limit} bytes; settling messages frees segments"
            ),
            SpoolError::Locked { path } => write!(
                f,
                "{} is in use by another process, or opened twice in this one",
                path.display()
            ),
            SpoolError::Corrupt { file, offset, what } => write!(
                f,
                "{} is damaged at byte {offset}: {what}; nothing was changed, restore the file or open the spool with salvage",
                file.display()
            ),
            SpoolError::Newer { file, version } => write!(
                f,
                "{} has version {version} of the format, this library reads version {}",
                file.display(),
                super::VERSION
            ),
            SpoolError::NotASpool { path, what } => {
                write!(f, "{} is no spool for this: {what}", path.display())
            }
            SpoolError::Failed { path, cause } => write!(
                f,
                "writing to {} has failed: {cause}; what was not durable before may be lost, open the spool again",
                path.display()
            ),
            SpoolError::NoSuchMessage { seq } => {
                write!(f, "the spool holds no message with the number {seq}")
            }
            SpoolError::TooLarge { size } => write!(
                f,
                "a message of {size} bytes is too large for a spool, which takes less than 4 GiB"
            ),
            SpoolError::ReadOnly => f.write_str("the spool was opened to be read only"),
            SpoolError::Closed => f.write_str("the spool is closed"),
            SpoolError::Forked => f.write_str(
                "the spool belongs to the process that this one was forked from; open another one here",
            ),
        }
    }
}

impl Error for SpoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpoolError::Io { cause, .. }
            | SpoolError::Full { cause, .. }
            | SpoolError::Failed { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
