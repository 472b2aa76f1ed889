//! What a pattern gives a peer to send: a message as it lies with the caller, with what belongs around it, so that no message has to
//! be built for that.

use super::out_buffer::OutBuffer;
use super::pool::ChunkPool;
use crate::message::{COPY_MAX, Frame, Message, Payload};
use crate::zmtp::FrameKind;

/// What to send: borrowed from the caller until it is accepted, so that a refusal costs nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outgoing<'a> {
    /// One frame whose bytes are to be copied.
    Slice(&'a [u8]),
    /// Any message; large frames are kept by reference.
    Message(&'a Message),
    /// A message without its first frame. It has more than that one.
    Rest(&'a Message),
    /// An envelope, and one of the others behind it.
    Enveloped(&'a Enveloped<'a>),
}

/// A message in its envelope.
#[derive(Debug)]
pub(crate) struct Enveloped<'a> {
    pub(crate) envelope: Envelope<'a>,
    pub(crate) body: Outgoing<'a>,
}

/// Frames that go before those of a message.
#[derive(Debug)]
pub(crate) enum Envelope<'a> {
    Slices(&'a [&'a [u8]]),
    /// As they came, for the way back.
    Frames(&'a [Frame]),
}

impl<'a> Outgoing<'a> {
    /// A message in the cheapest form.
    #[inline]
    pub(crate) fn of(message: &'a Message) -> Outgoing<'a> {
        match message.as_single() {
            Some(slice) => Outgoing::Slice(slice),
            None => Outgoing::Message(message),
        }
    }
}

impl Outgoing<'_> {
    /// The same as a message of its own.
    pub(crate) fn to_message(self) -> Message {
        match self {
            Outgoing::Slice(slice) => Message::from(slice),
            Outgoing::Message(message) => message.clone(),
            Outgoing::Rest(message) => Message::from_frames(message.frames().skip(1).cloned()),
            Outgoing::Enveloped(enveloped) => {
                let envelope: Vec<Frame> = match enveloped.envelope {
                    Envelope::Slices(slices) => {
                        slices.iter().map(|slice| (*slice).into()).collect()
                    }
                    Envelope::Frames(frames) => frames.to_vec(),
                };
                let body = enveloped.body.to_message();
                Message::from_frames(envelope.into_iter().chain(body.into_frames()))
            }
        }
    }

    /// The first frame: what subscriptions are matched against.
    pub(crate) fn first_frame(&self) -> &[u8] {
        match self {
            Outgoing::Slice(slice) => slice,
            Outgoing::Message(message) => message.first(),
            Outgoing::Rest(message) => message.get(1).map(Frame::as_slice).unwrap_or_default(),
            Outgoing::Enveloped(Enveloped { envelope, body }) => {
                let first = match envelope {
                    Envelope::Slices(slices) => slices.first().copied(),
                    Envelope::Frames(frames) => frames.first().map(Frame::as_slice),
                };
                first.unwrap_or_else(|| body.first_frame())
            }
        }
    }

    /// The frame at this place, counted from 0.
    pub(crate) fn frame(&self, index: usize) -> Option<&[u8]> {
        match self {
            Outgoing::Slice(slice) => (index == 0).then_some(slice),
            Outgoing::Message(message) => message.get(index).map(Frame::as_slice),
            Outgoing::Rest(message) => message.get(index + 1).map(Frame::as_slice),
            Outgoing::Enveloped(Enveloped { envelope, body }) => {
                let (frame, frames) = match envelope {
                    Envelope::Slices(slices) => (slices.get(index).copied(), slices.len()),
                    Envelope::Frames(frames) => {
                        (frames.get(index).map(Frame::as_slice), frames.len())
                    }
                };
                frame.or_else(|| body.frame(index.checked_sub(frames)?))
            }
        }
    }

    /// It, if it is one frame that lies with the caller.
    #[inline]
    pub(crate) fn slice(&self) -> Option<&[u8]> {
        match self {
            Outgoing::Slice(slice) => Some(slice),
            Outgoing::Message(_) | Outgoing::Rest(_) | Outgoing::Enveloped(_) => None,
        }
    }

    /// The bytes in all its frames, and their number.
    #[inline]
    pub(crate) fn extent(&self) -> (usize, usize) {
        match self {
            Outgoing::Slice(slice) => (slice.len(), 1),
            Outgoing::Message(message) => (message.size(), message.parts()),
            Outgoing::Rest(message) => {
                let (size, first) = (message.size(), message.first().len());
                (size - first, message.parts() - 1)
            }
            Outgoing::Enveloped(Enveloped { envelope, body }) => {
                let (size, parts) = body.extent();
                let (envelope_size, frames) = envelope.extent();
                (envelope_size + size, frames + parts)
            }
        }
    }
}

