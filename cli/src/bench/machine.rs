//! Where and when it was measured: a figure means nothing without that.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) system: String,
    /// The day, in UTC.
    pub(crate) date: String,
    /// Names and versions of what was measured.
    #[serde(default)]
    pub(crate) libraries: Vec<String>,
}

impl Machine {
    pub(crate) fn look(libraries: &[String]) -> Machine {
        Machine {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            system: system(),
            date: today(),
            libraries: libraries.to_vec(),
        }
    }

    /// All in a line.
    pub(crate) fn describe(&self) -> String {
        let Machine {
            processor,
            cores,
            system,
            date,
            libraries,
        } = self;
        let libraries = libraries.join(", ");
        format!("{processor}, {cores} cores, {system}, {libraries}, {date}")
    }
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
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
