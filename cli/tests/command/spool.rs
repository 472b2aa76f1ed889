//! `zerohop spool`: what is in a folder, whole or damaged, and how it gets from there to somebody.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zerohop::spool::{OpenSpool, Spool, SpoolError, Sync};

use super::program::{Ended, Program, run};
use crate::common::endpoints::Transport;
use crate::common::unique;

/// The folder of a spool, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique::name()))
    }

    fn open(&self) -> OpenSpool {
        let settings = Spool::at(&self.0).segment_size(4096).sync(Sync::Os);
        settings.open().expect("a spool")
    }

    /// Five messages: the second is settled, the third dead, the fourth is to be sent later and has two frames.
    fn with_messages() -> Folder {
        let folder = Folder::new();
        let spool = folder.open();
        for text in ["one", "two", "three"] {
            spool.append(text).expect("room");
        }
        spool.append(["four", "4"]).expect("room");
        spool.append("five").expect("room");
        spool.settle([2..=2]).expect("room");
        spool.dead(3, "no such\titem", 7).expect("room");
        let due = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800);
        spool.retry_at(4, due, 2).expect("room");
        spool.close().expect("closed");
        folder
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    fn spool(&self, command: &str, args: &[&str]) -> Ended {
        run(&[&["spool", command, self.path()], args].concat())
    }

    fn json(&self, command: &str) -> Value {
        let line = self.spool(command, &["--json"]).ok();
        serde_json::from_str(&line).expect("JSON")
    }

    /// The first segment's file.
    fn segment(&self) -> PathBuf {
        self.0.join("0000000000000001.seg")
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(&self.0).expect("the folder");
        let paths = files.map(|file| file.expect("a file").path());
        let mut files: Vec<_> = paths
            .map(|path| (path.clone(), fs::read(&path).expect("read")))
            .collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Overwrites bytes of a file.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.write_all_at(bytes, at))
        .expect("written");
}

#[test]
fn ls_tells_what_is_there() {
    let folder = Folder::with_messages();
    let before = folder.files();
    let told = folder.json("ls");
    assert_eq!(told["unsettled"], 4);
    assert_eq!(told["dead"], 1);
    assert_eq!(told["oldest"]["seq"], 1);
    assert_eq!(told["newest"]["seq"], 5);
    assert_eq!(told["closed"], true);
    assert_eq!(told["segments"][0]["unsettled"], 4);
    assert_eq!(told["segments"][0]["size"], 4096);
    assert_eq!(told["damage"], Value::Array(Vec::new()));
    let screen = folder.spool("ls", &[]).ok();
    assert!(screen.contains("4 messages, 1 of them dead"), "{screen}");
    assert!(screen.contains("oldest       1, 20"), "{screen}");
    assert!(
        screen.contains("in good order, opened 1 time\n"),
        "{screen}"
    );
    assert_eq!(folder.files(), before);

    folder.open().settle([0..=u64::MAX]).expect("settled");
    let told = folder.json("ls");
    assert_eq!(
        (&told["unsettled"], &told["oldest"]),
        (&Value::from(0), &Value::Null)
    );
    assert!(!folder.spool("ls", &[]).ok().contains("oldest"));
}

#[test]
fn cat_prints_what_is_not_settled() {
    let folder = Folder::with_messages();
    let before = folder.files();
    assert_eq!(folder.spool("cat", &[]).ok(), "one\nfour\t4\nfive\n");
    let some = folder.spool("cat", &["--from", "2", "-n", "1", "--parts", "|", "-0"]);
    assert_eq!(some.ok(), "four|4\0");
    let json = folder.spool("cat", &["--format", "json"]).ok();
    assert_eq!(json, "[\"one\"]\n[\"four\",\"4\"]\n[\"five\"]\n");
    let lines = folder.spool("cat", &["--json"]).ok();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["seq"], 4);
    assert_eq!(lines[1]["deliveries"], 2);
    assert_eq!(lines[1]["due"], "2100-01-01T00:00:00.000Z");
    assert_eq!(lines[1]["frames"], serde_json::json!(["four", "4"]));
    assert_eq!(lines[0]["due"], Value::Null);
    // The time is that of the message, and not the one of now.
    let time = lines[0]["time"].as_str().expect("a time");
    let printed = folder.spool("cat", &["-n", "1", "--format", "%t"]).ok();
    assert_eq!(printed.trim_end_matches("000Z"), time.trim_end_matches('Z'));
    assert_eq!(folder.files(), before);
}

