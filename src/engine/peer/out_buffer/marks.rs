//! What is special about single messages of a buffer.

use super::OutBuffer;

/// Says something of one queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// How many messages are ahead of it.
    pub(super) index: usize,
    /// How many connections in a row broke while it was being written.
    pub(super) breaks: u32,
    /// It goes with this connection: it has begun to leave and nobody waits for it any more, or it greets the peer.
    pub(super) unwanted: bool,
}

impl OutBuffer {
    /// The mark of a message, made if there is none.
    #[cold]
    pub(super) fn mark(&mut self, index: usize) -> &mut Mark {
        let place = self.marks.partition_point(|mark| mark.index < index);
        let is_there = self
            .marks
            .get(place)
            .is_some_and(|mark| mark.index == index);
        if !is_there {
            let mark = Mark {
                index,
                breaks: 0,
                unwanted: false,
            };
            self.marks.insert(place, mark);
        }
        &mut self.marks[place]
    }

    /// The message with so many ahead of it has gone.
    #[cold]
    pub(super) fn take_out_mark(&mut self, index: usize) {
        self.marks.retain(|mark| mark.index != index);
        for mark in &mut self.marks {
            mark.index -= usize::from(mark.index > index);
        }
    }

    /// How many messages go with this connection.
    pub(crate) fn unwanted(&self) -> usize {
        self.marks.iter().filter(|mark| mark.unwanted).count()
    }
}
