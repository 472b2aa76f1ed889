//! The protocol as pure state machines: bytes in, events out. No sockets, no threads, no clock.
//!
//! A connection is one [`Handshake`], then one [`Scanner`] for what is received; what is sent is encoded
//! straight into an out-buffer by [`encode_header`] and the `put_` functions of [`Command`]'s module. Both
//! directions are independent: there is nothing to pump between them.
//!
//! ```text
//!   Handshake::new           bytes to send -> out
//!   Handshake::handle_input  bytes received -> out, and in the end Established
//!   Scanner::scan            the rest, and all further bytes -> message parts and commands
//!   Heartbeat                beside it: `received` for every read, `handle_timeout` at its `deadline`
//! ```
//!
//! The caller owns all buffers. Every parser takes the bytes not yet consumed, from the first on, and says
//! how many it took; what it did not take, it wants to see again with more behind it. The outcome never
//! depends on how the bytes were cut into reads.
//!
//! **Hostile input ends here.** Nothing in this module panics, whatever the bytes. A size from the wire meets
//! checked arithmetic and its limit when the header is read, before anything is stored for it. Whatever
//! is wrong is a [`ProtocolError`] that says exactly what, and closes that one connection.
//!
//! # What is on the wire, and where it is written and read
//!
//! | what                              | bytes                                       | module        |
//! |-----------------------------------|---------------------------------------------|---------------|
//! | greeting                          | `FF`, 8 padding, `7F`, major, minor, mechanism\[20\], as-server, 31 zero | `greeting` |
//! | flag MORE, LONG, COMMAND          | `01`, `02`, `04` in a frame's first byte    | `frame`       |
//! | READY, ERROR                      | `05 "READY"`, `05 "ERROR"`                  | `command`     |
//! | SUBSCRIBE, CANCEL (3.1)           | `09 "SUBSCRIBE"`, `06 "CANCEL"`             | `command`     |
//! | subscribe, cancel (3.0 and below) | messages that begin with `01`, `00`         | `command`     |
//! | PING, PONG                        | `04 "PING"`, `04 "PONG"`                    | `command`     |
//! | RUN, SETTLE                       | `03 "RUN"`, `06 "SETTLE"`, to who knows them | `delivery`    |
//! | REPLAY, START, AT, GAP, NEXT      | `06 "REPLAY"`..., to who knows them         | `replay`      |
//! | properties                        | `Socket-Type`, `Identity`, `Max-`..., `Delivery`, `Log`, `Idempotent`, `X-`... | `metadata`    |
//! | socket types                      | names in 3.x, the numbers 0 to 10 in 2.0    | `socket_type` |
//! | HELLO, WELCOME, INITIATE          | `05 "HELLO"`, `07 "WELCOME"`, `08 "INITIATE"` | `mechanism::plain` |
//! | mechanisms                        | `NULL`, `PLAIN`, `CURVE`                    | `mechanism`   |
//! | HELLO, WELCOME, INITIATE, MESSAGE | what CURVE seals, and around it             | `mechanism/curve` |

mod command;
mod credentials;
pub(crate) mod delivery;
mod error;
mod frame;
mod greeting;
mod handshake;
mod heartbeat;
pub(crate) mod idempotent;
mod mechanism;
mod metadata;
mod peer;
pub(crate) mod replay;
mod socket_type;
mod traffic;

#[cfg(test)]
mod tests;

pub(crate) use command::{Command, put_cancel, put_membership, put_ping, put_pong, put_subscribe};
pub(crate) use credentials::Grant;
pub use credentials::{Credentials, Denial, IpcCredentials, Principal};
pub use delivery::DeliveryError;
pub use error::{ForeignProtocol, ProtocolError};
pub(crate) use frame::{
    FrameKind, Header, MAX_HEADER, SHORT_HEADER, decode_header, encode_header, long_header,
    long_message, plain_message, short_header, short_message,
};
pub(crate) use handshake::{Established, Handshake, HandshakeConfig};
pub(crate) use heartbeat::{Heartbeat, HeartbeatAction, HeartbeatConfig, Outgoing};
#[cfg(all(
    any(test, feature = "fuzzing", feature = "bench-internals"),
    feature = "curve"
))]
pub(crate) use mechanism::Session;
#[cfg(feature = "curve")]
pub(crate) use mechanism::{
    CurveConfig, CurveRole, Entropy, LongFrame, MESSAGE_OVERHEAD, Opener, SealedEnd, Sealer,
};
pub(crate) use mechanism::{MechanismConfig, Security};
pub(crate) use metadata::{Metadata, own_metadata, put_property};
pub(crate) use peer::Announced;
pub use peer::{PeerFacts, Version};
pub use socket_type::{SocketType, SocketTypes};
pub(crate) use traffic::{Limits, Scanned, Scanner};
// For the fuzz targets and the tests, which speak the protocol by hand.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{
    command::{put_error, put_ready},
    frame::put_frame,
    traffic::Passed,
};
