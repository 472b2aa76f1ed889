//! `--timeout`: when nothing has happened for so long, every command ends with 3, at once, and says what was left.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::ending::nobody;
use super::program::{Ended, Program, run};

/// Long enough for what a loaded machine takes to start a process; the linger time is ten times as long.
const TIMEOUT: Duration = Duration::from_secs(3);

fn with_timeout(args: &[&str]) -> Vec<String> {
    let timeout = ["--timeout".to_owned(), format!("{}s", TIMEOUT.as_secs())];
    let args = args.iter().map(|arg| (*arg).to_owned());
    args.chain(timeout).collect()
}

fn start(args: &[&str]) -> Program {
    let args = with_timeout(args);
    Program::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn assert_timed_out(what: &str, since: Instant, ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(3), "{what}: {ended:#?}");
    let elapsed = since.elapsed();
    assert!(elapsed < 2 * TIMEOUT, "{what} took {elapsed:?}");
    let told = ended.err.join("\n");
    for part in parts {
        assert!(told.contains(part), "{what}: no {part:?} in {told}");
    }
}

/// Commands that have nobody to talk to: what they are given, and what they say.
#[test]
fn with_nobody_there_all_end_in_time() {
    let dead = nobody();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = format!("tcp://{}", silent.local_addr().expect("its address"));
    const ANY: &str = "tcp://127.0.0.1:*";
    let frontend = format!("pull:bind:{ANY}");
    let backend = format!("push:connect:{dead}");
    let many = "line\n".repeat(1000);
    let cases: Vec<(Vec<&str>, &str, Vec<&str>)> = vec![
        (
            vec!["push", "-c", &dead, "-m", "x"],
            "",
            vec!["1 message was not sent in time", "nobody is listening"],
        ),
        (
            vec!["push", "-c", &dead, "--hwm", "10"],
            &many,
            vec![
                "10 messages were not sent in time",
                "a message was not sent: no peer was connected in time (tcp://",
            ],
        ),
        (
            vec!["push", "-b", ANY, "-m", "x"],
            "",
            vec!["no peer came in time"],
        ),
        (
            vec!["push", "-c", &silent, "-m", "x"],
            "",
            vec!["1 message was not sent in time", "has not answered"],
        ),
        (
            vec!["dealer", "-c", &dead, "-m", "x"],
            "",
            vec!["1 message was not sent in time", "no message came in time"],
        ),
        (vec!["pair", "-b", ANY], "", vec!["no message came in time"]),
        (vec!["push", "-b", ANY], "", vec!["no input in time"]),
        (
            vec!["pub", "-c", &dead, "--wait-subscribers", "1"],
            "",
            vec!["only 0 of 1 subscribers came in time"],
        ),
        (vec!["pub", "-b", ANY], "", vec!["no input in time"]),
        (
            vec!["pull", "-c", &dead],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["pull", "-b", ANY, "--exec", "cat", "--jobs", "2"],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["sub", "-c", &dead],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["req", "-c", &dead, "-m", "x"],
            "",
            vec!["the request was not sent: no peer was connected in time (tcp://"],
        ),
        (
            vec!["req", "-b", ANY, "-m", "x"],
            "",
            vec!["the request was not sent: no peer came in time"],
        ),
        (
            vec!["rep", "-c", &dead, "--echo"],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["rep", "-b", ANY, "--exec", "cat"],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["proxy", "--frontend", &frontend, "--backend", &backend],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["probe", &silent],
            "",
            vec!["does not shake hands in time"],
        ),
        (
            vec!["perf", "remote-thr", &dead, "10", "5000"],
            "",
            vec![
                "1000 messages were not sent",
                "no peer was connected in time",
            ],
        ),
        (
            vec!["perf", "local-thr", ANY, "10", "5"],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["perf", "local-lat", ANY, "10", "5"],
            "",
            vec!["no message came in time"],
        ),
        (
            vec!["perf", "remote-lat", &dead, "10", "5"],
            "",
            vec!["no peer was connected in time"],
        ),
    ];
    thread::scope(|scope| {
        for (args, input, parts) in &cases {
            scope.spawn(move || {
                let since = Instant::now();
                let mut program = start(args);
                program.write_bytes(input.as_bytes());
                let ended = program.wait();
                assert_timed_out(&args.join(" "), since, &ended, parts);
            });
        }
    });
}

