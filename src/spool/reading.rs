//! Reads messages back.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::SpoolError;
use super::index::Place;
use super::record::{self, Bad, Kind, Note, decode, get_copy, get_message, view};
use super::segment::SegmentFile;
use super::store::{OpenSpool, now};
use crate::Message;

/// A message in a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its number. Later messages have higher ones; none is given out twice, but some may be left out.
    pub seq: u64,
    /// The message.
    pub message: Message,
    /// When it was appended, by the clock of the machine, in milliseconds.
    pub time: SystemTime,
    /// How often it was delivered, as [`OpenSpool::retry_at`] or [`OpenSpool::dead`] told last.
    pub deliveries: u32,
    /// Not to be delivered again before this time. If the clock was set back since that was noted, it is as much later than now as it was then.
    pub due: Option<SystemTime>,
    /// Why it is a dead letter, if it is one.
    pub reason: Option<String>,
    /// It was a dead letter, and is to be [delivered again](OpenSpool::replay) as if it had never been delivered.
    pub replayed: bool,
}

/// So much is read at once by who reads on.
const AHEAD: usize = 256 * 1024;

/// Reads from one segment at a time.
#[derive(Debug, Default)]
pub(super) struct Reader {
    file: Option<Arc<SegmentFile>>,
    /// What was read, and where it lies in the file.
    bytes: Vec<u8>,
    start: u64,
    /// The next record, from `start` on.
    at: usize,
    /// How much to read at once, at least.
    ahead: usize,
}

/// A message that was found: the flags and body of its record, and when it was appended, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    pub(super) flags: u8,
    pub(super) body: &'a [u8],
    pub(super) time: u64,
}

impl Reader {
    /// For one message.
    pub(super) fn one() -> Reader {
        Reader::default()
    }

    /// For many, in order.
    pub(super) fn ahead() -> Reader {
        Reader {
            ahead: AHEAD,
            ..Reader::default()
        }
    }

    /// The message that lies there.
    pub(super) fn find(
        &mut self,
        spool: &OpenSpool,
        place: &Place,
        seq: u64,
    ) -> Result<Raw<'_>, SpoolError> {
        let file = &place.file;
        let same = self.file.as_ref().is_some_and(|old| Arc::ptr_eq(old, file));
        let next = self.start + self.at as u64;
        let mut from_start = !same || !(place.from..place.to).contains(&next);
        if from_start {
            self.restart(place);
        }
        let corrupt = |at: u64| SpoolError::Corrupt {
            file: spool.path().join(file.name()),
            offset: at,
            what: "a message that was here before is not here",
        };
        let found = loop {
            let here = self.start + self.at as u64;
            let left = self.bytes.get(self.at..).unwrap_or_default();
            let missing = match decode(left, file.seed) {
                Ok(record) => {
                    let len = record.len();
                    let is_message =
                        record.kind == Kind::Message as u8 || record.kind == Kind::Copy as u8;
                    let at = self.at;
                    self.at += len;
                    if is_message && record.seq == seq {
                        break at;
                    }
                    if self.start + self.at as u64 >= place.to {
                        None
                    } else {
                        continue;
                    }
                }
                Err(Bad::Short(len)) => Some(len),
                // What was read may end within a header.
                Err(_) if left.len() < record::HEADER => Some(record::HEADER),
                Err(_) => None,
            };
            let Some(missing) = missing.filter(|len| here + *len as u64 <= place.to) else {
                // It is before, where this reader has been already.
                if from_start {
                    return Err(corrupt(here));
                }
                self.restart(place);
                from_start = true;
                continue;
            };
            // Not what is not yet there: it would be missed later.
            let ahead = (place.written - here).min(self.ahead as u64);
            self.refill(here, missing.max(ahead as usize))
                .map_err(|error| SpoolError::io("read", spool.path().join(file.name()), &error))?;
            if self.bytes.len() < missing {
                return Err(corrupt(here));
            }
        };
        let record = view(self.bytes.get(found..self.at).unwrap_or_default());
        let (body, time) = if record.kind == Kind::Copy as u8 {
            let at = self.start + found as u64;
            let copy = get_copy(record.body).ok_or_else(|| corrupt(at))?;
            (copy.body, copy.time)
        } else {
            let time = file.base_time.saturating_add(u64::from(record.time));
            (record.body, time)
        };
        Ok(Raw {
            flags: record.flags,
            body,
            time,
        })
    }

    /// The message behind the one that was found last, as far as that has been read already: its number, and the flags and body of its record.
    pub(super) fn next_at_hand(&mut self) -> Option<(u64, u8, &[u8])> {
        let seed = self.file.as_ref()?.seed;
        loop {
            let from = self.at;
            let record = decode(self.bytes.get(from..)?, seed).ok()?;
            if record.kind == Kind::Copy as u8 {
                return None;
            }
            self.at += record.len();
            if record.kind == Kind::Message as u8 {
                let record = view(self.bytes.get(from..self.at)?);
                return Some((record.seq, record.flags, record.body));
            }
        }
    }

    fn restart(&mut self, place: &Place) {
        let same = self.file.as_ref();
        let same = same.is_some_and(|old| Arc::ptr_eq(old, &place.file));
        let ahead = place.from.checked_sub(self.start);
        if let Some(ahead) = ahead.filter(|ahead| same && *ahead < self.bytes.len() as u64) {
            // It has been read already.
            self.at = ahead as usize;
            return;
        }
        self.file = Some(Arc::clone(&place.file));
        self.bytes.clear();
        self.start = place.from;
        self.at = 0;
    }

    /// Reads from there on.
    fn refill(&mut self, from: u64, len: usize) -> std::io::Result<()> {
        self.start = from;
        self.at = 0;
        self.bytes.resize(len, 0);
        let file = self.file.as_ref();
        let read = file.map_or(Ok(0), |file| file.file.read_at(&mut self.bytes, from));
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }
}

