//! A child process that speaks a line protocol and never outlives its test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::deadline::DEADLINE;

/// The process, killed with SIGKILL and reaped when this is dropped.
pub(crate) struct LineChild {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl LineChild {
    /// Starts `command` with its standard input and output in our hands.
    pub(crate) fn spawn(command: &mut Command) -> LineChild {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the child process starts");
        let stdin = child.stdin.take().expect("the child's stdin is piped");
        let stdout = child.stdout.take().expect("the child's stdout is piped");
        // A thread of its own reads, because a pipe has no read timeout; it ends with the child's output.
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        LineChild {
            child,
            stdin,
            lines,
        }
    }

    /// Writes a line and waits for the line that answers it.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").expect("the child reads its stdin");
        // Twice the deadline: the child's own waits are bounded by it and fail with a better message.
        let answer = self.lines.recv_timeout(2 * DEADLINE);
        answer.unwrap_or_else(|error| panic!("the child answers {line:?}: {error}"))
    }
}

impl Drop for LineChild {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
