//! The peer's half of a ZMTP handshake, read without giving ours.
//!
//! ```text
//!   both:  greeting   signature (10) │ version (2) │ mechanism (20) │ as-server (1) │ filler (31)
//!   peer:  READY      flags (1) │ length (1, or 8) │ 5 "READY" │ { length (1) name │ length (4) value } ...
//! ```
//!
//! We greet and send no READY of our own, so the peer never takes us for one of its peers: no message is dealt to us,
//! none is lost, and a type that does not fit is no matter. The library itself can't do that, nor should it.
//! Behind CURVE a server tells its type only to a client that has told its own, and has become its peer if the two go together. So we come as those
//! types to which nobody hands out messages, each on a connection of its own.
//!
//! A ZMTP 2.0 peer ends its greeting after the version with the number of its socket type.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zerohop::__cli::{Address, BehindCurve, CurveHandshake, connect, resolve};
use zerohop::{Endpoint, KeyPair, Options, ProtocolError, PublicKey, SocketType};

const SIGNATURE_LEN: usize = 10;
const GREETING_LEN: usize = 64;

/// No handshake needs a longer command.
const MAX_COMMAND: usize = 64 * 1024;

/// So much is shown of what is not ZMTP.
const MOST_SHOWN: usize = 80;

/// The types by their numbers in ZMTP 2.0.
const TYPE_NAMES: [&str; 11] = [
    "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB",
];

/// The types as which we look behind CURVE: whoever they go with has nothing to give them that they have not asked for.
const HARMLESS: [SocketType; 4] = [
    SocketType::Push,
    SocketType::Sub,
    SocketType::Pub,
    SocketType::Req,
];

/// What a peer said of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: (u8, u8),
    /// Unknown where the mechanism wants credentials first.
    pub(super) socket_type: Option<String>,
    pub(super) mechanism: String,
    /// The peer has shown that it has the server's secret key, and let us in.
    pub(super) server_proven: bool,
    pub(super) metadata: Vec<(String, Vec<u8>)>,
    /// From our greeting to the peer's answer to it.
    pub(super) round_trip: Duration,
}

/// Why a peer said nothing of itself.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The endpoint stands for no address.
    LookUp(io::Error),
    /// There was no connection.
    Connect(io::Error),
    /// It broke.
    Io(io::Error),
    /// The time was up.
    TimedOut(Stage),
    /// It was closed before the peer had said anything.
    Silent,
    /// What came is not ZMTP; these are the first bytes.
    NotZmtp(Vec<u8>),
    /// It speaks HTTP, as its answer to a request in that says.
    Http(Vec<u8>),
    /// The peer refused us, and said why.
    Refused(String),
    /// It does not have the secret key that belongs to the server's key we were given.
    OtherServer,
    /// It breaks the protocol of CURVE.
    Curve(ProtocolError),
}

/// How far we have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    LookUp,
    Connect,
    Handshake,
}

impl Obstacle {
    /// Whether it is only that the time was up.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Obstacle::TimedOut(_))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::LookUp(error) => write!(f, "cannot be looked up: {error}"),
            Obstacle::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("nobody is listening there"),
                io::ErrorKind::NotFound => f.write_str("there is no such socket"),
                io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
                _ => write!(f, "cannot connect: {error}"),
            },
            Obstacle::Io(error) => write!(f, "the connection broke during the handshake: {error}"),
            Obstacle::TimedOut(stage) => f.write_str(match stage {
                Stage::LookUp => "the name was not looked up in time; does the name server answer?",
                Stage::Connect => {
                    "no answer in time; is the address right, or a firewall in between?"
                }
                Stage::Handshake => {
                    "accepts connections, but does not shake hands in time; is it a ZMTP socket?"
                }
            }),
            Obstacle::Silent => f.write_str(
                "accepts connections, and closes them without a word; is it a ZMTP socket?",
            ),
            Obstacle::NotZmtp(bytes) => {
                match known(bytes) {
                    Some(protocol) => write!(f, "speaks {protocol}, not ZMTP")?,
                    None => f.write_str("does not speak ZMTP 2.0 or later")?,
                }
                write!(f, "; it says \"{}\"", first_line(bytes).escape_ascii())
            }
            Obstacle::Http(bytes) => write!(
                f,
                "speaks HTTP, not ZMTP; asked in that, it says \"{}\"",
                first_line(bytes).escape_ascii()
            ),
            Obstacle::Refused(reason) => write!(f, "the peer refused us: \"{reason}\""),
            Obstacle::OtherServer => f.write_str(
                "speaks CURVE, and does not have the key that was given as the server's",
            ),
            Obstacle::Curve(error) => write!(f, "breaks the handshake of CURVE: {error}"),
        }
    }
}

