//! A child process and its lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::super::cast::Entrant;
use super::super::child::{Fallible, Fault, Report, Task};

/// Killed and reaped when dropped.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    patience: Duration,
}

impl Process {
    pub(crate) fn start(entrant: &Entrant, task: &Task, patience: Duration) -> Fallible<Process> {
        let (program, arguments) = entrant.command.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(serde_json::to_string(task)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        // A pipe has no timeout, so a thread reads it; it ends with the child's output.
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
            patience,
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

        self.lines
            .recv_timeout(self.patience)
            .map_err(|error| match error {
                Timeout => Fault::from("not done in time; messages were lost, or somebody hangs"),
                Disconnected => Fault::from("ended without a report; see its message above"),
            })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
