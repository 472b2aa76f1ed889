//! Sockets for loops that wait for many things: whether a call would wait, for a [`ReadyFd`] or a [`Poller`](crate::Poller).

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Weak};

use mio::unix::pipe;

use super::handle::Handle;
use super::{
    Channel, Client, Dealer, Dish, Gather, Pair, Peer, Pub, Pull, Push, Radio, Rep, Router,
    Scatter, Server, Stream, Sub, Xpub, Xsub,
};
use crate::engine::{Observable, Observer, ObserverId, Shut, Side};
use crate::error::WatchError;
use crate::monitor::IoFailure;

/// A socket that can be waited for to have something to receive: all but PUSH, PUB and REQ, SCATTER and RADIO. Sealed.
#[expect(private_bounds, reason = "sealed")]
pub trait PollRecv: AsObservable {
    /// A descriptor that is readable exactly when a call that receives would not wait; see [`ReadyFd`].
    ///
    /// # Errors
    ///
    /// The system refused descriptors, or closed.
    fn recv_fd(&self) -> Result<ReadyFd, WatchError> {
        ReadyFd::new(&self.observable(), Side::Receive)
    }
}

/// A socket that can be waited for to have room for a message: PUSH, PUB, DEALER, ROUTER, PAIR, XPUB and XSUB, and their draft
/// counterparts. Sealed.
#[expect(private_bounds, reason = "sealed")]
pub trait PollSend: AsObservable {
    /// A descriptor that is **readable** exactly when a call that sends would not wait; see [`ReadyFd`].
    ///
    /// That is always so with ROUTER, SERVER, PEER and XSUB, and with PUB, RADIO and XPUB unless [`pub_block`](crate::Options::pub_block) is set;
    /// then it is when all
    /// subscribers have room. A message that is too large for all peers that have room may still have to wait.
    ///
    /// # Errors
    ///
    /// The system refused descriptors, or closed.
    fn send_fd(&self) -> Result<ReadyFd, WatchError> {
        ReadyFd::new(&self.observable(), Side::Send)
    }
}

macro_rules! polls {
    ($($name:ident: $($polls:ident),+;)+) => {
        $($(impl $polls for $name {})+)+
    };
}

polls! {
    Push: PollSend;
    Pull: PollRecv;
    Pub: PollSend;
    Sub: PollRecv;
    Rep: PollRecv;
    Dealer: PollRecv, PollSend;
    Router: PollRecv, PollSend;
    Stream: PollRecv, PollSend;
    Pair: PollRecv, PollSend;
    Xpub: PollRecv, PollSend;
    Xsub: PollRecv, PollSend;
    Client: PollRecv, PollSend;
    Server: PollRecv, PollSend;
    Peer: PollRecv, PollSend;
    Scatter: PollSend;
    Gather: PollRecv;
    Channel: PollRecv, PollSend;
    Radio: PollSend;
    Dish: PollRecv;
}

/// What a poller watches of a handle.
pub(crate) trait AsObservable {
    fn observable(&self) -> Arc<dyn Observable>;
}

impl<S: Handle> AsObservable for S {
    fn observable(&self) -> Arc<dyn Observable> {
        Arc::clone(self.socket().core()) as _
    }
}

/// A descriptor that is readable exactly when a call on its socket would not wait, for loops that wait for many things: `poll`,
/// `epoll`, mio, tokio's `AsyncFd`, Python's `selectors`. Made by [`PollRecv::recv_fd`] and [`PollSend::send_fd`].
///
/// It is **level-triggered**: while there is a message it is readable, however often it is looked at, and once the last message
/// has been taken it is not. (libzmq's `ZMQ_FD` is edge-triggered, and readable for other reasons too.) After `shutdown` of the socket or of its
/// context it stays readable: calls fail at once. It is never to be read from or written to; a loop that registers it edge-triggered, as mio
/// and tokio do, is to call until `WouldBlock`.
///
/// What comes while no call is under way, the context's background thread takes in. Messages may be taken by several threads, so one of
/// them may come too late: use [`try_recv`](crate::Pull::try_recv).
///
/// It takes two descriptors, and makes each call on its socket do some more work, until it is dropped. Sockets that have none pay nothing. It
/// keeps nothing open: drop the socket and it stays readable. A forked child must leave an inherited one alone.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mio::unix::SourceFd;
/// use mio::{Events, Interest, Poll, Token};
/// use std::os::fd::AsRawFd;
/// use zerohop::{Context, PollRecv, Pull, Push};
///
/// # let context = Context::new();
/// let pull = Pull::new(&context)?;
/// # let push = Push::new(&context)?;
/// # push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
/// let ready = pull.recv_fd()?;
/// let mut poll = Poll::new()?;
/// poll.registry().register(&mut SourceFd(&ready.as_raw_fd()), Token(0), Interest::READABLE)?;
///
/// push.send("order 1")?;
/// let mut events = Events::with_capacity(8);
/// let mut orders = Vec::new();
/// while orders.is_empty() {
///     poll.poll(&mut events, None)?;
///     // Until there is none: mio is edge-triggered.
///     while let Ok(order) = pull.try_recv() {
///         orders.push(order);
///     }
/// }
/// assert_eq!(orders, ["order 1"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReadyFd {
    pipe: Arc<LevelPipe>,
    observed: Weak<dyn Observable>,
    id: ObserverId,
}

impl ReadyFd {
    fn new(socket: &Arc<dyn Observable>, side: Side) -> Result<ReadyFd, WatchError> {
        let pipe = Arc::new(LevelPipe::new()?);
        let id = socket.observe(side, Arc::clone(&pipe) as _)?;
        Ok(ReadyFd {
            pipe,
            observed: Arc::downgrade(socket),
            id,
        })
    }
}

impl AsFd for ReadyFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.receiver.as_fd()
    }
}

impl AsRawFd for ReadyFd {
    fn as_raw_fd(&self) -> RawFd {
        self.pipe.receiver.as_raw_fd()
    }
}

impl Drop for ReadyFd {
    fn drop(&mut self) {
        if let Some(observed) = self.observed.upgrade() {
            observed.forget(self.id);
        }
    }
}

/// A pipe that holds a byte while the level is high. It does not block, even if somebody reads from it who must not.
#[derive(Debug)]
struct LevelPipe {
    sender: pipe::Sender,
    receiver: pipe::Receiver,
}

impl LevelPipe {
    fn new() -> Result<LevelPipe, WatchError> {
        let made = pipe::new();
        let (sender, receiver) = made.map_err(|error| WatchError::Io(IoFailure::from(&error)))?;
        Ok(LevelPipe { sender, receiver })
    }
}

impl Observer for LevelPipe {
    fn set(&self, high: bool) {
        loop {
            let moved = match high {
                true => (&self.sender).write(&[1]),
                false => (&self.receiver).read(&mut [0]),
            };
            // Any other error is somebody else's doing, who reads from it or writes to it.
            match moved {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl From<Shut> for WatchError {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Socket => WatchError::Closed,
            Shut::Context => WatchError::ContextClosed,
            Shut::Forked => WatchError::Forked,
        }
    }
}
