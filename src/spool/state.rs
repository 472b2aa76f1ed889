//! What an open spool knows: the log as far as it is in memory, and where what is.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use super::error::SpoolError;
use super::index::Index;
use super::latest::Latest;
use super::record::{self, Kind, put_numbers};
use super::recover::Position;
use super::segment::SegmentFile;
use super::store::PENDING_MAX;
use super::writing::Spare;

/// So long before a segment was begun the clock may be for messages in it, in milliseconds: it is put right by less than this now and then.
pub(super) const SET_BACK: u64 = 60_000;

/// Where no segment can be begun for the time alone, that is tried again after so long, in milliseconds.
const TRY_AGAIN: u64 = 60_000;

/// What the lock guards. No file is touched under it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) index: Index,
    /// Which messages are the newest of their topics, where others are not kept.
    pub(super) latest: Option<Latest>,
    pub(super) next_seq: u64,
    /// Appended and not yet with the system, in order.
    pub(super) chunks: Vec<Chunk>,
    pub(super) pending: usize,
    /// Buffers to be used again.
    pub(super) buffers: Vec<Vec<u8>>,
    pub(super) next_segment: u64,
    /// All before is on the disk.
    pub(super) synced: Position,
    /// What of this is written in the log.
    pub(super) noted: Position,
    pub(super) spares: Vec<Spare>,
    /// In all files of segments.
    pub(super) bytes: u64,
    /// What is known of messages, and not in the log yet.
    pub(super) behind: Behind,
    /// Nothing more is written to the last segment: the next record begins another one.
    pub(super) begins: bool,
    /// A file is kept for what is noted of messages.
    pub(super) reserves: bool,
    /// The segment that was half full when it was last looked for old ones that little is needed of.
    looked_at: u64,
    /// The oldest segment, while what is needed of it is being copied.
    copying: Option<u64>,
    /// When the log has got so far, more of it is copied.
    copy_at: Position,
    /// When it was last tried in vain to begin a segment because the time did not fit in the last one.
    stays_since: Option<u64>,
    /// Why nothing more can be done.
    pub(super) fault: Option<SpoolError>,
}

/// What is known of messages in memory, and is to be noted in the log when there is room for it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Settled messages, by the first and the last, and whether one of them was a copy.
    pub(super) settled: Vec<(u64, u64, bool)>,
    /// Live messages of which something else is known than the log says.
    pub(super) changed: BTreeSet<u64>,
}

impl Behind {
    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.changed.is_empty()
    }

    /// These messages are settled: nothing else of them matters.
    pub(super) fn settle(&mut self, first: u64, last: u64, copied: bool) {
        match self.settled.last_mut() {
            Some((_, end, copy)) if end.checked_add(1) == Some(first) => {
                *end = last;
                *copy |= copied;
            }
            _ => self.settled.push((first, last, copied)),
        }
        while let Some(&seq) = self.changed.range(first..=last).next() {
            self.changed.remove(&seq);
        }
    }
}

/// What room is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A message, which leaves room for all that is noted of messages.
    Message,
    /// What has become of messages: it is known in memory as well, and can wait. It leaves room for copies.
    Change,
    /// A message of a log, of which nothing will be noted; or a note about the log itself.
    Log,
    /// A copy of a message, so that its segment can go; or the beginning of a log. The limit does not hold for it.
    Copy,
}

impl Need {
    /// Whether the last file that is prepared stays for others.
    pub(super) fn leaves_one(self) -> bool {
        matches!(self, Need::Message | Need::Change)
    }
}

/// More is copied whenever the log has grown by so much.
const COPY_EVERY: u64 = 64 << 10;

