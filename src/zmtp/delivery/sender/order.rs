//! Messages that go one after the other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// A message that waits for its turn, and when it may be delivered at the earliest.
type Follower = (usize, Option<Instant>);

/// Messages with the same order number, of which the next one goes when the one before is finished. Nothing is here when no message has one.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The order number of each message.
    of: HashMap<usize, u64>,
    queues: HashMap<u64, Queue>,
}

#[derive(Debug)]
struct Queue {
    /// It goes the way of all others.
    goes: usize,
    followers: VecDeque<Follower>,
}

impl Order {
    /// A message has come. `false`: it has to wait until [`leave`](Self::leave) gives it.
    pub(super) fn enter(&mut self, key: usize, order: u64, due: Option<Instant>) -> bool {
        self.of.insert(key, order);
        match self.queues.entry(order) {
            Entry::Occupied(queue) => {
                queue.into_mut().followers.push_back((key, due));
                false
            }
            Entry::Vacant(place) => {
                place.insert(Queue {
                    goes: key,
                    followers: VecDeque::new(),
                });
                true
            }
        }
    }

    /// Whether no message has an order.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// A message is finished. Gives the one whose turn it is then.
    pub(super) fn leave(&mut self, key: usize) -> Option<Follower> {
        if self.of.is_empty() {
            return None;
        }
        let order = self.of.remove(&key)?;
        let Entry::Occupied(mut queue) = self.queues.entry(order) else {
            return None;
        };
        let Queue { goes, followers } = queue.get_mut();
        if *goes != key {
            followers.retain(|(follower, _)| *follower != key);
            return None;
        }
        let next = followers.pop_front();
        match next {
            Some((next, _)) => *goes = next,
            None => drop(queue.remove()),
        }
        next
    }

    /// Takes messages out that wait for their turn, to [`leave`](Self::leave) next.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&usize) -> bool) {
        for queue in self.queues.values_mut() {
            queue.followers.retain(|(key, _)| stays(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_for_the_one_before() {
        let mut order = Order::default();
        let due = Some(Instant::now());
        assert!(order.enter(1, 7, None));
        assert!(order.enter(2, 8, None));
        assert!(!order.enter(3, 7, None));
        assert!(!order.enter(4, 7, None));
        assert!(!order.enter(5, 7, due));
        assert!(!order.enter(6, 7, None));
        assert_eq!(order.leave(9), None, "it has no order");
        assert_eq!(order.leave(2), None, "nobody waits for it");
        assert_eq!(order.leave(4), None, "it was not its turn");
        assert_eq!(order.leave(1), Some((3, None)));
        assert_eq!(order.leave(3), Some((5, due)));
        order.retain(|key| *key != 6);
        assert_eq!(order.leave(6), None);
        assert_eq!(order.leave(5), None);
        assert!(order.of.is_empty() && order.queues.is_empty());
        assert!(order.enter(1, 7, None));
    }
}
