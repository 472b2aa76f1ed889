//! Reads a spool from its folder, and finds out what became of it: closed in good order, torn by a crash, or damaged. Changes nothing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::error::SpoolError;
use super::identity::{self, Identity};
use super::index::{Index, Segment};
use super::latest::{Extent, Latest};
use super::record::{self, Kind, Note, Record, first_frame, get_copy, get_numbers, u32_at};
use super::scan::{Found, Scan};
use super::segment::{
    self, BadHeader, HEADER, SegmentFile, SegmentHeader, file_name, number_of, seed,
};
use super::settings::Spool;
use super::state::SET_BACK;

/// The lock file.
pub(crate) const LOCK: &str = "spool.lock";

/// Numbers of messages and segments are below this. It leaves room for those that are left out, and cannot be reached.
const NUMBER_MAX: u64 = 1 << 62;

/// How often a spool may have been opened: each time may leave out 2^32 numbers.
pub(super) const INCARNATION_MAX: u64 = 1 << 30;

/// No segment is longer: one for a message of nearly 4 GiB.
const LEN_MAX: u64 = 5 << 30;

/// A place in the log: the number of the segment, and the offset in it.
pub(crate) type Position = (u64, u64);

/// A part of a file that holds no records although it should: what a crash left unwritten, or damage that was gone on without.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The first byte.
    pub from: u64,
    /// The byte behind the last. For the end of the log it is where the file ends.
    pub to: u64,
}

/// What was found in a folder.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) identity: Identity,
    pub(crate) index: Index,
    /// Which messages are the newest of their topics, where others are not kept.
    pub(crate) latest: Option<Latest>,
    /// The number for the next message, if the spool was closed in good order.
    pub(crate) next_seq: u64,
    /// The number for the next segment.
    pub(crate) next_segment: u64,
    /// Where the last segment ends.
    pub(crate) end: u64,
    /// All before was on the disk.
    pub(crate) synced: Position,
    /// It was closed in good order by the one who opened it last.
    pub(crate) clean: bool,
    /// What cannot be read, and was not known before.
    pub(crate) damage: Vec<Damage>,
    /// The same, but for the end of the log, as segment, first and last byte.
    pub(crate) holes: Vec<[u64; 3]>,
    /// The header of the last segment, if it can be read.
    pub(crate) last_header: Option<SegmentHeader>,
    /// Files that are no longer needed, or were not yet.
    pub(crate) leftovers: Vec<String>,
    /// Records that were read.
    pub(crate) records: u64,
}

/// A segment's file, before its records are read.
struct Candidate {
    name: String,
    number: u64,
    header: Result<SegmentHeader, BadHeader>,
    len: u64,
    file: Box<dyn DiskFile>,
}

impl Candidate {
    /// Its header, if it is not that of an earlier use of the file.
    fn own_header(&self) -> Option<SegmentHeader> {
        self.header
            .ok()
            .filter(|header| header.number == self.number)
    }
}

/// What is gathered from one record to the next.
struct Reading<'a> {
    folder: &'a Path,
    index: Index,
    latest: Option<Latest>,
    next_seq: u64,
    /// Numbers from this one on that are not found have been lost: it is not just that the segments before have gone.
    counts: bool,
    synced: Position,
    closed: Option<u64>,
    known: Vec<[u64; 3]>,
    damage: Vec<[u64; 3]>,
    /// Bytes that were damaged since the last message: so many numbers may be missing.
    lost: u64,
    records: u64,
    last_header: Option<SegmentHeader>,
}

