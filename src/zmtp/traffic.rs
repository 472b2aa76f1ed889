//! Traffic: the frames after the handshake, scanned where they lie.
//!
//! ```text
//!            More                       a command may come at any point
//!  between --------> within a message   and changes nothing
//!     ^                 |     ^  | More
//!     +------ Last -----+     +--+
//! ```
//!
//! The scanner holds no bytes. It looks at a buffer that somebody else fills, says what is at its start, and
//! refuses what breaks a limit as soon as the header is there: whatever gets past it may be allocated for.

use super::{
    Command, FrameKind, Header, ProtocolError, decode_header, long_message, short_message,
};

/// What a peer may send. `u64::MAX` and `u32::MAX` mean no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The bodies of all parts of one message together.
    pub(crate) max_message_size: u64,
    /// The parts of one message.
    pub(crate) max_parts: u32,
    /// A message of fewer parts makes no sense: 1, or more where it begins with something that is not its body.
    pub(crate) min_parts: u32,
    /// One command frame, its header included: what a receive buffer must be able to hold.
    pub(crate) max_command_size: u64,
}

impl Limits {
    fn takes_singles(&self) -> bool {
        self.max_parts > 0 && self.min_parts <= 1
    }
}

/// What is at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'a> {
    /// Not a whole header, or a command that is not whole. Commands are bounded by
    /// [`Limits::max_command_size`] and are always scanned in one piece.
    Incomplete,
    /// The header of a part of a message, within the limits, but not its whole body.
    Partial { header: Header },
    /// A whole part of a message, of `len` bytes with its header.
    Frame { len: usize, last: bool },
    /// A whole command, of `len` bytes with its header.
    Command { len: usize, command: Command<'a> },
}

/// Whole messages that were passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

/// Finds the frames in one peer's traffic and holds them to the limits.
///
/// To use it: call [`scan`](Self::scan) with the bytes not yet consumed, and
/// - after `Frame` or `Command`, drop `len` bytes and scan again;
/// - after `Incomplete`, scan again when there are more bytes;
/// - after `Partial`, either do the same, or read the body elsewhere and say so with
///   [`body_received`](Self::body_received), then go on with what follows it;
/// - after an error, close the connection.
#[derive(Debug)]
pub(crate) struct Scanner {
    limits: Limits,
    /// The bodies of the current message's parts so far, without its last.
    message_bytes: u64,
    /// The number of those parts.
    parts: u32,
    /// No message has begun, and one of a single part is within the limits for parts. Then such a message changes nothing here.
    takes_single: bool,
}

