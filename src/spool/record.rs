//! Records: what segments consist of behind their header. See docs/spool-format.md.
//!
//! ```text
//!   0  crc    CRC-32C of all that follows, padding included, going on from the segment's seed
//!   4  len    bytes in the body
//!   8  seq    the message it is about
//!  16  time   milliseconds since the segment's base time
//!  20  kind
//!  21  flags
//!  22  check  the lower half of the CRC-32C of bytes 4 to 21, so that a body is looked at only behind a whole header
//!  24  body, and zeros up to a multiple of 8
//! ```

use super::crc::{self, crc32c};
use crate::{Frame, Message};

/// Bytes before the body.
pub(crate) const HEADER: usize = 24;

/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// Flag of a message: it has several frames, each with its length before it.
pub(crate) const MULTIPART: u8 = 1;

/// What a record says. The values are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A message.
    Message = 1,
    /// A message that was in an older segment, with all that is known of it.
    Copy = 2,
    /// Messages that are settled.
    Settled = 3,
    /// A message has become a dead letter.
    Dead = 4,
    /// A message is to be sent again, not before some time.
    Retry = 5,
    /// A dead letter is to be sent again.
    Replayed = 6,
    /// All before some place was on the disk when this was written.
    Synced = 7,
    /// Damaged places that are known, and gone on without.
    Holes = 8,
    /// The process that wrote before has closed the spool in good order.
    Closed = 9,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Message,
        Kind::Copy,
        Kind::Settled,
        Kind::Dead,
        Kind::Retry,
        Kind::Replayed,
        Kind::Synced,
        Kind::Holes,
        Kind::Closed,
    ];

    pub(crate) fn of(value: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == value)
    }
}

/// A record as it lies there, its checksum verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) seq: u64,
    pub(crate) time: u32,
    pub(crate) body: &'a [u8],
}

impl Record<'_> {
    /// The bytes it takes, padding included.
    pub(crate) fn len(&self) -> usize {
        padded(self.body.len())
    }
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// No header.
    Header,
    /// A header, but the record, of so many bytes, goes beyond what there is.
    Short(usize),
    /// A header, and the rest does not belong to it.
    Body,
}

/// The bytes of a record with such a body.
pub(crate) fn padded(body: usize) -> usize {
    (HEADER + body).next_multiple_of(ALIGN)
}

/// The header of a record with this body.
#[inline]
fn header(seed: u32, (kind, flags): (Kind, u8), seq: u64, time: u32, body: &[u8]) -> [u64; 3] {
    // Callers have checked that it fits.
    let len = u64::from(body.len() as u32);
    let time = u64::from(time);
    let kind = u16::from_le_bytes([kind as u8, flags]);
    let words = (len | seq << 32, seq >> 32 | time << 32, kind);
    let (head, crc) = crc::of_record(seed, words, body);
    let check = u64::from(head as u16);
    [
        u64::from(crc) | len << 32,
        seq,
        time | u64::from(kind) << 32 | check << 48,
    ]
}

/// Appends a record whose body `put` appends.
#[inline]
pub(crate) fn encode(
    out: &mut Vec<u8>,
    seed: u32,
    kind: (Kind, u8),
    seq: u64,
    time: u32,
    put: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    put(out);
    let body = &out[start + HEADER..];
    let len = padded(body.len());
    let header = header(seed, kind, seq, time, body);
    let places = out[start..].chunks_exact_mut(8);
    for (place, word) in places.zip(header) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    out.resize(start + len, 0);
}

/// Appends a record with this body.
#[inline]
pub(crate) fn encode_slice(
    out: &mut Vec<u8>,
    seed: u32,
    kind: (Kind, u8),
    seq: u64,
    time: u32,
    body: &[u8],
) {
    let len = padded(body.len());
    out.reserve(len);
    for word in header(seed, kind, seq, time, body) {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(body);
    out.extend_from_slice(&[0; ALIGN][..len - HEADER - body.len()]);
}

/// The record that begins here.
#[inline]
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Result<Record<'_>, Bad> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(Bad::Header);
    };
    let head = crc32c(seed, &header[4..22]);
    if u16_at(header, 22) != head as u16 {
        return Err(Bad::Header);
    }
    let body_len = u32_at(header, 4) as usize;
    let len = padded(body_len);
    let Some(record) = bytes.get(..len) else {
        return Err(Bad::Short(len));
    };
    if crc32c(head, &record[22..]) != u32_at(header, 0) {
        return Err(Bad::Body);
    }
    Ok(view(record))
}

