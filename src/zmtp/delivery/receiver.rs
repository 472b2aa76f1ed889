//! The side that receives: which message is which, and what is said of it.
//!
//! Its calls: [`opened`](Receiver::opened) and [`closed`](Receiver::closed) as connections come and go; [`run`](Receiver::run) for each RUN, and
//! [`arrived`](Receiver::arrived) when messages have come; [`revoke`](Receiver::revoke) for each REVOKE. With each message that is taken [`take`](Receiver::take); where that says
//! [`Taken::New`], the application gets it, and it is settled at once ([`done`](Receiver::done)) or [held](Receiver::hold) until the application
//! [settles](Receiver::settle) it. [`handle_timeout`](Receiver::handle_timeout) when the [`deadline`](Receiver::deadline) has come. What is to be said then is in
//! [`report`](Receiver::report).
//!
//! **What comes again is known.** A sender that has lost the connection sends again what has not been settled, for all it knows. Of that the
//! application gets nothing that it works on ([`Held`]), nor what it has settled: of each stream as many numbers are
//! remembered as its sender can have missed the settlement of, and four times that.

mod held;
mod streams;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet, VecDeque};
use std::time::{Duration, Instant};

pub(crate) use held::HeldKey;
use held::{Held, Table};
use streams::{StreamKey, Streams};

use super::wire::{self, MAX_RANGES, Run};
use super::{DeliveryError, Id, Party};

/// Settlements wait for others for so long at the most while there is more to receive.
const REPORT_AFTER: Duration = Duration::from_millis(1);

/// With so many messages that are done there is a look at whether that is over.
const LOOK_EACH: u64 = 16;

/// A time for jobs that is as long need not be kept to the millisecond.
const COARSE: Duration = Duration::from_secs(1);

/// Settlements that are said so late, as after the process was stopped, show that it was not known how late it is.
const LATE: Duration = Duration::from_millis(100);

/// What is said of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    Done,
    /// After so long, or when the sender thinks fit.
    Retry(Option<Duration>),
    Rejected(String),
}

/// What has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    New(Job),
    /// The application works on it, or has settled it, or the sender wants it back: it is not for the application.
    Known,
}

/// A message that has been taken from a connection, and has to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    connection: usize,
    tag: u64,
    /// Where its stream is remembered.
    key: StreamKey,
    pub(crate) stream: Id,
    pub(crate) number: u64,
    /// How often it has been delivered before.
    pub(crate) deliveries: u64,
}

/// Why a message that the application has settled is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// The time for it was over: it has gone back.
    TimedOut,
    /// The connection is gone. If it comes again to this receiver, it is settled then.
    Lost,
}

struct Line {
    key: StreamKey,
    stream: Id,
    /// Of the next message that is taken.
    next_tag: u64,
    /// The first covers that message, if any does.
    runs: VecDeque<Run>,
    /// No run may begin before this.
    next_run: u64,
    /// Tags of messages that have not been taken, and that the sender wants back.
    revoked: BTreeSet<u64>,
    /// Settlements that have been given out to be said.
    reported: u64,
    /// Ranges of tags that are done, in any order, and how many tags these are.
    done: Vec<(u64, u64)>,
    done_len: u64,
    /// What is to be said beside those, and of how many tags.
    said: Vec<u8>,
    said_len: u64,
    /// When that was last said.
    reported_at: Option<Instant>,
}

/// See the module.
pub(crate) struct Receiver {
    window: u64,
    job_timeout: Option<Duration>,
    lines: Vec<Option<Line>>,
    streams: Streams,
    held: Table,
    /// One entry at the most for each key of `held`, which is no later than what that one waits for.
    deadlines: BinaryHeap<Reverse<(Instant, HeldKey)>>,
    /// Connections on which something is to be said at once.
    hurried: Vec<usize>,
    /// When what has waited to be said is said.
    report_at: Option<Instant>,
}

