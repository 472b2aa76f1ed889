//! A list in a file, or in the files of a directory, that is read again when it changes.
//!
//! ```text
//! # A comment. Each line lets somebody in:
//! user alice tiger                              a user of PLAIN: the name, and the password to the end of the line
//! uid 1000                                      a user of the system, over ipc
//! rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7      a public key of CURVE, as Z85 or 64 hexadecimal digits
//!     public-key = "rq:rM>}U?@Lns47E1%kR..."    the same, as certificate files of pyzmq and czmq have it
//! ```
//!
//! Of a certificate file the other lines say nothing here. Whatever else there is makes the file invalid, and lets in nobody of that file:
//! a list that is misread is worse than one that is missing.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use super::allow::List;
use super::{AuthRequest, Verdict};
use crate::key_text::{self, KEY};
use crate::process::Process;
use crate::secret::Secret;
use crate::sync::lock;
use crate::zmtp::Denial;

/// A file that was changed no more than so many seconds before it was read may change again, and show nothing of that: clocks of file
/// systems are coarse.
const SETTLED: i64 = 2;

/// What stays together: a list as it was read, and what its files were then.
struct Cached {
    seen: Vec<Seen>,
    read_at: SystemTime,
    list: Result<List, String>,
}

/// A file, and what changes when it is written, or its permissions are.
#[derive(PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    identity: (u64, u64, u64),
    modified: Time,
    /// When the system last noted any change. Nobody can set it, as whoever copies a file may set when it was modified.
    changed: Time,
}

/// Seconds and nanoseconds by the clock of the file system.
type Time = (i64, i64);

impl Seen {
    fn is_settled(&self, read_at: SystemTime) -> bool {
        let read_at = read_at.duration_since(SystemTime::UNIX_EPOCH);
        let read_at = read_at.map_or(0, |since| since.as_secs().cast_signed());
        [self.modified, self.changed]
            .iter()
            .all(|(seconds, _)| read_at.saturating_sub(*seconds) > SETTLED)
    }
}

/// See the module.
pub(super) struct AllowPath {
    path: PathBuf,
    cached: Mutex<Option<Cached>>,
    /// A forked child that goes on with it, with sockets of its own, reads the list each time: what was read may be locked for ever.
    process: Process,
}

