//! Messages from publishers with a log, on the side of a SUB: which offset each has, and where to go on after a connection is lost.
//!
//! For each log there is one [`Progress`], whatever connection its messages came over. It counts a message when it is taken. So after a
//! connection is lost the next one begins with what has not come; what came and waits is still taken, and before what
//! comes after.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::{FairQueue, TopicFilter};
use crate::engine::{PeerId, Peers};
use crate::message::Message;
use crate::sync::Bell;
use crate::zmtp::replay::{
    Follower, LogId, LogName, LogNotice, Offsets, PROPERTY, Progress, Start, wire,
};
use crate::zmtp::{Principal, ProtocolError};

/// So many logs are remembered that no peer has.
const MOST_LOGS: usize = 64;

/// Of so many logs is known where a topic goes on that is kept in a cursor.
const MOST_OFFSETS: usize = 10_000;

/// So many gaps wait for who asks for them; of more the oldest are dropped.
const MOST_GAPS: usize = 1024;

/// Where a message is from: the log, and its offset there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Which log it is: 16 random bytes that live as long as its folder.
    pub log: [u8; 16],
    /// The offset. Later messages have higher ones.
    pub offset: u64,
}

/// Messages that are gone: the log, and their first and last offset.
pub(crate) type LostRange = (LogId, u64, u64);

/// See the module.
#[derive(Default)]
pub(crate) struct LoggedIn {
    active: bool,
    /// Where topics begin for which something else was said than now.
    starts: HashMap<Vec<u8>, Start>,
    /// Where topics were that are kept in a cursor, in logs of which nothing else is known.
    cursors: HashMap<Vec<u8>, Offsets>,
    /// The length of the longest of these topics: they may be many, and each message is looked at.
    longest_cursor: usize,
    /// Rung when a message is taken, if there are any.
    bell: Option<Arc<Bell>>,
    /// What was taken last, if it is from a log, while there are cursors.
    last: Option<Last>,
    logs: Slab<Followed>,
    /// Counts connections to publishers with a log.
    met: u64,
    streams: Vec<Option<Box<Stream>>>,
    /// All peers that have messages, those without a log, too.
    queue: FairQueue,
    /// Peers whose messages come after those of another.
    held: Vec<PeerId>,
    /// Not asked for yet.
    gaps: VecDeque<LostRange>,
    /// Of which monitors have not been told.
    untold: Vec<(u64, u64)>,
    /// Whose message was taken last, if that peer is still known.
    from: Option<PeerId>,
}

/// What is taken from a peer.
enum Taken {
    /// A message, and where it is from, if that has a log.
    New(Option<Source>),
    /// One that has been had before.
    Known,
    Nothing,
}

/// What is known of a log.
struct Followed {
    name: LogName,
    progress: Progress,
    /// When it was met last.
    met: u64,
}

/// A message that the application has, and may not be done with.
struct Last {
    log: usize,
    offset: u64,
    /// As much of its first frame as tells of which topics with a cursor it is.
    first: Vec<u8>,
}

/// What is known of a peer that has a log.
struct Stream {
    /// Its place among the logs.
    log: usize,
    follower: Follower,
    /// Where topics go on.
    resume: HashMap<Vec<u8>, u64>,
    /// The peer of the connection before; its messages come first.
    after: Option<PeerId>,
}

/// The log that a peer has, if both sides know of it.
pub(super) fn log_of(peers: &Peers, id: PeerId) -> Option<LogName> {
    let facts = peers.facts(id).filter(|_| !peers.is_within(id))?;
    if !facts.version().has_subscribe_commands() {
        return None;
    }
    let owner = match facts.principal() {
        // It is the same log over tcp.
        Some(Principal::Uid(_)) | None => None,
        Some(shown) => Some(shown.to_string().into()),
    };
    let id = wire::log_of(facts.property(PROPERTY)?)?;
    Some(LogName { id, owner })
}

impl LoggedIn {
    pub(super) fn set_start(&mut self, topic: &[u8], start: Start) {
        self.starts.insert(topic.to_vec(), start);
    }

    pub(super) fn keep_cursor(&mut self, topic: &[u8], offsets: Offsets, bell: Arc<Bell>) {
        self.cursors.insert(topic.to_vec(), offsets);
        self.longest_cursor = self.longest_cursor.max(topic.len());
        self.bell = Some(bell);
    }