#[test]
fn dead_letters_are_told_requeued_and_discarded() {
    let folder = Folder::with_messages();
    assert_eq!(
        folder.spool("dead", &[]).ok(),
        "3\t7\tno such\\titem\tthree\n"
    );
    let letter = folder.json("dead");
    assert_eq!(letter["reason"], "no such\titem");
    assert_eq!(letter["deliveries"], 7);

    let before = folder.files();
    let wrong = folder.spool("dead", &["--requeue", "1", "--requeue", "3"]);
    wrong.failed(1, &["1 is no dead letter", "nothing was requeued"]);
    assert_eq!(folder.json("ls")["dead"], 1, "{before:?}");

    let done = folder.spool("dead", &["--requeue", "3"]).ok();
    assert_eq!(done, "1 dead letter requeued\n");
    assert_eq!(folder.spool("dead", &[]).ok(), "");
    assert_eq!(folder.spool("cat", &[]).ok(), "one\nthree\nfour\t4\nfive\n");

    let spool = folder.open();
    for seq in [1, 3, 5] {
        spool.dead(seq, "enough", 9).expect("room");
    }
    spool.close().expect("closed");
    let done = folder.spool("dead", &["--discard", "2..4"]).ok();
    assert_eq!(done, "1 dead letter discarded\n");
    let done = folder.spool("dead", &["--discard", "all"]).ok();
    assert_eq!(done, "2 dead letters discarded\n");
    assert_eq!(folder.spool("cat", &[]).ok(), "four\t4\n");
    assert_eq!(folder.json("ls")["unsettled"], 1);
}

#[test]
fn replay_sends_and_settles_only_if_told_to() {
    let folder = Folder::with_messages();
    for settles in [false, true] {
        let endpoint = Transport::Ipc.endpoint();
        let pull = Program::start(&["pull", "--bind", &endpoint, "-n", "3", "--format", "json"]);
        let mut args = vec!["--connect", &endpoint];
        args.extend(settles.then_some("--settle"));
        let replayed = folder.spool("replay", &args);
        let done = if settles {
            "3 messages sent and settled"
        } else {
            "3 messages sent"
        };
        assert_eq!(replayed.err, [format!("zerohop: {done}")]);
        assert_eq!(replayed.ok(), "");
        assert_eq!(
            pull.wait().ok(),
            "[\"one\"]\n[\"four\",\"4\"]\n[\"five\"]\n"
        );
        let left = if settles { "" } else { "one\nfour\t4\nfive\n" };
        assert_eq!(folder.spool("cat", &[]).ok(), left);
    }
    // The dead letter is neither sent nor settled.
    assert_eq!(folder.json("ls")["dead"], 1);
}

#[test]
fn replay_settles_nothing_if_not_all_was_sent() {
    let folder = Folder::with_messages();
    let nobody = Transport::Ipc.endpoint();
    let args = ["--connect", &nobody, "--settle", "--timeout", "50ms"];
    folder.spool("replay", &args).failed(3, &["not sent"]);
    assert_eq!(folder.spool("cat", &[]).ok(), "one\nfour\t4\nfive\n");
}

#[test]
fn verify_finds_nothing_in_a_whole_spool() {
    let folder = Folder::with_messages();
    let before = folder.files();
    let verified = folder.json("verify");
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["unsettled"], 4);
    assert_eq!(verified["unreadable"], 0);
    let text = folder.spool("verify", &[]).ok();
    assert!(text.contains("1 segment,"), "{text}");
    assert!(text.contains("4 unsettled messages\n"), "{text}");
    assert_eq!(folder.files(), before);
}

