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

use slab::Slab;

use super::wire::{self, Run, Settled};
use super::{DeliveryError, Id};
use expiry::Expiry;
use line::{ALONE_AFTER, Line, Share};
use order::Order;
use ranking::Ranking;
use tags::Tags;

mod expiry;
mod line;
mod order;
mod ranking;
mod tags;

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
    pub(crate) payload: T,
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

struct Job<T> {
    payload: T,
    number: u64,
    deliveries: u32,
    /// Connections that ended while it was out on them.
    deaths: u8,
    /// It has been sent, whether it left or not.
    sent: bool,
    /// It is out on a connection.
    out: bool,
    /// Its time is over.
    expired: bool,
}

/// What a receiver that is gone has until the time is up.
struct Grace {
    receiver: Id,
    until: Instant,
    keys: Vec<usize>,
}

/// See the module.
pub(crate) struct Sender<T> {
    policy: Policy,
    random: u64,
    jobs: Slab<Job<T>>,
    next_number: u64,
    fresh: VecDeque<usize>,
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
            jobs: Slab::new(),
            next_number: 1,
            fresh: VecDeque::new(),
            again: VecDeque::new(),
            delayed: BinaryHeap::new(),
            graces: Vec::new(),
            lines: Vec::new(),
            ranking: Ranking::default(),
            backs: BTreeSet::new(),
            weighs: false,
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
        self.jobs.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a message, which has been `sent` before or not, and gives its number.
    pub(crate) fn offer(&mut self, payload: T, sent: bool, terms: Terms) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.take(payload, number, 0, sent, None, terms);
        number
    }

    /// Takes a message that has a number.
    pub(crate) fn hold(&mut self, payload: T, number: u64, terms: Terms) {
        self.take(payload, number, 0, false, None, terms);
    }

    /// Takes a message that an earlier sender of the stream has held, and may have delivered. It is not delivered before it is `due`.
    pub(crate) fn resume(
        &mut self,
        payload: T,
        number: u64,
        deliveries: u32,
        due: Option<Instant>,
        terms: Terms,
    ) {
        // A receiver that knows it looks only where it is told that a message may have come before.
        self.take(payload, number, deliveries.max(1), true, due, terms);
    }

    fn take(
        &mut self,
        payload: T,
        number: u64,
        deliveries: u32,
        sent: bool,
        due: Option<Instant>,
        terms: Terms,
    ) {
        let key = self.jobs.insert(Job {
            payload,
            number,
            deliveries,
            deaths: 0,
            sent,
            out: false,
            expired: false,
        });
        let goes = match terms.order {
            Some(order) => self.order.enter(key, order, due),
            None => true,
        };
        match due {
            _ if !goes => {}
            Some(at) => self.delayed.push(Reverse((at, number, key))),
            None => self.fresh.push_back(key),
        }
        if let Some(at) = terms.expires {
            let jobs = &self.jobs;
            let lives = |key, number| {
                let job: Option<&Job<T>> = jobs.get(key);
                job.is_some_and(|job| job.number == number)
            };
            self.expiry.add(at, number, key, jobs.len(), lives);
        }
    }

    /// The payload of what is to be sent.
    pub(crate) fn payload(&self, key: usize) -> Option<&T> {
        self.jobs.get(key).map(|job| &job.payload)
    }

    /// Messages that are finished since this was last asked.
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

    /// All messages that are held; none is from then on.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.expiry = Expiry::default();
        self.order = Order::default();
        self.fresh.clear();
        self.again.clear();
        self.delayed.clear();
        self.graces.clear();
        self.lines.clear();
        self.ranking.clear();
        self.backs.clear();
        let jobs = std::mem::take(&mut self.jobs);
        jobs.into_iter().map(|(_, job)| job.payload)
    }

    /// No connection is there, and who may have the messages that are held will not be back: none is held from then on.
    pub(crate) fn abandon(&mut self) {
        debug_assert!(self.connections().next().is_none());
        let jobs = self.jobs.iter();
        let mut keys: Vec<(u64, usize)> = jobs.map(|(key, job)| (job.number, key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.finish(key, Fate::Dead(DeadLine::Gone));
        }
        self.fresh.clear();
        self.again.clear();
        self.delayed.clear();
        self.graces.clear();
    }

    /// A connection is there: to a receiver that takes so many unsettled messages at once, or, with `None`, to a peer that settles nothing.
    pub(crate) fn opened(&mut self, connection: usize, receiver: Option<(Id, u64)>) {
        if connection >= self.lines.len() {
            self.lines.resize_with(connection + 1, || None);
        }
        let mut back = VecDeque::new();
        if let Some((id, _)) = receiver {
            self.graces.retain_mut(|grace| {
                let it_is = grace.receiver == id;
                if it_is {
                    back.extend(grace.keys.drain(..));
                }
                !it_is
            });
        }
        if !back.is_empty() {
            self.backs.insert(connection);
        }
        let window = receiver.map_or(u64::MAX, |(_, window)| window);
        self.lines[connection] = Some(Line {
            receiver: receiver.map(|(id, _)| id),
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
        let Some(job) = self.jobs.get_mut(key) else {
            return false;
        };
        job.deliveries = job.deliveries.saturating_add(1);
        job.deaths = job.deaths.saturating_add(u8::from(died));
        if job.deliveries >= self.policy.limit {
            self.finish(key, Fate::Dead(DeadLine::Limit));
            return false;
        }
        self.counts.retried += 1;
        true
    }

    /// A message is out no longer. `true`: its time is over, and so it is finished.
    fn is_over(&mut self, key: usize) -> bool {
        let Some(job) = self.jobs.get_mut(key) else {
            return true;
        };
        if job.expired {
            self.finish(key, Fate::Dead(DeadLine::Expired));
            return true;
        }
        job.out = false;
        false
    }

    fn note_return(&mut self, key: usize, due: Option<Instant>) {
        if let Some(returned) = &mut self.returned
            && let Some(job) = self.jobs.get(key)
        {
            returned.push(Returned {
                number: job.number,
                deliveries: job.deliveries,
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
        let Some(job) = self.jobs.try_remove(key) else {
            return;
        };
        if job.expired && !job.out {
            self.expiry.found();
        }
        if let Some((next, due)) = self.order.leave(key) {
            match (due, self.jobs.get(next)) {
                (Some(at), Some(job)) => self.delayed.push(Reverse((at, job.number, next))),
                // It has waited for longer than those that are fresh.
                (None, _) | (_, None) => self.again.push_back(next),
            }
        }
        match fate {
            Fate::Settled => self.counts.settled += 1,
            Fate::Dead(_) => self.counts.dead += 1,
            Fate::Unacknowledged => {}
        }
        self.finished.push(Finished {
            payload: job.payload,
            number: job.number,
            deliveries: job.deliveries,
            fate,
        });
    }

    /// A SETTLE has come. An error ends the connection; what was settled before it counts.
    pub(crate) fn settle(
        &mut self,
        connection: usize,
        data: &[u8],
        now: Instant,
    ) -> Result<(), DeliveryError> {
        let settled = self.settle_all(connection, data, now);
        self.rank(connection);
        settled
    }

    fn settle_all(
        &mut self,
        connection: usize,
        data: &[u8],
        now: Instant,
    ) -> Result<(), DeliveryError> {
        match wire::parse_settle(data)? {
            Settled::Done(ranges) => {
                for (first, length) in ranges {
                    self.settle_range(connection, first, length)?;
                }
            }
            Settled::Retry(tag, delay) => {
                let key = self.take_out(connection, tag)?;
                if self.delivered(key, false) && !self.is_over(key) {
                    self.delay(key, delay, now);
                }
            }
            Settled::Revoked(tag) => {
                let key = self.take_out(connection, tag)?;
                if !self.is_over(key) {
                    // It has not been asked for.
                    self.give_to_others(vec![key]);
                    return Err(DeliveryError::Unasked { command: "SETTLE" });
                }
            }
            Settled::Rejected(tag, reason) => {
                let key = self.take_out(connection, tag)?;
                if let Some(job) = self.jobs.get_mut(key) {
                    job.deliveries = job.deliveries.saturating_add(1);
                }
                let reason = String::from_utf8_lossy(reason).into_owned();
                self.finish(key, Fate::Dead(DeadLine::Rejected(reason)));
            }
        }
        Ok(())
    }

    fn settle_range(
        &mut self,
        connection: usize,
        first: u64,
        length: u64,
    ) -> Result<(), DeliveryError> {
        let line = self.lines.get(connection).and_then(Option::as_ref);
        let (next_tag, out) = line.map_or((0, 0), |line| (line.next_tag, line.out.len()));
        // The sum was looked at as it was read.
        if first.saturating_add(length) > next_tag {
            let tag = first.max(next_tag);
            return Err(DeliveryError::NeverSent { tag });
        }
        if length > out as u64 {
            return Err(DeliveryError::Repeated { tag: first });
        }
        for tag in first..first + length {
            let key = self.take_out(connection, tag)?;
            if let Some(job) = self.jobs.get_mut(key) {
                job.deliveries = job.deliveries.saturating_add(1);
            }
            self.finish(key, Fate::Settled);
        }
        Ok(())
    }

    /// The message with this tag is out no longer.
    fn take_out(&mut self, connection: usize, tag: u64) -> Result<usize, DeliveryError> {
        let line = self.lines.get_mut(connection).and_then(Option::as_mut);
        let line = line.ok_or(DeliveryError::NeverSent { tag })?;
        if tag >= line.next_tag {
            return Err(DeliveryError::NeverSent { tag });
        }
        let key = line.out.remove(tag);
        let key = key.ok_or(DeliveryError::Repeated { tag })?;
        line.alone &= !line.out.is_empty();
        Ok(key)
    }

    fn delay(&mut self, key: usize, asked: Option<u64>, now: Instant) {
        let Some(job) = self.jobs.get(key) else {
            return;
        };
        let (number, deliveries) = (job.number, job.deliveries);
        let delay = match asked {
            Some(delay) => Duration::from_millis(delay),
            None => self.backoff(deliveries),
        };
        // What is further away than time goes waits for as long as one can say.
        let at = now
            .checked_add(delay)
            .unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        self.delayed.push(Reverse((at, number, key)));
        self.note_return(key, Some(at));
    }

    /// The wait after so many deliveries: a random part of its upper half.
    fn backoff(&mut self, deliveries: u32) -> Duration {
        let (first, longest) = self.policy.backoff;
        let doubled = first.saturating_mul(1 << deliveries.saturating_sub(1).min(20));
        let half = doubled.min(longest) / 2;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        half + half.mul_f64((self.random >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.peek().map(|Reverse((at, ..))| *at);
        let graces = self.graces.iter().map(|grace| grace.until);
        graces.chain(delayed).chain(self.expiry.deadline()).min()
    }

    /// Finishes messages whose time is over and that are not out, and has those given back that are.
    pub(crate) fn expire(&mut self, now: Instant) {
        let mut out = Vec::new();
        while let Some((number, key)) = self.expiry.next(now) {
            // Any other message may have the key by now.
            let Some(job) = self.jobs.get_mut(key).filter(|job| job.number == number) else {
                continue;
            };
            job.expired = true;
            match job.out {
                true => out.push(key),
                false => self.expiry.lost(),
            }
        }
        let jobs = &self.jobs;
        self.expiry.skip(|key, number| {
            let job = jobs.get(key);
            job.is_some_and(|job| job.number == number)
        });
        if !out.is_empty() {
            out.sort_unstable();
            for (connection, line) in self.lines.iter().enumerate() {
                let tags = line.iter().flat_map(|line| line.out.iter());
                let tags = tags.filter(|(_, key)| out.binary_search(key).is_ok());
                self.expiry.revoke(connection, tags.map(|(tag, _)| tag));
            }
        }
        // They are the first of all as a rule.
        while let Some(&key) = self.fresh.front()
            && self.jobs.get(key).is_some_and(|job| job.expired)
        {
            self.fresh.pop_front();
            self.finish(key, Fate::Dead(DeadLine::Expired));
        }
        if self.expiry.is_search_due(now) {
            self.search_expired();
        }
    }

    /// Finishes what has expired, wherever it waits.
    fn search_expired(&mut self) {
        let mut over = Vec::new();
        let jobs = &self.jobs;
        let stays = |over: &mut Vec<usize>, key: &usize| {
            let expired = jobs.get(*key).is_some_and(|job| job.expired);
            if expired {
                over.push(*key);
            }
            !expired
        };
        self.again.retain(|key| stays(&mut over, key));
        self.delayed
            .retain(|Reverse((.., key))| stays(&mut over, key));
        for grace in &mut self.graces {
            grace.keys.retain(|key| stays(&mut over, key));
        }
        self.graces.retain(|grace| !grace.keys.is_empty());
        for line in self.lines.iter_mut().flatten() {
            line.back.retain(|key| stays(&mut over, key));
        }
        self.order.retain(|key| stays(&mut over, key));
        if over.len() < self.expiry.len_lost() {
            self.fresh.retain(|key| stays(&mut over, key));
        }
        for key in over {
            self.finish(key, Fate::Dead(DeadLine::Expired));
        }
    }

    /// What has waited for long enough can be sent again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, _, key))) = self.delayed.peek() {
            if at > now {
                break;
            }
            self.delayed.pop();
            self.again.push_back(key);
        }
        let mut over = Vec::new();
        self.graces.retain_mut(|grace| {
            let is_over = grace.until <= now;
            if is_over {
                over.append(&mut grace.keys);
            }
            !is_over
        });
        self.give_to_others(over);
    }

    /// The next message to be sent, and to whom: to that one who may have most, of those with room.
    pub(crate) fn next(&mut self, mut room: impl FnMut(usize, &T) -> Room) -> Option<Next> {
        if let Some(next) = self.next_back(&mut room) {
            return Some(next);
        }
        loop {
            let from_again = !self.again.is_empty();
            let queue = match from_again {
                true => &self.again,
                false => &self.fresh,
            };
            let &key = queue.front()?;
            let Some(job) = self.jobs.get(key) else {
                debug_assert!(false, "what is finished is in no queue");
                self.pop(from_again);
                continue;
            };
            if job.expired {
                self.pop(from_again);
                self.finish(key, Fate::Dead(DeadLine::Expired));
                continue;
            }
            let deaths = job.deaths;
            let (mut passed, mut refused) = (Vec::new(), 0);
            let best = loop {
                let Some(connection) = self.ranking.first() else {
                    break None;
                };
                let line = self.lines.get(connection).and_then(Option::as_ref);
                let may_have = line.is_some_and(|line| line.free(deaths).is_some());
                match room(connection, &job.payload) {
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
                    passed.contains(&connection) || room(connection, &job.payload) == Room::Refuses
                });
            for connection in passed {
                self.rank(connection);
            }
            if let Some(connection) = best {
                self.pop(from_again);
                return self.send(connection, key);
            }
            if !is_refused {
                return None;
            }
            self.pop(from_again);
            self.finish(key, Fate::Dead(DeadLine::TooLarge));
        }
    }

    fn pop(&mut self, from_again: bool) {
        match from_again {
            true => self.again.pop_front(),
            false => self.fresh.pop_front(),
        };
    }

    /// What a receiver that has come back may still have.
    fn next_back(&mut self, room: &mut impl FnMut(usize, &T) -> Room) -> Option<Next> {
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
                let Some(job) = self.jobs.get(key) else {
                    debug_assert!(false, "what is finished is in no queue");
                    line.back.pop_front();
                    continue;
                };
                if job.expired {
                    line.back.pop_front();
                    self.finish(key, Fate::Dead(DeadLine::Expired));
                    continue;
                }
                let free = line.free_for_back(job.deaths);
                match room(connection, &job.payload) {
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
        let job = self.jobs.get_mut(key)?;
        let again = std::mem::replace(&mut job.sent, true);
        if line.receiver.is_none() {
            return Some(Next {
                connection,
                key,
                run: None,
                again,
                plain: true,
            });
        }
        let tag = line.next_tag;
        line.next_tag += 1;
        job.out = true;
        line.out.insert(tag, key);
        line.alone = job.deaths >= ALONE_AFTER;
        let deliveries = u64::from(job.deliveries);
        let goes_on = line.run.is_some_and(|run| {
            run.deliveries == deliveries && run.number_of(tag) == Some(job.number)
        });
        let run = (!goes_on).then(|| {
            let before = line.run.and_then(|run| run.number_of(tag.checked_sub(1)?));
            // With several receivers that are as fast as each other, the next message has the same distance as this one.
            let stride = before.and_then(|before| job.number.checked_sub(before));
            let run = Run {
                tag,
                number: job.number,
                stride: stride.unwrap_or(1).max(1),
                deliveries,
            };
            line.run = Some(run);
            run
        });
        self.rank(connection);
        Some(Next {
            connection,
            key,
            run,
            again,
            plain: false,
        })
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

#[cfg(test)]
mod tests;