impl Receiver {
    pub(crate) fn new(window: u64, job_timeout: Option<Duration>) -> Self {
        Receiver {
            window,
            job_timeout,
            lines: Vec::new(),
            streams: Streams::new(window),
            held: Table::default(),
            deadlines: BinaryHeap::new(),
            hurried: Vec::new(),
            report_at: None,
        }
    }

    /// A connection to a sender is there.
    pub(crate) fn opened(&mut self, connection: usize, sender: Party) {
        if connection >= self.lines.len() {
            self.lines.resize_with(connection + 1, || None);
        }
        let stream = sender.id;
        let key = self.streams.opened(sender);
        self.lines[connection] = Some(Line {
            key,
            stream,
            next_tag: 0,
            runs: VecDeque::new(),
            next_run: 0,
            revoked: BTreeSet::new(),
            reported: 0,
            done: Vec::new(),
            done_len: 0,
            said: Vec::new(),
            said_len: 0,
            reported_at: None,
        });
    }

    /// A connection is gone, and with it what came over it and has not been taken.
    pub(crate) fn closed(&mut self, connection: usize) {
        let Some(line) = self.lines.get_mut(connection).and_then(Option::take) else {
            return;
        };
        for (_, held) in self.held.iter_mut() {
            held.connected &= held.connection != connection;
        }
        if self.streams.closed(line.key) {
            let worked_on: HashSet<StreamKey> = self.held.iter().map(|held| held.key).collect();
            self.streams.forget_one(&worked_on);
        }
    }

    /// Whether this is a connection to a sender that wants its messages settled.
    pub(crate) fn is_acknowledged(&self, connection: usize) -> bool {
        self.lines.get(connection).is_some_and(Option::is_some)
    }

    /// The connections that are there.
    pub(crate) fn connections(&self) -> Vec<usize> {
        let lines = self.lines.iter().enumerate();
        lines
            .filter_map(|(connection, line)| line.as_ref().map(|_| connection))
            .collect()
    }

    /// A RUN has come. An error ends the connection.
    pub(crate) fn run(&mut self, connection: usize, data: &[u8]) -> Result<(), DeliveryError> {
        let run = wire::parse_run(data)?;
        let window = self.window;
        let line = self.lines.get_mut(connection).and_then(Option::as_mut);
        let line = line.ok_or(DeliveryError::Malformed { command: "RUN" })?;
        if run.tag < line.next_run.max(line.next_tag) {
            return Err(DeliveryError::Repeated { tag: run.tag });
        }
        if run.tag >= line.reported.saturating_add(window) {
            return Err(DeliveryError::OutOfWindow { window });
        }
        // The first message has to have a number, and no number is beyond what one can say.
        if line.next_run == 0 && run.tag > 0
            || run.number_of(run.tag.saturating_add(window)).is_none()
        {
            return Err(DeliveryError::Malformed { command: "RUN" });
        }
        line.next_run = run.tag + 1;
        line.runs.push_back(run);
        Ok(())
    }

    /// So many messages have come and have not been taken. An error ends the connection.
    pub(crate) fn arrived(&self, connection: usize, waiting: u64) -> Result<(), DeliveryError> {
        let Some(line) = self.lines.get(connection).and_then(Option::as_ref) else {
            return Ok(());
        };
        if waiting > 0 && line.next_run == 0 {
            return Err(DeliveryError::Unnumbered);
        }
        let unsettled = line.next_tag.saturating_add(waiting) - line.reported;
        match unsettled > self.window {
            true => Err(DeliveryError::OutOfWindow {
                window: self.window,
            }),
            false => Ok(()),
        }
    }

