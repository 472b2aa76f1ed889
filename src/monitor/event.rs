//! The events, and the causes they give.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{PeerRefusal, RefusalCause};
use crate::auth::ZapFault;
use crate::engine::AddressLimit;
use crate::options::SlowSubscriber;
use crate::zmtp::{Denial, PeerFacts, ProtocolError};

/// The number of a connection: unique in the process and never used again, so it tells two connections of the
/// same peer apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// A number that no other connection of this process has had.
    pub(crate) fn next() -> ConnectionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) const fn new(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Which connection an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The number of the connection.
    pub id: ConnectionId,
    /// The endpoint of this socket that it belongs to: as reported by `bind`, or as given to `connect`.
    pub endpoint: String,
    /// The other side, in the form of an endpoint as far as it has an address.
    pub peer: String,
}

impl ConnectionInfo {
    pub(crate) fn new(
        id: ConnectionId,
        endpoint: impl Into<String>,
        peer: impl Into<String>,
    ) -> ConnectionInfo {
        ConnectionInfo {
            id,
            endpoint: endpoint.into(),
            peer: peer.into(),
        }
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, peer {})", self.id, self.endpoint, self.peer)
    }
}

/// Something that happened to an endpoint or a connection of a socket.
///
/// An endpoint that connects begins with `Connecting`, once for each address that is tried. A connection begins with `Accepted` or
/// `Connected`. Then comes `HandshakeFailed`, which ends it, or
/// `HandshakeSucceeded` and, one day, `Disconnected`. An endpoint that connects goes from there, or from
/// `ConnectFailed`, to `RetryIn` and on to the next `Connecting`.
///
/// Of `inproc` there are no events, nor does libzmq report any: nothing listens, connects or shakes hands there. A socket that waits for
/// a name which is then bound by a type that does not fit goes on waiting; the log says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The socket is bound to an endpoint and accepts connections there.
    Listening {
        /// The endpoint, with the port that was chosen if it had none.
        endpoint: String,
    },
    /// The socket no longer accepts connections at an endpoint. Those it has accepted there end, too, after
    /// `unbind`; those of a socket that is closed live on until all has left.
    ListenerClosed {
        /// The endpoint, as in `Listening`.
        endpoint: String,
    },
    /// An endpoint could not be bound.
    BindFailed {
        /// The endpoint that was asked for.
        endpoint: String,
        /// What the system said.
        error: IoFailure,
    },
    /// A connection could not be accepted, for want of file descriptors as a rule. The listener goes on.
    AcceptFailed {
        /// The endpoint, as in `Listening`.
        endpoint: String,
        /// What the system said.
        error: IoFailure,
    },
    /// An attempt to connect begins: one for each address that the endpoint's name has, until one of them answers. Not if the
    /// name could not be looked up.
    Connecting {
        /// The endpoint that was given to `connect`.
        endpoint: String,
        /// The address that is tried, in the form of an endpoint.
        peer: String,
    },
    /// No address of the endpoint could be connected to, or its name could not be looked up.
    ConnectFailed {
        /// The endpoint that was given to `connect`.
        endpoint: String,
        /// What the system said, of the last address; [`io::ErrorKind::TimedOut`] if it took longer than the connect timeout.
        error: IoFailure,
    },
    /// The next attempt to connect follows after a while.
    RetryIn {
        /// The endpoint that was given to `connect`.
        endpoint: String,
        /// The wait.
        delay: Duration,
    },
    /// A listener accepted a connection. Its handshake begins.
    Accepted {
        /// The new connection.
        connection: ConnectionInfo,
    },
    /// An attempt to connect succeeded. The handshake begins.
    Connected {
        /// The new connection.
        connection: ConnectionInfo,
    },
    /// The handshake is done: messages can flow.
    HandshakeSucceeded {
        /// The connection.
        connection: ConnectionInfo,
        /// What the peer said of itself.
        facts: PeerFacts,
    },
    /// The connection ended before its handshake did.
    HandshakeFailed {
        /// The connection.
        connection: ConnectionInfo,
        /// Why.
        cause: DisconnectCause,
    },
    /// The connection ended after its handshake.
    Disconnected {
        /// The connection.
        connection: ConnectionInfo,
        /// Why.
        cause: DisconnectCause,
    },
    /// A message was dropped because its peer does not take it; counted in
    /// [`Dropped::refused`](crate::Dropped::refused). Messages behind it go on.
    MessageRefused {
        /// The connection that it was queued for; the last one if there is none just now.
        connection: ConnectionInfo,
        /// The bytes in its frames together; of a request with its envelope.
        size: usize,
        /// Why.
        cause: RefusalCause,
    },
    /// A SUB does not pass a subscription on to a publisher that does not take it: it gets nothing for this topic from there. All
    /// others hold. Told of anew with each connection; counted in
    /// [`Stats::subscriptions_withheld`](crate::Stats::subscriptions_withheld).
    ///
    /// A topic that is more than the publisher holds is passed on when there is room, because another one is unsubscribed from. One
    /// over which the publisher has ended connections is tried again when it is unsubscribed from and subscribed to again.
    SubscriptionRefused {
        /// The connection to the publisher.
        connection: ConnectionInfo,
        /// The bytes of the topic.
        length: usize,
        /// Why.
        cause: RefusalCause,
    },
    /// The peer does not know acknowledged delivery, which this socket asks for ([`Options::delivery`](crate::Options::delivery)): what goes to it or
    /// comes from it is not settled. Or a REQ and a REP are connected of which only this one has [`Options::idempotent`](crate::Options::idempotent): a
    /// request that is sent again is worked on twice.
    Unacknowledged {
        /// The connection.
        connection: ConnectionInfo,
    },
    /// This socket wants what a publisher has published before ([`Sub::subscribe_from`](crate::Sub::subscribe_from)), and the publisher has no
    /// [log](crate::Log), or is reached over inproc: only what it publishes from now on comes.
    NoLog {
        /// The connection to the publisher.
        connection: ConnectionInfo,
    },
    /// Messages with these offsets are gone from the [log](crate::Log) of a publisher, or can't be read there, or are larger than this subscriber takes. Which of
    /// them were of a topic that it wants nobody knows any more.
    Gap {
        /// The connection to the publisher.
        connection: ConnectionInfo,
        /// The first offset.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// A subscriber of a publisher has no room for a message, and this is done about it now and from now on. Told again only when it has kept up for a while: when half
    /// as many messages as its mark allows for have been queued for it without such a want. What it misses is counted in
    /// [`Dropped::high_water_mark`](crate::Dropped::high_water_mark).
    SubscriberSlow {
        /// The connection to the subscriber.
        connection: ConnectionInfo,
        /// What is done.
        policy: SlowSubscriber,
    },
    /// So many events were dropped here, because the monitor was not read.
    Lost(u64),
}