/// Connects to an endpoint as a socket would, greets, and reads what the peer says. All of it within `timeout`, and in a thread
/// that is left behind when that is over: a look-up can't be cut short.
pub(super) fn shake_hands(
    endpoint: &Endpoint,
    options: &Options,
    keys: Option<(KeyPair, PublicKey)>,
    timeout: Duration,
) -> Result<Facts, Obstacle> {
    let start = Instant::now();
    let (stages, reached) = channel();
    let (endpoint, options) = (endpoint.clone(), options.clone());
    let talking = thread::spawn(move || {
        // Who has given up on us does not listen.
        let reach = |stage| {
            let _ = stages.send(stage);
        };
        let addresses = resolve(&endpoint, &options).map_err(Obstacle::LookUp)?;
        reach(Stage::Connect);
        let left = || timeout.saturating_sub(start.elapsed());
        let mut stream = connect_to_one(&endpoint, &addresses, &options, left)?;
        reach(Stage::Handshake);
        if let Some((own, server)) = &keys {
            let mut first = Some(stream);
            let connect = || {
                let stream = match first.take() {
                    Some(stream) => stream,
                    None => connect_to_one(&endpoint, &addresses, &options, left)?,
                };
                Ok(Patience {
                    stream: File::from(stream),
                    time: left() / 2,
                })
            };
            if let Some(facts) = behind_curve(connect, own, *server)? {
                return Ok(facts);
            }
            stream = connect_to_one(&endpoint, &addresses, &options, left)?;
        }
        let patience = Patience {
            stream: File::from(stream),
            // An answer takes a round trip. Who waits for the end of a line that never comes is asked in another way then.
            time: left() / 2,
        };
        let obstacle = match converse(patience) {
            Err(obstacle @ (Obstacle::Silent | Obstacle::TimedOut(_))) => obstacle,
            conversed => return conversed,
        };
        let again = connect_to_one(&endpoint, &addresses, &options, left)?;
        Err(ask_in_http(File::from(again), left() / 2).unwrap_or(obstacle))
    });
    let mut stage = Stage::LookUp;
    loop {
        match reached.recv_timeout(timeout.saturating_sub(start.elapsed())) {
            Ok(next) => stage = next,
            Err(RecvTimeoutError::Timeout) => return Err(Obstacle::TimedOut(stage)),
            Err(RecvTimeoutError::Disconnected) => {
                let died = |_| Obstacle::Io(io::Error::other("a thread died"));
                return talking.join().map_err(died)?;
            }
        }
    }
}

/// Tries the addresses one after the other. What time is left is shared by those that have not been tried.
fn connect_to_one(
    endpoint: &Endpoint,
    addresses: &[Address],
    options: &Options,
    left: impl Fn() -> Duration,
) -> Result<OwnedFd, Obstacle> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (untried, address) in (1..=addresses.len() as u32).rev().zip(addresses) {
        match connect(endpoint, address, options, left() / untried) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(match last.kind() {
        io::ErrorKind::TimedOut => Obstacle::TimedOut(Stage::Connect),
        _ => Obstacle::Connect(last),
    })
}

