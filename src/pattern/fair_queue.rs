//! Whose turn it is to be read.

/// The peers that have something, in the order of their turns.
///
/// A ring through a table indexed by peer, so that each operation is a few loads and stores, and a peer that goes
/// away leaves its place in the middle as cheaply as at the front.
///
/// ```text
///      front                      rotate: front = next of front, the old front is then the last
///        ▼
///   ┌─▶  2 ──▶ 5 ──▶ 0 ──┐        push: before the front, which is behind the last
///   └────────────────────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    links: Vec<Option<Link>>,
    /// Meaningless while `len` is 0.
    front: usize,
    len: usize,
}

/// The neighbours of a peer that is in the ring: itself, if it is alone.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: usize,
    next: usize,
}

/// From so many peers on, what one of them needs has left the first-level cache when its turn comes.
const MANY: usize = 16;

impl FairQueue {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Gives a peer its turn after all others; one that is in already keeps its place.
    pub(crate) fn push(&mut self, id: usize) {
        if self.contains(id) {
            return;
        }
        if id >= self.links.len() {
            if self.links.is_empty() {
                // Most sockets that connect have one peer, and a `Vec` begins with room for four.
                self.links.reserve_exact(id + 1);
            }
            self.links.resize(id + 1, None);
        }
        match self.front().and_then(|front| self.link(front)) {
            Some(Link { previous: last, .. }) => {
                let next = self.front;
                self.links[id] = Some(Link {
                    previous: last,
                    next,
                });
                self.set_next(last, id);
                self.set_previous(next, id);
            }
            None => {
                self.front = id;
                self.links[id] = Some(Link {
                    previous: id,
                    next: id,
                });
            }
        }
        self.len += 1;
    }

    /// The peer whose turn it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<usize> {
        (self.len > 0).then_some(self.front)
    }

    /// Ends the turn of the front, which gets its next one after all others.
    #[inline]
    pub(crate) fn rotate(&mut self) {
        if self.len > 1 {
            self.turn();
        }
    }

    /// The same; gives the peer whose turn is the next but one, where there are so many that it is worth preparing for.
    #[inline]
    pub(crate) fn rotate_many(&mut self) -> Option<usize> {
        if self.len == 1 {
            return None;
        }
        self.turn();
        if self.len < MANY {
            return None;
        }
        Some(self.link(self.front)?.next)
    }

    #[inline]
    fn turn(&mut self) {
        if let Some(link) = self.link(self.front) {
            self.front = link.next;
        }
    }

    /// Takes the front out.
    pub(crate) fn pop_front(&mut self) -> Option<usize> {
        let front = self.front()?;
        self.remove(front);
        Some(front)
    }

    /// Takes a peer out, wherever it is; says whether it was in.
    pub(crate) fn remove(&mut self, id: usize) -> bool {
        let Some(link) = self.links.get_mut(id).and_then(Option::take) else {
            return false;
        };
        self.len -= 1;
        if self.len > 0 {
            self.set_next(link.previous, link.next);
            self.set_previous(link.next, link.previous);
            if self.front == id {
                self.front = link.next;
            }
        }
        true
    }

    #[inline]
    pub(crate) fn contains(&self, id: usize) -> bool {
        self.link(id).is_some()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn link(&self, id: usize) -> Option<Link> {
        self.links.get(id).copied().flatten()
    }

    fn set_next(&mut self, id: usize, next: usize) {
        if let Some(Some(link)) = self.links.get_mut(id) {
            link.next = next;
        }
    }

    fn set_previous(&mut self, id: usize, previous: usize) {
        if let Some(Some(link)) = self.links.get_mut(id) {
            link.previous = previous;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn an_empty_queue_has_no_front() {
        let mut queue = FairQueue::new();
        queue.rotate();
        assert_eq!(queue.front(), None);
        assert_eq!(queue.pop_front(), None);
        assert!(!queue.remove(3));
        assert!(!queue.contains(0));
        assert!(queue.is_empty());
    }

    #[test]
    fn one_peer_always_has_its_turn() {
        let mut queue = FairQueue::new();
        queue.push(9);
        queue.rotate();
        queue.push(9);
        assert_eq!((queue.front(), queue.len()), (Some(9), 1));
        assert_eq!(queue.pop_front(), Some(9));
        assert!(queue.is_empty());
    }

    #[test]
    fn turns_go_round_and_newcomers_wait() {
        let mut queue = FairQueue::new();
        for id in [4, 0, 2] {
            queue.push(id);
        }
        let mut turns = Vec::new();
        for turn in 0..8 {
            turns.extend(queue.front());
            queue.rotate();
            if turn == 3 {
                queue.push(1);
            }
        }
        assert_eq!(turns, [4, 0, 2, 4, 0, 2, 4, 1]);
    }

    #[test]
    fn removing_the_front_passes_the_turn_on() {
        let mut queue = FairQueue::new();
        for id in 0..4 {
            queue.push(id);
        }
        assert!(queue.remove(2));
        assert!(queue.remove(0));
        assert_eq!(queue.front(), Some(1));
        queue.rotate();
        assert_eq!(queue.front(), Some(3));
    }

    #[test]
    fn behaves_as_a_plain_queue_does() {
        let mut queue = FairQueue::new();
        let mut model = VecDeque::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut seen = 0;
        for _ in 0..100_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let id = (random >> 32) as usize % 24;
            match random % 5 {
                0 | 1 if model.contains(&id) => queue.push(id),
                0 | 1 => {
                    queue.push(id);
                    model.push_back(id);
                }
                2 => {
                    queue.rotate();
                    model.rotate_left(1.min(model.len()));
                }
                3 if random & 64 == 0 => assert_eq!(queue.pop_front(), model.pop_front()),
                3 => {
                    let upcoming = queue.rotate_many();
                    model.rotate_left(1.min(model.len()));
                    let expected = model.get(1).filter(|_| model.len() >= MANY);
                    assert_eq!(upcoming, expected.copied());
                    seen += usize::from(upcoming.is_some());
                }
                _ => {
                    assert_eq!(queue.remove(id), model.contains(&id));
                    model.retain(|&held| held != id);
                }
            }
            assert_eq!(queue.front(), model.front().copied());
            assert_eq!(queue.len(), model.len());
            assert_eq!(queue.contains(id), model.contains(&id));
        }
        assert!(seen > 0, "there were never many");
    }
}
