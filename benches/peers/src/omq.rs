//! omq-tokio with its sockets in the caller's one-thread runtime.

use std::future::Future;

use bytes::Bytes;
use omq_tokio::{Message, Options, Socket, SocketType};
use tokio::runtime::Runtime;

use crate::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault};
use crate::runtime::wait_until;

pub(crate) struct Omq {
    runtime: Runtime,
}

impl Omq {
    pub(crate) fn new(runtime: Runtime) -> Omq {
        Omq { runtime }
    }
}

pub(crate) struct OmqSocket(Socket);

async fn bind(kind: SocketType, options: Options, endpoint: &str) -> Fallible<OmqSocket> {
    let socket = Socket::new(kind, options);
    socket.bind(endpoint).await?;
    Ok(OmqSocket(socket))
}

async fn connect(kind: SocketType, endpoint: &str) -> Fallible<OmqSocket> {
    let socket = Socket::new(kind, Options::default());
    socket.connect(endpoint).await?;
    Ok(OmqSocket(socket))
}

/// Waits for slow subscribers instead of dropping.
pub(crate) fn blocking_pub() -> Options {
    let mut options = Options::default();
    options.xpub_nodrop = true;
    options
}

pub(crate) fn body(message: &Message) -> Fallible<&[u8]> {
    let body = message.part_slice(0);
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
        self.runtime.block_on(role)
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

    async fn connect_sub(&self, endpoint: &str, topics: &[Vec<u8>]) -> Fallible<OmqSocket> {
        let socket = connect(SocketType::Sub, endpoint).await?;
        for topic in topics {
            socket.0.subscribe(topic.clone()).await?;
        }
        Ok(socket)
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<OmqSocket> {
        bind(SocketType::Rep, Options::default(), endpoint).await
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<OmqSocket> {
        connect(SocketType::Req, endpoint).await
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Sender for OmqSocket {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Ok(self.0.send(Message::from_slice(message)).await?)
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        Ok(self.0.send(Message::single(message.clone())).await?)
    }
}

impl Receiver for OmqSocket {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(body(&self.0.recv().await?)?))
    }
}

impl Requester for OmqSocket {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.0.send(Message::from_slice(request)).await?;
        self.recv(show).await
    }
}

impl Replier for OmqSocket {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv().await?;
        let shown = show(body(&request)?);
        self.0.send(request).await?;
        Ok(shown)
    }
}
