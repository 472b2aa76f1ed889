//! The perf tools against each other.

use serde_json::Value;

use super::perf_tools::{LATENCY, THROUGHPUT, endpoint, perf, shape};
use super::program::{Program, run};

#[test]
fn throughput_between_our_own() {
    let endpoint = endpoint();
    let local = perf("local-thr", &endpoint, &[]);
    assert_eq!(perf("remote-thr", &endpoint, &[]).end().ok(), "");
    let printed = local.end().ok();
    assert_eq!(shape(&printed), THROUGHPUT);
    assert!(
        printed.starts_with("message size: 100 [B]\nmessage count: 2000\n"),
        "{printed}"
    );
}

#[test]
fn latency_between_our_own() {
    let endpoint = endpoint();
    let local = perf("local-lat", &endpoint, &[]);
    assert_eq!(
        shape(&perf("remote-lat", &endpoint, &[]).end().ok()),
        LATENCY
    );
    assert_eq!(local.end().ok(), "");
}

#[test]
fn within_one_process() {
    assert_eq!(
        shape(&run(&["perf", "inproc-thr", "64", "20000"]).ok()),
        THROUGHPUT
    );
    assert_eq!(
        shape(&run(&["perf", "inproc-lat", "64", "2000"]).ok()),
        LATENCY
    );
}

#[test]
fn json_is_one_line() {
    let numbers = |json: &str, keys: &[&str]| {
        let object: Value = serde_json::from_str(json).expect("JSON");
        for key in keys {
            assert!(
                object[key].as_f64().is_some_and(|value| value > 0.0),
                "{key} in {json}"
            );
        }
        assert_eq!(
            object.as_object().map(|object| object.len()),
            Some(keys.len()),
            "{json}"
        );
        assert_eq!(json.lines().count(), 1, "{json}");
    };
    let throughput = ["size", "count", "msgs_per_s", "mb_per_s"];
    let latency = [
        "size",
        "count",
        "latency_us_mean",
        "latency_us_p50",
        "latency_us_p99",
    ];
    numbers(
        &run(&["perf", "inproc-thr", "64", "20000", "--json"]).ok(),
        &throughput,
    );
    numbers(
        &run(&["perf", "inproc-lat", "64", "2000", "--json"]).ok(),
        &latency,
    );

    let address = endpoint();
    let local = perf("local-thr", &address, &["--json"]);
    assert_eq!(perf("remote-thr", &address, &["--json"]).end().ok(), "");
    numbers(&local.end().ok(), &throughput);

    let address = endpoint();
    let local = perf("local-lat", &address, &["--json"]);
    numbers(
        &perf("remote-lat", &address, &["--json"]).end().ok(),
        &latency,
    );
    assert_eq!(local.end().ok(), "");
}

#[test]
fn another_size_is_noticed() {
    let address = endpoint();
    let local = perf("local-thr", &address, &[]);
    let push = Program::start(&["push", "--connect", &address, "-m", "short"]);
    assert_eq!(push.end().code, Some(0));
    local
        .end()
        .failed(1, &["message of incorrect size received"]);
}