/// Reads the folder. `None`: it is empty, or was about to become a spool.
pub(crate) fn load(disk: &dyn Disk, settings: &Spool) -> Result<Option<Loaded>, SpoolError> {
    let folder: &Path = &settings.path;
    let (writable, salvage) = (!settings.read_only, settings.salvage);
    let names = disk
        .list()
        .map_err(|error| SpoolError::io("list", folder, &error))?;
    let Some(identity) = Identity::read(disk, folder)? else {
        if names
            .iter()
            .all(|name| name == LOCK || name == identity::NEW_NAME)
        {
            return Ok(None);
        }
        return Err(SpoolError::NotASpool {
            path: folder.to_owned(),
            what: "the folder is not empty, and has no file spool.id",
        });
    };
    if identity.incarnation > INCARNATION_MAX {
        let file = folder.join(identity::NAME);
        return Err(corrupt(file, 32, "no spool is opened so often"));
    }
    let mut leftovers: Vec<String> = names
        .iter()
        .filter(|name| name.starts_with("spare-") || name.starts_with("new-"))
        .cloned()
        .collect();
    let mut candidates = candidates(disk, folder, writable, &names, &identity)?;
    let oldest = candidates.iter().filter_map(|c| c.header.as_ref().ok());
    let oldest = oldest.map(|header| header.oldest).max().unwrap_or(0);
    // They were given up, and are back after a crash.
    while candidates
        .front()
        .is_some_and(|first| first.number < oldest)
    {
        leftovers.extend(candidates.pop_front().map(|first| first.name));
    }

    let mut reading = Reading {
        folder,
        index: Index::default(),
        latest: settings.keep_last.map(Latest::new),
        next_seq: 1,
        counts: candidates.front().is_some_and(|first| first.number == 1),
        synced: (0, 0),
        closed: None,
        known: Vec::new(),
        damage: Vec::new(),
        lost: 0,
        records: 0,
        last_header: None,
    };
    let mut next_segment = candidates.front().map_or(1, |first| first.number);
    let mut torn = None;
    let mut buffer = Vec::new();
    while let Some(candidate) = candidates.pop_front() {
        if candidate.number != next_segment {
            let file = folder.join(file_name(next_segment));
            return Err(corrupt(file, 0, "the segment is missing"));
        }
        let next = candidates.front();
        let read = reading.segment(&identity, candidate, next, &mut buffer, salvage)?;
        match read {
            Ended::At { torn: at } => torn = at,
            Ended::Unused { name } => {
                leftovers.push(name);
                break;
            }
        }
        next_segment += 1;
    }
    reading.finish(identity, next_segment, torn, leftovers, salvage)
}

/// The files of segments, in order, with their headers.
fn candidates(
    disk: &dyn Disk,
    folder: &Path,
    writable: bool,
    names: &[String],
    identity: &Identity,
) -> Result<VecDeque<Candidate>, SpoolError> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    let mut candidates = VecDeque::new();
    for number in numbers {
        let name = file_name(number);
        let path = folder.join(&name);
        let io = |error| SpoolError::io("read", &path, &error);
        let file = disk.open(&name, writable).map_err(io)?;
        let mut bytes = [0; HEADER];
        let len = file.len().map_err(io)?;
        file.read_at(&mut bytes, 0).map_err(io)?;
        let header = SegmentHeader::decode(&bytes);
        match header {
            Err(BadHeader::Newer(version)) => {
                return Err(SpoolError::Newer {
                    file: path,
                    version,
                });
            }
            Ok(header) if header.stream != identity.stream => {
                return Err(SpoolError::NotASpool {
                    path,
                    what: "the segment belongs to another spool",
                });
            }
            Ok(header) if !is_sound(&header) => {
                return Err(corrupt(
                    path,
                    0,
                    "no segment has such numbers in its header",
                ));
            }
            _ if number >= NUMBER_MAX => {
                return Err(corrupt(path, 0, "no segment has such a number"));
            }
            _ => {}
        }
        candidates.push_back(Candidate {
            name,
            number,
            header,
            len,
            file,
        });
    }
    Ok(candidates)
}

/// Whether the numbers of a header are such as this library writes. It would lead astray otherwise, whoever wrote it.
fn is_sound(header: &SegmentHeader) -> bool {
    let numbers = [header.number, header.first_seq];
    numbers.into_iter().all(|number| number < NUMBER_MAX)
        && header.oldest <= header.number
        && header.previous_end <= LEN_MAX
}

/// How reading a segment ended.
enum Ended {
    /// Behind a record. Of the last segment, whether there was something behind.
    At { torn: Option<(PathBuf, u64, u64)> },
    /// It has no records: it had been made, and not been used.
    Unused { name: String },
}

