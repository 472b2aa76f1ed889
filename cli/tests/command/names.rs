//! Endpoints with names and zones: every command means the same by them, and none waits for a silent name server longer than
//! it was told to.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::{Duration, Instant};

use super::program::{Ended, Program, run};
use crate::common::unique;
use crate::zerohop;

/// A machine of our own as far as names go: `/etc/hosts` and `/etc/resolv.conf` are ours for the programs started here.
struct Names {
    folder: PathBuf,
    /// Where the only name server is. It never answers.
    _server: UdpSocket,
}

/// Runs the rest of its command line with the two files of the folder in place of the system's.
const WITH_NAMES: &str = "mount --bind \"$1/hosts\" /etc/hosts && mount --bind \"$1/resolv.conf\" /etc/resolv.conf && \
    shift && exec \"$@\"";

impl Names {
    /// `None`, visibly, where the system does not allow it; under CI, where nothing may be left out, a failure.
    fn available() -> Option<Names> {
        let folder = env::temp_dir().join(unique::name());
        fs::create_dir(&folder).expect("a new folder");
        fs::write(
            folder.join("hosts"),
            "::1 only6.test\n127.0.0.1 both.test\n::1 both.test\n",
        )
        .expect("a file");
        // An address of the loopback network that no other test of any process has.
        let id = process::id().to_be_bytes();
        let number = u8::try_from(unique::number() % 250).expect("small") + 2;
        let address = Ipv4Addr::new(127, id[2], id[3], number);
        let nameserver = format!("nameserver {address}\n");
        fs::write(folder.join("resolv.conf"), nameserver).expect("a file");
        let server = UdpSocket::bind((address, 53));
        let available = server.ok().map(|server| Names {
            folder: folder.clone(),
            _server: server,
        });
        let available = available.filter(|names| {
            let output = names.command(&["true"]).output();
            output.is_ok_and(|output| output.status.success())
        });
        if available.is_none() {
            // Not eprintln: the harness would swallow what a passing test prints.
            let _ = writeln!(
                stderr(),
                "SKIPPED: a test with a name server that does not answer: not allowed to mount one"
            );
            let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
            assert!(!ci, "CI needs to be allowed to mount files");
        }
        available
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", WITH_NAMES, "sh"]);
        command.arg(&self.folder).args(words);
        command
    }

    fn start(&self, args: &[&str]) -> Program {
        Program::spawn(&mut self.command(&[&[zerohop()], args].concat()))
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // What is left behind is two small files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        let _ = writeln!(
            stderr(),
            "SKIPPED: a test with IPv6, which this machine lacks"
        );
    }
    has
}

/// The system's resolver gives up after ten seconds and more.
#[test]
fn a_silent_name_server_does_not_outlast_the_timeout() {
    let Some(names) = Names::available() else {
        return;
    };
    for (args, told) in [
        (
            &["probe", "tcp://silent.test:1"][..],
            "was not looked up in time",
        ),
        (
            &["pull", "--bind", "tcp://silent.test:1"],
            "was not looked up in time",
        ),
        (
            &["push", "--connect", "tcp://silent.test:1", "-m", "x"],
            "1 message was not sent in time",
        ),
        (
            &["pull", "--connect", "tcp://silent.test:1"],
            "no message came in time",
        ),
    ] {
        let start = Instant::now();
        let ended = names.run(&[args, &["--timeout", "300ms"]].concat());
        ended.failed(3, &[told]);
        assert!(start.elapsed() < Duration::from_secs(4), "{args:?}");
    }
}

#[test]
fn ctrl_c_ends_waiting_for_a_silent_name_server() {
    let Some(names) = Names::available() else {
        return;
    };
    for args in [
        &[
            "--bind",
            "tcp://127.0.0.1:*",
            "--bind",
            "tcp://silent.test:1",
        ][..],
        &[
            "--bind",
            "tcp://127.0.0.1:*",
            "--connect",
            "tcp://silent.test:1",
        ],
    ] {
        let mut pull = names.start(&[&["pull"], args].concat());
        // It is past the first endpoint.
        pull.bound();
        let start = Instant::now();
        pull.interrupt();
        assert_eq!(pull.wait().code, Some(130), "{args:?}");
        assert!(start.elapsed() < Duration::from_secs(4), "{args:?}");
    }
}

