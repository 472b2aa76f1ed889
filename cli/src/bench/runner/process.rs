//! A child process and its lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::super::cast::Entrant;
use super::super::child::{Fallible, Fault, Report, Task};
use super::super::tell;

/// Killed and reaped when dropped.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<Vec<String>>>,
    deadline: Instant,
}

impl Process {
    pub(crate) fn start(entrant: &Entrant, task: &Task, deadline: Instant) -> Fallible<Process> {
        let (program, arguments) = entrant.command.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(serde_json::to_string(task)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        // A pipe has no timeout, so a thread reads each; it ends with the child's output.
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process {
            child,
            stdin,
            lines,
            complaints: Some(thread::spawn(|| pass_on(stderr))),
            deadline,
        })
    }

    pub(crate) fn wait_until_ready(&mut self) -> Fallible<()> {
        match self.line()?.as_str() {
            "ready" => Ok(()),
            other => Err(format!("said {other:?} instead of being ready").into()),
        }
    }

    pub(crate) fn say_go(&mut self) {
        // Most roles do not wait for the word, and may have gone by now.
        let _ = writeln!(self.stdin, "go");
    }

    /// The report, once the process has ended well.
    pub(crate) fn report(&mut self) -> Fallible<Report> {
        let report = self.line()?;
        Ok(serde_json::from_str(&report)?)
    }

    fn line(&mut self) -> Fallible<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};

        let left = self.deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|error| match error {
            Timeout => Fault::from("not done in time; messages were lost, or somebody hangs"),
            Disconnected => Fault::from("ended without a report"),
        })
    }

    /// Ends the process, and tells what it has complained of.
    pub(crate) fn last_words(&mut self) -> Vec<String> {
        self.end();
        let complaints = self.complaints.take().map(JoinHandle::join);
        complaints.and_then(Result::ok).unwrap_or_default()
    }

    fn end(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells the user what a child complains of, and returns the beginning of it: what comes first is the cause of the rest.
fn pass_on(stderr: impl Read) -> Vec<String> {
    const MOST: usize = 3;

    let mut kept = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        tell(&line);
        if kept.len() < MOST && !line.trim().is_empty() {
            kept.push(line);
        }
    }
    kept
}