impl Envelope<'_> {
    #[inline]
    fn extent(&self) -> (usize, usize) {
        match self {
            Envelope::Slices(slices) => {
                let size = slices.iter().map(|slice| slice.len()).sum();
                (size, slices.len())
            }
            Envelope::Frames(frames) => {
                let size = frames.iter().map(|frame| frame.len()).sum();
                (size, frames.len())
            }
        }
    }
}

impl OutBuffer {
    /// Appends a message.
    #[inline]
    pub(crate) fn push(&mut self, outgoing: Outgoing<'_>, pool: &mut ChunkPool) {
        match outgoing {
            Outgoing::Slice(slice) => self.push_frame(FrameKind::Last, slice, pool),
            Outgoing::Message(message) => self.push_frames(message, 0, pool),
            Outgoing::Rest(message) => self.push_frames(message, 1, pool),
            Outgoing::Enveloped(enveloped) => self.push_enveloped(enveloped, pool),
        }
    }

    fn push_enveloped(&mut self, enveloped: &Enveloped<'_>, pool: &mut ChunkPool) {
        match enveloped.envelope {
            Envelope::Slices(slices) => {
                for slice in slices {
                    self.push_frame(FrameKind::More, slice, pool);
                }
            }
            Envelope::Frames(frames) => {
                for frame in frames {
                    self.push_message_frame(FrameKind::More, frame, pool);
                }
            }
        }
        match enveloped.body {
            Outgoing::Slice(slice) => self.push_frame(FrameKind::Last, slice, pool),
            body => self.push(body, pool),
        }
    }

    /// Appends a message from this frame on.
    fn push_frames(&mut self, message: &Message, from: usize, pool: &mut ChunkPool) {
        let last = message.parts() - 1;
        for (index, frame) in message.frames().enumerate().skip(from) {
            let kind = match index == last {
                true => FrameKind::Last,
                false => FrameKind::More,
            };
            self.push_message_frame(kind, frame, pool);
        }
    }

    #[inline]
    fn push_message_frame(&mut self, kind: FrameKind, frame: &Frame, pool: &mut ChunkPool) {
        match frame.shared() {
            Some(body) if body.len() >= COPY_MAX => self.push_body(kind, body.clone(), pool),
            _ => self.push_frame(kind, frame, pool),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(outgoing: Outgoing<'_>) -> Message {
        let (mut pool, mut buffer) = (ChunkPool::default(), OutBuffer::default());
        buffer.push(outgoing, &mut pool);
        assert_eq!(buffer.messages(), 1);
        let message = buffer.drain(&mut pool).remove(0).message;
        assert_eq!(outgoing.extent(), (message.size(), message.parts()));
        assert_eq!(outgoing.first_frame(), message.first().as_slice());
        message
    }

    #[test]
    fn what_goes_out_is_what_was_said() {
        let message = Message::from(["id", "", "body"]);
        assert_eq!(pushed(Outgoing::Slice(b"one")), *"one");
        assert_eq!(pushed(Outgoing::Message(&message)), message);
        assert_eq!(pushed(Outgoing::Rest(&message)), ["", "body"]);

        let frames = [Frame::from("hop"), Frame::new()];
        let enveloped = |envelope, body| {
            let enveloped = Enveloped { envelope, body };
            pushed(Outgoing::Enveloped(&enveloped))
        };
        assert_eq!(
            enveloped(Envelope::Frames(&frames), Outgoing::Rest(&message)),
            ["hop", "", "", "body"]
        );
        assert_eq!(
            enveloped(Envelope::Slices(&[b"1234", b""]), Outgoing::Slice(b"body")),
            ["1234", "", "body"]
        );
        assert_eq!(
            enveloped(Envelope::Slices(&[]), Outgoing::Message(&message)),
            message
        );
    }

    /// Long frames of a message and of an envelope are not copied.
    #[test]
    fn long_frames_are_kept_by_reference() {
        let long = Frame::from(vec![7; COPY_MAX]);
        let at = long.as_slice().as_ptr();
        let message = Message::from_frames([Frame::from("id"), long.clone()]);
        assert_eq!(
            pushed(Outgoing::Rest(&message)).first().as_slice().as_ptr(),
            at
        );
        let enveloped = Enveloped {
            envelope: Envelope::Frames(&[long]),
            body: Outgoing::Slice(b"body"),
        };
        let message = pushed(Outgoing::Enveloped(&enveloped));
        assert_eq!(message.first().as_slice().as_ptr(), at);
    }
}
