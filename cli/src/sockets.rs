//! What the commands need of a socket beyond the library's traits.

use zerohop::{
    Dealer, Frame, Message, Pair, Pub, Published, Push, RecvSocket, Routed, Router, RoutingId,
    SendError, SendSocket, Xpub, Xsub,
};

use crate::failure::Outcome;
use crate::format::from_hex;
use crate::output::{Output, hex};
use crate::send::split;

/// What takes messages, and can say how many peers have missed one.
pub(crate) trait Sending: SendSocket {
    /// A message that a peer refuses is one that nobody gets.
    const REFUSED_IS_LOST: bool;

    /// A line begins with the name of the peer that it is for.
    const NAMES_ITS_PEER: bool = false;

    /// The number of peers that miss a message that was sent so.
    fn missed(sent: &Self::Sent) -> usize;

    /// Whether there was any peer that it was for.
    fn is_wanted(_sent: &Self::Sent) -> bool {
        true
    }

    /// Sends a line, in frames if they are separated.
    #[inline]
    fn send_line(&self, line: &[u8], separator: Option<&[u8]>) -> Result<Self::Sent, SendError> {
        match separator {
            None => self.send(line),
            Some(separator) => self.send(split(line, separator)),
        }
    }
}

/// What is sent to and received from.
pub(crate) trait Talking: Sending + RecvSocket {
    /// Prints a message.
    #[inline]
    fn print(output: &mut Output, message: &Message) -> Outcome {
        output.write(message)
    }
}

impl Sending for Push {
    const REFUSED_IS_LOST: bool = true;

    fn missed((): &()) -> usize {
        0
    }
}

impl Sending for Pub {
    const REFUSED_IS_LOST: bool = false;

    fn missed(sent: &Published) -> usize {
        sent.skipped + sent.refused
    }

    fn is_wanted(sent: &Published) -> bool {
        sent.sent + sent.skipped + sent.refused + sent.behind > 0
    }
}

impl Sending for Xpub {
    const REFUSED_IS_LOST: bool = false;

    fn missed(sent: &Published) -> usize {
        sent.skipped + sent.refused
    }

    fn is_wanted(sent: &Published) -> bool {
        sent.sent + sent.skipped + sent.refused > 0
    }
}

impl Sending for Xsub {
    const REFUSED_IS_LOST: bool = false;

    fn missed(sent: &Published) -> usize {
        sent.skipped + sent.refused
    }
}

impl Sending for Dealer {
    const REFUSED_IS_LOST: bool = true;

    fn missed((): &()) -> usize {
        0
    }
}

impl Talking for Dealer {}

impl Sending for Pair {
    const REFUSED_IS_LOST: bool = true;

    fn missed((): &()) -> usize {
        0
    }
}

impl Talking for Pair {}

/// Lines are `ID<TAB>MESSAGE`.
impl Sending for Router {
    const REFUSED_IS_LOST: bool = true;
    const NAMES_ITS_PEER: bool = true;

    /// The command has the socket fail or wait instead.
    fn missed(sent: &Routed) -> usize {
        usize::from(*sent != Routed::Queued)
    }

    fn send_line(&self, line: &[u8], separator: Option<&[u8]>) -> Result<Routed, SendError> {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            // Nothing follows the name, as the error says.
            return self.send(line);
        };
        let (name, body) = (peer_of(&line[..tab]), &line[tab + 1..]);
        match separator {
            None => self.send_to(name, body),
            Some(separator) => self.send_to(name, split(body, separator)),
        }
    }
}

impl Talking for Router {
    fn print(output: &mut Output, message: &Message) -> Outcome {
        let mut frames = message.frames();
        let name = frames.next().map(Frame::as_slice).unwrap_or_default();
        let body = Message::from_frames(frames.cloned());
        output.write_from(&name_of(name), name, &body)
    }
}

/// What stands in front of a name that is written in hexadecimal digits.
const HEX: &str = "0x";

/// A name as it is printed: as text, or in hexadecimal digits where it is none, or looks like those.
fn name_of(id: &[u8]) -> String {
    let text = RoutingId::from(Frame::copy_from_slice(id)).to_string();
    if text.as_bytes() == id && !text.starts_with(HEX) {
        return text;
    }
    format!("{HEX}{}", hex(id))
}

/// The name that was printed so.
fn peer_of(text: &[u8]) -> RoutingId {
    let digits = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.strip_prefix(HEX));
    let bytes = digits.and_then(from_hex);
    RoutingId::from(bytes.unwrap_or_else(|| text.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        for (id, printed) in [
            (&b"worker 1"[..], "worker 1"),
            (b"\0\x01\xff", "0x0001ff"),
            (b"a\tb", "0x610962"),
            (b"0x61", "0x30783631"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
        ] {
            assert_eq!(name_of(id), printed);
            assert_eq!(peer_of(printed.as_bytes()).as_bytes(), id);
        }
        for text in ["0x", "0x6", "0xzz", "x61"] {
            let id = peer_of(text.as_bytes());
            assert!(text == "0x" || id.as_bytes() == text.as_bytes(), "{text}");
        }
    }
}
