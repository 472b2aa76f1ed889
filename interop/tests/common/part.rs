//! Frames the way tests write them down, and the way they travel to a peer in another process.

use std::fmt;

/// The length of the pattern's period: a prime, so that no power-of-two buffer hides a shifted copy.
const PERIOD: usize = 251;

/// Frames up to this length are written out in full even if they happen to match the pattern.
const SHORT: usize = 64;

/// One frame of a test message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of the test pattern: 100 MiB compare and print as one number.
    Pattern(usize),
}

impl Part {
    /// A frame of `length` bytes, of the pattern when it is long.
    pub(crate) fn sized(length: usize) -> Part {
        Part::from_frame(&pattern(length))
    }

    /// What a received frame is: recognises the pattern.
    pub(crate) fn from_frame(frame: &[u8]) -> Part {
        let period = pattern(PERIOD);
        let is_pattern = frame
            .chunks(PERIOD)
            .all(|chunk| chunk == &period[..chunk.len()]);
        if is_pattern && frame.len() > SHORT {
            return Part::Pattern(frame.len());
        }
        Part::Bytes(frame.to_vec())
    }

    /// The frame itself.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        match self {
            Part::Bytes(bytes) => bytes.clone(),
            Part::Pattern(length) => pattern(*length),
        }
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Part {
        Part::from_frame(text.as_bytes())
    }
}

/// The token that `tests/python/peer.py` reads.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Bytes(bytes) if bytes.is_empty() => f.write_str("-"),
            Part::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Part::Pattern(length) => write!(f, "@{length}"),
        }
    }
}

/// Short enough to read in a failed assertion, whatever the frame.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Bytes(bytes) if bytes.len() > SHORT => {
                write!(f, "{} other bytes", bytes.len())
            }
            Part::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Part::Pattern(length) => write!(f, "{length} bytes of pattern"),
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..PERIOD as u8).collect();
    let mut bytes = period.repeat(length / PERIOD + 1);
    bytes.truncate(length);
    bytes
}

/// A message from anything that frames are made of.
pub(crate) fn message<const N: usize>(frames: [&str; N]) -> Vec<Part> {
    frames.into_iter().map(Part::from).collect()
}
