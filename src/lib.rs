//! Brokerless messaging: typed sockets that speak ZMTP 3.1, the protocol of ZeroMQ, over tcp, ipc and inproc.
//!
//! There is no broker between two peers, and no thread between a call and the wire: **the caller does the work**,
//! and one background thread per [`Context`] finishes what callers leave behind.
//!
//! # A tour
//!
//! A [`Context`] holds what the sockets of a process share. Sockets are typed: a [`Push`] has no `recv`.
//!
//! | socket | sends | receives | when nobody can take a message |
//! |---|---|---|---|
//! | [`Push`] | to one peer, in turn | | waits |
//! | [`Pull`] | | from all peers, fairly | |
//! | [`Pub`] | to all who subscribed to a prefix of the first frame | | skips that subscriber, and counts it |
//! | [`Sub`] | | what it subscribed to, fairly | |
//! | [`Stream`] | bytes without ZMTP, to the connection it names | bytes of all its connections, fairly, each with its name | waits; without such a connection it fails |
//! | [`Xpub`] | as a [`Pub`] | subscriptions, and messages of [`Xsub`] peers | skips that subscriber, and counts it |
//! | [`Xsub`] | subscriptions and messages, to all | what it subscribed to, fairly | skips that publisher, and counts it |
//! | [`Req`] | a request, to one peer, in turn | its reply | waits |
//! | [`Rep`] | the reply, to who asked | requests, fairly | gives the reply back |
//! | [`Dealer`] | to one peer, in turn | from all peers, fairly | waits |
//! | [`Pair`] | to its one peer | from its one peer | waits |
//! | [`Router`] | to the peer that is named | from all peers, fairly, with the name of each | drops the message and says so, or gives it back |
//!
//! The draft types of libzmq are there, too. Their RFCs are not stable, and what they do may change with those. But for [`Radio`] and
//! [`Dish`] each is another type whose messages have one frame:
//!
//! | draft | is like | but |
//! |---|---|---|
//! | [`Client`] | [`Dealer`] | its peers are of the type [`Server`] |
//! | [`Server`] | [`Router`] | it knows its peers by number |
//! | [`Peer`] | [`Router`] | it knows its peers, which are of the same type, by number |
//! | [`Scatter`], [`Gather`] | [`Push`], [`Pull`] | |
//! | [`Channel`] | [`Pair`] | |
//! | [`Radio`], [`Dish`] | [`Pub`], [`Sub`] | to groups instead of topics: a name, not the beginning of one |
//!
//! Each socket may bind and connect any number of endpoints, in any order: `tcp://host:port`, `ipc://path` and
//! `inproc://name`. Who binds and who connects is independent of who sends. Most calls come in three forms: `recv` waits,
//! [`try_recv`](Pull::try_recv) does not, [`recv_timeout`](Pull::recv_timeout) waits for so long.
//!
//! ```
//! use std::time::Duration;
//! use zerohop::{Context, Frame, Message, Options, Pull, Push};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::new();
//!
//! // The end of the line binds, and says where.
//! let results = Pull::new(&context)?;
//! let endpoint = results.bind("tcp://127.0.0.1:*")?.to_string();
//!
//! // Options are given when a socket is made.
//! let options = Options::new().send_hwm(10).send_timeout(Duration::from_secs(5));
//! let push = Push::with_options(&context, options)?;
//! push.connect(&endpoint)?;
//!
//! // `send` takes what you have: text, bytes, and arrays or vectors of them as the frames of one message.
//! push.send("one frame")?;
//! push.send(vec![0xca, 0xfe])?;
//! push.send(["order", "42"])?;
//! push.send(Message::from_frames((1..=3).map(|n| n.to_string())))?;
//!
//! // A message has one frame or more. Compare it, lend its bytes, or take it apart.
//! assert_eq!(results.recv()?, "one frame");
//! assert_eq!(results.recv()?.as_bytes(), Some(&[0xca, 0xfe][..]));
//! let [kind, number] = <[Frame; 2]>::try_from(results.recv()?)?;
//! assert_eq!((kind.to_str()?, number.to_str()?), ("order", "42"));
//! let frames: Vec<_> = results.recv()?.into_frames().collect();
//! assert_eq!(frames, ["1", "2", "3"]);
//!
//! // Whoever wants to know that all has left closes; dropping sends the rest in the background.
//! push.close(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! Sockets are `Send + Sync`. Share one by reference or in an `Arc`; any number of threads may send and receive
//! at once, and each message goes to one of them.
//!
//! # In tasks
//!
//! `recv_async`, `send_async` and [`request_async`](Req::request_async) are futures for any runtime: tokio, smol, or one of your own. While
//! tasks wait, the context's background thread takes in what comes, and wakes them; or, if the context is told of it (`Context::with_reactor`,
//! features `tokio` and `async-io`), the runtime's own thread, without a hop from thread to thread. They can be dropped at any time, in a
//! `select!` or by a time limit of the runtime, and no message is lost or sent in part by that. Tasks and threads may use the
//! same socket at the same time. With the feature `futures` sockets are streams and sinks of the crate `futures` as well (`RecvStream`,
//! `SendSink`).
//!
//! ```
//! # mod tokio { // A runtime in a few lines.
//! #     use std::{pin::pin, sync::Arc, task::{Context, Poll, Wake, Waker}, thread::{self, Thread}};
//! #     struct Unpark(Thread);
//! #     impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark() } }
//! #     pub fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #         let waker = Waker::from(Arc::new(Unpark(thread::current())));
//! #         let mut future = pin!(future);
//! #         loop {
//! #             match future.as_mut().poll(&mut Context::from_waker(&waker)) {
//! #                 Poll::Ready(result) => return result,
//! #                 Poll::Pending => thread::park(),
//! #             }
//! #         }
//! #     }
//! # }
//! use zerohop::{Context, Rep, Req};
//!
//! /// Serves one price, whoever asks.
//! async fn serve(prices: &Rep) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let request = prices.recv_async().await?;
//!     request.reply("9.99")?; // never waits
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::new();
//! let (prices, req) = (Rep::new(&context)?, Req::new(&context)?);
//! req.connect(prices.bind("tcp://127.0.0.1:*")?)?;
//!
//! # std::thread::scope(|scope| {
//! # scope.spawn(|| tokio::block_on(serve(&prices)));
//! # tokio::block_on(async {
//! assert_eq!(req.request_async("price of 42?").await?, "9.99");
//! # Ok(())
//! # })
//! # })
//! # }
//! ```
//!
//! # In a loop of your own
//!
//! A loop that waits for many things, by `poll`, mio or another runtime's reactor, asks a socket for a descriptor:
//! [`recv_fd`](PollRecv::recv_fd) is readable exactly when `try_recv` would give a message, and [`send_fd`](PollSend::send_fd) when
//! there is room for one. See [`ReadyFd`]. [`Poller`] is such a loop, for any number of sockets and for descriptors beside them.
//!
//! # What is guaranteed
//!
//! - A message arrives whole or not at all, and in order from one peer to one peer.
//! - Nothing that `send` accepted is silently gone while the process lives. If a connection breaks, what was not yet
//!   handed to the system goes to the next connection, or to another peer ([`Push`], [`Req`], [`Dealer`]). **What the system had
//!   taken may be lost with the connection.** Replies and publications belong to their connection and end with it.
//! - A [`Pub`] drops for subscribers that are too slow: [`Pub::send`] returns how many in [`Published`], and [`Stats`]
//!   counts them per peer.
//! - Connections are made again without end, with growing, randomly varied waits.
//! - `close` says how many messages were left unsent. Dropping a socket goes on sending for its
//!   [`linger`](Options::linger), 30 s unless set, and dropping the last handle of the [`Context`] waits for that.
//! - Bytes from outside never bring the process down: what is not ZMTP, or too much, ends that one connection with a
//!   [`ProtocolError`] that a [`Monitor`] reports.
//!
//! [`Options::allow`] says who is let in, by a list, by code or by a ZAP handler, and [`Options::plain_server`] by passwords. `bind` refuses a port that
//! would let in everybody on the network unseen. Nothing is encrypted unless that is asked for: with the feature `curve`,
//! [`Options::curve_server`] and `Options::curve_client` make sockets whose peers prove by keys who they are, and nobody else reads what they say.
//!
//! # Where things are
//!
//! - [`Options`] and their one table, [`OPTION_TABLE`]: high-water marks, times, limits, TCP.
//! - Features, all off by default: `curve` (encryption), `serde` (`Options` from configuration files, `Stats` and `Event`s into any format), `json` and
//!   `msgpack` (values as messages: `send_json`, `recv_json`, `Message::from_json`), `futures`, `tokio` and `async-io` (see
//!   [In tasks](#in-tasks)).
//! - The log: every event goes to the crate [`log`] under the target `zerohop`. Peers that break the protocol or do not fit, and
//!   messages that are refused, are warnings; peers that come and go are `info`, attempts to connect `debug`. About each peer there are ten
//!   lines of a level in ten seconds, and then the number of those left out.
//! - `recv_from` on every socket that receives: a message with its [`Origin`], which is the peer's address and who it is.
//! - [`Monitor`]: what happens to connections, as it happens; [`Stats`]: what has happened so far, in numbers.
//! - Errors are named after what failed: [`SendError`] gives the message back, [`RequestError`] tells an unsent
//!   request from an unanswered one.
//! - `wait_for_peers` on every socket and [`Pub::wait_for_subscribers`], so that nobody has to sleep at the start.
//! - [`Context::shutdown`] ends every blocking call of its sockets.
//!
//! In the repository: `examples/` with programs to run, `docs/guarantees.md` with what happens to a message in every
//! accident, and `docs/architecture.md` with how it works inside.

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
#[path = "bench_internals.rs"]
pub mod __bench;
#[cfg(feature = "cli-internals")]
#[doc(hidden)]
#[path = "cli_internals.rs"]
pub mod __cli;
mod auth;
mod context;
#[cfg(feature = "curve")]
mod curve;
mod engine;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key_text;
mod message;
mod monitor;
mod options;
mod origin;
mod pattern;
mod poller;
mod prefetch;
mod process;
mod proxy;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod reactor;
mod secret;
mod socket;
pub mod spool;
mod stats;
mod sync;
mod transport;
mod zmtp;

