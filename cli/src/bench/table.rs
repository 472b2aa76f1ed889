//! The results as text, for a terminal.

use super::results::{Metric, Results, WorkloadResult};

/// All results.
pub(crate) fn of(results: &Results) -> String {
    let machine = results.describe();
    let rounds = results.rounds;
    let reference = results.reference();
    let mut text =
        format!("\n{machine}\nmedians of {rounds} rounds; × {reference}: how many times better\n");
    for result in &results.workloads {
        add_workload(&mut text, result, reference);
    }
    text
}

fn add_workload(text: &mut String, result: &WorkloadResult, reference: &str) {
    *text += &format!("\n{}\n", result.workload.title());
    let against = format!("× {reference}");
    *text += &format!(
        "  {:<18} {:<20} {:>11} {:>11} {:>11} {against:>9}\n",
        "", "", "median", "min", "max"
    );
    for metric in metrics(result) {
        let mut label = metric.label();
        for contestant in &result.contestants {
            let mut measures = contestant.measures.iter();
            let Some(measure) = measures.find(|measure| measure.metric == metric) else {
                continue;
            };
            let summary = measure.summary;
            *text += &format!(
                "  {label:<18} {:<20} {:>11} {:>11} {:>11} {:>9}\n",
                contestant.contestant,
                metric.show(summary.median),
                metric.show(summary.min),
                metric.show(summary.max),
                ratio(result, metric, summary.median, reference),
            );
            label = "";
        }
    }
    for contestant in &result.contestants {
        if let Some((word, why)) = contestant.absence() {
            *text += &format!("  {word:<18} {:<20} {why}\n", contestant.contestant);
        }
    }
}

/// How many times better than the reference that is, where the reference took part.
pub(crate) fn ratio(
    result: &WorkloadResult,
    metric: Metric,
    value: f64,
    reference: &str,
) -> String {
    let reference = result.median(reference, metric);
    reference.map_or(String::new(), |reference| {
        format!("{:.2}", metric.ratio(value, reference))
    })
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
