//! The results as one page that needs nothing else: charts and tables, on light paper and on dark.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::charts::charts;
use super::child::Fallible;
use super::results::{Reference, Results, WorkloadResult};
use super::table::{metrics, ratio, since};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>zerohop: benchmark</title>
<style>
  :root { color: #24292f; background: #fbfbfa; --card: #fff; --line: #d9dde2; --soft: #65707c; --bad: #b93c17; }
  @media (prefers-color-scheme: dark) {
    :root { color: #d0d7de; background: #0d1117; --card: #151b23; --line: #2d343d; --soft: #8b949e; --bad: #ff7b54; }
  }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 1540px; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0; }
  p, caption, th { color: var(--soft); }
  main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 640px), 1fr)); gap: 1rem; }
  figure, .table { margin: 0; padding: 1rem; min-width: 0; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
  figcaption, h3 { font-weight: 600; margin: 0 0 .5rem; font-size: 1rem; }
  svg { width: 100%; min-width: 560px; height: auto; display: block; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .875rem; }
  th, td { text-align: right; padding: .15rem .5rem; font-weight: 400; white-space: nowrap; }
  th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
  tbody tr.first td { border-top: 1px solid var(--line); }
  tr.ours td { font-weight: 600; }
  p.warning { color: var(--bad); font-weight: 600; }
  td.why { text-align: left; white-space: normal; color: var(--bad); }
</style>
"#;

/// Writes `report.html` into the directory and tells where that is.
pub(crate) fn save(
    results: &Results,
    baseline: Option<&Results>,
    directory: &Path,
) -> Fallible<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join("report.html");
    fs::write(&path, page(results, baseline)?)?;
    Ok(path)
}

fn page(results: &Results, baseline: Option<&Results>) -> Fallible<String> {
    let mut page = HEAD.to_owned();
    let machine = escape(&results.describe());
    let rounds = results.rounds;
    let reference = results.reference();
    let beside = reference.name();
    writeln!(page, "<h1>zerohop beside {beside}</h1>")?;
    writeln!(
        page,
        "<p>{machine}. Medians of {rounds} rounds, contestants in turn; two or more processes on one machine, \
         default socket options; every message counted and checked. {}.</p>",
        reference.legend()
    )?;
    if let Some(warning) = results.machine.warning() {
        writeln!(page, "<p class=warning>{}</p>", escape(&warning))?;
    }
    if let Some(baseline) = baseline {
        let before = escape(&baseline.describe());
        writeln!(
            page,
            "<p>× before: how many times better than in {before}.</p>"
        )?;
    }
    page += "<main>\n";
    for chart in charts(results)? {
        let title = escape(&chart.title);
        let svg = chart.svg;
        writeln!(
            page,
            "<figure><figcaption>{title}</figcaption>{svg}</figure>"
        )?;
    }
    page += "</main>\n<h2>All figures</h2>\n<main>\n";
    for result in &results.workloads {
        let before = baseline.map(|baseline| baseline.workload(&result.name));
        add_table(&mut page, result, reference, before)?;
    }
    page += "</main>\n</html>\n";
    Ok(page)
}

/// `before` as in the table for a terminal.
fn add_table(
    page: &mut String,
    result: &WorkloadResult,
    reference: Reference,
    before: Option<Option<&WorkloadResult>>,
) -> Fallible<()> {
    let title = escape(&result.workload.title());
    let head = reference.head();
    let beside = before.map_or("", |_| "<th>× before");
    writeln!(
        page,
        "<div class=table><h3>{title}</h3><table><thead><tr><th><th><th>median<th>min<th>max<th>{head}{beside}</thead><tbody>"
    )?;
    for metric in metrics(result) {
        let mut label = metric.label();
        for contestant in &result.contestants {
            let mut measures = contestant.measures.iter();
            let Some(measure) = measures.find(|measure| measure.metric == metric) else {
                continue;
            };
            let summary = measure.summary;
            let class = match (label.is_empty(), contestant.contestant == "zerohop") {
                (false, true) => "first ours",
                (false, false) => "first",
                (true, true) => "ours",
                (true, false) => "",
            };
            let ratio = ratio(result, metric, summary.median, reference);
            let since = since(
                before.flatten(),
                &contestant.contestant,
                metric,
                summary.median,
            );
            let since = before.map_or(String::new(), |_| format!("<td>{since}"));
            writeln!(
                page,
                "<tr class='{class}'><td>{label}<td>{}<td>{}<td>{}<td>{}<td>{ratio}{since}",
                escape(&contestant.contestant),
                metric.show(summary.median),
                metric.show(summary.min),
                metric.show(summary.max),
            )?;
            label = "";
        }
    }
    for contestant in &result.contestants {
        if let Some((word, why)) = contestant.absence() {
            let name = escape(&contestant.contestant);
            let why = escape(why);
            writeln!(
                page,
                "<tr class=first><td>{word}<td>{name}<td colspan=5 class=why>{why}"
            )?;
        }
    }
    page.push_str("</tbody></table></div>\n");
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
