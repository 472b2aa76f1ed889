//! Messages that are settled: `push --reliable` and `pull --reliable`.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::program::{Program, run};
use crate::common::unique;

const ANY: &str = "tcp://127.0.0.1:*";

/// A path where nothing is.
fn free_path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique::name())
}

fn sorted(printed: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_is_printed_is_settled() {
    let tee = free_path();
    let tee_text = tee.display().to_string();
    let mut pull = Program::start(&["pull", "--bind", ANY, "--reliable", "--tee", &tee_text]);
    let endpoint = pull.bound();
    let mut push = Program::start(&["push", "--connect", &endpoint, "--reliable", "--required"]);
    for order in ["one", "two"] {
        push.write(order);
        assert_eq!(pull.line(), order);
    }
    // It ends only when all is settled, and its worker goes on.
    let ended = push.end();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");
    let recorded = fs::read_to_string(&tee).expect("a file of what was settled");
    assert_eq!(recorded.lines().count(), 2, "{recorded}");
    pull.interrupt();
    assert_eq!(pull.end().code, Some(130));
    fs::remove_file(tee).expect("a file to remove");
}

#[test]
fn a_count_ends_with_all_settled() {
    // More than are settled at once, and than the window holds.
    let numbers: String = (0..3000).map(|number| format!("{number}\n")).collect();
    let mut pull = Program::start(&["pull", "--bind", ANY, "--reliable", "-n", "3000"]);
    let endpoint = pull.bound();
    let mut push = Program::start(&["push", "--connect", &endpoint, "--reliable"]);
    push.write_bytes(numbers.as_bytes());
    let ended = push.end();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");
    assert_eq!(pull.end().ok(), numbers);
}

#[test]
fn a_command_settles_gives_back_and_rejects() {
    let folder = free_path();
    let seen = folder.display();
    // The second order can be carried out only at the second time, and the third never.
    let command = format!(
        "case $1 in later) mkdir '{seen}' 2>&- && exit 75;; bad) exit 65;; esac; echo \"did $1\""
    );
    let args = ["pull", "--bind", ANY, "-n", "4", "--reliable", "--exec"];
    let mut pull = Program::start(&[&args[..], &[&command]].concat());
    let endpoint = pull.bound();
    let push = ["push", "--connect", &endpoint, "--reliable"];
    let orders = ["-m", "one", "-m", "later", "-m", "bad"];
    let push = Program::start(&[&push[..], &orders].concat());
    let ended = push.end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(
        ended.err,
        [
            "zerohop: not done: bad: rejected: exit code 65",
            "zerohop: 1 message was not done"
        ]
    );
    let ended = pull.end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(ended.out, "did one\ndid later\n");
    assert!(ended.err[2].contains("2 commands failed"), "{ended:#?}");
    fs::remove_dir(folder).expect("the first time has made it");
}

#[test]
fn what_nobody_does_in_time_is_given_up() {
    let push = ["push", "--bind", ANY, "--reliable", "--ttl", "50ms"];
    let ended = Program::start(&[&push[..], &["-m", "one"]].concat()).end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let told = "zerohop: not done: one: not settled in time";
    assert!(ended.err.iter().any(|line| line == told), "{ended:#?}");
}

#[test]
fn what_a_killed_worker_had_goes_to_another() {
    let push = ["push", "--bind", ANY, "--reliable"];
    let orders = ["-m", "one", "-m", "two"];
    let mut push = Program::start(&[&push[..], &orders].concat());
    let endpoint = push.bound();
    let worker = ["pull", "--connect", &endpoint, "--reliable"];
    // It is killed by its own command, with an order in its hands.
    let dies = Program::start(&[&worker[..], &["--exec", "kill -9 $PPID"]].concat());
    assert_eq!(dies.end().code, None);
    assert!(!push.has_ended());
    let other = Program::start(&[&worker[..], &["-n", "2"]].concat());
    assert_eq!(sorted(&other.end().ok()), ["one", "two"]);
    assert_eq!(push.end().code, Some(0));
}

#[test]
fn a_stop_lets_the_command_end_and_settles() {
    let go = free_path();
    let command = format!(
        "echo begun; until [ -e '{}' ]; do sleep 0.01; done; echo \"did $1\"",
        go.display()
    );
    let args = ["pull", "--bind", ANY, "--reliable", "--exec", &command];
    let mut pull = Program::start(&args);
    let endpoint = pull.bound();
    let push = ["push", "--connect", &endpoint, "--reliable", "-m", "one"];
    let push = Program::start(&push);
    assert_eq!(pull.line(), "begun");
    pull.signal(Signal::TERM);
    fs::write(&go, "").expect("a file to write");
    let ended = pull.end();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");
    assert_eq!(ended.out, "did one\n");
    assert_eq!(push.end().code, Some(0));
    fs::remove_file(go).expect("a file to remove");
}

#[test]
fn what_could_not_be_recorded_is_not_settled() {
    let done = free_path();
    let command = format!("mkdir '{}'", done.display());
    let push = ["push", "--bind", ANY, "--reliable", "-m", "one"];
    let mut push = Program::start(&push);
    let endpoint = push.bound();
    let worker = ["pull", "--connect", &endpoint, "--reliable", "-n", "1"];
    for exec in [&[][..], &["--exec", &command]] {
        let tee = ["--tee", "/dev/full"];
        let ended = run(&[&worker[..], exec, &tee].concat());
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(
            ended.err[0].contains("cannot write /dev/full"),
            "{ended:#?}"
        );
    }
    assert!(!done.exists(), "the command was run");
    assert_eq!(run(&worker).ok(), "one\n");
    assert_eq!(push.end().code, Some(0));
}

#[test]
fn who_does_not_settle_is_told_of_or_not_let_in() {
    let push = ["push", "--bind", ANY, "--reliable", "-m", "one"];
    let mut plain = Program::start(&push);
    let worker = ["pull", "--connect", &plain.bound(), "-n", "1"];
    assert_eq!(run(&worker).ok(), "one\n");
    let ended = plain.end();
    assert_eq!((ended.code, ended.err.len()), (Some(0), 1), "{ended:#?}");
    assert!(
        ended.err[0].contains("nothing is settled with"),
        "{ended:#?}"
    );

    let strict = ["--required", "--timeout", "1s"];
    let mut strict = Program::start(&[&push[..], &strict].concat());
    let endpoint = strict.bound();
    let worker = Program::start(&["pull", "--connect", &endpoint]);
    let ended = strict.end();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(ended.err.len(), 2, "{ended:#?}");
    assert!(ended.err[0].contains("turned away"), "{ended:#?}");
    assert!(
        ended.err[0].contains("it does not know acknowledged delivery"),
        "{ended:#?}"
    );
    assert!(
        ended.err[1].contains("1 message was not settled in time"),
        "{ended:#?}"
    );
    worker.interrupt();
    let ended = worker.end();
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(130), ""),
        "{ended:#?}"
    );
}