fn converse(mut stream: impl Read + Write) -> Result<Facts, Obstacle> {
    let start = Instant::now();
    stream.write_all(&our_greeting()).map_err(Obstacle::Io)?;
    let mut greeting = [0; GREETING_LEN];
    read_signature(&mut stream, &mut greeting[..SIGNATURE_LEN])?;
    stream
        .read_exact(&mut greeting[SIGNATURE_LEN..12])
        .map_err(Obstacle::Io)?;
    let (major, number) = (greeting[10], greeting[11]);
    if major < 3 {
        // The byte after the version is the socket type, and there are no mechanisms.
        let name = TYPE_NAMES.get(usize::from(number)).copied();
        return Ok(Facts {
            version: (2, 0),
            socket_type: name.map(str::to_owned),
            mechanism: "none".to_owned(),
            server_proven: false,
            metadata: Vec::new(),
            round_trip: start.elapsed(),
        });
    }
    stream
        .read_exact(&mut greeting[12..])
        .map_err(Obstacle::Io)?;
    let name = greeting[12..32]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    let mut facts = Facts {
        version: (major, number),
        socket_type: None,
        mechanism: name.escape_ascii().to_string(),
        server_proven: false,
        metadata: Vec::new(),
        round_trip: start.elapsed(),
    };
    if facts.mechanism == "NULL" {
        facts.metadata = read_ready(&mut stream)?;
        facts.round_trip = start.elapsed();
        let named = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case("Socket-Type");
        let socket_type = facts.metadata.iter().find(named);
        facts.socket_type = socket_type.map(|(_, value)| value.escape_ascii().to_string());
    }
    Ok(facts)
}

/// What is behind CURVE; `None`: the peer does not speak it, which is to be told without.
fn behind_curve<S: Read + Write>(
    mut connect: impl FnMut() -> Result<S, Obstacle>,
    own: &KeyPair,
    server: PublicKey,
) -> Result<Option<Facts>, Obstacle> {
    let mut seen = None;
    for socket_type in HARMLESS {
        let start = Instant::now();
        let mut greeting = Vec::new();
        let looked = look_behind(connect()?, own, server, socket_type, &mut greeting);
        if greeting.get(12..17) != Some(b"CURVE") {
            return Ok(None);
        }
        let behind = looked?;
        let facts = Facts {
            version: (greeting[10], greeting[11]),
            socket_type: behind.as_ref().and_then(|known| known.socket_type.clone()),
            mechanism: "CURVE".to_owned(),
            server_proven: true,
            metadata: behind.map_or_else(Vec::new, |known| known.metadata),
            round_trip: start.elapsed(),
        };
        if facts.socket_type.is_some() {
            return Ok(Some(facts));
        }
        seen = Some(facts);
    }
    Ok(seen)
}

/// What a server of CURVE says to a client of this type, behind its greeting; `None`: it has shown that it has its key, and has closed the
/// connection without a word.
fn look_behind(
    mut stream: impl Read + Write,
    own: &KeyPair,
    server: PublicKey,
    socket_type: SocketType,
    greeting: &mut Vec<u8>,
) -> Result<Option<BehindCurve>, Obstacle> {
    let mut out = Vec::new();
    let mut handshake = CurveHandshake::new(own, server, socket_type, &mut out);
    let mut bytes = [0; 1024];
    loop {
        let written = stream.write_all(&out);
        out.clear();
        let read = match written.and_then(|()| stream.read(&mut bytes)) {
            Ok(read) => read,
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => 0,
                io::ErrorKind::TimedOut => return Err(Obstacle::TimedOut(Stage::Handshake)),
                _ => return Err(Obstacle::Io(error)),
            },
        };
        if read == 0 {
            return match handshake.server_proven() {
                true => Ok(None),
                false => Err(Obstacle::OtherServer),
            };
        }
        let missing = GREETING_LEN.saturating_sub(greeting.len());
        greeting.extend_from_slice(&bytes[..read.min(missing)]);
        match handshake.handle(&bytes[..read], &mut out) {
            Ok(None) => {}
            Ok(behind) => return Ok(behind),
            Err(ProtocolError::PeerError { reason }) => return Err(Obstacle::Refused(reason)),
            Err(ProtocolError::BadBox { .. }) => return Err(Obstacle::OtherServer),
            Err(error) => return Err(Obstacle::Curve(error)),
        }
    }
}