pub use auth::{Allow, Answer, AuthRequest, Verdict, ZapFault};
pub use bytes::Bytes;
pub use context::{Context, ContextOptions};
#[cfg(feature = "curve")]
pub use curve::{KeyError, KeyPair, PublicKey, SecretKey};
pub use engine::AddressLimit;
pub use error::{
    CloseError, ConnectError, GroupError, OptionError, ReceiptError, ReconfigureError, RecvError,
    ReplyError, ReplyErrorKind, RequestError, SendBatchError, SendError, SendErrorKind,
    SettleError, SocketError, SubscribeError, UnbindError, WaitError, WatchError,
};
#[cfg(any(feature = "json", feature = "msgpack"))]
pub use error::{RecvValueError, SendValueError};
#[cfg(any(feature = "json", feature = "msgpack"))]
pub use message::{DecodeError, EncodeError};
pub use message::{Frame, Frames, IntoFrames, Message, PartsError, Payload, RoutingId, TextError};
pub use monitor::{
    ConnectionId, ConnectionInfo, DisconnectCause, Event, IoFailure, Monitor, PeerRefusal,
    RefusalCause,
};
pub use options::{
    Balancing, Change, CurveServer, Delivery, Idempotent, LibzmqOption, Log, OPTION_TABLE,
    OptionInfo, Options, Share, SlowSubscriber, Weigh,
};
pub use origin::Origin;
pub use pattern::{
    DeadLetter, DeadReason, JobId, Published, Routed, Settled, Source, Subscription, Upstream,
};
pub use poller::{Poller, PollerWaker, Ready};
pub use proxy::{
    Proxy, ProxyControl, ProxyEnd, ProxyEndCause, ProxyStatistics, SideStatistics, proxy,
};
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub use reactor::Reactor;
pub use secret::Secret;
pub use socket::{
    AnySocket, Ask, Channel, Client, Dealer, Dish, Gap, Gather, GroupMessage, Incoming,
    IncomingJob, Iter, Job, Logged, Pair, Peer, PollRecv, PollSend, Pub, Pull, Push, Radio,
    ReadyFd, Receipt, RecvSocket, Rep, ReplayFrom, Req, Request, Retry, Router, Scatter,
    SendSocket, Server, Stream, Sub, Xpub, Xsub,
};
#[cfg(feature = "futures")]
pub use socket::{RecvStream, SendSink};
pub use stats::{DeliveryStats, Dropped, PeerStats, Stats};
pub use transport::{BindError, Endpoint, EndpointError};
pub use zmtp::{
    Credentials, DeliveryError, Denial, ForeignProtocol, IpcCredentials, PeerFacts, Principal,
    ProtocolError, SocketType, SocketTypes, Version,
};

/// Runs the code of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the code of a page as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/production.md")]
struct Production;

/// Runs the code of a page as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;

/// Runs the code of a page as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating.md")]
struct Migrating;

/// Runs the code of a page as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/closed-ports.md")]
struct ClosedPorts;

/// Runs the code of a page as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/delivery.md")]
struct DeliveryPage;
