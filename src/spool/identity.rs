//! The file that makes a folder a spool: which stream it is, and how often it was opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::disk::Disk;
use super::error::SpoolError;
use super::record::{chunk_at, u64_at};
use super::segment::{BadHeader, StreamId, check, seal};

/// The file.
pub(crate) const NAME: &str = "spool.id";

/// The file while it is being replaced.
pub(crate) const NEW_NAME: &str = "spool.id.new";

const MAGIC: [u8; 8] = *b"ZHSPOOL\n";

const LEN: usize = 64;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) stream: StreamId,
    /// How often the spool had been opened before this time.
    pub(crate) incarnation: u64,
    /// In milliseconds since 1970.
    pub(crate) created: u64,
}

impl Identity {
    /// That of a new spool.
    pub(crate) fn new(created: u64) -> io::Result<Identity> {
        let mut stream = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut stream)?;
        Ok(Identity {
            stream,
            incarnation: 0,
            created,
        })
    }

    /// The one in the folder, if there is one.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Identity>, SpoolError> {
        let path = folder.join(NAME);
        let mut bytes = [0; LEN];
        let read = disk
            .open(NAME, false)
            .and_then(|file| file.read_at(&mut bytes, 0));
        match read {
            Ok(LEN) => {}
            Ok(_) => {
                let what = "the file is too short";
                return Err(damaged(folder, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SpoolError::io("read", path, &error)),
        }
        if !bytes.starts_with(&MAGIC) {
            let what = "the file spool.id in it is of another program";
            return Err(SpoolError::NotASpool {
                path: folder.to_owned(),
                what,
            });
        }
        match check(&bytes, MAGIC) {
            Ok(()) => Ok(Some(Identity {
                stream: chunk_at(&bytes, 16),
                incarnation: u64_at(&bytes, 32),
                created: u64_at(&bytes, 40),
            })),
            Err(BadHeader::Newer(version)) => Err(SpoolError::Newer {
                file: path,
                version,
            }),
            Err(BadHeader::Damaged) => Err(damaged(folder, "its checksum is wrong")),
        }
    }

    /// Puts it into the folder, so that it survives a crash.
    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<(), SpoolError> {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&super::VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.stream);
        bytes[32..40].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created.to_le_bytes());
        seal(&mut bytes);
        disk.create(NEW_NAME)
            .and_then(|file| file.write_at(&bytes, 0).and_then(|()| file.sync()))
            .and_then(|()| disk.rename(NEW_NAME, NAME))
            .and_then(|()| disk.sync())
            .map_err(|error| SpoolError::no_room("write", &folder.join(NEW_NAME), &error))
    }
}

fn damaged(folder: &Path, what: &'static str) -> SpoolError {
    SpoolError::Corrupt {
        file: folder.join(NAME),
        offset: 0,
        what,
    }
}