    pub(super) fn offsets(&self, topic: &[u8], all: bool) -> Offsets {
        let mut offsets = Offsets::new();
        let last = self.last.as_ref();
        // What is of other topics tells nothing of this one, which may be further.
        let last = last.filter(|last| !all && last.first.starts_with(topic));
        for (at, log) in &self.logs {
            let Some(mut offset) = log.progress.resume_at(topic) else {
                continue;
            };
            if let Some(last) = last.filter(|last| last.log == at) {
                offset = offset.min(last.offset);
            }
            offsets.insert(log.name.clone(), offset);
        }
        offsets
    }

    /// Whether topics begin elsewhere than now, so that a publisher without a log cannot do what is wanted.
    pub(super) fn wants_logs(&self) -> bool {
        !self.starts.is_empty()
    }

    /// Whether there has been a publisher with a log.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Those are passed on that waited when the first publisher with a log came.
    pub(super) fn take_over(&mut self, queue: &mut FairQueue) {
        self.active = true;
        while let Some(id) = queue.pop_front() {
            self.queue.push(id);
        }
    }

    fn stream(&mut self, id: PeerId) -> Option<&mut Stream> {
        self.streams.get_mut(id)?.as_deref_mut()
    }

    /// A peer with this log is connected, again or for the first time.
    pub(super) fn established(&mut self, id: PeerId, name: LogName) {
        if id >= self.streams.len() {
            self.streams.resize_with(id + 1, || None);
        }
        let log = self.meet(name);
        if self.stream(id).is_some_and(|stream| stream.log != log) {
            self.streams[id] = None;
        }
        let mut end = self.progress(log).cloned().unwrap_or_default();
        let mut after = None;
        for (other, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream.as_deref().filter(|stream| stream.log == log) else {
                continue;
            };
            end = stream.follower.end(&end);
            if other != id && stream.follower.waiting() > 0 {
                after = Some(other);
            }
        }
        let mut stream = match self.streams[id].take() {
            Some(stream) => stream,
            None => Box::new(Stream {
                log,
                follower: Follower::default(),
                resume: HashMap::new(),
                after,
            }),
        };
        stream.follower.opened();
        let topics = end.topics();
        stream.resume = topics
            .filter_map(|topic| Some((topic.to_vec(), end.resume_at(topic)?)))
            .collect();
        self.streams[id] = Some(stream);
        self.prune();
    }

    /// The place of a log, which has one from now on if it had none.
    fn meet(&mut self, name: LogName) -> usize {
        let known = self.logs.iter().find(|(_, known)| known.name == name);
        let log = match known {
            Some((log, _)) => log,
            None => self.logs.insert(Followed {
                name,
                progress: Progress::default(),
                met: 0,
            }),
        };
        self.met += 1;
        if let Some(followed) = self.logs.get_mut(log) {
            followed.met = self.met;
        }
        log
    }

    fn progress(&self, log: usize) -> Option<&Progress> {
        Some(&self.logs.get(log)?.progress)
    }

    /// Logs that no peer has are forgotten when there are many, those first that were met first: strangers may bring ever more.
    fn prune(&mut self) {
        if self.logs.len() <= MOST_LOGS + self.streams.len() {
            return;
        }
        let streams = self.streams.iter().flatten();
        let had: HashSet<usize> = streams.map(|stream| stream.log).collect();
        let logs = self.logs.iter().filter(|(log, _)| !had.contains(log));
        let mut spare: Vec<(u64, usize)> = logs.map(|(log, known)| (known.met, log)).collect();
        spare.sort_unstable();
        let forgotten = spare.len().saturating_sub(MOST_LOGS / 2);
        for (_, log) in spare.into_iter().take(forgotten) {
            self.forget_log(log);
        }
    }

    /// But for where topics were of which a cursor says that.
    fn forget_log(&mut self, log: usize) {
        let Some(Followed { name, progress, .. }) = self.logs.try_remove(log) else {
            return;
        };
        self.last.take_if(|last| last.log == log);
        for (topic, offsets) in &mut self.cursors {
            if let Some(at) = progress.resume_at(topic)
                && (offsets.len() < MOST_OFFSETS || offsets.contains_key(&name))
            {
                offsets.insert(name.clone(), at);
            }
        }
    }