/// Bytes for one file.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) file: Arc<SegmentFile>,
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl State {
    pub(super) fn new(index: Index, next_seq: u64, next_segment: u64, synced: Position) -> State {
        State {
            index,
            latest: None,
            next_seq,
            chunks: Vec::new(),
            pending: 0,
            buffers: Vec::new(),
            next_segment,
            synced,
            noted: (0, 0),
            spares: Vec::new(),
            bytes: 0,
            behind: Behind::default(),
            begins: false,
            reserves: false,
            looked_at: 0,
            copying: None,
            copy_at: (0, 0),
            stays_since: None,
            fault: None,
        }
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> Position {
        let last = self.index.segments.back();
        last.map_or((0, 0), |last| (last.file.number, last.end))
    }

    #[inline]
    pub(super) fn fits(&self, len: usize) -> bool {
        let last = self.index.segments.back();
        !self.begins && last.is_some_and(|last| last.end + len as u64 <= last.size)
    }

    /// Whether the last segment can hold this time, or has to do, as no other could be begun. It has 32 bits for milliseconds since it was begun, which are
    /// 49.7 days; and the clock may have been set back since.
    #[inline]
    pub(super) fn is_timely(&self, time: u64) -> bool {
        let last = self.index.segments.back();
        last.is_none_or(|last| {
            let base = last.file.base_time;
            let fits = time.saturating_sub(base) < u64::from(u32::MAX);
            fits && time.saturating_add(SET_BACK) >= base
        }) || self.has_to_do(time)
    }

    #[cold]
    fn has_to_do(&self, time: u64) -> bool {
        let since = self.stays_since;
        since.is_some_and(|since| since.abs_diff(time) < TRY_AGAIN)
    }

    /// No segment could be begun for this time.
    pub(super) fn stay(&mut self, time: u64) {
        self.stays_since = Some(time);
    }

    /// Puts a record at the end of the log, where there is room for it, and gives its place in the segment.
    #[inline]
    pub(super) fn put(
        &mut self,
        kind: (Kind, u8),
        seq: u64,
        time: u64,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> u64 {
        self.note_synced(time);
        self.put_record(time, |out, seed, time| {
            record::encode(out, seed, kind, seq, time, put);
        })
    }

    /// Appends a message of one frame, where there is room for it.
    #[inline]
    pub(super) fn append(&mut self, body: &[u8], time: u64) {
        self.note_synced(time);
        let seq = self.next_seq;
        let at = self.put_record(time, |out, seed, time| {
            record::encode_slice(out, seed, (Kind::Message, 0), seq, time, body);
        });
        self.index.push(seq, at, false);
        self.next_seq += 1;
    }

    /// What is known to be on the disk is noted before what is next to be written.
    #[inline]
    fn note_synced(&mut self, time: u64) {
        if self.chunks.is_empty() && self.noted < self.synced {
            self.noted = self.synced;
            let (number, offset) = self.synced;
            self.put_record(time, |out, seed, time| {
                record::encode(out, seed, (Kind::Synced, 0), 0, time, |out| {
                    put_numbers(out, [number, offset]);
                });
            });
        }
    }

    /// `encode` is given the seed of the segment, and the time from its base time on.
    #[inline]
    fn put_record(&mut self, time: u64, encode: impl FnOnce(&mut Vec<u8>, u32, u32)) -> u64 {
        let Some(last) = self.index.segments.back_mut() else {
            return 0;
        };
        let at = last.end;
        let same = |chunk: &Chunk| chunk.file.number == last.file.number;
        if !self.chunks.last().is_some_and(same) {
            self.chunks.push(Chunk {
                file: Arc::clone(&last.file),
                at,
                bytes: self.buffers.pop().unwrap_or_default(),
            });
        }
        if let Some(chunk) = self.chunks.last_mut() {
            let before = chunk.bytes.len();
            let time = time.saturating_sub(last.file.base_time);
            // Only where there is no room for another segment does it not fit.
            let time = u32::try_from(time).unwrap_or(u32::MAX);
            encode(&mut chunk.bytes, last.file.seed, time);
            let len = chunk.bytes.len() - before;
            last.end += len as u64;
            self.pending += len;
        }
        at
    }

    /// What has been appended, for the leader to write.
    pub(super) fn take_chunks(&mut self) -> Vec<Chunk> {
        self.pending = 0;
        mem::take(&mut self.chunks)
    }

    /// It has been written.
    pub(super) fn written(&mut self, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let upto = chunk.at + chunk.bytes.len() as u64;
            let segments = self.index.segments.iter_mut().rev();
            let mut same = segments.filter(|segment| segment.file.number == chunk.file.number);
            if let Some(segment) = same.next() {
                segment.written = upto;
            }
            let mut buffer = chunk.bytes;
            if self.buffers.len() < 2 && buffer.capacity() <= 2 * PENDING_MAX {
                buffer.clear();
                self.buffers.push(buffer);
            }
        }
    }

    /// How much of the last segment is used, and how many more are prepared, if that is not enough for what comes then.
    pub(super) fn wants_spare(&self) -> Option<(u64, u64)> {
        let last = self.index.segments.back()?;
        let wanted = 1 + usize::from(self.reserves);
        (self.spares.len() < wanted).then_some((last.end, self.spares.len() as u64))
    }

    /// Whether it is time to copy what is needed of old segments forward: once in each segment, when half of it is used. What was on its way
    /// when the segment was begun has been settled by then, unless it is stuck; and there is still room for the copies. What has been begun goes on
    /// in step with the log.
    #[inline]
    pub(super) fn is_compaction_due(&mut self) -> bool {
        let Some(last) = self.index.segments.back() else {
            return false;
        };
        let number = last.file.number;
        if self.copying.is_some() {
            return self.end() >= self.copy_at;
        }
        let is_due = last.end >= last.size / 2 && number != self.looked_at;
        if is_due {
            self.looked_at = number;
        }
        is_due && self.index.segments.len() > 1
    }

    /// The next messages of the oldest segment that are to be copied forward, so many at the most. None are left: the segment can go. `None`: it is to
    /// stay.
    pub(super) fn next_to_copy(&mut self, segment_size: u64, most: usize) -> Option<Vec<u64>> {
        let oldest = self.index.oldest_before_last()?;
        if self.copying != Some(oldest) {
            self.copying = None;
            // Logs that keep the newest of each topic are cleaned in a way of their own.
            if self.latest.is_some() || !self.index.is_compactable(segment_size) {
                return None;
            }
            self.copying = Some(oldest);
        }
        Some(self.index.in_oldest(most))
    }

    /// All that was needed of the oldest segment has been copied, or enough for now.
    pub(super) fn copied(&mut self, all: bool) {
        if all {
            self.copying = None;
        }
        let (number, end) = self.end();
        self.copy_at = (number, end + COPY_EVERY);
    }

    /// The bytes that the limit is for. Where no message is left, all segments go when another is begun.
    pub(super) fn held_bytes(&self) -> u64 {
        match self.index.live {
            0 => self.bytes.saturating_sub(self.index.size()),
            _ => self.bytes,
        }
    }

    pub(super) fn has_spare(&self, size: u64, need: Need) -> bool {
        let fits = self.spares.iter().any(|spare| spare.size >= size);
        // Where no message is left there is nothing to copy, and the last segment can go when another is begun.
        let enough = self.spares.len() > 1 || self.index.live == 0;
        fits && (enough || !need.leaves_one())
    }

    pub(super) fn take_spare(&mut self, size: u64, need: Need) -> Option<Spare> {
        if !self.has_spare(size, need) {
            return None;
        }
        let at = self.spares.iter().position(|spare| spare.size >= size)?;
        Some(self.spares.swap_remove(at))
    }
}
