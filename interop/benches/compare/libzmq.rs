//! libzmq, through the `zmq` crate.

use std::ffi::c_int;

use zmq::{Context, Message, Socket, SocketType};

use crate::bench::child::contestant::{Contestant, Receiver, Replier, Requester, Sender};
use crate::bench::child::{Fallible, TOPIC_LEN};
use crate::bench::well_known_keys;

/// The mark that every socket has unless told otherwise.
const DEFAULT_HWM: usize = 1000;

pub(crate) struct Libzmq {
    context: Context,
    curve: bool,
}

impl Libzmq {
    pub(crate) fn open() -> Fallible<Libzmq> {
        Ok(Libzmq {
            context: Context::new(),
            curve: false,
        })
    }

    /// With CURVE.
    pub(crate) fn open_sealed() -> Fallible<Libzmq> {
        Ok(Libzmq {
            curve: true,
            ..Libzmq::open()?
        })
    }

    fn binding(&self, kind: SocketType) -> Fallible<Socket> {
        let socket = self.context.socket(kind)?;
        if self.curve {
            let (server, _) = well_known_keys();
            socket.set_curve_server(true)?;
            socket.set_curve_secretkey(server.secret().as_bytes())?;
        }
        Ok(socket)
    }

    fn connecting(&self, kind: SocketType) -> Fallible<Socket> {
        let socket = self.context.socket(kind)?;
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
        Ok(LibzmqSocket::new(socket))
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
}

/// A socket, and the message that it receives into.
pub(crate) struct LibzmqSocket {
    socket: Socket,
    message: Message,
}

impl LibzmqSocket {
    fn new(socket: Socket) -> LibzmqSocket {
        LibzmqSocket {
            socket,
            message: Message::new(),
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
}

impl Replier for LibzmqSocket {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.socket.recv_msg(0)?;
        let shown = show(&request);
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
