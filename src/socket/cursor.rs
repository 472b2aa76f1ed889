//! Where a SUB is in the logs of its publishers, kept in a file: [`ReplayFrom::Resume`](super::ReplayFrom::Resume).
//!
//! ```text
//! zerohop cursor 1
//! 00112233445566778899aabbccddeeff 4711      for each log: its name, and the offset to go on with
//! ```
//!
//! A thread writes the files, a while after something has been received, and when the socket is dropped. Each is replaced as a whole.

use std::any::Any;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Sub;
use crate::engine::Core;
use crate::error::SubscribeError;
use crate::pattern::SubPattern;
use crate::process::Process;
use crate::sync::{Bell, Mutex, Rung, lock};
use crate::zmtp::replay::Offsets;
use crate::zmtp::replay::wire::Start;

const FIRST_LINE: &str = "zerohop cursor 1";

/// A file is longer than this for no reason.
const LONGEST: u64 = 1 << 20;

/// Files are written this long after something has been received.
const LATER: Duration = Duration::from_millis(100);

/// A topic, and the file in which is kept how far it is.
#[derive(Debug)]
struct Cursor {
    topic: Vec<u8>,
    path: PathBuf,
    /// What the file says.
    kept: Offsets,
}

/// The cursors of a socket, with the thread that writes them. The last is written when this is dropped.
pub(super) struct Cursors {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: Process,
}

struct Shared {
    core: Weak<Core<SubPattern>>,
    bell: Arc<Bell>,
    cursors: Mutex<Vec<Cursor>>,
}

impl Shared {
    /// Writes the files of which there is more to say. `all`: what was received last counts as done.
    fn save(&self, all: bool) -> io::Result<()> {
        let Some(core) = self.core.upgrade() else {
            return Ok(());
        };
        let mut result = Ok(());
        // Held while files are written, and by nobody who holds a lock of the socket.
        for cursor in lock(&self.cursors).iter_mut() {
            let topic = &cursor.topic;
            let Ok(now) = core.inspect(|pattern, _| pattern.offsets(topic, all)) else {
                continue;
            };
            let mut offsets = cursor.kept.clone();
            offsets.extend(now);
            if offsets != cursor.kept {
                match write(&cursor.path, &offsets) {
                    Ok(()) => cursor.kept = offsets,
                    Err(error) => result = Err(error),
                }
            }
        }
        result
    }

    fn run(&self) {
        while self.bell.wait(None) != Rung::Stopped {
            // Whoever writes for the last time says if it fails.
            let _ = self.save(false);
            self.bell.pause(LATER);
        }
    }
}

impl Drop for Cursors {
    fn drop(&mut self) {
        // In a child of a fork there is no such thread, and the files are the parent's.
        if !self.process.is_current() {
            return;
        }
        self.shared.bell.stop();
        if let Some(thread) = lock(&self.thread).take() {
            // It does not panic, and if it did, there would be nothing to do about it.
            let _ = thread.join();
        }
        // There is nobody to tell.
        let _ = self.shared.save(true);
    }
}

/// Reads a file; one that is not there says nothing.
fn read(path: &Path) -> io::Result<Offsets> {
    let text = match std::fs::metadata(path) {
        Ok(file) if file.len() > LONGEST => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) => std::fs::read_to_string(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Offsets::new()),
        Err(error) => return Err(error),
    };
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(text: &str) -> Option<Offsets> {
    let mut lines = text.lines();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut offsets = Offsets::new();
    for line in lines {
        let (log, offset) = line.split_once(' ')?;
        if log.len() != 32 || !log.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let log = u128::from_str_radix(log, 16).ok()?.to_be_bytes();
        offsets.insert(log, offset.parse().ok()?);
    }
    Some(offsets)
}

fn render(offsets: &Offsets) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    let mut lines: Vec<_> = offsets.iter().collect();
    lines.sort_unstable();
    for (log, offset) in lines {
        // A string takes everything.
        let _ = writeln!(text, "{:032x} {offset}", u128::from_be_bytes(*log));
    }
    text
}

/// Replaces the file as a whole.
fn write(path: &Path, offsets: &Offsets) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, render(offsets))?;
    std::fs::rename(&new, path)
}

impl Sub {
    /// Subscribes to a topic from where a file says.
    pub(super) fn resume(&self, topic: &[u8], path: &Path) -> Result<(), SubscribeError> {
        let failed = |error: io::Error| SubscribeError::Cursor { kind: error.kind() };
        let kept = read(path).map_err(failed)?;
        let cursors = self.cursors().map_err(failed)?;
        let core = self.socket.core();
        let bell = Arc::clone(&cursors.shared.bell);
        let offsets = kept.clone();
        core.change(|pattern, net| {
            pattern.keep_cursor(topic, offsets, bell);
            // Of a log that is new everything is.
            let start = Start::Last(u64::MAX);
            pattern.subscribe_from(&mut net.peers, topic, start)
        })??;
        let mut list = lock(&cursors.shared.cursors);
        list.retain(|cursor| cursor.topic != topic);
        list.push(Cursor {
            topic: topic.to_vec(),
            path: path.to_owned(),
            kept,
        });
        Ok(())
    }

    /// Those there are, or new ones.
    fn cursors(&self) -> io::Result<&Cursors> {
        if self.socket.beside.get().is_none() {
            let shared = Arc::new(Shared {
                core: Arc::downgrade(self.socket.core()),
                bell: Arc::default(),
                cursors: Mutex::default(),
            });
            let runs = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name("zerohop cursor".into())
                .spawn(move || runs.run())?;
            let made: Box<dyn Any + Send + Sync> = Box::new(Cursors {
                shared,
                thread: Mutex::new(Some(thread)),
                process: Process::current(),
            });
            // If another thread was faster, these end at once.
            let _ = self.socket.beside.set(made);
        }
        let cursors = self.socket.beside.get();
        let cursors = cursors.and_then(|beside| beside.downcast_ref());
        cursors.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Writes how far the topics are that were subscribed to with [`ReplayFrom::Resume`](crate::ReplayFrom::Resume): all that has been received counts as done.
    /// It happens by itself a tenth of a second after something was received, but for the message that was received last, and when the socket is
    /// dropped.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn save_cursors(&self) -> io::Result<()> {
        match self
            .socket
            .beside
            .get()
            .and_then(|beside| beside.downcast_ref::<Cursors>())
        {
            Some(cursors) => cursors.shared.save(true),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let offsets = Offsets::from([([0; 16], 1), (*b"0123456789abcdef", u64::MAX)]);
        let text = render(&offsets);
        assert_eq!(
            text,
            "zerohop cursor 1\n00000000000000000000000000000000 1\n30313233343536373839616263646566 18446744073709551615\n"
        );
        assert_eq!(parse(&text), Some(offsets));
        for wrong in [
            "",
            "zerohop cursor 2\n",
            "zerohop cursor 1\n0 1\n",
            "zerohop cursor 1\n00000000000000000000000000000000\n",
            "zerohop cursor 1\n00000000000000000000000000000000 -1\n",
            "zerohop cursor 1\n+0000000000000000000000000000000 1\n",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