/// A connection of which each read has so much time.
struct Patience {
    stream: File,
    time: Duration,
}

impl Read for Patience {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let time = Timespec::try_from(self.time).ok();
        match poll(
            &mut [PollFd::new(&self.stream, PollFlags::IN)],
            time.as_ref(),
        )? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.stream.read(buffer),
        }
    }
}

impl Write for Patience {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The obstacle, if that is it: a server that waits for a whole line of text has not answered our greeting.
fn ask_in_http(stream: File, time: Duration) -> Option<Obstacle> {
    let mut stream = Patience { stream, time };
    stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    read_some(&mut stream, &mut bytes);
    bytes.starts_with(b"HTTP/").then_some(Obstacle::Http(bytes))
}

/// Reads on to the end of a line, or as much as is worth showing.
fn read_some(stream: &mut impl Read, bytes: &mut Vec<u8>) {
    let mut piece = [0; MOST_SHOWN];
    while bytes.len() < MOST_SHOWN && !bytes.contains(&b'\n') {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
}

/// What is often found where a ZMTP socket was thought to be.
fn known(bytes: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], &str); 4] = [
        (b"HTTP/", "HTTP"),
        (b"SSH-", "SSH"),
        // An alert, and a handshake.
        (b"\x15\x03", "TLS"),
        (b"\x16\x03", "TLS"),
    ];
    let found = starts.iter().find(|(start, _)| bytes.starts_with(start));
    found.map(|&(_, name)| name)
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let line = line.unwrap_or_default();
    line.get(..MOST_SHOWN).unwrap_or(line)
}

/// Ours, of version 3.1 and without security.
fn our_greeting() -> [u8; GREETING_LEN] {
    let mut greeting = [0; GREETING_LEN];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10..12].copy_from_slice(&[3, 1]);
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Reads up to the end of the signature, or as much as shows that it is none.
fn read_signature(stream: &mut impl Read, signature: &mut [u8]) -> Result<(), Obstacle> {
    let mut filled = 0;
    while filled < signature.len() {
        match stream
            .read(&mut signature[filled..])
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => Obstacle::TimedOut(Stage::Handshake),
                // Who closes without having read our greeting resets the connection.
                io::ErrorKind::ConnectionReset if filled == 0 => Obstacle::Silent,
                _ => Obstacle::Io(error),
            })? {
            0 if filled == 0 => return Err(Obstacle::Silent),
            0 => return Err(Obstacle::NotZmtp(signature[..filled].to_vec())),
            read => filled += read,
        }
        if signature[0] != 0xff {
            let mut said = signature[..filled].to_vec();
            read_some(stream, &mut said);
            return Err(Obstacle::NotZmtp(said));
        }
    }
    // Bit 0 tells a signature from a message of ZMTP 1.0 with a long length.
    if signature[9] & 1 == 1 {
        return Ok(());
    }
    Err(Obstacle::NotZmtp(signature.to_vec()))
}

