//! What was published before: `pub --log` and `sub --from`.

use std::fs;
use std::path::PathBuf;

use super::program::{Program, run};
use crate::common::unique;

const ANY: &str = "tcp://127.0.0.1:*";

/// A path where nothing is.
fn free_path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique::name())
}

#[test]
fn who_comes_late_reads_the_log() {
    let (folder, cursor) = (free_path(), free_path());
    let (folder_text, cursor_text) = (folder.display().to_string(), cursor.display().to_string());
    let log = ["pub", "--bind", ANY, "--log", &folder_text, "--keep", "10M"];
    let mut publisher = Program::start(&[&log[..], &["--keep-for", "1h"]].concat());
    let endpoint = publisher.bound();
    for line in ["a 1", "b 2", "a 3"] {
        publisher.write(line);
    }
    let resume = format!("resume:{cursor_text}");
    let read = |from: &str, count: &str| {
        let sub = ["sub", "--connect", &endpoint, "--timeout", "60s"];
        run(&[&sub[..], &["--from", from, "-n", count]].concat()).ok()
    };
    // One that waits for what has yet to be published has seen that all before was.
    assert_eq!(read("all", "3"), "a 1\nb 2\na 3\n");
    assert_eq!(read("last:2", "2"), "b 2\na 3\n");
    assert_eq!(read("offset:3", "1"), "a 3\n");
    assert_eq!(read("time:1h-ago", "1"), "a 1\n");
    assert_eq!(read(&resume, "2"), "a 1\nb 2\n");
    assert_eq!(read(&resume, "1"), "a 3\n");
    let topic = ["sub", "--connect", &endpoint, "-t", "a", "--from", "last:1"];
    let late = Program::start(&[&topic[..], &["-n", "2"]].concat());
    assert_eq!(late.line(), "a 3");
    publisher.write("b 4");
    publisher.write("a 5");
    assert_eq!(late.end().ok(), "a 5\n");
    let ended = publisher.end();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");

    // The next publisher goes on with the log.
    let mut publisher = Program::start(&log);
    let endpoint = publisher.bound();
    let sub = ["sub", "--connect", &endpoint, "--timeout", "60s"];
    let rest = run(&[&sub[..], &["--from", &resume, "-n", "2"]].concat());
    assert_eq!(rest.ok(), "b 4\na 5\n");
    publisher.end();
    fs::remove_dir_all(folder).expect("a folder to remove");
    fs::remove_file(cursor).expect("a file to remove");
}

#[test]
fn who_comes_late_gets_the_last_values() {
    let folder = free_path();
    let folder_text = folder.display().to_string();
    let log = ["pub", "--bind", ANY, "--parts", " ", "--log", &folder_text];
    let log = [&log[..], &["--keep-last", "1"]].concat();
    let mut publisher = Program::start(&log);
    let endpoint = publisher.bound();
    for line in ["eur 1.08", "gbp 0.84", "eur 1.09"] {
        publisher.write(line);
    }
    let read = |endpoint: &str| {
        let sub = ["sub", "--connect", endpoint, "--parts", " ", "-n", "2"];
        run(&[&sub[..], &["--from", "all", "--timeout", "60s"]].concat()).ok()
    };
    let waits = [
        "sub",
        "--connect",
        &endpoint,
        "--from",
        "offset:3",
        "-n",
        "1",
    ];
    assert_eq!(run(&waits).code, Some(0), "all is published");
    assert_eq!(read(&endpoint), "gbp 0.84\neur 1.09\n");
    publisher.end();
    let mut publisher = Program::start(&log);
    assert_eq!(read(&publisher.bound()), "gbp 0.84\neur 1.09\n");
    publisher.end();
    fs::remove_dir_all(folder).expect("a folder to remove");
}

#[test]
fn what_is_gone_is_told() {
    let folder = free_path();
    let folder_text = folder.display().to_string();
    let log = ["--log", &folder_text, "--keep", "64K"];
    let lines: String = (0..400)
        .map(|_| format!("{}\n", "x".repeat(1000)))
        .collect();
    let mut publisher = Program::start(&[&["pub", "--bind", ANY][..], &log].concat());
    let endpoint = publisher.bound();
    publisher.write_bytes(lines.as_bytes());
    publisher.write("last");
    let all = ["sub", "--connect", &endpoint, "--timeout", "60s", "-n", "1"];
    let told = run(&[&all[..], &["--topic", "last", "--from", "offset:1"]].concat());
    assert_eq!(told.code, Some(0), "{told:#?}");
    let gap = told.err.iter().find(|line| line.contains("are gone"));
    let gap = gap.unwrap_or_else(|| panic!("{told:#?}"));
    assert!(gap.starts_with("zerohop: messages 1 to "), "{gap}");
    publisher.end();
    fs::remove_dir_all(folder).expect("a folder to remove");
}

#[test]
fn a_publisher_without_a_log_is_named() {
    let mut publisher = Program::start(&["pub", "--bind", ANY, "--wait-subscribers", "1"]);
    let endpoint = publisher.bound();
    let sub = ["sub", "--connect", &endpoint, "--from", "all", "-n", "1"];
    let sub = Program::start(&sub);
    publisher.write("new");
    assert_eq!(sub.line(), "new");
    let ended = sub.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.err.iter().any(|line| line.contains("it has no log")),
        "{ended:#?}"
    );
    publisher.end();
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let sub = ["sub", "--connect", "tcp://127.0.0.1:9"];
    for from in ["sometimes", "last:", "offset:-1", "time:soon", "resume:"] {
        let refused = run(&[&sub[..], &["--from", from]].concat());
        assert_eq!(refused.code, Some(2), "{from}: {refused:#?}");
    }
    let two = ["--from", "resume:x", "--topic", "a", "--topic", "b"];
    assert_eq!(run(&[&sub[..], &two].concat()).code, Some(2));
    let publisher = ["pub", "--bind", ANY];
    let wrong = [
        &["--keep", "1M"][..],
        &["--keep-last", "1"],
        &["--log", "x", "--keep", "much"],
        &["--log", "x", "--keep-last", "0"],
    ];
    for wrong in wrong {
        assert_eq!(run(&[&publisher[..], wrong].concat()).code, Some(2));
    }
}