impl Event {
    /// The connection that the event is about, if it is about one.
    pub fn connection(&self) -> Option<&ConnectionInfo> {
        match self {
            Event::Accepted { connection }
            | Event::Connected { connection }
            | Event::HandshakeSucceeded { connection, .. }
            | Event::HandshakeFailed { connection, .. }
            | Event::Disconnected { connection, .. }
            | Event::MessageRefused { connection, .. }
            | Event::SubscriptionRefused { connection, .. }
            | Event::Unacknowledged { connection }
            | Event::NoLog { connection }
            | Event::Gap { connection, .. }
            | Event::SubscriberSlow { connection, .. } => Some(connection),
            Event::Listening { .. }
            | Event::ListenerClosed { .. }
            | Event::BindFailed { .. }
            | Event::AcceptFailed { .. }
            | Event::Connecting { .. }
            | Event::ConnectFailed { .. }
            | Event::RetryIn { .. }
            | Event::Lost(_) => None,
        }
    }

    /// The endpoint of this socket that the event is about: as reported by `bind`, or as given to `connect`.
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Event::Listening { endpoint }
            | Event::ListenerClosed { endpoint }
            | Event::BindFailed { endpoint, .. }
            | Event::AcceptFailed { endpoint, .. }
            | Event::Connecting { endpoint, .. }
            | Event::ConnectFailed { endpoint, .. }
            | Event::RetryIn { endpoint, .. } => Some(endpoint),
            Event::Accepted { connection }
            | Event::Connected { connection }
            | Event::HandshakeSucceeded { connection, .. }
            | Event::HandshakeFailed { connection, .. }
            | Event::Disconnected { connection, .. }
            | Event::MessageRefused { connection, .. }
            | Event::SubscriptionRefused { connection, .. }
            | Event::Unacknowledged { connection }
            | Event::NoLog { connection }
            | Event::Gap { connection, .. }
            | Event::SubscriberSlow { connection, .. } => Some(&connection.endpoint),
            Event::Lost(_) => None,
        }
    }
}

