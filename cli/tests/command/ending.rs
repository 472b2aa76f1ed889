//! How commands end: exit codes, the line that explains, Ctrl-C and closed pipes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::iter::repeat_with;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use super::program::{Program, run};
use crate::common::endpoints::Transport;
use crate::common::unique;
use crate::zerohop;

/// A port where nobody listens: it was free a moment ago.
pub(super) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    format!("tcp://{address}")
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["pull"][..],
        &["push", "--bind", "localhost"],
        &["push", "--connect", "tcp://localhost:99999"],
        &["push", "--connect", "tcp://*:5555"],
        &["push", "--connect", "inproc://here"],
        &["push", "--connect", "udp://localhost:1"],
        &["rep", "--bind", "tcp://127.0.0.1:*"],
        &[
            "rep",
            "--bind",
            "tcp://127.0.0.1:*",
            "--echo",
            "--reply",
            "x",
        ],
        &["pull", "--bind", "tcp://127.0.0.1:*", "--timeout", "soon"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "--jobs", "2"],
        &[
            "proxy",
            "--frontend",
            "xsub:bind:tcp://*:1",
            "--backend",
            "push:bind:tcp://*:2",
        ],
        &["pull", "--bind", "tcp://127.0.0.1:*", "--linger", "1e9h"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "--timeout", "1e9h"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "-o", "recv_hwm"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "-o", "recv_hmw=1"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "-o", "recv_hwm=x"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "-o", "send_hwm=1"],
        &["pull", "--bind", "tcp://127.0.0.1:*", "-o", "linger=1s"],
        &["frobnicate"],
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:#?}");
        assert!(!ended.err.is_empty(), "{args:?}");
    }
    let ended = run(&["push", "--bind", "localhost"]);
    assert!(ended.err[0].contains("write tcp://host:port"), "{ended:#?}");
}

#[test]
fn a_port_in_use_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
    run(&["pull", "--bind", &endpoint]).failed(1, &[&endpoint, "in use", "choose another"]);
}

#[test]
fn a_missing_folder_and_a_file_in_the_way_are_told() {
    run(&["pull", "--bind", "ipc:///no/such/folder/x"])
        .failed(1, &["/no/such/folder/x", "create it"]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let endpoint = format!("ipc://{}", file.display());
    run(&["pull", "--bind", &endpoint]).failed(1, &["not a socket", "choose another path"]);
}

#[test]
fn a_foreign_address_is_told() {
    run(&["pull", "--insecure", "--bind", "tcp://192.0.2.1:5555"])
        .failed(1, &["192.0.2.1", "no interface", "*"]);
}

#[test]
fn missing_permissions_are_told() {
    let folder = std::env::temp_dir().join(unique::name());
    fs::create_dir(&folder).expect("a new folder");
    let program = folder.join("zerohop");
    fs::copy(zerohop(), &program).expect("a copy for everybody");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555))
        .expect("a folder nobody may write to");
    let endpoint = format!("ipc://{}/sock", folder.display());
    let mut command = Command::new(&program);
    command.args(["pull", "--bind", &endpoint]);
    if rustix::process::geteuid().is_root() {
        // Root may do everything; nobody may not.
        command.uid(65534);
    }
    let ended = Program::spawn(&mut command).end();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("a folder to remove");
    fs::remove_dir_all(folder).expect("a folder to remove");
    ended.failed(
        1,
        &["permission denied", "a directory that you may write to"],
    );
}

#[test]
fn nothing_in_time_is_3() {
    // Long enough to learn meanwhile, also on a loaded machine, that nobody is there.
    let args = ["--timeout", "300ms"];
    let pull = run(&[&["pull", "--bind", "tcp://127.0.0.1:*", "-q"], &args[..]].concat());
    pull.failed(3, &["no message came in time"]);
    let nobody = nobody();
    let rep = run(&[&["rep", "--connect", &nobody, "--echo"], &args[..]].concat());
    rep.failed(3, &["no message came in time", "nobody is listening there"]);
    let start = Instant::now();
    let req = run(&[&["req", "--connect", &nobody, "-m", "x"], &args[..]].concat());
    // Nobody waits for the request any more, and so not for the linger time of 30 s.
    assert!(start.elapsed() < Duration::from_secs(10));
    req.failed(3, &["in time", "nobody is listening there"]);
    let push = run(&[
        &["push", "--bind", "tcp://127.0.0.1:*", "-q", "-m", "x"],
        &args[..],
    ]
    .concat());
    push.failed(3, &["no peer came in time"]);
    let waiting = run(&[
        &["push", "--connect", &nobody, "--wait-peers", "2"],
        &args[..],
    ]
    .concat());
    waiting.failed(3, &["0 of 2 peers"]);
    let waiting = run(&[
        &["pub", "--connect", &nobody, "--wait-subscribers", "1"],
        &args[..],
    ]
    .concat());
    waiting.failed(3, &["0 of 1 subscribers"]);
    let mut push = Program::start(&[&["push", "--connect", &nobody], &args[..]].concat());
    assert!(push.err_line("no input in time").starts_with("zerohop: "));
    assert_eq!(push.end().code, Some(3));
}

