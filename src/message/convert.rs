//! What becomes a message, and what a message can be compared with.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Frame, Message, Repr};

impl From<Frame> for Message {
    #[inline]
    fn from(frame: Frame) -> Message {
        Message(Repr::One(frame))
    }
}

/// A clone: long frames share their buffer.
impl From<&Message> for Message {
    #[inline]
    fn from(message: &Message) -> Message {
        message.clone()
    }
}

/// Whatever is a frame is a message of one frame.
macro_rules! from_single {
    ($([$($generics:tt)*] $source:ty),+ $(,)?) => {$(
        /// A message of one frame.
        impl<$($generics)*> From<$source> for Message {
            #[inline]
            fn from(source: $source) -> Message {
                Message(Repr::One(Frame::from(source)))
            }
        }
    )+};
}

from_single! {
    [] Bytes,
    [] &Bytes,
    [] &Frame,
    [] Vec<u8>,
    [] &Vec<u8>,
    [] String,
    [] &String,
    [] &[u8],
    [] &str,
    [const N: usize] [u8; N],
    [const N: usize] &[u8; N],
}

/// A collection of frames is a message of that many frames.
macro_rules! from_multipart {
    ($([$($generics:tt)*] $source:ty),+ $(,)?) => {$(
        /// A message of one frame per element, or of one empty frame when there are no elements.
        impl<$($generics)*> From<$source> for Message {
            fn from(source: $source) -> Message {
                Message::from_queue(source.into_iter().map(Frame::from).collect())
            }
        }
    )+};
}

from_multipart! {
    [const N: usize] [&str; N],
    [const N: usize] [&[u8]; N],
    [const N: usize] [Bytes; N],
    [const N: usize] [Frame; N],
    [const N: usize] [String; N],
    [const N: usize] [Vec<u8>; N],
    [] Vec<&str>,
    [] Vec<&[u8]>,
    [] Vec<Bytes>,
    [] Vec<String>,
    [] Vec<Vec<u8>>,
}

/// The same for slices, whose elements are lent.
macro_rules! from_multipart_slice {
    ($($element:ty),+ $(,)?) => {$(
        /// A message of one frame per element, or of one empty frame when there are no elements.
        impl From<&[$element]> for Message {
            fn from(source: &[$element]) -> Message {
                Message::from_queue(source.iter().map(|frame| Frame::from(frame.clone())).collect())
            }
        }

        /// A message of one frame per element, or of one empty frame when there are no elements.
        impl<const N: usize> From<&[$element; N]> for Message {
            fn from(source: &[$element; N]) -> Message {
                Message::from(source.as_slice())
            }
        }
    )+};
}

from_multipart_slice!(&str, &[u8], String, Bytes, Frame);

/// A tuple of frames, which may be of different types, is a message of them.
macro_rules! from_tuple {
    ($($frame:ident),+) => {
        /// A message of these frames.
        impl<$($frame),+> From<($($frame,)+)> for Message
        where
            $(Frame: From<$frame>),+
        {
            #[allow(non_snake_case, reason = "a frame is named after its type")]
            fn from(($($frame,)+): ($($frame,)+)) -> Message {
                Message::from_queue(VecDeque::from([$(Frame::from($frame)),+]))
            }
        }
    };
}

from_tuple!(A, B);
from_tuple!(A, B, C);
from_tuple!(A, B, C, D);

/// Takes the vector over as it is.
impl From<Vec<Frame>> for Message {
    fn from(frames: Vec<Frame>) -> Message {
        Message::from_queue(VecDeque::from(frames))
    }
}

/// Takes the queue over as it is.
impl From<VecDeque<Frame>> for Message {
    fn from(frames: VecDeque<Frame>) -> Message {
        Message::from_queue(frames)
    }
}

/// A message equals bytes or text when they are its only frame.
macro_rules! equals_single {
    ($([$($generics:tt)*] $other:ty),+ $(,)?) => {$(
        /// Whether this is the only frame.
        impl<$($generics)*> PartialEq<$other> for Message {
            #[inline]
            fn eq(&self, other: &$other) -> bool {
                let bytes: &[u8] = other.as_ref();
                self.as_bytes() == Some(bytes)
            }
        }
    )+};
}

equals_single! {
    [] [u8],
    [] &[u8],
    [] str,
    [] &str,
    [] Vec<u8>,
    [] String,
    [] Bytes,
    [] Frame,
    [const N: usize] [u8; N],
    [const N: usize] &[u8; N],
}

/// Whether these are the frames.
impl<const N: usize> PartialEq<[&str; N]> for Message {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.frames()
            .map(Frame::as_slice)
            .eq(other.iter().map(|text| text.as_bytes()))
    }
}

/// Whether these are the frames.
impl<const N: usize> PartialEq<[&[u8]; N]> for Message {
    fn eq(&self, other: &[&[u8]; N]) -> bool {
        self.frames().map(Frame::as_slice).eq(other.iter().copied())
    }
}