/// One line, fit for a log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { endpoint } => write!(f, "{endpoint}: listening"),
            Event::ListenerClosed { endpoint } => write!(f, "{endpoint}: no longer listening"),
            Event::BindFailed { endpoint, error } => write!(f, "{endpoint}: bind failed: {error}"),
            Event::AcceptFailed { endpoint, error } => {
                write!(f, "{endpoint}: accept failed: {error}")
            }
            Event::Connecting { endpoint, peer } if endpoint == peer => {
                write!(f, "{endpoint}: connecting")
            }
            Event::Connecting { endpoint, peer } => write!(f, "{endpoint}: connecting to {peer}"),
            Event::ConnectFailed { endpoint, error } => {
                write!(f, "{endpoint}: connect failed: {error}")
            }
            Event::RetryIn { endpoint, delay } => {
                write!(f, "{endpoint}: next attempt in {delay:?}")
            }
            Event::Accepted { connection } => write!(f, "{connection}: accepted"),
            Event::Unacknowledged { connection } => {
                write!(
                    f,
                    "{connection}: the peer does not know acknowledged delivery"
                )
            }
            Event::NoLog { connection } => write!(f, "{connection}: the publisher has no log"),
            Event::Gap {
                connection,
                first,
                last,
            } => write!(
                f,
                "{connection}: messages {first} to {last} are gone from the log"
            ),
            Event::Connected { connection } => write!(f, "{connection}: connected"),
            Event::HandshakeSucceeded { connection, .. } => {
                write!(f, "{connection}: handshake done")
            }
            Event::HandshakeFailed { connection, cause } => {
                write!(f, "{connection}: handshake failed: {cause}")
            }
            Event::Disconnected { connection, cause } => {
                write!(f, "{connection}: disconnected: {cause}")
            }
            Event::MessageRefused {
                connection,
                size,
                cause,
            } => write!(
                f,
                "{connection}: a message of {size} bytes is dropped: {cause}"
            ),
            Event::SubscriptionRefused {
                connection,
                length,
                cause,
            } => write!(
                f,
                "{connection}: a topic of {length} bytes is not subscribed to: {cause}"
            ),
            Event::SubscriberSlow { connection, policy } => {
                write!(f, "{connection}: the subscriber is too slow: {policy}")
            }
            Event::Lost(count) => write!(f, "{count} events lost: the monitor was not read"),
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectCause {
    /// The peer closed the connection in good order.
    PeerClosed,
    /// The peer's side went away at once: its process died, or it closed without reading all it was sent.
    Reset,
    /// The peer broke the protocol, or a limit set here. For a connecting endpoint too, this is final only for
    /// the connection.
    Protocol(ProtocolError),
    /// The peer showed no sign of life within the heartbeat timeout, or within the time it had set itself.
    HeartbeatTimeout,
    /// The peer kept sending PINGs and left the answers unread, for longer than
    /// [`answers_timeout`](crate::Options::answers_timeout).
    AnswersUnread,
    /// The peer did not complete its handshake in time.
    HandshakeTimeout,
    /// The peer did not read what it was sent. A subscriber had no room for a message, and is not to hold it up or miss it unnoticed:
    /// [`SlowSubscriber::Disconnect`](crate::SlowSubscriber::Disconnect). Or a publisher has left unread more than twice what all
    /// subscriptions of the socket take, and some MiB, since subscriptions come and go faster than it reads: on its next connection it
    /// is told of each once. Or a subscriber asks a publisher with a log without end where topics begin, and does not read the answers.
    TooSlow,
    /// Too many accepted connections had not completed their handshake, and this was the oldest of them.
    TooManyPending,
    /// The socket let go of the connection: by `disconnect`, `unbind` or close.
    LocalClose,
    /// The socket does not let the peer in, although it speaks the protocol well: right after the handshake, or when another one takes
    /// its place.
    Refused(PeerRefusal),
    /// The peer is not let in: whoever decides that (see [`Allow`](crate::Allow)) does not accept what it has shown of who it is.
    Denied {
        /// What the peer was told.
        denial: Denial,
        /// Why, for us alone.
        reason: String,
    },
    /// The peer is not let in, as the ZAP handler that was asked has given a reply that makes no sense.
    ZapReply(ZapFault),
    /// Its address has as much of this socket as one may have.
    AddressLimit(AddressLimit),
    /// Nobody said in time whether to let the peer in.
    VerdictTimeout,
    /// The peer left a message unfinished for longer than [`handshake_timeout`](crate::Options::handshake_timeout), while it was in the way of
    /// others: most of the context's [memory budget](crate::ContextOptions::memory_budget) was in use.
    MemoryBudget,
    /// The system had no memory for a message of the peer's, of which more came than there was memory for.
    OutOfMemory,
    /// The system reported another error.
    Io(IoFailure),
}

/// Sorts what reading or writing reported.
impl From<&io::Error> for DisconnectCause {
    fn from(error: &io::Error) -> DisconnectCause {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => DisconnectCause::PeerClosed,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => DisconnectCause::Reset,
            io::ErrorKind::OutOfMemory => DisconnectCause::OutOfMemory,
            _ => DisconnectCause::Io(IoFailure::from(error)),
        }
    }
}

impl From<ProtocolError> for DisconnectCause {
    fn from(error: ProtocolError) -> DisconnectCause {
        DisconnectCause::Protocol(error)
    }
}

