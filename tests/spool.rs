//! The spool on a real disk: a process that is killed while it appends, a disk that is full, threads that commit at once.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use zerohop::spool::{OpenSpool, Spool, SpoolError, Sync};

/// Set in a child: the folder of its spool.
const CHILD: &str = "ZEROHOP_TEST_SPOOL_CHILD";

/// A folder of this test alone, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spool-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn settings(&self) -> Spool {
        Spool::at(&self.0).segment_size(64 * 1024)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn texts(spool: &OpenSpool) -> Vec<(u64, String)> {
    spool
        .unsettled()
        .map(|stored| {
            let stored = stored.expect("a message that can be read");
            (
                stored.seq,
                stored.message.to_str().expect("text").to_owned(),
            )
        })
        .collect()
}

/// What messages say is nobody else's business, unless whoever has made the folder says so.
#[test]
fn a_folder_that_is_made_is_for_this_user_alone() {
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).expect("a folder");
        metadata.permissions().mode() & 0o777
    };
    let folder = Folder::new();
    drop(folder.settings().open().expect("a spool"));
    assert_eq!(mode(&folder.0), 0o700);
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o750)).expect("ours");
    drop(folder.settings().open().expect("a spool"));
    assert_eq!(mode(&folder.0), 0o750);
    let within = Folder(folder.0.with_extension("parent"));
    drop(Spool::at(within.0.join("a/b")).open().expect("a spool"));
    assert_eq!(mode(&within.0.join("a/b")), 0o700);
}

/// No test by itself: what [`a_killed_process_loses_nothing`] starts.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(folder) = env::var_os(CHILD) else {
        return;
    };
    let spool = Spool::at(folder).segment_size(64 * 1024).sync(Sync::Os);
    let spool = spool.open().expect("a spool");
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        let seq = spool.append(format!("message {n}")).expect("room");
        spool.commit(seq).expect("a commit");
        if n % 3 == 0 {
            spool.settle([seq..=seq]).expect("room");
            spool.flush().expect("a flush");
        }
        writeln!(out, "\nTAKEN {seq} {n}").expect("a parent that reads");
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let folder = Folder::new();
    let mut expected = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args([
                "--exact",
                "child_that_appends_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut wanted = round * 500;
        let mut take = |line: &str| {
            let Some((seq, n)) = line.strip_prefix("TAKEN ").and_then(|l| l.split_once(' ')) else {
                return false;
            };
            let (seq, n): (u64, u64) = (seq.parse().expect("seq"), n.parse().expect("number"));
            if n % 3 != 0 {
                expected.push((seq, format!("message {n}")));
            }
            true
        };
        while wanted > 0 {
            let line = lines.next().expect("a child that goes on");
            wanted -= usize::from(take(&line));
        }
        child.kill().expect("a child that can be killed");
        // What it had told before it died; the last line may be cut.
        let rest: Vec<String> = lines.collect();
        for line in &rest[..rest.len().saturating_sub(1)] {
            take(line);
        }
        child.wait().expect("its end");

        let spool = folder.settings().sync(Sync::Os).open().expect("a spool");
        assert!(!spool.recovery().clean);
        let found = texts(&spool);
        // It may have been killed between an append, or a settlement, and the line about it.
        let missing: Vec<_> = expected.iter().filter(|one| !found.contains(one)).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        assert!(
            found.len() <= expected.len() + 2,
            "{} more",
            found.len() - expected.len()
        );
        expected = found;
        spool.close().expect("a spool that can be closed");
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let folder = Folder::new();
    let spool = folder.settings().open().expect("a spool");
    let second = folder.settings().open();
    assert!(
        matches!(second, Err(SpoolError::Locked { .. })),
        "{second:?}"
    );
    drop(spool);
    folder.settings().open().expect("it is free");
}

#[test]
fn threads_commit_together() {
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    let folder = Folder::new();
    for sync in [Sync::Os, Sync::Disk] {
        let spool = folder.settings().sync(sync).open().expect("a spool");
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let spool = &spool;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let seq = spool.append(format!("{thread} {n}")).expect("room");
                        spool.commit(seq).expect("a commit");
                        assert!(spool.committed() > seq);
                        let stored = spool.read(seq).expect("it is there");
                        assert_eq!(stored.message, format!("{thread} {n}"));
                        if n % 2 == 0 {
                            assert_eq!(spool.settle([seq..=seq]), Ok(1));
                        }
                    }
                });
            }
        });
        assert_eq!(spool.len(), THREADS * EACH / 2);
        let found = texts(&spool);
        spool.close().expect("a spool that can be closed");
        let spool = folder.settings().sync(sync).open().expect("a spool");
        assert!(spool.recovery().clean);
        assert_eq!(texts(&spool), found);
        spool.settle([0..=u64::MAX]).expect("room");
        assert!(spool.is_empty());
    }
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).expect("a folder");
    fs::write(folder.0.join("letter.txt"), "Dear Sir").expect("a file");
    let refused = folder.settings().open();
    assert!(
        matches!(refused, Err(SpoolError::NotASpool { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 1);
}

/// On a file system of 1 MiB, where this process may mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_refuses_messages_and_keeps_the_others() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&folder.0)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        // Not eprintln: the harness would swallow what a passing test prints.
        let _ = writeln!(
            stderr(),
            "SKIPPED: a full file system, as no tmpfs can be mounted here"
        );
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&folder.0);
    let spool = folder.settings().open().expect("a spool");
    let mut kept = Vec::new();
    let error = loop {
        match spool.append([1; 1000]) {
            Ok(seq) => kept.push(seq),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }), "{error}");
    assert!(kept.len() > 700, "only {} messages fit", kept.len());
    spool.commit(kept[kept.len() - 1]).expect("a commit");
    spool
        .settle([kept[0]..=kept[400]])
        .expect("room for a settlement");
    kept.push(spool.append([1; 1000]).expect("room again"));
    spool.close().expect("a spool that can be closed");
    let spool = folder
        .settings()
        .open()
        .expect("a spool on a disk that is nearly full");
    let found: Vec<u64> = texts(&spool).into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(found, kept[401..]);
    drop(spool);
}

#[test]
fn tells_which_messages_it_holds_and_where() {
    let folder = Folder::new();
    let spool = folder.settings().sync(Sync::Os).open().expect("a spool");
    assert_eq!(spool.range(), None);
    for _ in 0..100 {
        spool.append([1; 1000]).expect("room");
    }
    assert_eq!(spool.range(), Some(1..=100));
    let segments = spool.segments();
    assert_eq!(segments.len(), 2);
    let unsettled: u64 = segments.iter().map(|segment| segment.unsettled).sum();
    assert_eq!(unsettled, 100);
    let last = &segments[1];
    assert_eq!(last.file, folder.0.join("0000000000000002.seg"));
    assert_eq!(last.size, 64 * 1024);
    assert!(last.used > last.unsettled * 1000 && last.used <= last.size);

    spool.flush().expect("written");
    spool.settle([1..=70, 100..=100]).expect("room");
    assert_eq!(spool.range(), Some(71..=99));
    assert_eq!(spool.segments().len(), 1);
    spool.settle([0..=u64::MAX]).expect("room");
    assert_eq!(spool.range(), None);
}
