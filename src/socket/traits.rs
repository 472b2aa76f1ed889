//! What code can be written over, whatever the type of the socket: see [`AnySocket`].

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::handle::{Handle, RecvBy, SendBy};
use super::{Iter, Socket, endpoint};
use crate::context::Context;
use crate::engine::Wait;
use crate::error::{
    CloseError, ConnectError, ReconfigureError, RecvError, SendBatchError, SendError, SocketError,
    UnbindError, WaitError,
};
use crate::message::{Message, Payload};
use crate::monitor::Monitor;
use crate::options::Options;
use crate::origin::Origin;
use crate::stats::Stats;
use crate::transport::{BindError, Endpoint};
use crate::zmtp::SocketType;

/// What every socket has, for code that works with any of them.
///
/// Each method does what the method of the same name does on a type such as [`Push`](crate::Push); there is no need to import the
/// trait to call those. The trait is sealed: more methods may come.
///
/// ```
/// use zerohop::{AnySocket, Context, Pull, Push, RecvSocket, SendSocket};
///
/// /// Passes on what comes, until nothing has come for the receive timeout, and counts it.
/// fn pass_on(from: &impl RecvSocket, to: &impl SendSocket) -> usize {
///     from.iter().take_while(|message| to.send(message).is_ok()).count()
/// }
///
/// fn bound<S: AnySocket>(context: &Context) -> Result<S, Box<dyn std::error::Error>> {
///     let socket = S::new(context)?;
///     socket.bind("inproc://any")?;
///     Ok(socket)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new();
/// let origin: Push = bound(&context)?;
/// let options = zerohop::Options::new().recv_timeout(std::time::Duration::from_millis(50));
/// let pull = Pull::with_options(&context, options)?;
/// pull.connect("inproc://any")?;
/// origin.send("order 1")?;
///
/// # let (push, sink) = (Push::new(&context)?, Pull::new(&context)?);
/// # push.connect(sink.bind("tcp://127.0.0.1:*")?)?;
/// assert_eq!(pass_on(&pull, &push), 1);
/// # assert_eq!(sink.recv()?, "order 1");
/// # Ok(())
/// # }
/// ```
#[expect(private_bounds, reason = "sealed")]
pub trait AnySocket: Handle + Send + Sync + 'static {
    /// The type.
    const TYPE: SocketType;

    /// Makes a socket with default options.
    ///
    /// # Errors
    ///
    /// The system refused what the context needs with its first socket, or the context is shut down.
    fn new(context: &Context) -> Result<Self, SocketError> {
        Self::with_options(context, Options::new())
    }

    /// Makes a socket with these options.
    ///
    /// # Errors
    ///
    /// An option is out of its range, the system refused a file descriptor, or the context is shut down.
    fn with_options(context: &Context, options: Options) -> Result<Self, SocketError> {
        let mut socket = Socket::new(context, options, Self::pattern)?;
        if let Some(beside) = Self::beside(&socket)? {
            socket.beside = beside.into();
        }
        Ok(Self::from_socket(socket))
    }

    /// Listens at an endpoint; see [`Push::bind`](crate::Push::bind).
    ///
    /// # Errors
    ///
    /// The endpoint is malformed, in use, not of this machine, or not permitted; or the system refused a file descriptor.
    fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        self.socket().bind(self::endpoint(endpoint)?)
    }

    /// Listens at a socket that is bound and listens already; see [`Push::bind_listener`](crate::Push::bind_listener).
    ///
    /// # Errors
    ///
    /// It is no such socket, or one that lets in everyone from other machines; or the system refused a file descriptor.
    fn bind_listener(&self, listener: OwnedFd) -> Result<Endpoint, BindError> {
        self.socket().bind_listener(listener)
    }

    /// Connects to an endpoint; see [`Push::connect`](crate::Push::connect).
    ///
    /// # Errors
    ///
    /// The endpoint is malformed, or an inproc name is bound by a socket of a type that does not fit.
    fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
        self.socket().connect(self::endpoint(endpoint)?)
    }

    /// Stops listening at an endpoint, and closes the connections that were accepted there. Messages that have come by them can still
    /// be received.
    ///
    /// # Errors
    ///
    /// Nothing is bound there.
    fn unbind(&self, endpoint: &str) -> Result<(), UnbindError> {
        self.socket().unbind(&self::endpoint(endpoint)?)
    }

    /// Ends the connections to an endpoint. Messages that have come by them and were not received are dropped.
    ///
    /// # Errors
    ///
    /// There is no connection to that endpoint.
    fn disconnect(&self, endpoint: &str) -> Result<(), UnbindError> {
        self.socket().disconnect(&self::endpoint(endpoint)?)
    }

    /// The options of the socket, as they are now.
    fn options(&self) -> Arc<Options> {
        self.socket().options()
    }

    /// Changes options while the socket is in use; see [`Push::reconfigure`](crate::Push::reconfigure).
    ///
    /// # Errors
    ///
    /// A value is out of its range, an option can't be changed later, or the socket is closed.
    fn reconfigure(&self, change: impl FnOnce(Options) -> Options) -> Result<(), ReconfigureError> {
        self.socket().reconfigure(change)
    }

    /// Changes an option by its name; see [`Push::set`](crate::Push::set).
    ///
    /// # Errors
    ///
    /// As [`reconfigure`](Self::reconfigure), and where there is no such option, or it does nothing on this type.
    fn set(&self, name: &str, value: &str) -> Result<(), ReconfigureError> {
        self.socket().set(name, value)
    }

    /// The endpoint last bound (resolved) or connected (as given).
    fn last_endpoint(&self) -> Option<Endpoint> {
        self.socket().last_endpoint()
    }

    /// Waits until at least so many peers are connected, handshake included.
    ///
    /// # Errors
    ///
    /// There were fewer when the time was up, or the socket was closed.
    fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<(), WaitError> {
        self.socket().wait_for_peers(count, timeout)
    }

    /// Watches what happens to the socket's connections, from now on.
    fn monitor(&self) -> Monitor {
        self.socket().monitor()
    }

    /// What the socket and each of its peers have sent, received, queued and dropped so far.
    fn stats(&self) -> Stats {
        self.socket().stats()
    }

    /// Begins to close the socket, from any thread; see [`Push::shutdown`](crate::Push::shutdown).
    fn shutdown(&self) {
        self.socket().shutdown();
    }

    /// Closes the socket, waiting for at most `timeout`; see [`Push::close`](crate::Push::close).
    ///
    /// # Errors
    ///
    /// How many messages were left unsent.
    fn close(self, timeout: Duration) -> Result<(), CloseError> {
        self.into_socket().close(timeout)
    }
}

