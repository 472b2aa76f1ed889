//! Which message is sent next, and to whom.

use super::super::wire::Run;
use super::line::ALONE_AFTER;
use super::{DeadLine, Fate, Held, Next, Room, Sender};

impl<T> Sender<T> {
    /// Takes a short message that can be sent at once, and may have a number, and says to whom it is sent. `None`: others are before it, or nobody has room; it has not been taken.
    #[inline]
    pub(crate) fn offer_now(
        &mut self,
        bytes: &[u8],
        number: Option<u64>,
        room: impl FnOnce(usize) -> Room,
    ) -> Option<Next> {
        if !self.again.is_empty() || !self.backs.is_empty() || !self.store.has_no_fresh() {
            return None;
        }
        let connection = self.ranking.first()?;
        let line = self.lines.get(connection)?.as_ref()?;
        if line.receiver.is_none() || line.free(0).is_none() || room(connection) != Room::Free {
            return None;
        }
        let number = number.unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        });
        let key = self.store.insert_out(number, bytes);
        let run = self.put_out(connection, key, number, 0)?;
        Some(Next {
            connection,
            key,
            run,
            again: false,
            plain: false,
        })
    }

    /// The next message to be sent, and to whom: to that one who may have most, of those with room.
    pub(crate) fn next(
        &mut self,
        mut room: impl FnMut(usize, Held<'_, T>) -> Room,
    ) -> Option<Next> {
        if let Some(next) = self.next_back(&mut room) {
            return Some(next);
        }
        loop {
            let from_again = !self.again.is_empty();
            let key = match from_again {
                true => *self.again.front()?,
                false => self.store.first_fresh()?,
            };
            let Some(held) = self.store.get(key) else {
                debug_assert!(false, "what is finished is in no queue");
                self.pop(from_again, key);
                continue;
            };
            if self.store.is_expired(key) {
                self.pop(from_again, key);
                self.finish(key, Fate::Dead(DeadLine::Expired));
                continue;
            }
            let deaths = self.store.deaths(key);
            let (mut passed, mut refused) = (Vec::new(), 0);
            let best = loop {
                let Some(connection) = self.ranking.first() else {
                    break None;
                };
                let line = self.lines.get(connection).and_then(Option::as_ref);
                let may_have = line.is_some_and(|line| line.free(deaths).is_some());
                match room(connection, held) {
                    Room::Free if may_have => break Some(connection),
                    Room::Refuses => refused += 1,
                    Room::Free | Room::Full => {}
                }
                self.ranking.set(connection, None);
                passed.push(connection);
            };
            // Only where all that may have something refuse this is it worth asking those that may not.
            let is_refused = refused > 0
                && refused == passed.len()
                && best.is_none()
                && self.connections().all(|connection| {
                    passed.contains(&connection) || room(connection, held) == Room::Refuses
                });
            for connection in passed {
                self.rank(connection);
            }
            if let Some(connection) = best {
                self.pop(from_again, key);
                return self.send(connection, key);
            }
            if !is_refused {
                return None;
            }
            self.pop(from_again, key);
            self.finish(key, Fate::Dead(DeadLine::TooLarge));
        }
    }

    fn pop(&mut self, from_again: bool, key: usize) {
        match from_again {
            true => drop(self.again.pop_front()),
            false => self.store.take_fresh(key),
        }
    }

    /// What a receiver that has come back may still have.
    fn next_back(&mut self, room: &mut impl FnMut(usize, Held<'_, T>) -> Room) -> Option<Next> {
        let mut after = 0;
        while let Some(&connection) = self.backs.range(after..).next() {
            after = connection + 1;
            loop {
                let line = self.lines.get_mut(connection)?.as_mut();
                let Some(line) = line.filter(|line| !line.back.is_empty()) else {
                    self.backs.remove(&connection);
                    self.rank(connection);
                    break;
                };
                let &key = line.back.front()?;
                let Some(held) = self.store.get(key) else {
                    debug_assert!(false, "what is finished is in no queue");
                    line.back.pop_front();
                    continue;
                };
                if self.store.is_expired(key) {
                    line.back.pop_front();
                    self.finish(key, Fate::Dead(DeadLine::Expired));
                    continue;
                }
                let free = line.free_for_back(self.store.deaths(key));
                match room(connection, held) {
                    Room::Free if free => {
                        line.back.pop_front();
                        return self.send(connection, key);
                    }
                    Room::Free | Room::Full => break,
                    // It takes less than it did.
                    Room::Refuses => {
                        line.back.pop_front();
                        self.again.push_back(key);
                    }
                }
            }
        }
        None
    }

    fn send(&mut self, connection: usize, key: usize) -> Option<Next> {
        let line = self.lines.get_mut(connection)?.as_mut()?;
        let number = self.store.number(key)?;
        let again = self.store.set_sent(key);
        if line.receiver.is_none() {
            return Some(Next {
                connection,
                key,
                run: None,
                again,
                plain: true,
            });
        }
        let alone = self.store.deaths(key) >= ALONE_AFTER;
        let deliveries = u64::from(self.store.deliveries(key));
        self.store.set_out(key);
        line.alone = alone;
        let run = self.put_out(connection, key, number, deliveries)?;
        Some(Next {
            connection,
            key,
            run,
            again,
            plain: false,
        })
    }

    /// A message is out on a connection. Gives what is to be said before it, if anything is; `None`: there is no such connection.
    #[inline]
    fn put_out(
        &mut self,
        connection: usize,
        key: usize,
        number: u64,
        deliveries: u64,
    ) -> Option<Option<Run>> {
        let line = self.lines.get_mut(connection)?.as_mut()?;
        let tag = line.next_tag;
        line.next_tag += 1;
        line.out.insert(tag, key);
        let goes_on = line
            .run
            .is_some_and(|run| run.deliveries == deliveries && run.number_of(tag) == Some(number));
        let run = (!goes_on).then(|| {
            let before = line.run.and_then(|run| run.number_of(tag.checked_sub(1)?));
            // With several receivers that are as fast as each other, the next message has the same distance as this one.
            let stride = before.and_then(|before| number.checked_sub(before));
            let run = Run {
                tag,
                number,
                stride: stride.unwrap_or(1).max(1),
                deliveries,
            };
            line.run = Some(run);
            run
        });
        self.rank(connection);
        Some(run)
    }
}