/// Reads the READY command, and gives its properties.
fn read_ready(stream: &mut impl Read) -> Result<Vec<(String, Vec<u8>)>, Obstacle> {
    let mut flags = [0];
    stream.read_exact(&mut flags).map_err(Obstacle::Io)?;
    let length = match flags {
        [4] => {
            let mut length = [0];
            stream.read_exact(&mut length).map_err(Obstacle::Io)?;
            usize::from(length[0])
        }
        [6] => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).map_err(Obstacle::Io)?;
            usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX)
        }
        _ => return Err(Obstacle::NotZmtp(flags.to_vec())),
    };
    if length > MAX_COMMAND {
        return Err(Obstacle::NotZmtp(flags.to_vec()));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(Obstacle::Io)?;
    let unreadable = || Obstacle::NotZmtp(body.iter().copied().take(32).collect());
    let (name, rest) = take(&body, 1).ok_or_else(unreadable)?;
    match name {
        b"READY" => properties(rest).ok_or_else(unreadable),
        b"ERROR" => {
            let (reason, _) = take(rest, 1).ok_or_else(unreadable)?;
            Err(Obstacle::Refused(reason.escape_ascii().to_string()))
        }
        _ => Err(unreadable()),
    }
}

fn properties(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut properties = Vec::new();
    while !bytes.is_empty() {
        let (name, rest) = take(bytes, 1)?;
        let (value, rest) = take(rest, 4)?;
        properties.push((name.escape_ascii().to_string(), value.to_vec()));
        bytes = rest;
    }
    Some(properties)
}

/// What stands behind a length of so many bytes, and the rest.
fn take(bytes: &[u8], length_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_bytes)?;
    let length = length
        .iter()
        .fold(0, |length, &byte| length << 8 | usize::from(byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that says what it has to say, and does not listen.
    struct Peer<'a>(&'a [u8]);

    impl Read for Peer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Peer<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const READY: &[u8] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH";

    #[test]
    fn a_peer_tells_of_itself() {
        let said = [&our_greeting(), READY].concat();
        let facts = converse(Peer(&said)).expect("facts");
        assert_eq!(facts.version, (3, 1));
        assert_eq!(facts.socket_type.as_deref(), Some("PUSH"));
        assert_eq!(facts.mechanism, "NULL");
        assert_eq!(
            facts.metadata,
            [("Socket-Type".to_owned(), b"PUSH".to_vec())]
        );
    }

    #[test]
    fn credentials_are_not_asked_for() {
        let mut greeting = our_greeting();
        greeting[12..17].copy_from_slice(b"CURVE");
        let facts = converse(Peer(&greeting)).expect("facts");
        assert_eq!(
            (facts.socket_type, facts.mechanism.as_str()),
            (None, "CURVE")
        );
    }

    #[test]
    fn older_peers_are_known() {
        let facts = converse(Peer(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0")).expect("facts");
        assert_eq!(
            (facts.version, facts.socket_type.as_deref()),
            ((2, 0), Some("PUSH"))
        );
    }

    #[test]
    fn everything_else_is_an_obstacle() {
        let refusal = [&our_greeting()[..], b"\x04\x0a\x05ERROR\x03400"].concat();
        let cut_short = [&our_greeting()[..], &READY[..20]].concat();
        let too_long = [&our_greeting()[..], b"\x06\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
        let lying = [&our_greeting()[..], b"\x04\x09\x05READY\xff\xff\xff"].concat();
        for (said, told) in [
            (
                &b"SSH-2.0-x\r\n"[..],
                "speaks SSH, not ZMTP; it says \"SSH-2.0-x\"",
            ),
            (
                b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
                "speaks HTTP, not ZMTP; it says \"HTTP/1.1 400 Bad Request\"",
            ),
            (b"\x15\x03\x01\0\x02\x02F", "speaks TLS, not ZMTP"),
            (&b"\x05\0hello"[..], "does not speak ZMTP"),
            (&refusal, "refused us: \"400\""),
            (&cut_short, "broke"),
            (&too_long, "does not speak ZMTP"),
            (&lying, "does not speak ZMTP"),
            (&b""[..], "closes them without a word"),
        ] {
            let obstacle = converse(Peer(said)).expect_err("an obstacle").to_string();
            assert!(obstacle.contains(told), "{obstacle}");
        }
    }
}
