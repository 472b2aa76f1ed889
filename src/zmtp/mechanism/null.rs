//! NULL: no security. Each side sends READY right behind its greeting, without waiting for the other's, and is done when
//! the other's is in.
//!
//! ```text
//!   A: READY -->        either may be ERROR instead
//!   B: <-- READY
//! ```

use crate::zmtp::ProtocolError;
use crate::zmtp::command::{self, parse_reason, put_ready, split_name};
use crate::zmtp::error::quote;
use crate::zmtp::handshake::HandshakeConfig;
use crate::zmtp::metadata::Metadata;

#[derive(Debug)]
pub(in crate::zmtp) struct Null;

impl Null {
    pub(super) fn start(&mut self, config: &HandshakeConfig, out: &mut Vec<u8>) {
        put_ready(out, &config.metadata);
    }

    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<Option<Metadata>, ProtocolError> {
        match split_name(body) {
            Some((command::READY, list)) => Ok(Some(Metadata::parse(list)?)),
            Some((command::ERROR, data)) => Err(ProtocolError::PeerError {
                reason: quote(parse_reason(data)?),
            }),
            Some((name, _)) => Err(ProtocolError::UnexpectedCommand { name: quote(name) }),
            None if body.is_empty() => Err(ProtocolError::UnexpectedCommand {
                name: String::new(),
            }),
            None => Err(ProtocolError::MalformedCommand {
                name: String::new(),
            }),
        }
    }
}
