//! Handshakes between our two sides, with random bytes that are the same each time, and what happens when somebody interferes.

use std::sync::Arc;

use bytes::Bytes;

use super::{CurveConfig, CurveRole, Entropy};
use crate::curve::{KEY, KeyPair, SecretKey};
use crate::zmtp::mechanism::{MechanismConfig, Security};
use crate::zmtp::{
    Announced, Credentials, Denial, Established, FrameKind, Grant, Handshake, HandshakeConfig,
    Opener, ProtocolError, Sealer, SocketType, decode_header, own_metadata, put_frame, put_ready,
};

fn keys(seed: u8) -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([seed; KEY]))
}

/// One side of a connection.
struct Side {
    handshake: Handshake,
    input: Vec<u8>,
    out: Vec<u8>,
    asked: Option<Credentials>,
    denial: Option<Denial>,
    established: Option<Established>,
    error: Option<ProtocolError>,
}

impl Side {
    fn with_mechanism(socket_type: SocketType, mechanism: MechanismConfig) -> Side {
        let config = HandshakeConfig {
            socket_type,
            routing_id: Bytes::new(),
            mechanism,
            authenticates: false,
            metadata: own_metadata(socket_type, b"", Announced::default()),
            max_command_size: 1000,
        };
        let mut out = Vec::new();
        Side {
            handshake: Handshake::new(Arc::new(config), &mut out),
            input: Vec::new(),
            out,
            asked: None,
            denial: None,
            established: None,
            error: None,
        }
    }

    fn new(socket_type: SocketType, own: u8, role: CurveRole) -> Side {
        let mechanism = MechanismConfig::Curve(Arc::new(CurveConfig {
            keys: keys(own),
            role,
            entropy: Entropy::Fixed(own),
        }));
        Side::with_mechanism(socket_type, mechanism)
    }

    fn server() -> Side {
        Side::new(SocketType::Pull, 1, CurveRole::Server)
    }

    fn client() -> Side {
        Side::client_of(1)
    }

    fn client_of(server: u8) -> Side {
        Side::new(
            SocketType::Push,
            2,
            CurveRole::Client(keys(server).public()),
        )
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.error.is_some() || self.established.is_some() {
            return;
        }
        self.input.extend_from_slice(bytes);
        match self.handshake.handle_input(&self.input, &mut self.out) {
            Err(error) => self.error = Some(error),
            Ok((consumed, established)) => {
                self.input.drain(..consumed);
                self.established = established;
            }
        }
        if let Some(credentials) = self.handshake.take_question() {
            self.asked = Some(credentials);
            match self.denial {
                None => {
                    let admitted = self.handshake.admit(Grant::default(), &mut self.out);
                    self.established = admitted.expect("no error");
                }
                Some(denial) => self.handshake.refuse(denial, &mut self.out),
            }
        }
    }