/// A record that was decoded before, without another look at its checksum.
#[inline]
pub(crate) fn view(record: &[u8]) -> Record<'_> {
    let len = u32_at(record, 4) as usize;
    let body = record.get(HEADER..).unwrap_or_default();
    Record {
        kind: chunk_at::<1>(record, 20)[0],
        flags: chunk_at::<1>(record, 21)[0],
        seq: u64_at(record, 8),
        time: u32_at(record, 16),
        body: body.get(..len).unwrap_or(body),
    }
}

/// The bytes of a message's body.
pub(crate) fn message_len(message: &Message) -> usize {
    match message.parts() {
        1 => message.size(),
        parts => message.size() + 4 * parts,
    }
}

/// Appends a message's body.
pub(crate) fn put_message(out: &mut Vec<u8>, message: &Message) {
    if let Some(frame) = message.single() {
        out.extend_from_slice(frame);
        return;
    }
    for frame in message.frames() {
        // The body is below 4 GiB, as callers have checked.
        out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        out.extend_from_slice(frame);
    }
}

/// The flags of a message's record.
pub(crate) fn message_flags(message: &Message) -> u8 {
    if message.is_multipart() { MULTIPART } else { 0 }
}

/// The message of such a body. `None`: it is none.
pub(crate) fn get_message(flags: u8, mut body: &[u8]) -> Option<Message> {
    match flags {
        0 => return Some(Message::from(body)),
        MULTIPART => {}
        _ => return None,
    }
    let mut frames = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk::<4>()?;
        let (frame, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        frames.push(Frame::from(frame));
        body = rest;
    }
    // Others are not written so.
    (frames.len() > 1).then(|| Message::from(frames))
}

/// The first frame of such a body. `None`: it has none.
pub(crate) fn first_frame(flags: u8, body: &[u8]) -> Option<&[u8]> {
    if flags & MULTIPART == 0 {
        return Some(body);
    }
    let (len, rest) = body.split_first_chunk::<4>()?;
    rest.get(..u32::from_le_bytes(*len) as usize)
}

/// The numbers of a body that has nothing else. `None`: it has not, or not in groups of `group`.
pub(crate) fn get_numbers(body: &[u8], group: usize) -> Option<Vec<u64>> {
    let (numbers, rest) = body.as_chunks::<8>();
    if !rest.is_empty() || !numbers.len().is_multiple_of(group) {
        return None;
    }
    Some(
        numbers
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect(),
    )
}

/// Appends numbers.
pub(crate) fn put_numbers(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// What is known of a message besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// How often it was delivered.
    pub(crate) deliveries: u32,
    /// Not to be sent before, in milliseconds since 1970; 0 if it may be sent at once.
    pub(crate) due: u64,
    /// When that was noted, in milliseconds since 1970, or not long before.
    pub(crate) noted: u64,
    /// It is a dead letter, for this reason.
    pub(crate) dead: Option<Box<str>>,
    /// It was one, and nothing has been noted since.
    pub(crate) replayed: bool,
}

impl Note {
    /// A message that is not to be sent before `due`, as it is known at a time.
    pub(super) fn waits(now: u64, due: u64, deliveries: u32) -> Note {
        Note {
            deliveries,
            due: due.max(1),
            noted: now,
            ..Note::default()
        }
    }

