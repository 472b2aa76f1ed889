//! What `send` takes. The trait exists so that the common send, one short run of bytes, is encoded
//! straight from the caller's memory into the out-buffer, with no message in between.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Frame, Message, Repr};

/// Owned payloads of this many bytes and more are kept by reference until they are written; shorter
/// ones are copied.
///
/// A copy of this size costs less than keeping a reference does: a node in the out-buffer, an entry of
/// the vectored write, and a release on another core.
pub(crate) const COPY_MAX: usize = 8 * 1024;

/// What `send` takes: everything that is a [`Message`], taken in the cheapest way.
///
/// Implemented for single frames (`&str`, `&[u8]`, `[u8; N]`, `&[u8; N]`, `String`, `Vec<u8>`, `Bytes`, [`Frame`]
/// and references to them), for arrays, vectors and slices of those as a multipart message, for tuples of up to four of different types,
/// and for [`Message`]. The trait is sealed: convert your own types with `From<YourType> for Message` and
/// send `Message::from(value)`.
///
/// Owned payloads of 8 KiB and more are not copied on their way to the kernel. Borrowed ones are, unless they are of
/// 32 KiB or more and the kernel takes them at once; so hand a long one over by value, or as `Bytes`. The owner of a `Bytes` (`Bytes::from_owner`) is
/// dropped once it is written, by the thread that wrote it: one that calls the socket, or the background thread of the context. No lock is held
/// then, so its `Drop` may use the socket; a panic of it is caught. It should be short, because the background thread serves all
/// sockets of the context.
///
/// ```
/// use zerohop::{Message, Payload};
///
/// fn parts(payload: impl Payload) -> usize {
///     payload.into_message().parts()
/// }
///
/// assert_eq!(parts("one"), 1);
/// assert_eq!(parts(b"one"), 1);
/// assert_eq!(parts(["one", "two"]), 2);
/// assert_eq!(parts(("one", String::from("two"), vec![3])), 3);
/// assert_eq!(parts(Message::new()), 1);
/// ```
pub trait Payload: Into<Message> + Sealed {
    /// `Some`: the payload is one frame whose bytes are best copied from here. `None`: it has several
    /// frames, or is long and owned; take it by [`into_message`](Payload::into_message).
    fn as_single(&self) -> Option<&[u8]>;

    /// The payload as a message. Never copies what it owns, unless the frame is short.
    #[inline]
    fn into_message(self) -> Message {
        self.into()
    }
}

/// Keeps [`Payload`] ours, so that it can grow.
pub trait Sealed {}

/// Borrowed, or inside the value: copied whatever the length.
macro_rules! copied {
    ($([$($generics:tt)*] $source:ty),+ $(,)?) => {$(
        impl<$($generics)*> Sealed for $source {}

        impl<$($generics)*> Payload for $source {
            #[inline]
            fn as_single(&self) -> Option<&[u8]> {
                Some(self.as_ref())
            }
        }
    )+};
}

copied! {
    [] &[u8],
    [] &str,
    [] &String,
    [] &Vec<u8>,
    [const N: usize] [u8; N],
    [const N: usize] &[u8; N],
}

/// Owned, or a reference to what can be shared: copied when shorter than [`COPY_MAX`].
macro_rules! kept_when_long {
    ($($source:ty),+ $(,)?) => {$(
        impl Sealed for $source {}

        impl Payload for $source {
            #[inline]
            fn as_single(&self) -> Option<&[u8]> {
                let bytes: &[u8] = self.as_ref();
                (bytes.len() < COPY_MAX).then_some(bytes)
            }
        }
    )+};
}

kept_when_long!(Vec<u8>, String, Bytes, &Bytes, Frame, &Frame);

impl Sealed for Message {}

impl Payload for Message {
    #[inline]
    fn as_single(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::One(frame) if frame.len() < COPY_MAX => Some(frame.as_slice()),
            Repr::One(_) | Repr::Many(_) => None,
        }
    }

    #[inline]
    fn into_message(self) -> Message {
        self
    }
}

impl Sealed for &Message {}

impl Payload for &Message {
    #[inline]
    fn as_single(&self) -> Option<&[u8]> {
        (**self).as_single()
    }
}

/// Several frames.
macro_rules! multipart {
    ($([$($generics:tt)*] $source:ty),+ $(,)?) => {$(
        impl<$($generics)*> Sealed for $source {}

        impl<$($generics)*> Payload for $source {
            #[inline]
            fn as_single(&self) -> Option<&[u8]> {
                None
            }
        }
    )+};
}

multipart! {
    [const N: usize] [&str; N],
    [const N: usize] [&[u8]; N],
    [const N: usize] [Bytes; N],
    [const N: usize] [Frame; N],
    [const N: usize] [String; N],
    [const N: usize] [Vec<u8>; N],
    [] Vec<&str>,
    [] Vec<&[u8]>,
    [] Vec<Bytes>,
    [] Vec<Frame>,
    [] Vec<String>,
    [] Vec<Vec<u8>>,
    [] VecDeque<Frame>,
    [] &[&str],
    [] &[&[u8]],
    [] &[String],
    [] &[Bytes],
    [] &[Frame],
    [const N: usize] &[&str; N],
    [const N: usize] &[&[u8]; N],
    [const N: usize] &[String; N],
    [const N: usize] &[Bytes; N],
    [const N: usize] &[Frame; N],
}

/// Frames of different types.
macro_rules! tuple {
    ($($frame:ident),+) => {
        impl<$($frame),+> Sealed for ($($frame,)+) {}

        impl<$($frame),+> Payload for ($($frame,)+)
        where
            $(Frame: From<$frame>),+
        {
            #[inline]
            fn as_single(&self) -> Option<&[u8]> {
                None
            }
        }
    };
}

tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);
