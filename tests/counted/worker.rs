//! This binary again, in a process of its own that can be measured and killed.
//!
//! The two talk in lines: what the parent [`tell`](Worker::tell)s, the child [`hear`]s; what the child [`say`]s, the
//! parent gets from [`next`](Worker::next). The child's own output has a mark, since the test harness prints as well.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::common::deadline::DEADLINE;
use crate::roles;

const ROLE: &str = "ZEROHOP_TEST_ROLE";
const MARK: &str = "> ";

/// Not a test: what a child runs in place of the tests.
#[test]
fn worker() {
    if let Ok(role) = env::var(ROLE) {
        let words: Vec<&str> = role.split(' ').collect();
        roles::play(words[0], &words[1..]);
    }
}

/// A child; killed with SIGKILL and reaped when this is dropped.
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Worker {
    /// Starts a child in a role, with its arguments, none of which may hold a space.
    pub(crate) fn start(role: &str) -> Worker {
        Worker::start_behind(&[], role)
    }

    /// The same, through another program that ends by running what follows on its command line.
    pub(crate) fn start_behind(prefix: &[&str], role: &str) -> Worker {
        let this = env::current_exe().expect("this test binary");
        let mut words: Vec<&OsStr> = prefix.iter().map(OsStr::new).collect();
        words.push(this.as_os_str());
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args([
                "--exact",
                "worker::worker",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("the child's output");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The harness leaves its own line open, so the mark need not be at the start.
                if let Some((_, line)) = line.split_once(MARK)
                    && sender.send(line.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Worker {
            child,
            stdin,
            lines,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not yet hung up");
        writeln!(stdin, "{line}").expect("the child reads");
    }

    /// The next line the child says.
    pub(crate) fn next(&self) -> String {
        let line = self.lines.recv_timeout(2 * DEADLINE);
        line.expect("a line from the child")
    }

    /// The next line, if it comes in time; an error if the child has ended.
    pub(crate) fn next_within(&self, patience: Duration) -> Result<Option<String>, Ended> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }

    /// Kills it, and gives what it had said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
        let lines = self.lines.iter().collect();
        drop(self);
        lines
    }

    /// Waits for it to end by itself, in good order.
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().expect("reaped");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child has ended, and said all it had to say.
#[derive(Debug)]
pub(crate) struct Ended;

/// Tells the parent.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{MARK}{line}").expect("the parent listens");
    stdout.flush().expect("the parent listens");
}

/// Waits for a line of the parent; `None` when it has hung up.
pub(crate) fn hear() -> Option<String> {
    io::stdin().lines().next()?.ok()
}
