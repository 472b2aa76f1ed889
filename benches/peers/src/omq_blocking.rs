//! omq-tokio through its blocking API: a context with its own I/O thread. Tries before it blocks, as its own benchmark
//! peers do.

use bytes::Bytes;
use omq_tokio::blocking::Socket;
use omq_tokio::{Context, Error, Message, Options, SocketType, TrySendError};

use crate::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, Fault, TOPIC_LEN};
use crate::omq::{blocking_pub, body};

pub(crate) struct OmqBlocking {
    context: Context,
}

impl OmqBlocking {
    pub(crate) fn new() -> OmqBlocking {
        OmqBlocking {
            context: Context::new(),
        }
    }

    fn bind(&self, kind: SocketType, options: Options, endpoint: &str) -> Fallible<Blocking> {
        let socket = self.context.blocking_socket(kind, options);
        socket.bind(endpoint)?;
        Ok(Blocking(socket))
    }

    fn connect(&self, kind: SocketType, endpoint: &str) -> Fallible<Blocking> {
        let socket = self.context.blocking_socket(kind, Options::default());
        socket.connect(endpoint)?;
        Ok(Blocking(socket))
    }
}

pub(crate) struct Blocking(Socket);

impl Blocking {
    fn send_message(&self, message: Message) -> Fallible<()> {
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => Ok(self.0.send(message)?),
            Err(error) => Err(Fault::from(error.to_string())),
        }
    }
}

impl Contestant for OmqBlocking {
    type Pull = Blocking;
    type Push = Blocking;
    type Sub = Blocking;
    type Pub = Blocking;
    type Req = Blocking;
    type Rep = Blocking;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<Blocking> {
        self.bind(SocketType::Pull, Options::default(), endpoint)
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<Blocking> {
        self.connect(SocketType::Push, endpoint)
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<Blocking> {
        self.bind(SocketType::Pub, blocking_pub(), endpoint)
    }

    async fn connect_sub(&self, endpoint: &str, topics: &[[u8; TOPIC_LEN]]) -> Fallible<Blocking> {
        let socket = self.connect(SocketType::Sub, endpoint)?;
        for topic in topics {
            socket.0.subscribe(topic.to_vec())?;
        }
        Ok(socket)
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Blocking> {
        self.bind(SocketType::Rep, Options::default(), endpoint)
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Blocking> {
        self.connect(SocketType::Req, endpoint)
    }
}

impl Sender for Blocking {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.send_message(Message::from_slice(message))
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        self.send_message(Message::single(message.clone()))
    }
}

impl Receiver for Blocking {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let message = match self.0.try_recv() {
            Ok(message) => message,
            Err(Error::WouldBlock) => self.0.recv()?,
            Err(error) => return Err(error.into()),
        };
        Ok(show(body(&message)?))
    }

    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        match self.0.try_recv() {
            Ok(message) => Ok(Some(show(body(&message)?))),
            Err(Error::WouldBlock) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requester for Blocking {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.0.send(Message::from_slice(request))?;
        self.recv(show).await
    }
}

impl Replier for Blocking {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv()?;
        let shown = show(body(&request)?);
        self.0.send(request)?;
        Ok(shown)
    }
}