/// A peer that has been there, and stops.
#[test]
fn with_a_peer_that_stops_all_end_in_time() {
    let mut pull = Program::start(&["pull", "-b", "tcp://127.0.0.1:*"]);
    let mut rep = Program::start(&["rep", "-b", "tcp://127.0.0.1:*", "--echo"]);
    let (pulling, replying) = (pull.bound(), rep.bound());
    let mut req = start(&["req", "-c", &replying]);
    req.write("x");
    assert_eq!(req.line(), "x");
    pull.signal(Signal::STOP);
    rep.signal(Signal::STOP);
    req.write("y");
    let body = "x".repeat(100_000);
    let push = ["push", "-c", &pulling, "-m", &body, "--repeat", "2000"];
    let perf = ["perf", "remote-thr", &pulling, "100000", "2000"];
    thread::scope(|scope| {
        for (args, part) in [
            (&push[..], "messages were not sent in time"),
            (&perf, "messages were not sent"),
        ] {
            scope.spawn(move || {
                let since = Instant::now();
                let ended = start(args).wait();
                assert_eq!(ended.code, Some(3), "{ended:#?}");
                // Some are taken by the system's buffers before nothing moves any more.
                let most = 3 * TIMEOUT;
                assert!(since.elapsed() < most, "{} took too long", args[0]);
                assert!(ended.err.concat().contains(part), "{ended:#?}");
            });
        }
    });
    let ended = req.wait();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(
        ended.err.concat().contains("no reply came in time"),
        "{ended:#?}"
    );
    pull.signal(Signal::CONT);
    rep.signal(Signal::CONT);
}

/// What moves slowly is something that happens: input may rest for longer than the timeout while messages still leave.
#[test]
fn a_slow_peer_is_no_timeout() {
    let mut push = Program::start(&["push", "-b", "tcp://127.0.0.1:*", "--timeout", "1s"]);
    let endpoint = push.bound();
    let count = 40;
    let body = "x".repeat(1_000_000);
    let since = Instant::now();
    // One at a time, a tenth of a second each: four seconds in all.
    let pull = Program::start(&[
        "pull",
        "-c",
        &endpoint,
        "-n",
        &count.to_string(),
        "--exec",
        "cat > /dev/null; sleep 0.1",
    ]);
    for _ in 0..count {
        push.write(&body);
    }
    let pulled = pull.end();
    assert_eq!(pulled.code, Some(0), "{pulled:#?}");
    assert!(since.elapsed() > Duration::from_secs(2));
    let pushed = push.wait();
    assert_eq!(pushed.code, Some(3));
    assert!(
        pushed.err.concat().contains("no input in time"),
        "{pushed:#?}"
    );
}

/// The backend of a proxy is stuck, with a message that has come in.
#[test]
fn a_proxy_that_cannot_pass_on_ends_in_time() {
    let backend = format!("push:connect:{}", nobody());
    let mut proxy = start(&[
        "proxy",
        "--frontend",
        "pull:bind:tcp://127.0.0.1:*",
        "--backend",
        &backend,
        "--hwm",
        "2",
    ]);
    let frontend = proxy.bound();
    let push = run(&["push", "-c", &frontend, "-m", "x", "--repeat", "4"]);
    assert_eq!(push.code, Some(0));
    let since = Instant::now();
    let ended = proxy.wait();
    assert_timed_out(
        "proxy",
        since,
        &ended,
        &["2 messages were not sent in time", "a message was not sent"],
    );
}
