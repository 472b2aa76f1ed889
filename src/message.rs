//! What the sockets carry: a [`Message`] is one or more [`Frame`]s, and [`Payload`] is what `send` takes.

mod apart;
mod convert;
mod frame;
mod iter;
mod payload;
mod routing_id;
#[cfg(any(feature = "json", feature = "msgpack"))]
mod values;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

pub use apart::{PartsError, TextError};
pub use frame::Frame;
pub use iter::{Frames, IntoFrames};
pub(crate) use payload::COPY_MAX;
pub use payload::Payload;
pub use routing_id::RoutingId;
#[cfg(any(feature = "json", feature = "msgpack"))]
pub use values::{DecodeError, EncodeError};

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
/// assert_eq!(multipart.get(1).unwrap(), "12 °C");
/// ```
///
/// A received message has as many frames as its sender chose. Take it apart with the number that you expect; with
/// another one the conversion fails, and gives the message back:
///
/// ```
/// use zerohop::{Bytes, Frame, Message, PartsError};
///
/// # fn main() -> Result<(), PartsError> {
/// let message = Message::from(["weather.oslo", "12 °C"]);
/// let [topic, reading] = <[Frame; 2]>::try_from(message)?;
/// assert_eq!((topic.to_str(), reading.to_str()), (Ok("weather.oslo"), Ok("12 °C")));
///
/// let message = Message::from(["weather.oslo", "12 °C"]);
/// let (topic, reading): (Frame, Bytes) = message.try_into()?;
/// # assert_eq!((topic.len(), reading.len()), (12, 6));
///
/// let error = <[Frame; 3]>::try_from(Message::from(["a", "b"])).unwrap_err();
/// assert_eq!(error.to_string(), "the message has 2 frames, 3 are expected");
/// assert_eq!(error.into_message(), ["a", "b"]);
/// # Ok(())
/// # }
/// ```
///
/// `as_bytes`, `to_str` and `into_bytes` are for messages of one frame, and say so if there are more.
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

    /// Frame `index`, counted from 0.
    ///
    /// There is no `message[index]`: how many frames a message has is for its sender to say, and indexing would panic.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Frame> {
        match &self.0 {
            Repr::One(frame) => (index == 0).then_some(frame),
            Repr::Many(frames) => frames.get(index),
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

    /// The frame of a message that has only one; `None` if there are more.
    ///
    /// ```
    /// use zerohop::Message;
    ///
    /// assert_eq!(Message::from("all of it").single().unwrap(), "all of it");
    /// assert!(Message::from(["topic", "body"]).single().is_none());
    /// ```
    #[inline]
    pub fn single(&self) -> Option<&Frame> {
        match &self.0 {
            Repr::One(frame) => Some(frame),
            Repr::Many(_) => None,
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

    /// The bytes of a message of one frame; `None` if there are more.
    ///
    /// To compare, `message == "text"` is enough, and false if there are more.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.single().map(Frame::as_slice)
    }

    /// The frame of a message of one, as a shared buffer.
    ///
    /// # Errors
    ///
    /// There are more frames. The error gives the message back.
    ///
    /// ```
    /// use zerohop::Message;
    ///
    /// assert_eq!(Message::from("hello").into_bytes().unwrap(), "hello");
    /// let error = Message::from(["topic", "body"]).into_bytes().unwrap_err();
    /// assert_eq!(error.into_message(), ["topic", "body"]);
    /// ```
    #[inline]
    pub fn into_bytes(self) -> Result<Bytes, PartsError> {
        match self.0 {
            Repr::One(frame) => Ok(frame.into_bytes()),
            Repr::Many(_) => Err(PartsError::new(1, self)),
        }
    }

    /// A message of one frame as text.
    ///
    /// # Errors
    ///
    /// There are more frames, or the one is not UTF-8.
    #[inline]
    pub fn to_str(&self) -> Result<&str, TextError> {
        match &self.0 {
            Repr::One(frame) => frame.to_str().map_err(TextError::Utf8),
            Repr::Many(frames) => Err(TextError::Multipart {
                parts: frames.len(),
            }),
        }
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

/// Short, so that a log line stays one: the first frames, each cut and escaped, and how many more there are.
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
