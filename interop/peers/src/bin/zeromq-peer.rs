//! One socket of zmq.rs, the crate `zeromq`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_channel::mpsc::Receiver;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use zerohop_interop_peers::{Driven, PATIENCE, serve};
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket,
    SocketEvent, SocketRecv, SocketSend, SubSocket, XPubSocket, XSubSocket, ZmqError, ZmqMessage,
};

/// A socket of the other crate, so that our trait can be implemented for it.
struct Of<S> {
    socket: S,
    /// What happens to it, until it has its first peer.
    events: Option<Receiver<SocketEvent>>,
}

fn of<S: Socket>(mut socket: S) -> Box<Of<S>> {
    let events = Some(socket.monitor());
    Box::new(Of { socket, events })
}

/// Of one thread for all of the crate's tasks: its PUB waits for a lock, with the thread, that another of its tasks may
/// have been given but not yet run with. On several threads both can be left so, and nothing is published any more.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        builder.build().expect("a runtime")
    })
}

fn main() {
    serve(|role| {
        let _entered = runtime().enter();
        Ok(match role {
            "PUSH" => of(PushSocket::new()),
            "PULL" => of(PullSocket::new()),
            "PUB" => of(PubSocket::new()),
            "SUB" => of(SubSocket::new()),
            "REQ" => of(ReqSocket::new()),
            "REP" => of(RepSocket::new()),
            "DEALER" => of(DealerSocket::new()),
            "ROUTER" => of(RouterSocket::new()),
            "XPUB" => of(XPubSocket::new()),
            "XSUB" => of(XSubSocket::new()),
            other => return Err(format!("no type {other}")),
        })
    });
}

macro_rules! ability {
    (attach) => {
        fn bind(&mut self, endpoint: &str) -> Result<String, String> {
            let bound = runtime().block_on(self.socket.bind(&endpoint.replace(":*", ":0")));
            bound
                .map(|bound| bound.to_string())
                .map_err(|error| error.to_string())
        }

        fn connect(&mut self, endpoint: &str) -> Result<(), String> {
            let connected = runtime().block_on(self.socket.connect(endpoint));
            connected.map_err(|error| error.to_string())
        }
    };
    (send) => {
        fn send(&mut self, frames: Vec<Bytes>) -> Result<(), String> {
            runtime().block_on(send(&mut self.socket, frames))
        }
    };
    (recv) => {
        fn recv(&mut self, patience: Duration) -> Result<Option<Vec<Bytes>>, String> {
            runtime().block_on(recv(&mut self.socket, patience))
        }
    };
    (subscribe) => {
        fn subscribe(&mut self, topic: Bytes) -> Result<(), String> {
            let topic = String::from_utf8_lossy(&topic).into_owned();
            runtime().block_on(async {
                has_peer(&mut self.events).await?;
                let done = self.socket.subscribe(&topic).await;
                done.map_err(|error| error.to_string())
            })
        }

        fn unsubscribe(&mut self, topic: Bytes) -> Result<(), String> {
            let topic = String::from_utf8_lossy(&topic).into_owned();
            let done = runtime().block_on(self.socket.unsubscribe(&topic));
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

/// Waits for the first peer. The crate sends a new peer the subscriptions there are, and only then counts it as one to
/// send further ones to: one made in between would never reach it.
async fn has_peer(events: &mut Option<Receiver<SocketEvent>>) -> Result<(), String> {
    if let Some(waiting) = events {
        let joined = async {
            loop {
                match waiting.recv().await {
                    Ok(SocketEvent::Accepted(..) | SocketEvent::Connected(..)) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let joined = timeout(PATIENCE, joined).await;
        joined.map_err(|_| String::from("there is no peer to subscribe at"))??;
    }
    *events = None;
    Ok(())
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
