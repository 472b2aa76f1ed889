//! pyzmq in a process of its own, as a [`Peer`], in a virtual environment the tests make for themselves.

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::deadline::DEADLINE;
use super::line_peer::LinePeer;
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
    pub(crate) fn start(&self, role: Role) -> LinePeer {
        let mut command = Command::new(self.python());
        let mut peer = LinePeer::open("pyzmq", command.arg(script("peer.py")), role);
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

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "python", name]
        .iter()
        .collect()
}
