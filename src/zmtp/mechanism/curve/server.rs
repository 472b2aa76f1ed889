//! The server's side of the handshake: it learns who the client is, and keeps nothing of it before it has shown that it is there.

use zeroize::Zeroizing;

use super::{
    COOKIE, COOKIE_NONCE, COOKIE_TEXT, Drawn, ENTROPY, HELLO, HELLO_NONCE, HELLO_PADDING,
    HELLO_ZEROS, INITIATE, INITIATE_NONCE, READY_NONCE, Session, VOUCH, VOUCH_NONCE, VOUCH_TEXT,
    WELCOME_NONCE, WELCOME_TEXT, counted, drawn, split_box,
};
use crate::curve::{BoxKey, KEY, KeyPair, MAC, PublicKey, SecretKey};
use crate::zmtp::ProtocolError;
use crate::zmtp::command::split_name;
use crate::zmtp::credentials::Credentials;
use crate::zmtp::frame::{FrameKind, put_frame};
use crate::zmtp::handshake::HandshakeConfig;
use crate::zmtp::mechanism::{Progress, Security, unexpected};
use crate::zmtp::metadata::Metadata;

/// The counter of the READY.
const READY_AT: u64 = 1;

/// See the module.
#[derive(Debug)]
pub(in crate::zmtp) struct Server {
    /// S and s.
    keys: KeyPair,
    state: State,
}

enum State {
    AwaitHello(Zeroizing<Drawn>),
    /// With the key of the cookie, and nothing else.
    AwaitInitiate(BoxKey),
    AwaitVerdict(Box<Client>),
    /// The client is let in, or something was wrong.
    Over,
}

/// What is known of a client that has shown who it is.
struct Client {
    /// The key between C' and S'.
    key: BoxKey,
    /// The counter of its INITIATE.
    counter: u64,
    metadata: Metadata,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::AwaitHello(_) => "AwaitHello",
            State::AwaitInitiate(_) => "AwaitInitiate",
            State::AwaitVerdict(_) => "AwaitVerdict",
            State::Over => "Over",
        })
    }
}

impl Server {
    pub(in crate::zmtp::mechanism) fn new(
        keys: &KeyPair,
        entropy: &Zeroizing<[u8; ENTROPY]>,
    ) -> Server {
        Server {
            keys: keys.clone(),
            state: State::AwaitHello(Drawn::new(entropy)),
        }
    }

    pub(in crate::zmtp::mechanism) fn handle_command(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        match (
            std::mem::replace(&mut self.state, State::Over),
            split_name(body),
        ) {
            (State::AwaitHello(parts), Some((HELLO, data))) => {
                let cookie_key = hello(&self.keys, &parts, data, out)?;
                self.state = State::AwaitInitiate(cookie_key);
                Ok(Progress::Wait)
            }
            (State::AwaitInitiate(cookie_key), Some((INITIATE, data))) => {
                let (client, public) = initiate(&self.keys, &cookie_key, data)?;
                self.state = State::AwaitVerdict(Box::new(client));
                Ok(Progress::Ask(Credentials::Curve {
                    public_key: *public.as_bytes(),
                }))
            }
            _ => Err(unexpected(body)),
        }
    }

    /// READY: the client is let in.
    pub(in crate::zmtp::mechanism) fn admit(
        &mut self,
        config: &HandshakeConfig,
        out: &mut Vec<u8>,
    ) -> Progress {
        let State::AwaitVerdict(client) = std::mem::replace(&mut self.state, State::Over) else {
            return Progress::Wait;
        };
        let mut text = config.metadata.clone();
        let mac = client.key.seal(&counted(READY_NONCE, READY_AT), &mut text);
        let mut body = Vec::with_capacity(6 + 8 + MAC + text.len());
        body.extend_from_slice(b"\x05READY");
        body.extend_from_slice(&READY_AT.to_be_bytes());
        body.extend_from_slice(&mac);
        body.extend_from_slice(&text);
        put_frame(out, FrameKind::Command, &body);
        let session = Session::server(client.key, READY_AT, client.counter);
        Progress::Done(client.metadata, Security::Sealed(Box::new(session)))
    }
}

