//! CURVE (RFC 26; RFC 25 for ZMTP): both sides prove who they are, and all that follows is sealed.
//!
//! Each side has a permanent key (C, S) by which it is known, and makes one for this connection alone (C', S'). In lower case is the secret
//! key. A *box* is encrypted and authenticated with what a secret and a public key have in common; `A->B` says whose.
//!
//! ```text
//!   client:  HELLO     C', box of zeros (C'->S)
//!   server:  WELCOME   box (S->C') of: S', cookie
//!   client:  INITIATE  cookie, box (C'->S') of: C, vouch, metadata      vouch: box (C->S') of: C', S
//!   server:  READY     box (S'->C') of: metadata            or ERROR, in clear, also in place of WELCOME
//!   both:    MESSAGE   box (C'->S' or S'->C') of: flags, body
//! ```
//!
//! | bytes | |
//! |---|---|
//! | HELLO, 200 | `05 "HELLO"`, 1, 0, 72 zeros, C'\[32], counter\[8], box\[80] |
//! | WELCOME, 168 | `07 "WELCOME"`, nonce\[16], box\[144] |
//! | cookie, 96 | nonce\[16], box\[80] of C'\[32], s'\[32] with a key that only the server has |
//! | INITIATE, 257 and up | `08 "INITIATE"`, cookie\[96], counter\[8], box\[16 + 128 + metadata] |
//! | vouch, 96 | nonce\[16], box\[80] |
//! | READY, 30 and up | `05 "READY"`, counter\[8], box\[16 + metadata] |
//! | MESSAGE, 33 and up | `07 "MESSAGE"`, counter\[8], box\[16 + 1 + body] |
//!
//! - **The cookie** holds all that the server would have to remember between WELCOME and INITIATE. What it keeps is the key that opens the
//!   cookie, which is made for the one connection and is no longer than the handshake: a cookie, and so an INITIATE, is good on no other.
//! - **Counters** are one for each side and connection, over all its commands: no nonce is used twice with a key. A receiver takes each
//!   MESSAGE whose counter is higher than the last one's.
//! - **The peer is not known** until INITIATE has been opened, cookie, box and vouch. Nothing in it is looked at before.
//! - Who is the server is a matter of configuration, and not of who connects. The as-server byte of the greeting says so, and is not relied
//!   on, as libzmq sends 0 in any case.
//! - RFC 37 calls MESSAGE a command. libzmq sends it in a frame of a message, and leaves out what comes in a command: see [`Sealer`].

mod client;
mod server;
mod session;

use zeroize::Zeroizing;

use super::Mechanism;
#[cfg(any(test, feature = "fuzzing"))]
use crate::curve::BoxKey;
use crate::curve::{KEY, KeyPair, MAC, NONCE, Nonce, PublicKey, counted, random};
use crate::zmtp::ProtocolError;

pub(super) use self::{client::Client, server::Server};
pub(crate) use session::{LongFrame, MESSAGE_OVERHEAD, Opener, SealedEnd, Sealer, Session};

/// What a socket that speaks CURVE goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurveConfig {
    /// Who it is.
    pub(crate) keys: KeyPair,
    pub(crate) role: CurveRole,
    pub(crate) entropy: Entropy,
}

/// Which of the two sides it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CurveRole {
    Server,
    /// It talks to the server with this key, S, and to nobody else.
    Client(PublicKey),
}

/// Where bytes come from that nobody can foretell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entropy {
    System,
    /// The same ones each time: for tests.
    #[cfg(any(test, feature = "fuzzing"))]
    Fixed(u8),
}

/// How many of them a handshake takes.
const ENTROPY: usize = 96;

impl Entropy {
    fn draw(self) -> Result<Zeroizing<[u8; ENTROPY]>, ProtocolError> {
        let mut bytes = Zeroizing::new([0; ENTROPY]);
        match self {
            Entropy::System => {
                random(&mut *bytes).map_err(|_| ProtocolError::NoRandomBytes)?;
            }
            #[cfg(any(test, feature = "fuzzing"))]
            Entropy::Fixed(seed) => {
                let _ = BoxKey::from_bytes(&[seed; KEY]).seal(&[0; NONCE], &mut *bytes);
            }
        }
        Ok(bytes)
    }
}

impl CurveConfig {
    /// This socket's side of one handshake.
    pub(super) fn mechanism(&self) -> Result<Mechanism, ProtocolError> {
        let entropy = self.entropy.draw()?;
        Ok(match &self.role {
            CurveRole::Server => {
                Mechanism::CurveServer(Box::new(Server::new(&self.keys, &entropy)))
            }
            CurveRole::Client(server) => {
                Mechanism::CurveClient(Box::new(Client::new(&self.keys, server, &entropy)))
            }
        })
    }
}

/// What has been drawn, in parts. Each is used once.
struct Drawn {
    /// s' or c'.
    secret: [u8; KEY],
    /// The nonce of the WELCOME, or of the vouch.
    nonce: [u8; 16],
    cookie_nonce: [u8; 16],
    cookie_key: [u8; KEY],
}

impl Drawn {
    fn new(entropy: &Zeroizing<[u8; ENTROPY]>) -> Zeroizing<Drawn> {
        let mut drawn = Zeroizing::new(Drawn {
            secret: [0; KEY],
            nonce: [0; 16],
            cookie_nonce: [0; 16],
            cookie_key: [0; KEY],
        });
        let Drawn {
            secret,
            nonce,
            cookie_nonce,
            cookie_key,
        } = &mut *drawn;
        let parts: [&mut [u8]; 4] = [secret, nonce, cookie_nonce, cookie_key];
        let mut rest = entropy.as_slice();
        for part in parts {
            let (taken, behind) = rest.split_at(part.len());
            part.copy_from_slice(taken);
            rest = behind;
        }
        drawn
    }
}

impl zeroize::Zeroize for Drawn {
    fn zeroize(&mut self) {
        self.secret.zeroize();
        self.cookie_key.zeroize();
    }
}

/// The names of the commands.
const HELLO: &[u8] = b"HELLO";
const WELCOME: &[u8] = b"WELCOME";
const INITIATE: &[u8] = b"INITIATE";

/// The lengths of what is sealed, and of the boxes.
const COOKIE: usize = 96;
const COOKIE_TEXT: usize = 2 * KEY;
const WELCOME_TEXT: usize = KEY + COOKIE;
const VOUCH: usize = 96;
const VOUCH_TEXT: usize = 2 * KEY;

const HELLO_ZEROS: usize = 64;
const HELLO_PADDING: usize = 72;

/// A nonce that is random.
fn drawn(prefix: &[u8; 8], random: &[u8; 16]) -> Nonce {
    let mut nonce = [0; NONCE];
    nonce[..8].copy_from_slice(prefix);
    nonce[8..].copy_from_slice(random);
    nonce
}

/// Splits what is sent of a box into its tag and the rest.
fn split_box(bytes: &[u8]) -> Option<(&[u8; MAC], &[u8])> {
    bytes.split_first_chunk()
}

const HELLO_NONCE: &[u8; 16] = b"CurveZMQHELLO---";
const WELCOME_NONCE: &[u8; 8] = b"WELCOME-";
const COOKIE_NONCE: &[u8; 8] = b"COOKIE--";
const VOUCH_NONCE: &[u8; 8] = b"VOUCH---";
const INITIATE_NONCE: &[u8; 16] = b"CurveZMQINITIATE";
const READY_NONCE: &[u8; 16] = b"CurveZMQREADY---";

#[cfg(test)]
mod tests;
