//! Security mechanisms: who proves what to whom between greeting and traffic.
//!
//! A mechanism is a file here, a variant of [`MechanismConfig`] and one of [`Mechanism`]; the compiler
//! leads from there. It sees the bodies of the peer's handshake commands, appends whole frames of its own
//! to `out`, and says with each step how far it has come ([`Progress`]).
//!
//! ```text
//!   start ---> handle_command ---> ... ---> Progress::Done, with the peer's metadata
//!     |              |
//!     +--------------+--> Progress::Ask, with the peer's credentials: nothing is taken until a verdict is there
//!                    |        admit  ---> goes on as a step of the handshake does
//!                    |        refuse ---> what it appends is to be sent, and the connection to be closed
//!                    +--> error: what is in `out` by then is still to be sent
//! ```
//!
//! A mechanism that encrypts has a session when it is done ([`Security`]), in two halves with their own counters:
//! - *seal* works where bytes leave the out-buffer, frame by frame, never where they enter it: the
//!   out-buffer stays plain, so that after a lost connection its messages can go to another peer.
//! - *open* works on each whole frame before it is scanned as the message part or command inside.

#[cfg(feature = "curve")]
mod curve;
mod null;
mod plain;

#[cfg(feature = "curve")]
use std::sync::Arc;

use super::ProtocolError;
use super::command::{self, parse_reason, put_error, split_name};
use super::credentials::{Credentials, Denial};
use super::error::quote;
use super::handshake::HandshakeConfig;
use super::metadata::Metadata;
use crate::secret::Secret;
#[cfg(feature = "curve")]
pub(crate) use curve::{
    CurveConfig, CurveRole, Entropy, LongFrame, MESSAGE_OVERHEAD, Opener, SealedEnd, Sealer,
    Session,
};
use null::Null;
use plain::{PlainClient, PlainServer};

/// Which mechanism a socket uses, and with what keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MechanismConfig {
    /// No security: everyone is let in, nothing is encrypted; unless peers wait for a verdict
    /// ([`HandshakeConfig::authenticates`]).
    Null,
    /// A name and a password, in clear: the side that shows them.
    PlainClient { username: String, password: Secret },
    /// The side that asks whether they are good enough.
    PlainServer,
    /// Both sides prove by a key who they are, and everything is encrypted.
    #[cfg(feature = "curve")]
    Curve(Arc<CurveConfig>),
}

/// What is around messages when the handshake is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing: they travel in clear.
    Clear,
    /// There are no messages: the peer does not speak ZMTP.
    Raw,
    #[cfg(feature = "curve")]
    Sealed(Box<Session>),
}

impl MechanismConfig {
    /// The name in the greeting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::PlainClient { .. } | Self::PlainServer => "PLAIN",
            #[cfg(feature = "curve")]
            Self::Curve(_) => "CURVE",
        }
    }

    /// Whether this side's first command may follow its greeting at once, before the peer's mechanism is known: where it holds no
    /// secret, and so saves a wait for the peer.
    pub(super) fn starts_early(&self) -> bool {
        match self {
            Self::Null => true,
            Self::PlainClient { .. } | Self::PlainServer => false,
            #[cfg(feature = "curve")]
            Self::Curve(_) => false,
        }
    }

    /// The as-server byte of the greeting. Where a mechanism has a client and a server, which of them this socket is belongs into
    /// the mechanism's variant here, beside its keys (libzmq: `ZMQ_PLAIN_SERVER`, `ZMQ_CURVE_SERVER`): a server may connect,
    /// and a client may bind. The RFC wants zero where there are no roles.
    pub(super) fn as_server(&self) -> bool {
        match self {
            Self::Null | Self::PlainClient { .. } => false,
            Self::PlainServer => true,
            #[cfg(feature = "curve")]
            Self::Curve(config) => matches!(config.role, CurveRole::Server),
        }
    }

    /// Whether this side shows who it is, and asks nobody whether its peer is let in.
    pub(crate) fn is_client(&self) -> bool {
        match self {
            Self::Null | Self::PlainServer => false,
            Self::PlainClient { .. } => true,
            #[cfg(feature = "curve")]
            Self::Curve(config) => matches!(config.role, CurveRole::Client(_)),
        }
    }

    /// Whether a peer that is refused when the handshake is done may be told why, in clear.
    pub(super) fn says_why(&self) -> bool {
        match self {
            Self::Null | Self::PlainClient { .. } | Self::PlainServer => true,
            #[cfg(feature = "curve")]
            Self::Curve(_) => false,
        }
    }
}

