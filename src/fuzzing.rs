//! What the fuzzers in `fuzz/` call: one function per target, each of which takes any bytes and panics when
//! the protocol layer, the reader of spools or another that the bytes are for breaks a promise. The unit tests replay the seed corpus, and mutations of it,
//! through the same functions.
//!
//! The promises: no panic, no more consumed than given, no more than the limits held back for a unit to
//! become whole, and the same outcome however the bytes are cut into reads.

#[cfg(feature = "curve")]
mod curve;
mod delivery;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::zmtp::{
    Announced, Command, Credentials, Denial, Established, FrameKind, Grant, Handshake,
    HandshakeConfig, Header, Limits, MechanismConfig, Metadata, Passed, ProtocolError, Scanned,
    Scanner, SocketType, Version, decode_header, own_metadata, put_cancel, put_error, put_frame,
    put_membership, put_ping, put_pong, put_property, put_ready, put_subscribe,
};

pub use delivery::{delivery, replay};

#[cfg(feature = "curve")]
pub use curve::{curve_hello, curve_initiate, curve_message, curve_welcome};

/// Small enough for the fuzzers to reach from both sides.
pub(crate) const LIMITS: Limits = Limits {
    max_message_size: 600,
    max_parts: 5,
    min_parts: 1,
    max_command_size: 300,
};

/// The longest thing a handshake may wait for, beside a command: the rest of a greeting.
const GREETING_REMAINDER: u64 = 53;

/// Any bytes as what the files of a spool hold. The first byte says how it is opened.
pub fn spool(data: &[u8]) {
    crate::spool::fuzzing::run(data);
}

/// Any bytes as a request to a ZAP handler, and what the handler says to it.
pub fn zap(data: &[u8]) {
    crate::auth::fuzz_zap(data);
}

/// Any bytes as what is read behind a handshake of CURVE.
#[cfg(feature = "curve")]
pub fn sealed(data: &[u8]) {
    crate::engine::fuzz_sealed(data);
}

/// Any bytes as a peer's greeting and handshake. The first byte picks our socket type.
pub fn greeting(data: &[u8]) {
    let Some((settings, input)) = data.split_first() else {
        return;
    };
    same_for_all_splits(input, || Peer::connecting(socket_type(*settings)));
}

/// Any bytes as the handshake of a peer of the mechanism PLAIN, and as traffic behind it. The first byte picks our socket type, our role, and
/// whether the peer is let in.
pub fn plain(data: &[u8]) {
    let Some((settings, input)) = data.split_first() else {
        return;
    };
    let verdict = match settings & 0x40 {
        0 => Ok(Grant::default()),
        _ => Err(Denial::Credentials),
    };
    let seen = same_for_all_splits(input, || {
        let mechanism = match settings & 0x80 {
            0 => MechanismConfig::PlainServer,
            _ => MechanismConfig::PlainClient {
                username: String::from("alice"),
                password: "tiger".into(),
            },
        };
        let socket_type = socket_type(*settings & 0x3f);
        let mut peer = Peer::with_mechanism(socket_type, b"", mechanism, false);
        peer.verdict = Some(verdict.clone());
        peer
    });
    let server = settings & 0x80 == 0;
    let let_in = seen.asked.is_some() && verdict.is_ok();
    assert!(seen.established.is_none() || !server || let_in);
    assert!(seen.events.is_empty() || seen.established.is_some());
}

/// Any bytes as traffic. The first two bytes vary the limits.
pub fn frames(data: &[u8]) {
    let [size, parts, input @ ..] = data else {
        return;
    };
    let limits = Limits {
        max_message_size: match size {
            255 => u64::MAX,
            size => u64::from(*size) * 4,
        },
        max_parts: u32::from(*parts),
        min_parts: 1,
        ..LIMITS
    };
    let seen = same_for_all_splits(input, || Peer::established(limits));

    // What was understood is what would be sent to say it.
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for event in &seen.events {
        if let Event::Part { body, last } = event {
            let kind = if *last {
                FrameKind::Last
            } else {
                FrameKind::More
            };
            put_frame(&mut sent, kind, body);
            expected.push(event.clone());
        }
    }
    let mut peer = Peer::established(limits);
    peer.feed(&sent);
    assert_eq!(peer.seen.events, expected);
    assert_eq!(peer.seen.error, None);
}

/// Any bytes as the body of a command, and as a property list.
pub fn commands(data: &[u8]) {
    if let Ok(command) = Command::parse(data) {
        assert_command_round_trip(command);
    }
    if let Ok(metadata) = Metadata::parse(data) {
        let mut sent = Vec::new();
        for (name, value) in &metadata.properties {
            put_property(&mut sent, name, value);
        }
        assert!(sent.len() <= data.len());
        assert_eq!(Metadata::parse(&sent), Ok(metadata));
    }
    let mut framed = Vec::new();
    put_frame(&mut framed, FrameKind::Command, data);
    same_for_all_splits(&framed, || Peer::established(LIMITS));
    same_for_all_splits(&[&READY_NEXT[..], &framed].concat(), || {
        Peer::connecting(SocketType::Push)
    });
}

