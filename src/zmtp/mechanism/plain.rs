//! PLAIN: a name and a password, in clear (RFC 24). Who reads the wire knows both, and all that is said.
//!
//! ```text
//!   client                                  server
//!   HELLO, name and password -->
//!                                           asks who decides
//!                            <-- WELCOME    or ERROR
//!   INITIATE, metadata       -->
//!                            <-- READY, metadata
//! ```
//!
//! Who is the client is set by options, and not by who has connected. The client shows nothing before it knows that the other
//! side's mechanism is PLAIN; whether that checks the password, it cannot know.

use crate::secret::Secret;
use crate::zmtp::ProtocolError;
use crate::zmtp::command::{READY, parse_reason, put_command, put_ready, split_name};
use crate::zmtp::credentials::Credentials;
use crate::zmtp::error::quote;
use crate::zmtp::handshake::HandshakeConfig;
use crate::zmtp::mechanism::{Progress, Security, unexpected};
use crate::zmtp::metadata::Metadata;

const HELLO: &[u8] = b"HELLO";
const WELCOME: &[u8] = b"WELCOME";
const INITIATE: &[u8] = b"INITIATE";

/// How libzmq's PLAIN server begins an ERROR, since 4.3.0: in its source, what is meant to be a length and a name reads as one escape.
const ERROR_OF_LIBZMQ: &[u8] = b"\x5eRROR";

/// The side that shows who it is.
#[derive(Debug)]
pub(in crate::zmtp) struct PlainClient {
    welcomed: bool,
    /// What it says of itself when it is welcome.
    metadata: Vec<u8>,
}

impl PlainClient {
    pub(super) fn new(config: &HandshakeConfig) -> PlainClient {
        PlainClient {
            welcomed: false,
            metadata: config.metadata.clone(),
        }
    }

    pub(super) fn start(&mut self, username: &str, password: &Secret, out: &mut Vec<u8>) {
        let (name, password) = (cut(username.as_bytes()), cut(password.expose()));
        // The cuts make the lengths fit; options that long are refused.
        let (name_len, password_len) = ([name.len() as u8], [password.len() as u8]);
        put_command(out, HELLO, &[&name_len, name, &password_len, password]);
    }

    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        if let Some(data) = body.strip_prefix(ERROR_OF_LIBZMQ) {
            let reason = quote(parse_reason(data)?);
            return Err(ProtocolError::PeerError { reason });
        }
        match (split_name(body), self.welcomed) {
            (Some((WELCOME, [])), false) => {
                self.welcomed = true;
                put_command(out, INITIATE, &[&self.metadata]);
                Ok(Progress::Wait)
            }
            (Some((WELCOME, _)), false) => Err(malformed(WELCOME)),
            (Some((READY, list)), true) => {
                Ok(Progress::Done(Metadata::parse(list)?, Security::Clear))
            }
            _ => Err(unexpected(body)),
        }
    }
}

/// The side that is shown it.
#[derive(Debug)]
pub(in crate::zmtp) struct PlainServer {
    admitted: bool,
    /// What it says of itself when the client has.
    metadata: Vec<u8>,
}

impl PlainServer {
    pub(super) fn new(config: &HandshakeConfig) -> PlainServer {
        PlainServer {
            admitted: false,
            metadata: config.metadata.clone(),
        }
    }

    pub(super) fn admit(&mut self, out: &mut Vec<u8>) -> Progress {
        self.admitted = true;
        put_command(out, WELCOME, &[]);
        Progress::Wait
    }

    pub(super) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match (split_name(body), self.admitted) {
            (Some((HELLO, data)), false) => {
                let credentials = parse_hello(data).ok_or_else(|| malformed(HELLO))?;
                Ok(Progress::Ask(credentials))
            }
            (Some((INITIATE, list)), true) => {
                let metadata = Metadata::parse(list)?;
                put_ready(out, &self.metadata);
                Ok(Progress::Done(metadata, Security::Clear))
            }
            _ => Err(unexpected(body)),
        }
    }
}

/// Both lengths have to fit exactly, and the name is text.
fn parse_hello(data: &[u8]) -> Option<Credentials> {
    let (username, rest) = split_name(data)?;
    let (password, rest) = split_name(rest)?;
    let username = str::from_utf8(username).ok()?.to_owned();
    let password = Secret::from(password);
    rest.is_empty()
        .then_some(Credentials::Plain { username, password })
}

fn malformed(name: &[u8]) -> ProtocolError {
    ProtocolError::MalformedCommand { name: quote(name) }
}

fn cut(bytes: &[u8]) -> &[u8] {
    bytes.get(..usize::from(u8::MAX)).unwrap_or(bytes)
}