/// A socket that sends messages one after the other: PUSH, PUB, XPUB, XSUB, DEALER and PAIR, and ROUTER in libzmq's form.
///
/// REQ and REP are not among them: there a message is one half of an exchange.
#[expect(private_bounds, reason = "sealed")]
pub trait SendSocket: AnySocket + SendBy<Receipt = <Self as SendSocket>::Sent> {
    /// What is known of a message once it is sent: `()`, [`Published`](crate::Published) or [`Routed`](crate::Routed).
    type Sent;

    /// Sends a message; waits at most for [`send_timeout`](Options::send_timeout).
    ///
    /// # Errors
    ///
    /// Those of the type's own `send`, such as [`Push::send`](crate::Push::send). The error gives the message back.
    #[inline]
    fn send(&self, message: impl Payload) -> Result<Self::Sent, SendError> {
        self.send_by(message, self.socket().send_wait())
    }

    /// Sends a message if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and where it would wait.
    #[inline]
    fn try_send(&self, message: impl Payload) -> Result<Self::Sent, SendError> {
        self.send_by(message, Wait::Not)
    }

    /// Sends a message, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    fn send_timeout(
        &self,
        message: impl Payload,
        timeout: Duration,
    ) -> Result<Self::Sent, SendError> {
        self.send_by(message, Wait::AtMost(timeout))
    }

    /// Sends a message, in a task; see [`Push::send_async`](crate::Push::send_async).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), but for time: it waits without end.
    fn send_async<M: Payload + Send>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Self::Sent, SendError>> + Send {
        self.send_in_task(message)
    }

    /// Sends messages one after the other, each as [`send`](Self::send) does, and gives their number. With a [spool](crate::Delivery::spool) they share a sync:
    /// up to 4096 of them, or 1 MiB, are made safe together, and before it waits for room.
    ///
    /// # Errors
    ///
    /// The first message that could not be sent ends the batch; the error says how many were, and gives
    /// that one back. Later ones are still in the iterator, if it was lent (`&mut iterator`). If a spool fails, the first message comes back that is
    /// not safe; those behind it that shared its sync have been taken from the iterator, and may be delivered all the same. With a spool, up to 255 more may have
    /// been taken and not sent: if the socket is closed meanwhile, or the spool has no room for them. [`SendBatchError::into_messages`] gives them back as well.
    fn send_batch<I>(&self, messages: I) -> Result<usize, SendBatchError>
    where
        I: IntoIterator<Item: Payload>,
    {
        let mut messages = messages.into_iter();
        if let Some(sent) = self.send_batch_stored(&mut messages) {
            return sent;
        }
        let mut sent = 0;
        for message in messages {
            self.send(message)
                .map_err(|error| SendBatchError::new(sent, error))?;
            sent += 1;
        }
        Ok(sent)
    }
}

