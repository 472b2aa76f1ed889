//! pyzmq in a process of its own, as a [`Peer`], in a virtual environment the tests make for themselves.

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::child::LineChild;
use super::deadline::DEADLINE;
use super::part::Part;
use super::peer::{Implementation, Peer, Role};

/// A Python that has pyzmq.
pub(crate) struct Pyzmq {
    python: &'static Path,
}

impl Pyzmq {
    /// Finds or makes the environment, under the target folder. Where that can't be done, `None` after a visible
    /// note; under `CI`, where nothing may be skipped, a panic.
    pub(crate) fn available() -> Option<Pyzmq> {
        static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match PYTHON.get_or_init(set_up) {
            Ok(python) => Some(Pyzmq { python }),
            Err(reason) if env::var_os("CI").is_some_and(|value| !value.is_empty()) => {
                panic!("CI needs pyzmq: {reason}");
            }
            Err(reason) => {
                // Not eprintln: the harness would swallow what a passing test prints.
                let _ = writeln!(stderr(), "SKIPPED: a test against pyzmq: {reason}");
                None
            }
        }
    }

    /// The interpreter of the environment.
    pub(crate) fn python(&self) -> &Path {
        self.python
    }

    /// A socket that can be killed, process and all.
    pub(crate) fn start(&self, role: Role) -> PyzmqPeer {
        let mut command = Command::new(self.python());
        let child = LineChild::spawn(command.arg(script("peer.py")));
        let mut peer = PyzmqPeer { child };
        peer.ask(&format!("open {}", format!("{role:?}").to_uppercase()));
        peer.set("SNDTIMEO", DEADLINE.as_millis());
        peer
    }
}

impl Implementation for Pyzmq {
    fn name(&self) -> &str {
        "pyzmq"
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        Box::new(self.start(role))
    }
}

/// A pyzmq socket; dropping it kills its process with SIGKILL.
pub(crate) struct PyzmqPeer {
    child: LineChild,
}

impl PyzmqPeer {
    /// Sets a socket option by its name in zmq.h, without the prefix: to a number, or to the bytes of a [`Part`].
    pub(crate) fn set(&mut self, option: &str, value: impl std::fmt::Display) {
        self.ask(&format!("set {option} {value}"));
    }

    /// The answer to a command, without the word that says it succeeded.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        let answer = self.child.ask(command);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim().to_owned(),
            None => panic!("pyzmq answers {command:?} with {answer:?}"),
        }
    }
}

impl Peer for PyzmqPeer {
    fn bind(&mut self, endpoint: &str) -> String {
        self.ask(&format!("bind {endpoint}"))
    }

    fn connect(&mut self, endpoint: &str) {
        self.ask(&format!("connect {endpoint}"));
    }

    fn send(&mut self, message: &[Part]) {
        let frames: Vec<String> = message.iter().map(Part::to_string).collect();
        self.ask(&format!("send {}", frames.join(" ")));
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let answer = self.child.ask(&format!("recv {}", patience.as_millis()));
        if answer == "none" {
            return None;
        }
        let frames = answer
            .strip_prefix("msg ")
            .and_then(|tokens| tokens.split(' ').map(parse_frame).collect());
        Some(frames.unwrap_or_else(|| panic!("pyzmq answers recv with {answer:?}")))
    }

    fn subscribe(&mut self, topic: &str) {
        self.ask(&format!("subscribe {}", Part::from(topic)));
    }

    fn unsubscribe(&mut self, topic: &str) {
        self.ask(&format!("unsubscribe {}", Part::from(topic)));
    }
}

/// Makes the environment unless it is there; its Python, or why there is none.
fn set_up() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyzmq");
    let made = Command::new("python3")
        .arg(script("setup.py"))
        .arg(&folder)
        .stdin(Stdio::null())
        .output();
    let made = made.map_err(|error| format!("python3: {error}"))?;
    if made.status.success() {
        return Ok(folder.join("bin").join("python"));
    }
    let complaint = String::from_utf8_lossy(&made.stderr);
    let last = complaint.lines().last().unwrap_or("python3 gave no reason");
    Err(format!("{}: {last}", folder.display()))
}

/// Reads a frame the way `peer.py` prints it.
fn parse_frame(token: &str) -> Option<Part> {
    if token == "-" {
        return Some(Part::Bytes(Vec::new()));
    }
    if let Some(length) = token.strip_prefix('@') {
        return length.parse().ok().map(Part::Pattern);
    }
    let byte = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    bytes.map(Part::Bytes)
}

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "python", name]
        .iter()
        .collect()
}
