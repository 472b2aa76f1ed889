//! One socket of omq-tokio.

use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{Message, Options, Socket, SocketType};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zerohop_interop_peers::{Driven, PATIENCE, serve};

struct Omq {
    runtime: Runtime,
    socket: Socket,
    kind: SocketType,
    /// Who has sent a SERVER the last message.
    asker: u32,
    /// Who has sent a PEER the last message: the frame that it shows in front.
    other: Bytes,
}

fn main() {
    serve(|role| {
        let kind = socket_type(role)?;
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let entered = runtime.enter();
        let socket = Socket::new(kind, Options::default());
        drop(entered);
        Ok(Box::new(Omq {
            runtime,
            socket,
            kind,
            asker: 0,
            other: Bytes::new(),
        }))
    });
}

fn socket_type(role: &str) -> Result<SocketType, String> {
    Ok(match role {
        "PUSH" => SocketType::Push,
        "PULL" => SocketType::Pull,
        "PUB" => SocketType::Pub,
        "SUB" => SocketType::Sub,
        "REQ" => SocketType::Req,
        "REP" => SocketType::Rep,
        "DEALER" => SocketType::Dealer,
        "ROUTER" => SocketType::Router,
        "PAIR" => SocketType::Pair,
        "XPUB" => SocketType::XPub,
        "XSUB" => SocketType::XSub,
        "CLIENT" => SocketType::Client,
        "SERVER" => SocketType::Server,
        "RADIO" => SocketType::Radio,
        "DISH" => SocketType::Dish,
        "SCATTER" => SocketType::Scatter,
        "GATHER" => SocketType::Gather,
        "CHANNEL" => SocketType::Channel,
        "PEER" => SocketType::Peer,
        other => return Err(format!("no type {other}")),
    })
}

impl Driven for Omq {
    fn bind(&mut self, endpoint: &str) -> Result<String, String> {
        let endpoint = endpoint.replace(":*", ":0");
        let bound = self.runtime.block_on(self.socket.bind(endpoint.as_str()));
        bound
            .map(|bound| bound.to_string())
            .map_err(|error| error.to_string())
    }

    fn connect(&mut self, endpoint: &str) -> Result<(), String> {
        let connected = self.runtime.block_on(self.socket.connect(endpoint));
        connected.map(drop).map_err(|error| error.to_string())
    }

    fn subscribe(&mut self, topic: Bytes) -> Result<(), String> {
        let done = match self.kind {
            SocketType::Dish => self.runtime.block_on(self.socket.join(topic)),
            _ => self.runtime.block_on(self.socket.subscribe(topic)),
        };
        done.map_err(|error| error.to_string())
    }

    fn unsubscribe(&mut self, topic: Bytes) -> Result<(), String> {
        let done = match self.kind {
            SocketType::Dish => self.runtime.block_on(self.socket.leave(topic)),
            _ => self.runtime.block_on(self.socket.unsubscribe(topic)),
        };
        done.map_err(|error| error.to_string())
    }

    fn send(&mut self, frames: Vec<Bytes>) -> Result<(), String> {
        let message = match (self.kind, frames.as_slice()) {
            (SocketType::Radio, [group, body]) => Message::with_group(group.clone(), body.clone()),
            (SocketType::Peer, [body]) => Message::multipart([self.other.clone(), body.clone()]),
            (SocketType::Server, [body]) => {
                Message::single(body.clone()).with_routing_id(self.asker)
            }
            _ => Message::multipart(frames),
        };
        let sent = self
            .runtime
            .block_on(async { timeout(PATIENCE, self.socket.send(message)).await });
        let sent = sent.map_err(|_| String::from("not sent in time"))?;
        sent.map_err(|error| error.to_string())
    }

    fn recv(&mut self, patience: Duration) -> Result<Option<Vec<Bytes>>, String> {
        let received = self
            .runtime
            .block_on(async { timeout(patience, self.socket.recv()).await });
        let Ok(received) = received else {
            return Ok(None);
        };
        let message = received.map_err(|error| error.to_string())?;
        if let Some(asker) = message.routing_id() {
            self.asker = asker;
        }
        let mut frames: Vec<Bytes> = message.iter().collect();
        if self.kind == SocketType::Peer && frames.len() > 1 {
            self.other = frames.remove(0);
        }
        Ok(Some(frames))
    }
}
