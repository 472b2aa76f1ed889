//! Group commit of the spool under a model checker: every interleaving, not just those that happen.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "../../src/spool/commit.rs"]
mod commit;

use commit::{GroupCommit, Level, Reached, Turn};

/// A log: how much was appended, and how much is on the disk. The writer is what only one thread may have.
struct Log {
    appended: AtomicU64,
    disk: AtomicU64,
    group: GroupCommit<u64>,
}

impl Log {
    fn new() -> Arc<Log> {
        Arc::new(Log {
            appended: AtomicU64::new(0),
            disk: AtomicU64::new(0),
            group: GroupCommit::new(0, Reached::default()),
        })
    }

    /// Appends, and commits; whether that has worked.
    fn send(&self, fails: bool) -> bool {
        let mine = self.appended.fetch_add(1, Ordering::AcqRel) + 1;
        match self.group.join(Level::Synced, mine) {
            Turn::Reached => {}
            Turn::Failed => return false,
            Turn::Lead(mut lead) => {
                let upto = self.appended.load(Ordering::Acquire);
                let writer = lead.writer().expect("the leader has it");
                assert!(*writer < upto, "somebody else wrote it at the same time");
                *writer = upto;
                if fails {
                    drop(lead);
                    return false;
                }
                self.disk.store(upto, Ordering::Release);
                lead.finish(Reached {
                    written: upto,
                    synced: upto,
                });
            }
        }
        assert!(
            self.disk.load(Ordering::Acquire) >= mine,
            "it is not on the disk"
        );
        true
    }
}

#[test]
fn who_has_committed_is_on_the_disk_and_nobody_waits_for_ever() {
    // Three threads have too many interleavings; two changes that nobody asked for are enough to find what can go wrong with them.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let log = Log::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let log = Arc::clone(&log);
                thread::spawn(move || assert!(log.send(false)))
            })
            .collect();
        assert!(log.send(false));
        for other in others {
            other.join().expect("committed");
        }
        assert_eq!(log.group.reached().synced, 3);
        assert!(matches!(log.group.join(Level::Written, 3), Turn::Reached));
    });
}

#[test]
fn after_a_failure_nobody_commits_and_nobody_waits() {
    loom::model(|| {
        let log = Log::new();
        let other = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.send(false))
        };
        let failing = log.send(true);
        let other = other.join().expect("an end");
        // Mine has failed, unless the other one wrote it for me.
        assert!(!failing || other);
        let after = log.group.join(Level::Synced, 3);
        assert!(matches!(after, Turn::Failed) || failing);
    });
}

#[test]
fn who_only_begins_writes_beside_nobody_and_keeps_nobody_waiting() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let log = Log::new();
        let other = {
            let log = Arc::clone(&log);
            thread::spawn(move || assert!(log.send(false)))
        };
        let mine = log.appended.fetch_add(1, Ordering::AcqRel) + 1;
        if let Some(mut lead) = log.group.try_lead() {
            let upto = log.appended.load(Ordering::Acquire);
            assert!(lead.writer().is_some(), "nobody else writes");
            lead.finish(Reached {
                written: upto,
                synced: 0,
            });
            assert!(log.group.reached().written >= mine);
        }
        other.join().expect("committed");
        assert!(log.send(false));
        assert_eq!(log.group.reached().synced, 3);
    });
}

#[test]
fn nobody_begins_after_a_failure() {
    loom::model(|| {
        let log = Log::new();
        assert!(!log.send(true));
        assert!(log.group.try_lead().is_none());
    });
}
