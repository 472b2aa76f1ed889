//! What was measured, and how it is kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::child::Fallible;
use super::machine::Machine;
use super::statistics::Summary;
use super::workload::Workload;

/// All that a run has found out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    /// Whether the cores were kept awake where latency was measured.
    #[serde(default)]
    pub(crate) awake: bool,
    pub(crate) workloads: Vec<WorkloadResult>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkloadResult {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) contestants: Vec<ContestantResult>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContestantResult {
    pub(crate) contestant: String,
    /// Why it has no measures: it cannot do this as everybody else does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<String>,
    /// Why it has no measures: what went wrong in one of its rounds voids all.
    #[serde(default)]
    pub(crate) failure: Option<String>,
    pub(crate) measures: Vec<Measure>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) metric: Metric,
    pub(crate) summary: Summary,
    /// One of each round.
    pub(crate) samples: Vec<f64>,
}

/// Whom everybody is compared with: libzmq, or bare sockets where it has not taken part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Libzmq,
    /// The limit of what is possible, and so figures are parts of it.
    BareSockets,
}

impl Reference {
    pub(crate) fn contestant(self) -> &'static str {
        match self {
            Reference::Libzmq => "libzmq",
            Reference::BareSockets => "raw",
        }
    }

    /// The name, for a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Reference::Libzmq => "libzmq",
            Reference::BareSockets => "bare sockets",
        }
    }

    /// The head of a column of ratios.
    pub(crate) fn head(self) -> &'static str {
        match self {
            Reference::Libzmq => "× libzmq",
            Reference::BareSockets => "of bare",
        }
    }

    /// What such a column says.
    pub(crate) fn legend(self) -> &'static str {
        match self {
            Reference::Libzmq => "× libzmq: how many times better",
            Reference::BareSockets => {
                "of bare: 100 % is as good as bare sockets, for which nothing is framed, queued or routed"
            }
        }
    }

    /// A ratio of which more is better.
    pub(crate) fn show(self, ratio: f64) -> String {
        match self {
            Reference::Libzmq => format!("{ratio:.2}"),
            Reference::BareSockets => format!("{:.0} %", ratio * 100.0),
        }
    }
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    MessagesPerSecond,
    BytesPerSecond,
    ConnectionsPerSecond,
    /// Of all processes together; in nanoseconds per message, which are milliseconds per million.
    CpuPerMessage,
    LatencyP50,
    LatencyP99,
    LatencyP999,
    LatencyMean,
    BytesPerAccepted,
    BytesPerConnected,
}

impl Metric {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Metric::MessagesPerSecond => "messages/s",
            Metric::BytesPerSecond => "payload bytes/s",
            Metric::ConnectionsPerSecond => "connections/s",
            Metric::CpuPerMessage => "CPU s per million",
            Metric::LatencyP50 => "latency p50",
            Metric::LatencyP99 => "latency p99",
            Metric::LatencyP999 => "latency p99.9",
            Metric::LatencyMean => "latency mean",
            Metric::BytesPerAccepted => "accepting side",
            Metric::BytesPerConnected => "connecting side",
        }
    }

    /// The number as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Metric::MessagesPerSecond | Metric::ConnectionsPerSecond => scaled(value, ""),
            Metric::BytesPerSecond => scaled(value, "B/s"),
            Metric::CpuPerMessage => format!("{:.3} s", value / 1e3),
            Metric::LatencyP50 | Metric::LatencyP99 | Metric::LatencyP999 | Metric::LatencyMean => {
                show_nanos(value)
            }
            Metric::BytesPerAccepted | Metric::BytesPerConnected => {
                format!("{:.1} KiB", value / 1024.0)
            }
        }
    }

    /// How many times better `value` is than `reference`.
    pub(crate) fn ratio(self, value: f64, reference: f64) -> f64 {
        match self {
            Metric::MessagesPerSecond | Metric::BytesPerSecond | Metric::ConnectionsPerSecond => {
                value / reference
            }
            Metric::CpuPerMessage
            | Metric::LatencyP50
            | Metric::LatencyP99
            | Metric::LatencyP999
            | Metric::LatencyMean
            | Metric::BytesPerAccepted
            | Metric::BytesPerConnected => reference / value,
        }
    }
}

impl ContestantResult {
    /// In a word and in a sentence, why it has no measures.
    pub(crate) fn absence(&self) -> Option<(&'static str, &str)> {
        match (&self.failure, &self.left_out) {
            (Some(failure), _) => Some(("FAILED", failure)),
            (None, Some(why)) => Some(("left out", why)),
            (None, None) => None,
        }
    }
}

impl WorkloadResult {
    /// The median of a contestant's measure.
    pub(crate) fn median(&self, contestant: &str, metric: Metric) -> Option<f64> {
        Some(self.summary(contestant, metric)?.median)
    }

    /// The samples of a contestant's measure, condensed.
    pub(crate) fn summary(&self, contestant: &str, metric: Metric) -> Option<Summary> {
        let mut contestants = self.contestants.iter();
        let found = contestants.find(|result| result.contestant == contestant)?;
        let mut measures = found.measures.iter();
        let measure = measures.find(|measure| measure.metric == metric)?;
        Some(measure.summary)
    }
}

impl Results {
    /// Where, when, and with what.
    pub(crate) fn describe(&self) -> String {
        let machine = self.machine.describe();
        match self.awake {
            true => machine + ", cores kept awake for latencies",
            false => machine,
        }
    }

    /// Whom everybody is compared with.
    pub(crate) fn reference(&self) -> Reference {
        match self.contestants().contains(&Reference::Libzmq.contestant()) {
            true => Reference::Libzmq,
            false => Reference::BareSockets,
        }
    }

    /// The results for the workload of this name.
    pub(crate) fn workload(&self, name: &str) -> Option<&WorkloadResult> {
        self.workloads.iter().find(|result| result.name == name)
    }

    /// The contestants of all workloads, in the order of their first appearance.
    pub(crate) fn contestants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for result in self.workloads.iter().flat_map(|result| &result.contestants) {
            if !names.contains(&result.contestant.as_str()) {
                names.push(&result.contestant);
            }
        }
        names
    }
}

/// Writes `results.json` into the directory.
pub(crate) fn save(results: &Results, directory: &Path) -> Fallible<()> {
    fs::create_dir_all(directory)?;
    fs::write(path_in(directory), serde_json::to_string_pretty(results)?)?;
    Ok(())
}

/// Reads what [`save`] has written.
pub(crate) fn load(directory: &Path) -> Fallible<Results> {
    load_file(&path_in(directory))
}

/// Reads results from a file, or from `results.json` in a directory.
pub(crate) fn load_baseline(path: &Path) -> Fallible<Results> {
    match path.is_dir() {
        true => load(path),
        false => load_file(path),
    }
}

fn load_file(path: &Path) -> Fallible<Results> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Where the results of that directory are.
pub(crate) fn path_in(directory: &Path) -> PathBuf {
    directory.join("results.json")
}

/// With three digits and a prefix of the unit.
fn scaled(value: f64, unit: &str) -> String {
    let (value, prefix) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    format!("{} {prefix}{unit}", three_digits(value))
}

fn show_nanos(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} ms", three_digits(value / 1e6)),
        value => format!("{} µs", three_digits(value / 1e3)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
