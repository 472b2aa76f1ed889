//! What a messaging library must be able to do to take part.
//!
//! The calls are `async` so that libraries of both kinds share the loops of [`roles`](super::roles). Blocking ones never
//! suspend, and [`Contestant::run`] polls them once; async ones bring their runtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Fallible, Fault, Report, TOPIC_LEN, Task};

/// One library, used as its own documentation recommends, with default options.
///
/// The side that accepts connections (`bind_…`) is ready to when its call returns; the other side is started only then.
#[allow(async_fn_in_trait)] // Nobody but the roles here calls these.
pub(crate) trait Contestant: Sized + Sync {
    type Pull: Receiver;
    type Push: Sender;
    type Sub: Receiver;
    type Pub: Sender;
    type Req: Requester;
    type Rep: Replier;

    /// Runs a role to its end.
    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        let mut role = pin!(role);
        match role.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            // Its futures await nothing but each other, and so are ready at the first poll.
            Poll::Pending => unreachable!("a blocking contestant never suspends"),
        }
    }

    async fn bind_pull(&self, endpoint: &str) -> Fallible<Self::Pull>;
    async fn connect_push(&self, endpoint: &str) -> Fallible<Self::Push>;
    /// Waits for slow subscribers instead of dropping.
    async fn bind_pub(&self, endpoint: &str) -> Fallible<Self::Pub>;
    async fn connect_sub(&self, endpoint: &str, topics: &[[u8; TOPIC_LEN]]) -> Fallible<Self::Sub>;
    async fn bind_rep(&self, endpoint: &str) -> Fallible<Self::Rep>;
    async fn connect_req(&self, endpoint: &str) -> Fallible<Self::Req>;

    /// Passes messages on from a PULL bound at `frontend` to a PUSH connected to `backend`, without end; says when it is bound.
    async fn proxy(
        &self,
        _frontend: &str,
        _backend: &str,
        _bound: impl FnOnce() -> Fallible<()>,
    ) -> Fallible<()> {
        Absent::refuse()
    }

    /// Has as many tasks as there are senders share one DEALER, each of which sends a request and takes a reply, whichever.
    async fn share(&self, _task: &Task) -> Fallible<Report> {
        Absent::refuse()
    }

    /// Returns at that time on the clock of [`now`](super::system::now), neither early nor late.
    async fn wait_until(&self, time: u64) {
        super::system::wait_until(time);
    }
}

/// Sends messages.
#[allow(async_fn_in_trait)]
pub(crate) trait Sender {
    /// Sends a copy of a message that the caller goes on using.
    async fn send(&mut self, message: &[u8]) -> Fallible<()>;

    /// Sends a message that may be kept by reference, if the library can do that.
    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        self.send(message).await
    }

    /// Returns when all that was sent will leave this process without further calls.
    async fn flush(&mut self) -> Fallible<()> {
        Ok(())
    }
}

/// Receives messages.
#[allow(async_fn_in_trait)]
pub(crate) trait Receiver {
    /// Waits for the next message and shows it.
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T>;

    /// Shows a message that is there already. A library without such a call says that there is none.
    fn try_recv<T>(&mut self, _show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        Ok(None)
    }
}

/// Asks and waits for the reply.
#[allow(async_fn_in_trait)]
pub(crate) trait Requester {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T>;

    /// Asks, and does not wait: the reply is the next of [`next_reply`](Self::next_reply).
    async fn ask_ahead(&mut self, _request: &[u8]) -> Fallible<()> {
        Absent::refuse()
    }

    /// Waits for the reply to the first of what was asked ahead.
    async fn next_reply<T>(&mut self, _show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Absent::refuse()
    }
}

/// Replies.
#[allow(async_fn_in_trait)]
pub(crate) trait Replier {
    /// Waits for a request, shows it, and sends it back.
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T>;
}

/// For what a contestant does not have.
pub(crate) enum Absent {}

impl Absent {
    pub(crate) fn refuse<T>() -> Fallible<T> {
        Err(Fault::from("this contestant has no such socket"))
    }
}

impl Sender for Absent {
    async fn send(&mut self, _message: &[u8]) -> Fallible<()> {
        match *self {}
    }
}

impl Receiver for Absent {
    async fn recv<T>(&mut self, _show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        match *self {}
    }
}

impl Requester for Absent {
    async fn ask<T>(&mut self, _: &[u8], _show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        match *self {}
    }
}

impl Replier for Absent {
    async fn echo<T>(&mut self, _show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        match *self {}
    }
}
