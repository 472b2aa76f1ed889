//! The client's side of the handshake: it knows the server's key beforehand.

use zeroize::Zeroizing;

use super::{
    COOKIE, Drawn, ENTROPY, HELLO_NONCE, HELLO_PADDING, HELLO_ZEROS, INITIATE_NONCE, READY_NONCE,
    Session, VOUCH, VOUCH_NONCE, VOUCH_TEXT, WELCOME, WELCOME_NONCE, WELCOME_TEXT, counted, drawn,
    split_box,
};
use crate::curve::{BoxKey, KEY, KeyPair, MAC, PublicKey, SecretKey};
use crate::zmtp::ProtocolError;
use crate::zmtp::command::{self, split_name};
use crate::zmtp::frame::{FrameKind, put_frame};
use crate::zmtp::handshake::HandshakeConfig;
use crate::zmtp::mechanism::{Progress, Security, unexpected};
use crate::zmtp::metadata::Metadata;

/// The counters of what a client sends first.
const HELLO_AT: u64 = 1;
const INITIATE_AT: u64 = 2;

/// See the module.
#[derive(Debug)]
pub(in crate::zmtp) struct Client {
    /// C and c.
    keys: KeyPair,
    /// S.
    server: PublicKey,
    /// C' and c'.
    ephemeral: KeyPair,
    vouch_nonce: [u8; 16],
    metadata: Vec<u8>,
    state: State,
}

enum State {
    Start,
    /// With the key between C' and S.
    AwaitWelcome(BoxKey),
    /// With the key between C' and S'.
    AwaitReady(BoxKey),
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Start => "Start",
            State::AwaitWelcome(_) => "AwaitWelcome",
            State::AwaitReady(_) => "AwaitReady",
            State::Done => "Done",
        })
    }
}

impl Client {
    pub(in crate::zmtp::mechanism) fn new(
        keys: &KeyPair,
        server: &PublicKey,
        entropy: &Zeroizing<[u8; ENTROPY]>,
    ) -> Client {
        let parts = Drawn::new(entropy);
        Client {
            keys: keys.clone(),
            server: *server,
            ephemeral: KeyPair::from(SecretKey::from_bytes(parts.secret)),
            vouch_nonce: parts.nonce,
            metadata: Vec::new(),
            state: State::Start,
        }
    }

    /// HELLO.
    pub(in crate::zmtp::mechanism) fn start(
        &mut self,
        config: &HandshakeConfig,
        out: &mut Vec<u8>,
    ) -> Progress {
        self.metadata.clone_from(&config.metadata);
        // With a server's key that protects nothing no answer opens, and none is waited for.
        let Some(key) = BoxKey::between(&self.server, self.ephemeral.secret()) else {
            return Progress::Wait;
        };
        let mut zeros = [0; HELLO_ZEROS];
        let mac = key.seal(&counted(HELLO_NONCE, HELLO_AT), &mut zeros);
        let mut body = Vec::with_capacity(200);
        body.extend_from_slice(b"\x05HELLO\x01\x00");
        body.extend_from_slice(&[0; HELLO_PADDING]);
        body.extend_from_slice(self.ephemeral.public().as_bytes());
        body.extend_from_slice(&HELLO_AT.to_be_bytes());
        body.extend_from_slice(&mac);
        body.extend_from_slice(&zeros);
        put_frame(out, FrameKind::Command, &body);
        self.state = State::AwaitWelcome(key);
        Progress::Wait
    }

    pub(in crate::zmtp::mechanism) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match (
            std::mem::replace(&mut self.state, State::Start),
            split_name(body),
        ) {
            (State::AwaitWelcome(key), Some((WELCOME, data))) => {
                let session = self.welcome(&key, data, out)?;
                self.state = State::AwaitReady(session);
                Ok(Progress::Wait)
            }
            (State::AwaitReady(key), Some((command::READY, data))) => {
                let (metadata, counter) = ready(&key, data)?;
                self.state = State::Done;
                let session = Session::client(key, INITIATE_AT, counter);
                Ok(Progress::Done(
                    metadata,
                    Security::Sealed(Box::new(session)),
                ))
            }
            _ => Err(unexpected(body)),
        }
    }

    /// Takes the WELCOME, and answers with INITIATE. Gives the key between C' and S'.
    fn welcome(
        &self,
        key: &BoxKey,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<BoxKey, ProtocolError> {
        let malformed = || ProtocolError::MalformedCommand {
            name: String::from("WELCOME"),
        };
        let (nonce, sealed) = data.split_first_chunk().ok_or_else(malformed)?;
        let (mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
        let sealed: &[u8; WELCOME_TEXT] = sealed.try_into().map_err(|_| malformed())?;
        let bad_box = ProtocolError::BadBox { command: "WELCOME" };
        let mut text = *sealed;
        if !key.open(&drawn(WELCOME_NONCE, nonce), mac, &mut text) {
            return Err(bad_box);
        }
        let (server, cookie) = text.split_first_chunk::<KEY>().ok_or_else(malformed)?;
        let server = PublicKey::from_bytes(*server);
        let Some(session) = BoxKey::between(&server, self.ephemeral.secret()) else {
            return Err(bad_box);
        };
        let Some(permanent) = BoxKey::between(&server, self.keys.secret()) else {
            return Err(bad_box);
        };
        let mut vouch = [0; VOUCH_TEXT];
        vouch[..KEY].copy_from_slice(self.ephemeral.public().as_bytes());
        vouch[KEY..].copy_from_slice(self.server.as_bytes());
        let vouch_mac = permanent.seal(&drawn(VOUCH_NONCE, &self.vouch_nonce), &mut vouch);

        let mut text = Vec::with_capacity(KEY + VOUCH + self.metadata.len());
        text.extend_from_slice(self.keys.public().as_bytes());
        text.extend_from_slice(&self.vouch_nonce);
        text.extend_from_slice(&vouch_mac);
        text.extend_from_slice(&vouch);
        text.extend_from_slice(&self.metadata);
        let mac = session.seal(&counted(INITIATE_NONCE, INITIATE_AT), &mut text);

        let mut body = Vec::with_capacity(9 + COOKIE + 8 + MAC + text.len());
        body.extend_from_slice(b"\x08INITIATE");
        body.extend_from_slice(cookie);
        body.extend_from_slice(&INITIATE_AT.to_be_bytes());
        body.extend_from_slice(&mac);
        body.extend_from_slice(&text);
        put_frame(out, FrameKind::Command, &body);
        Ok(session)
    }
}

/// Opens the READY: what the server says of itself, and its counter.
fn ready(key: &BoxKey, data: &[u8]) -> Result<(Metadata, u64), ProtocolError> {
    let malformed = || ProtocolError::MalformedCommand {
        name: String::from("READY"),
    };
    let (counter, sealed) = data.split_first_chunk().ok_or_else(malformed)?;
    let (mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
    let counter = u64::from_be_bytes(*counter);
    let mut text = sealed.to_vec();
    if !key.open(&counted(READY_NONCE, counter), mac, &mut text) {
        return Err(ProtocolError::BadBox { command: "READY" });
    }
    Ok((Metadata::parse(&text)?, counter))
}
