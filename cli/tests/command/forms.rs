//! What messages look like going in and coming out, and how many there are.

use std::process::Command;
use std::time::Instant;

use super::program::{Program, run};
use crate::common::unique;

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
fn messages_go_into_a_file_as_well() {
    let file = std::env::temp_dir().join(unique::name());
    let path = file.display().to_string();
    let recorded = |count: usize| {
        let text = std::fs::read_to_string(&file).expect("a file");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), count, "{text}");
        assert!(lines.iter().all(|line| line.contains("\"time\"")), "{text}");
        lines[count - 1].to_owned()
    };
    let printed = through(&[], b"one\ntwo\n", &["-n", "2", "--tee", &path]);
    assert_eq!(printed, "one\ntwo\n");
    assert!(recorded(2).contains("[\"two\"]"));
    // Appended, and also where a command gets the messages.
    let exec = ["-n", "1", "--exec", "tr a-z A-Z", "--tee", &path];
    assert_eq!(through(&[], b"three\n", &exec), "THREE");
    assert!(recorded(3).contains("[\"three\"]"));
    let again = std::fs::read(&file).expect("a file");
    assert_eq!(
        through(&["--replay=1000000"], &again, &["-n", "3"]),
        "one\ntwo\nthree\n"
    );
    std::fs::remove_file(&file).expect("removed");

    let nowhere = ["pull", "-b", "tcp://127.0.0.1:*", "--tee", "/no/such/file"];
    run(&nowhere).failed(1, &["/no/such/file", "No such file"]);
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
fn files_are_read_one_after_the_other() {
    let folder = std::env::temp_dir().join(unique::name());
    std::fs::create_dir(&folder).expect("a folder");
    let path = |name: &str| folder.join(name).display().to_string();
    let (one, two) = (path("one"), path("two"));
    std::fs::write(&one, "a\nb").expect("written");
    std::fs::write(&two, "c\n").expect("written");
    let lines = ["-n", "4", "--format", "json"];
    assert_eq!(
        through(&[&one, "-", &two], b"typed\n", &lines),
        "[\"a\"]\n[\"b\"]\n[\"typed\"]\n[\"c\"]\n"
    );
    assert_eq!(
        through(&["--whole", "--repeat", "2", &one, &two], b"", &lines),
        "[\"a\\nb\"]\n[\"c\\n\"]\n".repeat(2)
    );
    let missing = path("missing");
    for (args, parts) in [
        (
            &["--linger", "0", &one, &missing][..],
            [&missing[..], "No such file"],
        ),
        (&["--linger", "0", &path("")], [&path(""), "directory"]),
        (&["--linger", "0", "--json", &two], ["line 1 of", &two]),
    ] {
        run(&[&["push", "--quiet", "--bind", "tcp://127.0.0.1:*"], args].concat())
            .failed(1, &parts);
    }
    let both = run(&["push", "-b", "tcp://127.0.0.1:*", "-m", "x", &one]);
    assert_eq!(both.code, Some(2), "{both:#?}");
    std::fs::remove_dir_all(&folder).expect("removed");
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
        "spool",
        "spool cat",
        "spool dead",
        "spool replay",
        "spool verify",
        "completions",
        "man",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let help = run(&[&words[..], &["--help"]].concat()).ok();
        assert!(help.contains("Example"), "{help}");
        assert!(
            help.contains(&format!("  zerohop {command}"))
                || help.contains(&format!("| zerohop {command}")),
            "{help}"
        );
        let page = run(&[&["man"], &words[..]].concat()).ok();
        assert!(page.contains(".TH"), "{command}");
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

#[test]
fn templates_say_what_is_printed() {
    let args = ["-n", "2", "--format", "%n: %2 (%1, %s bytes)\\n"];
    assert_eq!(
        through(&["--parts", "="], b"eur=1.08\nusd=1\n", &args),
        "1: 1.08 (eur, 7 bytes)\n2: 1 (usd, 4 bytes)\n"
    );
    let bad = run(&["pull", "--bind", "tcp://127.0.0.1:*", "--format", "%q"]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
}

#[test]
fn who_has_sent_is_printed() {
    let printed = through(&[], b"one\n", &["-n", "1", "--format", "%p %1\\n"]);
    let address = printed.strip_suffix(" one\n").expect("the message");
    let address = address.strip_prefix("tcp://").expect("an address");
    let address: std::net::SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback());
    let printed = through(&[], b"one\n", &["-n", "1", "--format", "envelope"]);
    let envelope: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let told = envelope["peer"]["address"].as_str().expect("an address");
    assert!(told.starts_with("tcp://127.0.0.1:"), "{envelope}");
    assert_eq!(envelope["peer"]["mechanism"], "NULL");
    assert_eq!(envelope["frames"][0], "one");
    let reliable = ["-n", "1", "--reliable", "--format", "%p %1\\n"];
    let printed = through(&["--reliable"], b"one\n", &reliable);
    assert!(printed.starts_with("tcp://127.0.0.1:"), "{printed}");
    assert!(printed.ends_with(" one\n"), "{printed}");
}

#[test]
fn commands_know_who_has_sent() {
    let command = ["-n", "1", "--exec", "echo \"$ZEROHOP_PEER $1\""];
    for reliable in [&[][..], &["--reliable"]] {
        let file = std::env::temp_dir().join(unique::name());
        let path = file.display().to_string();
        let args = [&command, reliable, &["--tee", &path]].concat();
        let printed = through(reliable, b"one\n", &args);
        let address = printed.strip_suffix(" one\n").expect("the message");
        assert!(address.starts_with("tcp://127.0.0.1:"), "{printed}");
        let recorded = std::fs::read_to_string(&file).expect("a file");
        std::fs::remove_file(&file).expect("a file to remove");
        let envelope: serde_json::Value = serde_json::from_str(&recorded).expect("JSON");
        assert_eq!(envelope["peer"]["address"], address, "{recorded}");
    }
}

#[test]
fn json_goes_in_as_it_comes_out() {
    let json = ["-n", "3", "--format", "json"];
    let lines = "[\"two\",\"frames\"]\n[{\"hex\":\"ff00\"}]\n[\"\"]\n";
    assert_eq!(through(&["--json"], lines.as_bytes(), &json), lines);
    let envelope = b"{\"time\":\"2026-01-01T00:00:00Z\",\"frames\":[\"a\",\"b\"]}\n\n\"c\"\n";
    assert_eq!(
        through(&["--json"], envelope, &["-n", "2", "--parts", "|"]),
        "a|b\nc\n"
    );
}

#[test]
fn a_line_that_is_no_message_is_named() {
    let mut push = Program::start(&[
        "push",
        "--json",
        "--bind",
        "tcp://127.0.0.1:*",
        "--linger",
        "0",
    ]);
    push.write_bytes(b"\n\n[\"bad\"\n");
    let ended = push.end();
    assert_eq!(ended.code, Some(1));
    let told = ended.err.concat();
    assert!(told.contains("line 3 of the input"), "{told}");
}

#[test]
fn what_was_recorded_is_replayed_at_its_times() {
    let recorded = through(&[], b"one\ntwo\n", &["-n", "2", "--format", "envelope"]);
    let lines: Vec<&str> = recorded.lines().collect();
    assert_eq!(lines.len(), 2, "{recorded}");
    // Two seconds apart, at four times the speed.
    let input = "{\"time\":\"2026-01-01T00:00:00Z\",\"frames\":[\"one\"]}\n\
                 {\"time\":\"2026-01-01T00:00:02Z\",\"frames\":[\"two\"]}\n";
    let start = Instant::now();
    let printed = through(&["--replay=4"], input.as_bytes(), &["-n", "2"]);
    assert_eq!(printed, "one\ntwo\n");
    assert!(start.elapsed().as_millis() >= 500, "{:?}", start.elapsed());
    assert_eq!(
        through(&["--replay"], recorded.as_bytes(), &["-n", "2"]),
        "one\ntwo\n"
    );
    let mut without = Program::start(&["push", "--replay", "--bind", "tcp://127.0.0.1:*"]);
    without.write_bytes(b"[\"a\"]\n");
    let without = without.end();
    assert_eq!(without.code, Some(1), "{without:?}");
}

#[test]
fn endpoints_may_be_short_and_in_the_environment() {
    let name = format!("@{}", crate::common::unique::name());
    let mut pull = Program::spawn(
        Command::new(crate::zerohop())
            .args(["pull", "-n", "2"])
            .env("ZEROHOP_BIND", format!("{name} 127.0.0.1:*")),
    );
    assert!(pull.bound().starts_with("tcp://127.0.0.1:"));
    let push = Program::start(&["push", "--connect", &name, "--message", "by option"]);
    assert_eq!(push.end().code, Some(0));
    let mut push = Program::spawn(
        Command::new(crate::zerohop())
            .args(["push", "--", "-"])
            .env("ZEROHOP_CONNECT", &name),
    );
    push.write("by environment");
    assert_eq!(push.end().code, Some(0));
    assert_eq!(pull.end().ok(), "by option\nby environment\n");
}

#[test]
fn the_environment_adds_nothing_to_endpoints_that_are_given() {
    let unusable = Command::new(crate::zerohop())
        .args([
            "push",
            "--connect",
            "@nobody",
            "--message",
            "x",
            "--timeout",
            "10ms",
        ])
        .env("ZEROHOP_BIND", "tcp://not-of-this-machine.invalid:1")
        .output()
        .expect("it runs");
    assert_eq!(unusable.status.code(), Some(3), "{unusable:?}");
    let none = run(&["push", "--message", "x"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    let told = none.err.concat();
    assert!(
        told.contains("--bind <ENDPOINT>|--connect <ENDPOINT>"),
        "{told}"
    );
}

#[test]
fn manual_pages_go_into_a_folder() {
    let folder = std::env::temp_dir().join(crate::common::unique::name());
    let written = run(&["man", "--all", folder.to_str().expect("text")]);
    assert_eq!(written.code, Some(0), "{written:?}");
    for name in ["zerohop", "zerohop-push", "zerohop-spool-ls"] {
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).expect("a page");
        assert!(page.contains(".TH"), "{name}: {page}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    let file = run(&["man", "--all", "/dev/null/pages"]);
    assert_eq!(file.code, Some(1), "{file:?}");
}