    fn sends(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn session(&mut self) -> (Sealer, Opener) {
        match self.established.take().expect("established").security {
            Security::Sealed(session) => session.split(),
            Security::Clear | Security::Raw => panic!("in clear"),
        }
    }
}

/// Lets two sides talk to each other until they are silent, in pieces of this size; `tamper` sees each of the client's and the server's
/// turns.
fn talk(
    client: &mut Side,
    server: &mut Side,
    piece: usize,
    tamper: &mut dyn FnMut(bool, &mut Vec<u8>),
) {
    loop {
        let (mut one, mut two) = (client.sends(), server.sends());
        if one.is_empty() && two.is_empty() {
            return;
        }
        tamper(true, &mut one);
        tamper(false, &mut two);
        one.chunks(piece).for_each(|bytes| server.feed(bytes));
        two.chunks(piece).for_each(|bytes| client.feed(bytes));
    }
}

fn untouched(_: bool, _: &mut Vec<u8>) {}

/// The frames of a handshake without its greeting.
fn commands(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let Some(header) = decode_header(rest) {
        let (frame, behind) = rest.split_at(header.frame_len() as usize);
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}

#[test]
fn both_sides_agree_however_the_bytes_are_cut() {
    for piece in (1..80).chain([usize::MAX]) {
        let (mut client, mut server) = (Side::client(), Side::server());
        talk(&mut client, &mut server, piece, &mut untouched);
        assert_eq!((&client.error, &server.error), (&None, &None), "{piece}");
        let shown = Credentials::Curve {
            public_key: *keys(2).public().as_bytes(),
        };
        assert_eq!(server.asked, Some(shown));
        assert_eq!(client.asked, None);
        let facts = &server.established.as_ref().expect("established").facts;
        assert_eq!(facts.socket_type(), SocketType::Push);
        assert_eq!(facts.mechanism(), "CURVE");
        let (mut seal, mut open) = client.session();
        let (mut seal_back, mut open_back) = server.session();
        for kind in [FrameKind::More, FrameKind::Last, FrameKind::Command] {
            for len in [0, 1, 222, 223, 255, 256, 70_000] {
                let body = vec![len as u8; len];
                exchange(&mut seal, &mut open_back, kind, &body);
                exchange(&mut seal_back, &mut open, kind, &body);
            }
        }
    }
}

fn exchange(sealer: &mut Sealer, opener: &mut Opener, kind: FrameKind, body: &[u8]) {
    let mut wire = Vec::new();
    assert!(sealer.seal(kind, body, &mut wire));
    assert_eq!(wire.len(), Sealer::sealed_len(body.len()));
    let header = decode_header(&wire).expect("a header");
    assert_eq!(header.frame_len(), wire.len() as u64);
    assert_eq!(
        header.kind,
        FrameKind::Last,
        "libzmq leaves out what is a command"
    );
    let mut expected = Vec::new();
    put_frame(&mut expected, kind, body);
    let sealed = &mut wire[header.header_len..];
    assert_eq!(opener.open(sealed), Ok((kind, &*expected)));
}

/// The lengths, and what is not sealed, byte for byte (RFC 26).
#[test]
fn the_commands_are_those_of_the_rfc() {
    let (mut client, mut server) = (Side::client(), Side::server());
    let (mut one, mut two) = (Vec::new(), Vec::new());
    talk(
        &mut client,
        &mut server,
        usize::MAX,
        &mut |by_client, bytes| match by_client {
            true => one.extend_from_slice(bytes),
            false => two.extend_from_slice(bytes),
        },
    );
    let (one, two) = (commands(&one[64..]), commands(&two[64..]));
    let seen = [&one[0], &two[0], &one[1], &two[1]];
    assert_eq!((one.len(), two.len()), (2, 2));
    let starts: [(&[u8], usize); 4] = [
        (b"\x04\xc8\x05HELLO\x01\x00", 2 + 200),
        (b"\x04\xa8\x07WELCOME", 2 + 168),
        (b"\x06\x00\x00\x00\x00\x00\x00\x01", 9 + 257),
        (b"\x04", 2 + 30),
    ];
    for (frame, (start, least)) in seen.iter().zip(starts) {
        assert!(frame.starts_with(start), "{}", frame.escape_ascii());
        assert!(
            frame.len() >= least && frame.len() < least + 60,
            "{}",
            frame.len()
        );
    }
    let (hello, initiate) = (&seen[0][2..], &seen[2][9..]);
    assert_eq!(hello[8..80], [0; 72]);
    assert_eq!(hello[112..120], 1_u64.to_be_bytes());
    assert_eq!(initiate[105..113], 2_u64.to_be_bytes());
    assert_eq!(seen[3][2 + 6..2 + 14], 1_u64.to_be_bytes());
    // Nothing of what is said is to be seen.
    for frame in seen {
        for text in [&b"PU"[..], b"Socket-Type", keys(2).public().as_bytes()] {
            assert!(!frame.windows(text.len()).any(|window| window == text));
        }
    }
}

/// Each byte of all four commands, one at a time.
#[test]
fn an_altered_byte_anywhere_ends_the_handshake() {
    // The padding and the minor parts of the greeting mean nothing.
    let greeting = 64;
    for by in [true, false] {
        let mut total = usize::MAX;
        let mut at = greeting;
        while at < total {
            let (mut client, mut server) = (Side::client(), Side::server());
            let mut passed = 0;
            let mut altered = 0;
            talk(
                &mut client,
                &mut server,
                usize::MAX,
                &mut |by_client, bytes| {
                    if by_client != by {
                        return;
                    }
                    if let Some(byte) = at.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                        *byte ^= 1;
                        altered = at;
                    }
                    passed += bytes.len();
                },
            );
            if altered == 0 {
                total = passed;
                break;
            }
            let padding = by && (greeting + 2 + 8..greeting + 2 + 80).contains(&at);
            let done = client.established.is_some() && server.established.is_some();
            // The flags of a frame during the handshake are not insisted on, but for the length.
            let flags = matches!(decode_flags(&mut Side::client(), at, by), Some(true));
            assert!(done == padding || (done && flags), "byte {at} by {by}");
            at += 1;
        }
        assert!(total > 280, "{total}");
    }
}

/// Whether a byte is the first of a command's frame.
fn decode_flags(client: &mut Side, at: usize, by: bool) -> Option<bool> {
    let mut server = Side::server();
    let mut all = Vec::new();
    talk(client, &mut server, usize::MAX, &mut |by_client, bytes| {
        if by_client == by {
            all.extend_from_slice(bytes);
        }
    });
    let mut start = 64;
    while let Some(header) = decode_header(all.get(start..)?) {
        if start == at {
            return Some(true);
        }
        start += header.frame_len() as usize;
    }
    None
}

#[test]
fn whoever_has_the_wrong_key_for_the_server_is_not_heard() {
    let (mut client, mut server) = (Side::client_of(3), Side::server());
    talk(&mut client, &mut server, usize::MAX, &mut untouched);
    assert_eq!(
        server.error,
        Some(ProtocolError::BadBox { command: "HELLO" })
    );
    assert_eq!((server.asked, client.established), (None, None));
}

/// What a client has said to one server is of no use to another connection.
#[test]
fn an_initiate_is_good_on_no_other_connection() {
    let mut recorded = Vec::new();
    let (mut client, mut server) = (Side::client(), Side::server());
    talk(
        &mut client,
        &mut server,
        usize::MAX,
        &mut |by_client, bytes| {
            if by_client {
                recorded.extend_from_slice(bytes);
            }
        },
    );
    assert!(server.established.is_some());
    let mut again = Side::new(SocketType::Pull, 1, CurveRole::Server);
    // The same server, with other random bytes.
    let mechanism = MechanismConfig::Curve(Arc::new(CurveConfig {
        keys: keys(1),
        role: CurveRole::Server,
        entropy: Entropy::Fixed(77),
    }));
    let mut other = Side::with_mechanism(SocketType::Pull, mechanism);
    again.feed(&recorded);
    other.feed(&recorded);
    assert!(again.established.is_some(), "the recording is good");
    assert_eq!(other.error, Some(ProtocolError::BadCookie));
    assert_eq!(other.asked, None);
}

#[test]
fn a_client_that_is_refused_is_told_the_code() {
    for (denial, told) in [
        (Denial::Credentials, Some("400")),
        (Denial::Internal, Some("500")),
        (Denial::Temporary, None),
    ] {
        let (mut client, mut server) = (Side::client(), Side::server());
        server.denial = Some(denial);
        talk(&mut client, &mut server, usize::MAX, &mut untouched);
        assert_eq!((&client.established, &server.established), (&None, &None));
        let reason = told.map(str::to_owned);
        assert_eq!(
            client.error,
            reason.map(|reason| ProtocolError::PeerError { reason })
        );
    }
}

#[test]
fn nothing_less_secure_is_agreed_on() {
    let null = || Side::with_mechanism(SocketType::Push, MechanismConfig::Null);
    let mut server = Side::server();
    talk(&mut null(), &mut server, usize::MAX, &mut untouched);
    assert!(matches!(
        server.error,
        Some(ProtocolError::MechanismMismatch { .. })
    ));
    let (mut client, mut peer) = (Side::client(), null());
    talk(&mut client, &mut peer, usize::MAX, &mut untouched);
    assert!(matches!(
        client.error,
        Some(ProtocolError::MechanismMismatch { .. })
    ));
    for mut side in [Side::server(), Side::client()] {
        side.feed(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0");
        assert_eq!(
            side.error,
            Some(ProtocolError::InsecureVersion { mechanism: "CURVE" })
        );
    }
}

/// What comes before its time, or is not part of this at all.
#[test]
fn commands_out_of_turn_end_the_handshake() {
    let greeting = |client: bool| {
        let mut side = if client {
            Side::client()
        } else {
            Side::server()
        };
        let mut other = if client {
            Side::server()
        } else {
            Side::client()
        };
        let opening = other.sends();
        side.feed(&opening);
        other.feed(&side.sends());
        let rest = other.sends();
        side.feed(&rest[..53]);
        assert_eq!(side.error, None);
        side
    };
    let frame = |body: &[u8]| {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, FrameKind::Command, body);
        bytes
    };
    let mut ready = Vec::new();
    put_ready(
        &mut ready,
        &own_metadata(SocketType::Pull, b"", Announced::default()),
    );
    let unexpected = |name: &str| ProtocolError::UnexpectedCommand { name: name.into() };
    let malformed = |name: &str| ProtocolError::MalformedCommand { name: name.into() };
    for (client, bytes, error) in [
        (true, ready.clone(), unexpected("READY")),
        (false, ready, unexpected("READY")),
        (true, frame(b"\x05HELLO"), unexpected("HELLO")),
        (false, frame(b"\x07WELCOME"), unexpected("WELCOME")),
        (
            false,
            frame(&[b"\x08INITIATE", &[0; 300][..]].concat()),
            unexpected("INITIATE"),
        ),
        (false, frame(b"\x07MESSAGE"), unexpected("MESSAGE")),
        (true, frame(b"\x04PING\0\0"), unexpected("PING")),
        (true, frame(b""), unexpected("")),
        (
            true,
            frame(&[b"\x07WELCOME", &[0; 159][..]].concat()),
            malformed("WELCOME"),
        ),
        (
            true,
            frame(&[b"\x07WELCOME", &[0; 161][..]].concat()),
            malformed("WELCOME"),
        ),
        (
            true,
            frame(&[b"\x07WELCOME", &[0; 160][..]].concat()),
            ProtocolError::BadBox { command: "WELCOME" },
        ),
        (
            false,
            frame(&[b"\x05HELLO", &[0; 193][..]].concat()),
            malformed("HELLO"),
        ),
        (
            false,
            frame(&[b"\x05HELLO", &[0; 195][..]].concat()),
            malformed("HELLO"),
        ),
        (
            false,
            frame(&[b"\x05HELLO\x02", &[0; 193][..]].concat()),
            ProtocolError::CurveVersion { major: 2, minor: 0 },
        ),
        (
            false,
            frame(&[b"\x05HELLO\x01", &[0; 193][..]].concat()),
            ProtocolError::BadBox { command: "HELLO" },
        ),
    ] {
        let mut side = greeting(client);
        side.feed(&bytes);
        assert_eq!(side.error, Some(error));
    }
    // Refused by its header.
    let mut side = greeting(false);
    side.feed(b"\x06\0\0\0\0\0\0\x04\0");
    assert!(matches!(
        side.error,
        Some(ProtocolError::CommandTooLarge { .. })
    ));
}

#[test]
fn messages_that_are_not_genuine_are_refused() {
    let (mut client, mut server) = (Side::client(), Side::server());
    talk(&mut client, &mut server, usize::MAX, &mut untouched);
    let ((mut sealer, mut from_server), (_, mut opener)) = (client.session(), server.session());
    let mut sealed = |body: &[u8]| {
        let mut wire = Vec::new();
        assert!(sealer.seal(FrameKind::Last, body, &mut wire));
        wire[2..].to_vec()
    };
    let (first, second, third) = (sealed(b"1"), sealed(b"2"), sealed(b"3"));
    let open = |opener: &mut Opener, bytes: &[u8]| {
        let mut body = bytes.to_vec();
        let result = opener.open(&mut body).map(|_| ());
        assert_eq!(body == bytes, result.is_err());
        result
    };
    for at in 0..second.len() {
        let mut altered = second.clone();
        altered[at] ^= 1;
        let error = open(&mut opener, &altered).expect_err("altered");
        let expected = match at {
            0..8 => matches!(error, ProtocolError::NotSealed { .. }),
            _ => error == ProtocolError::BadBox { command: "MESSAGE" },
        };
        assert!(expected, "{at}: {error}");
    }
    for len in 0..second.len() {
        assert!(open(&mut opener, &second[..len]).is_err(), "{len}");
    }
    assert!(
        open(&mut from_server, &first).is_err(),
        "sent back to its sender"
    );
    assert_eq!(open(&mut opener, &second), Ok(()), "none of these counts");
    for old in [&first, &second] {
        assert!(matches!(
            open(&mut opener, old),
            Err(ProtocolError::NonceRepeated { last: 4, .. })
        ));
    }
    assert_eq!(open(&mut opener, &third), Ok(()));
    assert!(matches!(
        open(&mut opener, b"\x04PING\0\0"),
        Err(ProtocolError::NotSealed { .. })
    ));
}

#[test]
fn nothing_shows_the_keys() {
    let (mut client, mut server) = (Side::client(), Side::server());
    let secret = keys(2).secret().to_hex();
    let bytes = format!("{:?}", [2_u8; KEY]);
    let unseen = |side: &Side| {
        let shown = format!("{:?} {:?}", side.handshake, side.established);
        assert!(
            !shown.contains(&secret) && !shown.contains(&bytes),
            "{shown}"
        );
    };
    unseen(&client);
    talk(&mut client, &mut server, usize::MAX, &mut untouched);
    unseen(&client);
    unseen(&server);
}
