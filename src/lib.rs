//! zerohop: brokerless messaging sockets that speak ZMTP 3.1.

mod pattern;
mod transport;
mod zmtp;

pub use zmtp::{ForeignProtocol, PeerFacts, ProtocolError, SocketType, Version};
