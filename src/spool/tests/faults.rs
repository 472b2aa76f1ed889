//! Disks that are full, that fail to sync or to write, and spools that are open already.

use super::super::memory::{MemoryDisk, Random};
use super::super::{OpenSpool, Spool, SpoolError, Sync};

fn open(disk: &MemoryDisk, sync: Sync) -> OpenSpool {
    let settings = Spool::at("memory").sync(sync).segment_size(4096);
    settings.open_on(Box::new(disk.clone())).expect("a spool")
}

fn seqs(spool: &OpenSpool) -> Vec<u64> {
    let all = spool
        .unsettled()
        .map(|stored| stored.map(|stored| stored.seq));
    all.collect::<Result<_, _>>()
        .expect("messages that can be read")
}

#[test]
fn a_spool_is_open_once() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Os);
    let second = Spool::at("memory").open_on(Box::new(disk.clone()));
    assert!(matches!(second, Err(SpoolError::Locked { .. })));
    drop(spool);
    open(&disk, Sync::Os);
}

#[test]
fn a_full_disk_refuses_messages_and_takes_settlements() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Disk);
    disk.room(Some(20_000));
    let mut kept = Vec::new();
    let error = loop {
        match spool.append([1; 500]) {
            Ok(seq) => kept.push(seq),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }), "{error}");
    spool
        .commit(*kept.last().expect("some messages"))
        .expect("what was taken is safe");
    assert_eq!(seqs(&spool), kept);
    // It gives room, and that is used.
    let half = kept.len() / 2;
    spool
        .settle([kept[0]..=kept[half]])
        .expect("room for a settlement");
    let more = spool.append([1; 500]).expect("room again");
    spool.commit(more).expect("a commit");
    let mut expected = kept.split_off(half + 1);
    expected.push(more);
    assert_eq!(seqs(&spool), expected);
    drop(spool);
    let disk = disk.crash(&mut Random(3));
    disk.room(None);
    assert_eq!(seqs(&open(&disk, Sync::Disk)), expected);
}

#[test]
fn a_spool_of_limited_size_refuses_messages_until_some_are_settled() {
    let disk = MemoryDisk::new();
    let settings = Spool::at("memory").segment_size(4096).limit(12_288);
    let spool = settings.open_on(Box::new(disk)).expect("a spool");
    let mut last = 0;
    let error = loop {
        match spool.append([1; 500]) {
            Ok(seq) => last = seq,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SpoolError::Limit { limit: 12_288 });
    assert!(spool.size() <= 12_288);
    spool.commit(last).expect("a commit");
    spool.settle([0..=last]).expect("room for a settlement");
    spool.append([1; 500]).expect("room again");
}

/// After a sync has failed, the system takes what it could not write for written. Nothing that the sync was for is ever said to be durable.
#[test]
fn what_a_failed_sync_was_for_is_never_durable() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Disk);
    let safe = spool.append("safe").expect("room");
    spool.commit(safe).expect("a commit");
    let unsafe_one = spool.append("not safe").expect("room");
    disk.fail_sync(Some(0));
    let failed = spool.commit(unsafe_one).expect_err("a failing sync");
    assert!(matches!(failed, SpoolError::Failed { .. }), "{failed}");
    disk.fail_sync(None);
    // Not even now that syncs succeed again.
    assert_eq!(spool.commit(unsafe_one), Err(failed.clone()));
    assert_eq!(spool.commit(safe), Ok(()));
    assert_eq!(spool.committed(), safe + 1);
    assert_eq!(spool.append("more"), Err(failed.clone()));
    assert_eq!(spool.sync(), Err(failed.clone()));
    assert_eq!(spool.close(), Err(failed));
    // Another process finds it in memory, and writes it once more before it says that it is safe.
    let disk = disk.kill();
    let spool = open(&disk, Sync::Disk);
    assert_eq!(seqs(&spool), [safe, unsafe_one]);
    drop(spool);
    let disk = disk.crash(&mut Random(5));
    assert_eq!(seqs(&open(&disk, Sync::Disk)), [safe, unsafe_one]);
}

#[test]
fn a_failed_write_is_the_end() {
    for sync in [Sync::Os, Sync::Disk] {
        let disk = MemoryDisk::new();
        let spool = open(&disk, sync);
        let safe = spool.append("safe").expect("room");
        spool.commit(safe).expect("a commit");
        disk.fail_write(Some(0));
        let lost = spool.append("lost").expect("it is in memory");
        assert!(matches!(spool.commit(lost), Err(SpoolError::Failed { .. })));
        disk.fail_write(None);
        assert!(matches!(spool.flush(), Err(SpoolError::Failed { .. })));
        drop(spool);
        assert_eq!(seqs(&open(&disk.kill(), sync)), [safe]);
    }
}

#[test]
fn who_only_looks_changes_nothing() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Disk);
    let seq = spool.append("x").expect("room");
    spool.commit(seq).expect("a commit");
    let disk = disk.kill();
    let before = disk.files();
    let settings = Spool::at("memory").read_only(true);
    let looking = settings.open_on(Box::new(disk.clone())).expect("a spool");
    assert_eq!(seqs(&looking), [seq]);
    assert_eq!(looking.append("y"), Err(SpoolError::ReadOnly));
    assert_eq!(looking.settle([seq..=seq]), Err(SpoolError::ReadOnly));
    assert_eq!(looking.dead(seq, "", 0), Err(SpoolError::ReadOnly));
    drop(looking);
    assert_eq!(disk.files(), before);
}

#[test]
fn few_messages_left_do_not_keep_a_segment() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Disk);
    let first = spool.append("stays").expect("room");
    spool.dead(first, "poison", 20).expect("room");
    let mut last = first;
    for _ in 0..1000 {
        last = spool.append([0; 8]).expect("room");
        spool.commit(last).expect("a commit");
        spool.settle([last..=last]).expect("room");
    }
    assert!(
        spool.size() <= 5 * 4096,
        "{} bytes for one message",
        spool.size()
    );
    let dead = spool.read(first).expect("a dead letter");
    assert_eq!((dead.message.to_str(), dead.deliveries), (Ok("stays"), 20));
    assert_eq!(dead.reason.as_deref(), Some("poison"));
    assert_eq!(
        spool.read(last),
        Err(SpoolError::NoSuchMessage { seq: last })
    );
    drop(spool);
    let spool = open(&disk.crash(&mut Random(9)), Sync::Disk);
    assert_eq!(spool.dead_letters().next().expect("it"), Ok(dead));
}

#[test]
fn messages_on_their_way_are_not_copied_when_a_segment_begins() {
    let disk = MemoryDisk::new();
    let spool = open(&disk, Sync::Os);
    let syncs = disk.syncs();
    for _ in 0..1000 {
        let last = spool.append([0; 8]).expect("room");
        spool.commit(last).expect("a commit");
        if let Some(settled) = last.checked_sub(4).filter(|settled| *settled > 0) {
            spool.settle([settled..=settled]).expect("room");
        }
    }
    assert_eq!(seqs(&spool), [997, 998, 999, 1000]);
    assert!(spool.segments()[0].file > spool.path().join("0000000000000005.seg"));
    assert_eq!(disk.syncs(), syncs, "copies would have been synced");
}
