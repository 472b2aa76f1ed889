//! What scenarios know as sockets: the library's own, with calls that wait by the [`Way`] of their context in the place of those that block.
//!
//! Calls that do not wait are the library's own, and so are those that wait for peers, for subscribers, or for several messages.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use zerohop::*;

use crate::common::deadline::DEADLINE;
use crate::ways::{Way, current, run_for};

pub(crate) use crate::ways::{WAYS, by_each_way};

/// A context that is driven the way that is the current one when it is made.
pub(crate) struct Context {
    inner: zerohop::Context,
    way: Arc<Way>,
}

impl Context {
    pub(crate) fn new() -> Context {
        let way = current();
        let inner = match &*way {
            Way::Task(place) => place.context(),
            Way::Poller => zerohop::Context::new(),
        };
        Context { inner, way }
    }
}

impl Deref for Context {
    type Target = zerohop::Context;

    fn deref(&self) -> &zerohop::Context {
        &self.inner
    }
}

/// What all sockets have.
pub(crate) trait AnySocket: Sized + Send + Sync {
    fn with_options(context: &Context, options: Options) -> Result<Self, SocketError>;
    fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError>;
    fn connect(&self, endpoint: &str) -> Result<(), ConnectError>;
    fn unbind(&self, endpoint: &str) -> Result<(), UnbindError>;
    fn disconnect(&self, endpoint: &str) -> Result<(), UnbindError>;
    fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<(), WaitError>;
    fn monitor(&self) -> Monitor;
    fn stats(&self) -> Stats;
    fn close(self, timeout: Duration) -> Result<(), CloseError>;
}

/// Calls with an endpoint.
macro_rules! forwards {
    ($($call:ident -> $done:ty, $error:ty;)+) => {$(
        pub(crate) fn $call<E>(&self, endpoint: E) -> Result<$done, $error>
        where
            E: TryInto<Endpoint>,
            EndpointError: From<E::Error>,
        {
            self.inner.$call(endpoint)
        }
    )+};
}

/// A socket, and what its calls are.
macro_rules! socket {
    ($name:ident $(, $calls:ident($($result:ty),*))*) => {
        pub(crate) struct $name {
            inner: zerohop::$name,
            #[allow(dead_code, reason = "a RADIO has no call that waits")]
            way: Arc<Way>,
        }

        #[allow(dead_code, reason = "some types are called in fewer ways than others")]
        impl $name {
            pub(crate) fn new(context: &Context) -> Result<$name, SocketError> {
                $name::with_options(context, Options::new())
            }

            pub(crate) fn with_options(
                context: &Context,
                options: Options,
            ) -> Result<$name, SocketError> {
                Ok($name {
                    inner: zerohop::$name::with_options(context, options)?,
                    way: Arc::clone(&context.way),
                })
            }

            forwards! {
                bind -> Endpoint, BindError;
                connect -> (), ConnectError;
                unbind -> (), UnbindError;
                disconnect -> (), UnbindError;
            }

            pub(crate) fn wait_for_peers(
                &self,
                count: usize,
                timeout: Duration,
            ) -> Result<(), WaitError> {
                self.inner.wait_for_peers(count, timeout)
            }

            pub(crate) fn monitor(&self) -> Monitor {
                self.inner.monitor()
            }

            pub(crate) fn stats(&self) -> Stats {
                self.inner.stats()
            }

            pub(crate) fn close(self, timeout: Duration) -> Result<(), CloseError> {
                self.inner.close(timeout)
            }

            $($calls! { $($result),* })*
        }

        impl Deref for $name {
            type Target = zerohop::$name;

            fn deref(&self) -> &zerohop::$name {
                &self.inner
            }
        }

        impl AnySocket for $name {
            fn with_options(context: &Context, options: Options) -> Result<Self, SocketError> {
                $name::with_options(context, options)
            }
            fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
                self.inner.bind(endpoint)
            }
            fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
                self.inner.connect(endpoint)
            }
            fn unbind(&self, endpoint: &str) -> Result<(), UnbindError> {
                self.inner.unbind(endpoint)
            }
            fn disconnect(&self, endpoint: &str) -> Result<(), UnbindError> {
                self.inner.disconnect(endpoint)
            }
            fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<(), WaitError> {
                self.inner.wait_for_peers(count, timeout)
            }
            fn monitor(&self) -> Monitor {
                self.inner.monitor()
            }
            fn stats(&self) -> Stats {
                self.inner.stats()
            }
            fn close(self, timeout: Duration) -> Result<(), CloseError> {
                self.inner.close(timeout)
            }
        }
    };
}

