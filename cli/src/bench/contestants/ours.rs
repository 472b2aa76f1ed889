//! zerohop.

use bytes::Bytes;
use zerohop::{
    Context, KeyPair, Message, Options, Proxy, Pub, Pull, Push, RecvError, Rep, Req, SecretKey, Sub,
};

use super::super::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use super::super::child::{Fallible, TOPIC_LEN};

pub(crate) struct Ours {
    context: Context,
    /// The keys of whoever binds, and of whoever connects, with CURVE.
    keys: Option<(KeyPair, KeyPair)>,
}

/// The keys of whoever binds, and of whoever connects: the same in all processes, and known to everybody.
pub(crate) fn well_known_keys() -> (KeyPair, KeyPair) {
    let keys = |seed| KeyPair::from(SecretKey::from_bytes([seed; 32]));
    (keys(1), keys(2))
}

impl Ours {
    pub(crate) fn open() -> Fallible<Ours> {
        Ok(Ours {
            context: Context::new(),
            keys: None,
        })
    }

    /// With CURVE.
    pub(crate) fn open_sealed() -> Fallible<Ours> {
        Ok(Ours {
            keys: Some(well_known_keys()),
            ..Ours::open()?
        })
    }

    fn binding(&self) -> Options {
        match &self.keys {
            Some((server, client)) => Options::new().curve_server(server).allow([client.public()]),
            None => Options::new(),
        }
    }

    fn connecting(&self) -> Options {
        match &self.keys {
            Some((server, client)) => Options::new().curve_client(client, server.public()),
            None => Options::new(),
        }
    }
}

impl Contestant for Ours {
    type Pull = Receiving<Pull>;
    type Push = Push;
    type Sub = Receiving<Sub>;
    type Pub = Pub;
    type Req = Req;
    type Rep = Rep;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<Receiving<Pull>> {
        let socket = Pull::with_options(&self.context, self.binding())?;
        socket.bind(endpoint)?;
        Ok(Receiving::new(socket))
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<Push> {
        let socket = Push::with_options(&self.context, self.connecting())?;
        socket.connect(endpoint)?;
        Ok(socket)
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<Pub> {
        let socket = Pub::with_options(&self.context, self.binding().pub_block(true))?;
        socket.bind(endpoint)?;
        Ok(socket)
    }

    async fn connect_sub(
        &self,
        endpoint: &str,
        topics: &[[u8; TOPIC_LEN]],
    ) -> Fallible<Receiving<Sub>> {
        let socket = Sub::with_options(&self.context, self.connecting())?;
        for topic in topics {
            socket.subscribe(topic)?;
        }
        socket.connect(endpoint)?;
        Ok(Receiving::new(socket))
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Rep> {
        let socket = Rep::with_options(&self.context, self.binding())?;
        socket.bind(endpoint)?;
        Ok(socket)
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Req> {
        let socket = Req::with_options(&self.context, self.connecting())?;
        socket.connect(endpoint)?;
        Ok(socket)
    }

    async fn proxy(
        &self,
        frontend: &str,
        backend: &str,
        bound: impl FnOnce() -> Fallible<()>,
    ) -> Fallible<()> {
        let (pull, push) = (Pull::new(&self.context)?, Push::new(&self.context)?);
        pull.bind(frontend)?;
        push.connect(backend)?;
        bound()?;
        Proxy::one_way(&pull, &push).run();
        Ok(())
    }
}

impl Sender for Push {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Ok(Push::send(self, message)?)
    }

    #[inline]
    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        Ok(Push::send(self, message)?)
    }
}

impl Sender for Pub {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Pub::send(self, message)?;
        Ok(())
    }
}

/// A socket, and the message that it receives into.
pub(crate) struct Receiving<S> {
    socket: S,
    message: Message,
}

impl<S> Receiving<S> {
    pub(super) fn new(socket: S) -> Receiving<S> {
        Receiving {
            socket,
            message: Message::new(),
        }
    }
}

impl Receiver for Receiving<Pull> {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.recv_into(&mut self.message)?;
        Ok(show(self.message.first()))
    }
}

impl Receiver for Receiving<Sub> {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.recv_into(&mut self.message)?;
        Ok(show(self.message.first()))
    }

    #[inline]
    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        match self.socket.try_recv_into(&mut self.message) {
            Ok(()) => Ok(Some(show(self.message.first()))),
            Err(RecvError::WouldBlock) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requester for Req {
    #[inline]
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(Req::request(self, request)?.first()))
    }
}

impl Replier for Rep {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let mut request = Rep::recv(self)?;
        let message = request.take_message();
        let shown = show(message.first());
        request.reply(message)?;
        Ok(shown)
    }
}
