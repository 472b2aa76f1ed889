//! zerohop: brokerless messaging sockets that speak ZMTP 3.1.

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
#[path = "bench_internals.rs"]
pub mod __bench;
mod context;
mod engine;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod monitor;
mod options;
mod pattern;
mod socket;
mod stats;
mod transport;
mod zmtp;

pub use bytes::Bytes;
pub use context::Context;
pub use error::{
    CloseError, ConnectError, OptionError, RecvError, ReplyError, ReplyErrorKind, RequestError,
    SendBatchError, SendError, SendErrorKind, SocketError, SubscribeError, UnbindError, WaitError,
};
pub use message::{Frame, Frames, IntoFrames, Message, Payload};
pub use monitor::{ConnectionId, ConnectionInfo, DisconnectCause, Event, IoFailure, Monitor};
pub use options::{LibzmqOption, OPTION_TABLE, OptionInfo, Options};
pub use pattern::Published;
pub use socket::{Iter, Pub, Pull, Push, Rep, Req, Request, Sub};
pub use stats::{Dropped, PeerStats, Stats};
pub use transport::{BindError, Endpoint, EndpointError};
pub use zmtp::{ForeignProtocol, PeerFacts, ProtocolError, SocketType, Version};
