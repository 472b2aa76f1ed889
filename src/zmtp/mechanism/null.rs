//! NULL: no security. Each side sends READY right behind its greeting, without waiting for the other's, and is done when
//! the other's is in.
//!
//! ```text
//!   A: READY -->        either may be ERROR instead
//!   B: <-- READY
//! ```
//!
//! A side whose peers wait for a verdict asks for it when the greetings are through, and sends READY then. Both sides may do so: neither
//! waits for the other's READY before it asks (RFC 27, and libzmq).

use crate::zmtp::ProtocolError;
use crate::zmtp::command::{self, put_ready, split_name};
use crate::zmtp::credentials::Credentials;
use crate::zmtp::handshake::HandshakeConfig;
use crate::zmtp::mechanism::{Progress, Security, unexpected};
use crate::zmtp::metadata::Metadata;

#[derive(Debug)]
pub(in crate::zmtp) struct Null;

impl Null {
    pub(super) fn start(&mut self, config: &HandshakeConfig, out: &mut Vec<u8>) -> Progress {
        if config.authenticates {
            return Progress::Ask(Credentials::None);
        }
        self.admit(config, out)
    }

    pub(super) fn admit(&mut self, config: &HandshakeConfig, out: &mut Vec<u8>) -> Progress {
        put_ready(out, &config.metadata);
        Progress::Wait
    }

    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match split_name(body) {
            Some((command::READY, list)) => {
                Ok(Progress::Done(Metadata::parse(list)?, Security::Clear))
            }
            _ => Err(unexpected(body)),
        }
    }
}
