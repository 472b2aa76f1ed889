//! What a PUB with a log sends to subscribers that know logs: the [`Feed`]s of its peers, over what is published and what is read from the log.
//!
//! No file is touched here. What is published goes into the log's memory, and to those subscribers that have all before. The log's thread
//! (`socket/log.rs`) writes, and reads for the others: it asks for [work](LoggedOut::work), does it without the lock, and brings it back.

use std::collections::VecDeque;
use std::sync::Arc;

use super::distributor::{Distributor, deliver};
use super::matching::Matching;
use super::publish::Published;
use crate::engine::{Outgoing, PeerId, Peers, Place};
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::options::{Options, SlowSubscriber};
use crate::spool::{OpenSpool, SpoolError};
use crate::sync::Bell;
use crate::zmtp::ProtocolError;
use crate::zmtp::replay::feed::{Search, parse};
use crate::zmtp::replay::wire::{self, is_subscriber};
use crate::zmtp::replay::{Feed, LogNotice, PROPERTY, Progress};

/// A subscriber that knows less than what was published since, by so many messages, is told how far it has all.
const TELL_AFTER: u64 = 1024;

/// What a subscriber may leave unread of what it is told, besides what goes with its topics and with the messages that wait for it: some hundred thousand
/// answers.
const SPARE: usize = 4 << 20;

/// What goes with a topic or a message, at the most.
const FORM: usize = 64;

/// What the socket and the log's thread share.
#[derive(Debug)]
pub(crate) struct LogShared {
    pub(crate) spool: OpenSpool,
    pub(crate) bell: Bell,
}

/// See the module.
pub(crate) struct LoggedOut {
    shared: Arc<LogShared>,
    /// For subscribers that do not know logs.
    policy: SlowSubscriber,
    most_topics: usize,
    most_length: usize,
    subscribers: Vec<Option<Box<Subscriber>>>,
    /// Subscribers for whom something is to be found in the log, in order of their turns.
    seeking: VecDeque<PeerId>,
    /// Subscribers for whom the log is to be read, in order of their turns.
    behind: VecDeque<PeerId>,
    /// The thread has looked for something, and is to read for somebody first.
    has_sought: bool,
    /// The bytes of a message that found no room in the log.
    wanted: Option<usize>,
    /// Why it found none.
    failed: bool,
    /// Reused.
    frames: Vec<u8>,
}

struct Subscriber {
    place: Place,
    feed: Feed,
    /// What is to be found for it. While there is something, it is in `seeking`, or the first of these is looked for.
    searches: VecDeque<Search>,
    /// What has been read for it, and not been sent.
    ready: VecDeque<Item>,
    /// It is in `behind`, or something is read for it.
    has_turn: bool,
    /// Something is looked for for it.
    is_sought: bool,
}

/// What was read from the log, in order.
#[derive(Debug)]
pub(crate) enum Item {
    Message(u64, Message),
    /// Messages with these offsets, the first and the last, are gone.
    Gap(u64, u64),
    /// All before this offset has been looked at.
    Upto(u64),
}

/// What the log's thread is to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// To read what somebody wants, up to the offset `next`.
    Read {
        place: Place,
        progress: Arc<Progress>,
        version: u64,
        next: u64,
    },
    /// To go on to find where somebody begins; `next` if nowhere before.
    Find {
        place: Place,
        search: Search,
        next: u64,
    },
}

/// What it has done.
#[derive(Debug)]
pub(crate) enum Done {
    Read {
        place: Place,
        version: u64,
        items: Vec<Item>,
    },
    /// `None`: it has to be looked for in more of the log.
    Sought {
        place: Place,
        search: Search,
        offset: Option<u64>,
    },
}

impl LoggedOut {
    pub(crate) fn new(shared: Arc<LogShared>, options: &Options) -> LoggedOut {
        LoggedOut {
            shared,
            policy: options.slow_subscriber,
            most_topics: options.max_subscriptions,
            most_length: options.max_subscription_length,
            subscribers: Vec::new(),
            seeking: VecDeque::new(),
            behind: VecDeque::new(),
            has_sought: false,
            wanted: None,
            failed: false,
            frames: Vec::new(),
        }
    }

    pub(super) fn reconfigure(&mut self, options: &Options) {
        self.policy = options.slow_subscriber;
    }

