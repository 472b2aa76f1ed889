//! What the sockets carry: a [`Message`] is one or more [`Frame`]s, and [`Payload`] is what `send` takes.

mod convert;
mod frame;
mod iter;
mod payload;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::Utf8Error;

use bytes::Bytes;

pub use frame::Frame;
pub use iter::{Frames, IntoFrames};
pub(crate) use payload::COPY_MAX;
pub use payload::Payload;

/// `Debug` shows this many frames of a message.
const DEBUG_FRAMES: usize = 4;

/// Lent out where a message without frames would have nothing to lend; see the invariant of [`Repr`].
static EMPTY: Frame = Frame::new();

/// What is sent and received as a whole: one frame, nearly always, or several.
///
/// All frames of a message reach the same peer, together and in order, or none does. A message has
/// at least one frame; made from none, it has one empty frame.
///
/// Whatever looks like bytes is a message of one frame. Arrays, vectors and slices *of* such things
/// are a message of several frames:
///
/// ```
/// use zerohop::Message;
///
/// let single = Message::from("hello");
/// assert_eq!(single.parts(), 1);
/// assert_eq!(single, "hello");
///
/// let multipart = Message::from(["weather.oslo", "12 °C"]);
/// assert_eq!(multipart.parts(), 2);
/// assert_eq!(multipart.frame(1), Some("12 °C".as_bytes()));
/// ```
///
/// Cloning is cheap: short frames are copied, long ones share their buffer.
#[derive(Clone)]
pub struct Message(Repr);

/// Invariant: `Many` holds two frames or more.
#[derive(Clone)]
enum Repr {
    One(Frame),
    Many(VecDeque<Frame>),
}

// The tag lives in the unused values of the frame's length.
const _: () = assert!(size_of::<Message>() == 72);
// 16 bytes of it belong to the error's alignment; see there.
const _: () = assert!(size_of::<Result<Message, crate::RecvError>>() == 80);

impl Message {
    /// The message of one empty frame.
    ///
    /// ```
    /// let message = zerohop::Message::new();
    /// assert_eq!((message.parts(), message.size()), (1, 0));
    /// ```
    #[inline]
    pub const fn new() -> Message {
        Message(Repr::One(Frame::new()))
    }

    /// A message of these frames, or of one empty frame when there are none.
    ///
    /// ```
    /// use zerohop::{Frame, Message};
    ///
    /// let message = Message::from_frames((1..=3).map(|n| n.to_string()));
    /// assert_eq!(message, ["1", "2", "3"]);
    /// assert_eq!(Message::from_frames(Vec::<Frame>::new()), "");
    /// ```
    pub fn from_frames<I>(frames: I) -> Message
    where
        I: IntoIterator,
        I::Item: Into<Frame>,
    {
        let mut frames = frames.into_iter().map(Into::into);
        let Some(first) = frames.next() else {
            return Message::new();
        };
        let mut message = Message::from(first);
        message.extend(frames);
        message
    }

    /// The frame of a message that has only one.
    #[inline]
    pub(crate) fn only_frame(&mut self) -> Option<&mut Frame> {
        match &mut self.0 {
            Repr::One(frame) => Some(frame),
            Repr::Many(_) => None,
        }
    }

    /// Becomes a short message, if it is one: see [`Frame::set_short`].
    #[inline]
    pub(crate) fn set_short(&mut self, window: &[u8], len: usize) -> bool {
        match &mut self.0 {
            Repr::One(frame) => frame.set_short(window, len),
            Repr::Many(_) => false,
        }
    }

    /// The message of the frames in `queue`, with the invariant of [`Repr`] restored.
    fn from_queue(mut queue: VecDeque<Frame>) -> Message {
        if queue.len() > 1 {
            return Message(Repr::Many(queue));
        }
        Message(Repr::One(queue.pop_front().unwrap_or_default()))
    }

    /// The number of frames: 1 or more.
    #[inline]
    pub fn parts(&self) -> usize {
        match &self.0 {
            Repr::One(_) => 1,
            Repr::Many(frames) => frames.len(),
        }
    }

    /// Whether there are two frames or more.
    #[inline]
    pub fn is_multipart(&self) -> bool {
        self.parts() > 1
    }

    /// The number of bytes in all frames together.
    ///
    /// ```
    /// assert_eq!(zerohop::Message::from(["ab", "cde"]).size(), 5);
    /// ```
    #[inline]
    pub fn size(&self) -> usize {
        match &self.0 {
            Repr::One(frame) => frame.len(),
            Repr::Many(frames) => frames.iter().map(|frame| frame.len()).sum(),
        }
    }

