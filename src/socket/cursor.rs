//! Where a SUB is in the logs of its publishers, kept in a file: [`ReplayFrom::Resume`](super::ReplayFrom::Resume).
//!
//! ```text
//! zerohop cursor 1
//! 00112233445566778899aabbccddeeff 4711             for each log: its name, the offset to go on with,
//! 00112233445566778899aabbccddeeff 4711 user ann    and who its publisher has shown to be, where publishers have to
//! ```
//!
//! Logs that were not seen again come first. Of more than [`MOST`], or than the [`LONGEST`] file has room for, the first go, so that a subscriber to which
//! there come ever new logs has a file of bounded length.
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
use crate::zmtp::replay::wire::Start;
use crate::zmtp::replay::{LogName, Offsets};

const FIRST_LINE: &str = "zerohop cursor 1";

/// A file is longer than this for no reason.
const LONGEST: u64 = 1 << 20;

/// So many logs are kept at the most.
const MOST: usize = 10_000;

/// A name, an offset of up to 20 digits, and what is between and behind.
const LINE: usize = 32 + 1 + 20 + 1;

/// Files are written this long after something has been received.
const LATER: Duration = Duration::from_millis(100);

/// A topic, and the file in which is kept how far it is.
#[derive(Debug)]
struct Cursor {
    topic: Vec<u8>,
    path: PathBuf,
    /// What the file says, in its order.
    kept: Vec<Kept>,
}

/// A log, and the offset to go on with.
type Kept = (LogName, u64);

/// The cursors of a socket, with the thread that writes them. The last is written when this is dropped.
pub(super) struct Cursors {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    core: Weak<Core<SubPattern>>,
    bell: Arc<Bell>,
    cursors: Mutex<Vec<Cursor>>,
    /// Nothing is locked before it is known to be this one, and the files are that one's.
    process: Process,
}

