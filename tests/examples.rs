//! The examples, run the way a newcomer runs them.
//!
//! `cargo test` builds them before it runs this.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long an example may take; none comes near it.
const DEADLINE: Duration = Duration::from_secs(180);

/// The text that `wordcount` is checked on: the size at which counting, and not starting processes, is the work.
const MEGABYTES: &str = "50";

#[test]
fn push_pull_deals_out_every_job() {
    let printed = run("push_pull", &[]);
    for job in 1..=10 {
        let result = format!("{job} squared is {}", job * job);
        assert_eq!(printed.matches(&result).count(), 1, "{result} in {printed}");
    }
}

#[test]
fn pub_sub_delivers_by_topic() {
    let printed = run("pub_sub", &[]);
    let lines = |start: &str| {
        printed
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(lines("oslo's copy"), 2, "{printed}");
    assert_eq!(lines("everybody's copy"), 3, "{printed}");
    assert_eq!(lines("rome: sent to 1, skipped 0"), 1, "{printed}");
}

#[test]
fn req_rep_outlives_its_server() {
    let expected = "tea: 2.50\ncoffee: 3.20\ngold: not sold here\ntea: nobody answers\ntea: 2.50\n";
    assert_eq!(run("req_rep", &[]), expected);
}

#[test]
fn confirmed_books_every_order_once_though_source_and_worker_die() {
    let printed = run("confirmed", &[]);
    let lines = |line: String| printed.lines().filter(|other| **other == line).count();
    for id in 1..=10 {
        assert_eq!(lines(format!("order {id}: booked")), 1, "{printed}");
    }
    // What the first worker had booked last, and not settled.
    assert!(printed.contains(": had been booked"), "{printed}");
    assert!(
        printed.ends_with("all 10 orders are settled\n"),
        "{printed}"
    );
}

#[test]
fn wordcount_counts_its_sample() {
    let printed = run("wordcount", &["--workers", "3", "--check", "--top", "1"]);
    assert_eq!(printed.trim(), "36 the");
}

#[test]
fn wordcount_agrees_with_sort_on_a_large_text() {
    let text = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wordcount.txt");
    // Left over only if an earlier run was killed.
    let _ = fs::remove_file(&text);
    let file = text.to_str().expect("a Unicode path");
    let args = [
        "--generate",
        MEGABYTES,
        "--file",
        file,
        "--check",
        "--top",
        "3",
    ];
    let printed = run("wordcount", &args);
    let size = fs::metadata(&text).expect("the text is there").len();
    fs::remove_file(&text).expect("the text can be removed");
    assert!(size >= 50_000_000, "{size} bytes");
    assert!(printed.trim_start().ends_with("and\n"), "{printed}");
}

#[test]
fn wordcount_ends_when_its_reader_has_seen_enough() {
    let mut command = example("wordcount");
    let mut child = start(command.arg("--all"));
    // What `| head` does to it.
    drop(child.stdout.take());
    let status = finish(child).status;
    assert!(status.success(), "{status}");
}

#[test]
fn wordcount_says_what_is_wrong() {
    let mut command = example("wordcount");
    let output = finish(start(command.args(["--file", "/no/such/file"])));
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.starts_with("wordcount: /no/such/file: "),
        "{complaint}"
    );
}

#[test]
fn shop_accounts_for_every_order() {
    let printed = run(
        "shop",
        &["--orders", "600", "--rate", "1500", "--workers", "2"],
    );
    let count = |what: &str| -> u64 {
        let line = printed.lines().find(|line| line.starts_with(what));
        let number =
            line.and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok()));
        number.unwrap_or_else(|| panic!("no {what:?} in {printed}"))
    };
    assert!(printed.contains("stock 1 is killed"), "{printed}");
    assert_eq!(count("accepted"), 600, "{printed}");
    assert_eq!(count("processed") + count("lost"), 600, "{printed}");
    assert_eq!((count("in flight"), count("twice")), (0, 0), "{printed}");
}

/// Runs an example to its end, which must be a good one; gives what it printed.
fn run(name: &str, args: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = finish(start(example(name).args(args)));
    let complaint = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{name} {args:?}: {status}: {complaint}");
    String::from_utf8(stdout).expect("examples print text")
}

fn start(command: &mut Command) -> Child {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the example starts")
}

/// What an example came to, within the deadline.
fn finish(child: Child) -> Output {
    let (sender, output) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = output.recv_timeout(DEADLINE);
    let output = output.expect("the example ends by itself");
    output.expect("the example can be waited for")
}

/// The binary of an example, which cargo puts beside the folder that this test is in.
fn example(name: &str) -> Command {
    let test = env::current_exe().expect("this test is a file");
    let folder = test.parent().and_then(|deps| deps.parent());
    let binary = folder.expect("target/*/deps").join("examples").join(name);
    assert!(
        binary.exists(),
        "{} is missing: run all of `cargo test`, or `cargo build --examples` first",
        binary.display()
    );
    Command::new(binary)
}