/// A name without an IPv4 address can mean nothing else.
#[test]
fn a_name_with_ipv6_addresses_only_is_reached_by_all_commands() {
    let Some(names) = Names::available().filter(|_| has_ipv6()) else {
        return;
    };
    let mut pull = names.start(&["pull", "--bind", "tcp://only6.test:*", "-n", "1"]);
    let bound = pull.bound();
    let port = bound.strip_prefix("tcp://[::1]:").expect("an IPv6 address");
    let endpoint = format!("tcp://only6.test:{port}");
    assert!(names.run(&["probe", &endpoint]).ok().contains("PULL"));
    let push = names.run(&[
        "push",
        "--connect",
        &endpoint,
        "-m",
        "x",
        "--timeout",
        "10s",
    ]);
    assert_eq!(push.code, Some(0), "{push:#?}");
    assert_eq!(pull.end().ok(), "x\n");
}

/// Of a name with both, all commands mean the IPv4 addresses, unless told otherwise.
#[test]
fn a_name_with_both_families_means_the_same_to_all_commands() {
    let Some(names) = Names::available().filter(|_| has_ipv6()) else {
        return;
    };
    let mut pull = run_at("tcp://[::1]:*");
    let bound = pull.bound();
    let (_, port) = bound.rsplit_once(':').expect("a port");
    let endpoint = format!("tcp://both.test:{port}");
    let probe = ["probe", &endpoint];
    let push = [
        "push",
        "--connect",
        &endpoint,
        "-m",
        "x",
        "--timeout",
        "10s",
    ];
    names.run(&probe).failed(1, &["nobody is listening there"]);
    let refused = names.run(&[&push[..6], &["300ms"]].concat());
    refused.failed(3, &["nobody is listening there"]);
    assert!(
        names
            .run(&[&probe[..], &["--ipv6"]].concat())
            .ok()
            .contains("PULL")
    );
    let pushed = names.run(&[&push[..], &["--ipv6"]].concat());
    assert_eq!(pushed.code, Some(0), "{pushed:#?}");
    assert_eq!(pull.line(), "x");
    pull.interrupt();
    assert_eq!(pull.end().code, Some(130));
}

fn run_at(endpoint: &str) -> Program {
    Program::start(&["pull", "--bind", endpoint])
}

#[test]
fn a_wildcard_means_both_families_with_ipv6() {
    if !has_ipv6() {
        return;
    }
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://*:*",
        "--insecure",
        "--ipv6",
        "-n",
        "2",
    ]);
    let bound = pull.bound();
    let (_, port) = bound.rsplit_once(':').expect("a port");
    for host in ["127.0.0.1", "[::1]"] {
        let push = [
            "push",
            "--connect",
            &format!("tcp://{host}:{port}"),
            "-m",
            "x",
        ];
        assert_eq!(run(&push).code, Some(0), "{host}");
    }
    assert_eq!(pull.end().ok(), "x\nx\n");
}

/// What a socket can connect to can be probed: the two have one parser.
#[test]
fn probe_knows_zones_and_sources() {
    let mut pull = run_at("tcp://127.0.0.1:*");
    let bound = pull.bound();
    let (_, port) = bound.rsplit_once(':').expect("a port");
    let endpoint = format!("tcp://127.0.0.1:0;127.0.0.1:{port}");
    assert!(run(&["probe", &endpoint]).ok().contains("PULL"));
    pull.interrupt();
    assert_eq!(pull.end().code, Some(130));
    run(&["probe", "tcp://[fe80::1%nosuchif0]:1"]).failed(1, &["nosuchif0"]);
    for wildcard in [
        "tcp://*:1",
        "tcp://127.0.0.1:*",
        "tcp://127.0.0.1:0",
        "ipc://*",
    ] {
        run(&["probe", wildcard]).failed(2, &["wildcard"]);
    }
    // A star in the name of a file is a star.
    run(&["probe", "ipc:///no/such/*"]).failed(1, &["there is no such socket"]);
    if has_ipv6() {
        let mut pull = run_at("tcp://[::1]:*");
        let bound = pull.bound();
        let (_, port) = bound.rsplit_once(':').expect("a port");
        let screen = run(&["probe", &format!("tcp://[::1%lo]:{port}")]).ok();
        assert!(screen.contains("PULL"), "{screen}");
        pull.interrupt();
        assert_eq!(pull.end().code, Some(130));
    }
}
