//! Messages over which connections break, and messages that a peer says it will not take.
//!
//! A peer that refuses a message, for its size as a rule, ends the connection as soon as it has seen the header. The next
//! connection would begin with the same message, and so on without end. So the message that was being written when a
//! connection broke is a suspect. It is acquitted when it gets through, and given up after so many connections. The count goes
//! with the message from one queue to the next.

use super::{OutBuffer, Walk};
use crate::engine::Outgoing;
use crate::engine::peer::pool::ChunkPool;
use crate::message::Message;
use crate::zmtp::FrameKind;

/// A message that was accepted and not wholly written, on its way to another queue.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) message: Message,
    /// How many connections in a row broke while it was being written.
    pub(crate) breaks: u32,
}

impl OutBuffer {
    /// Appends a message that has been in a queue before.
    pub(crate) fn push_again(&mut self, unsent: &Unsent, pool: &mut ChunkPool) {
        if unsent.breaks > 0 {
            self.mark(self.messages).breaks = unsent.breaks;
        }
        self.push(Outgoing::Message(&unsent.message), pool);
    }

    /// The connection broke: counts that against the message that was being written, if one was. Gives the message, taken out,
    /// when as many connections as `most` have broken over it.
    pub(crate) fn blame(&mut self, most: Option<u32>, pool: &mut ChunkPool) -> Option<Unsent> {
        let is_subscription = self.lookalikes.as_ref().is_some_and(|it| it.is_next());
        let begun = self.taken > 0
            && !is_subscription
            && self
                .first_message()
                .is_some_and(|(_, kind)| kind != FrameKind::Command);
        if !begun {
            return None;
        }
        let mark = self.mark(0);
        // One that nobody waits for any more goes with this connection anyway.
        if mark.unwanted {
            return None;
        }
        let breaks = mark.breaks.saturating_add(1);
        mark.breaks = breaks;
        if most.is_none_or(|most| breaks < most) {
            return None;
        }
        let mut unsent = self.drain(pool).into_iter();
        let refused = unsent.next();
        unsent.for_each(|unsent| self.push_again(&unsent, pool));
        refused
    }

    /// Takes out the messages of which `is_one` holds. Nothing of the buffer may have been written.
    pub(crate) fn take_out(
        &mut self,
        is_one: impl Fn(&Message) -> bool,
        pool: &mut ChunkPool,
    ) -> Vec<Unsent> {
        debug_assert_eq!(self.taken, 0, "what is half written cannot be taken out");
        let (taken, kept) = self
            .drain(pool)
            .into_iter()
            .partition::<Vec<_>, _>(|unsent| is_one(&unsent.message));
        kept.iter().for_each(|unsent| self.push_again(unsent, pool));
        taken
    }