    /// The next message of a connection has been taken. `None`: it is none to be settled.
    #[inline(always)]
    pub(crate) fn take(&mut self, connection: usize) -> Option<Taken> {
        let line = self.lines.get_mut(connection)?.as_mut()?;
        let tag = line.next_tag;
        while line.runs.get(1).is_some_and(|run| run.tag <= tag) {
            line.runs.pop_front();
        }
        let run = *line.runs.front()?;
        line.next_tag += 1;
        let job = Job {
            connection,
            tag,
            key: line.key,
            stream: line.stream,
            // It was looked at for a whole window; a run that goes on for longer goes on from there.
            number: run.number_of(tag).unwrap_or(u64::MAX),
            deliveries: run.deliveries,
        };
        let revoked = !line.revoked.is_empty() && line.revoked.remove(&tag);
        if run.deliveries > 0 && self.is_known(job) {
            return Some(Taken::Known);
        }
        if revoked {
            self.say(connection, |said| wire::put_revoked(said, tag));
            return Some(Taken::Known);
        }
        Some(Taken::New(job))
    }

    /// A REVOKE has come. An error ends the connection. What has been taken the application has, and settles.
    pub(crate) fn revoke(&mut self, connection: usize, data: &[u8]) -> Result<(), DeliveryError> {
        let ranges = wire::parse_revoke(data)?;
        let window = self.window;
        let line = self.lines.get_mut(connection).and_then(Option::as_mut);
        let line = line.ok_or(DeliveryError::Malformed { command: "REVOKE" })?;
        for (first, length) in ranges {
            // The sum was looked at as it was read.
            let end = first.saturating_add(length);
            if end > line.reported.saturating_add(window) {
                return Err(DeliveryError::OutOfWindow { window });
            }
            line.revoked.extend(first.max(line.next_tag)..end);
        }
        Ok(())
    }

    /// Whether the next message of a connection is one that the sender wants back.
    pub(crate) fn is_next_revoked(&self, connection: usize) -> bool {
        let line = self.lines.get(connection).and_then(Option::as_ref);
        line.is_some_and(|line| line.revoked.first() == Some(&line.next_tag))
    }

    /// Whether the next message of a connection will be [`Known`](Taken::Known) when it is taken.
    #[cold]
    pub(crate) fn is_next_known(&self, connection: usize) -> bool {
        if self.is_next_revoked(connection) {
            return true;
        }
        let Some(line) = self.lines.get(connection).and_then(Option::as_ref) else {
            return false;
        };
        let tag = line.next_tag;
        let begun = line.runs.partition_point(|run| run.tag <= tag);
        let run = begun.checked_sub(1).and_then(|at| line.runs.get(at));
        let again = run.filter(|run| run.deliveries > 0);
        let Some(number) = again.and_then(|run| run.number_of(tag)) else {
            return false;
        };
        let is_it = |held: &Held| held.is_of(line.key, number);
        self.held.iter().any(is_it) || self.streams.settled(line.key, number).is_some()
    }

    /// Whether a message that comes again is known; if so, what there is to be said of it has been seen to.
    #[cold]
    fn is_known(&mut self, job: Job) -> bool {
        let is_it = |held: &Held| held.is_of(job.key, job.number);
        if let Some((_, held)) = self.held.iter_mut().find(|(_, held)| is_it(held)) {
            held.connection = job.connection;
            held.tag = job.tag;
            held.connected = true;
            return true;
        }
        let Some(rejected) = self.streams.settled(job.key, job.number) else {
            return false;
        };
        match rejected.map(str::to_owned) {
            None => self.mark_done(job.connection, job.tag),
            Some(reason) => self.say(job.connection, |said| {
                wire::put_rejected(said, job.tag, &reason);
            }),
        }
        true
    }

    /// The application has a message, and that settles it.
    pub(crate) fn done(&mut self, job: Job) {
        self.streams.remember(job.key, job.number, None);
        self.mark_done(job.connection, job.tag);
    }

    /// The application works on a message from now on.
    pub(crate) fn hold(&mut self, job: Job, now: Instant) -> HeldKey {
        let deadline = self.job_timeout.and_then(|time| now.checked_add(time));
        self.hold_until(job, deadline)
    }

