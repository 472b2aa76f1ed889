//! What the fuzzer of the spool's reader calls. The input says what is in the files: mostly records whose checksums are right, as others would
//! hardly ever be read, and among them other bytes, flips and cuts.
//!
//! The promises: no panic, whatever is in the files; who only looks, or is refused, changes nothing; what one finds who looks is what one
//! finds who opens the spool to write to it; after that it is in order, it holds the same, and takes messages whose numbers are new.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::crc::crc32c;
use super::identity::{self, Identity};
use super::memory::MemoryDisk;
use super::record::{Copied, HEADER as RECORD, Kind, Note, encode, put_numbers, u32_at};
use super::recover::INCARNATION_MAX;
use super::segment::{HEADER, SegmentHeader, StreamId, file_name, seed};
use super::{OpenSpool, Spool, SpoolError, Stored, Sync};

const STREAM: StreamId = [7; 16];

type Files = Vec<(String, Vec<u8>)>;

/// Any bytes as the files of a spool. The first byte says how it is opened.
pub(crate) fn run(data: &[u8]) {
    let Some((how, input)) = data.split_first() else {
        return;
    };
    let files = Writer::files(input);
    let begun = UNIX_EPOCH + Duration::from_millis(OpenSpool::now());
    let sync = if how & 2 == 0 { Sync::Disk } else { Sync::Os };
    let settings = Spool::at("memory").segment_size(4096).sync(sync);
    let settings = settings.salvage(how & 1 != 0);

    let disk = MemoryDisk::with(&files);
    let looked = settings.clone().read_only(true).open_on(disk.boxed());
    let looked = looked.map(|spool| contents(&spool, begun));
    assert_eq!(disk.files(), files, "looking has changed something");

    let disk = MemoryDisk::with(&files);
    let spool = match settings.open_on(disk.boxed()) {
        Ok(spool) => spool,
        Err(error) => {
            assert_eq!(looked, Err(error));
            assert_eq!(disk.files(), files, "being refused has changed something");
            return;
        }
    };
    let mut expected = contents(&spool, begun);
    assert_eq!(looked.as_ref(), Ok(&expected));
    let seq = spool.append("one more").expect("a message more");
    spool.commit(seq).expect("a disk that takes it");
    assert!(expected.iter().flatten().all(|stored| stored.seq < seq));
    let is_last = spool.incarnation() > INCARNATION_MAX;
    spool.close().expect("a disk that takes it");

    let spool = Spool::at("memory").segment_size(4096).sync(sync);
    let spool = spool.open_on(disk.boxed());
    if is_last {
        let refused = matches!(spool, Err(SpoolError::Corrupt { .. }));
        assert!(refused, "a spool that has been opened as often as may be");
        return;
    }
    let spool = spool.expect("a spool in order");
    assert!(spool.recovery().clean);
    assert_eq!(spool.recovery().damage, []);
    let mut found = contents(&spool, begun);
    let last = spool.read(seq).expect("the message that was appended");
    assert_eq!(last.message, "one more");
    found.retain(|stored| !matches!(stored, Ok(stored) if stored.seq == last.seq));
    // What could not be read then may have gone since, with the segment it was said to be in.
    found.retain(Result::is_ok);
    expected.retain(Result::is_ok);
    assert_eq!(found, expected);
}

/// All messages, and where there is one that cannot be read. What is not due yet may be so later each time that it is looked at, if it was noted in the future.
fn contents(spool: &OpenSpool, begun: SystemTime) -> Vec<Result<Stored, ()>> {
    let all = spool.unsettled().chain(spool.dead_letters());
    let readable = |stored: Result<Stored, SpoolError>| match stored {
        Err(SpoolError::Corrupt { .. }) => Err(()),
        other => {
            let stored = other.expect("a disk that can be read");
            let due = stored.due.map(|due| due.min(begun));
            Ok(Stored { due, ..stored })
        }
    };
    all.map(readable).collect()
}

/// Makes files out of the input, which is followed by zeros without end.
struct Writer<'a> {
    input: &'a [u8],
    files: Files,
    header: SegmentHeader,
    bytes: Vec<u8>,
    next_seq: u64,
}

