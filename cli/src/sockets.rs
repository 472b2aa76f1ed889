//! What the commands need of a socket, whatever its type.

use std::time::Duration;

use zerohop::{
    BindError, CloseError, ConnectError, Context, Endpoint, Message, Monitor, Options, Payload,
    Pub, Pull, Push, RecvError, Rep, Req, SendError, SocketError, Stats, Sub,
};

/// What every socket has.
pub(crate) trait AnySocket: Send + Sync + Sized + 'static {
    fn open(context: &Context, options: Options) -> Result<Self, SocketError>;
    fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError>;
    fn connect(&self, endpoint: &str) -> Result<(), ConnectError>;
    fn monitor(&self) -> Monitor;
    fn stats(&self) -> Stats;
    fn close(self, timeout: Duration) -> Result<(), CloseError>;
}

/// What gives messages.
pub(crate) trait Receiving: AnySocket {
    fn try_recv(&self) -> Result<Message, RecvError>;
    /// Waits, at most for the socket's receive timeout.
    fn recv(&self) -> Result<Message, RecvError>;
}

/// What takes messages.
pub(crate) trait Sending: AnySocket {
    /// Waits, at most for the socket's send timeout. Gives the number of peers that miss the message.
    fn send(&self, payload: impl Payload) -> Result<usize, SendError>;
}

macro_rules! any_socket {
    ($($name:ident),+) => {$(
        impl AnySocket for $name {
            fn open(context: &Context, options: Options) -> Result<Self, SocketError> {
                $name::with_options(context, options)
            }

            fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
                $name::bind(self, endpoint)
            }

            fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
                $name::connect(self, endpoint)
            }

            fn monitor(&self) -> Monitor {
                $name::monitor(self)
            }

            fn stats(&self) -> Stats {
                $name::stats(self)
            }

            fn close(self, timeout: Duration) -> Result<(), CloseError> {
                $name::close(self, timeout)
            }
        }
    )+};
}

any_socket!(Push, Pull, Pub, Sub, Req, Rep);

macro_rules! receiving {
    ($($name:ident),+) => {$(
        impl Receiving for $name {
            #[inline]
            fn try_recv(&self) -> Result<Message, RecvError> {
                $name::try_recv(self)
            }

            #[inline]
            fn recv(&self) -> Result<Message, RecvError> {
                $name::recv(self)
            }
        }
    )+};
}

receiving!(Pull, Sub);

impl Sending for Push {
    #[inline]
    fn send(&self, payload: impl Payload) -> Result<usize, SendError> {
        Push::send(self, payload).map(|()| 0)
    }
}

impl Sending for Pub {
    #[inline]
    fn send(&self, payload: impl Payload) -> Result<usize, SendError> {
        Pub::send(self, payload).map(|published| published.skipped)
    }
}
