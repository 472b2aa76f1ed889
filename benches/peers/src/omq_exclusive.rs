//! omq-tokio's exclusive sockets: REQ and REP that read and write their only tcp connection themselves, for latency.

use std::future::Future;

use omq_tokio::exclusive::{Options, Socket};
use omq_tokio::{Message, SocketType};
use tokio::runtime::Runtime;

use crate::child::contestant::{Absent, Contestant, Replier, Requester};
use crate::child::{Fallible, TOPIC_LEN};
use crate::omq::body;
use crate::runtime::wait_until;

pub(crate) struct OmqExclusive {
    runtime: Runtime,
}

impl OmqExclusive {
    pub(crate) fn new(runtime: Runtime) -> OmqExclusive {
        OmqExclusive { runtime }
    }
}

pub(crate) struct Exclusive(Socket);

impl Contestant for OmqExclusive {
    type Pull = Absent;
    type Push = Absent;
    type Sub = Absent;
    type Pub = Absent;
    type Req = Exclusive;
    type Rep = Exclusive;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        self.runtime.block_on(role)
    }

    async fn bind_pull(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_push(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_pub(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_sub(&self, _: &str, _topics: &[[u8; TOPIC_LEN]]) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Exclusive> {
        let (socket, _) = Socket::bind(SocketType::Rep, endpoint, Options::default()).await?;
        Ok(Exclusive(socket))
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Exclusive> {
        let socket = Socket::connect(SocketType::Req, endpoint, Options::default()).await?;
        Ok(Exclusive(socket))
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Requester for Exclusive {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.0.send(&Message::from_slice(request)).await?;
        Ok(show(body(&self.0.recv().await?)?))
    }
}

impl Replier for Exclusive {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv().await?;
        let shown = show(body(&request)?);
        self.0.send(&request).await?;
        Ok(shown)
    }
}
