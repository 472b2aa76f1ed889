//! zmq.rs, the `zeromq` crate.

use std::future::Future;

use bytes::Bytes;
use tokio::runtime::Runtime;
use zeromq::{
    PullSocket, PushSocket, RepSocket, ReqSocket, Socket, SocketRecv, SocketSend, ZmqMessage,
};

use crate::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault, TOPIC_LEN};
use crate::runtime::wait_until;

pub(crate) struct Zeromq {
    runtime: Runtime,
}

impl Zeromq {
    pub(crate) fn new(runtime: Runtime) -> Zeromq {
        Zeromq { runtime }
    }
}

/// A socket of the other crate, so that our traits can be implemented for it.
pub(crate) struct Of<S>(S);

async fn bind<S: Socket>(endpoint: &str) -> Fallible<Of<S>> {
    let mut socket = S::new();
    socket.bind(endpoint).await?;
    Ok(Of(socket))
}

async fn connect<S: Socket>(endpoint: &str) -> Fallible<Of<S>> {
    let mut socket = S::new();
    socket.connect(endpoint).await?;
    Ok(Of(socket))
}

fn body(message: &ZmqMessage) -> Fallible<&[u8]> {
    let body = message.get(0).map(|body| &body[..]);
    body.ok_or_else(|| Fault::from("a message without a body"))
}

impl Contestant for Zeromq {
    type Pull = Of<PullSocket>;
    type Push = Of<PushSocket>;
    type Sub = Absent;
    type Pub = Absent;
    type Req = Of<ReqSocket>;
    type Rep = Of<RepSocket>;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        self.runtime.block_on(role)
    }

    async fn bind_pull(&self, endpoint: &str) -> Fallible<Of<PullSocket>> {
        bind(endpoint).await
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<Of<PushSocket>> {
        connect(endpoint).await
    }

    /// Its PUB drops; there is no option to wait.
    async fn bind_pub(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_sub(&self, _endpoint: &str, _topics: &[[u8; TOPIC_LEN]]) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Of<RepSocket>> {
        bind(endpoint).await
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Of<ReqSocket>> {
        connect(endpoint).await
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Sender for Of<PushSocket> {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.send_shared(&Bytes::copy_from_slice(message)).await
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        Ok(self.0.send(ZmqMessage::from(message.clone())).await?)
    }
}

impl Receiver for Of<PullSocket> {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(body(&self.0.recv().await?)?))
    }
}

impl Requester for Of<ReqSocket> {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = ZmqMessage::from(Bytes::copy_from_slice(request));
        self.0.send(request).await?;
        Ok(show(body(&self.0.recv().await?)?))
    }
}

impl Replier for Of<RepSocket> {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv().await?;
        let shown = show(body(&request)?);
        self.0.send(request).await?;
        Ok(shown)
    }
}
