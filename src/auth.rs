//! Who is let in: what is asked about a peer, who decides, and the verdict.
//!
//! | file | what |
//! |---|---|
//! | `allow` | [`Allow`]: what decides, a list or code of the application |
//! | `path` | a list in a file or a directory |
//! | `zap` | asking a handler of RFC 27 |
//! | `answer` | [`Answer`]: the verdict on its way to the handshake that waits for it |
//!
//! The engine asks ([`Authenticator`]) in the middle of a handshake, under the lock of a socket. A list answers there and then. Code of the
//! application runs with no lock held, on a thread that is there for this alone, and a handshake that waits takes nothing but its place
//! among those that are under way.

mod allow;
mod answer;
mod path;
mod zap;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use allow::Allow;
pub use answer::Answer;
pub(crate) use answer::{Ask, Deciding};
pub use zap::ZapFault;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use zap::fuzzing::zap as fuzz_zap;
pub(crate) use zap::{HANDLER, Zap};

use crate::engine::ContextInner;
use crate::options::Options;
use crate::zmtp::{Credentials, Denial, Grant, IpcCredentials, Principal, SocketType};

/// A peer that wants to be let in, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthRequest {
    /// The mechanism, by its wire name: `NULL`, `PLAIN` or `CURVE`.
    pub mechanism: &'static str,
    /// What the peer has shown of who it is.
    pub credentials: Credentials,
    /// The endpoint of this socket: as reported by `bind`, or as given to `connect`.
    pub endpoint: String,
    /// The other side, in the form of an endpoint as far as it has an address.
    pub peer: String,
    /// The peer's address, over tcp.
    pub ip: Option<IpAddr>,
    /// The peer's process, over ipc.
    pub ipc: Option<IpcCredentials>,
    /// The domain of this socket, [`zap_domain`](crate::Options::zap_domain); may be empty.
    pub domain: String,
    /// The type of this socket.
    pub socket_type: SocketType,
    /// The routing id of this socket; may be empty. The peer's is not known before it is let in.
    pub routing_id: Bytes,
}

impl AuthRequest {
    /// Who the peer is if it is let in.
    pub fn principal(&self) -> Option<Principal> {
        let by_system = || self.ipc.map(|ipc| Principal::Uid(ipc.uid));
        self.credentials.principal().or_else(by_system)
    }
}

/// Whether a peer is let in.
///
/// ```
/// use zerohop::Verdict;
///
/// let verdict: Verdict = true.into();
/// assert_eq!(verdict, Verdict::allow());
/// assert_ne!(verdict, Verdict::deny("who is that?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict(Result<Grant, Denied>);

/// Why a peer is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) denial: Denial,
    pub(crate) reason: String,
    /// The handler has said nothing that makes sense.
    pub(crate) fault: Option<ZapFault>,
}

impl Verdict {
    /// The peer is let in.
    pub fn allow() -> Verdict {
        Verdict(Ok(Grant::default()))
    }

    /// The peer is let in, and this is who it is ([`PeerFacts::principal`](crate::PeerFacts::principal)).
    pub fn allow_as(user_id: impl Into<String>) -> Verdict {
        Verdict(Ok(Grant {
            user_id: user_id.into(),
            metadata: Vec::new(),
        }))
    }

    /// The peer is not let in. The reason is for our own log; the peer is told 400 and no more.
    pub fn deny(reason: impl Into<String>) -> Verdict {
        Verdict::deny_with(Denial::Credentials, reason)
    }

    /// The same, for another cause than the peer's credentials.
    pub fn deny_with(denial: Denial, reason: impl Into<String>) -> Verdict {
        Verdict(Err(Denied {
            denial,
            reason: reason.into(),
            fault: None,
        }))
    }

    /// The peer is let in, and this is who it is and what is said of it.
    fn allow_with(user_id: &str, metadata: Vec<(String, Bytes)>) -> Verdict {
        let user_id = user_id.to_owned();
        Verdict(Ok(Grant { user_id, metadata }))
    }

    fn fault(fault: ZapFault) -> Verdict {
        Verdict(Err(Denied {
            denial: Denial::Internal,
            reason: fault.to_string(),
            fault: Some(fault),
        }))
    }

    /// Whether the peer is let in.
    pub fn is_allowed(&self) -> bool {
        self.0.is_ok()
    }

    pub(crate) fn into_result(self) -> Result<Grant, Denied> {
        self.0
    }
}

impl From<bool> for Verdict {
    fn from(allowed: bool) -> Verdict {
        match allowed {
            true => Verdict::allow(),
            false => Verdict::deny("the application does not let it in"),
        }
    }
}

/// How a socket finds out whether a peer is let in.
#[derive(PartialEq)]
pub(crate) struct Authenticator {
    allow: Allow,
    domain: String,
    enforces_domain: bool,
}

impl Authenticator {
    pub(crate) fn new(options: &Options) -> Authenticator {
        Authenticator {
            allow: options.allow.clone(),
            domain: options.zap_domain.clone(),
            enforces_domain: options.zap_enforce_domain,
        }
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether peers are let in by a verdict only, whatever they show.
    pub(crate) fn is_there(&self) -> bool {
        !self.allow.is_anyone() || !self.domain.is_empty()
    }

    /// Whether a ZAP handler is asked, and what it means that there is none.
    fn zap(&self, request: &AuthRequest) -> Handler {
        let shows = !matches!(request.credentials, Credentials::None);
        if self.domain.is_empty() && !(self.allow.is_anyone() && shows) {
            return Handler::NotAsked;
        }
        let password = matches!(request.credentials, Credentials::Plain { .. });
        let required = (self.allow.is_anyone() && password)
            || (self.enforces_domain && !self.domain.is_empty());
        match required {
            true => Handler::Required,
            false => Handler::AskedIfThere,
        }
    }

    /// The verdict, where that takes neither code of the application nor a system call.
    pub(crate) fn decide_at_once(
        &self,
        request: &AuthRequest,
        context: &ContextInner,
    ) -> Option<Verdict> {
        let listed = self.allow.decide_at_once(request)?;
        if !listed.is_allowed() {
            return Some(listed);
        }
        match self.zap(request) {
            Handler::NotAsked => Some(listed),
            _ if context.has_zap_handler() => None,
            Handler::AskedIfThere => Some(listed),
            Handler::Required => Some(no_handler(request)),
        }
    }

    /// Finds the verdict, with no lock held, and says it to `answer`, now or later.
    pub(crate) fn decide(&self, request: AuthRequest, answer: Answer, context: &Arc<ContextInner>) {
        let Some((request, answer)) = self.allow.decide(request, answer) else {
            return;
        };
        match self.zap(&request) {
            Handler::NotAsked => answer.give(true),
            _ if context.has_zap_handler() => context.zap.ask(context, request, answer),
            Handler::AskedIfThere => answer.give(true),
            Handler::Required => answer.give(no_handler(&request)),
        }
    }
}

#[derive(Clone, Copy)]
enum Handler {
    NotAsked,
    AskedIfThere,
    Required,
}

fn no_handler(request: &AuthRequest) -> Verdict {
    let reason = format!(
        "nobody says who is let in by {}: there is neither `allow` nor a ZAP handler at inproc://{HANDLER}",
        request.mechanism
    );
    Verdict::deny_with(Denial::Internal, reason)
}
