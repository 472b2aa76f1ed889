//! Where and when it was measured: a figure means nothing without that.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) system: String,
    /// The day, in UTC.
    pub(crate) date: String,
    /// Whether the machine is a virtual one.
    #[serde(default)]
    pub(crate) is_virtual: bool,
    /// The size of the last cache, as the system says it.
    #[serde(default)]
    pub(crate) cache: Option<String>,
    /// The congestion control of TCP that is the system's default.
    #[serde(default)]
    pub(crate) congestion: Option<String>,
    /// The part of the processors' time that others used just before, in a hundred.
    #[serde(default)]
    pub(crate) busy: Option<u64>,
    /// Names and versions of what was measured.
    #[serde(default)]
    pub(crate) libraries: Vec<String>,
}

/// A machine that others use more than this, in a hundred, is no place to measure.
const BUSY: u64 = 10;

/// How long to look at what others use.
const LOOK: Duration = Duration::from_millis(300);

impl Machine {
    pub(crate) fn look(libraries: &[String]) -> Machine {
        Machine {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            system: system(),
            date: today(),
            is_virtual: processor_fields("flags")
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            cache: last_cache(),
            congestion: one_line("/proc/sys/net/ipv4/tcp_congestion_control"),
            busy: busy(),
            libraries: libraries.to_vec(),
        }
    }

    /// All in a line.
    pub(crate) fn describe(&self) -> String {
        let cores = format!("{} cores", self.cores);
        let cache = self.cache.as_ref().map(|size| format!("cache {size}"));
        let parts = [
            Some(self.processor.clone()),
            self.is_virtual.then(|| "virtual machine".to_owned()),
            Some(cores),
            cache,
            Some(self.system.clone()),
            self.congestion.clone(),
            Some(self.libraries.join(", ")).filter(|libraries| !libraries.is_empty()),
            Some(self.date.clone()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join(", ")
    }

    /// Why the figures are not to be trusted.
    pub(crate) fn warning(&self) -> Option<String> {
        let busy = self.busy.filter(|busy| *busy > BUSY)?;
        Some(format!(
            "warning: others used {busy} % of the processors just before; figures from a busy machine mislead"
        ))
    }
}

fn processor() -> Option<String> {
    processor_fields("model name")
}

/// What the system says of the first processor.
fn processor_fields(name: &str) -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn one_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn last_cache() -> Option<String> {
    let sizes = (0..8).map_while(|index| {
        one_line(&format!(
            "/sys/devices/system/cpu/cpu0/cache/index{index}/size"
        ))
    });
    sizes.last()
}

fn busy() -> Option<u64> {
    let (used, all) = times()?;
    thread::sleep(LOOK);
    let (used_then, all_then) = times()?;
    let all = all_then.saturating_sub(all).max(1);
    Some(used_then.saturating_sub(used) * 100 / all)
}

/// The time that all processors have been used, and all the time there was, in ticks.
fn times() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields = text.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, and more that is used.
    let all: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.get(3..5)?.iter().sum();
    Some((all - idle, all))
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The rest of a release names who built the kernel.
    let version = release.trim().split('-').next().unwrap_or_default();
    format!("{} {version}", std::env::consts::OS)
        .trim()
        .to_owned()
}

fn today() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = since_1970.map_or(0, |time| time.as_secs() / 86_400);
    let (year, month, day) = civil(days);
    format!("{year}-{month:02}-{day:02}")
}

/// The date of a day counted from 1970-01-01, by walking through the years and months.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}
