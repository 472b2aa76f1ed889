//! Clocks, memory and limits of this process.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of a clock that all processes of the machine share.
#[inline]
pub(crate) fn now() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of processor time that all threads of this process have used.
pub(crate) fn cpu_time() -> u64 {
    nanos(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of memory that are this process's own, where the system tells.
pub(crate) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Allows as many open files as the system lets us have. Without them the large workloads say what fails.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The last part of a wait is spent looking at the clock. That is as long as it has to be for the contestants with a runtime, whose
/// timers are less precise than the system's: who has slept finds cold caches, and that is not to be the difference.
pub(crate) const SPIN: u64 = 2_000_000;

/// Returns at that time on the clock of [`now`], neither early nor late.
pub(crate) fn wait_until(time: u64) {
    let left = time.saturating_sub(now());
    if left > 2 * SPIN {
        std::thread::sleep(Duration::from_nanos(left - SPIN));
    }
    while now() < time {
        std::hint::spin_loop();
    }
}

/// Asks for timers that ring when they are due, instead of 50 µs later, on the calling thread.
pub(crate) fn sharpen_timers() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}