macro_rules! receives {
    ($received:ty) => {
        pub(crate) fn recv(&self) -> Result<$received, RecvError> {
            self.recv_within(self.inner.options().recv_timeout)
        }

        pub(crate) fn recv_timeout(&self, timeout: Duration) -> Result<$received, RecvError> {
            self.recv_within(Some(timeout))
        }

        fn recv_within(&self, timeout: Option<Duration>) -> Result<$received, RecvError> {
            self.way.receive(
                &self.inner,
                timeout,
                self.inner.recv_async(),
                || self.inner.try_recv(),
                || self.inner.recv_timeout(Duration::ZERO),
            )
        }
    };
}

macro_rules! receives_upstream {
    () => {
        pub(crate) fn recv_upstream_timeout(
            &self,
            timeout: Duration,
        ) -> Result<Upstream, RecvError> {
            self.way.receive(
                &self.inner,
                Some(timeout),
                self.inner.recv_upstream_async(),
                || self.inner.try_recv_upstream(),
                || self.inner.recv_upstream_timeout(Duration::ZERO),
            )
        }
    };
}

macro_rules! sends {
    ($sent:ty) => {
        pub(crate) fn send(&self, message: impl Payload) -> Result<$sent, SendError> {
            self.send_within(message, self.inner.options().send_timeout)
        }

        pub(crate) fn send_timeout(
            &self,
            message: impl Payload,
            timeout: Duration,
        ) -> Result<$sent, SendError> {
            self.send_within(message, Some(timeout))
        }

        fn send_within(
            &self,
            message: impl Payload,
            timeout: Option<Duration>,
        ) -> Result<$sent, SendError> {
            let message = message.into_message();
            self.way.send(
                &self.inner,
                timeout,
                self.inner.send_async(&message),
                || self.inner.try_send(&message),
                || self.inner.send_timeout(&message, Duration::ZERO),
            )
        }
    };
}

macro_rules! sends_to {
    ($sent:ty) => {
        pub(crate) fn send_to(
            &self,
            peer: impl AsRef<[u8]>,
            message: impl Payload,
        ) -> Result<$sent, SendError> {
            self.send_to_within(peer.as_ref(), message, self.inner.options().send_timeout)
        }

        pub(crate) fn send_to_timeout(
            &self,
            peer: impl AsRef<[u8]>,
            message: impl Payload,
            timeout: Duration,
        ) -> Result<$sent, SendError> {
            self.send_to_within(peer.as_ref(), message, Some(timeout))
        }

        fn send_to_within(
            &self,
            peer: &[u8],
            message: impl Payload,
            timeout: Option<Duration>,
        ) -> Result<$sent, SendError> {
            let message = message.into_message();
            self.way.send(
                &self.inner,
                timeout,
                self.inner.send_to_async(peer, &message),
                || self.inner.try_send_to(peer, &message),
                || self.inner.send_to_timeout(peer, &message, Duration::ZERO),
            )
        }
    };
}

