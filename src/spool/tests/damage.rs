//! Files that are cut at every byte, and whose bits are flipped.

use super::super::memory::{MemoryDisk, Random};
use super::super::{OpenSpool, Spool, SpoolError, Stored, Sync};

fn settings() -> Spool {
    Spool::at("memory").sync(Sync::Disk).segment_size(4096)
}

fn open(disk: &MemoryDisk) -> Result<OpenSpool, SpoolError> {
    settings().open_on(Box::new(disk.clone()))
}

fn contents(spool: &OpenSpool) -> Vec<Stored> {
    let all = spool.unsettled().chain(spool.dead_letters());
    all.collect::<Result<_, _>>()
        .expect("messages that can be read")
}

/// A closed spool of three segments, and what is in it.
fn some_spool() -> (Vec<(String, Vec<u8>)>, Vec<Stored>) {
    let disk = MemoryDisk::new();
    let spool = open(&disk).expect("a new spool");
    for n in 0..40_usize {
        let seq = spool.append("x".repeat(n * 23 % 300)).expect("room");
        spool.commit(seq).expect("a commit");
        match n % 7 {
            2 => drop(spool.settle([seq..=seq]).expect("room")),
            3 => spool.dead(seq, "no reason", 3).expect("room"),
            _ => {}
        }
    }
    let seq = spool.append(["two", "frames"]).expect("room");
    spool.commit(seq).expect("a commit");
    spool.append(vec![7; 1500]).expect("room");
    let contents = contents(&spool);
    spool.close().expect("a spool that can be closed");
    let files = disk.files();
    let files = files.into_iter();
    let files = files.filter(|(name, _)| !name.starts_with("new") && !name.starts_with("spare"));
    (files.collect(), contents)
}