impl Shared {
    /// Writes the files of which there is more to say. `all`: what was received last counts as done.
    fn save(&self, all: bool) -> io::Result<()> {
        if !self.process.is_current() {
            return Err(io::Error::other(SubscribeError::Forked));
        }
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
            let kept = merge(&cursor.kept, now);
            if kept != cursor.kept {
                match write(&cursor.path, &kept) {
                    Ok(()) => cursor.kept = kept,
                    Err(error) => result = Err(error),
                }
            }
        }
        result
    }

    /// Takes a subscription back. Of the last one to a topic with a cursor that is written: what has been received counts as done.
    fn unsubscribe(
        &self,
        core: &Arc<Core<SubPattern>>,
        topic: &[u8],
    ) -> Result<(), SubscribeError> {
        if !self.process.is_current() {
            return Err(SubscribeError::Forked);
        }
        let mut cursors = lock(&self.cursors);
        let ended = core.change(|pattern, net| {
            let offsets = pattern.offsets(topic, true);
            pattern.unsubscribe(&mut net.peers, topic);
            (!pattern.has(topic)).then_some(offsets)
        })?;
        let at = cursors.iter().position(|cursor| cursor.topic == topic);
        let (Some(now), Some(at)) = (ended, at) else {
            return Ok(());
        };
        let cursor = cursors.swap_remove(at);
        let kept = merge(&cursor.kept, now);
        if kept == cursor.kept {
            return Ok(());
        }
        write(&cursor.path, &kept).map_err(|error| SubscribeError::Cursor { kind: error.kind() })
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
        if !self.shared.process.is_current() {
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
fn read(path: &Path) -> io::Result<Vec<Kept>> {
    let text = match std::fs::metadata(path) {
        Ok(file) if file.len() > LONGEST => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) => std::fs::read_to_string(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(text: &str) -> Option<Vec<Kept>> {
    let mut lines = text.lines();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut kept = Vec::new();
    for line in lines {
        let (id, rest) = line.split_once(' ')?;
        if id.len() != 32 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok()?.to_be_bytes();
        let (offset, owner) = match rest.split_once(' ') {
            Some((offset, owner)) => (offset, Some(owner.into())),
            None => (rest, None),
        };
        kept.push((LogName { id, owner }, offset.parse().ok()?));
    }
    Some(kept)
}

/// What was kept, with how far the socket is now in the logs that it knows. Those are behind the others, and new ones last; the first of too many are forgotten.
fn merge(kept: &[Kept], mut now: Offsets) -> Vec<Kept> {
    let is_known = |(log, _): &Kept| now.contains_key(log);
    let (known, mut merged): (Vec<Kept>, Vec<Kept>) = kept.iter().cloned().partition(is_known);
    let advanced = known
        .into_iter()
        .filter_map(|(log, _)| now.remove_entry(&log));
    merged.extend(advanced);
    let mut new: Vec<Kept> = now.into_iter().collect();
    new.sort_unstable();
    merged.append(&mut new);
    let (mut lines, mut room) = (MOST, LONGEST as usize - FIRST_LINE.len() - 1);
    merged.reverse();
    merged.retain(|(log, _)| {
        let owner = log.owner.as_ref().map_or(0, |owner| 1 + owner.len());
        let kept = lines > 0 && LINE + owner <= room;
        if kept {
            lines -= 1;
            room -= LINE + owner;
        }
        kept
    });
    merged.reverse();
    merged
}

fn render(kept: &[Kept]) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for (LogName { id, owner }, offset) in kept {
        // A string takes everything.
        let _ = write!(text, "{:032x} {offset}", u128::from_be_bytes(*id));
        if let Some(owner) = owner {
            text.extend([" ", owner]);
        }
        text.push('\n');
    }
    text
}

/// Replaces the file as a whole.
fn write(path: &Path, kept: &[Kept]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, render(kept))?;
    std::fs::rename(&new, path)
}

impl Sub {
    /// Subscribes to a topic from where a file says.
    pub(super) fn resume(&self, topic: &[u8], path: &Path) -> Result<(), SubscribeError> {
        if !self.socket.core().process().is_current() {
            return Err(SubscribeError::Forked);
        }
        let failed = |error: io::Error| SubscribeError::Cursor { kind: error.kind() };
        let kept = read(path).map_err(failed)?;
        let cursors = self.cursors().map_err(failed)?;
        let core = self.socket.core();
        let bell = Arc::clone(&cursors.shared.bell);
        let offsets = kept.iter().cloned().collect();
        let mut list = lock(&cursors.shared.cursors);
        core.change(|pattern, net| {
            pattern.keep_cursor(topic, offsets, bell);
            // Of a log that is new everything is.
            let start = Start::Last(u64::MAX);
            pattern.subscribe_from(&mut net.peers, topic, start)
        })??;
        list.retain(|cursor| cursor.topic != topic);
        list.push(Cursor {
            topic: topic.to_vec(),
            path: path.to_owned(),
            kept,
        });
        Ok(())
    }

    /// Takes a subscription back.
    pub(super) fn take_back(&self, topic: &[u8]) -> Result<(), SubscribeError> {
        let core = self.socket.core();
        match self.cursors_there() {
            Some(cursors) => cursors.shared.unsubscribe(core, topic),
            None => Ok(core.change(|pattern, net| pattern.unsubscribe(&mut net.peers, topic))?),
        }
    }

    fn cursors_there(&self) -> Option<&Cursors> {
        self.socket.beside.get()?.downcast_ref()
    }

    /// Those there are, or new ones.
    fn cursors(&self) -> io::Result<&Cursors> {
        if self.socket.beside.get().is_none() {
            let shared = Arc::new(Shared {
                core: Arc::downgrade(self.socket.core()),
                bell: Arc::default(),
                cursors: Mutex::default(),
                process: Process::current(),
            });
            let runs = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name("zerohop cursor".into())
                .spawn(move || runs.run())?;
            let made: Box<dyn Any + Send + Sync> = Box::new(Cursors {
                shared,
                thread: Mutex::new(Some(thread)),
            });
            // If another thread was faster, these end at once.
            let _ = self.socket.beside.set(made);
        }
        self.cursors_there()
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Writes how far the topics are that were subscribed to with [`ReplayFrom::Resume`](crate::ReplayFrom::Resume): all that has been received counts as done.
    /// It happens by itself a tenth of a second after something was received, but for the message that was received last, when a topic is unsubscribed, and
    /// when the socket is dropped.
    ///
    /// # Errors
    ///
    /// A file cannot be written; or this is a forked child of the process that made the socket.
    pub fn save_cursors(&self) -> io::Result<()> {
        match self.cursors_there() {
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
        let of = |owner: Option<&str>| LogName {
            id: *b"0123456789abcdef",
            owner: owner.map(Into::into),
        };
        let kept = vec![(log(0), 1), (of(None), u64::MAX), (of(Some("user a b")), 2)];
        let text = render(&kept);
        assert_eq!(
            text,
            "zerohop cursor 1\n00000000000000000000000000000000 1\n30313233343536373839616263646566 18446744073709551615\n30313233343536373839616263646566 2 user a b\n"
        );
        assert_eq!(parse(&text), Some(kept));
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

    fn log(number: u64) -> LogName {
        LogName {
            id: u128::from(number).to_be_bytes(),
            owner: None,
        }
    }

    #[test]
    fn a_file_of_ever_more_logs_stays_short_and_has_the_newest() {
        let known_log = LogName {
            id: [255; 16],
            owner: None,
        };
        let mut kept = vec![(log(0), 0)];
        for round in 1..=200 {
            let new = (0..100).map(|number| (log(100 * round + number), u64::MAX));
            let now: Offsets = new.chain([(known_log.clone(), u64::MAX - round)]).collect();
            kept = merge(&kept, now);
            let text = render(&kept);
            assert!(text.len() as u64 <= LONGEST);
            assert_eq!(parse(&text).as_ref(), Some(&kept));
        }
        assert_eq!(kept.len(), MOST);
        assert!(kept.contains(&(known_log, u64::MAX - 200)));
        let newest = 20_100 - (MOST as u64 - 1)..20_100;
        let of = |number| kept.contains(&(log(number), u64::MAX));
        assert!(newest.clone().step_by(97).all(of) && of(newest.end - 1));
        assert!(!of(newest.start - 1));
        // Where owners take much of the room, there are fewer.
        let owned = (0..MOST as u64).map(|number| {
            let owner = Some("user ".to_owned() + &"x".repeat(250));
            let owner = owner.map(Into::into);
            (
                LogName {
                    owner,
                    ..log(number)
                },
                u64::MAX,
            )
        });
        let few = merge(&[], owned.collect());
        assert!(render(&few).len() as u64 <= LONGEST && few.len() > 3000);
        assert_eq!(parse(&render(&few)), Some(few));
        // Nothing is to be written where nothing is new.
        assert_eq!(merge(&kept, Offsets::new()), kept);
        assert_eq!(
            merge(&kept, Offsets::from([(log(20_099), u64::MAX)])).last(),
            kept.last()
        );
    }
}
