//! What is known of the messages in a spool: where they are, and which are not settled. Pure data; the files are only passed through.
//!
//! Each segment has a range of numbers of its own, those of the messages that were appended to it, and one bit for each that says whether it
//! is still needed (*live*). Messages that were copied forward are in a map besides. So a message costs a bit, and 8 bytes for
//! every 4 KiB of messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::record::Note;
use super::segment::SegmentFile;

/// The place of one message is noted for every so many bytes; from there on a reader goes from record to record.
const STRIDE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<SegmentFile>,
    /// Bytes in the file.
    pub(crate) size: u64,
    /// The number of the first message appended to it.
    pub(crate) first_seq: u64,
    /// Where the next record goes.
    pub(crate) end: u64,
    /// What has been given to the system; the rest is in memory.
    pub(crate) written: u64,
    /// Message and offset, in units of 8 bytes; both relative to the segment.
    places: Vec<(u32, u32)>,
    live: Vec<u64>,
    /// Numbers given out in it.
    pub(crate) count: u64,
    pub(crate) live_count: u64,
    /// Messages copied to it that are live.
    pub(crate) guests: u64,
    /// Their bytes.
    guest_bytes: u64,
}

/// Where to begin to look for a message.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Arc<SegmentFile>,
    pub(crate) from: u64,
    /// It lies before.
    pub(crate) to: u64,
    /// What the system has of the segment.
    pub(crate) written: u64,
}

impl Segment {
    pub(crate) fn new(file: Arc<SegmentFile>, size: u64, first_seq: u64) -> Segment {
        Segment {
            file,
            size,
            first_seq,
            end: super::segment::HEADER as u64,
            written: 0,
            places: Vec::new(),
            live: Vec::new(),
            count: 0,
            live_count: 0,
            guests: 0,
            guest_bytes: 0,
        }
    }

    /// A message that follows those it has. Numbers between, which were lost, are not live.
    #[inline]
    fn push(&mut self, seq: u64, at: u64, after_hole: bool) {
        let index = seq - self.first_seq;
        let near = self
            .places
            .last()
            .is_some_and(|(_, last)| at < u64::from(*last) * 8 + STRIDE);
        if !near || after_hole {
            self.places.push((index as u32, (at / 8) as u32));
        }
        self.count = index + 1;
        let word = (index / 64) as usize;
        if word >= self.live.len() {
            self.live.resize(word + 1, 0);
        }
        self.live[word] |= 1 << (index % 64);
        self.live_count += 1;
    }

    fn is_live(&self, seq: u64) -> bool {
        let Some(index) = seq.checked_sub(self.first_seq) else {
            return false;
        };
        let word = self.live.get((index / 64) as usize);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Takes the messages from `first` to `last` out, and gives how many were live.
    fn settle(&mut self, first: u64, last: u64) -> u64 {
        if self.count == 0 || last < self.first_seq || first >= self.first_seq + self.count {
            return 0;
        }
        let first = first.saturating_sub(self.first_seq);
        let last = (last - self.first_seq).min(self.count - 1);
        let mut settled = 0;
        for word in first / 64..=last / 64 {
            let low = first.saturating_sub(word * 64).min(63);
            let high = (last - word * 64).min(63);
            let mask = (u64::MAX << low) & (u64::MAX >> (63 - high));
            let live = &mut self.live[word as usize];
            settled += u64::from((*live & mask).count_ones());
            *live &= !mask;
        }
        self.live_count -= settled;
        settled
    }

    /// The first live message from this one on.
    fn next_live(&self, from: u64) -> Option<u64> {
        let from = from.saturating_sub(self.first_seq);
        let mut word = (from / 64) as usize;
        let mut bits = self.live.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.live.get(word)?;
        }
        Some(self.first_seq + word as u64 * 64 + u64::from(bits.trailing_zeros()))
    }

    /// The last live message.
    fn last_live(&self) -> Option<u64> {
        let word = self.live.iter().rposition(|bits| *bits != 0)?;
        let bit = 63 - self.live.get(word)?.leading_zeros();
        Some(self.first_seq + word as u64 * 64 + u64::from(bit))
    }

    fn place(&self, seq: u64) -> Place {
        let index = (seq - self.first_seq) as u32;
        let next = self.places.partition_point(|(first, _)| *first <= index);
        let offset = |(_, at): &(u32, u32)| u64::from(*at) * 8;
        let before = next.checked_sub(1).and_then(|last| self.places.get(last));
        let to = self.places.get(next).map_or(self.end, offset);
        Place {
            file: Arc::clone(&self.file),
            from: before.map_or(super::segment::HEADER as u64, offset),
            to,
            written: self.written,
        }
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.live_count + self.guests > 0
    }