/// A poller cannot wait for one reply among several, so that there the library's own call does.
macro_rules! requests {
    () => {
        pub(crate) fn request(&self, message: impl Payload) -> Result<Message, RequestError> {
            match &*self.way {
                Way::Task(place) if !self.is_limited() => {
                    place.run(self.inner.request_async(message))
                }
                Way::Task(_) | Way::Poller => self.inner.request(message),
            }
        }

        pub(crate) fn request_timeout(
            &self,
            message: impl Payload,
            timeout: Duration,
        ) -> Result<Message, RequestError> {
            match &*self.way {
                Way::Task(place) if self.is_connected() => {
                    run_for(place, Some(timeout), self.inner.request_async(message))
                        .unwrap_or(Err(RequestError::TimedOut))
                }
                Way::Task(_) | Way::Poller => self.inner.request_timeout(message, timeout),
            }
        }

        /// Options limit the time for the request and for the reply, each by itself.
        fn is_limited(&self) -> bool {
            let options = self.inner.options();
            options.send_timeout.is_some() || options.recv_timeout.is_some()
        }

        /// A future that is dropped does not say whether its request had left; where nobody is there, it has not.
        fn is_connected(&self) -> bool {
            let peers = self.inner.stats().peers;
            peers.iter().any(|peer| peer.connection.is_some())
        }
    };
}

socket!(Push, sends(()));
socket!(Pull, receives(Message));
socket!(Pub, sends(Published));
socket!(Sub, receives(Message));
socket!(
    Xpub,
    sends(Published),
    receives(Message),
    receives_upstream()
);
socket!(Xsub, receives(Message));
socket!(Req, requests());
socket!(Rep, receives(Request));
socket!(Dealer, sends(()), receives(Message));
socket!(Router, sends_to(Routed), receives(Incoming));
socket!(Pair, sends(()), receives(Message));
socket!(Client, sends(()), receives(Message));
socket!(Server, receives(Incoming<u32>));
socket!(Peer, receives(Incoming<u32>));
socket!(Radio);
socket!(Dish, receives(GroupMessage));
socket!(Scatter, sends(()));
socket!(Gather, receives(Message));
socket!(Channel, sends(()), receives(Message));

impl<'a> IntoIterator for &'a Xpub {
    type Item = Message;
    type IntoIter = Iter<'a, zerohop::Xpub>;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.iter()
    }
}

impl<'a> IntoIterator for &'a Xsub {
    type Item = Message;
    type IntoIter = Iter<'a, zerohop::Xsub>;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.iter()
    }
}

/// A ROUTER in libzmq's form.
pub(crate) trait SendSocket {
    fn send(&self, message: impl Payload) -> Result<Routed, SendError>;
    fn try_send(&self, message: impl Payload) -> Result<Routed, SendError>;
    fn send_timeout(&self, message: impl Payload, timeout: Duration) -> Result<Routed, SendError>;
}

/// The same.
pub(crate) trait RecvSocket {
    fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError>;
}

impl SendSocket for Router {
    fn send(&self, message: impl Payload) -> Result<Routed, SendError> {
        SendSocket::send_timeout(self, message, DEADLINE)
    }

    fn try_send(&self, message: impl Payload) -> Result<Routed, SendError> {
        zerohop::SendSocket::try_send(&self.inner, message)
    }

    fn send_timeout(&self, message: impl Payload, timeout: Duration) -> Result<Routed, SendError> {
        let message = message.into_message();
        self.way.send(
            &self.inner,
            Some(timeout),
            zerohop::SendSocket::send_async(&self.inner, &message),
            || zerohop::SendSocket::try_send(&self.inner, &message),
            || zerohop::SendSocket::send_timeout(&self.inner, &message, Duration::ZERO),
        )
    }
}

impl RecvSocket for Router {
    fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.way.receive(
            &self.inner,
            Some(timeout),
            zerohop::RecvSocket::recv_async(&self.inner),
            || zerohop::RecvSocket::try_recv(&self.inner),
            || zerohop::RecvSocket::recv_timeout(&self.inner, Duration::ZERO),
        )
    }
}
