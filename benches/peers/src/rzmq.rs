//! rzmq, in each of the ways that its own figures are from.

use std::future::Future;

use bytes::Bytes;
use rzmq::socket::options::{SUBSCRIBE, TCP_CORK, XPUB_NODROP};
use rzmq::uring::{UringConfig, initialize_uring_backend};
use rzmq::{Context, Msg, Socket, SocketType};
use tokio::runtime::Runtime;

use crate::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault, TOPIC_LEN};
use crate::runtime::wait_until;

pub(crate) struct Rzmq {
    runtime: Runtime,
    context: Context,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Standard,
    /// `TCP_CORK` where messages flow one way. It holds small ones back, so it is for streams only.
    Corked,
    Uring,
}

impl Rzmq {
    pub(crate) fn new(runtime: Runtime, way: Way) -> Fallible<Rzmq> {
        let context = runtime.block_on(async {
            if way == Way::Uring {
                initialize_uring_backend(UringConfig::default())?;
            }
            Ok::<_, Fault>(Context::new()?.with_io_uring_sessions(way == Way::Uring))
        })?;
        Ok(Rzmq {
            runtime,
            context,
            way,
        })
    }

    async fn socket(&self, kind: SocketType) -> Fallible<Socket> {
        let socket = self.context.socket(kind)?;
        if self.way == Way::Corked {
            socket.set_option(TCP_CORK, true).await?;
        }
        Ok(socket)
    }

    async fn bind(&self, kind: SocketType, endpoint: &str) -> Fallible<RzmqSocket> {
        let socket = self.socket(kind).await?;
        socket.bind(endpoint).await?;
        Ok(RzmqSocket(socket))
    }

    async fn connect(&self, kind: SocketType, endpoint: &str) -> Fallible<RzmqSocket> {
        let socket = self.socket(kind).await?;
        socket.connect(endpoint).await?;
        Ok(RzmqSocket(socket))
    }
}

pub(crate) struct RzmqSocket(Socket);

fn body(message: &Msg) -> Fallible<&[u8]> {
    message
        .data()
        .ok_or_else(|| Fault::from("a message without a body"))
}

impl Contestant for Rzmq {
    type Pull = RzmqSocket;
    type Push = RzmqSocket;
    type Sub = RzmqSocket;
    type Pub = RzmqSocket;
    type Req = RzmqSocket;
    type Rep = RzmqSocket;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        self.runtime.block_on(role)
    }

    async fn bind_pull(&self, endpoint: &str) -> Fallible<RzmqSocket> {
        self.bind(SocketType::Pull, endpoint).await
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<RzmqSocket> {
        self.connect(SocketType::Push, endpoint).await
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<RzmqSocket> {
        let socket = self.socket(SocketType::Pub).await?;
        socket.set_option(XPUB_NODROP, true).await?;
        socket.bind(endpoint).await?;
        Ok(RzmqSocket(socket))
    }

    async fn connect_sub(
        &self,
        endpoint: &str,
        topics: &[[u8; TOPIC_LEN]],
    ) -> Fallible<RzmqSocket> {
        let socket = self.connect(SocketType::Sub, endpoint).await?;
        for topic in topics {
            socket.0.set_option_raw(SUBSCRIBE, topic).await?;
        }
        Ok(socket)
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<RzmqSocket> {
        self.bind(SocketType::Rep, endpoint).await
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<RzmqSocket> {
        self.connect(SocketType::Req, endpoint).await
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Sender for RzmqSocket {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Ok(self.0.send(Msg::from_vec(message.to_vec())).await?)
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        Ok(self.0.send(Msg::from_bytes(message.clone())).await?)
    }
}

impl Receiver for RzmqSocket {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(body(&self.0.recv().await?)?))
    }
}

impl Requester for RzmqSocket {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.0.send(Msg::from_vec(request.to_vec())).await?;
        self.recv(show).await
    }
}

impl Replier for RzmqSocket {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv().await?;
        let shown = show(body(&request)?);
        let reply = Msg::from_bytes(request.data_bytes().unwrap_or_default());
        self.0.send(reply).await?;
        Ok(shown)
    }
}
