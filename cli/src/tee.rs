//! Messages into a file, beside what is done with them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::failure::{Failure, Outcome};
use crate::format::{Printed, to_envelope};

/// A file that messages are appended to, as `--format envelope` prints them. [`flush`](Tee::flush) it when nothing more is waiting.
pub(crate) struct Tee {
    path: PathBuf,
    /// Whole lines, from whichever thread.
    file: Mutex<BufWriter<File>>,
}

impl Tee {
    pub(crate) fn open(path: &Path) -> Outcome<Tee> {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        let file = opened.map_err(|error| Failure::Failed(complaint(path, &error)))?;
        Ok(Tee {
            path: path.to_owned(),
            file: Mutex::new(BufWriter::new(file)),
        })
    }

    /// Writes a message, into a buffer. The error is a sentence about what went wrong.
    pub(crate) fn write(&self, printed: Printed<'_>) -> Result<(), String> {
        let line = format!("{}\n", to_envelope(printed));
        self.with_file(|file| file.write_all(line.as_bytes()))
    }

    /// Writes a message, and hands it over.
    pub(crate) fn record(&self, printed: Printed<'_>) -> Result<(), String> {
        self.write(printed).and_then(|()| self.flush())
    }

    /// Hands over what was written.
    pub(crate) fn flush(&self) -> Result<(), String> {
        self.with_file(BufWriter::flush)
    }

    fn with_file(
        &self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), String> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut file).map_err(|error| complaint(&self.path, &error))
    }
}

fn complaint(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