impl AllowPath {
    pub(super) fn new(path: PathBuf) -> AllowPath {
        AllowPath {
            path,
            cached: Mutex::new(None),
            process: Process::current(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the files, which may take the file system a while: with no lock of a socket held.
    pub(super) fn decide(&self, request: &AuthRequest) -> Verdict {
        let failed = |text: &dyn fmt::Display| {
            let reason = format!("the list {}: {text}", self.path.display());
            Verdict::deny_with(Denial::Internal, reason)
        };
        let seen = match look(&self.path) {
            Ok(seen) => seen,
            Err(error) => return failed(&error),
        };
        let verdict = |current: &Cached| match &current.list {
            Ok(list) => list.decide(request),
            Err(text) => failed(text),
        };
        if !self.process.is_current() {
            return verdict(&Cached::read(seen));
        }
        let mut cached = lock(&self.cached);
        let current = match cached.take().filter(|cached| cached.is_of(&seen)) {
            Some(current) => current,
            None => Cached::read(seen),
        };
        verdict(cached.insert(current))
    }
}

impl Cached {
    fn read(seen: Vec<Seen>) -> Cached {
        let read_at = SystemTime::now();
        let mut list = List::default();
        let mut read = || {
            for Seen { path, .. } in &seen {
                let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
                // It may hold passwords.
                let text = Secret::from(fs::read(path).map_err(|error| failed(&error))?);
                let text = str::from_utf8(text.expose()).map_err(|error| failed(&error))?;
                parse(text, &mut list).map_err(|line| {
                    format!(
                        "{}: line {line} lets nobody in that we know",
                        path.display()
                    )
                })?;
            }
            Ok(())
        };
        let read = read();
        Cached {
            list: read.map(|()| list),
            seen,
            read_at,
        }
    }

    fn is_of(&self, seen: &[Seen]) -> bool {
        self.seen == seen && self.seen.iter().all(|seen| seen.is_settled(self.read_at))
    }
}

/// Whether a file of a directory is no list: it is hidden, or a copy as editors leave it, on which those may be who have been taken off the list.
fn is_passed_over(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || name.starts_with(b"#") || name.ends_with(b"~")
}

/// The file, or the files of the directory, but for those that are passed over.
fn look(path: &Path) -> io::Result<Vec<Seen>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return Ok(vec![seen(path.to_owned(), &metadata)]);
    }
    if !metadata.is_dir() {
        // A pipe would be waited for, and gives what it holds only once.
        let text = "it is neither a file nor a directory";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if is_passed_over(&entry.file_name()) {
            continue;
        }
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            // Removed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_file() {
            files.push(seen(entry.path(), &metadata));
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn seen(path: PathBuf, metadata: &Metadata) -> Seen {
    Seen {
        path,
        identity: (metadata.dev(), metadata.ino(), metadata.len()),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Adds what the lines say to the list; the number of the first that says nothing known.
fn parse(text: &str, list: &mut List) -> Result<(), usize> {
    for (number, line) in (1_usize..).zip(text.lines()) {
        parse_line(line.trim(), list).ok_or(number)?;
    }
    Ok(())
}

fn parse_line(line: &str, list: &mut List) -> Option<()> {
    if line.is_empty() || line.starts_with('#') {
        return Some(());
    }
    let mut key = [0; KEY];
    if key_text::parse(line, &mut key).is_ok() {
        list.keys.push(key);
        return Some(());
    }
    if let Some((name, value)) = line.split_once(" = ") {
        if name.trim_end() == "public-key" {
            let text = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            key_text::parse(text, &mut key).ok()?;
            list.keys.push(key);
        }
        return Some(());
    }
    match line.split_once(' ') {
        Some(("user", rest)) => {
            let (name, password) = rest.split_once(' ')?;
            list.users.push((name.to_owned(), password.into()));
        }
        Some(("uid", uid)) => list.uids.push(uid.trim().parse().ok()?),
        // The headings of a certificate file.
        None if line == "metadata" || line == "curve" => {}
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn list(text: &str) -> Result<List, usize> {
        let mut list = List::default();
        parse(text, &mut list).map(|()| list)
    }

    /// Whoever copies a file may set when it was modified, and the new one may be as long as the old one.
    #[test]
    fn a_list_that_looks_as_old_is_read_again() {
        let path = std::env::temp_dir().join(format!("zerohop-list-{}", std::process::id()));
        let write = |text: &str| {
            fs::write(&path, text).expect("written");
            let file = fs::File::options().write(true).open(&path);
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            file.expect("a file")
                .set_modified(long_ago)
                .expect("a time");
        };
        write("user alice tiger");
        let mut cached = Cached::read(look(&path).expect("a file"));
        cached.read_at += Duration::from_secs(100);
        assert!(cached.is_of(&look(&path).expect("a file")));
        let deadline = Instant::now() + Duration::from_secs(10);
        // Until the clock of the file system has gone on.
        loop {
            write("user alice lions");
            if !cached.is_of(&look(&path).expect("a file")) {
                break;
            }
            assert!(Instant::now() < deadline, "it is taken for the old one");
        }
        fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn a_pipe_is_no_list() {
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        assert!(look(Path::new(&path)).is_err());
        assert!(look(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn lines_let_in() {
        let read = list(
            "# ours\n\nuser alice tiger lily\nuser bob \nuid 1000\n\
             rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n",
        );
        // The trailing space of bob's line is taken off, and with it the empty password.
        assert_eq!(read.err(), Some(4));
        let read =
            list("user alice tiger lily\nuid 1000\nrq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n");
        let read = read.expect("a list");
        assert_eq!(read.users, [("alice".to_owned(), "tiger lily".into())]);
        assert_eq!(read.uids, [1000]);
        // The example of the RFC 26 test keys that libzmq uses.
        assert_eq!(read.keys.len(), 1);
        assert_eq!(read.keys[0][..4], [0x54, 0xfc, 0xba, 0x24]);
    }

    #[test]
    fn hexadecimal_and_z85_are_the_same_key() {
        let z85 = list("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7").expect("a list");
        let hex = list(&key_text::to_hex(&z85.keys[0])).expect("a list");
        assert_eq!(hex.keys, z85.keys);
    }

    #[test]
    fn certificate_files_have_keys() {
        let certificate = "#   ****  Generated  ****\n\nmetadata\n    name = \"alice\"\ncurve\n    \
                           public-key = \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n";
        assert_eq!(list(certificate).expect("a list").keys.len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_no_list() {
        for (text, line) in [
            ("alice", 1),
            ("uid 1000\nuid root", 2),
            ("user alice", 1),
            // Above 32 bits.
            (&"%nSc1".repeat(8), 1),
            ("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf", 1),
            ("public-key = \"short\"", 1),
            ("public-key = rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", 1),
        ] {
            assert_eq!(list(text).err(), Some(line), "{text}");
        }
    }
}