impl Reading<'_> {
    fn segment(
        &mut self,
        identity: &Identity,
        candidate: Candidate,
        next: Option<&Candidate>,
        buffer: &mut Vec<u8>,
        salvage: bool,
    ) -> Result<Ended, SpoolError> {
        let Candidate {
            name, number, len, ..
        } = candidate;
        let path = self.folder.join(&name);
        let header = candidate
            .header
            .ok()
            .filter(|header| header.number == number);
        let following = next.and_then(Candidate::own_header);
        let limit = following.map_or(len, |following| following.previous_end);
        let readable = limit.min(len);
        if let Some(header) = header
            && next.is_none()
            && header.allocated
            && len < header.size
            && !salvage
        {
            return Err(corrupt(path, len, "the file is shorter than it was made"));
        }
        let wanted = usize::try_from(readable).unwrap_or(usize::MAX);
        if buffer.len() < wanted {
            // The system's zeros cost nothing; `resize` fills them in one by one in builds without optimisation.
            *buffer = vec![0; wanted];
        }
        let bytes = buffer.get_mut(..wanted).unwrap_or_default();
        let read = candidate.file.read_at(bytes, 0);
        let read = read.map_err(|error| SpoolError::io("read", &path, &error))?;
        let buffer = buffer.get(..read).unwrap_or_default();
        let readable = read as u64;

        let seed = seed(&identity.stream, number);
        let fresh = header.is_some_and(|header| header.fresh) && next.is_none();
        let mut scan = Scan::new(buffer, seed, HEADER, fresh);
        let mut found = scan.next();
        let empty = matches!(found, Found::End { .. });
        if let Some(header) = header {
            if header.first_seq < self.next_seq {
                return Err(corrupt(
                    path,
                    0,
                    "its messages come before those of the segment before",
                ));
            }
            self.begin(header.first_seq);
            // What is missing before has been counted: also by who no longer finds the segments before.
            self.lost = 0;
        }
        if next.is_none()
            && empty
            && (header.is_none() || matches!(found, Found::End { torn: false, .. }))
        {
            return Ok(Ended::Unused { name });
        }
        if header.is_none() {
            self.damaged(number, 0, HEADER as u64);
            let mut look = Scan::new(buffer, seed, HEADER, false);
            let first = loop {
                match look.next() {
                    Found::Record(_, record) if record.kind == Kind::Message as u8 => {
                        break Some(record.seq.max(self.next_seq));
                    }
                    Found::End { .. } => break None,
                    _ => {}
                }
            };
            if let Some(first) = first {
                self.begin(first);
            }
        }
        let file = SegmentFile {
            number,
            seed,
            base_time: header.map_or(0, |header| header.base_time),
            file: candidate.file,
            spare_name: None,
            recycled: false,
        };
        let segment = Segment::new(Arc::new(file), len, self.next_seq);
        self.index.segments.push_back(segment);
        self.last_header = header;

        let mut torn = None;
        let end = loop {
            match found {
                Found::Record(at, record) => {
                    self.record(number, at as u64, &record)
                        .map_err(|what| corrupt(path.clone(), at as u64, what))?;
                }
                Found::Hole(from, to) => self.damaged(number, from as u64, to as u64),
                Found::End { at, torn: is_torn } => {
                    let at = at as u64;
                    if next.is_some() && at < limit {
                        self.damaged(number, at, limit);
                    } else if next.is_none() && is_torn {
                        torn = Some((path, at, readable));
                    }
                    break at;
                }
            }
            found = scan.next();
        };
        if let Some(segment) = self.index.segments.back_mut() {
            segment.end = if next.is_some() { limit.max(end) } else { end };
            segment.written = segment.end;
        }
        Ok(Ended::At { torn })
    }

    /// The first message of a segment has this number.
    fn begin(&mut self, first_seq: u64) {
        self.lose_before(first_seq);
        self.next_seq = first_seq;
        self.counts = true;
    }

    fn damaged(&mut self, segment: u64, from: u64, to: u64) {
        self.damage.push([segment, from, to]);
        self.lost += to - from;
        self.closed = None;
    }

    /// Takes a record in.
    fn record(&mut self, segment: u64, at: u64, record: &Record<'_>) -> Result<(), &'static str> {
        const MALFORMED: &str = "a record of its kind does not look like this";
        let kind =
            Kind::of(record.kind).ok_or("a kind of record that this version does not know")?;
        let (seq, body) = (record.seq, record.body);
        self.records += 1;
        self.closed = None;
        match kind {
            Kind::Message => {
                let gap = seq
                    .checked_sub(self.next_seq)
                    .ok_or("its number has been given out before")?;
                if seq >= NUMBER_MAX {
                    return Err("no message has such a number");
                }
                // Each that is missing took a header at least.
                if gap > self.lost / record::HEADER as u64 {
                    return Err("the numbers between it and the message before are missing");
                }
                self.lose_before(seq);
                self.index.push(seq, at, self.lost > 0);
                let base_time = self.base_time();
                if let Some(latest) = &mut self.latest {
                    let extent = Extent {
                        len: record.len() as u64,
                        time: base_time.saturating_add(u64::from(record.time)),
                    };
                    let topic = first_frame(record.flags, body).unwrap_or(body);
                    if let Some(old) = latest.push(seq, topic, extent) {
                        self.index.settle(old, old);
                    }
                }
                self.lost = 0;
                self.next_seq = seq + 1;
            }
            Kind::Copy => {
                let copy = get_copy(body).ok_or(MALFORMED)?;
                // It was in an older segment. Where the header is missing, that is not known.
                let before = match self.last_header {
                    Some(header) => header.first_seq,
                    None => NUMBER_MAX,
                };
                if seq >= before {
                    return Err("a copy of a message that was not in an older segment");
                }
                if seq >= self.next_seq {
                    self.lose_before(seq);
                    self.next_seq = seq + 1;
                }
                let len = record.len() as u64;
                let noted = self.noted(record);
                let note = match copy.note.due {
                    0 => copy.note,
                    _ => Note { noted, ..copy.note },
                };
                self.index.push_copy(seq, at, len, note);
                if let Some(latest) = &mut self.latest {
                    let extent = Extent {
                        len,
                        time: copy.time,
                    };
                    let topic = first_frame(record.flags, copy.body).unwrap_or(copy.body);
                    if let Some(old) = latest.insert(seq, topic, extent) {
                        self.index.settle(old, old);
                    }
                }
            }
            Kind::Settled => {
                for pair in get_numbers(body, 2).ok_or(MALFORMED)?.chunks_exact(2) {
                    self.index.settle(pair[0], pair[1]);
                    if let Some(latest) = &mut self.latest {
                        latest.lose(pair[0], pair[1]);
                    }
                }
            }
            Kind::Dead => {
                let reason = str::from_utf8(body.get(4..).ok_or(MALFORMED)?);
                let reason = reason.map_err(|_| MALFORMED)?;
                self.index.note(seq, |note| {
                    *note = Note {
                        deliveries: u32_at(body, 0),
                        dead: Some(reason.into()),
                        ..Note::default()
                    }
                });
            }
            Kind::Retry => {
                let [due, deliveries] = get_numbers(body, 2).ok_or(MALFORMED)?[..] else {
                    return Err(MALFORMED);
                };
                let deliveries = u32::try_from(deliveries).map_err(|_| MALFORMED)?;
                let noted = self.noted(record);
                self.index.note(seq, |note| {
                    *note = Note {
                        deliveries,
                        due,
                        noted,
                        ..Note::default()
                    }
                });
            }
            Kind::Replayed => {
                self.index.note(seq, |note| *note = Note::replayed());
            }
            Kind::Synced => {
                let [number, offset] = get_numbers(body, 2).ok_or(MALFORMED)?[..] else {
                    return Err(MALFORMED);
                };
                self.is_synced((number, offset), (segment, at));
            }
            Kind::Holes => {
                let numbers = get_numbers(body, 3).ok_or(MALFORMED)?;
                let holes = numbers
                    .chunks_exact(3)
                    .map(|hole| [hole[0], hole[1], hole[2]]);
                self.known.extend(holes);
            }
            Kind::Closed => {
                let [incarnation, number, offset] = get_numbers(body, 3).ok_or(MALFORMED)?[..]
                else {
                    return Err(MALFORMED);
                };
                self.is_synced((number, offset), (segment, at));
                self.closed = Some(incarnation);
            }
        }
        Ok(())
    }

    /// Messages that should come before this one have not been found.
    fn lose_before(&mut self, seq: u64) {
        // What was lost of segments that have gone has been noted behind them.
        if let Some(latest) = &mut self.latest
            && self.counts
            && self.next_seq < seq
        {
            latest.lose(self.next_seq, seq - 1);
        }
    }

    fn base_time(&self) -> u64 {
        let last = self.index.segments.back();
        last.map_or(0, |last| last.file.base_time)
    }

    /// When a record was written. If it has the base time, the clock may have been before that, within bounds.
    fn noted(&self, record: &Record<'_>) -> u64 {
        let base_time = self.base_time();
        match record.time {
            0 => base_time.saturating_sub(SET_BACK),
            time => base_time.saturating_add(u64::from(time)),
        }
    }

    /// What is said at `here` about what was on the disk by then.
    fn is_synced(&mut self, said: Position, here: Position) {
        self.synced = self.synced.max(said.min(here));
    }

    fn finish(
        self,
        identity: Identity,
        next_segment: u64,
        torn: Option<(PathBuf, u64, u64)>,
        leftovers: Vec<String>,
        salvage: bool,
    ) -> Result<Option<Loaded>, SpoolError> {
        let mut damage = Vec::new();
        let mut holes = Vec::new();
        for hole in self.damage {
            let [number, from, to] = hole;
            if self.known.contains(&hole) {
                continue;
            }
            let file = self.folder.join(segment::file_name(number));
            if (number, from) < self.synced && !salvage {
                return Err(corrupt(
                    file,
                    from,
                    "no valid record, and what is here was on the disk",
                ));
            }
            damage.push(Damage { file, from, to });
            holes.push(hole);
        }
        // Behind the last record of a spool that was closed, nothing was being written: what looks so is left from what the file was before.
        let clean = self.closed == Some(identity.incarnation) && holes.is_empty();
        if let Some((file, from, to)) = torn.filter(|_| !clean) {
            damage.push(Damage { file, from, to });
        }
        Ok(Some(Loaded {
            identity,
            next_seq: self.next_seq,
            next_segment,
            end: self.index.segments.back().map_or(0, |last| last.end),
            index: self.index,
            latest: self.latest,
            synced: self.synced,
            clean,
            damage,
            holes,
            last_header: self.last_header,
            leftovers,
            records: self.records,
        }))
    }
}

fn corrupt(file: PathBuf, offset: u64, what: &'static str) -> SpoolError {
    SpoolError::Corrupt { file, offset, what }
}
