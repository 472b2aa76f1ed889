//! The reactor of the crate `async-io`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_io::Async;

use crate::engine::{Added, Reactor};
use crate::process::Process;

#[derive(Debug)]
pub(super) struct AsyncIo;

struct Source(Async<OwnedFd>);

impl Reactor for AsyncIo {
    fn add(&self, fd: OwnedFd) -> io::Result<Box<dyn Added>> {
        // There is one, which a forked child shares with the parent that has used it, and whose thread the child has not.
        static USED_BY: AtomicU64 = AtomicU64::new(0);
        let this = Process::current().number();
        match USED_BY.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed) {
            Err(other) if other != this => Err(io::ErrorKind::Unsupported.into()),
            Ok(_) | Err(_) => Ok(Box::new(Source(Async::new(fd)?))),
        }
    }
}

impl Added for Source {
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(context)
    }
}