impl Writer<'_> {
    fn files(input: &[u8]) -> Files {
        let mut writer = Writer {
            input,
            files: Vec::new(),
            header: SegmentHeader {
                stream: STREAM,
                number: 0,
                first_seq: 1,
                previous_end: 0,
                oldest: 1,
                base_time: 0,
                size: 0,
                fresh: true,
                allocated: true,
            },
            bytes: Vec::new(),
            next_seq: 1,
        };
        let disk = MemoryDisk::new();
        let identity = Identity {
            stream: STREAM,
            incarnation: writer.number(1),
            created: 0,
        };
        identity.write(&disk, "memory".as_ref()).expect("room");
        writer.files = disk.files();
        writer.begin();
        while !writer.input.is_empty() && writer.files.len() < 9 {
            writer.step();
        }
        writer.end();
        let mut files = writer.files;
        files.sort();
        files.dedup_by(|one, other| one.0 == other.0);
        files
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        *first
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.input.split_at(len.min(self.input.len()));
        self.input = rest;
        taken.to_vec()
    }

    /// A number near this one, mostly, or any.
    fn number(&mut self, near: u64) -> u64 {
        match self.byte() {
            byte @ 0..=127 => near.wrapping_add(u64::from(byte)),
            byte @ 128..=250 => near.wrapping_sub(u64::from(byte) - 127),
            251 => u64::MAX,
            252 => 0,
            253 => u64::from(u32::MAX) << self.byte().min(32),
            _ => {
                let bytes: [u8; 8] = std::array::from_fn(|_| self.byte());
                u64::from_le_bytes(bytes)
            }
        }
    }

    fn numbers(&mut self, len: usize, near: u64) -> Vec<u8> {
        let mut body = Vec::new();
        let numbers: Vec<u64> = (0..len).map(|_| self.number(near)).collect();
        put_numbers(&mut body, numbers);
        body
    }

    fn step(&mut self) {
        match self.byte() % 16 {
            0 => {
                self.end();
                self.begin();
            }
            1..=4 => self.message(),
            5 => self.copy(),
            6 => {
                let len = 2 * usize::from(self.byte() % 4);
                let body = self.numbers(len, self.next_seq);
                self.record(Kind::Settled as u8, 0, 0, &body);
            }
            7 => {
                let (seq, len) = (self.number(self.next_seq), usize::from(self.byte() % 32));
                let body = self.take(len);
                self.record(Kind::Dead as u8, 0, seq, &body);
            }
            8 => {
                let (seq, body) = (self.number(self.next_seq), self.numbers(2, 1));
                self.record(Kind::Retry as u8, 0, seq, &body);
            }
            9 => {
                let seq = self.number(self.next_seq);
                self.record(Kind::Replayed as u8, 0, seq, &[]);
            }
            10 => {
                let (segment, at) = (self.number(self.header.number), self.place());
                let mut body = Vec::new();
                put_numbers(&mut body, [segment, at]);
                self.record(Kind::Synced as u8, 0, 0, &body);
            }
            11 => {
                let len = 3 * usize::from(self.byte() % 3);
                let body = self.numbers(len, self.header.number);
                self.record(Kind::Holes as u8, 0, 0, &body);
            }
            12 => {
                let (incarnation, segment) = (self.number(1), self.number(self.header.number));
                let at = self.place();
                let mut body = Vec::new();
                put_numbers(&mut body, [incarnation, segment, at]);
                self.record(Kind::Closed as u8, 0, 0, &body);
            }
            13 => {
                let (kind, flags) = (self.byte(), self.byte());
                let (seq, len) = (self.number(self.next_seq), usize::from(self.byte()));
                let body = self.take(len);
                self.record(kind, flags, seq, &body);
            }
            14 => {
                let len = usize::from(self.byte());
                let bytes = self.take(len);
                self.bytes.extend(bytes);
            }
            _ => self.damage(),
        }
    }

    /// A place in the segment.
    fn place(&mut self) -> u64 {
        let near = self.bytes.len() as u64;
        self.number(near)
    }

    fn message(&mut self) {
        let seq = self.number(self.next_seq);
        let (len, multipart) = (usize::from(self.byte()), self.byte() > 200);
        let body = self.take(len);
        self.record(Kind::Message as u8, u8::from(multipart), seq, &body);
        self.next_seq = seq.wrapping_add(1);
    }

    fn copy(&mut self) {
        let seq = self.number(self.next_seq.wrapping_sub(2));
        let state = self.byte();
        let (time, due, body) = (self.number(1), self.number(0), self.byte());
        let note = Note {
            deliveries: u32::from(self.byte()),
            due,
            noted: 0,
            dead: (state & 1 != 0).then(|| "reason".into()),
            replayed: state & 3 == 2,
        };
        let body = self.take(usize::from(body));
        let copied = Copied {
            time,
            note,
            body: &body,
        };
        let mut body = Vec::new();
        copied.put(&mut body);
        self.record(Kind::Copy as u8, 0, seq, &body);
    }

    /// Bytes that are as no writer leaves them.
    fn damage(&mut self) {
        let what = self.byte();
        let at = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        let at = at % self.bytes.len().max(1);
        match what % 3 {
            0 => self.bytes.truncate(at),
            1 => {
                if let Some(byte) = self.bytes.get_mut(at) {
                    *byte ^= 1 << (what % 8);
                }
            }
            _ => self.bytes.resize(self.bytes.len() + at, 0),
        }
    }

    /// A record whose checksums are right, as [`encode`] makes them, of any kind.
    fn record(&mut self, kind: u8, flags: u8, seq: u64, body: &[u8]) {
        let time = u32::from(kind);
        let seed = seed(&STREAM, self.header.number);
        let mut record = Vec::new();
        encode(
            &mut record,
            seed,
            (Kind::Message, flags),
            seq,
            time,
            |out| {
                out.extend_from_slice(body);
            },
        );
        record[20] = kind;
        let head = crc32c(seed, &record[4..22]);
        record[22..RECORD].copy_from_slice(&(head as u16).to_le_bytes());
        let crc = crc32c(head, &record[22..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(u32_at(&record, 4) as usize, body.len());
        self.bytes.extend(record);
    }

    /// Begins the next segment, whose header is mostly what it should be.
    fn begin(&mut self) {
        let unusual = self.byte();
        let unless = |bit: u8| unusual & bit == 0;
        self.header.number += if unless(1 << 6 | 1 << 5) {
            1
        } else {
            self.byte().into()
        };
        self.header.first_seq = self.next_seq;
        if !unless(1) {
            self.header.first_seq = self.number(self.next_seq);
            self.next_seq = self.header.first_seq;
        }
        if !unless(2) {
            self.header.oldest = self.number(self.header.number);
        }
        self.header.previous_end = match unless(4) {
            true => self.files.last().map_or(0, |last| last.1.len() as u64),
            false => self.number(HEADER as u64),
        };
        if !unless(8) {
            self.header.base_time = self.number(0);
        }
        self.header.fresh = unless(16);
        self.header.allocated = unusual & 128 != 0;
        self.bytes = vec![0; HEADER];
    }

    fn end(&mut self) {
        self.header.size = self.bytes.len() as u64;
        if let Some(header) = self.bytes.get_mut(..HEADER)
            && header.iter().all(|byte| *byte == 0)
        {
            header.copy_from_slice(&self.header.encode());
        }
        let name = file_name(self.header.number);
        debug_assert_ne!(name, identity::NAME);
        self.files.push((name, std::mem::take(&mut self.bytes)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::memory::Random;

    /// Inputs as the fuzzer makes them: of any bytes, and of those in the corpus with a few changes. `ZEROHOP_SPOOL_INPUTS` asks for more.
    #[test]
    fn any_files_are_read_or_refused() {
        let wanted = std::env::var("ZEROHOP_SPOOL_INPUTS").ok();
        let inputs = wanted.and_then(|text| text.parse().ok()).unwrap_or(4000);
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/spool");
        // The last has been opened as often as may be.
        let mut seeds = vec![vec![0; 64], vec![3; 64], b"\xfe\xff\0\0\0\x40".to_vec()];
        // A published package has none.
        if corpus.exists() {
            let files = fs::read_dir(corpus).expect("a corpus");
            let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
            paths.sort();
            let read = |path| fs::read(path).expect("an input");
            seeds.extend(paths.into_iter().map(read));
        }
        for seed in &seeds {
            super::run(seed);
        }
        let mut random = Random(0x5b00);
        for n in 0..inputs {
            let mut input = match n % 2 {
                0 => seeds[random.below(seeds.len())].clone(),
                _ => (0..random.below(300))
                    .map(|_| random.next() as u8)
                    .collect(),
            };
            for _ in 0..random.below(6) {
                let at = random.below(input.len().max(1));
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            super::run(&input);
        }
    }
}