/// A socket that receives messages one after the other: PULL, SUB, XPUB, XSUB, DEALER and PAIR, and ROUTER in libzmq's form.
#[expect(private_bounds, reason = "sealed")]
pub trait RecvSocket: AnySocket + RecvBy {
    /// Receives the next message; waits for one, at most for [`recv_timeout`](Options::recv_timeout).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    #[inline]
    fn recv(&self) -> Result<Message, RecvError> {
        self.recv_by(self.socket().recv_wait())
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    #[inline]
    fn try_recv(&self) -> Result<Message, RecvError> {
        self.recv_by(Wait::Not)
    }

    /// Receives the next message, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_by(Wait::AtMost(timeout))
    }

    /// Receives the next message in the place of `message`; see [`Pull::recv_into`](crate::Pull::recv_into).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    #[inline]
    fn recv_into(&self, message: &mut Message) -> Result<(), RecvError> {
        self.recv_into_by(message, self.socket().recv_wait())
    }

    /// Receives a message in the place of `message` if there is one now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    #[inline]
    fn try_recv_into(&self, message: &mut Message) -> Result<(), RecvError> {
        self.recv_into_by(message, Wait::Not)
    }

    /// Receives at least one message, and as many more as are here already, up to `max`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    fn recv_batch(&self, max: usize) -> Result<Vec<Message>, RecvError> {
        self.recv_batch_by(max, self.socket().recv_wait())
    }

    /// Receives the next message, in a task; see [`Pull::recv_async`](crate::Pull::recv_async).
    ///
    /// # Errors
    ///
    /// Closed.
    fn recv_async(&self) -> impl Future<Output = Result<Message, RecvError>> + Send {
        self.recv_in_task()
    }

    /// Receives the next message with what is known of the peer that it comes from; see [`Pull::recv_from`](crate::Pull::recv_from).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    fn recv_from(&self) -> Result<(Message, Origin), RecvError> {
        self.recv_from_by(self.socket().recv_wait())
    }

    /// The same if there is a message now.
    ///
    /// # Errors
    ///
    /// There is none, or closed.
    fn try_recv_from(&self) -> Result<(Message, Origin), RecvError> {
        self.recv_from_by(Wait::Not)
    }

    /// The same, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    fn recv_from_timeout(&self, timeout: Duration) -> Result<(Message, Origin), RecvError> {
        self.recv_from_by(Wait::AtMost(timeout))
    }

    /// The same, in a task.
    ///
    /// # Errors
    ///
    /// Closed.
    fn recv_from_async(&self) -> impl Future<Output = Result<(Message, Origin), RecvError>> + Send {
        self.recv_from_in_task()
    }

    /// The messages as they come, without end: until the socket or its context is shut down, or
    /// [`recv_timeout`](Options::recv_timeout) has passed without one: [`Iter::end`] says which.
    fn iter(&self) -> Iter<'_, Self> {
        Iter::new(self)
    }
}
