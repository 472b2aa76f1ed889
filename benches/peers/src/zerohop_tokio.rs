//! zerohop on tokio: by the calls for tasks, its sockets driven by the runtime's reactor.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;
use zerohop::{
    Context, Dealer, Incoming, Options, Pub, Pull, Push, Reactor, RecvError, Rep, Req, Router, Sub,
};

use crate::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Report, TOPIC_LEN, Task, Types};
use crate::runtime::wait_until;
use crate::shared::{Shared, share};

pub(crate) struct ZerohopTokio {
    context: Context,
    runtime: Runtime,
    types: Types,
}

impl ZerohopTokio {
    pub(crate) fn new(runtime: Runtime, types: Types) -> Fallible<ZerohopTokio> {
        let entered = runtime.enter();
        let context = Context::with_reactor(Reactor::tokio()?);
        drop(entered);
        Ok(ZerohopTokio {
            context,
            runtime,
            types,
        })
    }
}

/// A socket of the library, so that our traits can be implemented for it.
pub(crate) struct Of<S>(S);

impl Contestant for ZerohopTokio {
    type Pull = Of<Pull>;
    type Push = Of<Push>;
    type Sub = Of<Sub>;
    type Pub = Of<Pub>;
    type Req = Of<Req>;
    type Rep = Replying;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        self.runtime.block_on(role)
    }

    async fn bind_pull(&self, endpoint: &str) -> Fallible<Of<Pull>> {
        let socket = Pull::new(&self.context)?;
        socket.bind(endpoint)?;
        Ok(Of(socket))
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<Of<Push>> {
        let socket = Push::new(&self.context)?;
        socket.connect(endpoint)?;
        Ok(Of(socket))
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<Of<Pub>> {
        let options = Options::new().pub_block(true);
        let socket = Pub::with_options(&self.context, options)?;
        socket.bind(endpoint)?;
        Ok(Of(socket))
    }

    async fn connect_sub(&self, endpoint: &str, topics: &[[u8; TOPIC_LEN]]) -> Fallible<Of<Sub>> {
        let socket = Sub::new(&self.context)?;
        for topic in topics {
            socket.subscribe(topic)?;
        }
        socket.connect(endpoint)?;
        Ok(Of(socket))
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Replying> {
        if self.types == Types::DealerRouter {
            let router = Router::new(&self.context)?;
            router.bind(endpoint)?;
            return Ok(Replying::Router(router));
        }
        let rep = Rep::new(&self.context)?;
        rep.bind(endpoint)?;
        Ok(Replying::Rep(rep))
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Of<Req>> {
        let socket = Req::new(&self.context)?;
        socket.connect(endpoint)?;
        Ok(Of(socket))
    }

    async fn share(&self, task: &Task) -> Fallible<Report> {
        let dealer = Dealer::new(&self.context)?;
        dealer.connect(&task.endpoint)?;
        share(task, Arc::new(dealer)).await
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

impl Sender for Of<Push> {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Ok(self.0.send_async(message).await?)
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        Ok(self.0.send_async(message).await?)
    }
}

impl Sender for Of<Pub> {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.0.send_async(message).await?;
        Ok(())
    }
}

impl Receiver for Of<Pull> {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(self.0.recv_async().await?.first()))
    }
}

impl Receiver for Of<Sub> {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(self.0.recv_async().await?.first()))
    }

    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        match self.0.try_recv() {
            Ok(message) => Ok(Some(show(message.first()))),
            Err(RecvError::WouldBlock) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requester for Of<Req> {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(self.0.request_async(request).await?.first()))
    }
}

impl Shared for Arc<Dealer> {
    async fn send(&self, message: &[u8]) -> Fallible<()> {
        Ok(self.send_async(message).await?)
    }

    async fn recv<T>(&self, show: impl FnOnce(&[u8]) -> T + Send) -> Fallible<T> {
        Ok(show(self.recv_async().await?.first()))
    }
}

pub(crate) enum Replying {
    Rep(Rep),
    Router(Router),
}

impl Replier for Replying {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        match self {
            Replying::Rep(rep) => {
                let mut request = rep.recv_async().await?;
                let message = request.take_message();
                let shown = show(message.first());
                request.reply(message)?;
                Ok(shown)
            }
            Replying::Router(router) => {
                let Incoming { peer, message } = router.recv_async().await?;
                let shown = show(message.first());
                router.send_to_async(&peer, message).await?;
                Ok(shown)
            }
        }
    }
}