    /// The same, with a look at a clock only where that is needed: while settlements wait to be said, it is known how late it is, to a millisecond.
    #[inline]
    pub(crate) fn hold_by(&mut self, job: Job, clock: impl FnOnce() -> Instant) -> HeldKey {
        let Some(timeout) = self.job_timeout else {
            return self.hold_until(job, None);
        };
        let about = self.report_at.filter(|_| timeout >= COARSE);
        self.hold(job, about.unwrap_or_else(clock))
    }

    /// Jobs may have been taken as if it were that time, and as late as now: they have all their time from now on.
    #[cold]
    fn make_up_for(&mut self, at: Instant, now: Instant) {
        let Some(timeout) = self.job_timeout else {
            return;
        };
        let deadline = now.checked_add(timeout);
        for (_, held) in self.held.iter_mut() {
            let taken = held.deadline.and_then(|at| at.checked_sub(timeout));
            // That time may have become an earlier one meanwhile.
            if taken.is_some_and(|taken| (at..=at + REPORT_AFTER).contains(&taken)) {
                held.deadline = deadline;
            }
        }
    }

    /// Somebody has it who will say what has become of it, however long that takes.
    pub(crate) fn hold_for_long(&mut self, job: Job) -> HeldKey {
        self.hold_until(job, None)
    }

    #[inline]
    fn hold_until(&mut self, job: Job, deadline: Option<Instant>) -> HeldKey {
        let key = self.held.add(job, deadline);
        self.watch(key, deadline);
        key
    }

