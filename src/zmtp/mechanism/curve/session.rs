//! What is agreed on, and what seals and opens frames with it.

use std::fmt;

use super::split_box;
use crate::curve::{BoxKey, CountedBoxes, LongBox, MAC, PIECE, Stream};
use crate::zmtp::ProtocolError;
use crate::zmtp::error::quote;
use crate::zmtp::frame::{FrameKind, MAX_HEADER, encode_header};

const NAME: &[u8; 8] = b"\x07MESSAGE";

/// What a MESSAGE is longer than the body of the frame inside.
pub(crate) const MESSAGE_OVERHEAD: usize = NAME.len() + 8 + MAC + 1;

const _: () = assert!(MAX_HEADER <= MESSAGE_OVERHEAD);

/// Where in the body of a MESSAGE the text is, which begins with the flags.
const FLAGS_AT: usize = MESSAGE_OVERHEAD - 1;

/// A frame whose body is longer is opened piece by piece.
const LONG: usize = 4 * 1024;

/// The tail of a frame that is opened in this way is never empty.
const _: () = assert!(LONG > Stream::HEAD);

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
        let (start, flags_at) = (out.len(), end - 1);
        out.reserve(end + body.len());
        out.extend_from_slice(&head[..end]);
        out.extend_from_slice(body);
        let mac = self.boxes.seal(counter, &mut out[start + flags_at..]);
        out[start + flags_at - MAC..start + flags_at].copy_from_slice(&mac);
        true
    }

    /// There is nothing more to seal for now: holds no memory.
    pub(crate) fn rest(&mut self) {
        self.boxes.rest();
    }
}

/// Makes a frame of each MESSAGE, in the same memory.
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
    /// Opens what is in a frame whose body this is, where it is. Gives the frame inside, and its kind: it ends where the body does, and what was
    /// before it is of no use any more. What is not genuine is left as it was.
    pub(crate) fn open<'a>(
        &mut self,
        body: &'a mut [u8],
    ) -> Result<(FrameKind, &'a [u8]), ProtocolError> {
        let Head { counter, mac } = self.head(body)?;
        if !self.boxes.open(counter, &mac, &mut body[FLAGS_AT..]) {
            return Err(ProtocolError::BadBox { command: "MESSAGE" });
        }
        self.counter = counter;
        let (kind, start) = put_header(body);
        Ok((kind, &body[start..]))
    }

    /// Begins to open a long frame, of whose body so much is here as [`LongFrame::can_begin`] asks for.
    pub(crate) fn begin(&self, body: &[u8]) -> Result<LongFrame, ProtocolError> {
        let head = self.head(body)?;
        let boxed = self.boxes.open_long(head.counter);
        Ok(LongFrame {
            head,
            boxed,
            seen: FLAGS_AT,
        })
    }

    /// Opens a long frame when its body is whole, but decrypts only its beginning. Gives the kind of the frame inside, where in the body
    /// that begins, and what decrypts the end.
    pub(crate) fn finish(
        &mut self,
        mut frame: LongFrame,
        body: &mut [u8],
    ) -> Result<(FrameKind, usize, SealedEnd), ProtocolError> {
        frame.came(body, true);
        let Head { counter, mac } = frame.head;
        let Some(stream) = frame.boxed.verify(&mac) else {
            return Err(ProtocolError::BadBox { command: "MESSAGE" });
        };
        self.counter = counter;
        let text = &mut body[FLAGS_AT..];
        let (head, end) = text.split_at_mut(text.len().min(Stream::HEAD));
        stream.xor_head(head);
        let end = SealedEnd {
            stream,
            at: Stream::HEAD,
            left: end.len(),
        };
        let (kind, start) = put_header(body);
        Ok((kind, start, end))
    }

    /// Looks at what a body begins with.
    fn head(&self, body: &[u8]) -> Result<Head, ProtocolError> {
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
        let (&mac, sealed) = split_box(sealed).ok_or_else(malformed)?;
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
        Ok(Head { counter, mac })
    }

    /// There is nothing more to open for now: holds no memory.
    pub(crate) fn rest(&mut self) {
        self.boxes.rest();
    }
}

/// What a body begins with, and what is not known to be genuine.
#[derive(Debug, Clone, Copy)]
struct Head {
    counter: u64,
    mac: [u8; MAC],
}

/// Puts the header of the frame inside before its body, from the flags that are there in clear. Gives its kind, and where it begins now.
fn put_header(body: &mut [u8]) -> (FrameKind, usize) {
    let flags = body[FLAGS_AT];
    let kind = match (flags & COMMAND != 0, flags & MORE != 0) {
        (true, _) => FrameKind::Command,
        (false, true) => FrameKind::More,
        (false, false) => FrameKind::Last,
    };
    // The header takes the place of the flags and of what is before them, of which there is more than a header takes.
    let (header, header_len) = encode_header(kind, body.len() - MESSAGE_OVERHEAD);
    let start = MESSAGE_OVERHEAD - header_len;
    body[start..MESSAGE_OVERHEAD].copy_from_slice(&header[..header_len]);
    (kind, start)
}

/// A long frame that is being read. Of what has come, the tag is computed at once.
#[derive(Debug)]
pub(crate) struct LongFrame {
    head: Head,
    boxed: LongBox,
    /// How much of the body has been looked at.
    seen: usize,
}

impl LongFrame {
    /// Whether a frame with a body of this length is opened in this way, and so much of it is here that that can begin.
    pub(crate) fn can_begin(body_len: u64, come: usize) -> bool {
        body_len > (LONG + MESSAGE_OVERHEAD) as u64 && come > FLAGS_AT
    }

    /// Looks at what has come of the body since the last time. But for its end, in multiples of what vectors take.
    pub(crate) fn came(&mut self, body: &[u8], is_whole: bool) {
        let new = &body[self.seen..];
        let odd = if is_whole {
            0
        } else {
            new.len() % Stream::UNIT
        };
        let new = &new[..new.len() - odd];
        self.boxed.came(new);
        self.seen += new.len();
    }
}

/// The end of a long frame that is known to be genuine, and is still encrypted.
#[derive(Debug)]
pub(crate) struct SealedEnd {
    stream: Box<Stream>,
    at: usize,
    left: usize,
}

impl SealedEnd {
    /// How much has not been decrypted.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Appends the next of it in clear.
    pub(crate) fn decrypt(&mut self, mut sealed: &[u8], into: &mut Vec<u8>) {
        while !sealed.is_empty() {
            // However much is asked for at a time, most pieces begin where vectors are filled.
            let len = PIECE - (self.at - Stream::HEAD) % PIECE;
            let (piece, rest) = sealed.split_at(len.min(sealed.len()));
            let start = into.len();
            into.extend_from_slice(piece);
            self.stream.xor(self.at, &mut into[start..]);
            self.at += piece.len();
            self.left = self.left.saturating_sub(piece.len());
            sealed = rest;
        }
    }
}
