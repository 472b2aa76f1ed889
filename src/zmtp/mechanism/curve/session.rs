//! What is agreed on, and what seals and opens frames with it.

use std::fmt;

use super::split_box;
use crate::curve::{BoxKey, CountedBoxes, MAC};
use crate::zmtp::ProtocolError;
use crate::zmtp::error::quote;
use crate::zmtp::frame::{FrameKind, MAX_HEADER, encode_header};

const NAME: &[u8; 8] = b"\x07MESSAGE";

/// What a MESSAGE is longer than the body of the frame inside.
pub(crate) const MESSAGE_OVERHEAD: usize = NAME.len() + 8 + MAC + 1;

/// The flags inside of a box. They are not those of a frame: COMMAND has another place, and LONG none.
const MORE: u8 = 0x01;
/// An extension of libzmq's; the RFC reserves the bit.
const COMMAND: u8 = 0x02;

const FROM_CLIENT: &[u8; 16] = b"CurveZMQMESSAGEC";
const FROM_SERVER: &[u8; 16] = b"CurveZMQMESSAGES";

/// What two sides have agreed on, and how far each has counted.
#[derive(Clone)]
pub(crate) struct Session {
    key: BoxKey,
    is_server: bool,
    sent: u64,
    received: u64,
}

impl Session {
    /// The client's side, which has counted its own commands and has read the server's counter.
    pub(super) fn client(key: BoxKey, sent: u64, received: u64) -> Session {
        Session {
            key,
            is_server: false,
            sent,
            received,
        }
    }

    /// The server's side.
    pub(super) fn server(key: BoxKey, sent: u64, received: u64) -> Session {
        Session {
            is_server: true,
            ..Session::client(key, sent, received)
        }
    }

    /// Both sides of a session.
    #[cfg(any(test, feature = "fuzzing", feature = "bench-internals"))]
    pub(crate) fn pair(secret: u8) -> (Session, Session) {
        let key = BoxKey::from_bytes(&[secret; 32]);
        (
            Session::client(key.clone(), 2, 1),
            Session::server(key, 1, 2),
        )
    }

    /// The two directions, which know nothing of each other. There is no other way to seal anything with this session.
    pub(crate) fn split(self) -> (Sealer, Opener) {
        let (ours, theirs) = match self.is_server {
            true => (FROM_SERVER, FROM_CLIENT),
            false => (FROM_CLIENT, FROM_SERVER),
        };
        let sealer = Sealer {
            boxes: CountedBoxes::new(self.key.clone(), ours),
            counter: self.sent,
        };
        let opener = Opener {
            boxes: CountedBoxes::new(self.key, theirs),
            counter: self.received,
        };
        (sealer, opener)
    }
}

/// Says nothing of the keys.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(***)")
    }
}

/// Two sessions are never the same, but for whoever compares outcomes of handshakes: these are by how far both sides have counted.
impl PartialEq for Session {
    fn eq(&self, other: &Session) -> bool {
        let counters = |s: &Session| (s.is_server, s.sent, s.received);
        counters(self) == counters(other)
    }
}

impl Eq for Session {}

/// Makes a MESSAGE of each frame.
///
/// It comes in a frame of a message, and never in a command, although RFC 37 calls it one: libzmq from 4.3.3 on takes the flags of
/// that frame for some of those inside, and silently leaves out what is a command.
pub(crate) struct Sealer {
    boxes: CountedBoxes,
    /// Of the last one.
    counter: u64,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(at {})", self.counter)
    }
}

impl Sealer {
    /// What a frame with a body of this length comes to on the wire, with the header of the frame around.
    pub(crate) fn sealed_len(body_len: usize) -> usize {
        let len = body_len.saturating_add(MESSAGE_OVERHEAD);
        len.saturating_add(encode_header(FrameKind::Last, len).1)
    }

    /// Appends a frame, sealed. `false`: all the counters of the session have been used, and nothing was appended.
    #[must_use]
    pub(crate) fn seal(&mut self, kind: FrameKind, body: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(counter) = self.counter.checked_add(1) else {
            return false;
        };
        self.counter = counter;
        let (header, header_len) = encode_header(FrameKind::Last, body.len() + MESSAGE_OVERHEAD);
        let mut head = [0; MAX_HEADER + MESSAGE_OVERHEAD];
        let end = header_len + MESSAGE_OVERHEAD;
        head[..header_len].copy_from_slice(&header[..header_len]);
        head[header_len..header_len + 8].copy_from_slice(NAME);
        head[header_len + 8..header_len + 16].copy_from_slice(&counter.to_be_bytes());
        head[end - 1] = match kind {
            FrameKind::Last => 0,
            FrameKind::More => MORE,
            FrameKind::Command => COMMAND,
        };
        let start = out.len();
        out.reserve(end + body.len());
        out.extend_from_slice(&head[..end]);
        out.extend_from_slice(body);
        let (head, text) = out[start..].split_at_mut(end - 1);
        let mac = self.boxes.seal(counter, text);
        head[end - 1 - MAC..].copy_from_slice(&mac);
        true
    }

    /// There is nothing more to seal for now: holds no memory.
    pub(crate) fn rest(&mut self) {
        self.boxes.rest();
    }
}

/// Makes a frame of each MESSAGE.
pub(crate) struct Opener {
    boxes: CountedBoxes,
    /// Of the last one.
    counter: u64,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener(at {})", self.counter)
    }
}

impl Opener {
    /// What the frame inside is long, with its header, if it is in a frame with a body of this length.
    pub(crate) fn opened_len(body_len: usize) -> usize {
        let len = body_len.saturating_sub(MESSAGE_OVERHEAD);
        len + encode_header(FrameKind::Last, len).1
    }

    /// Opens what is in a frame whose body this is, and appends the frame inside. Nothing is appended of what is not genuine. Gives the kind
    /// of that frame.
    pub(crate) fn open(
        &mut self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<FrameKind, ProtocolError> {
        let Some(rest) = body.strip_prefix(NAME) else {
            let kept = body.get(..16).unwrap_or(body);
            return Err(ProtocolError::NotSealed {
                begins: quote(kept),
            });
        };
        let malformed = || ProtocolError::MalformedCommand {
            name: String::from("MESSAGE"),
        };
        let (counter, sealed) = rest.split_first_chunk().ok_or_else(malformed)?;
        let (mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
        if sealed.is_empty() {
            return Err(malformed());
        }
        let counter = u64::from_be_bytes(*counter);
        if counter <= self.counter {
            return Err(ProtocolError::NonceRepeated {
                last: self.counter,
                given: counter,
            });
        }
        // The flags are opened into the last byte of the header, which is written when they are known.
        let (_, header_len) = encode_header(FrameKind::Last, sealed.len() - 1);
        let start = out.len();
        out.resize(start + header_len - 1 + sealed.len(), 0);
        let text = &mut out[start + header_len - 1..];
        if !self.boxes.open_into(counter, mac, sealed, text) {
            out.truncate(start);
            return Err(ProtocolError::BadBox { command: "MESSAGE" });
        }
        self.counter = counter;
        let flags = out[start + header_len - 1];
        let kind = match (flags & COMMAND != 0, flags & MORE != 0) {
            (true, _) => FrameKind::Command,
            (false, true) => FrameKind::More,
            (false, false) => FrameKind::Last,
        };
        let (header, _) = encode_header(kind, sealed.len() - 1);
        out[start..start + header_len].copy_from_slice(&header[..header_len]);
        Ok(kind)
    }
    /// There is nothing more to open for now: holds no memory.
    pub(crate) fn rest(&mut self) {
        self.boxes.rest();
    }
}
