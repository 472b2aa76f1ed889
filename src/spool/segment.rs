//! A segment: its file, its header, and what is known of its messages while it is open.

use super::crc::crc32c;
use super::disk::DiskFile;
use super::record::{u32_at, u64_at};

/// Bytes of the header; the first record begins behind it.
pub(crate) const HEADER: usize = 128;

const MAGIC: [u8; 8] = *b"ZHOPSEG\n";

/// The file was filled with zeros before it was used.
const FRESH: u64 = 1;
/// The file had its length on the disk before it was used.
const ALLOCATED: u64 = 2;

/// The stream that a spool is: 16 random bytes that live as long as its folder.
pub(crate) type StreamId = [u8; 16];

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) stream: StreamId,
    /// One more than that of the segment before.
    pub(crate) number: u64,
    /// The number that the next message had when the segment was begun.
    pub(crate) first_seq: u64,
    /// Where the records of the segment before end.
    pub(crate) previous_end: u64,
    /// The oldest segment that was needed when this one was begun.
    pub(crate) oldest: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(crate) base_time: u64,
    /// Bytes in the file.
    pub(crate) size: u64,
    pub(crate) fresh: bool,
    pub(crate) allocated: bool,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// No header at all, or a damaged one.
    Damaged,
    /// One of a later version.
    Newer(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&super::VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.stream);
        let flags = if self.fresh { FRESH } else { 0 } | if self.allocated { ALLOCATED } else { 0 };
        let numbers = [
            self.number,
            self.first_seq,
            self.previous_end,
            self.oldest,
            self.base_time,
            self.size,
            flags,
        ];
        for (place, number) in out[32..88].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let header = bytes.get(..HEADER).ok_or(BadHeader::Damaged)?;
        check(header, MAGIC)?;
        Ok(SegmentHeader {
            stream: super::record::chunk_at(header, 16),
            number: u64_at(header, 32),
            first_seq: u64_at(header, 40),
            previous_end: u64_at(header, 48),
            oldest: u64_at(header, 56),
            base_time: u64_at(header, 64),
            size: u64_at(header, 72),
            fresh: u64_at(header, 80) & FRESH != 0,
            allocated: u64_at(header, 80) & ALLOCATED != 0,
        })
    }
}

/// Sets the checksum of a header, which is at byte 12 and of all the rest.
pub(crate) fn seal(header: &mut [u8]) {
    let crc = header_crc(header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// Whether a header is whole and of this version.
pub(crate) fn check(header: &[u8], magic: [u8; 8]) -> Result<(), BadHeader> {
    if !header.starts_with(&magic) || u32_at(header, 12) != header_crc(header) {
        return Err(BadHeader::Damaged);
    }
    match u32_at(header, 8) {
        version if version > super::VERSION => Err(BadHeader::Newer(version)),
        _ => Ok(()),
    }
}

fn header_crc(header: &[u8]) -> u32 {
    crc32c(crc32c(0, &header[..12]), &header[16..])
}

/// What the checksums of a segment's records begin with, so that no record of another one, or of an earlier use of the file, passes for
/// one of this.
pub(crate) fn seed(stream: &StreamId, number: u64) -> u32 {
    crc32c(crc32c(0, stream), &number.to_le_bytes())
}

/// The name of a segment's file. Sorted by name, they are in order.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The number of the segment in a file of that name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name).then_some(number)
}

/// The file of a segment, shared by whoever reads it.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) number: u64,
    pub(crate) seed: u32,
    pub(crate) base_time: u64,
    pub(crate) file: Box<dyn DiskFile>,
    /// The name that the file has until it is first written to.
    pub(crate) spare_name: Option<String>,
    /// It has been another segment before.
    pub(crate) recycled: bool,
}

impl SegmentFile {
    pub(crate) fn name(&self) -> String {
        file_name(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let header = SegmentHeader {
            stream: [7; 16],
            number: 3,
            first_seq: 4,
            previous_end: 5,
            oldest: 2,
            base_time: 6,
            size: 4096,
            fresh: true,
            allocated: false,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Damaged));
        }
    }

    #[test]
    fn names_are_in_order_and_of_one_form() {
        assert_eq!(number_of(&file_name(255)), Some(255));
        assert!(file_name(9) < file_name(10));
        for name in [
            "ff.seg",
            "00000000000000FF.seg",
            "lock",
            "+00000000000000f.seg",
        ] {
            assert_eq!(number_of(name), None);
        }
    }
}