impl OpenSpool {
    /// A message that is not settled.
    ///
    /// # Errors
    ///
    /// [`SpoolError::NoSuchMessage`] if there is none of this number, [`SpoolError::Io`] or [`SpoolError::Corrupt`] if it cannot be read.
    pub fn read(&self, seq: u64) -> Result<Stored, SpoolError> {
        self.read_by(&mut Reader::one(), seq)?
            .ok_or(SpoolError::NoSuchMessage { seq })
    }

    /// All messages that are neither settled nor dead letters, in the order in which they were appended, those included that are appended
    /// meanwhile.
    ///
    /// ```no_run
    /// # fn f(spool: &zerohop::spool::OpenSpool) -> Result<(), zerohop::spool::SpoolError> {
    /// for stored in spool.unsettled() {
    ///     println!("{}", stored?.seq);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unsettled(&self) -> Unsettled<'_> {
        self.unsettled_from(0)
    }

    /// The same, from this number on.
    pub fn unsettled_from(&self, seq: u64) -> Unsettled<'_> {
        Unsettled {
            spool: self,
            next: seq,
            reader: Reader::ahead(),
        }
    }

    /// The dead letters, in the order in which they were appended.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters {
            spool: self,
            next: 0,
            reader: Reader::one(),
        }
    }

    /// Why there is nothing to read in a forked child. It ends who reads: it is told once.
    fn forked(&self, next: &mut u64) -> Option<SpoolError> {
        let forked = self.check_process().err();
        forked.filter(|_| std::mem::replace(next, u64::MAX) < u64::MAX)
    }

    /// A message, if it is not settled.
    pub(super) fn read_by(
        &self,
        reader: &mut Reader,
        seq: u64,
    ) -> Result<Option<Stored>, SpoolError> {
        let Some((place, note)) = self.place(seq)? else {
            return Ok(None);
        };
        let path = place.file.name();
        let raw = reader.find(self, &place, seq)?;
        let message = get_message(raw.flags, raw.body).ok_or_else(|| SpoolError::Corrupt {
            file: self.path().join(path),
            offset: place.from,
            what: "the frames of a message do not make up its body",
        })?;
        let due = (note.due > 0).then(|| time_of(note.due_by(now())));
        let Note {
            deliveries,
            dead,
            replayed,
            ..
        } = note;
        Ok(Some(Stored {
            seq,
            message,
            time: time_of(raw.time),
            deliveries,
            due,
            reason: dead.map(String::from),
            replayed,
        }))
    }
}

/// Milliseconds since 1970 as a time.
fn time_of(millis: u64) -> SystemTime {
    let since = Duration::from_millis(millis);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Iterates over messages that are not settled; see [`OpenSpool::unsettled`].
pub struct Unsettled<'a> {
    spool: &'a OpenSpool,
    next: u64,
    reader: Reader,
}

/// Iterates over dead letters; see [`OpenSpool::dead_letters`].
pub struct DeadLetters<'a> {
    spool: &'a OpenSpool,
    next: u64,
    reader: Reader,
}

impl Iterator for Unsettled<'_> {
    type Item = Result<Stored, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(seq) = self.spool.next_unsettled(self.next) else {
                return self.spool.forked(&mut self.next).map(Err);
            };
            self.next = seq.saturating_add(1);
            // It may have been settled meanwhile.
            let read = self.spool.read_by(&mut self.reader, seq).transpose();
            match read {
                Some(Ok(stored)) if stored.reason.is_some() => {}
                Some(read) => return Some(read),
                None => {}
            }
        }
    }
}

impl Iterator for DeadLetters<'_> {
    type Item = Result<Stored, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(seq) = self.spool.next_dead(self.next) else {
                return self.spool.forked(&mut self.next).map(Err);
            };
            self.next = seq.saturating_add(1);
            if let Some(read) = self.spool.read_by(&mut self.reader, seq).transpose() {
                return Some(read);
            }
        }
    }
}

impl fmt::Debug for Unsettled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsettled")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DeadLetters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
