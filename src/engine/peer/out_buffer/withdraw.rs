//! Taking a message out of a buffer that nobody waits for any more.

use super::{OutBuffer, Segment, Walk};
use crate::engine::peer::pool::ChunkPool;
use crate::engine::peer::withdraw::Found;
use crate::zmtp::FrameKind;

/// A place between two frames: a byte in a segment, or in the tail, which counts as the segment behind the last one.
#[derive(Debug, Clone, Copy)]
struct Cut {
    segment: usize,
    position: usize,
    /// Bytes from the head of the buffer.
    offset: usize,
    /// Whole messages from there.
    messages: usize,
}

impl OutBuffer {
    /// Takes out the newest message whose first frame is `wanted`, if no byte of it has been taken. One that is half written has
    /// to be finished, since the peer would take what follows for the rest of it; but if the connection breaks before that, the
    /// message is not kept for the next.
    pub(crate) fn withdraw(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
        pool: &mut ChunkPool,
    ) -> Found {
        let Some((start, end)) = self.newest(wanted) else {
            return Found::No;
        };
        if start.offset < self.taken {
            self.mark(start.messages).unwanted = true;
            return Found::HalfWritten;
        }
        self.cut(start, end, pool);
        Found::TakenOut
    }

    /// Where the newest message whose first frame is `wanted` starts and ends.
    fn newest(&self, wanted: impl Fn(&[u8]) -> bool) -> Option<(Cut, Cut)> {
        let mut walk = Walk::new(self);
        let (mut offset, mut messages) = (0, 0);
        let mut found = None;
        // Of the message that the walk is in the middle of, if it is wanted.
        let mut start = None;
        let mut begins = true;
        while let Some((header_len, kind, body_len)) = walk.header() {
            if begins && kind != FrameKind::Command {
                let body = walk.body(header_len, body_len);
                start = body
                    .filter(|body| wanted(body))
                    .map(|_| walk.at(offset, messages));
            }
            walk.skip_body(header_len, body_len);
            offset += header_len + body_len;
            begins = kind != FrameKind::More;
            messages += usize::from(kind == FrameKind::Last);
            if kind == FrameKind::Last
                && let Some(start) = start.take()
            {
                found = Some((start, walk.at(offset, messages)));
            }
        }
        found
    }

    /// Removes one whole message.
    fn cut(&mut self, start: Cut, end: Cut, pool: &mut ChunkPool) {
        self.bytes -= end.offset - start.offset;
        self.messages -= 1;
        self.take_out_mark(start.messages);
        if self.bytes == 0 {
            return self.clear(pool);
        }
        if start.segment == end.segment {
            self.drain_bytes(start.segment, start.position..end.position);
        } else {
            self.drain_bytes(end.segment, 0..end.position);
            self.drain_bytes(start.segment, start.position..usize::MAX);
            for segment in self.sealed.drain(start.segment + 1..end.segment) {
                pool.give_segment(segment);
            }
        }
        // Chunks that held nothing else. Of the first, bytes that have been let go of may be left.
        self.sealed.retain(|segment| !segment.as_slice().is_empty());
        self.drop_read_segments(pool);
    }

    /// Removes bytes of frames; a body kept by reference is never cut.
    fn drain_bytes(&mut self, segment: usize, range: std::ops::Range<usize>) {
        let bytes = match self.sealed.get_mut(segment) {
            Some(Segment::Frames(chunk)) => chunk,
            Some(Segment::Body(_)) => return,
            None => &mut self.tail,
        };
        bytes.drain(range.start..range.end.min(bytes.len()));
    }
}

impl<'a> Walk<'a> {
    fn at(&self, offset: usize, messages: usize) -> Cut {
        Cut {
            segment: self.segment,
            position: self.position,
            offset,
            messages,
        }
    }