/// The linger time is for messages that leave: when none has for as long as `--timeout` allows, nothing has happened.
#[test]
fn a_timeout_ends_the_waiting_for_messages_to_leave() {
    let nobody = nobody();
    for more in [&[][..], &["--stats"]] {
        let start = Instant::now();
        let push = [
            "push",
            "--connect",
            &nobody,
            "-m",
            "x",
            "-m",
            "y",
            "--timeout",
            "300ms",
        ];
        let push = run(&[&push, more].concat());
        assert_eq!(push.code, Some(3), "{push:#?}");
        let told = push.err.last().expect("a line");
        assert!(
            told.contains("2 messages were not sent in time"),
            "{push:#?}"
        );
        assert!(told.contains("nobody is listening there"), "{push:#?}");
        assert!(start.elapsed() < Duration::from_secs(10));
        // The totals agree with that.
        let totals = push.err.iter().find(|line| line.contains("dropped"));
        let as_told = |totals: &String| totals.contains("not sent 2") && !totals.contains("; sent");
        assert_eq!(totals.is_some_and(as_told), !more.is_empty(), "{push:#?}");
    }
}

/// A reader that takes its time is no failure, and neither is a pipe that does not wait for it.
#[test]
fn output_that_does_not_block_is_waited_for() {
    let (mut reader, writer) = pipe().expect("a pipe");
    fcntl_setfl(&writer, OFlags::NONBLOCK).expect("non-blocking");
    let endpoint = Transport::Ipc.endpoint();
    let mut pull = Command::new(zerohop())
        .args(["pull", "--bind", &endpoint, "-n", "100000"])
        .stdout(writer)
        .spawn()
        .expect("the program starts");
    let push = [
        "push",
        "--connect",
        &endpoint,
        "-m",
        "a line of text",
        "--repeat",
        "100000",
    ];
    let push = Program::start(&push);
    // A pipe holds 64 KiB, and the program writes 128 KiB at once.
    let mut line = [0; 15];
    reader.read_exact(&mut line).expect("a line");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("all lines");
    assert_eq!(push.end().code, Some(0));
    assert_eq!(pull.wait().expect("an end").code(), Some(0));
    assert!(
        rest == "a line of text\n".repeat(99_999),
        "{} bytes",
        rest.len()
    );
}

