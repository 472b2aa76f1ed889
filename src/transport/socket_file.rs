//! The file behind an `ipc` listener: who may take its path, and who may remove it.
//!
//! libzmq's bind removes whatever stands at the path, a live server's socket included, and leaves its own behind.
//! Here a path changes hands only when its owner is gone, and a file is removed only by who made it:
//!
//! ```text
//! bind ok ----------------------------------------------------------> ours
//! bind: in use --> not a socket -----------------------------------> error, the file stays
//!              --> a socket, connect succeeds --> live -------------> error, the file stays
//!              --> a socket, connect refused  --> stale, ours --> remove --> bind again
//!                                             --> stale, of another user --> error, the file stays
//! ```
//!
//! File systems have no "remove if it is still this one", and a socket that is bound and does not listen yet refuses connections
//! like a dead one's. So whoever takes a path, by whichever of these ways, holds the lock of its directory meanwhile
//! ([`DirectoryLock`]): of several servers that come at once one has the path, and the others find it live.
//!
//! Where there is no such lock (a directory that may not be read, some network file systems, a stranger who holds it for good) and
//! for servers of other libraries the gaps remain: the file's identity is compared right before it is removed, which leaves a
//! window of a system call or two. And outside Linux a live server with a full backlog refuses connections, too.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::credentials;

/// How long the lock of a directory is waited for. It is held for some system calls, by one server after the other.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is tried meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

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
    /// A socket of this user that nobody listens on any more.
    Stale(Identity),
    /// The same, of another user. Not ours to touch.
    StaleOfOthers(u32),
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

/// The lock of the directory that a path is in, as `flock` takes it: it keeps out other servers that bind there, in this process
/// and in others, and it goes with the process.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    /// None: there is no such lock, or somebody else does not let go of it.
    directory: Option<File>,
}

impl DirectoryLock {
    /// Waits for the lock, within limits.
    pub(super) fn take(path: &Path) -> DirectoryLock {
        let directory = path.parent().unwrap_or(Path::new(""));
        // With the dot it is a directory that is opened, and not a pipe that is waited for.
        let directory = File::open(directory.join(".")).ok();
        let directory = directory.filter(|directory| lock_in_time(directory, path));
        DirectoryLock { directory }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Not only by closing it: a child that was forked meanwhile has it open, too.
        if let Some(directory) = &self.directory
            && let Err(error) = directory.unlock()
        {
            log::debug!("cannot unlock a directory: {error}");
        }
    }
}

fn lock_in_time(directory: &File, path: &Path) -> bool {
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        match directory.try_lock() {
            Ok(()) => return true,
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(LOCK_PAUSE),
            Err(error) => {
                log::debug!("no lock of the directory of {}: {error}", path.display());
                return false;
            }
        }
    }
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
            Ok(match metadata.uid() == credentials::own_uid() {
                true => Occupant::Stale(Identity::of(&metadata)),
                false => Occupant::StaleOfOthers(metadata.uid()),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Occupant::Nothing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Connected; or the backlog is full; or it is a socket of another type, as a log daemon's.
        Ok(()) | Err(_) => Ok(Occupant::Live),
    }
}

/// Before a socket is bound: its file is to have these permissions from the beginning, less what the umask takes. Linux does that.
pub(super) fn restrict(socket: &Socket, mode: u32) -> io::Result<()> {
    let file = File::from(socket.as_fd().try_clone_to_owned()?);
    // Other systems know no permissions of a socket; there `set_mode` sees to it.
    let _ = file.set_permissions(Permissions::from_mode(mode));
    Ok(())
}

/// Once it is bound, and before it listens: gives its file these permissions, if it has others.
pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    // Somebody may have put something else there meanwhile.
    if metadata.file_type().is_socket() && metadata.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Removes the file at `path` if it is the one meant; if not, there is nothing to do.
pub(super) fn remove_if(path: &Path, identity: Identity) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if Identity::of(&metadata) == identity => unless_gone(fs::remove_file(path)),
        Ok(_) => Ok(()),
        Err(error) => unless_gone(Err(error)),
    }
}

/// That a file is gone already is no failure to remove it.
fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
