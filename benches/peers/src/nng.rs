//! nng, through the `nng` crate. It speaks a protocol of its own, so it is here for its speed only. Unless it is told to queue
//! messages, each `send` of its PUSH waits for a thread to take the message; so it queues as many as the others do.

use nng::options::{Options, SendBufferSize};
use nng::{Protocol, Socket};

use crate::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use crate::child::{Fallible, TOPIC_LEN};

pub(crate) struct Nng;

pub(crate) struct NngSocket(Socket);

/// The high-water mark that the others have unless told otherwise.
const QUEUED: i32 = 1000;

fn listen(protocol: Protocol, endpoint: &str) -> Fallible<NngSocket> {
    let socket = Socket::new(protocol)?;
    socket.listen(endpoint)?;
    Ok(NngSocket(socket))
}

fn dial(protocol: Protocol, endpoint: &str) -> Fallible<NngSocket> {
    let socket = Socket::new(protocol)?;
    if protocol == Protocol::Push0 {
        socket.set_opt::<SendBufferSize>(QUEUED)?;
    }
    socket.dial(endpoint)?;
    Ok(NngSocket(socket))
}

impl Contestant for Nng {
    type Pull = NngSocket;
    type Push = NngSocket;
    type Sub = Absent;
    type Pub = Absent;
    type Req = NngSocket;
    type Rep = NngSocket;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<NngSocket> {
        listen(Protocol::Pull0, endpoint)
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<NngSocket> {
        dial(Protocol::Push0, endpoint)
    }

    /// Its PUB drops; there is no option to wait.
    async fn bind_pub(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_sub(&self, _endpoint: &str, _topics: &[[u8; TOPIC_LEN]]) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<NngSocket> {
        listen(Protocol::Rep0, endpoint)
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<NngSocket> {
        dial(Protocol::Req0, endpoint)
    }
}

impl Sender for NngSocket {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.0.send(message).map_err(|(_, error)| error)?;
        Ok(())
    }
}

impl Receiver for NngSocket {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        Ok(show(&self.0.recv()?))
    }
}

impl Requester for NngSocket {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.send(request).await?;
        self.recv(show).await
    }
}

impl Replier for NngSocket {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let request = self.0.recv()?;
        let shown = show(&request);
        self.0.send(request).map_err(|(_, error)| error)?;
        Ok(shown)
    }
}
