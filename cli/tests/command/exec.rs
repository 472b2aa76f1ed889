//! Commands run for messages.

use std::process::Command;

use super::program::Program;
use crate::common::endpoints::Transport;
use crate::zerohop;

#[test]
fn a_worker_is_a_line_of_shell() {
    let args = [
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "4",
        "--jobs",
        "2",
        "--exec",
        "echo \"$(tr a-z A-Z)\"",
    ];
    let mut pull = Program::start(&args);
    let endpoint = pull.bound();
    let push = Program::start(&[
        "push",
        "--connect",
        &endpoint,
        "-m",
        "a",
        "-m",
        "b",
        "-m",
        "c",
        "-m",
        "d",
    ]);
    assert_eq!(push.end().code, Some(0));
    let printed = pull.end().ok();
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A", "B", "C", "D"]);
}

#[test]
fn a_command_that_fails_is_told_and_the_rest_goes_on() {
    let command = "[ \"$1\" != bad ] && echo did $1";
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "3",
        "--exec",
        command,
    ]);
    let endpoint = pull.bound();
    let push = Program::start(&[
        "push",
        "--connect",
        &endpoint,
        "-m",
        "one",
        "-m",
        "bad",
        "-m",
        "two",
    ]);
    assert_eq!(push.end().code, Some(0));
    let ended = pull.end();
    assert_eq!(ended.out, "did one\ndid two\n");
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.err.len(), 2, "{ended:#?}");
    assert!(ended.err[0].contains("exit code 1"), "{ended:#?}");
    assert!(ended.err[1].contains("1 command failed"), "{ended:#?}");
}

#[test]
fn jobs_run_at_once() {
    // Each of the two waits for the other: one after the other they would wait for ever.
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(crate::common::unique::name());
    std::fs::create_dir(&folder).expect("a new folder");
    let place = folder.display();
    let meet = format!(
        "touch {place}/$1; while [ ! -e {place}/a ] || [ ! -e {place}/b ]; do :; done; echo met"
    );
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "2",
        "--jobs",
        "2",
        "--exec",
        &meet,
    ]);
    let endpoint = pull.bound();
    let push = Program::start(&["push", "--connect", &endpoint, "-m", "a", "-m", "b"]);
    assert_eq!(push.end().code, Some(0));
    assert_eq!(pull.end().ok(), "met\nmet\n");
    std::fs::remove_dir_all(folder).expect("a folder to remove");
}

#[test]
fn requests_are_answered_by_a_command() {
    let args = [
        "rep",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "3",
        "--exec",
        "tr a-z A-Z",
    ];
    let mut rep = Program::start(&args);
    let endpoint = rep.bound();
    let mut req = Program::start(&["req", "--connect", &endpoint]);
    for (question, answer) in [("hello", "HELLO"), ("", ""), ("you", "YOU")] {
        req.write(question);
        assert_eq!(req.line(), answer);
    }
    assert_eq!(req.end().code, Some(0));
    rep.end().ok();
}

#[test]
fn requests_are_answered_even_if_the_command_fails() {
    let mut rep = Program::start(&[
        "rep",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "1",
        "--exec",
        "echo half; exit 3",
    ]);
    let endpoint = rep.bound();
    let req = Program::start(&["req", "--connect", &endpoint, "-m", "go"]);
    assert_eq!(req.end().ok(), "half\n");
    let ended = rep.end();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.iter().any(|line| line.contains("exit code 3")),
        "{ended:#?}"
    );
}

#[test]
fn a_fixed_reply_is_given() {
    let mut rep = Program::start(&[
        "rep",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "1",
        "--reply",
        "ok",
    ]);
    let endpoint = rep.bound();
    let req = Program::start(&["req", "--connect", &endpoint, "-m", "health?"]);
    assert_eq!(req.end().ok(), "ok\n");
    rep.end().ok();
}

/// Whichever way a command uses its arguments, it has them.
#[test]
fn arguments_need_not_be_spelled_in_one_way() {
    for (command, printed) in [
        ("echo ${2}", "b\n"),
        ("echo $2", "b\n"),
        ("echo $#", "2\n"),
        ("for x; do echo $x; done", "a\nb\n"),
    ] {
        let mut pull = Program::start(&[
            "pull",
            "--bind",
            "tcp://127.0.0.1:*",
            "-n",
            "1",
            "--exec",
            command,
        ]);
        let endpoint = pull.bound();
        let push = Program::start(&["push", "--connect", &endpoint, "--parts", ",", "-m", "a,b"]);
        assert_eq!(push.end().code, Some(0));
        assert_eq!(pull.end().ok(), printed, "{command}");
    }
}

/// Too long for an argument, and with a NUL byte: a command that reads its input gets it, one that uses the argument fails and
/// is told why.
#[test]
fn what_cannot_be_an_argument_is_not_lost() {
    let long = "x".repeat(200_000);
    for (input, size, why) in [
        (long.as_bytes(), "200000", "too long"),
        (b"a\0b", "3", "NUL byte"),
    ] {
        for (command, expected) in [("wc -c", Ok(size)), ("echo got $1", Err(why))] {
            let mut pull = Program::start(&[
                "pull",
                "--bind",
                "tcp://127.0.0.1:*",
                "-n",
                "1",
                "--exec",
                command,
            ]);
            let endpoint = pull.bound();
            let mut push = Program::start(&["push", "--connect", &endpoint, "--whole"]);
            push.write_bytes(input);
            assert_eq!(push.end().code, Some(0));
            let ended = pull.end();
            match expected {
                Ok(size) => assert_eq!(ended.ok().trim(), size),
                Err(why) => {
                    assert_eq!(
                        (ended.code, ended.out.as_str()),
                        (Some(1), ""),
                        "{ended:#?}"
                    );
                    assert!(ended.err.concat().contains(why), "{ended:#?}");
                }
            }
        }
    }
}

/// With more jobs than there are files for, those that find no room wait for others to end: their messages have been taken, and
/// would be lost.
#[test]
fn jobs_wait_for_room() {
    let endpoint = Transport::Ipc.endpoint();
    let script = format!(
        "ulimit -n 20; exec {} pull --bind {endpoint} -n 20 --jobs 10 --exec 'echo $1; sleep 0.1'",
        zerohop()
    );
    let pull = Program::spawn(Command::new("sh").args(["-c", &script]));
    let push = ["push", "--connect", &endpoint, "-m", "a", "--repeat", "20"];
    assert_eq!(Program::start(&push).end().code, Some(0));
    assert_eq!(pull.end().ok(), "a\n".repeat(20));
}

#[test]
fn a_subscriber_runs_a_command_for_what_it_wants() {
    let mut publisher = Program::start(&[
        "pub",
        "--bind",
        "tcp://127.0.0.1:*",
        "--wait-subscribers",
        "1",
        "--parts",
        " ",
    ]);
    let endpoint = publisher.bound();
    let sub = Program::start(&[
        "sub",
        "--connect",
        &endpoint,
        "--topic",
        "alarm",
        "--count",
        "2",
        "--exec",
        "echo \"$2 in $3\"",
    ]);
    publisher.write("alarm fire kitchen\nnews none today\nalarm water cellar");
    assert_eq!(sub.end().ok(), "fire in kitchen\nwater in cellar\n");
    publisher.end();
}