/// Takes the HELLO, and answers with WELCOME. Gives the key of the cookie.
fn hello(
    keys: &KeyPair,
    parts: &Drawn,
    data: &[u8],
    out: &mut Vec<u8>,
) -> Result<BoxKey, ProtocolError> {
    let malformed = || ProtocolError::MalformedCommand {
        name: String::from("HELLO"),
    };
    let (&[major, minor], rest) = data.split_first_chunk().ok_or_else(malformed)?;
    // What the padding holds is of no use: it makes the answer shorter than the question.
    let (_, rest) = rest
        .split_first_chunk::<HELLO_PADDING>()
        .ok_or_else(malformed)?;
    let (client, rest) = rest.split_first_chunk::<KEY>().ok_or_else(malformed)?;
    let (counter, sealed) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    let (mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
    let sealed: &[u8; HELLO_ZEROS] = sealed.try_into().map_err(|_| malformed())?;
    if (major, minor) != (1, 0) {
        return Err(ProtocolError::CurveVersion { major, minor });
    }
    let bad_box = ProtocolError::BadBox { command: "HELLO" };
    let Some(key) = BoxKey::between(&PublicKey::from_bytes(*client), keys.secret()) else {
        return Err(bad_box);
    };
    let nonce = counted(HELLO_NONCE, u64::from_be_bytes(*counter));
    let mut zeros = *sealed;
    if !key.open(&nonce, mac, &mut zeros) {
        return Err(bad_box);
    }

    let ephemeral = KeyPair::from(SecretKey::from_bytes(parts.secret));
    let cookie_key = BoxKey::from_bytes(&parts.cookie_key);
    let mut cookie = Zeroizing::new([0; COOKIE_TEXT]);
    cookie[..KEY].copy_from_slice(client);
    cookie[KEY..].copy_from_slice(ephemeral.secret().as_bytes());
    let nonce = drawn(COOKIE_NONCE, &parts.cookie_nonce);
    let cookie_mac = cookie_key.seal(&nonce, &mut *cookie);

    let mut text = Vec::with_capacity(WELCOME_TEXT);
    text.extend_from_slice(ephemeral.public().as_bytes());
    text.extend_from_slice(&parts.cookie_nonce);
    text.extend_from_slice(&cookie_mac);
    text.extend_from_slice(&*cookie);
    let mac = key.seal(&drawn(WELCOME_NONCE, &parts.nonce), &mut text);
    let mut body = Vec::with_capacity(8 + 16 + MAC + WELCOME_TEXT);
    body.extend_from_slice(b"\x07WELCOME");
    body.extend_from_slice(&parts.nonce);
    body.extend_from_slice(&mac);
    body.extend_from_slice(&text);
    put_frame(out, FrameKind::Command, &body);
    Ok(cookie_key)
}

/// Opens the INITIATE: gives the client's permanent key, of which it has shown that it has the secret one.
fn initiate(
    keys: &KeyPair,
    cookie_key: &BoxKey,
    data: &[u8],
) -> Result<(Client, PublicKey), ProtocolError> {
    let malformed = || ProtocolError::MalformedCommand {
        name: String::from("INITIATE"),
    };
    let bad_box = || ProtocolError::BadBox {
        command: "INITIATE",
    };
    let (cookie, rest) = data.split_first_chunk::<COOKIE>().ok_or_else(malformed)?;
    let (counter, sealed) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    let (mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
    if sealed.len() < KEY + VOUCH {
        return Err(malformed());
    }

    let (nonce, cookie) = cookie.split_first_chunk::<16>().ok_or_else(malformed)?;
    let (cookie_mac, cookie) = split_box(cookie).ok_or_else(malformed)?;
    let mut text = Zeroizing::new([0; COOKIE_TEXT]);
    if !cookie_key.open_into(&drawn(COOKIE_NONCE, nonce), cookie_mac, cookie, &mut *text) {
        return Err(ProtocolError::BadCookie);
    }
    let (ephemeral_client, ephemeral) = text.split_first_chunk::<KEY>().ok_or_else(malformed)?;
    let ephemeral: &[u8; KEY] = ephemeral.first_chunk().ok_or_else(malformed)?;
    let ephemeral = SecretKey::from_bytes(*ephemeral);
    let ephemeral_client = PublicKey::from_bytes(*ephemeral_client);

    let key = BoxKey::between(&ephemeral_client, &ephemeral).ok_or_else(bad_box)?;
    let counter = u64::from_be_bytes(*counter);
    let mut text = sealed.to_vec();
    if !key.open(&counted(INITIATE_NONCE, counter), mac, &mut text) {
        return Err(bad_box());
    }
    let (public, rest) = text.split_first_chunk::<KEY>().ok_or_else(malformed)?;
    let (vouch, metadata) = rest.split_first_chunk::<VOUCH>().ok_or_else(malformed)?;
    let public = PublicKey::from_bytes(*public);

    let permanent = BoxKey::between(&public, &ephemeral).ok_or_else(bad_box)?;
    let (nonce, vouch) = vouch.split_first_chunk::<16>().ok_or_else(malformed)?;
    let (vouch_mac, vouch) = split_box(vouch).ok_or_else(malformed)?;
    let mut text = [0; VOUCH_TEXT];
    if !permanent.open_into(&drawn(VOUCH_NONCE, nonce), vouch_mac, vouch, &mut text) {
        return Err(ProtocolError::BadVouch);
    }
    let (vouched_client, vouched_server) = text.split_first_chunk::<KEY>().ok_or_else(malformed)?;
    let vouched_server: &[u8; KEY] = vouched_server.first_chunk().ok_or_else(malformed)?;
    let same = PublicKey::from_bytes(*vouched_client) == ephemeral_client;
    // libzmq does not look at this half: a server could show what a client has sent it to another server.
    if !same || PublicKey::from_bytes(*vouched_server) != keys.public() {
        return Err(ProtocolError::BadVouch);
    }
    let client = Client {
        key,
        counter,
        metadata: Metadata::parse(metadata)?,
    };
    Ok((client, public))
}
