//! The reactor of a tokio runtime.

#![allow(
    deprecated,
    reason = "what newer versions have instead is for descriptors that are not owned"
)]

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use mio::unix::pipe;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::engine::{Added, Reactor};
use crate::process::Process;

#[derive(Debug)]
pub(super) struct Tokio {
    handle: Handle,
    process: Process,
}

struct Source(AsyncFd<OwnedFd>);

impl Tokio {
    pub(super) fn current() -> io::Result<Tokio> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        // Whether a runtime has I/O can only be tried, and it panics if not.
        let (_sender, receiver) = pipe::new()?;
        let tried = catch_unwind(AssertUnwindSafe(|| {
            AsyncFd::with_interest(receiver, Interest::READABLE).map(drop)
        }));
        match tried {
            Ok(tried) => tried.map(|()| Tokio {
                handle,
                process: Process::current(),
            }),
            Err(panic) => {
                std::mem::forget(panic);
                let text =
                    "the tokio runtime has no I/O: build it with `enable_io`, or `enable_all`";
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }
}

impl Reactor for Tokio {
    fn add(&self, fd: OwnedFd) -> io::Result<Box<dyn Added>> {
        // A forked child shares its epoll with the parent, whose runtime would take what it is told of for something of its own.
        if !self.process.is_current() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let _entered = self.handle.enter();
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Box::new(Source(fd)))
    }
}

impl Added for Source {
    /// Not constrained by the budget of the task that happens to call: that would wake at once, again and again.
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let event = poll_fn(|context| self.0.poll_read_ready(context));
        let event = pin!(unconstrained(event)).poll(context);
        event.map_ok(|mut guard| guard.clear_ready())
    }
}
