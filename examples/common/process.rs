//! This program started again as another process, and never left over.

use std::env;
use std::io::{self, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

/// A process that we have started. Dropping it kills it with SIGKILL.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Open for as long as the process is to run. It is kept here and not in `child`, where waiting would
    /// close it.
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts this program again, with these arguments.
    pub(crate) fn start(name: String, args: &[&str]) -> io::Result<Process> {
        let mut child = Command::new(env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        Ok(Process { name, child, stdin })
    }

    /// What to complain of, if the process has ended by now and should not have, or not like that.
    pub(crate) fn complaint(&mut self) -> io::Result<Option<String>> {
        let ended = self.child.try_wait()?;
        let failed = ended.filter(|status| !status.success());
        Ok(failed.map(|status| format!("{}: {status}", self.name)))
    }

    /// Waits until the process has ended, which must be a good end.
    pub(crate) fn wait(mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{}: {status}", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.stdin.take());
    }
}

/// Ends this process with the one that started it, however that ends: our standard input ends then.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}
