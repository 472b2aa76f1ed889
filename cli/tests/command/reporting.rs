//! What people are shown: `--stats` on a terminal, `--monitor`, `--verbose` and `probe`.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::program::{Program, run};
use crate::common::endpoints::Transport;
use crate::zerohop;

#[test]
fn totals_are_printed_in_the_end() {
    let mut pull = Program::start(&["pull", "--bind", "tcp://127.0.0.1:*", "-n", "3", "--stats"]);
    let endpoint = pull.bound();
    let push = Program::start(&[
        "push",
        "--connect",
        &endpoint,
        "-m",
        "12345",
        "--repeat",
        "3",
        "--stats",
    ]);
    let pushed = push.end();
    assert_eq!(pushed.code, Some(0));
    assert!(
        pushed
            .err
            .concat()
            .contains("sent 3 messages, 21 bytes on the wire"),
        "{pushed:#?}"
    );
    let pulled = pull.end();
    assert_eq!(pulled.code, Some(0));
    assert!(
        pulled
            .err
            .concat()
            .contains("received 3 messages, 21 bytes on the wire"),
        "{pulled:#?}"
    );
}

/// A person looks at standard error on a terminal while messages flow.
#[test]
fn a_terminal_shows_a_live_line() {
    let mut pull = Program::start(&["pull", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = pull.bound();
    // Python brings a terminal everywhere.
    let in_terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut command = Command::new("python3");
    command.args([
        "-c",
        in_terminal,
        zerohop(),
        "push",
        "--connect",
        &endpoint,
        "--stats",
    ]);
    command.args(["-m", "tick", "--repeat", "40", "--rate", "40/s"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let shown = Program::spawn(&mut command).end().ok();
    for part in ["out ", "/s", "B/s", "peers 1", "queued 0", "dropped 0"] {
        assert!(shown.contains(part), "no {part:?} in {shown:?}");
    }
    assert!(shown.contains("sent 40 messages"), "{shown:?}");
    pull.interrupt();
    pull.end();
}

#[test]
fn a_terminal_is_safe_from_messages() {
    let endpoint = Transport::Ipc.endpoint();
    let mut push = Program::start(&["push", "--bind", &endpoint]);
    push.write("\x1b[2J\u{7}");
    let in_terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut command = Command::new("python3");
    command.args([
        "-c",
        in_terminal,
        zerohop(),
        "pull",
        "--connect",
        &endpoint,
        "-n",
        "1",
    ]);
    let shown = Program::spawn(&mut command).end().ok();
    assert!(shown.contains("\\u{1b}[2J\\u{7}"), "{shown:?}");
    assert_eq!(push.end().code, Some(0));
}

#[test]
fn events_are_lines_of_json() {
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "1",
        "--monitor",
        "-q",
    ]);
    let listening: Value = serde_json::from_str(&pull.err_line("listening")).expect("JSON");
    let endpoint = listening["endpoint"]
        .as_str()
        .expect("an endpoint")
        .to_owned();
    let push = Program::start(&["push", "--connect", &endpoint, "-m", "x"]);
    let succeeded: Value =
        serde_json::from_str(&pull.err_line("handshake_succeeded")).expect("JSON");
    assert_eq!(succeeded["facts"]["socket_type"], "PUSH");
    assert_eq!(succeeded["facts"]["mechanism"], "NULL");
    assert!(
        succeeded["time"].as_f64().is_some_and(|time| time > 1e9),
        "{succeeded}"
    );
    assert_eq!(push.end().code, Some(0));
    let ended = pull.end();
    for line in &ended.err {
        let event: Value = serde_json::from_str(line).expect("nothing but JSON");
        assert!(event["event"].is_string(), "{line}");
    }
    assert_eq!(ended.out, "x\n");
}

#[test]
fn verbose_tells_in_words() {
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "-n",
        "1",
        "--verbose",
    ]);
    let endpoint = pull.bound();
    let push = Program::start(&["push", "--connect", &endpoint, "-m", "x"]);
    assert_eq!(push.end().code, Some(0));
    let told = pull.end().err.concat();
    assert!(told.contains("handshake done"), "{told}");
}

/// What `--count` leaves behind was given to this PULL and to nobody else: a person is to know.
#[test]
fn totals_tell_what_was_read_ahead() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*", "-q", "--monitor"]);
    let listening: Value = serde_json::from_str(&push.err_line("listening")).expect("JSON");
    push.write_bytes(b"a\nb\nc\n");
    let endpoint = listening["endpoint"].as_str().expect("an endpoint");
    let pull = Program::start(&["pull", "--connect", endpoint, "-n", "1", "--stats"]);
    let ended = pull.end();
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "a\n"));
    assert!(ended.err[0].contains("received 1 message,"), "{ended:#?}");
    push.end();
}

#[test]
fn probe_tells_of_our_own_sockets_over_ipc() {
    for endpoint in [Transport::Ipc.endpoint(), Transport::IpcAbstract.endpoint()] {
        let mut pull = Program::start(&["pull", "--bind", &endpoint, "--verbose"]);
        pull.err_line("listening");
        let screen = run(&["probe", &endpoint]).ok();
        assert!(
            screen.contains("ZMTP 3.1") && screen.contains("PULL"),
            "{screen}"
        );
        assert!(
            screen.contains(&format!("zerohop push --connect {endpoint}")),
            "{screen}"
        );
        pull.interrupt();
        assert_eq!(pull.end().code, Some(130));
    }
}

#[test]
fn a_probe_takes_no_messages() {
    let mut push = Program::start(&["push", "--bind", "tcp://127.0.0.1:*", "-m", "precious"]);
    let endpoint = push.bound();
    assert!(run(&["probe", &endpoint]).ok().contains("PUSH"));
    assert_eq!(
        run(&["pull", "--connect", &endpoint, "-n", "1"]).ok(),
        "precious\n"
    );
    assert_eq!(push.end().code, Some(0));
}

#[test]
fn probe_tells_why_not() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
    // It accepts, as every listener does, and then says nothing.
    let silent = run(&["probe", &endpoint, "--timeout", "200ms"]);
    silent.failed(3, &["accepts connections", "ZMTP"]);
    drop(listener);
    run(&["probe", &endpoint]).failed(1, &["nobody is listening there"]);
    let json = run(&["probe", &endpoint, "--json"]);
    assert_eq!(json.code, Some(1));
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(told["ok"], false);
    assert_eq!(told["error"], "nobody is listening there");
    run(&["probe", "ipc:///no/such/socket"]).failed(1, &["there is no such socket"]);
}
