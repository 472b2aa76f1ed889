//! The results as text, for a terminal.

use super::results::{Metric, Reference, Results, WorkloadResult};

/// All results; beside those of an earlier run, if there is one.
pub(crate) fn of(results: &Results, baseline: Option<&Results>) -> String {
    let machine = results.describe();
    let rounds = results.rounds;
    let reference = results.reference();
    let mut text = format!(
        "\n{machine}\nmedians of {rounds} rounds; {}\n",
        reference.legend()
    );
    if let Some(baseline) = baseline {
        text += &format!(
            "× before: how many times better than in {}\n",
            baseline.describe()
        );
    }
    if let Some(warning) = results.machine.warning() {
        text += &format!("{warning}\n");
    }
    for result in &results.workloads {
        let before = baseline.map(|baseline| baseline.workload(&result.name));
        add_workload(&mut text, result, reference, before);
    }
    text
}

/// `before` is there if there is an earlier run, and holds its results for the workload if it had that.
fn add_workload(
    text: &mut String,
    result: &WorkloadResult,
    reference: Reference,
    before: Option<Option<&WorkloadResult>>,
) {
    *text += &format!("\n{}\n", result.workload.title());
    let against = reference.head();
    let beside = before.map_or("", |_| "× before");
    let head = format!(
        "  {:<18} {:<20} {:>11} {:>11} {:>11} {against:>9} {beside:>9}",
        "", "", "median", "min", "max"
    );
    *text += head.trim_end();
    text.push('\n');
    for metric in metrics(result) {
        let mut label = metric.label();
        for contestant in &result.contestants {
            let mut measures = contestant.measures.iter();
            let Some(measure) = measures.find(|measure| measure.metric == metric) else {
                continue;
            };
            let summary = measure.summary;
            let row = format!(
                "  {label:<18} {:<20} {:>11} {:>11} {:>11} {:>9} {:>9}",
                contestant.contestant,
                metric.show(summary.median),
                metric.show(summary.min),
                metric.show(summary.max),
                ratio(result, metric, summary.median, reference),
                since(
                    before.flatten(),
                    &contestant.contestant,
                    metric,
                    summary.median
                ),
            );
            *text += row.trim_end();
            text.push('\n');
            label = "";
        }
    }
    for contestant in &result.contestants {
        if let Some((word, why)) = contestant.absence() {
            *text += &format!("  {word:<18} {:<20} {why}\n", contestant.contestant);
        }
    }
}

/// How good that is beside the reference, where the reference took part.
pub(crate) fn ratio(
    result: &WorkloadResult,
    metric: Metric,
    value: f64,
    reference: Reference,
) -> String {
    let theirs = result.median(reference.contestant(), metric);
    theirs.map_or(String::new(), |theirs| {
        reference.show(metric.ratio(value, theirs))
    })
}

/// How many times better than the same contestant was before, if it took part.
pub(crate) fn since(
    before: Option<&WorkloadResult>,
    contestant: &str,
    metric: Metric,
    value: f64,
) -> String {
    let old = before.and_then(|before| before.median(contestant, metric));
    old.map_or(String::new(), |old| {
        format!("{:.2}", metric.ratio(value, old))
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