/// Any bytes as a whole connection: greeting, handshake and traffic. The first byte picks our socket type.
pub fn session(data: &[u8]) {
    let Some((settings, input)) = data.split_first() else {
        return;
    };
    let seen = same_for_all_splits(input, || Peer::connecting(socket_type(*settings)));
    assert!(seen.events.is_empty() || seen.established.is_some());
    if let Some(established) = &seen.established {
        assert_eq!(established.version, established.facts.version());
    }
}

/// A greeting after which the next thing is a command.
const READY_NEXT: &[u8; 64] =
    b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
                                \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn socket_type(settings: u8) -> SocketType {
    SocketType::ALL[usize::from(settings) % SocketType::ALL.len()]
}

fn assert_command_round_trip(command: Command<'_>) {
    let mut sent = Vec::new();
    let mut expected = command;
    match command {
        Command::Ready { metadata } => put_ready(&mut sent, metadata),
        Command::Error { reason } => match str::from_utf8(reason) {
            Ok(reason) => put_error(&mut sent, reason),
            Err(_) => return,
        },
        Command::Subscribe(topic) => put_subscribe(&mut sent, Version::V3_1, topic),
        Command::Join(group) => put_membership(&mut sent, group, true),
        Command::Leave(group) => put_membership(&mut sent, group, false),
        Command::Cancel(topic) => put_cancel(&mut sent, Version::V3_1, topic),
        Command::Ping { ttl, context } => {
            put_ping(&mut sent, ttl, context);
            let (ttl, context) = (ttl.min(Duration::from_millis(65_500)), cut(context));
            expected = Command::Ping { ttl, context };
        }
        Command::Pong { context } => {
            put_pong(&mut sent, context);
            expected = Command::Pong {
                context: cut(context),
            };
        }
        Command::Delivery(_) | Command::Log(_) | Command::Unknown(_) => return,
    }
    let header = decode_header(&sent).expect("an encoder writes whole headers");
    assert_eq!(header.kind, FrameKind::Command);
    assert_eq!(header.frame_len(), sent.len() as u64);
    assert_eq!(Command::parse(&sent[header.header_len..]), Ok(expected));
}

fn cut(context: &[u8]) -> &[u8] {
    &context[..context.len().min(16)]
}

/// Feeds the input to a new peer in one piece, in two pieces at several places, and byte by byte, each with
/// large bodies read in place and elsewhere. Gives what all of them saw.
fn same_for_all_splits(input: &[u8], peer: impl Fn() -> Peer) -> Seen {
    let mut whole = peer();
    whole.feed(input);
    let expected = whole.seen;

    for reads_elsewhere in [false, true] {
        let mut bytewise = Peer {
            reads_elsewhere,
            ..peer()
        };
        input.chunks(1).for_each(|byte| bytewise.feed(byte));
        assert_eq!(
            bytewise.seen, expected,
            "byte by byte, elsewhere: {reads_elsewhere}"
        );

        // Places that depend on the input, so that the fuzzers choose them.
        let sum = input.iter().fold(input.len(), |sum, byte| {
            sum.wrapping_mul(31) ^ usize::from(*byte)
        });
        for place in [sum, sum / 7, sum / 61] {
            let (first, second) = input.split_at(place % (input.len() + 1));
            let mut split = Peer {
                reads_elsewhere,
                ..peer()
            };
            split.feed(first);
            split.feed(second);
            assert_eq!(split.seen, expected, "split at {}", first.len());
        }
    }
    expected
}

/// One side of a connection as the engine would run it, less the socket: bytes go in, and what they came to
/// is noted down.
#[derive(Debug)]
pub(crate) struct Peer {
    handshake: Option<Handshake>,
    scanner: Scanner,
    pending: Vec<u8>,
    /// Read the body of a partial frame past the scanner, as is done for large ones.
    pub(crate) reads_elsewhere: bool,
    elsewhere: Option<(Header, Vec<u8>)>,
    /// What is said where a mechanism asks whether the peer is let in; `None` puts it off until [`decide`](Self::decide).
    asks: bool,
    pub(crate) verdict: Option<Result<Grant, Denial>>,
    pub(crate) seen: Seen,
}

/// What a [`Peer`] made of the bytes it got.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) established: Option<Established>,
    pub(crate) events: Vec<Event>,
    pub(crate) error: Option<ProtocolError>,
    /// What the peer has shown of who it is.
    pub(crate) asked: Option<Credentials>,
    /// It was not let in for this.
    pub(crate) denied: Option<Denial>,
    /// What it sent during the handshake.
    pub(crate) out: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Part { body: Vec<u8>, last: bool },
    Command(String),
}

impl Peer {
    pub(crate) fn connecting(socket_type: SocketType) -> Self {
        Self::with_routing_id(socket_type, b"")
    }

    pub(crate) fn with_routing_id(socket_type: SocketType, routing_id: &[u8]) -> Self {
        Self::with_mechanism(socket_type, routing_id, MechanismConfig::Null, false)
    }