impl Scanner {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            message_bytes: 0,
            parts: 0,
            takes_single: limits.takes_singles(),
        }
    }

    /// Whether frames of a message have been passed of which the last is still to come.
    pub(crate) fn is_within_message(&self) -> bool {
        self.parts > 0
    }

    /// Passes over the whole messages of one frame each that are at the start of `input`, as [`scan`](Self::scan) would
    /// one by one. It leaves the others to that one, and those that a limit forbids.
    #[inline]
    pub(crate) fn pass_singles(&self, input: &[u8]) -> Passed {
        let mut passed = Passed::default();
        if !self.takes_single {
            return passed;
        }
        let limit = self.limits.max_message_size;
        let mut rest = input;
        loop {
            while let Some((len, body)) = short_message(rest)
                && len as u64 <= limit
                && let Some(behind) = body.get(len..)
            {
                rest = behind;
                passed.messages += 1;
            }
            let behind = match long_message(rest) {
                Some((len, body)) if len as u64 <= limit => body.get(len..),
                _ => None,
            };
            let Some(behind) = behind else {
                break;
            };
            rest = behind;
            passed.messages += 1;
        }
        passed.bytes = input.len() - rest.len();
        passed
    }

    /// Says what is at the start of `input`. `Frame` and `Command` are thereby accounted for;
    /// `Incomplete` and `Partial` change nothing.
    #[inline]
    pub(crate) fn scan<'a>(&mut self, input: &'a [u8]) -> Result<Scanned<'a>, ProtocolError> {
        let Some(header) = decode_header(input) else {
            return Ok(Scanned::Incomplete);
        };
        let last = match header.kind {
            FrameKind::Last => true,
            FrameKind::More => false,
            FrameKind::Command => return self.scan_command(header, input),
        };
        let single = last && self.takes_single;
        let message_bytes = match single {
            true if header.body_len <= self.limits.max_message_size => header.body_len,
            true => return Err(self.message_too_large(header)),
            false => self.check_part(header)?,
        };
        // The header was read from the input, so the input is at least as long.
        let available = input.len().saturating_sub(header.header_len);
        if header.body_len > available as u64 {
            return Ok(Scanned::Partial { header });
        }
        if !single {
            self.account(last, message_bytes);
        }
        // The body is no longer than the input, so the cast keeps its value.
        Ok(Scanned::Frame {
            len: header.header_len + header.body_len as usize,
            last,
        })
    }

    /// Accounts for a part whose header [`scan`](Self::scan) gave as `Partial`, and whose body was read elsewhere.
    pub(crate) fn body_received(&mut self, header: &Header) {
        let last = match header.kind {
            FrameKind::Last => true,
            FrameKind::More => false,
            FrameKind::Command => return,
        };
        self.account(last, self.message_bytes.saturating_add(header.body_len));
    }

    /// Whether a message has begun and its last part is not accounted for yet.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn mid_message(&self) -> bool {
        self.parts > 0
    }

    /// Holds a part to the limits; gives the size of the message with it.
    #[inline]
    fn check_part(&self, header: Header) -> Result<u64, ProtocolError> {
        let announced = self.message_bytes.checked_add(header.body_len);
        match announced {
            Some(size) if size <= self.limits.max_message_size => {}
            Some(_) | None => return Err(self.message_too_large(header)),
        }
        if self.parts >= self.limits.max_parts {
            return Err(ProtocolError::TooManyParts {
                limit: self.limits.max_parts,
            });
        }
        // The number of its parts is below the limit, so the sum is no overflow.
        if header.kind == FrameKind::Last && self.parts + 1 < self.limits.min_parts {
            return Err(ProtocolError::TooFewParts {
                least: self.limits.min_parts,
            });
        }
        Ok(self.message_bytes + header.body_len)
    }

    #[inline]
    fn account(&mut self, last: bool, message_bytes: u64) {
        if last {
            (self.message_bytes, self.parts) = (0, 0);
            self.takes_single = self.limits.takes_singles();
        } else {
            (self.message_bytes, self.parts) = (message_bytes, self.parts.saturating_add(1));
            self.takes_single = false;
        }
    }

    #[cold]
    fn message_too_large(&self, header: Header) -> ProtocolError {
        ProtocolError::MessageTooLarge {
            limit: self.limits.max_message_size,
            announced: self.message_bytes.saturating_add(header.body_len),
        }
    }

    /// Apart from `scan`, so that inlining that one stays cheap: commands are rare.
    fn scan_command<'a>(
        &self,
        header: Header,
        input: &'a [u8],
    ) -> Result<Scanned<'a>, ProtocolError> {
        let Some(body) = command_body(header, input, self.limits.max_command_size)? else {
            return Ok(Scanned::Incomplete);
        };
        let len = header.header_len + body.len();
        Ok(Scanned::Command {
            len,
            command: Command::parse(body)?,
        })
    }
}

/// The body of the command frame at the start of `input`, or `None` if it is not whole. The limit is for
/// the whole frame and is checked first.
pub(super) fn command_body(
    header: Header,
    input: &[u8],
    max_command_size: u64,
) -> Result<Option<&[u8]>, ProtocolError> {
    let announced = header.frame_len();
    if announced > max_command_size {
        return Err(ProtocolError::CommandTooLarge {
            limit: max_command_size,
            announced,
        });
    }
    // A frame longer than the address space is longer than the input, too.
    let frame = usize::try_from(announced)
        .ok()
        .and_then(|len| input.get(..len));
    Ok(frame.and_then(|frame| frame.get(header.header_len..)))
}
