//! libzmq, through the `zmq` crate.

use std::ffi::c_int;

use zmq::{Context, Message, Socket, SocketType};

use crate::bench::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::bench::child::{Fallible, TOPIC_LEN, Types};
use crate::bench::well_known_keys;

/// The mark that every socket has unless told otherwise.
const DEFAULT_HWM: usize = 1000;

pub(crate) struct Libzmq {
    context: Context,
    curve: bool,
    types: Types,
}

impl Libzmq {
    pub(crate) fn open() -> Fallible<Libzmq> {
        Ok(Libzmq {
            context: Context::new(),
            curve: false,
            types: Types::Usual,
        })
    }

    /// With other types of sockets in the places of the usual ones.
    pub(crate) fn open_as(types: Types) -> Fallible<Libzmq> {
        Ok(Libzmq {
            types,
            ..Libzmq::open()?
        })
    }

    /// What is in the place of a socket that binds.
    fn binds_as(&self, usual: SocketType) -> SocketType {
        match self.types {
            Types::Usual => usual,
            Types::DealerRouter => zmq::ROUTER,
            Types::DealerDealer => zmq::DEALER,
            Types::PairPair => zmq::PAIR,
            Types::XpubSub => zmq::XPUB,
        }
    }

    /// And of one that connects.
    fn connects_as(&self, usual: SocketType) -> SocketType {
        match self.types {
            Types::Usual | Types::XpubSub => usual,
            Types::DealerRouter | Types::DealerDealer => zmq::DEALER,
            Types::PairPair => zmq::PAIR,
        }
    }

    /// With CURVE.
    pub(crate) fn open_sealed() -> Fallible<Libzmq> {
        Ok(Libzmq {
            curve: true,
            ..Libzmq::open()?
        })
    }

    fn binding(&self, kind: SocketType) -> Fallible<Socket> {
        let socket = self.context.socket(self.binds_as(kind))?;
        if self.curve {
            let (server, _) = well_known_keys();
            socket.set_curve_server(true)?;
            socket.set_curve_secretkey(server.secret().as_bytes())?;
        }
        Ok(socket)
    }

    fn connecting(&self, kind: SocketType) -> Fallible<Socket> {
        let socket = self.context.socket(self.connects_as(kind))?;
        if self.curve {
            let (server, client) = well_known_keys();
            socket.set_curve_serverkey(server.public().as_bytes())?;
            socket.set_curve_publickey(client.public().as_bytes())?;
            socket.set_curve_secretkey(client.secret().as_bytes())?;
        }
        Ok(socket)
    }

    fn bind(&self, kind: SocketType, endpoint: &str) -> Fallible<LibzmqSocket> {
        let socket = self.binding(kind)?;
        socket.bind(endpoint)?;
        let routes = self.types == Types::DealerRouter;
        Ok(LibzmqSocket {
            peer: routes.then(Message::new),
            ..LibzmqSocket::new(socket)
        })
    }

    fn connect(&self, kind: SocketType, endpoint: &str) -> Fallible<LibzmqSocket> {
        let socket = self.connecting(kind)?;
        socket.connect(endpoint)?;
        Ok(LibzmqSocket::new(socket))
    }
}

impl Contestant for Libzmq {
    type Pull = LibzmqSocket;
    type Push = LibzmqSocket;
    type Sub = LibzmqSocket;
    type Pub = LibzmqSocket;
    type Req = LibzmqSocket;
    type Rep = LibzmqSocket;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<LibzmqSocket> {
        self.bind(zmq::PULL, endpoint)
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<LibzmqSocket> {
        self.connect(zmq::PUSH, endpoint)
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<LibzmqSocket> {
        let mut socket = self.binding(zmq::PUB)?;
        wait_instead_of_dropping(&mut socket)?;
        socket.bind(endpoint)?;
        Ok(LibzmqSocket::new(socket))
    }

    async fn connect_sub(
        &self,
        endpoint: &str,
        topics: &[[u8; TOPIC_LEN]],
    ) -> Fallible<LibzmqSocket> {
        let socket = self.connecting(zmq::SUB)?;
        if topics.len() > DEFAULT_HWM {
            // At its high-water mark libzmq drops subscriptions, silently; the workload could not run.
            socket.set_sndhwm(0)?;
        }
        for topic in topics {
            socket.set_subscribe(topic)?;
        }
        socket.connect(endpoint)?;
        Ok(LibzmqSocket::new(socket))
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<LibzmqSocket> {
        self.bind(zmq::REP, endpoint)
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<LibzmqSocket> {
        self.connect(zmq::REQ, endpoint)
    }

    async fn proxy(
        &self,
        frontend: &str,
        backend: &str,
        bound: impl FnOnce() -> Fallible<()>,
    ) -> Fallible<()> {
        let pull = self.binding(zmq::PULL)?;
        pull.bind(frontend)?;
        let push = self.connecting(zmq::PUSH)?;
        push.connect(backend)?;
        bound()?;
        Ok(zmq::proxy(&pull, &push)?)
    }
}

/// A socket, and the message that it receives into.
pub(crate) struct LibzmqSocket {
    socket: Socket,
    message: Message,
    /// Of a ROUTER: whose message that is.
    peer: Option<Message>,
}

impl LibzmqSocket {
    fn new(socket: Socket) -> LibzmqSocket {
        LibzmqSocket {
            socket,
            message: Message::new(),
            peer: None,
        }
    }
}

impl Sender for LibzmqSocket {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Ok(self.socket.send(message, 0)?)
    }
}

impl Receiver for LibzmqSocket {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        if let Some(peer) = &mut self.peer {
            self.socket.recv(peer, 0)?;
        }
        self.socket.recv(&mut self.message, 0)?;
        Ok(show(&self.message))
    }

    #[inline]
    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        match self.socket.recv(&mut self.message, zmq::DONTWAIT) {
            Ok(()) => Ok(Some(show(&self.message))),
            Err(zmq::Error::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Requester for LibzmqSocket {
    #[inline]
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.send(request, 0)?;
        self.recv(show).await
    }

    #[inline]
    async fn ask_ahead(&mut self, request: &[u8]) -> Fallible<()> {
        Ok(self.socket.send(request, 0)?)
    }

    #[inline]
    async fn next_reply<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.recv(show).await
    }
}

impl Replier for LibzmqSocket {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let peer = match &self.peer {
            Some(_) => Some(self.socket.recv_msg(0)?),
            None => None,
        };
        let request = self.socket.recv_msg(0)?;
        let shown = show(&request);
        if let Some(peer) = peer {
            self.socket.send(peer, zmq::SNDMORE)?;
        }
        self.socket.send(request, 0)?;
        Ok(shown)
    }
}

/// Sets `ZMQ_XPUB_NODROP`, which the `zmq` crate has no setter for.
#[allow(unsafe_code)]
fn wait_instead_of_dropping(socket: &mut Socket) -> Fallible<()> {
    let yes: c_int = 1;
    // SAFETY: the socket is open and borrowed for the call; the option's value is a C int, of which the
    // pointer and the size are given, and libzmq copies it before it returns.
    let set = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            zmq_sys::ZMQ_XPUB_NODROP as c_int,
            (&raw const yes).cast(),
            size_of::<c_int>(),
        )
    };
    if set != 0 {
        return Err("libzmq refused ZMQ_XPUB_NODROP".into());
    }
    Ok(())
}
