//! What messages look like going in and coming out, and how many there are.

use std::time::Instant;

use super::program::{Program, run};

/// Sends with `push` and these arguments and input; gives what `pull` with those prints.
fn through(push_args: &[&str], input: &[u8], pull_args: &[&str]) -> String {
    let mut pull = Program::start(&[&["pull", "--bind", "tcp://127.0.0.1:*"], pull_args].concat());
    let endpoint = pull.bound();
    let mut push = Program::start(&[&["push", "--connect", &endpoint], push_args].concat());
    push.write_bytes(input);
    assert_eq!(push.end().code, Some(0));
    pull.end().ok()
}

#[test]
fn a_line_is_a_message() {
    assert_eq!(
        through(&[], b"one\n\nthree", &["-n", "3"]),
        "one\n\nthree\n"
    );
    let json = ["-n", "3", "--format", "json"];
    assert_eq!(
        through(&[], b"one\n\nthree", &json),
        "[\"one\"]\n[\"\"]\n[\"three\"]\n"
    );
}

#[test]
fn nul_ends_messages_where_lines_do_not() {
    let json = ["-n", "2", "--format", "json"];
    assert_eq!(
        through(&["--null"], b"two\nlines\0next\0", &json),
        "[\"two\\nlines\"]\n[\"next\"]\n"
    );
    assert_eq!(
        through(&["--null"], b"a\0b\0", &["-n", "2", "--null"]),
        "a\0b\0"
    );
}

#[test]
fn whole_input_is_one_message() {
    let json = ["-n", "1", "--format", "json"];
    assert_eq!(
        through(&["--whole"], b"two\nlines\n", &json),
        "[\"two\\nlines\\n\"]\n"
    );
    assert_eq!(
        through(
            &["--whole"],
            b"two\nlines\n",
            &["-n", "1", "--format", "raw"]
        ),
        "two\nlines\n"
    );
    assert_eq!(
        through(&["--whole"], b"two\nlines\n", &["-n", "1"]),
        "two\nlines\n"
    );
}

#[test]
fn messages_come_from_the_command_line() {
    let args = ["--message", "a", "--message", "b", "--repeat", "2"];
    assert_eq!(through(&args, b"", &["-n", "4"]), "a\nb\na\nb\n");
    assert_eq!(
        through(&["--repeat", "3"], b"x\ny\n", &["-n", "6"]),
        "x\ny\nx\ny\nx\ny\n"
    );
}

#[test]
fn separators_part_and_join_frames() {
    let json = ["-n", "1", "--format", "json"];
    assert_eq!(
        through(&["--parts", ", "], b"a, b,c, \n", &json),
        "[\"a\",\"b,c\",\"\"]\n"
    );
    assert_eq!(
        through(&["--parts", ","], b"a,b\n", &["-n", "1", "--parts", "|"]),
        "a|b\n"
    );
    assert_eq!(through(&["--parts", ","], b"a,b\n", &["-n", "1"]), "a\tb\n");
}

#[test]
fn bytes_can_be_seen() {
    assert_eq!(
        through(&["--null"], b"\xff\n\0", &["-n", "1", "--format", "hex"]),
        "ff0a\n"
    );
    let json = ["-n", "1", "--format", "json"];
    assert_eq!(
        through(&["--null"], b"\xff\n\0", &json),
        "[{\"hex\":\"ff0a\"}]\n"
    );
}

#[test]
fn a_rate_is_kept() {
    let start = Instant::now();
    through(
        &["-m", "tick", "--repeat", "6", "--rate", "20/s"],
        b"",
        &["-n", "6"],
    );
    assert!(start.elapsed().as_millis() >= 250, "{:?}", start.elapsed());
}

#[test]
fn push_waits_for_its_peers() {
    let mut push = Program::start(&[
        "push",
        "--bind",
        "tcp://127.0.0.1:*",
        "--wait-peers",
        "2",
        "-m",
        "a",
        "-m",
        "b",
    ]);
    let endpoint = push.bound();
    let first = Program::start(&["pull", "--connect", &endpoint, "-n", "1"]);
    let second = Program::start(&["pull", "--connect", &endpoint, "-n", "1"]);
    let mut got = [first.end().ok(), second.end().ok()];
    got.sort();
    assert_eq!(got, ["a\n", "b\n"]);
    assert_eq!(push.end().code, Some(0));
}

#[test]
fn pub_waits_for_subscribers_of_any_topic() {
    let args = [
        "pub",
        "--bind",
        "tcp://127.0.0.1:*",
        "--wait-subscribers",
        "2",
        "-m",
        "a1",
        "-m",
        "b1",
    ];
    let mut publisher = Program::start(&args);
    let endpoint = publisher.bound();
    let first = Program::start(&["sub", "--connect", &endpoint, "--topic", "a", "-n", "1"]);
    let second = Program::start(&[
        "sub",
        "--connect",
        &endpoint,
        "--topic",
        "x",
        "--topic",
        "b",
        "-n",
        "1",
    ]);
    assert_eq!(
        (first.end().ok(), second.end().ok()),
        ("a1\n".to_owned(), "b1\n".to_owned())
    );
    assert_eq!(publisher.end().code, Some(0));
}

#[test]
fn each_command_explains_itself_with_an_example() {
    let commands = [
        "push",
        "pull",
        "pub",
        "sub",
        "req",
        "rep",
        "proxy",
        "probe",
        "perf",
        "completions",
        "man",
    ];
    for command in commands {
        let help = run(&[command, "--help"]).ok();
        assert!(help.contains("Example"), "{help}");
        assert!(
            help.contains(&format!("  zerohop {command}"))
                || help.contains(&format!("| zerohop {command}")),
            "{help}"
        );
        assert!(run(&["man", command]).ok().contains(".TH"), "{command}");
    }
    assert!(run(&["--help"]).ok().contains("zerohop push"));
    assert!(run(&["man"]).ok().contains("push"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            run(&["completions", shell]).ok().contains("wait-peers"),
            "{shell}"
        );
    }
}

/// Any option of the library can be set by its name, where it does something.
#[test]
fn options_have_names() {
    let nobody = "ipc://@zerohop-nobody-listens";
    let push = run(&[
        "push",
        "-c",
        nobody,
        "-o",
        "send_hwm=3",
        "--repeat",
        "10",
        "-m",
        "x",
        "--timeout",
        "200ms",
    ]);
    assert_eq!(push.code, Some(3), "{push:#?}");
    assert!(
        push.err.concat().contains("3 messages were not sent"),
        "{push:#?}"
    );
    let wrong = run(&["pull", "-c", nobody, "--option", "pub_block=true"]);
    assert_eq!(wrong.code, Some(2), "{wrong:#?}");
    assert!(
        wrong
            .err
            .concat()
            .contains("option pub_block does nothing on a PULL socket; it is for PUB"),
        "{wrong:#?}"
    );
    let wrong = run(&["pull", "-c", nobody, "-o", "recv_hmw=1"]);
    assert!(wrong.err.concat().contains("is it recv_hwm?"), "{wrong:#?}");
    let wrong = run(&[
        "proxy",
        "--frontend",
        "pull:bind:ipc://@zerohop-a",
        "--backend",
        "push:bind:ipc://@zerohop-b",
        "-o",
        "req_relaxed=true",
    ]);
    assert_eq!(wrong.code, Some(2), "{wrong:#?}");
}