#[test]
fn what_a_spool_holds_goes_first() {
    let folder = free_path();
    let spool = folder.display().to_string();
    let push = ["push", "--bind", ANY, "--reliable", "--spool", &spool];
    let nobody = ["--linger", "0", "-m", "one", "-m", "two"];
    let ended = run(&[&push[..], &nobody].concat());
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let stays = format!("zerohop: 2 messages stay in {spool}");
    assert!(ended.err.contains(&stays), "{ended:#?}");

    let disk = ["--sync", "disk", "--stats", "-m", "three", "-m", "bad"];
    let mut push = Program::start(&[&push[..], &disk].concat());
    let endpoint = push.bound();
    let command = "[ $1 != bad ] || exit 65; echo $1";
    let args = ["pull", "--connect", &endpoint, "--reliable", "-n", "4"];
    let pull = Program::start(&[&args[..], &["--exec", command]].concat());
    let ended = push.end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let stays = format!("zerohop: 1 message stays in {spool}, 1 of them to be replayed or removed");
    assert!(ended.err.contains(&stays), "{ended:#?}");
    let counted = |line: &String| line.ends_with("unsettled 0, retried 0, dead 1");
    assert!(ended.err.iter().any(counted), "{ended:#?}");
    assert_eq!(pull.end().out, "one\ntwo\nthree\n");

    // It is told of again, and nothing else is left.
    let push = ["push", "--bind", ANY, "--reliable", "--spool", &spool];
    let ended = run(&push);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let not_done = "zerohop: not done: bad: rejected: exit code 65";
    assert_eq!(ended.err[1], not_done, "{ended:#?}");
    fs::remove_dir_all(folder).expect("a spool to remove");
}

#[test]
fn a_spool_needs_settled_messages_and_has_one_user() {
    let folder = free_path();
    let spool = folder.display().to_string();
    let plain = ["push", "--bind", ANY, "--spool", &spool, "-m", "one"];
    assert_eq!(run(&plain).code, Some(2));
    let push = ["push", "--bind", ANY, "--reliable", "--spool", &spool];
    let mut first = Program::start(&push);
    first.bound();
    let ended = run(&[&push[..], &["-m", "one"]].concat());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let in_use = |line: &String| line.contains("is in use by another process");
    assert!(ended.err.iter().any(in_use), "{ended:#?}");
    assert_eq!(first.end().code, Some(0));
    fs::remove_dir_all(folder).expect("a spool to remove");
}
