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
#[derive(Clone)]
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
#[allow(dead_code, reason = "some of it is for the other suite only")]
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
    ($name:ident $(, $calls:ident($($of_calls:tt)*))*) => {
        pub(crate) struct $name {
            inner: zerohop::$name,
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

            $($calls! { $($of_calls)* })*
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
            match self.inner.options().recv_timeout {
                // It does not wait, and says so.
                Some(Duration::ZERO) => self.inner.recv(),
                timeout => self.recv_within(timeout),
            }
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

macro_rules! receives_from {
    ($received:ty) => {
        pub(crate) fn recv_from(&self) -> Result<($received, Origin), RecvError> {
            self.recv_from_within(self.inner.options().recv_timeout)
        }

        pub(crate) fn recv_from_timeout(
            &self,
            timeout: Duration,
        ) -> Result<($received, Origin), RecvError> {
            self.recv_from_within(Some(timeout))
        }

        fn recv_from_within(
            &self,
            timeout: Option<Duration>,
        ) -> Result<($received, Origin), RecvError> {
            self.way.receive(
                &self.inner,
                timeout,
                self.inner.recv_from_async(),
                || self.inner.try_recv_from(),
                || self.inner.recv_from_timeout(Duration::ZERO),
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
            match self.inner.options().send_timeout {
                Some(Duration::ZERO) => self.inner.send(message),
                timeout => self.send_within(message, timeout),
            }
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
    ($peer:ident: $given:ty => $known:expr, $id:ty, $sent:ty) => {
        pub(crate) fn send_to(
            &self,
            $peer: $given,
            message: impl Payload,
        ) -> Result<$sent, SendError> {
            self.send_to_within($known, message, self.inner.options().send_timeout)
        }

        pub(crate) fn send_to_timeout(
            &self,
            $peer: $given,
            message: impl Payload,
            timeout: Duration,
        ) -> Result<$sent, SendError> {
            self.send_to_within($known, message, Some(timeout))
        }

        fn send_to_within(
            &self,
            peer: $id,
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

macro_rules! sends_to_groups {
    () => {
        pub(crate) fn send(
            &self,
            group: &str,
            message: impl Payload,
        ) -> Result<Published, SendError> {
            self.send_within(group, message, self.inner.options().send_timeout)
        }

        pub(crate) fn send_timeout(
            &self,
            group: &str,
            message: impl Payload,
            timeout: Duration,
        ) -> Result<Published, SendError> {
            self.send_within(group, message, Some(timeout))
        }

        fn send_within(
            &self,
            group: &str,
            message: impl Payload,
            timeout: Option<Duration>,
        ) -> Result<Published, SendError> {
            let message = message.into_message();
            self.way.send(
                &self.inner,
                timeout,
                self.inner.send_async(group, &message),
                || self.inner.try_send(group, &message),
                || self.inner.send_timeout(group, &message, Duration::ZERO),
            )
        }
    };
}

/// What never waits where it blocks, and is a future as well.
macro_rules! sends_at_once {
    () => {
        pub(crate) fn send(&self, message: impl Payload) -> Result<Published, SendError> {
            let message = message.into_message();
            self.way.send(
                &self.inner,
                None,
                zerohop::SendSocket::send_async(&self.inner, &message),
                || self.inner.send(&message),
                || self.inner.send(&message),
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
socket!(Pull, receives(Message), receives_from(Message));
socket!(Pub, sends(Published));
socket!(Sub, receives(Message), receives_from(Message));
socket!(
    Xpub,
    sends(Published),
    receives(Message),
    receives_from(Message),
    receives_upstream()
);
socket!(
    Xsub,
    sends_at_once(),
    receives(Message),
    receives_from(Message)
);
socket!(Req, requests());
socket!(Rep, receives(Request));
socket!(Dealer, sends(()), receives(Message), receives_from(Message));
socket!(
    Router,
    sends_to(peer: impl AsRef<[u8]> => peer.as_ref(), &[u8], Routed),
    receives(Incoming),
    receives_from(Incoming)
);
socket!(Pair, sends(()), receives(Message), receives_from(Message));
socket!(Client, sends(()), receives(Message), receives_from(Message));
socket!(
    Server,
    sends_to(peer: u32 => peer, u32, ()),
    receives(Incoming<u32>),
    receives_from(Incoming<u32>)
);
socket!(
    Peer,
    sends_to(peer: u32 => peer, u32, ()),
    receives(Incoming<u32>),
    receives_from(Incoming<u32>)
);
socket!(Radio, sends_to_groups());
socket!(Dish, receives(GroupMessage), receives_from(GroupMessage));
socket!(Scatter, sends(()));
socket!(Gather, receives(Message), receives_from(Message));
socket!(
    Channel,
    sends(()),
    receives(Message),
    receives_from(Message)
);
socket!(
    Stream,
    sends_to(peer: impl AsRef<[u8]> => peer.as_ref(), &[u8], Routed),
    receives(Incoming),
    receives_from(Incoming)
);

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

/// What sends by the trait of that name: a ROUTER in libzmq's form, and others.
pub(crate) trait SendSocket {
    type Sent;

    fn send(&self, message: impl Payload) -> Result<Self::Sent, SendError> {
        self.send_timeout(message, DEADLINE)
    }

    fn try_send(&self, message: impl Payload) -> Result<Self::Sent, SendError>;
    fn send_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Self::Sent, SendError>;
}

/// The same for what receives.
pub(crate) trait RecvSocket {
    fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError>;
    fn recv_from_timeout(&self, timeout: Duration) -> Result<(Message, Origin), RecvError>;
    fn recv_from_async(&self) -> impl Future<Output = Result<(Message, Origin), RecvError>>;
}

macro_rules! sends_by_trait {
    ($($name:ident),+) => {$(
        impl SendSocket for $name {
            type Sent = <zerohop::$name as zerohop::SendSocket>::Sent;

            fn try_send(&self, message: impl Payload) -> Result<Self::Sent, SendError> {
                zerohop::SendSocket::try_send(&self.inner, message)
            }

            fn send_timeout(
                &self,
                message: impl Payload,
                timeout: Duration,
            ) -> Result<Self::Sent, SendError> {
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
    )+};
}

macro_rules! receives_by_trait {
    ($($name:ident),+) => {$(
        impl RecvSocket for $name {
            fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
                self.way.receive(
                    &self.inner,
                    Some(timeout),
                    zerohop::RecvSocket::recv_async(&self.inner),
                    || zerohop::RecvSocket::try_recv(&self.inner),
                    || zerohop::RecvSocket::recv_timeout(&self.inner, Duration::ZERO),
                )
            }

            fn recv_from_timeout(
                &self,
                timeout: Duration,
            ) -> Result<(Message, Origin), RecvError> {
                self.way.receive(
                    &self.inner,
                    Some(timeout),
                    zerohop::RecvSocket::recv_from_async(&self.inner),
                    || zerohop::RecvSocket::try_recv_from(&self.inner),
                    || zerohop::RecvSocket::recv_from_timeout(&self.inner, Duration::ZERO),
                )
            }

            fn recv_from_async(
                &self,
            ) -> impl Future<Output = Result<(Message, Origin), RecvError>> {
                zerohop::RecvSocket::recv_from_async(&self.inner)
            }
        }
    )+};
}

sends_by_trait!(Router, Push, Dealer);
receives_by_trait!(Router, Pull);
