//! Hand-over: on which sockets threads have left messages to gather, as far as it matters: threads → the caretaker.
//!
//! A thread leaves a note with each socket, and where it serves hundreds these are many. But it writes what it has left on one when it leaves something on the
//! next ([`left`](super::left)). So of its notes the last two count, of which the first is the one that it may not have come to yet; the others are dropped,
//! and nobody looks at those sockets.
//!
//! Invariant: **a thread that has left notes of three sockets has written on the first of them, or is in a call that does so before it returns.**

/// Of one thread, so many notes count.
const COUNT: usize = 2;

/// Messages that a thread has left to gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// On this socket.
    pub(crate) id: usize,
    /// The callers' count of writes when they began to.
    pub(crate) writes: u64,
    /// The thread.
    pub(crate) by: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LeftNotes(Vec<Left>);

impl LeftNotes {
    /// Takes note. Those of one thread have to come in the order in which it has left them.
    pub(crate) fn add(&mut self, left: Left) {
        let of_thread = self.0.iter().enumerate().rev();
        let mut of_thread = of_thread.filter(|(_, other)| other.by == left.by);
        if let Some((index, _)) = of_thread.nth(COUNT - 1) {
            self.0.remove(index);
        }
        self.0.push(left);
    }

    /// Takes all that count.
    pub(crate) fn take(&mut self) -> Vec<Left> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_of_each_thread_count() {
        let mut notes = LeftNotes::default();
        let left = |id, by| Left { id, writes: 0, by };
        for (id, by) in [(1, 7), (2, 8), (3, 7), (4, 7), (5, 9), (6, 7)] {
            notes.add(left(id, by));
        }
        let ids: Vec<usize> = notes.take().iter().map(|left| left.id).collect();
        assert_eq!(ids, [2, 4, 5, 6]);
        assert!(notes.take().is_empty());
    }
}