/// Of what was on the disk.
#[test]
fn a_flipped_bit_is_told_with_its_place() {
    let folder = Folder::new();
    let settings = Spool::at(&folder.0).segment_size(4096).sync(Sync::Disk);
    let spool = settings.open().expect("a spool");
    for n in 0..200 {
        let seq = spool.append(format!("message {n}")).expect("room");
        spool.commit(seq).expect("on the disk");
    }
    spool.close().expect("closed");
    let segment = folder.segment();
    let bytes = fs::read(&segment).expect("read");
    let text = b"message 7";
    let at = bytes.windows(text.len()).position(|bytes| bytes == text);
    let at = at.expect("the message") as u64;
    overwrite(&segment, at, b"n");
    let before = folder.files();

    let verified = folder.spool("verify", &["--json"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(
        verified.err[0].contains("0000000000000001.seg"),
        "{verified:?}"
    );
    let told: Value = serde_json::from_str(&verified.out).expect("JSON");
    assert_eq!(
        (&told["ok"], &told["opens"]),
        (&Value::from(false), &Value::from(false))
    );
    let place = &told["damage"][0];
    let (from, to) = (place["from"].as_u64(), place["to"].as_u64());
    assert!(from <= Some(at) && to > Some(at), "{told}");
    assert_eq!(told["unsettled"], 199);
    for command in ["ls", "cat", "dead"] {
        folder
            .spool(command, &[])
            .failed(1, &["is damaged at byte", "verify"]);
    }
    assert_eq!(folder.files(), before);
}

/// As it is after the power has failed: the end of the log is not there.
#[test]
fn a_torn_end_is_told_and_the_rest_is_read() {
    let folder = Folder::new();
    let spool = folder.open();
    for n in 0..20 {
        spool.append(format!("message {n}")).expect("room");
    }
    spool.flush().expect("written");
    let (files, used) = (folder.files(), spool.segments()[0].used);
    drop(spool);
    for (path, bytes) in files {
        fs::write(path, bytes).expect("as if it had never been closed");
    }
    let clean = folder.spool("verify", &[]).ok();
    assert!(clean.contains("20 unsettled messages"), "{clean}");
    overwrite(&folder.segment(), used - 12, &[0; 8]);
    let torn = folder.spool("verify", &[]);
    torn.failed(1, &["1 place without a valid record"]);
    assert!(torn.out.contains("19 unsettled messages"), "{torn:?}");
    assert!(torn.out.contains("are no valid record"), "{torn:?}");
    let screen = folder.spool("ls", &[]).ok();
    assert!(screen.contains("not in good order"), "{screen}");
    assert!(screen.contains("damage"), "{screen}");
    assert_eq!(folder.spool("cat", &[]).ok().lines().count(), 19);
}

#[test]
fn what_cannot_be_read_is_told_in_one_line() {
    let whole = Folder::with_messages();
    let commands = ["ls", "cat", "dead", "verify"];
    let refused = |folder: &Folder, parts: &[&str]| {
        let before = folder.files();
        for command in commands {
            folder.spool(command, &[]).failed(1, parts);
        }
        folder.spool("dead", &["--discard", "all"]).failed(1, parts);
        let replayed = folder.spool("replay", &["--connect", "ipc://nobody", "--settle"]);
        replayed.failed(1, parts);
        assert_eq!(folder.files(), before);
    };

    let spool = whole.open();
    refused(&whole, &["is in use by another process"]);
    drop(spool);

    let cut = Folder::with_messages();
    fs::write(cut.0.join("spool.id"), b"ZHSPOOL\n").expect("cut");
    refused(&cut, &["spool.id", "damaged", "too short"]);

    // The version stands at bytes 8 to 11, and a checksum behind it.
    let newer = Folder::with_messages();
    let path = newer.0.join("spool.id");
    let mut id = fs::read(&path).expect("read");
    id[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32c(&[&id[..12], &id[16..]].concat());
    id[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, id).expect("written");
    let opened = Spool::at(&newer.0).read_only(true).open();
    assert!(
        matches!(opened, Err(SpoolError::Newer { version: 2, .. })),
        "{opened:?}"
    );
    refused(&newer, &["spool.id", "version 2", "reads version 1"]);

    let other = Folder::new();
    fs::create_dir(&other.0).expect("a folder");
    refused(&other, &["is no spool"]);
    fs::write(other.0.join("letter.txt"), "dear").expect("written");
    refused(&other, &["is no spool"]);

    let nothing = Folder::new();
    for command in commands {
        nothing
            .spool(command, &[])
            .failed(1, &["No such file or directory"]);
    }
    assert!(!nothing.0.exists());
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut state = !0_u32;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (0x82f6_3b78 & (state & 1).wrapping_neg());
        }
    }
    !state
}
