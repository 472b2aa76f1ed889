//! zerohop, with other types of sockets in the places of the usual ones.

use std::marker::PhantomData;

use zerohop::{Context, Dealer, Message, Options, RecvSocket, Router, SendSocket, Sub, Xpub};

use super::super::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use super::super::child::{Fallible, TOPIC_LEN};
use super::ours::Receiving;

/// In the place of PULL and REP, and of PUSH and REQ.
pub(crate) struct OursElse<B, C> {
    context: Context,
    types: PhantomData<fn() -> (B, C)>,
}

/// What can be in the place of another.
pub(crate) trait Opens: Sized {
    fn bind(context: &Context, endpoint: &str) -> Fallible<Self>;
    fn connect(context: &Context, endpoint: &str) -> Fallible<Self>;
}

impl<B, C> OursElse<B, C> {
    pub(crate) fn open() -> Fallible<Self> {
        Ok(OursElse {
            context: Context::new(),
            types: PhantomData,
        })
    }
}

impl<B: Opens + Receiver + Replier, C: Opens + Sender + Requester> Contestant for OursElse<B, C> {
    type Pull = B;
    type Push = C;
    type Sub = Absent;
    type Pub = Absent;
    type Req = C;
    type Rep = B;

    async fn bind_pull(&self, endpoint: &str) -> Fallible<B> {
        B::bind(&self.context, endpoint)
    }

    async fn connect_push(&self, endpoint: &str) -> Fallible<C> {
        C::connect(&self.context, endpoint)
    }

    async fn bind_pub(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_sub(&self, _endpoint: &str, _topics: &[[u8; TOPIC_LEN]]) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<B> {
        B::bind(&self.context, endpoint)
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<C> {
        C::connect(&self.context, endpoint)
    }
}

/// A socket that sends and receives, with the message that it receives into.
pub(crate) struct Talking<S> {
    socket: S,
    message: Message,
}

pub(crate) type Dealing = Talking<Dealer>;

impl<S: SendSocket + RecvSocket> Talking<S> {
    fn open(context: &Context) -> Fallible<Self> {
        Ok(Talking {
            socket: S::new(context)?,
            message: Message::new(),
        })
    }
}

impl<S: SendSocket + RecvSocket> Opens for Talking<S> {
    fn bind(context: &Context, endpoint: &str) -> Fallible<Self> {
        let talking = Talking::<S>::open(context)?;
        talking.socket.bind(endpoint)?;
        Ok(talking)
    }

    fn connect(context: &Context, endpoint: &str) -> Fallible<Self> {
        let talking = Talking::<S>::open(context)?;
        talking.socket.connect(endpoint)?;
        Ok(talking)
    }
}

impl<S: SendSocket> Sender for Talking<S> {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.socket.send(message)?;
        Ok(())
    }
}

impl<S: RecvSocket> Receiver for Talking<S> {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.recv_into(&mut self.message)?;
        Ok(show(self.message.first()))
    }
}

impl<S: SendSocket + RecvSocket> Requester for Talking<S> {
    #[inline]
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.socket.send(request)?;
        self.recv(show).await
    }

    #[inline]
    async fn ask_ahead(&mut self, request: &[u8]) -> Fallible<()> {
        self.send(request).await
    }

    #[inline]
    async fn next_reply<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        self.recv(show).await
    }
}

impl<S: SendSocket + RecvSocket> Replier for Talking<S> {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let shown = self.recv(show).await?;
        self.socket.send(&self.message)?;
        Ok(shown)
    }
}

pub(crate) struct Routing(Router);

impl Opens for Routing {
    fn bind(context: &Context, endpoint: &str) -> Fallible<Self> {
        let router = Router::new(context)?;
        router.bind(endpoint)?;
        Ok(Routing(router))
    }

    fn connect(context: &Context, endpoint: &str) -> Fallible<Self> {
        let router = Router::new(context)?;
        router.connect(endpoint)?;
        Ok(Routing(router))
    }
}

impl Receiver for Routing {
    #[inline]
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let incoming = self.0.recv()?;
        Ok(show(incoming.message.first()))
    }
}

impl Replier for Routing {
    #[inline]
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let incoming = self.0.recv()?;
        let shown = show(incoming.message.first());
        self.0.send_to(&incoming.peer, incoming.message)?;
        Ok(shown)
    }
}

/// XPUB in the place of PUB.
pub(crate) struct OursXpub {
    context: Context,
}

impl OursXpub {
    pub(crate) fn open() -> Fallible<OursXpub> {
        Ok(OursXpub {
            context: Context::new(),
        })
    }
}

impl Contestant for OursXpub {
    type Pull = Absent;
    type Push = Absent;
    type Sub = Receiving<Sub>;
    type Pub = Xpub;
    type Req = Absent;
    type Rep = Absent;

    async fn bind_pull(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_push(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<Xpub> {
        let options = Options::new().pub_block(true);
        let socket = Xpub::with_options(&self.context, options)?;
        socket.bind(endpoint)?;
        Ok(socket)
    }

    async fn connect_sub(
        &self,
        endpoint: &str,
        topics: &[[u8; TOPIC_LEN]],
    ) -> Fallible<Receiving<Sub>> {
        let socket = Sub::new(&self.context)?;
        // Without topics it gets everything.
        topics
            .iter()
            .try_for_each(|topic| socket.subscribe(topic))?;
        socket.connect(endpoint)?;
        Ok(Receiving::new(socket))
    }

    async fn bind_rep(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_req(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }
}

impl Sender for Xpub {
    #[inline]
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        Xpub::send(self, message)?;
        Ok(())
    }
}
