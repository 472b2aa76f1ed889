//! The file behind an `ipc` listener: who may take its path, and who may remove it.
//!
//! libzmq's bind removes whatever stands at the path, a live server's socket included, and leaves its own behind.
//! Here a path changes hands only when its owner is gone, and a file is removed only by who made it:
//!
//! ```text
//! bind ok ----------------------------------------------------------> ours
//! bind: in use --> not a socket -----------------------------------> error, the file stays
//!              --> a socket, connect succeeds --> live -------------> error, the file stays
//!              --> a socket, connect refused  --> stale --> remove --> bind again
//! ```
//!
//! Three gaps remain, since file systems have no "remove if it is still this one":
//!
//! - Between the refused connect and the removal another process may do the same and be quicker. The file's
//!   identity is compared right before the removal, which leaves a window of a system call or two.
//! - A server that has called `bind` and not yet `listen` refuses connections like a dead one.
//! - Outside Linux a live server with a full backlog refuses them too.

use std::fs::{self, DirBuilder, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;

use socket2::{Domain, SockAddr, Socket, Type};

/// A path that a socket of this process is bound to. Dropping it removes the file, if it is still the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// Absolute: the working directory may change until it is removed.
    path: PathBuf,
    identity: Identity,
    /// A child after `fork` holds a copy of this value but does not own the file.
    process: u32,
    /// Only held to be dropped after the file is gone.
    _directory: Option<TemporaryDirectory>,
}

/// What stays the same about a file and differs from any other at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What stands at a path that cannot be bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// A socket that somebody listens on, or may.
    Live,
    /// A socket that nobody listens on any more.
    Stale(Identity),
    /// A file, a directory, a link. Not ours to touch.
    NotASocket,
    /// Gone in the meantime.
    Nothing,
}

/// A fresh directory that only this user can enter, removed on drop.
#[derive(Debug)]
pub(super) struct TemporaryDirectory {
    path: PathBuf,
    process: u32,
}

impl SocketFile {
    /// Takes charge of the file that a `bind` to `path` has just made.
    pub(super) fn claim(
        path: &Path,
        directory: Option<TemporaryDirectory>,
    ) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: std::path::absolute(path)?,
            identity: Identity::of(&fs::symlink_metadata(path)?),
            process: process::id(),
            _directory: directory,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.process == process::id()
            && let Err(error) = remove_if(&self.path, self.identity)
        {
            log::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl TemporaryDirectory {
    pub(super) fn create() -> io::Result<TemporaryDirectory> {
        loop {
            let random = RandomState::new().hash_one(process::id());
            let path = std::env::temp_dir().join(format!("zerohop-{random:016x}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    return Ok(TemporaryDirectory {
                        path,
                        process: process::id(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if self.process == process::id()
            && let Err(error) = fs::remove_dir(&self.path)
        {
            log::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Finds out what keeps `path` from being bound. A live listener sees a connection that ends at once.
pub(super) fn occupant(path: &Path) -> io::Result<Occupant> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Ok(Occupant::NotASocket);
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(Occupant::Stale(Identity::of(&metadata)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Occupant::Nothing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Connected; or the backlog is full; or it is a socket of another type, as a log daemon's.
        Ok(()) | Err(_) => Ok(Occupant::Live),
    }
}

/// Removes the file at `path` if it is the one meant; if not, there is nothing to do.
pub(super) fn remove_if(path: &Path, identity: Identity) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if Identity::of(&metadata) == identity => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