    /// The bytes of frame `index`, counted from 0.
    #[inline]
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        match &self.0 {
            Repr::One(frame) => (index == 0).then_some(frame.as_slice()),
            Repr::Many(frames) => frames.get(index).map(Frame::as_slice),
        }
    }

    /// The first frame. There always is one.
    #[inline]
    pub fn first(&self) -> &Frame {
        match &self.0 {
            Repr::One(frame) => frame,
            Repr::Many(frames) => frames.front().unwrap_or(&EMPTY),
        }
    }

    /// The frames, first to last.
    ///
    /// ```
    /// let message = zerohop::Message::from(["a", "bc"]);
    /// assert_eq!(message.frames().map(|frame| frame.len()).max(), Some(2));
    /// ```
    #[inline]
    pub fn frames(&self) -> Frames<'_> {
        Frames::new(self)
    }

    /// The frames, first to last, taken out of the message.
    ///
    /// ```
    /// let mut frames = zerohop::Message::from(["topic", "body"]).into_frames();
    /// assert_eq!(frames.next().unwrap(), "topic");
    /// assert_eq!(frames.next().unwrap(), "body");
    /// assert!(frames.next().is_none());
    /// ```
    #[inline]
    pub fn into_frames(self) -> IntoFrames {
        IntoFrames::new(self)
    }

    /// Adds a frame after the last.
    ///
    /// ```
    /// let mut message = zerohop::Message::from("topic");
    /// message.push_back("body");
    /// assert_eq!(message, ["topic", "body"]);
    /// ```
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        match &mut self.0 {
            Repr::One(first) => {
                let first = std::mem::take(first);
                self.0 = Repr::Many(VecDeque::from([first, frame]));
            }
            Repr::Many(frames) => frames.push_back(frame),
        }
    }

    /// Adds a frame before the first, as an envelope does.
    ///
    /// ```
    /// let mut message = zerohop::Message::from("body");
    /// message.push_front("topic");
    /// assert_eq!(message, ["topic", "body"]);
    /// ```
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        match &mut self.0 {
            Repr::One(last) => {
                let last = std::mem::take(last);
                self.0 = Repr::Many(VecDeque::from([frame, last]));
            }
            Repr::Many(frames) => frames.push_front(frame),
        }
    }

    /// Takes the first frame off, as long as another remains: a message is never left without frames.
    ///
    /// `None` means that the message has only one frame, which stays; [`first`](Message::first) lends
    /// it and [`into_frames`](Message::into_frames) takes it.
    ///
    /// ```
    /// let mut message = zerohop::Message::from(["topic", "body"]);
    /// assert_eq!(message.pop_front().unwrap(), "topic");
    /// assert_eq!(message.pop_front(), None);
    /// assert_eq!(message, "body");
    /// ```
    pub fn pop_front(&mut self) -> Option<Frame> {
        let Repr::Many(frames) = &mut self.0 else {
            return None;
        };
        let front = frames.pop_front();
        if frames.len() < 2 {
            *self = Message::from_queue(std::mem::take(frames));
        }
        front
    }

    /// The bytes of the first frame, which is the whole message unless it [is multipart](Message::is_multipart).
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.first().as_slice()
    }

    /// The first frame as a shared buffer. Further frames, if any, are dropped; to keep them, use
    /// [`into_frames`](Message::into_frames).
    ///
    /// ```
    /// let bytes = zerohop::Message::from("hello").into_bytes();
    /// assert_eq!(bytes, "hello");
    /// ```
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::One(frame) => frame.into_bytes(),
            Repr::Many(mut frames) => frames.pop_front().unwrap_or_default().into_bytes(),
        }
    }

    /// The first frame as text, if it is UTF-8.
    ///
    /// # Errors
    ///
    /// The first frame is not UTF-8.
    #[inline]
    pub fn to_str(&self) -> Result<&str, Utf8Error> {
        self.first().to_str()
    }

    /// The first frame as text, with what is not UTF-8 replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }
}

impl Default for Message {
    #[inline]
    fn default() -> Message {
        Message::new()
    }
}

impl<F: Into<Frame>> FromIterator<F> for Message {
    fn from_iter<I: IntoIterator<Item = F>>(frames: I) -> Message {
        Message::from_frames(frames)
    }
}

impl<F: Into<Frame>> Extend<F> for Message {
    fn extend<I: IntoIterator<Item = F>>(&mut self, frames: I) {
        for frame in frames {
            self.push_back(frame);
        }
    }
}

impl Eq for Message {}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.frames().eq(other.frames())
    }
}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
        for frame in self.frames() {
            frame.hash(state);
        }
    }
}

/// Short, so that a log line stays one: the first frames, each cut, and how many more there are.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")?;
        let mut list = f.debug_list();
        list.entries(self.frames().take(DEBUG_FRAMES));
        match self.parts().saturating_sub(DEBUG_FRAMES) {
            0 => list.finish(),
            more => list.entry(&format_args!("{more} more frames")).finish(),
        }
    }
}

#[cfg(test)]
mod tests;
