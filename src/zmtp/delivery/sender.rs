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
//!               └◀────────────────┘
//! ```
//!
//! Its calls: [`offer`](Sender::offer) a message; [`opened`](Sender::opened) and [`closed`](Sender::closed) as connections come and go;
//! [`settle`](Sender::settle) for each SETTLE; [`handle_timeout`](Sender::handle_timeout) when the [`deadline`](Sender::deadline) has come. After
//! each of them, [`next`](Sender::next) until it gives nothing, and send what it gives; and [`finished`](Sender::finished).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use slab::Slab;

use super::wire::{self, Run, Settled};
use super::{DeliveryError, Id};

/// A message that has been on so many connections that broke goes out alone, so that it takes no others with it if it is what breaks
/// them.
const ALONE_AFTER: u32 = 3;

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
}

/// A message that is finished.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) payload: T,
    pub(crate) number: u64,
    pub(crate) deliveries: u32,
    pub(crate) fate: Fate,
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
    deaths: u32,
    /// It has been sent, whether it left or not.
    sent: bool,
}

/// A connection that is open.
struct Line {
    receiver: Option<Id>,
    window: usize,
    next_tag: u64,
    /// What is unsettled, by its tag.
    out: HashMap<u64, usize, BuildHasherDefault<TagHasher>>,
    /// The last run that has been sent.
    run: Option<Run>,
    /// What the receiver may still have of an earlier connection; it is sent that first.
    back: VecDeque<usize>,
    /// One message is out that no other is to go with.
    alone: bool,
}