    #[inline]
    fn watch(&mut self, key: HeldKey, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return;
        };
        if let Some(held) = self.held.place_mut(key)
            && !std::mem::replace(&mut held.watched, true)
        {
            self.deadlines.push(Reverse((deadline, key)));
        }
    }

    /// The application has all its time again. `false`: it was over.
    pub(crate) fn extend(&mut self, key: HeldKey, now: Instant) -> bool {
        let timeout = self.job_timeout;
        match self.held.get_mut(key) {
            Some(held) if !held.timed_out => {
                // The entry that is there moves it on when it comes up.
                held.deadline = timeout.and_then(|time| now.checked_add(time));
                true
            }
            Some(_) | None => false,
        }
    }

    /// The application has settled a message, and holds it no longer. Gives the connection on which that is to be said.
    pub(crate) fn settle(&mut self, key: HeldKey, settling: &Settling) -> Result<usize, Unsettled> {
        let Some(held) = self.held.remove(key).filter(|held| !held.timed_out) else {
            return Err(Unsettled::TimedOut);
        };
        let Held {
            connection,
            tag,
            key,
            number,
            connected,
            ..
        } = *held;
        match settling {
            Settling::Done => self.streams.remember(key, number, None),
            Settling::Rejected(reason) => {
                self.streams.remember(key, number, Some(wire::cut(reason)))
            }
            Settling::Retry(_) => {}
        }
        if !connected {
            return Err(Unsettled::Lost);
        }
        match settling {
            Settling::Done => self.mark_done(connection, tag),
            Settling::Retry(delay) => self.say_retry(connection, tag, *delay),
            Settling::Rejected(reason) => self.say(connection, |said| {
                wire::put_rejected(said, tag, reason);
            }),
        }
        Ok(connection)
    }

    fn say_retry(&mut self, connection: usize, tag: u64, delay: Option<Duration>) {
        let millis = delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self.say(connection, |said| wire::put_retry(said, tag, millis));
    }

    fn say(&mut self, connection: usize, put: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Some(line)) = self.lines.get_mut(connection) {
            line.said_len += 1;
            put(&mut line.said);
            self.hurried.push(connection);
        }
    }

    fn mark_done(&mut self, connection: usize, tag: u64) {
        let Some(Some(line)) = self.lines.get_mut(connection) else {
            return;
        };
        line.done_len += 1;
        match line.done.last_mut() {
            Some((first, length)) if *first + *length == tag => *length += 1,
            _ => line.done.push((tag, 1)),
        }
    }

    /// Whether what there is to be said on a connection can wait for the [`deadline`](Self::deadline), as far as that is known without a look at the clock: for most messages
    /// of a stream. Then [`is_due`](Self::is_due) need not be asked.
    pub(crate) fn can_wait(&self, connection: usize, waiting: usize) -> bool {
        let Some(Some(line)) = self.lines.get(connection) else {
            return true;
        };
        // When the deadline comes, all connections have their say. If nobody comes for it in time, the next one that is due here sees to it.
        self.report_at.is_some()
            && waiting > 0
            && line.said.is_empty()
            && line.done_len < (self.window / 4).max(1)
            && line.done_len % LOOK_EACH != 0
            && line.done.len() < MAX_RANGES
    }

    /// Whether something is to be said on a connection now. It is if nothing more is `waiting` to be taken, if there is enough of it, or if nothing has
    /// been said for a while; otherwise it will be by the [`deadline`](Self::deadline).
    pub(crate) fn is_due(&mut self, connection: usize, waiting: usize, now: Instant) -> bool {
        let Some(Some(line)) = self.lines.get_mut(connection) else {
            return false;
        };
        if !line.said.is_empty() {
            return true;
        }
        if line.done_len == 0 {
            return false;
        }
        let enough = (self.window / 4).max(1);
        if waiting == 0 || line.done_len >= enough || line.done.len() >= MAX_RANGES {
            return true;
        }
        let due = line.reported_at.map(|at| at + REPORT_AFTER);
        let Some(due) = due.filter(|due| *due > now) else {
            return true;
        };
        self.report_at = Some(self.report_at.map_or(due, |at| at.min(due)));
        false
    }

    /// Connections on which something is to be said at once.
    pub(crate) fn hurried(&mut self) -> Option<usize> {
        self.hurried.pop()
    }

    /// What is to be said on a connection, as command frames.
    pub(crate) fn report(&mut self, connection: usize, now: Instant, out: &mut Vec<u8>) {
        let Some(Some(line)) = self.lines.get_mut(connection) else {
            return;
        };
        out.append(&mut line.said);
        line.reported += std::mem::take(&mut line.done_len) + std::mem::take(&mut line.said_len);
        line.reported_at = Some(now);
        line.done.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(line.done.len());
        for (first, length) in line.done.drain(..) {
            match ranges.last_mut() {
                Some((before, more)) if *before + *more == first => *more += length,
                _ => ranges.push((first, length)),
            }
        }
        for ranges in ranges.chunks(MAX_RANGES) {
            wire::put_done(out, ranges);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let held = self.deadlines.peek().map(|Reverse((at, _))| *at);
        held.into_iter().chain(self.report_at).min()
    }

    /// What the application has worked on for too long goes back, and what has waited to be said is said.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(at) = self.report_at.take_if(|at| *at <= now) {
            if now.saturating_duration_since(at) >= LATE {
                self.make_up_for(at, now);
            }
            let lines = self.lines.iter().enumerate();
            let unsaid =
                lines.filter(|(_, line)| line.as_ref().is_some_and(|line| line.done_len > 0));
            self.hurried
                .extend(unsaid.map(|(connection, _)| connection));
        }
        while let Some(&Reverse((at, key))) = self.deadlines.peek() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            if let Some(place) = self.held.place_mut(key) {
                place.watched = false;
            }
            let Some(held) = self.held.get_mut(key).filter(|held| !held.timed_out) else {
                continue;
            };
            match held.deadline {
                // It has been given more time, or another message has the key by now.
                Some(deadline) if deadline > now => self.watch(key, Some(deadline)),
                Some(_) => {
                    held.timed_out = true;
                    if held.connected {
                        let (connection, tag) = (held.connection, held.tag);
                        self.say_retry(connection, tag, None);
                    }
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
