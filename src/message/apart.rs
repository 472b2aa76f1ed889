//! Messages taken apart, by whoever knows how many frames they should have.

use std::array;
use std::error::Error;
use std::fmt;
use std::str::Utf8Error;

use bytes::Bytes;

use super::{Frame, Message};

/// A message has another number of frames than expected; gives the message back.
#[derive(Clone, PartialEq, Eq)]
pub struct PartsError {
    expected: usize,
    message: Box<Message>,
}

impl PartsError {
    #[cold]
    pub(super) fn new(expected: usize, message: Message) -> PartsError {
        PartsError {
            expected,
            message: Box::new(message),
        }
    }

    /// The number of frames that was expected.
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// The number of frames that there are.
    pub fn parts(&self) -> usize {
        self.message.parts()
    }

    /// The message, whole.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Gives the message back.
    pub fn into_message(self) -> Message {
        *self.message
    }
}

/// Without what is in the message, which may be nobody else's business.
impl fmt::Debug for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartsError")
            .field("expected", &self.expected)
            .field("message", &self.message.outline())
            .finish()
    }
}

impl fmt::Display for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = |count| if count == 1 { "frame" } else { "frames" };
        let (parts, expected) = (self.parts(), self.expected);
        let verb = if expected == 1 { "is" } else { "are" };
        write!(
            f,
            "the message has {parts} {}, {expected} {verb} expected",
            frames(parts)
        )
    }
}

impl Error for PartsError {}

/// Why a message is not a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// It has several frames.
    Multipart {
        /// How many.
        parts: usize,
    },
    /// Its frame is not UTF-8.
    Utf8(Utf8Error),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::Multipart { parts } => {
                write!(f, "the message has {parts} frames, and text has one")
            }
            TextError::Utf8(error) => write!(f, "the message is not text: {error}"),
        }
    }
}

impl Error for TextError {}

/// A message as it is shown where its content is nobody else's business: its size.
pub(crate) struct Outline {
    parts: usize,
    size: usize,
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = if self.parts == 1 { "frame" } else { "frames" };
        let bytes = if self.size == 1 { "byte" } else { "bytes" };
        write!(f, "Message({} {frames}, {} {bytes})", self.parts, self.size)
    }
}

impl Message {
    /// What errors show of a message in their `Debug`.
    pub(crate) fn outline(&self) -> Outline {
        Outline {
            parts: self.parts(),
            size: self.size(),
        }
    }
}

/// Exactly these frames.
impl<const N: usize> TryFrom<Message> for [Frame; N] {
    type Error = PartsError;

    fn try_from(message: Message) -> Result<[Frame; N], PartsError> {
        if message.parts() != N {
            return Err(PartsError::new(N, message));
        }
        let mut frames = message.into_frames();
        // There are as many; the compiler can't know.
        Ok(array::from_fn(|_| frames.next().unwrap_or_default()))
    }
}

/// The frame of a message of one.
macro_rules! from_single {
    ($($target:ty),+) => {$(
        /// Of a message of one frame.
        impl TryFrom<Message> for $target {
            type Error = PartsError;

            fn try_from(message: Message) -> Result<$target, PartsError> {
                let [frame] = <[Frame; 1]>::try_from(message)?;
                Ok(frame.into())
            }
        }
    )+};
}

from_single!(Frame, Bytes, Vec<u8>);

macro_rules! into_tuple {
    ($count:literal: $($part:ident),+) => {
        /// Exactly these frames, each as a [`Frame`], [`Bytes`], `Vec<u8>` or whatever else is made from a frame.
        impl<$($part),+> TryFrom<Message> for ($($part,)+)
        where
            $($part: From<Frame>),+
        {
            type Error = PartsError;

            #[allow(non_snake_case, reason = "a frame is named after its type")]
            fn try_from(message: Message) -> Result<($($part,)+), PartsError> {
                let [$($part),+] = <[Frame; $count]>::try_from(message)?;
                Ok(($($part.into(),)+))
            }
        }
    };
}

into_tuple!(2: A, B);
into_tuple!(3: A, B, C);
into_tuple!(4: A, B, C, D);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let message = Message::from(["a", "bc", "d"]);
        let [a, b, c] = <[Frame; 3]>::try_from(message.clone()).expect("three frames");
        assert_eq!(Message::from([a, b, c]), message);
        let (a, b, c): (Frame, Bytes, Vec<u8>) = message.try_into().expect("three frames");
        assert_eq!((&a[..], &b[..], &c[..]), (&b"a"[..], &b"bc"[..], &b"d"[..]));
        let bytes = Bytes::try_from(Message::from("one")).expect("one frame");
        assert_eq!(bytes, "one");
    }

    #[test]
    fn another_number_of_frames_gives_the_message_back() {
        let message = Message::from(["a", "b"]);
        let one = message.clone().into_bytes().expect_err("two frames");
        let three = <(Frame, Frame, Frame)>::try_from(message.clone()).expect_err("two frames");
        let none = <[Frame; 0]>::try_from(message.clone()).expect_err("two frames");
        assert_eq!(one.to_string(), "the message has 2 frames, 1 is expected");
        assert_eq!(
            three.to_string(),
            "the message has 2 frames, 3 are expected"
        );
        for error in [one, three, none] {
            assert_eq!(error.parts(), 2);
            assert_eq!(error.into_message(), message);
        }
    }

    #[test]
    fn several_frames_are_not_taken_for_their_first() {
        let message = Message::from(["a", "b"]);
        assert_eq!(message.as_bytes(), None);
        assert_eq!(message.single(), None);
        assert_eq!(message.to_str(), Err(TextError::Multipart { parts: 2 }));
        let single = Message::from("a");
        assert_eq!(single.as_bytes(), Some(&b"a"[..]));
        assert_eq!(single.to_str(), Ok("a"));
        let binary = Message::from([b'a', 0xff]);
        assert!(matches!(binary.to_str(), Err(TextError::Utf8(_))));
        assert_eq!(binary.first().to_string_lossy(), "a\u{fffd}");
    }

    #[test]
    fn errors_show_no_content() {
        let error = PartsError::new(1, Message::from(["secret", "b"]));
        let shown = format!("{error:?} {error}");
        assert!(shown.contains("Message(2 frames, 7 bytes)"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
