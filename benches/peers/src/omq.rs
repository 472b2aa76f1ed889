//! omq-tokio with its sockets in the caller's one-thread runtime.
//!
//! Used as its own benchmark peers use it: `try_send` and `try_recv` as long as they succeed, and the async calls only
//! to wait. An async call for every message hands the thread to the connection's task each time, and moves a fifth of that.

use std::future::Future;

use bytes::Bytes;
use omq_tokio::{Error, Message, Options, Socket, SocketType, TrySendError};
use tokio::task::coop::consume_budget;

use crate::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault, Report, TOPIC_LEN, Task, Types};
use crate::runtime::{one_thread, wait_until};
use crate::shared::{Shared, share};

/// So many messages are taken before the runtime has its turn, and so many bytes.
const TURN: usize = 128;
const TURN_BYTES: usize = 64 * 1024;

pub(crate) struct Omq(pub(crate) Types);

pub(crate) struct OmqSocket {
    socket: Socket,
    /// What may still be taken in this turn.
    left: usize,
}

impl OmqSocket {
    fn new(socket: Socket) -> OmqSocket {
        OmqSocket { socket, left: TURN }
    }

    async fn send_message(&self, message: Message) -> Fallible<()> {
        match self.socket.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => Ok(self.socket.send(message).await?),
            Err(error) => Err(Fault::from(error.to_string())),
        }
    }
}

async fn bind(kind: SocketType, options: Options, endpoint: &str) -> Fallible<OmqSocket> {
    let socket = Socket::new(kind, options);
    socket.bind(endpoint).await?;
    Ok(OmqSocket::new(socket))
}

async fn connect(kind: SocketType, endpoint: &str) -> Fallible<OmqSocket> {
    let socket = Socket::new(kind, Options::default());
    socket.connect(endpoint).await?;
    Ok(OmqSocket::new(socket))
}

/// Waits for slow subscribers instead of dropping.
pub(crate) fn blocking_pub() -> Options {
    Options {
        xpub_nodrop: true,
        ..Options::default()
    }
}

pub(crate) fn body(message: &Message) -> Fallible<&[u8]> {
    // Behind the name of its peer, in what a ROUTER receives.
    let body = message.part_slice(message.len() - 1);
    body.ok_or_else(|| Fault::from("a message without a body"))
}

impl Contestant for Omq {
    type Pull = OmqSocket;
    type Push = OmqSocket;
    type Sub = OmqSocket;
    type Pub = OmqSocket;
    type Req = OmqSocket;
    type Rep = OmqSocket;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        // One for each thread that asks: two threads that meet through inproc do not share one.
        let runtime = one_thread();
        match runtime {
            Ok(runtime) => runtime.block_on(role),
            Err(fault) => panic!("{fault}"),
        }
    }

    async fn bind_pull(&self, endpoint: &str) -> Fallible<OmqSocket> {
        bind(SocketType::Pull, Options::default(), endpoint).await
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<OmqSocket> {
        connect(SocketType::Push, endpoint).await
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<OmqSocket> {
        bind(SocketType::Pub, blocking_pub(), endpoint).await
    }

    async fn connect_sub(&self, endpoint: &str, topics: &[[u8; TOPIC_LEN]]) -> Fallible<OmqSocket> {
        let socket = connect(SocketType::Sub, endpoint).await?;
        for topic in topics {
            socket.socket.subscribe(topic.to_vec()).await?;
        }
        Ok(socket)
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<OmqSocket> {
        let kind = match self.0 {
            Types::DealerRouter => SocketType::Router,
            _ => SocketType::Rep,
        };
        bind(kind, Options::default(), endpoint).await
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<OmqSocket> {
        connect(SocketType::Req, endpoint).await
    }

    async fn share(&self, task: &Task) -> Fallible<Report> {
        let dealer = connect(SocketType::Dealer, &task.endpoint).await?;
        share(task, dealer.socket).await
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Sender for OmqSocket {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.send_message(Message::from_slice(message)).await
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        self.send_message(Message::single(message.clone())).await
    }
}

impl Receiver for OmqSocket {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        if self.left == 0 {
            self.left = TURN;
            consume_budget().await;
        }
        let message = match self.socket.try_recv() {
            Ok(message) => message,
            Err(Error::WouldBlock) => {
                self.left = TURN;
                self.socket.recv().await?
            }
            Err(error) => return Err(error.into()),
        };
        let body = body(&message)?;
        let share = (body.len() * TURN / TURN_BYTES).max(1);
        self.left = self.left.saturating_sub(share);
        Ok(show(body))
    }

    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        match self.socket.try_recv() {
            Ok(message) => Ok(Some(show(body(&message)?))),
            Err(Error::WouldBlock) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requester for OmqSocket {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.send(Message::from_slice(request)).await?;
        Ok(show(body(&self.socket.recv().await?)?))
    }
}

impl Replier for OmqSocket {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.socket.recv().await?;
        let shown = show(body(&request)?);
        self.socket.send(request).await?;
        Ok(shown)
    }
}

impl Shared for Socket {
    async fn send(&self, message: &[u8]) -> Fallible<()> {
        Ok(Socket::send(self, Message::from_slice(message)).await?)
    }

    async fn recv<T: Send>(&self, show: impl FnOnce(&[u8]) -> T + Send) -> Fallible<T> {
        Ok(show(body(&Socket::recv(self).await?)?))
    }
}
