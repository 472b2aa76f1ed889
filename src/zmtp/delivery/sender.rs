//! The side that sends: each message is held until it is settled.
//!
//! ```text
//!                        next            settle: done
//!   offer ──▶ waiting ─────────▶ out ──────────────────▶ finished: settled
//!               ▲                 │ settle: rejected, or delivered too often
//!               │                 ├────────────────────▶ finished: dead
//!               │   back-off      │ settle: retry
//!               ├◀────────────────┤
//!               │   grace         │ closed
//!               ├◀────────────────┘
//!               │ expire
//!               └────────────────────────────────────▶ finished: dead
//! ```
//!
//! A message whose time is over is not sent any more. One that is out by then the receiver is asked to give back ([`revoked`](Sender::revoked)),
//! unless its application has it already: what that says of it counts.
//!
//! Its calls: [`offer`](Sender::offer) a message; [`opened`](Sender::opened) and [`closed`](Sender::closed) as connections come and go;
//! [`settle`](Sender::settle) for each SETTLE; [`handle_timeout`](Sender::handle_timeout) when the [`deadline`](Sender::deadline) has come. After
//! each of them, [`expire`](Sender::expire) where messages have a time, [`next`](Sender::next) until it gives nothing, and send what it gives; and
//! [`finished`](Sender::finished), [`revoked`](Sender::revoked) and, where that is of interest, [`returned`](Sender::returned).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::Party;
use super::wire::Run;
use expiry::Expiry;
use line::{Line, Share};
use order::Order;
use ranking::Ranking;
use store::Store;
pub(crate) use store::{Content, Held, Left};
use tags::Tags;

mod expiry;
mod going;
mod line;
mod order;
mod ranking;
mod settling;
mod store;
mod tags;
mod time;

/// What the sender goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// For so long a receiver that is gone may come back to its messages.
    pub(crate) grace: Duration,
    /// The waits before a message is delivered again: each is twice the one before, from the first to the longest.
    pub(crate) backoff: (Duration, Duration),
    /// So often a message is delivered.
    pub(crate) limit: u32,
}

/// Whether a peer can be sent a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Full,
    /// It never takes one like this.
    Refuses,
}

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The receiver has settled it.
    Settled,
    /// It has gone to a peer that does not say what becomes of it.
    Unacknowledged,
    Dead(DeadLine),
}

/// Why a message is not delivered any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeadLine {
    Rejected(String),
    /// It has been delivered as often as it may be.
    Limit,
    /// No receiver takes one like it.
    TooLarge,
    /// Its time was over before it was settled.
    Expired,
    /// Nobody else may have it, and its receiver is gone.
    Gone,
}

/// What there is to be observed with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Then it is dead, unless it is settled.
    pub(crate) expires: Option<Instant>,
    /// It is sent only when no other one with the same number is held that came before.
    pub(crate) order: Option<u64>,
}

/// A message that is finished.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) left: Left<T>,
    pub(crate) number: u64,
    pub(crate) deliveries: u32,
    pub(crate) fate: Fate,
}

/// A delivery that has come to nothing, for whoever writes that down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) number: u64,
    /// How often the message has been delivered.
    pub(crate) deliveries: u32,
    /// Not to be delivered again before this.
    pub(crate) due: Option<Instant>,
}

/// A message to be sent now, on this connection.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) connection: usize,
    /// For [`Sender::payload`], at once.
    pub(crate) key: usize,
    /// To be sent before it.
    pub(crate) run: Option<Run>,
    /// It has been sent before.
    pub(crate) again: bool,
    /// The peer does not know acknowledged delivery: [`Sender::handed_over`] is to follow.
    pub(crate) plain: bool,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) settled: u64,
    pub(crate) retried: u64,
    pub(crate) dead: u64,
}

/// What a receiver that is gone has until the time is up.
struct Grace {
    receiver: Party,
    until: Instant,
    keys: Vec<usize>,
}

