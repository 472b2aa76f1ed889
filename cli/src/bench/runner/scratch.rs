//! Endpoints that nobody else uses.

use std::cell::Cell;
use std::net::TcpListener;
use std::path::PathBuf;

use super::super::child::Fallible;
use super::super::workload::Transport;

/// A directory for the sockets of ipc, removed in the end.
pub(super) struct Scratch {
    path: PathBuf,
    used: Cell<u32>,
}

impl Scratch {
    pub(super) fn new() -> Fallible<Scratch> {
        let path = std::env::temp_dir().join(format!("zerohop-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Scratch {
            path,
            used: Cell::new(0),
        })
    }

    /// An endpoint that nobody uses.
    pub(super) fn endpoint(&self, transport: Transport) -> Fallible<String> {
        self.used.set(self.used.get() + 1);
        let number = self.used.get();
        Ok(match transport {
            // Free while we look, and nobody else on the machine is in a hurry to take it.
            Transport::Tcp => format!("tcp://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?),
            Transport::Ipc => format!("ipc://{}/{number}", self.path.display()),
            Transport::Inproc => format!("inproc://{number}"),
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in the system's directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
