//! Bare sockets of the system without any protocol: what the transport itself allows.
//!
//! Messages of one known size follow each other without headers, written and read 256 KiB at a time. There is one
//! connection, and PUB/SUB has no counterpart. As our own, connections are not paced by the system's congestion control.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};

use socket2::{Domain, SockRef, Socket, Type};

use super::super::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use super::super::child::{Fallible, Fault, TOPIC_LEN};

/// As much is written and read at once.
const CHUNK: usize = 256 * 1024;

/// Messages from this size on are written from where they are.
const DIRECT: usize = 32 * 1024;

pub(crate) struct Raw {
    size: usize,
}

impl Raw {
    /// Messages will be of this size.
    pub(crate) fn open(size: usize) -> Fallible<Raw> {
        Ok(Raw { size })
    }
}

/// A connection, accepted when it is first needed.
pub(crate) struct RawSocket {
    listener: Option<Listener>,
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    size: usize,
    /// What has been read and not yet taken: `buffer[taken..filled]`.
    taken: usize,
    filled: usize,
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Contestant for Raw {
    type Pull = RawSocket;
    type Push = RawSocket;
    type Sub = Absent;
    type Pub = Absent;
    type Req = RawSocket;
    type Rep = RawSocket;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<RawSocket> {
        let listener = match scheme(endpoint)? {
            ("tcp", address) => {
                let listener = TcpListener::bind(address)?;
                tune(&SockRef::from(&listener))?;
                Listener::Tcp(listener)
            }
            (_, path) => Listener::Unix(UnixListener::bind(path)?),
        };
        Ok(RawSocket::new(self.size, Some(listener), None))
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<RawSocket> {
        let stream: Box<dyn Stream> = match scheme(endpoint)? {
            ("tcp", address) => Box::new(connect(address.parse()?)?),
            (_, path) => Box::new(UnixStream::connect(path)?),
        };
        Ok(RawSocket::new(self.size, None, Some(stream)))
    }

    async fn bind_pub(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_sub(&self, _endpoint: &str, _topics: &[[u8; TOPIC_LEN]]) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<RawSocket> {
        self.bind_pull(endpoint).await
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<RawSocket> {
        self.connect_push(endpoint).await
    }
}

impl RawSocket {
    fn new(size: usize, listener: Option<Listener>, stream: Option<Box<dyn Stream>>) -> RawSocket {
        RawSocket {
            listener,
            stream,
            buffer: Vec::new(),
            size,
            taken: 0,
            filled: 0,
        }
    }

    #[inline]
    fn stream(&mut self) -> Fallible<&mut (dyn Stream + 'static)> {
        if self.stream.is_none() {
            self.accept()?;
        }
        let stream = self.stream.as_deref_mut();
        stream.ok_or_else(|| Fault::from("no connection"))
    }

    #[cold]
    fn accept(&mut self) -> Fallible<()> {
        self.stream = match &self.listener {
            Some(Listener::Tcp(listener)) => {
                let (stream, _) = listener.accept()?;
                tune(&SockRef::from(&stream))?;
                Some(Box::new(stream))
            }
            Some(Listener::Unix(listener)) => Some(Box::new(listener.accept()?.0)),
            None => None,
        };
        Ok(())
    }

    /// Reads until a whole message is there.
    #[cold]
    fn fill(&mut self) -> Fallible<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK.max(2 * self.size), 0);
        buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        while self.filled < self.size {
            let filled = self.filled;
            match self.stream()?.read(&mut buffer[filled..])? {
                0 => return Err(Fault::from("the connection ended early")),
                count => self.filled += count,
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Fallible<Range<usize>> {
        if self.filled - self.taken < self.size {
            self.fill()?;
        }
        let message = self.taken..self.taken + self.size;
        self.taken = message.end;
        Ok(message)
    }
}

impl Sender for RawSocket {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        if message.len() >= DIRECT {
            return Ok(self.stream()?.write_all(message)?);
        }
        self.buffer.extend_from_slice(message);
        if self.buffer.len() >= CHUNK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Fallible<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.stream()?.write_all(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }
}

impl Receiver for RawSocket {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let message = self.next()?;
        Ok(show(&self.buffer[message]))
    }
}

impl Requester for RawSocket {
    #[inline]
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.stream()?.write_all(request)?;
        let message = self.next()?;
        Ok(show(&self.buffer[message]))
    }
}

impl Replier for RawSocket {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.stream()?;
        let request = self.next()?;
        let shown = show(&self.buffer[request.clone()]);
        if let Some(stream) = &mut self.stream {
            stream.write_all(&self.buffer[request])?;
        }
        Ok(shown)
    }
}

fn connect(address: SocketAddr) -> Fallible<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    tune(&SockRef::from(&socket))?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

fn tune(socket: &SockRef<'_>) -> Fallible<()> {
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_congestion(b"reno")?;
    Ok(())
}

fn scheme(endpoint: &str) -> Fallible<(&str, &str)> {
    let parts = endpoint.split_once("://");
    parts.ok_or_else(|| Fault::from("an endpoint without a scheme"))
}
