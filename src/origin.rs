//! Who a message comes from.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::zmtp::{IpcCredentials, PeerFacts, Principal};

/// What is known of the peer that a message was received from: what [`recv_from`](crate::Pull::recv_from) gives beside the message.
///
/// It is of the peer's connection, which may have ended meanwhile. An endpoint that this socket connects to may have had several: then
/// it is of the last one.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Pull, Push};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let pull = Pull::new(&context)?;
/// let push = Push::new(&context)?;
/// push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
/// push.send("order 1")?;
/// let (message, origin) = pull.recv_from_timeout(Duration::from_secs(10))?;
/// assert_eq!(message, "order 1");
/// assert!(origin.socket_address().is_some_and(|address| address.ip().is_loopback()));
/// assert_eq!(origin.mechanism(), "NULL");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    endpoint: Arc<str>,
    address: Arc<str>,
    facts: Option<Arc<PeerFacts>>,
}

impl Origin {
    pub(crate) fn new(
        endpoint: &Arc<str>,
        address: &Arc<str>,
        facts: Option<Arc<PeerFacts>>,
    ) -> Origin {
        Origin {
            endpoint: Arc::clone(endpoint),
            address: Arc::clone(address),
            facts,
        }
    }

    /// The endpoint that it came by, as it was bound or connected to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address of the peer, as text: `tcp://192.0.2.7:49152`. Over `ipc` and `inproc` that is the endpoint.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same of a peer over tcp.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        self.address.strip_prefix("tcp://")?.parse().ok()
    }

    /// The routing id that the peer asks to be known by; empty if it asks for none. What a ROUTER calls it is beside the message there.
    pub fn routing_id(&self) -> &[u8] {
        self.facts.as_ref().map_or(&[], |facts| facts.routing_id())
    }

    /// The security mechanism of the connection, by its wire name; empty where no ZMTP is spoken.
    pub fn mechanism(&self) -> &'static str {
        self.facts.as_ref().map_or("", |facts| facts.mechanism())
    }

    /// Who the peer is, as far as that has been shown: see [`PeerFacts::principal`].
    pub fn principal(&self) -> Option<&Principal> {
        self.facts.as_ref()?.principal()
    }

    /// The process of a peer over `ipc`, with its user and number: see [`PeerFacts::ipc_credentials`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::{Context, Pull, Push};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = Context::new();
    /// let pull = Pull::new(&context)?;
    /// let push = Push::new(&context)?;
    /// push.connect(pull.bind("ipc://*")?)?;
    /// push.send("order 1")?;
    /// let (_, origin) = pull.recv_from_timeout(Duration::from_secs(10))?;
    /// let process = origin.ipc_credentials().map(|ipc| ipc.pid);
    /// assert_eq!(process, Some(std::process::id()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn ipc_credentials(&self) -> Option<IpcCredentials> {
        self.facts.as_ref()?.ipc_credentials()
    }

    /// All that the peer has said of itself in its handshake, and what was found out about it.
    pub fn facts(&self) -> Option<&PeerFacts> {
        self.facts.as_deref()
    }
}
