//! Implementations that share no code with libzmq, and a binding of that: each in a process of its own, over tcp.
//!
//! | | from | program |
//! |---|---|---|
//! | JeroMQ | Debian's `libjeromq-java`, with a JDK | `tests/java/Peer.java` |
//! | czmq | Debian's `libczmq-dev` | `tests/c/peer.c` |
//! | zmq.rs, omq | crates.io | `peers/`, a workspace of its own |

use std::env;
use std::fs::{self, File};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::endpoints::Transport;
use super::line_peer::LinePeer;
use super::peer::{Implementation, Peer, Role};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Jeromq,
    Czmq,
    Zeromq,
    Omq,
}

use Other::{Czmq, Jeromq, Omq, Zeromq};

/// Where Debian puts it.
const JEROMQ: &str = "/usr/share/java/jeromq.jar";

impl Other {
    /// Builds its program, once. Where that can't be done, `None` after a visible note; under `CI`, where nothing may be skipped, a panic.
    pub(crate) fn available(self) -> Option<Other> {
        static BUILT: [OnceLock<Result<(), String>>; 4] = [const { OnceLock::new() }; 4];
        let built = BUILT[self as usize].get_or_init(|| self.build());
        let Err(reason) = built else {
            return Some(self);
        };
        if env::var_os("CI").is_some_and(|value| !value.is_empty()) {
            panic!("CI needs {}: {reason}", self.known_as());
        }
        // Not eprintln: the harness would swallow what a passing test prints.
        let _ = writeln!(
            stderr(),
            "SKIPPED: a test against {}: {reason}",
            self.known_as()
        );
        None
    }

    /// A socket of any type, by its name in zmq.h.
    pub(crate) fn start(self, socket_type: &str) -> LinePeer {
        LinePeer::open_type(self.known_as(), &mut self.command(), socket_type)
    }

    /// Test binaries run side by side: one of them builds while others wait.
    fn build(self) -> Result<(), String> {
        let folder = folder();
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        match self {
            Jeromq => run(Command::new("javac")
                .args(["-cp", JEROMQ, "-d"])
                .arg(&folder)
                .arg(source("tests/java/Peer.java"))),
            Czmq => run(Command::new("cc")
                .arg("-O1")
                .arg(source("tests/c/peer.c"))
                .arg("-o")
                .arg(folder.join("czmq-peer"))
                .args(["-lczmq", "-lzmq"])),
            // Not where our own artefacts go: its dependencies would be rebuilt there time and again.
            Zeromq | Omq => run(Command::new("cargo")
                .args(["build", "--quiet", "--locked", "--manifest-path"])
                .arg(source("peers/Cargo.toml"))
                .env("CARGO_TARGET_DIR", folder.join("cargo"))),
        }
    }

    fn known_as(self) -> &'static str {
        match self {
            Jeromq => "JeroMQ",
            Czmq => "czmq",
            Zeromq => "zmq.rs",
            Omq => "omq",
        }
    }

    fn command(self) -> Command {
        let folder = folder();
        match self {
            Jeromq => {
                let mut command = Command::new("java");
                // Started often, and for a short time.
                let quickly = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"];
                command.args(quickly);
                command.arg(format!("{JEROMQ}:{}", folder.display()));
                command.arg("Peer");
                command
            }
            Czmq => Command::new(folder.join("czmq-peer")),
            Zeromq => Command::new(folder.join("cargo/debug/zeromq-peer")),
            Omq => Command::new(folder.join("cargo/debug/omq-peer")),
        }
    }
}

impl Implementation for Other {
    fn name(&self) -> &str {
        self.known_as()
    }

    fn transports(&self) -> &[Transport] {
        &[Transport::Tcp]
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        Box::new(LinePeer::open(self.known_as(), &mut self.command(), role))
    }
}

/// Where the programs are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("others")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a compiler; what it complained about, if it did.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("{name}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let mut lines = complaint.lines();
    let error = lines.find(|line| line.contains("error"));
    Err(format!("{name}: {}", error.unwrap_or("it gave no reason")))
}
