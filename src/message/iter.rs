//! Iterators over the frames of a message, lent and owned.

use std::collections::{VecDeque, vec_deque};

use super::{Frame, Message, Repr};

/// The frames of a message, lent; made by [`Message::frames`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    /// The frame of a message of one.
    one: Option<&'a Frame>,
    /// The frames of a multipart message.
    many: vec_deque::Iter<'a, Frame>,
}

/// The frames of a message, owned; made by [`Message::into_frames`].
#[derive(Debug)]
pub struct IntoFrames {
    /// The frame of a message of one.
    one: Option<Frame>,
    /// The frames of a multipart message.
    many: vec_deque::IntoIter<Frame>,
}

impl<'a> Frames<'a> {
    #[inline]
    pub(super) fn new(message: &'a Message) -> Frames<'a> {
        match &message.0 {
            Repr::One(frame) => Frames {
                one: Some(frame),
                many: vec_deque::Iter::default(),
            },
            Repr::Many(frames) => Frames {
                one: None,
                many: frames.iter(),
            },
        }
    }
}

impl IntoFrames {
    #[inline]
    pub(super) fn new(message: Message) -> IntoFrames {
        match message.0 {
            Repr::One(frame) => IntoFrames {
                one: Some(frame),
                many: VecDeque::new().into_iter(),
            },
            Repr::Many(frames) => IntoFrames {
                one: None,
                many: frames.into_iter(),
            },
        }
    }
}

macro_rules! frame_iterator {
    ([$($life:lifetime)?] $name:ty, $item:ty) => {
        impl$(<$life>)? Iterator for $name {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.one.take().or_else(|| self.many.next())
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = usize::from(self.one.is_some()) + self.many.len();
                (left, Some(left))
            }
        }

        impl$(<$life>)? DoubleEndedIterator for $name {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                self.many.next_back().or_else(|| self.one.take())
            }
        }

        impl$(<$life>)? ExactSizeIterator for $name {}
    };
}

frame_iterator!(['a] Frames<'a>, &'a Frame);
frame_iterator!([] IntoFrames, Frame);

impl<'a> IntoIterator for &'a Message {
    type Item = &'a Frame;
    type IntoIter = Frames<'a>;

    #[inline]
    fn into_iter(self) -> Frames<'a> {
        self.frames()
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = IntoFrames;

    #[inline]
    fn into_iter(self) -> IntoFrames {
        self.into_frames()
    }
}
