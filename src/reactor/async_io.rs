//! The reactor of the crate `async-io`.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use async_io::Async;

use crate::engine::{Added, Reactor};

#[derive(Debug)]
pub(super) struct AsyncIo;

struct Source(Async<OwnedFd>);

impl Reactor for AsyncIo {
    fn add(&self, fd: OwnedFd) -> io::Result<Box<dyn Added>> {
        Ok(Box::new(Source(Async::new(fd)?)))
    }
}

impl Added for Source {
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(context)
    }
}