    /// Asks for a topic, if this peer has a log: that says where the topic begins.
    pub(super) fn ask(&mut self, peers: &mut Peers, id: PeerId, topic: &[u8]) -> bool {
        let mut start = self.starts.get(topic).copied().unwrap_or(Start::Now);
        let Some(log) = self.stream(id).map(|stream| stream.log) else {
            return false;
        };
        let name = self.logs.get(log).map(|log| &log.name);
        let offsets = self.cursors.get(topic);
        if let Some(offset) = offsets.and_then(|offsets| offsets.get(name?)) {
            start = Start::Offset(*offset);
        }
        let Some(stream) = self.stream(id) else {
            return false;
        };
        stream.follower.ask(topic);
        let start = stream
            .resume
            .get(topic)
            .map_or(start, |at| Start::Offset(*at));
        peers.send_replay(id, topic, start);
        true
    }

    /// A topic is no longer wanted.
    pub(super) fn cancel(&mut self, topic: &[u8]) {
        self.starts.remove(topic);
        if self.cursors.remove(topic).is_some() {
            self.longest_cursor = self.cursors.keys().map(Vec::len).max().unwrap_or(0);
        }
        for (_, log) in &mut self.logs {
            log.progress.end(topic);
        }
        for stream in self.streams.iter_mut().flatten() {
            stream.follower.cancel(topic);
            stream.resume.remove(topic);
        }
    }

    pub(super) fn forget(&mut self, id: PeerId) {
        self.from.take_if(|from| *from == id);
        self.settle(id);
        self.queue.remove(id);
        self.held.retain(|held| *held != id);
        if let Some(stream) = self.streams.get_mut(id) {
            *stream = None;
        }
        self.release(id);
    }

    /// Nothing of this peer waits any more: those behind it have their turns.
    fn release(&mut self, id: PeerId) {
        if self.held.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        held.retain(|&held| match self.stream(held) {
            Some(stream) if stream.after == Some(id) => {
                stream.after = None;
                self.queue.push(held);
                false
            }
            Some(_) => true,
            None => false,
        });
        self.held = held;
    }

    pub(super) fn readable(&mut self, peers: &Peers, id: PeerId) -> Result<(), ProtocolError> {
        let waiting = peers.messages(id) as u64;
        let Some(stream) = self.stream(id) else {
            self.queue.push(id);
            return Ok(());
        };
        // What came whole before it broke the protocol is taken all the same.
        let arrived = stream.follower.arrived(waiting);
        let after = stream.after;
        let waits = |before: PeerId| {
            let before = self.streams.get(before).and_then(Option::as_deref);
            before.is_some_and(|stream| stream.follower.waiting() > 0)
        };
        if after.is_some_and(waits) {
            if !self.held.contains(&id) {
                self.held.push(id);
            }
        } else {
            self.queue.push(id);
        }
        Ok(arrived?)
    }

    pub(super) fn notice(
        &mut self,
        id: PeerId,
        notice: LogNotice<'_>,
    ) -> Result<(), ProtocolError> {
        let Some(stream) = self.stream(id) else {
            return Ok(());
        };
        stream.follower.notice(notice)?;
        if let LogNotice::Gap(data) = notice
            && let Ok([_, first, last]) = wire::numbers(notice, data)
        {
            self.untold.push((first, last));
        }
        Ok(())
    }

