//! Watching how much memory this process holds.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One watch at a time: what tests beside it allocate would count as growth.
static ALONE: Mutex<()> = Mutex::new(());

/// The memory held when it was made.
pub(crate) struct Watch {
    before: Option<u64>,
    _alone: MutexGuard<'static, ()>,
}

impl Watch {
    pub(crate) fn start() -> Watch {
        // The test that poisoned it has failed, which need not fail the next.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Watch {
            before: resident(),
            _alone: alone,
        }
    }

    /// Fails when the process has grown by more than `limit` bytes. Where the system does not tell, nothing is checked.
    pub(crate) fn assert_growth_below(&self, limit: u64) {
        if let (Some(before), Some(now)) = (self.before, resident()) {
            let growth = now.saturating_sub(before);
            assert!(
                growth < limit,
                "grew by {growth} bytes, from {before} to {now}"
            );
        }
    }
}

/// The bytes of this process in physical memory, from `/proc` where there is one.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