    /// The record that says so.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Note { dead: Some(_), .. } => Kind::Dead,
            Note { replayed: true, .. } => Kind::Replayed,
            _ => Kind::Retry,
        }
    }

    /// The bytes of its body.
    pub(super) fn len(&self) -> usize {
        match &self.dead {
            Some(reason) => 4 + reason.len(),
            None if self.replayed => 0,
            None => 16,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match &self.dead {
            Some(reason) => {
                out.extend_from_slice(&self.deliveries.to_le_bytes());
                out.extend_from_slice(reason.as_bytes());
            }
            None if self.replayed => {}
            None => put_numbers(out, [self.due, u64::from(self.deliveries)]),
        }
    }

    /// When the message is due by a clock that says `now`. If it was set back since that was noted, the wait is as long as it was then.
    pub(crate) fn due_by(&self, now: u64) -> u64 {
        let wait = self.due.saturating_sub(self.noted);
        self.due.min(now.saturating_add(wait))
    }

    /// The same, to be noted again.
    pub(crate) fn at(self, now: u64) -> Note {
        let due = self.due_by(now);
        let noted = if due > 0 { now } else { 0 };
        Note { due, noted, ..self }
    }

    pub(crate) fn replayed() -> Note {
        Note {
            replayed: true,
            ..Note::default()
        }
    }
}

/// A copied message: when it was appended, in milliseconds since 1970, what is known of it, and the flags and body of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied<'a> {
    pub(crate) time: u64,
    pub(crate) note: Note,
    pub(crate) body: &'a [u8],
}

/// Bytes of a copy before the reason.
const COPY: usize = 28;

impl Copied<'_> {
    /// The bytes of a record that holds it.
    pub(crate) fn len(&self) -> usize {
        COPY + self.reason().len() + self.body.len()
    }

    fn reason(&self) -> &str {
        self.note.dead.as_deref().unwrap_or_default()
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, [self.time, self.note.due]);
        out.extend_from_slice(&self.note.deliveries.to_le_bytes());
        let state: u32 = match self.note {
            Note { dead: Some(_), .. } => 1,
            Note { replayed: true, .. } => 2,
            _ => 0,
        };
        out.extend_from_slice(&state.to_le_bytes());
        let reason = self.reason();
        out.extend_from_slice(&(reason.len() as u32).to_le_bytes());
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(self.body);
    }
}

/// The inverse of [`Copied::put`].
pub(crate) fn get_copy(body: &[u8]) -> Option<Copied<'_>> {
    let (head, rest) = body.split_first_chunk::<COPY>()?;
    let (reason, body) = rest.split_at_checked(u32_at(head, 24) as usize)?;
    let reason = str::from_utf8(reason).ok()?;
    let (dead, replayed) = match (u32_at(head, 20), reason) {
        (0, "") => (None, false),
        (1, reason) => (Some(reason.into()), false),
        (2, "") => (None, true),
        _ => return None,
    };
    Some(Copied {
        time: u64_at(head, 0),
        note: Note {
            due: u64_at(head, 8),
            noted: 0,
            deliveries: u32_at(head, 16),
            dead,
            replayed,
        },
        body,
    })
}

/// A number in a header. Beyond the end there are zeros.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(chunk_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(chunk_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(chunk_at(bytes, at))
}

pub(crate) fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let tail = bytes.get(at..).unwrap_or_default();
    *tail.first_chunk().unwrap_or(&[0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_encode_agree_with_what_is_read() {
        let body: Vec<u8> = (1..50).collect();
        for len in 0..body.len() {
            let body = &body[..len];
            let kind = (Kind::Message, MULTIPART);
            let (seq, time) = (0x0123_4567_89ab_cdef, 0xfedc_ba98);
            let (mut put, mut slice) = (vec![1; 3], vec![1; 3]);
            encode(&mut put, 7, kind, seq, time, |out| {
                out.extend_from_slice(body);
            });
            encode_slice(&mut slice, 7, kind, seq, time, body);
            assert_eq!(put, slice, "{len} bytes");
            let expected = Record {
                kind: Kind::Message as u8,
                flags: MULTIPART,
                seq,
                time,
                body,
            };
            assert_eq!(decode(&slice[3..], 7), Ok(expected));
            assert_eq!(slice.len(), 3 + expected.len());
        }
    }
}