    /// Whether a message here has more than so many bytes in its frames, or more frames than that.
    pub(crate) fn exceeds(&self, size: u64, parts: u32) -> bool {
        let mut walk = Walk::new(self);
        let mut message = (0, 0);
        while let Some((kind, body)) = walk.next_size() {
            if kind == FrameKind::Command {
                continue;
            }
            message = (message.0 + body as u64, message.1 + 1);
            if message.0 > size || message.1 > parts {
                return true;
            }
            if kind == FrameKind::Last {
                message = (0, 0);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of these messages, of which so many bytes are written.
    fn buffer(messages: &[&str], written: usize, pool: &mut ChunkPool) -> OutBuffer {
        let mut buffer = OutBuffer::default();
        for message in messages {
            buffer.push(Outgoing::Slice(message.as_bytes()), pool);
        }
        buffer.advance(written, pool);
        buffer
    }

    fn breaks(buffer: &mut OutBuffer, pool: &mut ChunkPool) -> Vec<(String, u32)> {
        let text = |unsent: Unsent| {
            (
                unsent.message.first().to_string_lossy().into_owned(),
                unsent.breaks,
            )
        };
        buffer.drain(pool).into_iter().map(text).collect()
    }

    #[test]
    fn only_what_was_being_written_is_blamed() {
        let pool = &mut ChunkPool::default();
        for (written, expected) in [(0, [0, 0]), (1, [1, 0]), (4, [1, 0])] {
            let mut buffer = buffer(&["abc", "def"], written, pool);
            assert!(buffer.blame(Some(2), pool).is_none());
            let left = [
                ("abc".to_owned(), expected[0]),
                ("def".to_owned(), expected[1]),
            ];
            assert_eq!(breaks(&mut buffer, pool), left);
        }
        // The first one has gone, of the second nothing has left.
        let mut whole = buffer(&["abc", "def"], 5, pool);
        assert!(whole.blame(Some(1), pool).is_none());
        let mut command = OutBuffer::default();
        command.push_commands(b"\x04\x03\x02ab", pool);
        command.push(Outgoing::Slice(b"abc"), pool);
        command.advance(2, pool);
        assert!(command.blame(Some(1), pool).is_none());
    }

    #[test]
    fn the_count_ends_with_the_message_given_up() {
        let pool = &mut ChunkPool::default();
        let mut buffer = buffer(&["abc", "def"], 2, pool);
        assert!(buffer.blame(Some(3), pool).is_none());
        buffer.rewind(pool);
        buffer.advance(3, pool);
        assert!(buffer.blame(Some(3), pool).is_none());
        buffer.rewind(pool);
        buffer.advance(3, pool);
        let refused = buffer.blame(Some(3), pool).expect("the third");
        assert_eq!((refused.message, refused.breaks), (Message::from("abc"), 3));
        assert_eq!(breaks(&mut buffer, pool), [("def".to_owned(), 0)]);
    }

    #[test]
    fn the_count_goes_with_the_message_and_not_with_its_place() {
        let pool = &mut ChunkPool::default();
        let mut first = buffer(&["abc", "def"], 2, pool);
        assert!(first.blame(None, pool).is_none());
        let mut other = buffer(&["x", "y"], 0, pool);
        for unsent in first.drain(pool) {
            other.push_again(&unsent, pool);
        }
        let mut earlier = buffer(&["w"], 0, pool);
        earlier.append(other, pool);
        earlier.advance(3, pool);
        earlier.rewind(pool);
        let all = ["x", "y", "abc", "def"].map(str::to_owned);
        let mut copy = earlier.drain(pool);
        let left = copy
            .iter()
            .map(|unsent| unsent.message.first().to_string_lossy().into_owned());
        assert!(left.eq(all));
        assert_eq!(copy.remove(2).breaks, 1);
        assert!(copy.iter().all(|unsent| unsent.breaks == 0));
    }

    #[test]
    fn the_count_goes_with_a_message_that_is_withdrawn() {
        let pool = &mut ChunkPool::default();
        for (withdrawn, left) in [("abc", vec![("def", 0)]), ("def", vec![("abc", 1)])] {
            let mut buffer = buffer(&["abc", "def"], 2, pool);
            assert!(buffer.blame(Some(2), pool).is_none());
            buffer.rewind(pool);
            let _ = buffer.withdraw(|first| first == withdrawn.as_bytes(), pool);
            let left: Vec<_> = left
                .into_iter()
                .map(|(text, n)| (text.to_owned(), n))
                .collect();
            assert_eq!(breaks(&mut buffer, pool), left);
        }
        let mut unwanted = buffer(&["abc", "def"], 2, pool);
        let _ = unwanted.withdraw(|first| first == b"abc", pool);
        assert!(unwanted.blame(Some(1), pool).is_none());
        assert_eq!(breaks(&mut unwanted, pool), [("def".to_owned(), 0)]);
    }

    #[test]
    fn what_gets_through_is_acquitted() {
        let pool = &mut ChunkPool::default();
        let mut buffer = buffer(&["abc", "def"], 2, pool);
        assert!(buffer.blame(Some(2), pool).is_none());
        buffer.rewind(pool);
        buffer.advance(7, pool);
        assert!(
            buffer.blame(Some(2), pool).is_none(),
            "the next one begins anew"
        );
        assert_eq!(breaks(&mut buffer, pool), [("def".to_owned(), 1)]);
    }

    #[test]
    fn what_is_too_large_is_taken_out() {
        let pool = &mut ChunkPool::default();
        let mut buffer = buffer(&["abc", "defgh", "ij"], 0, pool);
        buffer.push(Outgoing::Message(&Message::from(["k", "l", "m"])), pool);
        for (size, parts, exceeds) in [(4, 9, true), (5, 2, true), (5, 3, false)] {
            assert_eq!(buffer.exceeds(size, parts), exceeds, "{size}, {parts}");
        }
        let taken = buffer.take_out(|message| message.size() > 4 || message.parts() > 2, pool);
        assert_eq!(taken.len(), 2);
        let left = ["abc", "ij"].map(|text| (text.to_owned(), 0));
        assert_eq!(breaks(&mut buffer, pool), left);
    }
}
