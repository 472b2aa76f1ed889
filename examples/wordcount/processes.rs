//! Starting the other processes, and seeing to it that none is left over.

use std::env;
use std::io::{self, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;

use crate::Result;

/// The processes that the sink has started. Dropping it kills those that still run.
#[derive(Default)]
pub(crate) struct Children {
    running: Vec<Process>,
}

struct Process {
    name: String,
    child: Child,
    /// Open for as long as we live, and no longer; kept here because waiting for the child would close it.
    _stdin: Option<ChildStdin>,
}

impl Children {
    /// Starts this program again, with these arguments.
    pub(crate) fn start(&mut self, name: String, args: &[&str]) -> Result<()> {
        let mut child = Command::new(env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .spawn()?;
        let _stdin = child.stdin.take();
        self.running.push(Process {
            name,
            child,
            _stdin,
        });
        Ok(())
    }

    /// Looks for processes that have ended; says which of them failed.
    pub(crate) fn failed(&mut self) -> Result<Vec<String>> {
        let mut failed = Vec::new();
        let mut running = Vec::new();
        for mut process in self.running.drain(..) {
            match process.child.try_wait()? {
                None => running.push(process),
                Some(status) => failed.extend(complaint(&process.name, status)),
            }
        }
        self.running = running;
        Ok(failed)
    }

    /// Waits until all have ended; the first failure that is found is an error.
    pub(crate) fn wait(&mut self) -> Result<()> {
        while let Some(mut process) = self.running.pop() {
            if let Some(complaint) = complaint(&process.name, process.child.wait()?) {
                return Err(complaint.into());
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for process in &mut self.running {
            // Both fail only if it has ended already.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn complaint(name: &str, status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| format!("{name}: {status}"))
}

/// Ends this process when the one that started it ends, however that happens: then our standard input ends.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}
