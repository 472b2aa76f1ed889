//! What benchmarks of the spool, and of delivery by way of it, are compared with: nothing but the system's calls, and the same bytes in the same groups.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zerohop::spool::Sync;

/// What a message of 100 bytes takes in a segment: a header of 24 bytes, and zeros up to a multiple of 8.
const RECORD: usize = 128;

/// As long as a segment.
const LEN: u64 = 64 << 20;

/// A file that was filled with zeros, and is written from the front again when it is full.
pub(crate) struct Bare {
    path: PathBuf,
    file: File,
    at: u64,
}

impl Bare {
    pub(crate) fn new(path: &Path) -> io::Result<Bare> {
        let file = File::create(path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..LEN).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Bare {
            path: path.to_owned(),
            file,
            at: 0,
        })
    }

    /// Messages per second, so many of them with each write.
    pub(crate) fn append(&mut self, sync: Sync, group: usize, time: Duration) -> io::Result<f64> {
        let bytes = vec![7; RECORD * group];
        let (begun, mut sent) = (Instant::now(), 0);
        while begun.elapsed() < time {
            self.write(&bytes, sync)?;
            sent += group;
        }
        Ok(sent as f64 / begun.elapsed().as_secs_f64())
    }

    /// How long one message takes.
    #[allow(dead_code, reason = "not all benchmarks ask for it")]
    pub(crate) fn append_one(&mut self, sync: Sync) -> io::Result<Duration> {
        let begun = Instant::now();
        self.write(&[7; RECORD], sync)?;
        Ok(begun.elapsed())
    }

    fn write(&mut self, bytes: &[u8], sync: Sync) -> io::Result<()> {
        if self.at + bytes.len() as u64 > LEN {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        match sync {
            Sync::Disk => self.file.sync_data(),
            _ => Ok(()),
        }
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}
