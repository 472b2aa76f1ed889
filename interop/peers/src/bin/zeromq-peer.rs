//! One socket of zmq.rs, the crate `zeromq`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use zerohop_interop_peers::{Driven, PATIENCE, serve};
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket,
    SocketRecv, SocketSend, SubSocket, XPubSocket, XSubSocket, ZmqError, ZmqMessage,
};

/// A socket of the other crate, so that our trait can be implemented for it.
struct Of<S>(S);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

fn main() {
    serve(|role| {
        let _entered = runtime().enter();
        Ok(match role {
            "PUSH" => Box::new(Of(PushSocket::new())),
            "PULL" => Box::new(Of(PullSocket::new())),
            "PUB" => Box::new(Of(PubSocket::new())),
            "SUB" => Box::new(Of(SubSocket::new())),
            "REQ" => Box::new(Of(ReqSocket::new())),
            "REP" => Box::new(Of(RepSocket::new())),
            "DEALER" => Box::new(Of(DealerSocket::new())),
            "ROUTER" => Box::new(Of(RouterSocket::new())),
            "XPUB" => Box::new(Of(XPubSocket::new())),
            "XSUB" => Box::new(Of(XSubSocket::new())),
            other => return Err(format!("no type {other}")),
        })
    });
}

macro_rules! ability {
    (attach) => {
        fn bind(&mut self, endpoint: &str) -> Result<String, String> {
            let bound = runtime().block_on(self.0.bind(&endpoint.replace(":*", ":0")));
            bound
                .map(|bound| bound.to_string())
                .map_err(|error| error.to_string())
        }

        fn connect(&mut self, endpoint: &str) -> Result<(), String> {
            let connected = runtime().block_on(self.0.connect(endpoint));
            connected.map_err(|error| error.to_string())
        }
    };
    (send) => {
        fn send(&mut self, frames: Vec<Bytes>) -> Result<(), String> {
            runtime().block_on(send(&mut self.0, frames))
        }
    };
    (recv) => {
        fn recv(&mut self, patience: Duration) -> Result<Option<Vec<Bytes>>, String> {
            runtime().block_on(recv(&mut self.0, patience))
        }
    };
    (subscribe) => {
        fn subscribe(&mut self, topic: Bytes) -> Result<(), String> {
            let topic = String::from_utf8_lossy(&topic).into_owned();
            let done = runtime().block_on(self.0.subscribe(&topic));
            done.map_err(|error| error.to_string())
        }

        fn unsubscribe(&mut self, topic: Bytes) -> Result<(), String> {
            let topic = String::from_utf8_lossy(&topic).into_owned();
            let done = runtime().block_on(self.0.unsubscribe(&topic));
            done.map_err(|error| error.to_string())
        }
    };
}

macro_rules! driven {
    ($($socket:ty: $($ability:ident)*;)*) => {
        $(impl Driven for Of<$socket> {
            $(ability!($ability);)*
        })*
    };
}

driven! {
    PushSocket: attach send;
    PullSocket: attach recv;
    PubSocket: attach send;
    SubSocket: attach recv subscribe;
    ReqSocket: attach send recv;
    RepSocket: attach send recv;
    DealerSocket: attach send recv;
    RouterSocket: attach send recv;
    XPubSocket: attach send recv;
    XSubSocket: attach send recv subscribe;
}

/// Waits for a peer, which the crate does not.
async fn send(socket: &mut impl SocketSend, frames: Vec<Bytes>) -> Result<(), String> {
    let mut message = ZmqMessage::try_from(frames).map_err(|error| error.to_string())?;
    let end = Instant::now() + PATIENCE;
    loop {
        match socket.send(message).await {
            Ok(()) => return Ok(()),
            Err(ZmqError::ReturnToSender { message: back, .. }) if Instant::now() < end => {
                message = back;
                sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn recv(
    socket: &mut impl SocketRecv,
    patience: Duration,
) -> Result<Option<Vec<Bytes>>, String> {
    match timeout(patience, socket.recv()).await {
        Err(_) => Ok(None),
        Ok(Ok(message)) => Ok(Some(message.into_vec())),
        Ok(Err(error)) => Err(error.to_string()),
    }
}
