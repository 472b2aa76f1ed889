//! The examples, run the way a newcomer runs them.
//!
//! `cargo test` builds them before it runs this.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
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
fn good_order_ends_with_everything_processed() {
    for signal in ["INT", "TERM"] {
        let mut child = start(&mut example("good_order"));
        let mut printed = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        printed.read_line(&mut line).expect("read");
        assert_eq!(line, "making orders\n");
        let pid = child.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(kill.expect("started").success());
        let status = finish(child).status;
        assert!(status.success(), "{signal}: {status}");
        line.clear();
        printed.read_line(&mut line).expect("read");
        let (made, processed) = line.split_once(" orders made, ").expect("an account");
        assert_eq!(processed, format!("{made} processed\n"), "{signal}");
    }
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
fn shop_loses_no_order_though_source_and_worker_are_killed() {
    let printed = day_in_the_shop(&[]);
    assert_eq!(count(&printed, "lost"), 0, "{printed}");
    // The number that was not told is of an order that the source had just put into its spool.
    let processed = count(&printed, "accepted") + count(&printed, "untold");
    assert_eq!(count(&printed, "processed"), processed, "{printed}");
    let (_, reviews) = printed.split_once("reviews").expect("a line of reviews");
    assert_eq!(
        number_after(reviews, "bad:"),
        number_after(reviews, "desk:")
    );
}

#[test]
fn shop_explains_every_order_that_is_lost_at_most_once() {
    let printed = day_in_the_shop(&["--at-most-once"]);
    let accounted = count(&printed, "processed") + count(&printed, "lost");
    let accepted = count(&printed, "accepted") + count(&printed, "untold");
    assert_eq!(accounted, accepted, "{printed}");
    assert_eq!(count(&printed, "twice"), 0, "{printed}");
    // More orders come than these workers can do, so that the one that is killed always has some.
    assert!(count(&printed, "lost") > 0, "{printed}");
    assert!(!printed.contains("NOT EXPLAINED"), "{printed}");
}

/// Runs the shop, in which a source and a worker are killed.
fn day_in_the_shop(args: &[&str]) -> String {
    let mut all = vec!["--orders", "600", "--rate", "3000", "--workers", "2"];
    all.extend(args);
    let printed = run("shop", &all);
    for victim in ["the source of orders is killed", "stock 1 is killed"] {
        assert!(printed.contains(victim), "{printed}");
    }
    assert!(count(&printed, "accepted") >= 600, "{printed}");
    assert_eq!(count(&printed, "in flight"), 0, "{printed}");
    printed
}

/// The first number of the line that starts with `what`.
fn count(printed: &str, what: &str) -> u64 {
    let line = printed.lines().find(|line| line.starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no {what:?} in {printed}"));
    number_after(line, "")
}

/// The first number behind `what`.
fn number_after(text: &str, what: &str) -> u64 {
    let (_, rest) = text.split_once(what).expect("what it is a number of");
    let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
    let number = numbers.find_map(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("no number after {what:?} in {text}"))
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