    pub(crate) fn shared(&self) -> Arc<LogShared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn property(&self) -> Vec<u8> {
        wire::publisher_property(&self.shared.spool.stream_id())
    }

    /// The offset of the next message.
    fn next(&self) -> u64 {
        self.shared.spool.next_seq()
    }

    fn subscriber(&mut self, id: PeerId) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(id)?.as_deref_mut()
    }

    fn at(&mut self, place: Place) -> Option<&mut Subscriber> {
        let subscriber = self.subscriber(place.id)?;
        (subscriber.place == place).then_some(subscriber)
    }

    /// Publishes a message. `None`: there is no room in the log, and there will be, or [`failure`](Self::failure) says why not.
    pub(super) fn send<M: Matching>(
        &mut self,
        distributor: &mut Distributor<M>,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
    ) -> Option<Published> {
        let spool = &self.shared.spool;
        let appended = match outgoing {
            Outgoing::Slice(slice) => spool.append_slice_now(slice),
            Outgoing::Message(message) => spool.append_message_now(message),
            other => spool.append_message_now(&other.to_message()),
        };
        self.shared.bell.ring();
        let offset = match appended {
            Ok(Some(offset)) => offset,
            Ok(None) => {
                self.wanted = Some(outgoing.extent().0 + 4 * outgoing.extent().1);
                return None;
            }
            Err(_) => {
                self.failed = true;
                return None;
            }
        };
        self.wanted = None;
        self.failed = false;
        let mut published = Published::default();
        distributor.for_each_recipient(outgoing.first_frame(), |id| {
            match self.subscribers.get_mut(id).and_then(Option::as_deref_mut) {
                Some(subscriber) => {
                    let frames = &mut self.frames;
                    subscriber.publish(peers, id, offset, outgoing, frames, &mut published);
                }
                None => deliver(peers, id, outgoing, self.policy, &mut published),
            }
        });
        Some(published)
    }

    /// Why a message found no room in the log, if waiting is of no use.
    pub(super) fn failure(&self) -> Option<SendErrorKind> {
        self.failed.then_some(SendErrorKind::Log)
    }

    pub(super) fn would_send(&self) -> bool {
        self.failed || self.shared.spool.has_room_now(self.wanted.unwrap_or(0))
    }

    /// The bytes of a message that waits for room in the log, or 0.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.unwrap_or(0)
    }

    /// The thread has written what there was, and made room, or has failed to. Says whether somebody waits for that.
    pub(crate) fn written(&mut self, result: &Result<(), SpoolError>) -> bool {
        let waits = self.wanted.is_some();
        self.failed = waits && result.is_err();
        waits
    }

    pub(super) fn established(&mut self, peers: &Peers, id: PeerId) {
        let knows = peers.facts(id).is_some_and(|facts| {
            let said = facts.property(PROPERTY);
            facts.version().has_subscribe_commands() && said.is_some_and(|said| is_subscriber(said))
        });
        let place = peers.place(id).filter(|_| knows && !peers.is_within(id));
        if id >= self.subscribers.len() {
            self.subscribers.resize_with(id + 1, || None);
        }
        let next = self.next();
        self.subscribers[id] = place.map(|place| {
            Box::new(Subscriber {
                place,
                feed: Feed::new(next),
                searches: VecDeque::new(),
                ready: VecDeque::new(),
                has_turn: false,
                is_sought: false,
            })
        });
    }

    pub(super) fn lost(&mut self, id: PeerId) {
        if let Some(subscriber) = self.subscribers.get_mut(id) {
            *subscriber = None;
        }
        self.behind.retain(|behind| *behind != id);
        self.seeking.retain(|seeking| *seeking != id);
    }

    /// A REPLAY has come: whoever has not agreed upon them is not listened to. What follows is in [`answer`](Self::answer).
    pub(super) fn replay<M: Matching>(
        &mut self,
        distributor: &mut Distributor<M>,
        id: PeerId,
        notice: LogNotice<'_>,
    ) -> Result<(), ProtocolError> {
        let next = self.next();
        let (most, length) = (self.most_topics, self.most_length);
        let Some(subscriber) = self.subscriber(id) else {
            return Ok(());
        };
        let (start, topic) = parse(notice)?;
        if topic.len() > length {
            return Err(ProtocolError::TopicTooLong { limit: length });
        }
        if subscriber.feed.topics() >= most {
            return Err(ProtocolError::TooManySubscriptions { limit: most });
        }
        let search = subscriber.feed.replay(topic, start, next);
        let begins = search.is_some() && subscriber.searches.is_empty() && !subscriber.is_sought;
        subscriber.searches.extend(search);
        subscriber.ready.clear();
        distributor.unsubscribe(id, topic);
        if begins {
            self.seeking.push_back(id);
            self.shared.bell.ring();
        }
        Ok(())
    }

    /// Tells where topics begin, as far as that is known.
    pub(super) fn answer<M: Matching>(
        &mut self,
        distributor: &mut Distributor<M>,
        peers: &mut Peers,
        id: PeerId,
    ) {
        let next = self.next();
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let Some(subscriber) = self.subscriber(id) else {
            return;
        };
        let mut begun = false;
        while let Some(topic) = subscriber.feed.answer(next, &mut frames) {
            if let Some(topic) = topic {
                begun = true;
                distributor.subscribe(id, &topic);
            }
        }
        if begun {
            subscriber.ready.clear();
        }
        let goes_with = subscriber.feed.topics() + peers.queued_out(id);
        if !frames.is_empty() {
            peers.send_commands(id, &frames);
            // It may ask again and again, and each time be told of an offset and of gaps.
            if peers.waiting_commands(id) > SPARE + FORM * goes_with {
                peers.send_away_slow(id);
            }
        }
        self.frames = frames;
        self.go_on(id);
    }

    /// A SUBSCRIBE or CANCEL of a peer that knows logs has come.
    pub(super) fn topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        let next = self.next();
        let Some(subscriber) = self.subscriber(id) else {
            return;
        };
        match subscribe {
            true => subscriber.feed.begin_now(topic, next),
            false => subscriber.feed.cancel(topic),
        }
        subscriber.ready.clear();
        self.go_on(id);
    }

    /// A subscriber that is behind, and has room or wants something else, gets its turn. It does so with the log's thread, which sees to it that what
    /// is queued is written: this may be called while the peer is being written to.
    pub(super) fn go_on(&mut self, id: PeerId) {
        if let Some(subscriber) = self.subscriber(id)
            && !subscriber.feed.is_live()
            && !std::mem::replace(&mut subscriber.has_turn, true)
        {
            self.behind.push_back(id);
            self.shared.bell.ring();
        }
    }

    /// Takes back what the log's thread has done, and says what it is to do next.
    pub(super) fn work<M: Matching>(
        &mut self,
        distributor: &mut Distributor<M>,
        peers: &mut Peers,
        done: Option<Done>,
    ) -> Option<Work> {
        match done {
            Some(Done::Read {
                place,
                version,
                items,
            }) => {
                if let Some(subscriber) = self.at(place) {
                    if subscriber.feed.is_version(version) {
                        subscriber.ready = items.into();
                    }
                    self.behind.push_back(place.id);
                }
            }
            Some(Done::Sought {
                place,
                search,
                offset,
            }) => {
                self.sought(place, search, offset);
                self.answer(distributor, peers, place.id);
            }
            None => {}
        }
        // By turns, so that neither those who search nor those who read wait for all of the others.
        let reads_first = std::mem::take(&mut self.has_sought);
        let work = match reads_first {
            true => self.next_read(peers),
            false => self.next_search(distributor, peers),
        };
        let work = work.or_else(|| match reads_first {
            true => self.next_search(distributor, peers),
            false => self.next_read(peers),
        });
        self.has_sought = matches!(work, Some(Work::Find { .. }));
        work
    }

    /// A part of the log has been looked through.
    fn sought(&mut self, place: Place, search: Search, offset: Option<u64>) {
        let Some(subscriber) = self.at(place) else {
            return;
        };
        subscriber.is_sought = false;
        match offset {
            Some(offset) => subscriber.feed.found(search.number, offset),
            None => subscriber.searches.push_front(search),
        }
        if !subscriber.searches.is_empty() {
            self.seeking.push_back(place.id);
        }
    }

    /// What is to be found next.
    fn next_search<M: Matching>(
        &mut self,
        distributor: &mut Distributor<M>,
        peers: &mut Peers,
    ) -> Option<Work> {
        let next = self.next();
        while let Some(id) = self.seeking.pop_front() {
            let Some(subscriber) = self.subscriber(id) else {
                continue;
            };
            while let Some(search) = subscriber.searches.pop_front() {
                if subscriber.feed.seeks(search.number) {
                    subscriber.is_sought = true;
                    return Some(Work::Find {
                        place: subscriber.place,
                        search,
                        next,
                    });
                }
                // It was cancelled, so that any offset will do.
                subscriber.feed.found(search.number, next);
            }
            self.answer(distributor, peers, id);
        }
        None
    }

    /// What is to be read next, after what has been read has been sent.
    fn next_read(&mut self, peers: &mut Peers) -> Option<Work> {
        let next = self.next();
        let mut frames = std::mem::take(&mut self.frames);
        let mut work = None;
        while let Some(id) = self.behind.pop_front() {
            let Some(subscriber) = self.subscriber(id) else {
                continue;
            };
            let sent = subscriber.send_ready(peers, id, next, &mut frames);
            // Whoever has no room tells when that changes.
            if !sent || subscriber.feed.is_live() || !has_room(peers, id) {
                subscriber.has_turn = false;
                continue;
            }
            let (progress, version) = subscriber.feed.to_read();
            work = Some(Work::Read {
                place: subscriber.place,
                progress,
                version,
                next,
            });
            break;
        }
        self.frames = frames;
        work
    }

    /// Tells all that have everything how far that is, before messages go that concerned none of them.
    pub(crate) fn tell_next(&mut self, peers: &mut Peers) {
        let next = self.next();
        let subscribers = self.subscribers.iter_mut().flatten();
        for subscriber in subscribers.filter(|subscriber| subscriber.feed.is_live()) {
            self.frames.clear();
            subscriber.feed.tell_next(next, 1, &mut self.frames);
            if !self.frames.is_empty() {
                peers.send_commands(subscriber.place.id, &self.frames);
            }
        }
    }
}

