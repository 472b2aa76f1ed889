//! One socket of omq-tokio.

use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{
    CurveKeypair, CurvePublicKey, CurveSecretKey, Message, Options, Socket, SocketType,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zerohop_interop_peers::{Driven, PATIENCE, decode, serve};

struct Omq {
    runtime: Runtime,
    socket: Socket,
    kind: SocketType,
    keys: Keys,
    /// Who has sent a SERVER the last message.
    asker: u32,
    /// Who has sent a PEER the last message: the frame that it shows in front.
    other: Bytes,
}

/// What has been set so far of what CURVE goes by.
#[derive(Default)]
struct Keys {
    secret: Option<CurveSecretKey>,
    server: Option<CurvePublicKey>,
    is_server: bool,
}

impl Keys {
    /// What is set by then: options are given with the socket.
    fn options(&self) -> Options {
        let Some(secret) = &self.secret else {
            return Options::default();
        };
        let keys = || CurveKeypair {
            public: secret.derive_public(),
            secret: CurveSecretKey::from_bytes(*secret.as_bytes()),
        };
        match &self.server {
            _ if self.is_server => Options::default().curve_server(keys()),
            Some(server) => {
                let server = CurvePublicKey::from_bytes(*server.as_bytes());
                Options::default().curve_client(keys(), server)
            }
            None => Options::default(),
        }
    }
}

fn open(runtime: &Runtime, kind: SocketType, options: Options) -> Socket {
    let _entered = runtime.enter();
    Socket::new(kind, options)
}

fn main() {
    serve(|role| {
        let kind = socket_type(role)?;
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let socket = open(&runtime, kind, Options::default());
        Ok(Box::new(Omq {
            runtime,
            socket,
            kind,
            keys: Keys::default(),
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
    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let text = || String::from_utf8_lossy(&decode(value)).into_owned();
        match option {
            "CURVE_SERVER" => self.keys.is_server = value == "1",
            // It follows from the secret one.
            "CURVE_PUBLICKEY" => {}
            "CURVE_SECRETKEY" => {
                let key = CurveSecretKey::from_z85(&text());
                self.keys.secret = Some(key.map_err(|error| error.to_string())?);
            }
            "CURVE_SERVERKEY" => {
                let key = CurvePublicKey::from_z85(&text());
                self.keys.server = Some(key.map_err(|error| error.to_string())?);
            }
            other => return Err(format!("no option {other}")),
        }
        self.socket = open(&self.runtime, self.kind, self.keys.options());
        Ok(())
    }

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
