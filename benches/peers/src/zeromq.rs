//! zmq.rs, the `zeromq` crate.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use zeromq::{
    DealerRecvHalf, DealerSendHalf, DealerSocket, PullSocket, PushSocket, RepSocket, ReqSocket,
    RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage,
};

use crate::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault, Report, TOPIC_LEN, Task, Types};
use crate::runtime::wait_until;
use crate::shared::{Shared, share};

pub(crate) struct Zeromq {
    runtime: Runtime,
    types: Types,
}

impl Zeromq {
    pub(crate) fn new(runtime: Runtime, types: Types) -> Zeromq {
        Zeromq { runtime, types }
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
    // Behind the name of its peer, in what a ROUTER receives.
    let body = message.get(message.len() - 1).map(|body| &body[..]);
    body.ok_or_else(|| Fault::from("a message without a body"))
}

impl Contestant for Zeromq {
    type Pull = Of<PullSocket>;
    type Push = Of<PushSocket>;
    type Sub = Absent;
    type Pub = Absent;
    type Req = Of<ReqSocket>;
    type Rep = Replying;

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

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Replying> {
        Ok(match self.types {
            Types::DealerRouter => Replying::Router(bind(endpoint).await?),
            _ => Replying::Rep(bind(endpoint).await?),
        })
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Of<ReqSocket>> {
        connect(endpoint).await
    }

    async fn share(&self, task: &Task) -> Fallible<Report> {
        let Of(dealer) = connect::<DealerSocket>(&task.endpoint).await?;
        let (sender, receiver) = dealer.split();
        share(task, Halves(Arc::new((sender.into(), receiver.into())))).await
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

pub(crate) enum Replying {
    Rep(Of<RepSocket>),
    Router(Of<RouterSocket>),
}

impl Replier for Replying {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = match self {
            Replying::Rep(rep) => rep.0.recv().await?,
            Replying::Router(router) => router.0.recv().await?,
        };
        let shown = show(body(&request)?);
        match self {
            Replying::Rep(rep) => rep.0.send(request).await?,
            Replying::Router(router) => router.0.send(request).await?,
        }
        Ok(shown)
    }
}

/// Its sockets are not shared as they are; the halves of one are, each behind a lock.
#[derive(Clone)]
struct Halves(Arc<(Mutex<DealerSendHalf>, Mutex<DealerRecvHalf>)>);

impl Shared for Halves {
    async fn send(&self, message: &[u8]) -> Fallible<()> {
        let message = ZmqMessage::from(Bytes::copy_from_slice(message));
        Ok(self.0.0.lock().await.send(message).await?)
    }

    async fn recv<T: Send>(&self, show: impl FnOnce(&[u8]) -> T + Send) -> Fallible<T> {
        let message = self.0.1.lock().await.recv().await?;
        Ok(show(body(&message)?))
    }
}