    /// About so many bytes of it are needed: of messages that lie close together, the part that is live counts.
    fn live_bytes(&self) -> u64 {
        let mut bytes = self.guest_bytes;
        for (at, &(first, from)) in self.places.iter().enumerate() {
            let next = self.places.get(at + 1);
            let (next, to) = next.map_or((self.count, self.end), |(next, to)| {
                (u64::from(*next), u64::from(*to) * 8)
            });
            let first = u64::from(first);
            let (messages, live) = (next.saturating_sub(first), self.count_live(first, next));
            let between = to.saturating_sub(u64::from(from) * 8);
            bytes += between * live / messages.max(1);
        }
        bytes
    }

    /// How many of its messages are live, from one to another, counted from its first.
    fn count_live(&self, from: u64, to: u64) -> u64 {
        let mut count = 0;
        for word in from / 64..to.div_ceil(64) {
            let low = from.saturating_sub(word * 64).min(63);
            let high = (to - word * 64 - 1).min(63);
            let mask = (u64::MAX << low) & (u64::MAX >> (63 - high));
            let live = self.live.get(word as usize).copied().unwrap_or(0);
            count += u64::from((live & mask).count_ones());
        }
        count
    }

    /// Less than a twentieth of its messages is live.
    fn is_sparse(&self) -> bool {
        let live = self.live_count + self.guests;
        live > 0 && live * 20 < self.count.max(self.guests)
    }
}

/// Where a copied message is.
#[derive(Clone, Copy, Debug)]
struct Moved {
    segment: u64,
    at: u64,
    len: u64,
}

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// In order. New records go to the last one.
    pub(crate) segments: VecDeque<Segment>,
    moved: BTreeMap<u64, Moved>,
    /// Of live messages only.
    notes: BTreeMap<u64, Note>,
    pub(crate) live: u64,
    pub(crate) dead: u64,
}

impl Index {
    /// The segment that has a number of its own for the message. Numbers of segments that are empty are none.
    fn owner(&mut self, seq: u64) -> Option<&mut Segment> {
        let next = self
            .segments
            .partition_point(|segment| segment.first_seq <= seq);
        self.segments.get_mut(next.checked_sub(1)?)
    }

    fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        let first = self.segments.front()?.file.number;
        self.segments
            .get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// A message was appended to the last segment.
    #[inline]
    pub(crate) fn push(&mut self, seq: u64, at: u64, after_hole: bool) {
        if let Some(segment) = self.segments.back_mut() {
            segment.push(seq, at, after_hole);
            self.live += 1;
        }
    }

    /// A message was copied to the last segment, with all that is known of it.
    pub(crate) fn push_copy(&mut self, seq: u64, at: u64, len: u64, note: Note) {
        self.settle(seq, seq);
        let Some(segment) = self.segments.back_mut() else {
            return;
        };
        segment.guests += 1;
        segment.guest_bytes += len;
        let moved = Moved {
            segment: segment.file.number,
            at,
            len,
        };
        self.moved.insert(seq, moved);
        self.live += 1;
        if note != Note::default() {
            self.dead += u64::from(note.dead.is_some());
            self.notes.insert(seq, note);
        }
    }

    /// Whether one of these live messages was copied.
    pub(crate) fn has_copy(&self, first: u64, last: u64) -> bool {
        first <= last && self.moved.range(first..=last).next().is_some()
    }

    /// Takes messages out, and gives how many of them were live.
    pub(crate) fn settle(&mut self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        let mut settled = 0;
        let from = self
            .segments
            .partition_point(|segment| segment.first_seq <= first);
        for segment in self.segments.range_mut(from.saturating_sub(1)..) {
            if segment.first_seq > last {
                break;
            }
            settled += segment.settle(first, last);
        }
        while let Some((&seq, &moved)) = self.moved.range(first..=last).next() {
            self.moved.remove(&seq);
            if let Some(segment) = self.segment(moved.segment) {
                segment.guests -= 1;
                segment.guest_bytes -= moved.len;
            }
            settled += 1;
        }
        while let Some((&seq, _)) = self.notes.range(first..=last).next() {
            let note = self.notes.remove(&seq);
            self.dead -= u64::from(note.is_some_and(|note| note.dead.is_some()));
        }
        self.live -= settled;
        settled
    }

    pub(crate) fn is_live(&mut self, seq: u64) -> bool {
        self.moved.contains_key(&seq) || self.owner(seq).is_some_and(|owner| owner.is_live(seq))
    }

    /// Changes what is known of a live message; whether it is one.
    pub(crate) fn note(&mut self, seq: u64, change: impl FnOnce(&mut Note)) -> bool {
        if !self.is_live(seq) {
            return false;
        }
        let mut note = self.notes.remove(&seq).unwrap_or_default();
        self.dead -= u64::from(note.dead.is_some());
        change(&mut note);
        self.dead += u64::from(note.dead.is_some());
        if note != Note::default() {
            self.notes.insert(seq, note);
        }
        true
    }

    pub(crate) fn note_of(&self, seq: u64) -> Option<&Note> {
        self.notes.get(&seq)
    }