    pub(crate) fn with_mechanism(
        socket_type: SocketType,
        routing_id: &[u8],
        mechanism: MechanismConfig,
        authenticates: bool,
    ) -> Self {
        let config = HandshakeConfig {
            socket_type,
            routing_id: Bytes::copy_from_slice(routing_id),
            mechanism,
            authenticates,
            metadata: own_metadata(socket_type, routing_id, Announced::default()),
            max_command_size: LIMITS.max_command_size,
        };
        let mut peer = Self::established(LIMITS);
        peer.handshake = Some(Handshake::new(Arc::new(config), &mut peer.seen.out));
        peer
    }

    pub(crate) fn established(limits: Limits) -> Self {
        Self {
            handshake: None,
            scanner: Scanner::new(limits),
            pending: Vec::new(),
            reads_elsewhere: false,
            elsewhere: None,
            asks: false,
            verdict: Some(Ok(Grant::default())),
            seen: Seen::default(),
        }
    }

    /// Takes the next bytes of the stream. After an error it takes no more, like a closed connection.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.seen.error.is_some() || self.seen.denied.is_some() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        self.go_on();
    }

    /// Says whether the peer is let in that has been asked about.
    #[cfg(test)]
    pub(crate) fn decide(&mut self, verdict: Result<Grant, Denial>) {
        self.verdict = Some(verdict);
        self.go_on();
    }

    fn go_on(&mut self) {
        if let Err(error) = self.shake_hands().and_then(|()| self.scan()) {
            self.seen.error = Some(error);
        }
    }

    fn shake_hands(&mut self) -> Result<(), ProtocolError> {
        let Some(handshake) = &mut self.handshake else {
            return Ok(());
        };
        let out = &mut self.seen.out;
        let mut done = None;
        let mut waits = false;
        loop {
            if done.is_none() {
                let (consumed, established) = handshake.handle_input(&self.pending, out)?;
                assert!(consumed <= self.pending.len());
                self.pending.drain(..consumed);
                done = established;
            }
            if let Some(credentials) = handshake.take_question() {
                assert!(done.is_none(), "done, and asks");
                self.seen.asked = Some(credentials);
                self.asks = true;
            }
            if !self.asks {
                break;
            }
            match self.verdict.clone() {
                None => {
                    waits = true;
                    break;
                }
                Some(Ok(grant)) => {
                    self.asks = false;
                    done = handshake.admit(grant, out)?;
                }
                Some(Err(denial)) => {
                    handshake.refuse(denial, out);
                    self.seen.denied = Some(denial);
                    return Ok(());
                }
            }
        }
        if let Some(established) = done {
            self.handshake = None;
            self.seen.established = Some(established);
        } else if !waits {
            let most = LIMITS.max_command_size.max(GREETING_REMAINDER);
            assert!(
                (self.pending.len() as u64) < most,
                "waits for more than it may need"
            );
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(), ProtocolError> {
        if self.handshake.is_some() {
            return Ok(());
        }
        while self.finish_elsewhere() {
            let passed = self.scanner.pass_singles(&self.pending);
            let scanned = self.scanner.scan(&self.pending)?;
            match scanned {
                Scanned::Frame { len, last: true } if passed.messages > 0 => {
                    // What is passed over together is what is scanned one by one.
                    let others = Passed {
                        bytes: passed.bytes - len,
                        messages: passed.messages - 1,
                    };
                    assert_eq!(self.scanner.pass_singles(&self.pending[len..]), others);
                }
                _ => assert_eq!(passed, Passed::default()),
            }
            match scanned {
                Scanned::Incomplete => {
                    assert!((self.pending.len() as u64) < LIMITS.max_command_size);
                    break;
                }
                Scanned::Partial { header } if self.reads_elsewhere => {
                    self.pending.drain(..header.header_len);
                    self.elsewhere = Some((header, Vec::new()));
                }
                Scanned::Partial { .. } => break,
                Scanned::Frame { len, last } => {
                    assert_eq!(self.scanner.mid_message(), !last);
                    let header_len = decode_header(&self.pending).map_or(0, |h| h.header_len);
                    let body = self.pending.drain(..len).skip(header_len).collect();
                    self.seen.events.push(Event::Part { body, last });
                }
                Scanned::Command { len, command } => {
                    self.seen
                        .events
                        .push(Event::Command(format!("{command:?}")));
                    self.pending.drain(..len);
                }
            }
        }
        Ok(())
    }

    /// Moves bytes to the body that is being read elsewhere; whether there is none any more.
    fn finish_elsewhere(&mut self) -> bool {
        let Some((header, body)) = &mut self.elsewhere else {
            return true;
        };
        let missing = header.body_len - body.len() as u64;
        let taken =
            usize::try_from(missing).map_or(self.pending.len(), |m| m.min(self.pending.len()));
        body.extend(self.pending.drain(..taken));
        if (taken as u64) < missing {
            return false;
        }
        self.scanner.body_received(header);
        let last = header.kind == FrameKind::Last;
        assert_eq!(self.scanner.mid_message(), !last);
        self.seen.events.push(Event::Part {
            body: mem::take(body),
            last,
        });
        self.elsewhere = None;
        true
    }
}