/// What opening it gives is what was there, or less with a report, or an error; never anything else.
fn check(files: &[(String, Vec<u8>)], expected: &[Stored], what: &str) -> bool {
    match open(&MemoryDisk::with(files)) {
        Ok(spool) => {
            let found = contents(&spool);
            let lost = expected.iter().any(|stored| !found.contains(stored));
            for stored in found {
                let known = expected.iter().any(|other| other.seq == stored.seq);
                assert!(known || lost, "{what} made {stored:?} up");
                let same = expected.iter().find(|other| other.seq == stored.seq);
                // What was said of a message may be lost, the message is as it was.
                assert!(
                    same.is_none_or(|same| same.message == stored.message),
                    "{what}"
                );
            }
            assert!(
                !lost || !spool.recovery().damage.is_empty(),
                "{what} lost messages silently"
            );
            !lost
        }
        Err(
            SpoolError::Corrupt { .. }
            | SpoolError::NotASpool { .. }
            | SpoolError::Newer { .. }
            | SpoolError::Io { .. },
        ) => false,
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn an_undamaged_spool_is_as_it_was_closed() {
    let (files, expected) = some_spool();
    assert!(check(&files, &expected, "nothing"));
    let spool = open(&MemoryDisk::with(&files)).expect("a spool");
    assert!(spool.recovery().clean);
    assert!(spool.recovery().damage.is_empty());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (files, expected) = some_spool();
    let mut random = Random(1);
    for file in 0..files.len() {
        for at in 0..files[file].1.len() {
            let mut files = files.clone();
            files[file].1[at] ^= 1 << random.below(8);
            check(
                &files,
                &expected,
                &format!("a flip in {} at {at}", files[file].0),
            );
        }
    }
}

/// In front of what was known to be on the disk, a flip is an error that names the place, and changes nothing.
#[test]
fn a_flipped_bit_before_the_tail_is_an_error_and_changes_nothing() {
    let (files, _) = some_spool();
    let first = files
        .iter()
        .position(|(name, _)| name.ends_with(".seg"))
        .expect("a segment");
    for at in (0..2048).step_by(3) {
        let mut files = files.clone();
        files[first].1[at] ^= 4;
        let disk = MemoryDisk::with(&files);
        match open(&disk) {
            Err(SpoolError::Corrupt { file, offset, .. }) => {
                assert!(file.ends_with(&files[first].0));
                assert!(offset <= at as u64, "{at} is not in the record at {offset}");
            }
            other => panic!("a flip at {at}: {other:?}"),
        }
        let same = disk
            .files()
            .into_iter()
            .filter(|(name, _)| name != "spool.lock");
        assert!(same.eq(files.iter().cloned()));
        let spool = settings()
            .salvage(true)
            .open_on(Box::new(disk))
            .expect("salvage");
        assert_eq!(spool.recovery().damage.len(), 1, "a flip at {at}");
    }
}

#[test]
fn a_cut_is_found_wherever_it_is() {
    let (files, expected) = some_spool();
    for file in 0..files.len() {
        for len in 0..files[file].1.len() {
            let mut files = files.clone();
            files[file].1.truncate(len);
            check(
                &files,
                &expected,
                &format!("{} cut at {len}", files[file].0),
            );
        }
    }
}

#[test]
fn a_missing_segment_is_an_error() {
    let (mut files, _) = some_spool();
    let middle = files
        .iter()
        .position(|(name, _)| name == "0000000000000002.seg");
    files.remove(middle.expect("two segments"));
    let error = open(&MemoryDisk::with(&files)).expect_err("a gap");
    assert!(
        error.to_string().contains("0000000000000002.seg"),
        "{error}"
    );
}

#[test]
fn what_is_newer_or_not_a_spool_is_refused_and_left_alone() {
    let (files, _) = some_spool();
    let id = files
        .iter()
        .position(|(name, _)| name == "spool.id")
        .expect("an id");
    let mut newer = files.clone();
    newer[id].1[8] = 2;
    super::super::segment::seal(&mut newer[id].1);
    let mut other = files.clone();
    other[id].1 = b"something else, and long enough to be an id, which it is not at all".to_vec();
    let mut none = files.clone();
    none.remove(id);
    let strangers = vec![("letter.txt".to_owned(), b"Dear Sir".to_vec())];
    let mut mixed = files.clone();
    // A segment of another spool.
    let (others, _) = some_spool();
    let last = mixed.len() - 2;
    let segment = others.iter().find(|(name, _)| *name == mixed[last].0);
    mixed[last]
        .1
        .clone_from(&segment.expect("the same segments").1);
    for (files, newer) in [
        (newer, true),
        (other, false),
        (none, false),
        (strangers, false),
        (mixed, false),
    ] {
        let disk = MemoryDisk::with(&files);
        match open(&disk).expect_err("no spool") {
            SpoolError::Newer { version: 2, .. } => assert!(newer),
            SpoolError::NotASpool { .. } => assert!(!newer),
            error => panic!("{error}"),
        }
        assert!(
            disk.files()
                .iter()
                .filter(|(name, _)| name != "spool.lock")
                .eq(&files)
        );
    }
}

#[test]
fn a_message_before_a_hole_is_found_by_who_has_read_a_copy_behind_it() {
    let disk = MemoryDisk::new();
    let spool = open(&disk).expect("a new spool");
    let first = spool.append("copied").expect("room");
    while spool.segments().len() == 1 {
        let last = spool.next_seq() - 1;
        spool.settle([first + 1..=last]).expect("room");
        spool.append("x".repeat(100)).expect("room");
    }
    let own = spool.next_seq() - 1;
    while spool.compact().expect("room") {}
    assert_eq!(spool.segments().len(), 1, "the copy is behind the message");
    let lost = spool.append("y".repeat(100)).expect("room");
    spool.settle([lost..=lost]).expect("room");
    spool.flush().expect("written");
    let mut files = disk.kill().files();
    for (name, bytes) in &mut files {
        let found = bytes.windows(100).position(|text| text == [b'y'; 100]);
        if let Some(at) = found.filter(|_| name.ends_with(".seg")) {
            bytes[at] ^= 1;
        }
    }
    let spool = open(&MemoryDisk::with(&files)).expect("a hole that a crash may have made");
    assert_eq!(spool.recovery().damage.len(), 1);
    let numbers: Vec<u64> = contents(&spool).iter().map(|stored| stored.seq).collect();
    assert_eq!(numbers, [first, own]);
}
