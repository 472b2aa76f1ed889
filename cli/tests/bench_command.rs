//! `zerohop bench`: what it counts, keeps and refuses.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A directory of its own for a test, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("zerohop-bench-test-{name}-{}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not there if the test has failed before anything was written.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bench(arguments: &[&str], out: &Scratch) -> Result<Output, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerohop"));
    command
        .arg("bench")
        .args(arguments)
        .arg("--out")
        .arg(&out.0);
    Ok(command.output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_smoke_run_counts_messages_and_measures_nothing() -> Result<(), Box<dyn Error>> {
    let out = Scratch::new("smoke");
    let filters = [
        ["--filter", "push-pull/tcp/64"],
        ["--filter", "inproc/64"],
        ["--filter", "latency/ipc"],
        ["--filter", "fan-out"],
        ["--filter", "fan-in"],
        ["--filter", "churn"],
    ];
    let arguments = [&["--smoke"], filters.as_flattened()].concat();
    let output = bench(&arguments, &out)?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let mut seen = Vec::new();
    for line in stdout.lines() {
        let [workload, contestant, messages, "messages"] =
            line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return Err(format!("not a count: {line}").into());
        };
        assert!(messages.parse::<u64>()? > 0, "{line}");
        seen.push((workload.to_owned(), contestant.to_owned()));
    }
    let expected = [
        ("push-pull/tcp/64", "zerohop"),
        ("push-pull/tcp/64", "raw"),
        ("push-pull/inproc/64", "zerohop"),
        ("shared/inproc/64", "zerohop"),
        ("latency/ipc/64", "zerohop"),
        ("latency/ipc/64", "raw"),
        ("fan-out/tcp/64/8-peers", "zerohop"),
        ("fan-out/tcp/64/8-peers/100-topics", "zerohop"),
        ("fan-in/tcp/64/4-peers", "zerohop"),
        ("churn/tcp/64", "zerohop"),
        ("fan-out/inproc/1000/2-peers", "zerohop"),
        ("fan-out/inproc/1000/1000-per-s/2-peers", "zerohop"),
        ("fan-out/ipc/1000/2-peers", "zerohop"),
        ("fan-out/ipc/1000/1000-per-s/2-peers", "zerohop"),
        ("fan-out/tcp/1000/2-peers", "zerohop"),
        ("fan-out/tcp/1000/1000-per-s/2-peers", "zerohop"),
    ];
    let expected = expected.map(|(workload, who)| (workload.to_owned(), who.to_owned()));
    assert_eq!(seen, expected);
    assert!(!out.0.exists(), "a smoke run must leave no results");
    Ok(())
}

#[test]
fn a_run_is_shown_kept_and_shown_again() -> Result<(), Box<dyn Error>> {
    let out = Scratch::new("run");
    let arguments = [
        "--filter",
        "push-pull/tcp/64",
        "--filter",
        "latency/tcp",
        "--rounds",
        "2",
        "--seconds",
        "0.05",
    ];
    let output = bench(&arguments, &out)?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("medians of 2 rounds; of bare: 100 %"),
        "{table}"
    );
    assert!(table.contains("latency mean"), "{table}");

    let results: Value = serde_json::from_slice(&fs::read(out.0.join("results.json"))?)?;
    let workloads = results["workloads"].as_array().ok_or("no workloads")?;
    let names: Vec<_> = workloads.iter().map(|workload| &workload["name"]).collect();
    assert_eq!(names, ["push-pull/tcp/64", "latency/tcp/64"]);
    for contestant in workloads
        .iter()
        .flat_map(|workload| workload["contestants"].as_array())
        .flatten()
    {
        let measures = contestant["measures"].as_array().ok_or("no measures")?;
        assert!(measures.len() >= 3, "{contestant}");
        for measure in measures {
            let samples = measure["samples"].as_array().ok_or("no samples")?;
            assert_eq!(samples.len(), 2, "{measure}");
            assert!(
                samples.iter().all(|sample| sample.as_f64() > Some(0.0)),
                "{measure}"
            );
        }
    }
    let report = fs::read_to_string(out.0.join("report.html"))?;
    assert!(report.contains("<svg") && report.contains("zerohop beside bare sockets"));

    let again = bench(&["--show"], &out)?;
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(text(&again.stdout), table);

    // Beside itself everything is as good as before.
    let baseline = out.0.join("results.json");
    let baseline = baseline.to_str().ok_or("not a text")?;
    let beside = bench(&["--show", "--baseline", baseline], &out)?;
    assert!(beside.status.success(), "{}", text(&beside.stderr));
    let beside = text(&beside.stdout);
    assert!(beside.contains("× before"), "{beside}");
    let rows = beside.lines().filter(|line| line.contains("messages/s "));
    let ends: Vec<&str> = rows.filter_map(|row| row.rsplit(' ').next()).collect();
    assert_eq!(ends, ["1.00"], "{beside}");
    Ok(())
}

#[test]
fn what_is_not_there_is_refused() -> Result<(), Box<dyn Error>> {
    for (arguments, complaint) in [
        (["--filter", "pull-push"], "no workload has such a name"),
        (
            ["--only", "nobody"],
            "nobody does not take part: zerohop, raw",
        ),
        (["--rounds", "0"], "--rounds"),
        (["--seconds", "nan"], "--seconds"),
        (["--show", "--out=/nonexistent"], "results.json"),
        (["--show", "--baseline=/nonexistent"], "/nonexistent"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_zerohop"))
            .arg("bench")
            .args(arguments)
            .output()?;
        assert!(!output.status.success(), "{arguments:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(complaint), "{arguments:?}: {stderr}");
    }
    Ok(())
}