/// Whether a message may be queued; if not, there will be word when that changes.
fn has_room(peers: &mut Peers, id: PeerId) -> bool {
    peers.has_room(id) || !peers.await_room(id)
}

impl Subscriber {
    /// A message that it wants has just been appended.
    fn publish(
        &mut self,
        peers: &mut Peers,
        id: PeerId,
        offset: u64,
        outgoing: Outgoing<'_>,
        frames: &mut Vec<u8>,
        published: &mut Published,
    ) {
        if !self.feed.is_live() {
            published.behind += 1;
            return;
        }
        if !has_room(peers, id) {
            published.behind += 1;
            self.feed.fall_behind(offset);
            return;
        }
        match self.send(peers, id, offset, outgoing, frames) {
            true => published.sent += 1,
            false => published.refused += 1,
        }
    }

    /// Sends a message, for which there is room. `false`: the peer takes nothing that large, and is told that it misses it.
    fn send(
        &mut self,
        peers: &mut Peers,
        id: PeerId,
        offset: u64,
        outgoing: Outgoing<'_>,
        frames: &mut Vec<u8>,
    ) -> bool {
        frames.clear();
        let refused = peers.excess(id, outgoing).is_some();
        match refused {
            true => self.feed.miss(offset, frames),
            false => self.feed.send(offset, frames),
        }
        if !frames.is_empty() {
            peers.send_commands(id, frames);
        }
        if refused {
            peers.skip_refused(id, outgoing);
        } else if !peers.send_single(id, outgoing) {
            peers.send_with(id, |buffer, pool| buffer.push(outgoing, pool));
        }
        !refused
    }

    /// Sends what was read; whether that is all.
    fn send_ready(
        &mut self,
        peers: &mut Peers,
        id: PeerId,
        next: u64,
        frames: &mut Vec<u8>,
    ) -> bool {
        while let Some(item) = self.ready.pop_front() {
            match item {
                Item::Message(offset, message) => {
                    if !has_room(peers, id) {
                        self.ready.push_front(Item::Message(offset, message));
                        return false;
                    }
                    self.send(peers, id, offset, Outgoing::of(&message), frames);
                    peers.discard(message);
                }
                Item::Gap(first, last) => {
                    frames.clear();
                    self.feed.gap(first, last, frames);
                    if !frames.is_empty() {
                        peers.send_commands(id, frames);
                    }
                }
                Item::Upto(position) => {
                    self.feed.pass(position, next);
                    frames.clear();
                    self.feed.tell_next(next, TELL_AFTER, frames);
                    if !frames.is_empty() {
                        peers.send_commands(id, frames);
                    }
                }
            }
        }
        true
    }
}
