//! The results on the terminal.

use super::results::{Measure, Metric, Results, WorkloadResult};

/// What everybody is compared with.
pub(crate) const REFERENCE: &str = "libzmq";

pub(crate) fn print(results: &Results) {
    println!("\n{}", results.machine.describe());
    println!(
        "medians of {} rounds; × libzmq: how many times better",
        results.rounds
    );
    for result in &results.workloads {
        print_workload(result);
    }
}

fn print_workload(result: &WorkloadResult) {
    println!("\n{}", result.workload.title());
    println!(
        "  {:<18} {:<20} {:>11} {:>11} {:>11} {:>9}",
        "", "", "median", "min", "max", "× libzmq"
    );
    for metric in metrics(result) {
        let mut label = metric.label();
        for contestant in &result.contestants {
            for measure in &contestant.measures {
                if measure.metric == metric {
                    print_measure(result, label, &contestant.contestant, measure);
                    label = "";
                }
            }
        }
    }
}

fn print_measure(result: &WorkloadResult, label: &str, contestant: &str, measure: &Measure) {
    let metric = measure.metric;
    let summary = measure.summary;
    let ratio = result
        .median(REFERENCE, metric)
        .map_or(String::new(), |reference| {
            format!("{:.2}", metric.ratio(summary.median, reference))
        });
    println!(
        "  {label:<18} {contestant:<20} {:>11} {:>11} {:>11} {ratio:>9}",
        metric.show(summary.median),
        metric.show(summary.min),
        metric.show(summary.max),
    );
}

/// The metrics of a workload, each once.
pub(crate) fn metrics(result: &WorkloadResult) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let measures = result
        .contestants
        .iter()
        .flat_map(|result| &result.measures);
    for measure in measures {
        if !metrics.contains(&measure.metric) {
            metrics.push(measure.metric);
        }
    }
    metrics
}
