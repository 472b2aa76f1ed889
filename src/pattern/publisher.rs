//! What a SUB tells one publisher: its topics, but for those that the publisher does not take.
//!
//! A publisher with limits of which it has told its peers is not told of what goes beyond them. Of others a subscriber learns only that
//! the connection ends, and all topics would be sent again on the next one, without end. So it finds out which topic it is. ZMTP
//! is answered in order: a PONG proves that the publisher has taken all that was sent before the PING.
//!
//! ```text
//!   no doubt ── connection ended, not sure that all was taken ──▶ all topics, one PING ── answered ──▶ no doubt
//!      sent without a PING                                           │ ended before the answer
//!                                                                    ▼
//!                       those that were taken before, then the doubtful ones, a sixteenth at once; each time
//!                       wait for the answer. Ended over a single one, so many times in a row: not sent again
//! ```
//!
//! Topics are sent from the shortest to the longest, since a limit is mostly one of length. What is kept in the meantime are copies of our
//! own topics; nothing grows with what a publisher does.

use std::collections::BTreeSet;

use crate::monitor::RefusalCause;

/// A group in which a connection ended is sent in so many parts the next time.
const PARTS: usize = 16;

/// What the publisher has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicLimits {
    /// Bytes of a topic.
    pub(crate) length: u64,
    /// Topics of a subscriber.
    pub(crate) count: u64,
}

