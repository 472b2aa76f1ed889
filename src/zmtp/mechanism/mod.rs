//! Security mechanisms: who proves what to whom between greeting and traffic.
//!
//! A mechanism is a file here, a variant of [`MechanismConfig`] and one of [`Mechanism`]; the compiler
//! leads from there. It sees the bodies of the peer's handshake commands, appends whole frames of its own
//! to `out`, and is done when it gives the peer's metadata.
//!
//! ```text
//!   start ---> handle_command ---> ... ---> handle_command gives Metadata
//!                    |
//!                    +--> error: what is in `out` by then is still to be sent
//! ```
//!
//! A mechanism that encrypts will hand out its session keys along with the metadata, in two halves with
//! their own counters:
//! - *seal* works where bytes leave the out-buffer, frame by frame, never where they enter it: the
//!   out-buffer stays plain, so that after a lost connection its messages can go to another peer.
//! - *open* works on each whole frame before it is scanned as the message part or command inside.

mod null;

use super::ProtocolError;
use super::handshake::HandshakeConfig;
use super::metadata::Metadata;
use null::Null;

/// Which mechanism a socket uses, and with what keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MechanismConfig {
    /// No security: everyone is let in, nothing is encrypted.
    Null,
}

impl MechanismConfig {
    /// The name in the greeting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
        }
    }

    /// Whether a ZMTP 2.0 peer may be talked to, which knows no mechanism at all.
    pub(super) fn permits_version_2(&self) -> bool {
        match self {
            Self::Null => true,
        }
    }

    /// Whether this side's first command may follow its greeting at once, before the peer's mechanism is known: where it holds no
    /// secret, and so saves a wait for the peer.
    pub(super) fn starts_early(&self) -> bool {
        match self {
            Self::Null => true,
        }
    }

    /// The as-server byte of the greeting. Where a mechanism has a client and a server, which of them this socket is belongs into
    /// the mechanism's variant here, beside its keys (libzmq: `ZMQ_PLAIN_SERVER`, `ZMQ_CURVE_SERVER`): a server may connect,
    /// and a client may bind. The RFC wants zero where there are no roles.
    pub(super) fn as_server(&self) -> bool {
        match self {
            Self::Null => false,
        }
    }
}

/// One handshake's run of its mechanism.
#[derive(Debug)]
pub(super) enum Mechanism {
    Null(Null),
}

impl Mechanism {
    /// Makes the mechanism that `config` names.
    pub(super) fn new(config: &HandshakeConfig) -> Self {
        match config.mechanism {
            MechanismConfig::Null => Self::Null(Null),
        }
    }

    /// Appends what this side sends without being asked. Called once: behind this side's greeting if the mechanism
    /// [starts early](MechanismConfig::starts_early), otherwise when both greetings are through.
    pub(super) fn start(&mut self, config: &HandshakeConfig, out: &mut Vec<u8>) {
        match self {
            Self::Null(null) => null.start(config, out),
        }
    }

    /// Takes the body of the peer's next command and appends the answer, if there is one. The peer's
    /// metadata ends the handshake.
    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Metadata>, ProtocolError> {
        match self {
            Self::Null(null) => null.handle_command(body, out),
        }
    }
}