/// See the module.
pub(crate) struct Sender<T> {
    policy: Policy,
    random: u64,
    /// All that are held. Those that nobody has been sent yet have their queue there.
    store: Store<T>,
    next_number: u64,
    /// To be delivered again, to anyone, before the fresh ones.
    again: VecDeque<usize>,
    delayed: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    graces: Vec<Grace>,
    lines: Vec<Option<Line>>,
    /// Those of them on which more may go out.
    ranking: Ranking,
    /// Those that are to have something first that their receiver may still have.
    backs: BTreeSet<usize>,
    /// Lines have shares.
    weighs: bool,
    /// Numbers of short ones that are settled, and how many follow each.
    settled: Vec<(u64, u64)>,
    finished: Vec<Finished<T>>,
    expiry: Expiry,
    order: Order,
    /// `None`: nobody is interested.
    returned: Option<Vec<Returned>>,
    counts: Counts,
}

impl<T> Sender<T> {
    pub(crate) fn new(policy: Policy, seed: u64) -> Self {
        Sender {
            policy,
            random: seed | 1,
            store: Store::default(),
            next_number: 1,
            again: VecDeque::new(),
            delayed: BinaryHeap::new(),
            graces: Vec::new(),
            lines: Vec::new(),
            ranking: Ranking::default(),
            backs: BTreeSet::new(),
            weighs: false,
            settled: Vec::new(),
            finished: Vec::new(),
            expiry: Expiry::default(),
            order: Order::default(),
            returned: None,
            counts: Counts::default(),
        }
    }

    /// Messages have numbers of somebody else's from now on ([`hold`](Self::hold)). Those that are [offered](Self::offer) all the same get numbers from
    /// `first` on. What comes back is told.
    pub(crate) fn number_from(&mut self, first: u64) {
        self.next_number = first;
        self.returned = Some(Vec::new());
    }

    /// Messages that are held: neither settled nor dead.
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a message, which has been `sent` before or not, and gives its number.
    pub(crate) fn offer(&mut self, content: Content<'_, T>, sent: bool, terms: Terms) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.take(content, number, 0, sent, None, terms);
        number
    }

    /// Takes a message that has a number.
    pub(crate) fn hold(&mut self, content: Content<'_, T>, number: u64, terms: Terms) {
        self.take(content, number, 0, false, None, terms);
    }

    /// Takes a message that an earlier sender of the stream has held, and may have delivered. It is not delivered before it is `due`.
    pub(crate) fn resume(
        &mut self,
        content: Content<'_, T>,
        number: u64,
        deliveries: u32,
        due: Option<Instant>,
        terms: Terms,
    ) {
        // A receiver that knows it looks only where it is told that a message may have come before.
        self.take(content, number, deliveries.max(1), true, due, terms);
    }

    fn take(
        &mut self,
        content: Content<'_, T>,
        number: u64,
        deliveries: u32,
        sent: bool,
        due: Option<Instant>,
        terms: Terms,
    ) {
        // Whether it has to wait for others is known when it has a key.
        let fresh = due.is_none() && terms.order.is_none();
        let key = self.store.insert(number, content, fresh, sent);
        if deliveries > 0 {
            self.store.add_past(key, deliveries, 0);
        }
        let goes = match terms.order {
            Some(order) => self.order.enter(key, order, due),
            None => true,
        };
        match due {
            _ if !goes || fresh => {}
            Some(at) => self.delayed.push(Reverse((at, number, key))),
            None => self.store.queue_last(),
        }
        if let Some(at) = terms.expires {
            let store = &self.store;
            let lives = |key, number| store.is(key, number);
            self.expiry.add(at, number, key, store.len(), lives);
        }
    }

