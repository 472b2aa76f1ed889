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

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::allow::List;
use super::{AuthRequest, Verdict};
use crate::key_text::{self, KEY};
use crate::sync::lock;
use crate::zmtp::Denial;

/// A file that was changed so shortly before it was read may change again, and show nothing of that: clocks of file systems are coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// What stays together: a list as it was read, and what its files were then.
struct Cached {
    seen: Vec<Seen>,
    read_at: SystemTime,
    list: Result<List, String>,
}

/// A file, and what changes when it is written.
#[derive(PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    identity: (u64, u64, u64),
    modified: Option<SystemTime>,
}

/// See the module.
pub(super) struct AllowPath {
    path: PathBuf,
    cached: Mutex<Option<Cached>>,
}

impl AllowPath {
    pub(super) fn new(path: PathBuf) -> AllowPath {
        AllowPath {
            path,
            cached: Mutex::new(None),
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
        let mut cached = lock(&self.cached);
        let current = match cached.take().filter(|cached| cached.is_of(&seen)) {
            Some(current) => current,
            None => Cached::read(seen),
        };
        let verdict = match &current.list {
            Ok(list) => list.decide(request),
            Err(text) => failed(text),
        };
        *cached = Some(current);
        verdict
    }
}

impl Cached {
    fn read(seen: Vec<Seen>) -> Cached {
        let read_at = SystemTime::now();
        let mut list = List::default();
        let mut read = || {
            for Seen { path, .. } in &seen {
                let text = fs::read_to_string(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                parse(&text, &mut list).map_err(|line| {
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
        let settled = |seen: &Seen| {
            seen.modified
                .and_then(|modified| self.read_at.duration_since(modified).ok())
                .is_some_and(|age| age >= SETTLED)
        };
        self.seen == seen && self.seen.iter().all(settled)
    }
}

/// The file, or the files of the directory, but for those that are hidden.
fn look(path: &Path) -> io::Result<Vec<Seen>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(vec![seen(path.to_owned(), &metadata)]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
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
        modified: metadata.modified().ok(),
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
    use super::*;

    fn list(text: &str) -> Result<List, usize> {
        let mut list = List::default();
        parse(text, &mut list).map(|()| list)
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
