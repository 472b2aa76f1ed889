//! What the tools print: libzmq's lines, or one line of JSON.

use std::fmt::Display;
use std::time::Duration;

use serde_json::json;

use super::Load;
use crate::failure::Outcome;
use crate::output;

impl Load {
    /// The lines about a throughput test's load.
    pub(super) fn tell_messages(self) -> Outcome {
        self.tell(format_args!(
            "message size: {} [B]\nmessage count: {}",
            self.size, self.count
        ))
    }

    /// The lines about a latency test's load.
    pub(super) fn tell_roundtrips(self) -> Outcome {
        self.tell(format_args!(
            "message size: {} [B]\nroundtrip count: {}",
            self.size, self.count
        ))
    }

    fn tell(self, lines: impl Display) -> Outcome {
        if self.json { Ok(()) } else { print(lines) }
    }
}

/// Reports how long the messages took from the first one received to the last.
pub(super) fn throughput(load: Load, elapsed: Duration) -> Outcome {
    let seconds = elapsed.max(Duration::from_micros(1)).as_secs_f64();
    let rate = load.count as f64 / seconds;
    let bytes = rate * load.size as f64;
    if load.json {
        return print(json!({
            "size": load.size,
            "count": load.count,
            "msgs_per_s": rounded(rate),
            "mb_per_s": rounded(bytes / 1e6),
        }));
    }
    print(format_args!(
        "mean throughput: {} [msg/s]\nmean throughput: {:.3} [Mb/s]",
        rate as u64,
        bytes * 8.0 / 1e6
    ))
}

/// Reports the round trips: all together, and each for itself in nanoseconds.
pub(super) fn latency(load: Load, elapsed: Duration, mut roundtrips: Vec<u64>) -> Outcome {
    let mean = elapsed.as_secs_f64() * 1e6 / (2.0 * load.count as f64);
    if load.json {
        roundtrips.sort_unstable();
        return print(json!({
            "size": load.size,
            "count": load.count,
            "latency_us_mean": rounded(mean),
            "latency_us_p50": rounded(one_way(&roundtrips, 0.50)),
            "latency_us_p99": rounded(one_way(&roundtrips, 0.99)),
        }));
    }
    print(format_args!("average latency: {mean:.3} [us]"))
}

/// Half of the round trip, in microseconds, that this share of all did not exceed (the nearest rank).
fn one_way(sorted: &[u64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let at = rank.saturating_sub(1);
    sorted
        .get(at)
        .map_or(0.0, |&nanoseconds| nanoseconds as f64 / 2000.0)
}

/// Three digits after the point are more than a measurement is worth.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn print(lines: impl Display) -> Outcome {
    output::print(format!("{lines}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_one_way() {
        let roundtrips: Vec<u64> = (1..=100).map(|n| n * 2000).collect();
        assert_eq!(one_way(&roundtrips, 0.50), 50.0);
        assert_eq!(one_way(&roundtrips, 0.99), 99.0);
        assert_eq!(one_way(&[6000], 0.99), 3.0);
        assert_eq!(one_way(&[], 0.5), 0.0);
    }
}