/// What is to be said, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tell<'a> {
    Subscribe(&'a [u8]),
    Cancel(&'a [u8]),
    /// A PING with this number.
    Ping(u64),
    /// Not to the publisher: it is not told of this topic.
    Withheld(&'a [u8], RefusalCause),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// How many connections may end over one topic.
    most: Option<u32>,
    /// `None` while there is no connection.
    limits: Option<TopicLimits>,
    /// Topics that it has been told of and that have not been cancelled.
    held: u64,
    /// The most bytes that all topics took together since it last had little left to read.
    most_wanted: usize,
    /// Topics that are more than it holds.
    over: BTreeSet<Vec<u8>>,
    /// Topics over which it has ended as many connections as it may.
    refused: BTreeSet<Vec<u8>>,
    doubt: Option<Box<Doubt>>,
}

/// Ordered by length first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Topic {
    len: usize,
    bytes: Vec<u8>,
}

/// What is known of the topics of a publisher whose last connection ended without an answer.
#[derive(Debug, Default)]
struct Doubt {
    /// Yet to be sent on this connection.
    waiting: BTreeSet<Topic>,
    /// Sent since the last answer.
    trial: BTreeSet<Topic>,
    /// The last PING, and whether it is unanswered.
    number: u64,
    unanswered: bool,
    /// All topics up to this one were taken on an earlier connection, if not on this one …
    taken: Option<Topic>,
    /// … and of those behind it, up to this one, so many are sent at once.
    until: Option<Topic>,
    step: usize,
    /// The topic over which connections ended, and how many.
    suspect: Option<Topic>,
    breaks: u32,
    /// How many topics were refused, each behind the one before, without one between them that was taken.
    in_a_row: usize,
}

/// What is known of a topic before it is sent.
#[derive(PartialEq, Eq)]
enum Standing {
    Taken,
    Doubtful,
    Unknown,
}

impl Topic {
    fn new(bytes: Vec<u8>) -> Topic {
        let len = bytes.len();
        Topic { len, bytes }
    }
}

impl Publisher {
    /// Another number of connections that may end over one topic.
    pub(crate) fn set_most(&mut self, most: Option<u32>) {
        self.most = most;
    }

    /// One over which so many connections may end for each topic.
    pub(crate) fn new(most: Option<u32>) -> Self {
        Publisher {
            most,
            limits: None,
            held: 0,
            most_wanted: 0,
            over: BTreeSet::new(),
            refused: BTreeSet::new(),
            doubt: None,
        }
    }

    /// There is a connection, on which it knows of no topic yet.
    pub(crate) fn established(
        &mut self,
        limits: TopicLimits,
        topics: impl Iterator<Item = Vec<u8>>,
        tell: &mut dyn FnMut(Tell<'_>),
    ) {
        self.limits = Some(limits);
        self.held = 0;
        self.over.clear();
        let cause = RefusalCause::BrokeConnections {
            count: self.most.unwrap_or_default(),
        };
        for topic in &self.refused {
            tell(Tell::Withheld(topic, cause));
        }
        match &mut self.doubt {
            None => {
                for topic in topics {
                    if !self.refused.contains(&topic) {
                        self.offer(&topic, limits, tell);
                    }
                }
            }
            Some(doubt) => {
                let refused = &self.refused;
                let topics = topics.filter(|topic| !refused.contains(topic));
                doubt.waiting = topics.map(Topic::new).collect();
                self.go_on(tell);
            }
        }
    }

    /// The connection is gone.
    pub(crate) fn lost(&mut self) {
        self.limits = None;
        self.over.clear();
        if let Some(doubt) = &mut self.doubt {
            doubt.waiting.clear();
            doubt.trial.clear();
            doubt.unanswered = false;
        }
    }

    /// The publisher has ended the connection, and that may be because of a topic. [`lost`](Self::lost) follows.
    pub(crate) fn ended_in_doubt(&mut self) {
        let Some(doubt) = &mut self.doubt else {
            self.doubt = Some(Box::default());
            return;
        };
        let trial = std::mem::take(&mut doubt.trial);
        let (Some(first), Some(last)) = (trial.first(), trial.last()) else {
            return;
        };
        doubt.taken.take_if(|taken| *taken >= *first);
        doubt.step = (trial.len() / PARTS).max(1);
        if doubt.until.as_ref().is_none_or(|until| until < last) {
            doubt.until = Some(last.clone());
        }
        if trial.len() > 1 {
            doubt.suspect = None;
            doubt.breaks = 0;
            return;
        }
        let again = doubt.suspect.as_ref() == Some(last);
        doubt.breaks = if again { doubt.breaks + 1 } else { 1 };
        if self.most.is_none_or(|most| doubt.breaks < most) {
            doubt.suspect = Some(last.clone());
            return;
        }
        doubt.suspect = None;
        doubt.breaks = 0;
        // A limit that concerns this one concerns those behind it, too, once that has shown often enough.
        let more = doubt.in_a_row;
        doubt.in_a_row += 1 + more;
        let behind = std::mem::take(&mut doubt.waiting).into_iter().take(more);
        let refused = trial.into_iter().chain(behind);
        self.refused.extend(refused.map(|topic| topic.bytes));
    }

    /// It has answered the last PING, or has had the time to end the connection and did not: all that was sent has been taken.
    /// Says whether there is [more to send](Self::go_on).
    pub(crate) fn answered(&mut self) -> bool {
        let Some(doubt) = &mut self.doubt else {
            return false;
        };
        if !std::mem::take(&mut doubt.unanswered) {
            return false;
        }
        let trial = std::mem::take(&mut doubt.trial);
        if let Some(last) = trial.last()
            && doubt.taken.as_ref().is_none_or(|taken| taken < last)
        {
            doubt.taken = Some(last.clone());
            doubt.in_a_row = 0;
        }
        if doubt.waiting.is_empty() {
            self.doubt = None;
            return false;
        }
        true
    }

    /// Whether something has yet to be sent, once an answer has come.
    pub(crate) fn waits(&self) -> bool {
        let doubt = self.doubt.as_ref();
        doubt.is_some_and(|doubt| doubt.unanswered && !doubt.waiting.is_empty())
    }

    /// Sends what comes next, if no answer is waited for.
    pub(crate) fn go_on(&mut self, tell: &mut dyn FnMut(Tell<'_>)) {
        let (Some(limits), Some(mut doubt)) = (self.limits, self.doubt.take()) else {
            return;
        };
        while !doubt.unanswered && !doubt.waiting.is_empty() {
            for topic in doubt.next() {
                if self.offer(&topic.bytes, limits, tell) {
                    doubt.trial.insert(topic);
                }
            }
            if !doubt.trial.is_empty() {
                doubt.ping(tell);
            }
        }
        self.doubt = Some(doubt);
    }

    /// A topic is wanted that was not before.
    pub(crate) fn subscribe(&mut self, topic: &[u8], tell: &mut dyn FnMut(Tell<'_>)) {
        let Some(limits) = self.limits else {
            return;
        };
        if let Some(doubt) = &mut self.doubt
            && !doubt.waiting.is_empty()
        {
            doubt.waiting.insert(Topic::new(topic.to_vec()));
            return;
        }
        let offered = self.offer(topic, limits, tell);
        if let Some(doubt) = &mut self.doubt
            && offered
        {
            doubt.trial.insert(Topic::new(topic.to_vec()));
            doubt.ping(tell);
        }
    }

    /// A topic is wanted once more.
    pub(crate) fn repeat(&self, topic: &[u8], tell: &mut dyn FnMut(Tell<'_>)) {
        if self.is_told_of(topic) {
            tell(Tell::Subscribe(topic));
        }
    }

    /// A topic is wanted once less, and still is, or never was.
    pub(crate) fn repeat_end(&self, topic: &[u8], tell: &mut dyn FnMut(Tell<'_>)) {
        if self.is_told_of(topic) {
            tell(Tell::Cancel(topic));
        }
    }

    /// Whether this topic is none that is kept from it, or that it is to be told of later.
    fn is_told_of(&self, topic: &[u8]) -> bool {
        let takes = |limits: TopicLimits| topic.len() as u64 <= limits.length;
        let withheld = self.refused.contains(topic) || self.over.contains(topic);
        let waits = self.doubt.as_ref().is_some_and(|doubt| {
            !doubt.waiting.is_empty() && doubt.waiting.contains(&Topic::new(topic.to_vec()))
        });
        self.limits.is_some_and(takes) && !withheld && !waits
    }

    /// It has left so much `unread`, and would be told `all` on a new connection: says whether it is too far behind. Topics that go all at
    /// once are told of as well as those that come, so what counts is the most that there were meanwhile.
    pub(crate) fn lags(&mut self, unread: usize, all: usize, spare: usize) -> bool {
        self.most_wanted = match unread <= spare {
            true => all,
            false => self.most_wanted.max(all),
        };
        unread > 2 * self.most_wanted + spare
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.limits.is_some()
    }

    /// A topic is no longer wanted. There may be room then for another one.
    pub(crate) fn unsubscribe(&mut self, topic: &[u8], tell: &mut dyn FnMut(Tell<'_>)) {
        if self.refused.remove(topic) {
            return;
        }
        let Some(limits) = self.limits else {
            return;
        };
        if let Some(doubt) = &mut self.doubt {
            let topic = Topic::new(topic.to_vec());
            doubt.trial.remove(&topic);
            if doubt.waiting.remove(&topic) {
                return;
            }
        }
        if topic.len() as u64 > limits.length || self.over.remove(topic) {
            return;
        }
        tell(Tell::Cancel(topic));
        self.held = self.held.saturating_sub(1);
        if let Some(next) = self.over.pop_first() {
            self.subscribe(&next, tell);
        }
    }

    /// Tells of a topic, unless the publisher has announced not to take it; says whether it has.
    fn offer(&mut self, topic: &[u8], limits: TopicLimits, tell: &mut dyn FnMut(Tell<'_>)) -> bool {
        if topic.len() as u64 > limits.length {
            let limit = limits.length;
            tell(Tell::Withheld(topic, RefusalCause::TooLarge { limit }));
            return false;
        }
        if self.held >= limits.count {
            let limit = limits.count;
            self.over.insert(topic.to_vec());
            tell(Tell::Withheld(
                topic,
                RefusalCause::TooManySubscriptions { limit },
            ));
            return false;
        }
        self.held += 1;
        tell(Tell::Subscribe(topic));
        true
    }
}

impl Doubt {
    /// Takes out what can be sent at once.
    fn next(&mut self) -> Vec<Topic> {
        let Some(standing) = self.waiting.first().map(|topic| self.standing(topic)) else {
            return Vec::new();
        };
        let most = match standing {
            Standing::Doubtful => self.step,
            Standing::Taken | Standing::Unknown => usize::MAX,
        };
        let mut next = Vec::new();
        while next.len() < most
            && let Some(topic) = self.waiting.first()
            && self.standing(topic) == standing
        {
            next.extend(self.waiting.pop_first());
        }
        next
    }

    fn standing(&self, topic: &Topic) -> Standing {
        let is_up_to = |mark: &Option<Topic>| mark.as_ref().is_some_and(|mark| topic <= mark);
        match (is_up_to(&self.taken), is_up_to(&self.until)) {
            (true, _) => Standing::Taken,
            (false, true) => Standing::Doubtful,
            (false, false) => Standing::Unknown,
        }
    }

    fn ping(&mut self, tell: &mut dyn FnMut(Tell<'_>)) {
        self.number += 1;
        self.unanswered = true;
        tell(Tell::Ping(self.number));
    }
}

#[cfg(test)]
mod tests;