/// Where input does not block, others who read it may be faster.
#[test]
fn input_that_does_not_block_can_be_shared() {
    let (reader, mut writer) = pipe().expect("a pipe");
    fcntl_setfl(&reader, OFlags::NONBLOCK).expect("non-blocking");
    let mut pull = Program::start(&["pull", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = pull.bound();
    let mut push = Command::new(zerohop());
    push.args(["push", "--connect", &endpoint, "--wait-peers", "1"]);
    let mut readers = Vec::new();
    for _ in 0..8 {
        let reader = reader.try_clone().expect("a descriptor");
        readers.push(push.stdin(reader).spawn().expect("the program starts"));
    }
    for number in 0..1000 {
        // In one piece: half a line could go to each.
        let line = format!("{number}\n");
        writer.write_all(line.as_bytes()).expect("written");
        assert_eq!(pull.line(), number.to_string());
    }
    drop(writer);
    for mut reader in readers {
        assert_eq!(reader.wait().expect("an end").code(), Some(0));
    }
    // Not before: who starts late would wait for it.
    pull.interrupt();
    assert_eq!(pull.end().code, Some(130));
}

/// A device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let endpoint = Transport::Ipc.endpoint();
    let mut push = Program::start(&["push", "--verbose", "--bind", &endpoint, "-m", "x"]);
    push.err_line("listening");
    for args in [
        &["--help"][..],
        &["push", "--help"],
        &["man"],
        &["completions", "bash"],
        &["probe", &endpoint],
        &["pull", "--connect", &endpoint, "-n", "1"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full");
        let mut command = Command::new(zerohop());
        command.args(args).stdout(full.expect("the device"));
        let output = command.stderr(Stdio::piped()).output().expect("an end");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        assert!(
            told.contains("cannot write to standard output"),
            "{args:?}: {told}"
        );
    }
    assert_eq!(push.end().code, Some(0));
}

/// Nothing that is said gets lost where standard error is full for now.
#[test]
fn errors_that_do_not_block_are_waited_for() {
    let (reader, mut writer) = pipe().expect("a pipe");
    fcntl_setfl(&writer, OFlags::NONBLOCK).expect("non-blocking");
    let full = repeat_with(|| writer.write(b"full\n")).take_while(Result::is_ok);
    assert!(full.count() > 0);
    let mut pull = Command::new(zerohop())
        .args(["pull", "--bind", "tcp://127.0.0.1:*", "--timeout", "10ms"])
        .stderr(writer)
        .spawn()
        .expect("the program starts");
    // It can't end before somebody reads what it has to say.
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        let ended = pull.try_wait().expect("a process that can be waited for");
        assert_eq!(ended, None);
        sleep(Duration::from_millis(10));
    }
    let told = BufReader::new(reader).lines().map_while(Result::ok);
    let told: Vec<String> = told.filter(|line| line != "full").collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("listening at"), "{told:#?}");
    assert!(told[1].contains("no message came in time"), "{told:#?}");
    assert_eq!(pull.wait().expect("an end").code(), Some(3));
}

/// A reader that has stopped reading can't keep the program for ever.
#[test]
fn ctrl_c_ends_a_write_that_nobody_reads() {
    let (mut reader, writer) = pipe().expect("a pipe");
    let endpoint = Transport::Ipc.endpoint();
    let mut pull = Command::new(zerohop())
        .args(["pull", "--bind", &endpoint, "--linger", "100ms"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let push = [
        "push",
        "--connect",
        &endpoint,
        "-m",
        "a line of text",
        "--repeat",
        "100000",
    ];
    let push = Program::start(&[&push[..], &["--linger", "0"]].concat());
    // A first line has come, and there are more than the pipe holds.
    let mut line = [0; 15];
    reader.read_exact(&mut line).expect("a line");
    kill_process(Pid::from_child(&pull), Signal::INT).expect("a process to interrupt");
    let end = Instant::now() + crate::common::deadline::DEADLINE;
    while pull
        .try_wait()
        .expect("a process that can be waited for")
        .is_none()
    {
        assert!(Instant::now() < end, "the program does not end");
        sleep(Duration::from_millis(10));
    }
    assert_eq!(pull.wait().expect("an end").code(), Some(130));
    drop(push);
}

#[test]
fn unsent_messages_are_a_failure() {
    let nobody = nobody();
    let push = run(&["push", "--connect", &nobody, "-m", "x", "--linger", "300ms"]);
    push.failed(
        1,
        &[
            "1 message was not sent",
            &nobody,
            "nobody is listening there",
            "--linger",
        ],
    );
}

#[test]
fn a_peer_that_does_not_fit_is_told() {
    let mut publisher = Program::start(&["pub", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = publisher.bound();
    let pull = run(&["pull", "--connect", &endpoint, "--timeout", "1s"]);
    pull.failed(
        3,
        &["the peer is a PUB socket, which a PULL socket cannot talk to"],
    );
    publisher.interrupt();
    publisher.end();
}

#[test]
fn ctrl_c_is_130() {
    for args in [
        &["pull", "--bind", "tcp://127.0.0.1:*"][..],
        &["sub", "--bind", "tcp://127.0.0.1:*"],
        &["push", "--bind", "tcp://127.0.0.1:*"],
        &["pub", "--bind", "tcp://127.0.0.1:*"],
        &["push", "--bind", "tcp://127.0.0.1:*", "--wait-peers", "1"],
        &["push", "--bind", "tcp://127.0.0.1:*", "-m", "x"],
        &["req", "--bind", "tcp://127.0.0.1:*", "-m", "x"],
        &["rep", "--bind", "tcp://127.0.0.1:*", "--echo"],
        &[
            "rep",
            "--bind",
            "tcp://127.0.0.1:*",
            "--exec",
            "cat",
            "--jobs",
            "4",
        ],
    ] {
        let mut program = Program::start(args);
        program.bound();
        program.interrupt();
        let ended = program.wait();
        assert_eq!(ended.code, Some(130), "{args:?}");
        // There was none.
        assert!(!ended.err.concat().contains("input was lost"), "{ended:#?}");
    }
}

/// `nohup`, and shells that put a command into the background, start it with signals ignored.
#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    for (name, ignored) in [("HUP", Signal::HUP), ("INT", Signal::INT)] {
        let script = format!("trap '' {name}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &script,
            zerohop(),
            "pull",
            "--bind",
            "tcp://127.0.0.1:*",
        ]);
        let mut pull = Program::spawn(&mut command);
        let endpoint = pull.bound();
        pull.signal(ignored);
        assert_eq!(
            run(&["push", "--connect", &endpoint, "-m", "on"]).code,
            Some(0)
        );
        assert_eq!(pull.line(), "on");
        // The exit code is that of the first signal that was heeded.
        pull.signal(Signal::TERM);
        assert_eq!(pull.end().code, Some(0), "{name}");
    }
}

/// A pipe holds 64 KiB, of these lines 3121. Whoever has written 5000 knows that the first have been read, and not more than
/// another pipe full, because nobody takes a message.
fn many_lines() -> Vec<String> {
    (0..5_000)
        .map(|number| format!("line {number:015}"))
        .collect()
}

#[test]
fn ctrl_c_loses_nothing_that_was_read() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = push.bound();
    let lines = many_lines();
    push.write_bytes((lines.join("\n") + "\n").as_bytes());
    // Nobody has taken one yet. The input stays open.
    push.interrupt();
    let pull = Program::start(&["pull", "--connect", &endpoint, "--timeout", "2s"]);
    let pulled = pull.end();
    assert_eq!(pulled.code, Some(3));
    assert_eq!(push.wait().code, Some(130));
    let got: Vec<&str> = pulled.out.lines().collect();
    assert!(got.len() >= lines.len() - 3_200, "only {} lines", got.len());
    assert_eq!(got, lines[..got.len()]);
}