    /// What a peer has said counts at once, where nothing of it waits.
    pub(super) fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        for (first, last) in std::mem::take(&mut self.untold) {
            peers.tell_gap(id, first, last);
        }
        if self.stream(id).is_some_and(|stream| stream.after.is_none()) {
            self.settle(id);
        }
    }

    /// What was said before the next message of a peer counts.
    fn settle(&mut self, id: PeerId) {
        let Some(stream) = self.streams.get_mut(id).and_then(Option::as_deref_mut) else {
            return;
        };
        let Some(Followed { name, progress, .. }) = self.logs.get_mut(stream.log) else {
            return;
        };
        while let Some((first, last)) = stream.follower.settle(progress) {
            if self.gaps.len() >= MOST_GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back((name.id, first, last));
        }
    }

    /// Takes the next message that is wanted.
    pub(super) fn recv(
        &mut self,
        peers: &mut Peers,
        filter: &TopicFilter,
        message: &mut Message,
    ) -> Option<()> {
        let taken = self.next(peers, filter, message, false)?;
        self.gaps.clear();
        taken.ok().map(drop)
    }

    /// Whose message was received last, if that peer is still known.
    pub(super) fn from(&self) -> Option<PeerId> {
        self.from
    }

    /// The same, or what is missing before it. With where it is from, if that has a log.
    pub(super) fn recv_logged(
        &mut self,
        peers: &mut Peers,
        filter: &TopicFilter,
        message: &mut Message,
    ) -> Option<Result<Option<Source>, LostRange>> {
        self.next(peers, filter, message, true)
    }

    fn next(
        &mut self,
        peers: &mut Peers,
        filter: &TopicFilter,
        message: &mut Message,
        gaps: bool,
    ) -> Option<Result<Option<Source>, LostRange>> {
        if gaps && let Some(gap) = self.gaps.pop_front() {
            return Some(Err(gap));
        }
        loop {
            let id = self.queue.front()?;
            self.settle(id);
            if gaps && let Some(gap) = self.gaps.pop_front() {
                return Some(Err(gap));
            }
            match self.take(peers, id, message) {
                Taken::New(source) if filter.matches(message.first()) => {
                    self.taken(id, source, message);
                    return Some(Ok(source));
                }
                Taken::New(_) | Taken::Known => peers.discard(std::mem::take(message)),
                Taken::Nothing => {}
            }
        }
    }

    /// Takes the next message of a peer whose turn it is, wanted or not.
    fn take(&mut self, peers: &mut Peers, id: PeerId, message: &mut Message) -> Taken {
        match peers.take(id, message) {
            Some(true) => self.queue.rotate(),
            Some(false) => {
                self.queue.remove(id);
            }
            None => {
                self.queue.remove(id);
                self.release(id);
                return Taken::Nothing;
            }
        }
        self.from = Some(id);
        let Some(stream) = self.streams.get_mut(id).and_then(Option::as_deref_mut) else {
            return Taken::New(None);
        };
        let Some(Followed { name, progress, .. }) = self.logs.get_mut(stream.log) else {
            return Taken::New(None);
        };
        let log = name.id;
        let numbered = stream.follower.take(progress, message.first());
        let all_taken = stream.follower.waiting() == 0;
        self.settle(id);
        if all_taken {
            self.release(id);
        }
        match numbered.filter(|numbered| numbered.fresh) {
            Some(numbered) => Taken::New(Some(Source {
                log,
                offset: numbered.offset,
            })),
            None => Taken::Known,
        }
    }

    /// Whether the next message of a peer, whose first frame this is, is wanted and has not been had. What was said before it has been settled.
    fn wants(&self, id: PeerId, filter: &TopicFilter, first: &[u8]) -> bool {
        let stream = self.streams.get(id).and_then(Option::as_deref);
        let followed = stream.and_then(|stream| Some((stream, self.progress(stream.log)?)));
        let fresh = followed
            .is_none_or(|(stream, progress)| stream.follower.is_next_fresh(progress, first));
        fresh && filter.matches(first)
    }

    /// A message of a peer is handed to the application.
    fn taken(&mut self, id: PeerId, source: Option<Source>, message: &Message) {
        let Some(bell) = &self.bell else {
            return;
        };
        bell.ring();
        let stream = self.streams.get(id).and_then(Option::as_deref);
        let (Some(stream), Some(Source { offset, .. })) = (stream, source) else {
            self.last = None;
            return;
        };
        let first = message.first();
        let first = first.get(..self.longest_cursor).unwrap_or(first);
        let last = self.last.get_or_insert_with(|| Last {
            log: 0,
            offset: 0,
            first: Vec::new(),
        });
        (last.log, last.offset) = (stream.log, offset);
        last.first.clear();
        last.first.extend_from_slice(first);
    }

    pub(super) fn has_more(&self) -> bool {
        !self.gaps.is_empty() || self.queue.front().is_some()
    }

    /// Whether there is a message that is wanted. It stays where it is; what is not wanted and lies before it is dropped.
    pub(super) fn would_receive(&mut self, peers: &mut Peers, filter: &TopicFilter) -> bool {
        while let Some(id) = self.queue.front() {
            self.settle(id);
            let wanted = |frames: &[&[u8]]| {
                let first = frames.first();
                first.is_some_and(|first| self.wants(id, filter, first))
            };
            if peers.messages(id) > 0 && peers.look_at_next(id, wanted) {
                return true;
            }
            let mut unwanted = Message::new();
            self.take(peers, id, &mut unwanted);
            peers.discard(unwanted);
        }
        false
    }
}