    /// The first live message from this one on.
    pub(crate) fn next_live(&self, from: u64) -> Option<u64> {
        let moved = self.moved.range(from..).next().map(|(seq, _)| *seq);
        let at = self
            .segments
            .partition_point(|segment| segment.first_seq <= from);
        let own = self
            .segments
            .range(at.saturating_sub(1)..)
            .find_map(|segment| segment.next_live(from));
        match (own, moved) {
            (Some(own), Some(moved)) => Some(own.min(moved)),
            (own, moved) => own.or(moved),
        }
    }

    /// The last live message.
    pub(crate) fn last_live(&self) -> Option<u64> {
        let moved = self.moved.last_key_value().map(|(seq, _)| *seq);
        let own = self.segments.iter().rev().find_map(Segment::last_live);
        own.max(moved)
    }

    /// The first dead letter from this number on.
    pub(crate) fn next_dead(&self, from: u64) -> Option<u64> {
        let mut notes = self.notes.range(from..);
        notes.find_map(|(seq, note)| note.dead.is_some().then_some(*seq))
    }

    /// Where a live message is.
    pub(crate) fn place(&mut self, seq: u64) -> Option<Place> {
        if let Some(moved) = self.moved.get(&seq).copied() {
            let segment = self.segment(moved.segment)?;
            let to = moved.at + moved.len;
            return Some(Place {
                file: Arc::clone(&segment.file),
                from: moved.at,
                to,
                written: segment.written,
            });
        }
        let owner = self.owner(seq)?;
        owner.is_live(seq).then(|| owner.place(seq))
    }

    /// The segments before the first that is needed, but for the last one, and those from this number on.
    pub(crate) fn trim(&mut self, before: u64) -> Vec<Segment> {
        let mut trimmed = Vec::new();
        while self.segments.len() > 1
            && let Some(first) = self.segments.front()
            && first.file.number < before
            && !first.is_needed()
            && first.written == first.end
        {
            trimmed.extend(self.segments.pop_front());
        }
        trimmed
    }

    /// The number of the first segment that is needed, or of the last one.
    pub(crate) fn first_needed(&self) -> u64 {
        let needed = self.segments.iter().find(|segment| segment.is_needed());
        let first = needed.or(self.segments.back());
        first.map_or(0, |first| first.file.number)
    }

    /// The first live messages from this one on that are in segments before this number, found by looking at `most` at most. And where to look on, if there are
    /// more to look at.
    pub(crate) fn in_segments(
        &self,
        before: u64,
        from: u64,
        most: usize,
    ) -> (Vec<u64>, Option<u64>) {
        let at = self
            .segments
            .partition_point(|segment| segment.file.number < before);
        // What was copied to a segment is older than what is its own.
        let end = self.segments.get(at).map(|segment| segment.first_seq);
        let mut found = Vec::new();
        let mut next = from;
        for _ in 0..most {
            let seq = self.next_live(next);
            let Some(seq) = seq.filter(|seq| end.is_none_or(|end| *seq < end)) else {
                return (found, None);
            };
            next = seq + 1;
            let moved = self.moved.get(&seq);
            if moved.is_none_or(|moved| moved.segment < before) {
                found.push(seq);
            }
        }
        (found, Some(next))
    }

    /// Bytes in the files of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// The number of the first segment, unless it is the last one.
    pub(crate) fn oldest_before_last(&self) -> Option<u64> {
        let oldest = self.segments.front()?;
        (self.segments.len() > 1).then_some(oldest.file.number)
    }

    /// Whether what is needed of the first segment should be copied forward: it is little, or all segments together have more than twice the bytes that
    /// are needed, and two segments.
    pub(crate) fn is_compactable(&self, segment_size: u64) -> bool {
        let oldest = self.segments.front();
        let Some(oldest) = oldest.filter(|oldest| oldest.is_needed()) else {
            return false;
        };
        if oldest.is_sparse() {
            return true;
        }
        // Those before the last take up their files, however little is in them.
        let last = self.segments.back();
        let rest = last.map_or(0, |last| last.size.saturating_sub(last.end));
        let used = self.size() - rest;
        if used <= 2 * segment_size {
            return false;
        }
        let live: u64 = self.segments.iter().map(Segment::live_bytes).sum();
        used > 2 * live + 2 * segment_size
    }

    /// The first live messages that are in the first segment, so many at the most.
    pub(crate) fn in_oldest(&self, most: usize) -> Vec<u64> {
        let Some(first) = self.segments.front() else {
            return Vec::new();
        };
        let mut seqs = Vec::new();
        let mut from = first.first_seq;
        while seqs.len() < most
            && let Some(seq) = first.next_live(from)
        {
            seqs.push(seq);
            from = seq + 1;
        }
        if first.guests > 0 {
            let number = first.file.number;
            let moved = self.moved.iter();
            let here = moved.filter(|(_, moved)| moved.segment == number);
            seqs.extend(here.map(|(seq, _)| *seq).take(most - seqs.len()));
        }
        seqs
    }
}
