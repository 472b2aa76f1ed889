//! A message that belongs to one connection, and goes with it.

use super::{OutBuffer, Segment};
use crate::engine::peer::outgoing::Outgoing;
use crate::engine::peer::pool::ChunkPool;
use crate::message::Message;
use crate::zmtp::{FrameKind, encode_header};

impl OutBuffer {
    /// Puts a message before all others, of which none has begun to leave. The next connection is not sent it.
    pub(crate) fn push_first(&mut self, message: &Message) {
        debug_assert_eq!(self.taken, 0, "something has begun to leave");
        let head = std::mem::take(&mut self.head);
        match self.sealed.front_mut() {
            Some(Segment::Frames(chunk)) => drop(chunk.drain(..head)),
            // A message does not begin there.
            Some(Segment::Body(_)) => {}
            None => drop(self.tail.drain(..head)),
        }
        let frames = encoded(message);
        self.bytes += frames.len();
        self.messages += 1;
        self.sealed.push_front(Segment::Frames(frames));
        for mark in &mut self.marks {
            mark.index += 1;
        }
        self.mark(0).unwanted = true;
    }

    /// Appends a message that the next connection is not sent.
    pub(crate) fn push_for_this_connection(&mut self, message: &Message, pool: &mut ChunkPool) {
        self.mark(self.messages).unwanted = true;
        self.push(Outgoing::Message(message), pool);
    }
}

/// The frames of a message, one after the other.
pub(in crate::engine::peer) fn encoded(message: &Message) -> Vec<u8> {
    let mut frames = Vec::with_capacity(message.size() + 9);
    let last = message.parts() - 1;
    for (index, frame) in message.frames().enumerate() {
        let kind = match index == last {
            true => FrameKind::Last,
            false => FrameKind::More,
        };
        let (header, header_len) = encode_header(kind, frame.len());
        frames.extend_from_slice(&header[..header_len]);
        frames.extend_from_slice(frame);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::COPY_MAX;

    fn texts(buffer: &mut OutBuffer, pool: &mut ChunkPool) -> Vec<usize> {
        let unsent = buffer.drain(pool).into_iter();
        unsent.map(|unsent| unsent.message.size()).collect()
    }

    #[test]
    fn it_is_first_and_goes_with_the_connection() {
        let pool = &mut ChunkPool::default();
        for queued in [vec![], vec![3], vec![3, COPY_MAX, 5], vec![COPY_MAX]] {
            for oldest_dropped in [false, true] {
                let mut buffer = OutBuffer::default();
                for &size in &queued {
                    buffer.push(Outgoing::Slice(&vec![b'x'; size]), pool);
                }
                let mut left = queued.clone();
                if oldest_dropped && !left.is_empty() {
                    assert_eq!(buffer.drop_oldest(pool), 1);
                    left.remove(0);
                }
                buffer.push_first(&Message::from("hello"));
                assert_eq!(buffer.messages(), left.len() + 1);
                let mut slices = [std::io::IoSlice::new(&[]); super::super::MAX_SLICES];
                let count = buffer.slices(&mut slices, usize::MAX);
                let slices = slices[..count].iter().map(|slice| &**slice);
                let bytes = slices.collect::<Vec<&[u8]>>().concat();
                assert_eq!(bytes[..7], *b"\0\x05hello");
                assert_eq!(bytes.len(), buffer.bytes());
                // Begun or not, it is not kept.
                let mut broken = OutBuffer::default();
                std::mem::swap(&mut broken, &mut buffer);
                broken.advance(left.len(), pool);
                broken.rewind(pool);
                assert_eq!(texts(&mut broken, pool), left);
            }
        }
    }

    #[test]
    fn what_is_behind_it_keeps_its_marks() {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        buffer.push(Outgoing::Slice(b"abc"), pool);
        buffer.push(Outgoing::Slice(b"def"), pool);
        buffer.advance(2, pool);
        assert!(buffer.blame(Some(2), pool).is_none());
        buffer.rewind(pool);
        buffer.push_first(&Message::from("hello"));
        // Nobody is blamed while the greeting is written.
        buffer.advance(3, pool);
        assert!(buffer.blame(Some(1), pool).is_none());
        buffer.rewind(pool);
        buffer.push_first(&Message::from("hello"));
        buffer.advance(7 + 2, pool);
        let refused = buffer.blame(Some(2), pool).expect("the second time");
        assert_eq!((refused.message, refused.breaks), (Message::from("abc"), 2));
    }

    #[test]
    fn one_behind_others_goes_with_the_connection_as_well() {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        buffer.push(Outgoing::Slice(b"abc"), pool);
        buffer.push_for_this_connection(&Message::from("hello"), pool);
        buffer.push(Outgoing::Slice(b"defg"), pool);
        assert_eq!((buffer.messages(), buffer.unwanted()), (3, 1));
        assert_eq!(texts(&mut buffer, pool), [3, 4]);
    }
}