    /// The body of the frame whose header comes next.
    pub(super) fn body(&self, header_len: usize, body_len: usize) -> Option<&'a [u8]> {
        let start = self.position + header_len;
        let here = self.bytes(self.segment)?;
        match here.get(start..start + body_len) {
            Some(body) => Some(body),
            None => self.bytes(self.segment + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outgoing;
    use crate::message::{COPY_MAX, Message};

    fn tagged(tag: u8, body: usize) -> Message {
        let mut message = Message::from([[tag].as_slice()]);
        message.push_back(vec![tag; body]);
        message
    }

    fn drain(buffer: &mut OutBuffer, pool: &mut ChunkPool) -> Vec<Message> {
        let unsent = buffer.drain(pool).into_iter();
        unsent.map(|unsent| unsent.message).collect()
    }

    fn push(buffer: &mut OutBuffer, message: &Message, pool: &mut ChunkPool) {
        buffer.push(Outgoing::Message(message), pool);
    }

    /// Written with any split, what is left after a withdrawal is what a list would hold.
    #[test]
    fn takes_out_one_message_and_touches_no_other() {
        const BODIES: [usize; 5] = [0, 10, 300, COPY_MAX, 2 * COPY_MAX];
        let mut random = 42_u64;
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % limit
        };
        let (mut taken_out, mut half_written) = (0, 0);
        for _ in 0..2_000 {
            let mut pool = ChunkPool::default();
            let mut buffer = OutBuffer::default();
            let mut list = Vec::new();
            for tag in 0..below(8) as u8 {
                if below(4) == 0 {
                    buffer.push_commands(&[4, 5, 4, b'T', b'E', b'S', b'T'], &mut pool);
                }
                let message = tagged(tag, BODIES[below(BODIES.len())]);
                push(&mut buffer, &message, &mut pool);
                list.push(message);
            }
            let written = below(buffer.unwritten() + 1) * below(2);
            buffer.advance(written, &mut pool);
            list.drain(..list.len() - buffer.messages());
            for _ in 0..below(4) {
                let tag = below(8) as u8;
                let place = list.iter().position(|message| message.first() == &[tag]);
                let unwritten = buffer.unwritten();
                match buffer.withdraw(|first| first == [tag], &mut pool) {
                    Found::TakenOut => {
                        taken_out += 1;
                        list.remove(place.expect("it was there"));
                    }
                    Found::HalfWritten => {
                        half_written += 1;
                        assert_eq!((place, buffer.unwritten()), (Some(0), unwritten));
                    }
                    Found::No => assert_eq!(place, None),
                }
                assert_eq!(buffer.messages(), list.len());
            }
            list.drain(..buffer.unwanted());
            let later = tagged(99, 20);
            push(&mut buffer, &later, &mut pool);
            list.push(later);
            assert_eq!(drain(&mut buffer, &mut pool), list);
            assert!(buffer.is_empty());
        }
        assert!(taken_out > 500 && half_written > 100);
    }

    /// The bytes that leave are those of the other messages.
    #[test]
    fn what_is_left_leaves_whole() {
        let mut pool = ChunkPool::default();
        let mut buffer = OutBuffer::default();
        for tag in 0..4 {
            push(&mut buffer, &tagged(tag, 3), &mut pool);
        }
        assert_eq!(
            buffer.withdraw(|first| first == [2], &mut pool),
            Found::TakenOut
        );
        let mut slices = [std::io::IoSlice::new(&[]); super::super::MAX_SLICES];
        let count = buffer.slices(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        assert_eq!(
            bytes,
            [0, 1, 3]
                .map(|tag| [1, 1, tag, 0, 3, tag, tag, tag])
                .concat()
        );
    }

    /// A message that is finished leaves nothing of its withdrawal behind.
    #[test]
    fn a_half_written_message_is_finished_but_not_kept() {
        let mut pool = ChunkPool::default();
        for finish in [true, false] {
            let mut buffer = OutBuffer::default();
            push(&mut buffer, &tagged(1, 100), &mut pool);
            push(&mut buffer, &tagged(2, 100), &mut pool);
            buffer.advance(50, &mut pool);
            assert_eq!(
                buffer.withdraw(|first| first == [1], &mut pool),
                Found::HalfWritten
            );
            assert_eq!((buffer.messages(), buffer.unwanted()), (2, 1));
            if finish {
                buffer.advance(60, &mut pool);
                assert_eq!((buffer.messages(), buffer.unwanted()), (1, 0));
            }
            buffer.rewind(&mut pool);
            assert_eq!(drain(&mut buffer, &mut pool), [tagged(2, 100)]);
        }
    }
}
