//! What a peer can do wrong, one variant for each.
//!
//! Text that came from the peer is escaped and cut before it is kept: it ends up in logs and on
//! terminals.

use std::fmt;

use super::{DeliveryError, SocketType};

/// How a peer broke the protocol. The connection is closed; nothing else is affected.
///
/// Limits speak of what the peer *announced*: an oversized frame is refused when its header is
/// read, before any of its body is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The peer speaks ZMTP 1.0, or nothing like ZMTP at all.
    Zmtp10 {
        /// What the first bytes look like, where they give it away.
        looks_like: Option<ForeignProtocol>,
    },
    /// The two sides are configured for different security mechanisms.
    MechanismMismatch {
        /// The mechanism configured here.
        ours: &'static str,
        /// The mechanism in the peer's greeting.
        theirs: String,
    },
    /// The peer speaks ZMTP 2.0, which can't do the security configured here.
    InsecureVersion {
        /// The mechanism configured here.
        mechanism: &'static str,
    },
    /// The peer's socket type does not go with ours, as PUSH does not with PUSH.
    IncompatibleSocketType {
        /// The type of our socket.
        ours: SocketType,
        /// The type of the peer's socket.
        theirs: SocketType,
    },
    /// The peer's READY did not say which socket type it is, so nobody can know whether it goes with ours.
    MissingSocketType,
    /// The peer named a socket type that does not exist here.
    UnknownSocketType {
        /// The name it gave.
        name: String,
    },
    /// A ZMTP 2.0 peer gave the number of a socket type that does not exist here.
    UnknownSocketTypeCode {
        /// The number it gave.
        code: u8,
    },
    /// A command that is not allowed at this point of the handshake.
    UnexpectedCommand {
        /// The command's name; empty if the frame was.
        name: String,
    },
    /// A command whose lengths do not fit its frame.
    MalformedCommand {
        /// The command's name, as far as it can be told.
        name: String,
    },
    /// A property list whose lengths do not fit, or whose names are not text.
    MalformedMetadata {
        /// Where in the list the property starts that can't be read.
        offset: usize,
    },
    /// More properties in one handshake than anyone needs.
    TooManyProperties {
        /// The most that is accepted.
        limit: usize,
    },
    /// A message larger than the configured maximum; all its parts count.
    MessageTooLarge {
        /// The configured maximum, in bytes.
        limit: u64,
        /// What the message comes to with the part just announced.
        announced: u64,
    },
    /// A message of more parts than the configured maximum.
    TooManyParts {
        /// The configured maximum.
        limit: u32,
    },
    /// A message of fewer parts than the socket type's have: one without a body, to a DISH.
    TooFewParts {
        /// The parts of its messages.
        least: u32,
    },
    /// A command or handshake frame larger than the configured maximum.
    CommandTooLarge {
        /// The configured maximum of the whole frame, in bytes.
        limit: u64,
        /// The size of the frame that was announced.
        announced: u64,
    },
    /// A PING without room for its time-to-live.
    ShortPing {
        /// The length of what follows the command's name.
        len: usize,
    },
    /// The peer refused us with an ERROR command.
    PeerError {
        /// The reason it gave; an authentication failure is a code such as `400`.
        reason: String,
    },
    /// A subscription to a topic longer than the configured maximum.
    TopicTooLong {
        /// The configured maximum, in bytes.
        limit: usize,
    },
    /// More subscriptions from one peer than the configured maximum.
    TooManySubscriptions {
        /// The configured maximum.
        limit: usize,
    },
    /// CURVE: what was sealed does not open. It was altered on its way, or sealed for somebody else; a client may have the wrong key
    /// for the server.
    BadBox {
        /// The command that it came in.
        command: &'static str,
    },
    /// CURVE: the client's INITIATE brings back another cookie than it was given on this connection.
    BadCookie,
    /// CURVE: the client has not shown that it has the secret key to the public one that it names, for this connection and this server.
    BadVouch,
    /// CURVE: the client speaks another version of it.
    CurveVersion {
        /// The number before the dot.
        major: u8,
        /// The number after the dot.
        minor: u8,
    },
    /// CURVE: a message came again, or out of order.
    NonceRepeated {
        /// The highest number so far.
        last: u64,
        /// The number of this one.
        given: u64,
    },
    /// CURVE: something came in clear after the handshake.
    NotSealed {
        /// Its first bytes, escaped.
        begins: String,
    },
    /// The peer broke the rules of acknowledged delivery.
    Delivery(DeliveryError),
    /// CURVE: the handshake needs random bytes, and the system gave none. This is no fault of the peer's.
    NoRandomBytes,
}

/// A protocol that is not ZMTP, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignProtocol {
    /// An HTTP request.
    Http,
    /// A TLS ClientHello.
    Tls,
    /// An SSH banner.
    Ssh,
}

impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Ssh => "SSH",
        })
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zmtp10 { looks_like: None } => {
                write!(
                    f,
                    "the peer does not speak ZMTP 2.0 or later; ZMTP 1.0 is not supported"
                )
            }
            Self::Zmtp10 {
                looks_like: Some(protocol),
            } => {
                write!(
                    f,
                    "the peer does not speak ZMTP; this looks like {protocol}"
                )
            }
            Self::MechanismMismatch { ours, theirs } => {
                write!(
                    f,
                    "the peer uses security mechanism \"{theirs}\", we use {ours}"
                )
            }
            Self::InsecureVersion { mechanism } => {
                write!(
                    f,
                    "the peer speaks ZMTP 2.0, which cannot do {mechanism} security"
                )
            }
            Self::IncompatibleSocketType { ours, theirs } => {
                write!(
                    f,
                    "the peer is a {theirs} socket, which a {ours} socket cannot talk to"
                )
            }
            Self::MissingSocketType => {
                f.write_str("the peer did not say of which socket type it is")
            }
            Self::UnknownSocketType { name } => {
                write!(
                    f,
                    "the peer claims to be of the unknown socket type \"{name}\""
                )
            }
            Self::UnknownSocketTypeCode { code } => {
                write!(
                    f,
                    "the peer claims to be of the unknown socket type number {code}"
                )
            }
            Self::UnexpectedCommand { name } if name.is_empty() => {
                write!(f, "the peer sent an empty command during the handshake")
            }
            Self::UnexpectedCommand { name } => {
                write!(
                    f,
                    "the peer sent \"{name}\", which is not allowed during the handshake"
                )
            }
            Self::MalformedCommand { name } if name.is_empty() => {
                write!(f, "the peer sent a command that ends within its own name")
            }
            Self::MalformedCommand { name } => {
                write!(
                    f,
                    "the peer sent a {name} command whose lengths do not fit its frame"
                )
            }
            Self::MalformedMetadata { offset } => {
                write!(
                    f,
                    "the peer's metadata cannot be read from byte {offset} on"
                )
            }
            Self::TooManyProperties { limit } => {
                write!(f, "the peer sent more than {limit} metadata properties")
            }
            Self::MessageTooLarge { limit, announced } => {
                write!(
                    f,
                    "the peer announced a message of {announced} bytes, the limit is {limit}"
                )
            }
            Self::TooManyParts { limit } => {
                write!(f, "the peer sent a message of more than {limit} parts")
            }
            Self::TooFewParts { least } => {
                write!(f, "the peer sent a message of fewer than {least} parts")
            }
            Self::CommandTooLarge { limit, announced } => {
                write!(
                    f,
                    "the peer announced a command of {announced} bytes, the limit is {limit}"
                )
            }
            Self::ShortPing { len } => {
                write!(
                    f,
                    "the peer sent a PING with {len} bytes where its time-to-live takes 2"
                )
            }
            Self::PeerError { reason } => {
                write!(f, "the peer refused the connection: \"{reason}\"")
            }
            Self::TopicTooLong { limit } => {
                write!(
                    f,
                    "the peer subscribed to a topic of more than {limit} bytes"
                )
            }
            Self::TooManySubscriptions { limit } => {
                write!(f, "the peer made more than {limit} subscriptions")
            }
            Self::BadBox { command: "HELLO" } => f.write_str(
                "the peer's HELLO does not open: it has another public key for this server",
            ),
            Self::BadBox { command } => {
                write!(
                    f,
                    "the peer's {command} does not open: it was altered, or is for another key"
                )
            }
            Self::BadCookie => {
                f.write_str("the peer brought back another cookie than it was given")
            }
            Self::BadVouch => {
                f.write_str("the peer has not shown that it has the secret key to its public one")
            }
            Self::CurveVersion { major, minor } => {
                write!(f, "the peer speaks CURVE {major}.{minor}, we speak 1.0")
            }
            Self::NonceRepeated { last, given } => {
                write!(
                    f,
                    "the peer's message {given} came after its message {last}"
                )
            }
            Self::NotSealed { begins } => write!(
                f,
                "the peer sent something in clear after the handshake, which begins with \"{begins}\""
            ),
            Self::Delivery(error) => error.fmt(f),
            Self::NoRandomBytes => f.write_str("the system gives no random bytes"),
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<DeliveryError> for ProtocolError {
    fn from(error: DeliveryError) -> ProtocolError {
        ProtocolError::Delivery(error)
    }
}

/// The most of a peer's bytes that an error keeps: the longest reason an ERROR command can carry.
const MAX_QUOTED: usize = 255;

/// A peer's bytes made fit for a log line: escaped, and cut to a bounded length.
pub(super) fn quote(bytes: &[u8]) -> String {
    let kept = bytes.get(..MAX_QUOTED).unwrap_or(bytes);
    kept.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_escapes_and_cuts() {
        assert_eq!(quote(b"plain text"), "plain text");
        assert_eq!(quote(b"\x1b[2J\n\xff"), "\\x1b[2J\\n\\xff");
        assert_eq!(quote(&[b'a'; 1000]).len(), MAX_QUOTED);
    }

    #[test]
    fn display_says_what_was_wrong() {
        let cases = [
            (
                ProtocolError::IncompatibleSocketType {
                    ours: SocketType::Push,
                    theirs: SocketType::Pub,
                },
                "the peer is a PUB socket, which a PUSH socket cannot talk to",
            ),
            (
                ProtocolError::Zmtp10 {
                    looks_like: Some(ForeignProtocol::Http),
                },
                "the peer does not speak ZMTP; this looks like HTTP",
            ),
            (
                ProtocolError::MessageTooLarge {
                    limit: 10,
                    announced: 11,
                },
                "the peer announced a message of 11 bytes, the limit is 10",
            ),
        ];
        for (error, sentence) in cases {
            assert_eq!(error.to_string(), sentence);
        }
    }
}
