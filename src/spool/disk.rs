//! What the spool needs of a disk: one folder with files in it. Behind a trait, so that tests can have a disk that crashes, is full, or
//! fails to sync.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::writeback;
use crate::process::Process;

/// A folder. Names are those of files right in it.
pub(crate) trait Disk: Debug + Send + Sync {
    /// The names of the files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there, to be read and, if so wanted, written.
    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Makes an empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name; one that has it goes.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Who has it open may go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// What was made, renamed and removed before is so after a crash too.
    fn sync(&self) -> io::Result<()>;
    /// Keeps others out of the folder for as long as what it gives lives. `None`: another one has it.
    fn lock(&self, name: &str, writable: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads as much as there is, up to the length of the buffer; less only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of it; the file grows as needed.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Has the system begin to bring this part to the disk, without waiting for that: a hint. What goes wrong with it, [`sync`](Self::sync) tells.
    fn begin_sync(&self, at: u64, len: u64);
    /// What was written before is there after a crash too, and the file's length.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file, or lengthens it by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    fn open_with(&self, name: &str, options: &OpenOptions) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(options.open(self.0.join(name))?))
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(name, OpenOptions::new().read(true).write(writable))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        self.open_with(
            name,
            options.read(true).write(true).create(true).truncate(true),
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn lock(&self, name: &str, writable: bool) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(writable)
            .create(writable)
            .truncate(false)
            .open(self.0.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(FolderLock {
                file,
                process: Process::current(),
            }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A file that is locked.
#[derive(Debug)]
struct FolderLock {
    file: File,
    /// A child's copy is its parent's lock.
    process: Process,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Not only by closing it: a child that was forked meanwhile has it open, too.
        if self.process.is_current()
            && let Err(error) = self.file.unlock()
        {
            log::debug!("cannot unlock a spool: {error}");
        }
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn begin_sync(&self, at: u64, len: u64) {
        writeback::begin(self, at, len);
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_is_free_even_if_a_child_has_the_file_open() {
        let path = std::env::temp_dir().join(format!("zerohop-lock-{}", std::process::id()));
        fs::create_dir(&path).expect("a folder");
        let folder = Folder::new(&path);
        let file = File::create(path.join("lock")).expect("a file");
        file.try_lock().expect("locked");
        let childs = file.try_clone().expect("as a child has it");
        let process = Process::current();
        let lock = FolderLock { file, process };
        assert!(folder.lock("lock", true).expect("opened").is_none());
        drop(lock);
        assert!(folder.lock("lock", true).expect("opened").is_some());
        drop(childs);
        fs::remove_dir_all(path).expect("removed");
    }
}