/// Tags are counted here, and those of others are only looked up: they need no better one.
#[derive(Default)]
struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, tag: u64) {
        // The table takes its index from the low bits and seven more from the top.
        self.0 = (self.0 ^ tag)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
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
    finished: Vec<Finished<T>>,
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
            finished: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Messages that are held: neither settled nor dead.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a message, which has been `sent` before or not, and gives its number.
    pub(crate) fn offer(&mut self, payload: T, sent: bool) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        let key = self.jobs.insert(Job {
            payload,
            number,
            deliveries: 0,
            deaths: 0,
            sent,
        });
        self.fresh.push_back(key);
        number
    }

    /// The payload of what is to be sent.
    pub(crate) fn payload(&self, key: usize) -> Option<&T> {
        self.jobs.get(key).map(|job| &job.payload)
    }

    /// Messages that are finished since this was last asked.
    pub(crate) fn finished(&mut self) -> std::vec::Drain<'_, Finished<T>> {
        self.finished.drain(..)
    }

    /// All messages that are held; none is from then on.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.fresh.clear();
        self.again.clear();
        self.delayed.clear();
        self.graces.clear();
        self.lines.clear();
        let jobs = std::mem::take(&mut self.jobs);
        jobs.into_iter().map(|(_, job)| job.payload)
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
        let window = receiver.map_or(u64::MAX, |(_, window)| window);
        self.lines[connection] = Some(Line {
            receiver: receiver.map(|(id, _)| id),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            next_tag: 0,
            out: HashMap::default(),
            run: None,
            back,
            alone: false,
        });
    }

    /// A connection is gone. Of what was sent on it, the last `unwritten` messages have not left.
    pub(crate) fn closed(&mut self, connection: usize, unwritten: usize, now: Instant) {
        let Some(line) = self.lines.get_mut(connection).and_then(Option::take) else {
            return;
        };
        let left = line.next_tag.saturating_sub(unwritten as u64);
        let mut out: Vec<(u64, usize)> = line.out.into_iter().collect();
        out.sort_unstable();
        let mut keys = Vec::with_capacity(out.len() + line.back.len());
        for (tag, key) in out {
            if tag >= left || self.delivered(key, true) {
                keys.push(key);
            }
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
        job.deaths = job.deaths.saturating_add(u32::from(died));
        if job.deliveries >= self.policy.limit {
            self.finish(key, Fate::Dead(DeadLine::Limit));
            return false;
        }
        self.counts.retried += 1;
        true
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
        match wire::parse_settle(data)? {
            Settled::Done(ranges) => {
                for (first, length) in ranges {
                    self.settle_range(connection, first, length)?;
                }
            }
            Settled::Retry(tag, delay) => {
                let key = self.take_out(connection, tag)?;
                if self.delivered(key, false) {
                    self.delay(key, delay, now);
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
        let key = line.out.remove(&tag);
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
        graces.chain(delayed).min()
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
            let mut best: Option<(usize, usize)> = None;
            let (mut asked, mut refused) = (0, 0);
            for (connection, line) in self.lines.iter().enumerate() {
                let Some(line) = line else {
                    continue;
                };
                asked += 1;
                let free = line.free(job.deaths);
                if free.is_some_and(|free| best.is_some_and(|(_, most)| most >= free)) {
                    continue;
                }
                match (room(connection, &job.payload), free) {
                    (Room::Refuses, _) => refused += 1,
                    (Room::Free, Some(free)) => best = Some((connection, free)),
                    (Room::Free | Room::Full, _) => {}
                }
            }
            if let Some((connection, _)) = best {
                self.pop(from_again);
                return self.send(connection, key);
            }
            if asked == 0 || refused < asked {
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
        for connection in 0..self.lines.len() {
            loop {
                let line = self.lines.get_mut(connection)?.as_mut();
                let Some(line) = line.filter(|line| !line.back.is_empty()) else {
                    break;
                };
                let &key = line.back.front()?;
                let Some(job) = self.jobs.get(key) else {
                    debug_assert!(false, "what is finished is in no queue");
                    line.back.pop_front();
                    continue;
                };
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

impl Line {
    /// How many more messages may go out, for one that has been on so many connections that broke. `None`: not this one.
    fn free(&self, deaths: u32) -> Option<usize> {
        // Those who say what becomes of messages come first.
        if self.receiver.is_none() {
            return Some(0);
        }
        let free = self.window.saturating_sub(self.out.len());
        (self.back.is_empty() && free > 0 && self.lets_out(deaths)).then_some(free)
    }

    fn free_for_back(&self, deaths: u32) -> bool {
        self.out.len() < self.window && self.lets_out(deaths)
    }

    fn lets_out(&self, deaths: u32) -> bool {
        !self.alone && (deaths < ALONE_AFTER || self.out.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        grace: Duration::from_secs(1),
        backoff: (Duration::from_millis(100), Duration::from_secs(60)),
        limit: 4,
    };

    fn sender() -> (Sender<u32>, Instant) {
        (Sender::new(POLICY, 1), Instant::now())
    }

    fn receiver(number: u8, window: u64) -> Option<(Id, u64)> {
        Some(([number; 16], window))
    }

    /// Sends all that can be sent: connection, payload and what was said before.
    fn sent(sender: &mut Sender<u32>) -> Vec<(usize, u32, Option<Run>)> {
        let mut sent = Vec::new();
        while let Some(next) = sender.next(|_, _| Room::Free) {
            let payload = *sender.payload(next.key).expect("a payload");
            sent.push((next.connection, payload, next.run));
            if next.plain {
                sender.handed_over(next.key);
            }
        }
        sent
    }

    fn payloads(sender: &mut Sender<u32>) -> Vec<u32> {
        let sent = sent(sender);
        sent.into_iter().map(|(_, payload, _)| payload).collect()
    }

    fn settle(
        sender: &mut Sender<u32>,
        connection: usize,
        now: Instant,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), DeliveryError> {
        let mut frame = Vec::new();
        put(&mut frame);
        // Header, and the name with its length.
        sender.settle(connection, &frame[2 + 7..], now)
    }

    fn fates(sender: &mut Sender<u32>) -> Vec<(u32, Fate)> {
        let finished = sender.finished();
        finished.map(|done| (done.payload, done.fate)).collect()
    }

    #[test]
    fn a_steady_stream_says_one_run() {
        let (mut sender, now) = sender();
        sender.opened(0, receiver(1, 2));
        (0..4).for_each(|payload| {
            sender.offer(payload, false);
        });
        let first = Run {
            tag: 0,
            number: 1,
            stride: 1,
            deliveries: 0,
        };
        assert_eq!(sent(&mut sender), [(0, 0, Some(first)), (0, 1, None)]);
        settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 2)])).expect("settled");
        assert_eq!(sent(&mut sender), [(0, 2, None), (0, 3, None)]);
        assert_eq!(fates(&mut sender), [(0, Fate::Settled), (1, Fate::Settled)]);
        assert_eq!(sender.len(), 2);
    }

    #[test]
    fn whoever_may_have_most_is_next() {
        let (mut sender, _) = sender();
        sender.opened(0, receiver(1, 1));
        sender.opened(3, receiver(2, 3));
        (0..5).for_each(|payload| {
            sender.offer(payload, false);
        });
        let sent = sent(&mut sender);
        let to: Vec<usize> = sent.iter().map(|(connection, ..)| *connection).collect();
        assert_eq!(to, [3, 3, 0, 3]);
        assert_eq!(sender.len(), 5);
    }

    #[test]
    fn what_a_lost_receiver_had_waits_for_it_and_then_goes_to_others() {
        let (mut sender, now) = sender();
        sender.opened(0, receiver(1, 10));
        (0..3).for_each(|payload| {
            sender.offer(payload, false);
        });
        assert_eq!(payloads(&mut sender), [0, 1, 2]);
        sender.closed(0, 1, now);
        sender.opened(1, receiver(2, 10));
        assert_eq!(payloads(&mut sender), [0; 0]);
        assert_eq!(sender.deadline(), Some(now + POLICY.grace));
        // It comes back, and gets them again, first of all; and is gone again.
        sender.offer(3, false);
        sender.opened(2, receiver(1, 10));
        let again = sent(&mut sender);
        let to: Vec<_> = again
            .iter()
            .map(|&(to, payload, _)| (to, payload))
            .collect();
        assert_eq!(to, [(2, 0), (2, 1), (2, 2), (1, 3)]);
        let deliveries: Vec<_> = again
            .iter()
            .map(|(.., run)| run.map(|run| run.deliveries))
            .collect();
        assert_eq!(deliveries, [Some(1), None, Some(0), Some(0)]);
        sender.closed(2, 0, now);
        sender.handle_timeout(now + POLICY.grace);
        assert_eq!(payloads(&mut sender), [0, 1, 2]);
        assert_eq!(sender.deadline(), None);
    }

    #[test]
    fn a_retry_waits_and_the_last_one_is_dead() {
        let (mut sender, mut now) = sender();
        sender.opened(0, receiver(1, 10));
        sender.offer(7, false);
        for tag in 0..3 {
            assert_eq!(payloads(&mut sender), [7]);
            settle(&mut sender, 0, now, |out| wire::put_retry(out, tag, None)).expect("settled");
            assert_eq!(payloads(&mut sender), [0; 0]);
            let due = sender.deadline().expect("a wait");
            let wait = due - now;
            let most = Duration::from_millis(100 << tag);
            assert!(wait >= most / 2 && wait <= most, "{wait:?}");
            now = due;
            sender.handle_timeout(now);
        }
        assert_eq!(payloads(&mut sender), [7]);
        settle(&mut sender, 0, now, |out| {
            wire::put_retry(out, 3, Some(5));
        })
        .expect("settled");
        assert_eq!(fates(&mut sender), [(7, Fate::Dead(DeadLine::Limit))]);
        assert_eq!(sender.len(), 0);
    }

    #[test]
    fn a_rejected_message_is_dead_with_its_reason() {
        let (mut sender, now) = sender();
        sender.opened(0, receiver(1, 10));
        sender.offer(7, false);
        assert_eq!(payloads(&mut sender), [7]);
        settle(&mut sender, 0, now, |out| wire::put_rejected(out, 0, "no")).expect("settled");
        let dead = Fate::Dead(DeadLine::Rejected("no".into()));
        assert_eq!(fates(&mut sender), [(7, dead)]);
    }

    #[test]
    fn what_breaks_connections_goes_alone() {
        let (mut sender, now) = sender();
        for payload in 0..3 {
            sender.offer(payload, false);
        }
        for _ in 0..3 {
            sender.opened(0, receiver(1, 10));
            assert_eq!(payloads(&mut sender), [0, 1, 2]);
            sender.closed(0, 0, now);
        }
        sender.opened(0, receiver(1, 10));
        assert_eq!(payloads(&mut sender), [0]);
        sender.closed(0, 0, now);
        // It was delivered four times, and the others three.
        assert_eq!(fates(&mut sender), [(0, Fate::Dead(DeadLine::Limit))]);
        sender.opened(0, receiver(1, 10));
        assert_eq!(payloads(&mut sender), [1]);
        settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)])).expect("settled");
        assert_eq!(payloads(&mut sender), [2]);
    }

    #[test]
    fn what_nobody_takes_is_dead() {
        let (mut sender, _) = sender();
        sender.offer(1, false);
        assert!(sender.next(|_, _| Room::Refuses).is_none());
        assert_eq!(sender.len(), 1, "there is nobody yet");
        sender.opened(0, receiver(1, 10));
        assert!(sender.next(|_, _| Room::Refuses).is_none());
        assert_eq!(fates(&mut sender), [(1, Fate::Dead(DeadLine::TooLarge))]);
    }

    #[test]
    fn a_plain_peer_comes_last_and_settles_nothing() {
        let (mut sender, now) = sender();
        sender.opened(0, None);
        sender.opened(1, receiver(1, 1));
        (0..3).for_each(|payload| {
            sender.offer(payload, false);
        });
        let to: Vec<_> = sent(&mut sender).iter().map(|(to, ..)| *to).collect();
        assert_eq!(to, [1, 0, 0]);
        assert_eq!(
            fates(&mut sender),
            [(1, Fate::Unacknowledged), (2, Fate::Unacknowledged)]
        );
        let premature = settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)]));
        assert_eq!(premature, Err(DeliveryError::NeverSent { tag: 0 }));
    }

    #[test]
    fn what_was_never_sent_or_is_settled_cannot_be_settled() {
        let (mut sender, now) = sender();
        let never = |tag| Err(DeliveryError::NeverSent { tag });
        let again = |tag| Err(DeliveryError::Repeated { tag });
        sender.opened(0, receiver(1, 2));
        (0..3).for_each(|payload| {
            sender.offer(payload, false);
        });
        let mut done = |ranges: &[(u64, u64)]| {
            sent(&mut sender);
            settle(&mut sender, 0, now, |out| wire::put_done(out, ranges))
        };
        assert_eq!(done(&[(2, 1)]), never(2));
        assert_eq!(done(&[(0, u64::MAX)]), never(2));
        assert_eq!(done(&[(1, 1)]), Ok(()));
        assert_eq!(done(&[(1, 1)]), again(1));
        assert_eq!(done(&[(0, 3)]), again(0));
        assert_eq!(done(&[(0, 1), (2, 1)]), Ok(()));
        let retry = settle(&mut sender, 0, now, |out| {
            wire::put_retry(out, 2, Some(u64::MAX - 1));
        });
        assert_eq!(retry, again(2));
        let rejected = settle(&mut sender, 0, now, |out| wire::put_rejected(out, 3, ""));
        assert_eq!(rejected, never(3));
        let unknown = settle(&mut sender, 9, now, |out| wire::put_rejected(out, 0, ""));
        assert_eq!(unknown, never(0));
        assert_eq!(sender.len(), 0);
    }

    #[test]
    fn the_longest_delay_is_no_overflow() {
        let (mut sender, now) = sender();
        sender.opened(0, receiver(1, 2));
        sender.offer(1, false);
        sent(&mut sender);
        settle(&mut sender, 0, now, |out| {
            wire::put_retry(out, 0, Some(u64::MAX - 1));
        })
        .expect("settled");
        assert!(sender.deadline() > Some(now));
    }
}
