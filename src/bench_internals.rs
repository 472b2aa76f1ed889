//! The inner loops that have no public call of their own, for the benchmarks in `benches/`: frames, checksums and the match of
//! subscriptions. Hidden, behind the feature `bench-internals`, and no part of the stable API.

#[cfg(feature = "curve")]
use std::sync::Arc;

use crate::pattern;
use crate::spool::crc;
use crate::zmtp::{FrameKind, Limits, Scanned, Scanner, encode_header};

/// Appends a message of one frame.
#[inline]
pub fn encode(out: &mut Vec<u8>, body: &[u8]) {
    let (header, header_len) = encode_header(FrameKind::Last, body.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(body);
}

/// The CRC-32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc::crc32c(0, bytes)
}

/// Counts the whole frames at the start of a peer's traffic; commands and errors end the count.
#[inline]
pub fn decode(mut input: &[u8]) -> usize {
    let mut scanner = Scanner::new(Limits {
        max_message_size: u64::MAX,
        max_parts: u32::MAX,
        min_parts: 1,
        max_command_size: u64::MAX,
    });
    let mut frames = 0;
    while let Ok(Scanned::Frame { len, .. }) = scanner.scan(input) {
        input = &input[len..];
        frames += 1;
    }
    frames
}

/// The subscriptions of a publisher's peers.
#[derive(Debug)]
pub struct Subscriptions {
    inner: pattern::Subscriptions,
}

impl Subscriptions {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "nobody needs one")]
    pub fn new() -> Subscriptions {
        Subscriptions {
            inner: pattern::Subscriptions::new(),
        }
    }

    /// Subscribes a peer to every topic that starts with this one.
    pub fn insert(&mut self, peer: usize, topic: &[u8]) {
        self.inner.insert(peer, topic);
    }

    /// The sum of the numbers of the peers that want a message with this topic.
    #[inline]
    pub fn matching(&mut self, topic: &[u8]) -> usize {
        let mut sum = 0;
        self.inner.for_each_match(topic, |peer| sum += peer);
        sum
    }
}

/// What a server of CURVE is asked by whoever reaches it: greeting and HELLO.
#[cfg(feature = "curve")]
#[derive(Debug)]
pub struct Hello {
    server: Arc<crate::zmtp::HandshakeConfig>,
    said: Vec<u8>,
}

#[cfg(feature = "curve")]
impl Hello {
    /// A genuine one, or one that does not open.
    pub fn new(genuine: bool) -> Hello {
        use crate::zmtp::{
            Announced, CurveConfig, CurveRole, Entropy, Handshake, HandshakeConfig,
            MechanismConfig, SocketType, own_metadata,
        };
        use crate::{Bytes, KeyPair, SecretKey};

        let keys = |seed| KeyPair::from(SecretKey::from_bytes([seed; 32]));
        let config = |socket_type, own, role| {
            let mechanism = MechanismConfig::Curve(Arc::new(CurveConfig {
                keys: keys(own),
                role,
                entropy: Entropy::System,
            }));
            Arc::new(HandshakeConfig {
                socket_type,
                routing_id: Bytes::new(),
                mechanism,
                authenticates: false,
                metadata: own_metadata(socket_type, b"", Announced::default()),
                max_command_size: 16 * 1024,
            })
        };
        let server = config(SocketType::Pull, 1, CurveRole::Server);
        let meant = if genuine { 1 } else { 3 };
        let role = CurveRole::Client(keys(meant).public());
        let (mut said, mut answer) = (Vec::new(), Vec::new());
        let mut client = Handshake::new(config(SocketType::Push, 2, role), &mut said);
        let mut other = Handshake::new(Arc::clone(&server), &mut answer);
        // Each greets when the other's signature is there, and then the client goes on.
        let _ = other.handle_input(&said, &mut answer);
        let _ = client.handle_input(&answer, &mut said);
        Hello { server, said }
    }

    /// All that the server does of it. Gives the length of what it answers.
    pub fn answer(&self) -> usize {
        let mut out = Vec::new();
        let mut server = crate::zmtp::Handshake::new(Arc::clone(&self.server), &mut out);
        let _ = server.handle_input(&self.said, &mut out);
        out.len()
    }
}

/// Both ends of a connection with CURVE, without the connection: what becomes of messages alone.
#[cfg(feature = "curve")]
#[derive(Debug)]
pub struct Sealed {
    sealer: crate::zmtp::Sealer,
    opener: crate::zmtp::Opener,
    sealed: Vec<u8>,
    opened: Vec<u8>,
}

#[cfg(feature = "curve")]
impl Sealed {
    /// With memory for what becomes of so many bytes at a time.
    pub fn with_capacity(bytes: usize) -> Sealed {
        let (client, server) = crate::zmtp::Session::pair(1);
        Sealed {
            sealer: client.split().0,
            opener: server.split().1,
            sealed: Vec::with_capacity(bytes + 100),
            opened: Vec::with_capacity(bytes + 100),
        }
    }

    /// Seals a message of one frame. Gives the length of what is sent.
    pub fn seal(&mut self, body: &[u8]) -> usize {
        self.sealed.clear();
        let sealed = self.sealer.seal(FrameKind::Last, body, &mut self.sealed);
        if sealed { self.sealed.len() } else { 0 }
    }

    /// What was sealed last, for [`Sealed::open`].
    pub fn sealed(&self) -> Vec<u8> {
        self.sealed.clone()
    }

    /// Opens a message that was sealed, once, and in the order in which they were. Gives the length of the frame; 0 if it is not genuine.
    pub fn open(&mut self, sealed: &mut [u8]) -> usize {
        self.opened.clear();
        let _ = self.try_open(sealed);
        self.opened.len()
    }

    fn try_open(&mut self, sealed: &mut [u8]) -> Option<()> {
        let header = crate::zmtp::decode_header(sealed)?;
        let body = sealed.get_mut(header.header_len..)?;
        if !crate::zmtp::LongFrame::can_begin(header.body_len, body.len()) {
            let (_, frame) = self.opener.open(body).ok()?;
            self.opened.extend_from_slice(frame);
            return Some(());
        }
        let frame = self.opener.begin(body).ok()?;
        let (_, start, mut end) = self.opener.finish(frame, body).ok()?;
        let (plain, encrypted) = body[start..].split_at(body.len() - start - end.left());
        self.opened.extend_from_slice(plain);
        end.decrypt(encrypted, &mut self.opened);
        Some(())
    }
}
