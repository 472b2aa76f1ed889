//! Byte streams between peers: where they listen, how they dial, how bytes go in and out.
//!
//! # What a transport must provide
//!
//! The engine knows no transport by name. It knows what follows, and a further transport joins by
//! providing the same five things and a row in the table below.
//!
//! 1. *An address form.* A variant of [`Address`], parsed strictly by [`Endpoint`]'s `FromStr` and
//!    printed in one canonical spelling, since equal endpoints are what `unbind` and `disconnect` match.
//! 2. *A listener*, [`Listener`]: `bind` may block (it is a call of the application, made with no lock
//!    held), `accept` never does. It reports the concrete endpoint (`tcp://0.0.0.0:49152` for
//!    `tcp://*:*`), and leaves nothing behind when it is dropped.
//! 3. *A dialer*, [`dial::dial`]: starts a connection and returns at once. Names were turned into
//!    addresses before, in the background, by [`Resolver`].
//! 4. *A stream*, [`Stream`]: reliable, ordered bytes. Non-blocking; one system call per read or write
//!    and none besides; `WouldBlock` when there is nothing to do; `Ok(0)` from a read is the end.
//!    What the peer wrote before it closed stays readable, whatever the readiness event said of hang-ups.
//! 5. *Readiness*: listener and stream are [`mio::event::Source`]s, edge-triggered: whoever gets an
//!    event must read, write or accept until `WouldBlock`, or remember that it did not.
//!
//! Nothing here locks, keeps time, retries a connection or knows what the bytes mean.
//!
//! # Schemes
//!
//! | scheme | address forms | bind only | connect only | code |
//! |---|---|---|---|---|
//! | `tcp` | `host:port`, `1.2.3.4:port`, `[v6]:port`, `[v6%zone]:port` | `*` and interface names as host; `*` or `0` as port | `source;destination` | [`listener`], [`dial`] |
//! | `ipc` | `path`; `@name` (abstract, Linux) | `*` | – | [`listener`], [`dial`] |
//! | `inproc` | any name | – | – | parsed here, carried by the engine |
//!
//! # inproc is different
//!
//! It has no bytes: messages move from socket to socket as values, within one context. There is no
//! descriptor to poll, no greeting, no address to resolve, and connecting before binding is allowed. So the
//! engine carries it; the only thing it has in common with the others is its endpoint, and the only thing
//! found here is how that is parsed. [`Listener::bind`] and [`dial::resolve`] refuse it.

mod credentials;
pub(crate) mod dial;
mod endpoint;
mod error;
mod interface;
mod listener;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod memory;
mod options;
mod resolver;
mod socket_file;
mod stream;
mod transit;
mod uninit;

#[cfg(test)]
mod tests;

pub(crate) use self::endpoint::Address;
pub use self::endpoint::Endpoint;
pub(crate) use self::error::Reason;
pub use self::error::{BindError, EndpointError};
pub(crate) use self::listener::{Listener, is_exhaustion};
pub(crate) use self::options::{Keepalive, StreamOptions};
pub(crate) use self::resolver::{JobQueue, Resolver, Swept, Unwanted, Wanted};
pub(crate) use self::stream::{SEGMENT, Stream};
pub(crate) use self::transit::Transit;