    /// The payload of what is to be sent.
    pub(crate) fn payload(&self, key: usize) -> Option<Held<'_, T>> {
        self.store.get(key)
    }

    /// Messages that are settled since this was last asked, but for those that [`finished`](Self::finished) gives: their numbers, as the first of some that
    /// follow each other, and how many these are.
    pub(crate) fn settled(&mut self) -> std::vec::Drain<'_, (u64, u64)> {
        self.settled.drain(..)
    }

    /// Messages that are finished since this was last asked: all that were not copied, and of the others those that are not settled.
    pub(crate) fn finished(&mut self) -> std::vec::Drain<'_, Finished<T>> {
        self.finished.drain(..)
    }

    /// Deliveries that have come to nothing since this was last asked.
    pub(crate) fn returned(&mut self) -> impl Iterator<Item = Returned> {
        self.returned.iter_mut().flat_map(|all| all.drain(..))
    }

    /// Messages that receivers are to give back since this was last asked, as far as they have not handed them out: connections with their tags.
    pub(crate) fn revoked(&mut self) -> Vec<(usize, Vec<u64>)> {
        self.expiry.revoked()
    }

    /// No message is held from then on. Gives those that were not copied.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.expiry = Expiry::default();
        self.order = Order::default();
        self.again.clear();
        self.delayed.clear();
        self.graces.clear();
        self.lines.clear();
        self.ranking.clear();
        self.backs.clear();
        self.store.take_wholes()
    }

    /// No connection is there, and who may have the messages that are held will not be back: none is held from then on.
    pub(crate) fn abandon(&mut self) {
        debug_assert!(self.connections().next().is_none());
        let mut keys = self.store.keys();
        keys.sort_by_key(|&key| self.store.number(key));
        for key in keys {
            self.finish(key, Fate::Dead(DeadLine::Gone));
        }
        self.again.clear();
        self.delayed.clear();
        self.graces.clear();
    }

    /// A connection is there: to a receiver that takes so many unsettled messages at once, or, with `None`, to a peer that settles nothing.
    pub(crate) fn opened(&mut self, connection: usize, receiver: Option<(Party, u64)>) {
        if connection >= self.lines.len() {
            self.lines.resize_with(connection + 1, || None);
        }
        let mut back = VecDeque::new();
        if let Some((party, _)) = &receiver {
            self.graces.retain_mut(|grace| {
                let it_is = grace.receiver == *party;
                if it_is {
                    back.extend(grace.keys.drain(..));
                }
                !it_is
            });
        }
        if !back.is_empty() {
            self.backs.insert(connection);
        }
        let window = receiver.as_ref().map_or(u64::MAX, |(_, window)| *window);
        self.lines[connection] = Some(Line {
            receiver: receiver.map(|(party, _)| party),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            next_tag: 0,
            out: Tags::default(),
            run: None,
            back,
            alone: false,
            share: Share::UNKNOWN,
        });
        self.rank(connection);
    }

    /// Puts a line where it belongs among those on which more may go out. To be called after each change of it.
    fn rank(&mut self, connection: usize) {
        let line = self.lines.get(connection).and_then(Option::as_ref);
        let rank = line.and_then(|line| {
            let free = line.free(0)?;
            Some(line.rank(free, self.weighs))
        });
        self.ranking.set(connection, rank);
    }

    /// Whether lines have shares, which [`set_share`](Self::set_share) tells of. Without, who may have most is given the next message.
    pub(crate) fn set_weighs(&mut self, weighs: bool) {
        if std::mem::replace(&mut self.weighs, weighs) != weighs {
            (0..self.lines.len()).for_each(|connection| self.rank(connection));
        }
    }

    /// How much of all this connection is to have: messages go to the lowest priority, and are divided in proportion to weights, of at least 1.
    pub(crate) fn set_share(&mut self, connection: usize, priority: u8, weight: u16) {
        if let Some(Some(line)) = self.lines.get_mut(connection) {
            line.share = Share {
                priority: priority.into(),
                weight,
            };
            self.rank(connection);
        }
    }

    /// A connection is gone. Of what was sent on it, the last `unwritten` messages have not left.
    pub(crate) fn closed(&mut self, connection: usize, unwritten: usize, now: Instant) {
        let Some(line) = self.lines.get_mut(connection).and_then(Option::take) else {
            return;
        };
        self.rank(connection);
        self.backs.remove(&connection);
        let left = line.next_tag.saturating_sub(unwritten as u64);
        let mut out: Vec<(u64, usize)> = line.out.iter().collect();
        out.sort_unstable();
        let mut keys = Vec::with_capacity(out.len() + line.back.len());
        for (tag, key) in out {
            let has_left = tag < left;
            if has_left && !self.delivered(key, true) || self.is_over(key) {
                continue;
            }
            if has_left {
                self.note_return(key, None);
            }
            keys.push(key);
        }
        keys.extend(line.back);
        match line.receiver {
            Some(receiver) if !self.policy.grace.is_zero() && !keys.is_empty() => {
                self.graces.push(Grace {
                    receiver,
                    until: now + self.policy.grace,
                    keys,
                });
            }
            _ => self.give_to_others(keys),
        }
    }

    /// A message has been delivered, and is not done. `false`: it was the last time that it may be.
    fn delivered(&mut self, key: usize, died: bool) -> bool {
        self.store.add_past(key, 1, u8::from(died));
        if self.store.deliveries(key) >= self.policy.limit {
            self.finish(key, Fate::Dead(DeadLine::Limit));
            return false;
        }
        self.counts.retried += 1;
        true
    }

    /// A message is out no longer. `true`: its time is over, and so it is finished.
    fn is_over(&mut self, key: usize) -> bool {
        if self.store.is_expired(key) {
            self.finish(key, Fate::Dead(DeadLine::Expired));
            return true;
        }
        self.store.set_back(key);
        false
    }

    fn note_return(&mut self, key: usize, due: Option<Instant>) {
        if let Some(returned) = &mut self.returned
            && let Some(number) = self.store.number(key)
        {
            returned.push(Returned {
                number,
                deliveries: self.store.deliveries(key),
                due,
            });
        }
    }

    fn give_to_others(&mut self, keys: Vec<usize>) {
        for key in keys.into_iter().rev() {
            self.again.push_front(key);
        }
    }

    fn finish(&mut self, key: usize, fate: Fate) {
        let needed = matches!(fate, Fate::Dead(_));
        let Some(removed) = self.store.remove(key, needed) else {
            return;
        };
        if removed.expired && !removed.out {
            self.expiry.found();
        }
        if let Some((next, due)) = self.order.leave(key) {
            match (due, self.store.number(next)) {
                (Some(at), Some(number)) => self.delayed.push(Reverse((at, number, next))),
                // It has waited for longer than those that are fresh.
                (None, _) | (_, None) => self.again.push_back(next),
            }
        }
        match fate {
            Fate::Settled => self.counts.settled += 1,
            Fate::Dead(_) => self.counts.dead += 1,
            Fate::Unacknowledged => {}
        }
        if let (Fate::Settled, Left::Nothing) = (&fate, &removed.left) {
            return note_settled(&mut self.settled, removed.number, 1);
        }
        self.finished.push(Finished {
            left: removed.left,
            number: removed.number,
            deliveries: removed.deliveries,
            fate,
        });
    }

    /// A message has gone to a peer that settles nothing: it is finished.
    pub(crate) fn handed_over(&mut self, key: usize) {
        self.finish(key, Fate::Unacknowledged);
    }

    /// The connections that are there.
    pub(crate) fn connections(&self) -> impl Iterator<Item = usize> {
        let lines = self.lines.iter().enumerate();
        lines.filter_map(|(connection, line)| line.as_ref().map(|_| connection))
    }

    /// Whether a connection is one to a receiver that settles.
    pub(crate) fn is_acknowledged(&self, connection: usize) -> bool {
        let line = self.lines.get(connection).and_then(Option::as_ref);
        line.is_some_and(|line| line.receiver.is_some())
    }
}

/// Adds to a list of numbers so many that follow each other.
fn note_settled(settled: &mut Vec<(u64, u64)>, number: u64, numbers: u64) {
    match settled.last_mut() {
        Some((first, count)) if *first + *count == number => *count += numbers,
        _ => settled.push((number, numbers)),
    }
}

#[cfg(test)]
mod tests;
