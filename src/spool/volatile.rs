//! A folder in memory: what is in it ends with the process.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, DiskFile};
use crate::sync::lock;

/// See the module. Whoever has it has it alone, so that nothing is locked.
#[derive(Debug, Default)]
pub(crate) struct Volatile(Mutex<BTreeMap<String, Bytes>>);

/// A file, which may be read by who had it open when it was removed.
#[derive(Clone, Debug, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Volatile {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.0).keys().cloned().collect())
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn DiskFile>> {
        let file = lock(&self.0).get(name).cloned();
        Ok(Box::new(file.ok_or_else(not_found)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = Bytes::default();
        lock(&self.0).insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or_else(not_found)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.0).remove(name).map(drop).ok_or_else(not_found)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(
        &self,
        _name: &str,
        _writable: bool,
    ) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        Ok(Some(Box::new(())))
    }
}

impl Bytes {
    fn end(at: u64, len: usize) -> io::Result<usize> {
        let end = usize::try_from(at).ok().and_then(|at| at.checked_add(len));
        end.ok_or_else(|| io::ErrorKind::StorageFull.into())
    }

    /// Makes it as long as that, if there is the memory.
    fn lengthen(file: &mut Vec<u8>, len: usize) -> io::Result<()> {
        let more = len.saturating_sub(file.len());
        if more > 0 {
            let room = file.try_reserve_exact(more);
            room.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
            file.resize(len, 0);
        }
        Ok(())
    }
}

impl DiskFile for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let file = lock(&self.0);
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(file.len());
        let len = buffer.len().min(file.len() - at);
        buffer[..len].copy_from_slice(&file[at..at + len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let end = Bytes::end(at, bytes.len())?;
        let mut file = lock(&self.0);
        Bytes::lengthen(&mut file, end)?;
        file[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn begin_sync(&self, _at: u64, _len: u64) {}

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = Bytes::end(len, 0)?;
        let mut file = lock(&self.0);
        Bytes::lengthen(&mut file, len)?;
        file.truncate(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn it_is_a_folder() {
        let folder = Volatile::default();
        let file = folder.create("a").expect("made");
        file.write_at(b"abc", 2).expect("written");
        let mut read = [9; 8];
        assert_eq!(file.read_at(&mut read, 0).expect("read"), 5);
        assert_eq!(read, *b"\0\0abc\x09\x09\x09");
        assert_eq!(file.read_at(&mut read, 7).expect("read"), 0);
        file.set_len(3).expect("cut");
        file.set_len(4).expect("lengthened");
        assert_eq!(file.read_at(&mut read, 2).expect("read"), 2);
        assert_eq!(read[..2], *b"a\0");
        folder.rename("a", "b").expect("renamed");
        assert_eq!(folder.list().expect("names"), ["b"]);
        folder.remove("b").expect("removed");
        assert!(folder.remove("b").is_err() && folder.open("b", true).is_err());
        assert!(folder.rename("b", "a").is_err());
        assert_eq!(file.len().expect("it is still open"), 4);
        assert!(file.write_at(b"a", u64::MAX).is_err());
    }

    #[test]
    fn a_spool_is_in_it() {
        let settings = Spool::at("").segment_size(4096);
        let spool = settings.open_on(Box::new(Volatile::default()));
        let spool = spool.expect("a spool");
        for number in 0..500_u32 {
            let seq = spool.append(number.to_be_bytes()).expect("appended");
            spool.commit(seq).expect("safe");
        }
        let last = spool.range().map(|range| *range.end()).expect("messages");
        let read = spool.read(last).expect("read");
        assert_eq!(read.message, 499_u32.to_be_bytes());
        spool.settle([0..=last - 1]).expect("settled");
        assert_eq!(spool.len(), 1);
        assert!(spool.size() < 8 * 4096, "{} bytes are left", spool.size());
    }
}