/// How far a step has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// The peer's next command is waited for.
    Wait,
    /// The mechanism goes on when it is known whether the peer is let in that has shown this.
    Ask(Credentials),
    /// The handshake is done: the peer has said this of itself, and this is what is around messages.
    Done(Metadata, Security),
}

/// One handshake's run of its mechanism.
#[derive(Debug)]
pub(super) enum Mechanism {
    Null(Null),
    PlainClient(PlainClient),
    PlainServer(PlainServer),
    #[cfg(feature = "curve")]
    CurveClient(Box<curve::Client>),
    #[cfg(feature = "curve")]
    CurveServer(Box<curve::Server>),
}

impl Mechanism {
    /// Makes the mechanism that `config` names.
    pub(super) fn new(config: &HandshakeConfig) -> Result<Self, ProtocolError> {
        match &config.mechanism {
            MechanismConfig::Null => Ok(Self::Null(Null)),
            MechanismConfig::PlainClient { .. } => Ok(Self::PlainClient(PlainClient::new(config))),
            MechanismConfig::PlainServer => Ok(Self::PlainServer(PlainServer::new(config))),
            #[cfg(feature = "curve")]
            MechanismConfig::Curve(config) => config.mechanism(),
        }
    }

    /// Appends what this side sends without being asked. Called once: behind this side's greeting if the handshake
    /// [starts early](HandshakeConfig::starts_early), otherwise when both greetings are through.
    pub(super) fn start(&mut self, config: &HandshakeConfig, out: &mut Vec<u8>) -> Progress {
        match self {
            Self::Null(null) => null.start(config, out),
            Self::PlainClient(client) => {
                if let MechanismConfig::PlainClient { username, password } = &config.mechanism {
                    client.start(username, password, out);
                }
                Progress::Wait
            }
            Self::PlainServer(_) => Progress::Wait,
            #[cfg(feature = "curve")]
            Self::CurveClient(client) => client.start(config, out),
            #[cfg(feature = "curve")]
            Self::CurveServer(_) => Progress::Wait,
        }
    }

    /// Takes the body of the peer's next command and appends the answer, if there is one.
    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match self {
            Self::Null(null) => null.handle_command(body, out),
            Self::PlainClient(client) => client.handle_command(body, out),
            Self::PlainServer(server) => server.handle_command(body, out),
            #[cfg(feature = "curve")]
            Self::CurveClient(client) => client.handle_command(body, out),
            #[cfg(feature = "curve")]
            Self::CurveServer(server) => server.handle_command(body, out),
        }
    }

    /// The peer that was asked about is let in. Appends what it is told then.
    pub(super) fn admit(
        &mut self,
        config: &HandshakeConfig,
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match self {
            Self::Null(null) => Ok(null.admit(config, out)),
            // It asks about nobody.
            Self::PlainClient(_) => Ok(Progress::Wait),
            Self::PlainServer(server) => Ok(server.admit(out)),
            // It does not ask: it knows whom it talks to.
            #[cfg(feature = "curve")]
            Self::CurveClient(_) => Ok(Progress::Wait),
            #[cfg(feature = "curve")]
            Self::CurveServer(server) => Ok(server.admit(config, out)),
        }
    }

    /// It is not: appends what it is told of that. The command is the same in all mechanisms, and in clear.
    pub(super) fn refuse(denial: Denial, out: &mut Vec<u8>) {
        if let Some(reason) = denial.reason() {
            put_error(out, reason);
        }
    }
}

/// What it means that a command comes which is not the one that is waited for: an ERROR says why the peer goes.
fn unexpected(body: &[u8]) -> ProtocolError {
    match split_name(body) {
        Some((command::ERROR, data)) => match parse_reason(data) {
            Ok(reason) => ProtocolError::PeerError {
                reason: quote(reason),
            },
            Err(malformed) => malformed,
        },
        Some((name, _)) => ProtocolError::UnexpectedCommand { name: quote(name) },
        None if body.is_empty() => ProtocolError::UnexpectedCommand {
            name: String::new(),
        },
        None => ProtocolError::MalformedCommand {
            name: String::new(),
        },
    }
}