impl fmt::Display for DisconnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisconnectCause::PeerClosed => f.write_str("the peer closed the connection"),
            DisconnectCause::Reset => f.write_str("the connection was reset"),
            DisconnectCause::Protocol(error) => error.fmt(f),
            DisconnectCause::HeartbeatTimeout => {
                f.write_str("the peer showed no sign of life in time")
            }
            DisconnectCause::AnswersUnread => {
                f.write_str("the peer sent PINGs and read none of the answers")
            }
            DisconnectCause::HandshakeTimeout => {
                f.write_str("the peer did not complete its handshake in time")
            }
            DisconnectCause::TooSlow => {
                f.write_str("the peer was too slow to read what it was sent")
            }
            DisconnectCause::TooManyPending => {
                f.write_str("too many connections were waiting for their handshake")
            }
            DisconnectCause::LocalClose => f.write_str("closed here"),
            DisconnectCause::Refused(refusal) => write!(f, "refused: {refusal}"),
            DisconnectCause::Denied { denial, reason } => {
                write!(
                    f,
                    "not let in ({}): {}",
                    denial.code(),
                    reason.escape_debug()
                )
            }
            DisconnectCause::ZapReply(fault) => write!(f, "not let in: {fault}"),
            DisconnectCause::AddressLimit(limit) => limit.fmt(f),
            DisconnectCause::VerdictTimeout => {
                f.write_str("nobody said in time whether to let the peer in")
            }
            DisconnectCause::MemoryBudget => {
                f.write_str("an unfinished message held too much of the memory budget for too long")
            }
            DisconnectCause::OutOfMemory => f.write_str("there was no memory for its message"),
            DisconnectCause::Io(error) => error.fmt(f),
        }
    }
}

/// What an [`io::Error`] said, in a form that can be copied and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoFailure {
    kind: io::ErrorKind,
    text: String,
}

impl IoFailure {
    pub(crate) fn new(kind: io::ErrorKind, text: String) -> IoFailure {
        IoFailure { kind, text }
    }

    /// The kind of the error.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }
}

impl From<&io::Error> for IoFailure {
    fn from(error: &io::Error) -> IoFailure {
        IoFailure::new(error.kind(), error.to_string())
    }
}

impl fmt::Display for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for IoFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_know_what_they_are_about() {
        let connection = ConnectionInfo::new(ConnectionId::new(7), "tcp://*:1", "tcp://10.0.0.1:2");
        let event = Event::Disconnected {
            connection: connection.clone(),
            cause: DisconnectCause::PeerClosed,
        };
        assert_eq!(event.connection(), Some(&connection));
        assert_eq!(
            event.connection().map(|connection| connection.id.get()),
            Some(7)
        );
        assert_eq!(event.endpoint(), Some("tcp://*:1"));
        let event = Event::Connecting {
            endpoint: String::from("ipc://x"),
            peer: String::from("ipc://x"),
        };
        assert_eq!(
            (event.connection(), event.endpoint()),
            (None, Some("ipc://x"))
        );
        assert_eq!(Event::Lost(1).endpoint(), None);
    }

    #[test]
    fn events_read_as_a_line() {
        let connection = ConnectionInfo::new(ConnectionId::new(7), "tcp://*:1", "tcp://10.0.0.1:2");
        let error = io::Error::new(io::ErrorKind::AddrInUse, "in use");
        let events = [
            Event::Disconnected {
                connection,
                cause: DisconnectCause::Reset,
            },
            Event::BindFailed {
                endpoint: String::from("tcp://*:1"),
                error: IoFailure::from(&error),
            },
            Event::Connecting {
                endpoint: String::from("tcp://host:1"),
                peer: String::from("tcp://10.0.0.1:1"),
            },
            Event::Lost(3),
        ];
        assert_eq!(
            events.map(|event| event.to_string()),
            [
                "#7 (tcp://*:1, peer tcp://10.0.0.1:2): disconnected: the connection was reset",
                "tcp://*:1: bind failed: in use",
                "tcp://host:1: connecting to tcp://10.0.0.1:1",
                "3 events lost: the monitor was not read",
            ]
        );
    }

    #[test]
    fn what_the_system_reports_is_sorted() {
        let cause = |kind: io::ErrorKind| DisconnectCause::from(&io::Error::from(kind));
        assert_eq!(
            cause(io::ErrorKind::UnexpectedEof),
            DisconnectCause::PeerClosed
        );
        assert_eq!(
            cause(io::ErrorKind::ConnectionReset),
            DisconnectCause::Reset
        );
        assert_eq!(cause(io::ErrorKind::BrokenPipe), DisconnectCause::Reset);
        let DisconnectCause::Io(failure) = cause(io::ErrorKind::TimedOut) else {
            panic!("not an Io");
        };
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
    }
}