#[test]
fn ctrl_c_gives_up_when_the_linger_time_is_over() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*", "--linger", "100ms"]);
    push.bound();
    push.write_bytes((many_lines().join("\n") + "\n").as_bytes());
    push.interrupt();
    push.err_line("input was lost");
    assert_eq!(push.wait().code, Some(130));
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*", "--linger", "forever"]);
    push.bound();
    push.write_bytes((many_lines().join("\n") + "\n").as_bytes());
    // The first may not have been heard when the second is sent, and then the two are one.
    let start = Instant::now();
    while !push.has_ended() {
        push.interrupt();
        push.line_within(Duration::from_millis(50));
        assert!(start.elapsed() < crate::common::deadline::DEADLINE);
    }
    assert_eq!(push.wait().code, Some(130));
}

#[test]
fn a_closed_pipe_ends_the_receiver() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = push.bound();
    let zerohop = zerohop();
    let pipeline =
        format!("{zerohop} pull --connect {endpoint} | head -n 2; echo ${{PIPESTATUS[0]}}");
    let shell = Program::spawn(Command::new("bash").args(["-c", &pipeline]));
    push.write("one\ntwo");
    // No third message comes to show that the pipe is closed.
    assert_eq!(shell.end().ok(), "one\ntwo\n0\n");
    push.end();
}

#[test]
fn a_closed_pipe_loses_no_request() {
    let mut pull = Program::start(&[
        "rep",
        "--bind",
        "tcp://127.0.0.1:*",
        "--exec",
        "tee /dev/stderr",
        "-n",
        "3",
    ]);
    let endpoint = pull.bound();
    let zerohop = zerohop();
    let pipeline =
        format!("printf 'a\\nb\\nc\\n' | {zerohop} req --connect {endpoint} | head -n 1");
    let shell = Program::spawn(Command::new("bash").args(["-c", &pipeline]));
    assert_eq!(shell.end().ok(), "a\n");
    let ended = pull.end();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.err.concat(), "abc");
}
