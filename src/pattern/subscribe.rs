//! SUB: messages from all publishers, filtered once more on arrival. And DISH, whose publishers are RADIOs.

use std::sync::Arc;

use super::fair_turns::{next_is, take_fairly};
use super::logged_in::{LoggedIn, LostRange, Source, log_of};
use super::matching::{Groups, Matching, Topics};
use super::upstream::Upstreams;
use super::{FairQueue, Pattern, Receiving, TopicFilter};
use crate::engine::{PeerId, Peers, Unsent};
use crate::error::SubscribeError;
use crate::message::Message;
use crate::options::Options;
use crate::sync::Bell;
use crate::zmtp::replay::{LogNotice, Offsets, Start, wire};
use crate::zmtp::{ProtocolError, SocketType};

/// See the module.
pub(crate) struct SubOf<M> {
    topics: Upstreams<M>,
    queue: FairQueue,
    /// Publishers may have logs: where messages are not conflated, nor wanted when no topic matches.
    knows_logs: bool,
}

/// SUB.
pub(crate) type SubPattern = SubOf<Topics>;

/// DISH.
pub(crate) type DishPattern = SubOf<Groups>;

impl<M: Matching> SubOf<M> {
    /// A publisher may end so many connections over one topic.
    /// Inverted, it wants what no topic matches.
    pub(crate) fn new(most: Option<u32>, inverted: bool) -> Self {
        let filter = TopicFilter::new().inverted(inverted);
        SubOf {
            topics: Upstreams::new(most, filter),
            queue: FairQueue::new(),
            knows_logs: !M::GROUPS && !inverted,
        }
    }

    pub(crate) fn with_options(options: &Options) -> Self {
        let pattern = SubOf::new(options.max_delivery_attempts, options.invert_matching);
        SubOf {
            knows_logs: pattern.knows_logs && !options.conflate,
            ..pattern
        }
    }

    pub(crate) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        self.topics.subscribe(peers, topic);
    }

    /// How many different topics it has subscribed to.
    pub(crate) fn topics(&self) -> usize {
        self.topics.filter.len()
    }

    pub(crate) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        self.topics.unsubscribe(peers, topic);
    }

    /// The same, from another place in the logs of publishers on than now.
    pub(crate) fn subscribe_from(
        &mut self,
        peers: &mut Peers,
        topic: &[u8],
        start: Start,
    ) -> Result<(), SubscribeError> {
        if !self.knows_logs {
            return Err(SubscribeError::NoReplay);
        }
        if self.topics.filter.contains(topic) {
            return Err(SubscribeError::Subscribed);
        }
        self.logged().set_start(topic, start);
        self.topics.subscribe(peers, topic);
        Ok(())
    }

    /// Goes on with a topic where a cursor was, and rings when it gets further.
    pub(crate) fn keep_cursor(&mut self, topic: &[u8], offsets: Offsets, bell: Arc<Bell>) {
        if self.knows_logs && !self.topics.filter.contains(topic) {
            self.logged().keep_cursor(topic, offsets, bell);
        }
    }

    /// How far a topic is in each log. But for `all`, the message that was received last does not count.
    pub(crate) fn offsets(&self, topic: &[u8], all: bool) -> Offsets {
        let logged = self.topics.logged.as_ref();
        logged.map_or_else(Offsets::new, |logged| logged.offsets(topic, all))
    }

    fn logged(&mut self) -> &mut LoggedIn {
        self.topics.logged.get_or_insert_default()
    }

    /// Takes the next message that matches, with where it is from, or tells what is missing before it.
    pub(crate) fn recv_logged(
        &mut self,
        peers: &mut Peers,
        message: &mut Message,
    ) -> Option<Result<Option<Source>, LostRange>> {
        match &mut self.topics.logged {
            Some(logged) if logged.is_active() => {
                logged.recv_logged(peers, &self.topics.filter, message)
            }
            Some(_) | None => self.recv(peers, message).map(|()| Ok(None)),
        }
    }

    /// From publishers with a log, and others beside them.
    #[cold]
    fn recv_by_logs(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        let logged = self.topics.logged.as_mut()?;
        logged.recv(peers, &self.topics.filter, message)
    }

    /// Where publishers have logs, messages come that way alone: nothing is in the queue then.
    fn by_logs(&mut self) -> Option<&mut LoggedIn> {
        let logged = self.topics.logged.as_deref_mut();
        logged.filter(|logged| logged.is_active())
    }

    /// Whether it is subscribed to exactly this.
    pub(crate) fn has(&self, topic: &[u8]) -> bool {
        self.topics.filter.contains(topic)
    }

    /// Takes messages until one is wanted.
    #[cold]
    fn recv_wanted(&mut self, peers: &mut Peers, message: &mut Message) -> Option<PeerId> {
        loop {
            let id = take_fairly(&mut self.queue, peers, message)?;
            if M::is_wanted(&self.topics.filter, message.first()) {
                return Some(id);
            }
        }
    }
}

impl<M: Matching> Receiving for SubOf<M> {
    /// Takes the next message that matches. One that no longer does was under way when its topic was
    /// unsubscribed.
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        if take_fairly(&mut self.queue, peers, message).is_none() {
            return self.recv_by_logs(peers, message);
        }
        if M::is_wanted(&self.topics.filter, message.first()) {
            return Some(());
        }
        self.recv_wanted(peers, message).map(drop)
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        if let Some(id) = self.recv_wanted(peers, message) {
            return Some(Some(id));
        }
        self.recv_by_logs(peers, message)?;
        Some(self.topics.logged.as_deref()?.from())
    }
}

impl<M: Matching> Pattern for SubOf<M> {
    fn socket_type(&self) -> SocketType {
        M::SUBSCRIBER
    }

    fn reconfigure(&mut self, _peers: &mut Peers, options: &Options) {
        self.topics.set_most(options.max_delivery_attempts);
        self.topics
            .filter
            .invert(options.invert_matching && !M::GROUPS);
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        !M::GROUPS
    }

    fn log_property(&self) -> Option<Vec<u8>> {
        self.knows_logs.then(wire::subscriber_property)
    }

    fn log(&mut self, id: PeerId, notice: LogNotice<'_>) -> Result<(), ProtocolError> {
        match self.by_logs() {
            Some(logged) => logged.notice(id, notice),
            None => Ok(()),
        }
    }

    fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(logged) = self.by_logs() {
            logged.settled(peers, id);
        }
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        match log_of(peers, id).filter(|_| self.knows_logs) {
            Some(log) => {
                let logged = self.topics.logged.get_or_insert_default();
                logged.take_over(&mut self.queue);
                logged.established(id, log);
            }
            None => {
                let logged = self.topics.logged.as_ref();
                if logged.is_some_and(|logged| logged.wants_logs()) {
                    peers.tell_no_log(id);
                }
            }
        }
        self.topics.established(peers, id);
    }

    fn ended_in_doubt(&mut self, id: PeerId) {
        self.topics.ended_in_doubt(id);
    }

    fn answered(&mut self, id: PeerId) -> bool {
        self.topics.answered(id)
    }

    fn go_on(&mut self, peers: &mut Peers, id: PeerId) {
        self.topics.go_on(peers, id);
    }

    fn awaits_answer(&self, id: PeerId) -> bool {
        self.topics.awaits_answer(id)
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.topics.lost(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.topics.lost(id);
    }

    fn forget(&mut self, id: PeerId) {
        self.topics.forget(id);
        self.queue.remove(id);
        if let Some(logged) = &mut self.topics.logged {
            logged.forget(id);
        }
    }

    fn has_more(&self) -> bool {
        let logged = self.topics.logged.as_ref();
        self.queue.front().is_some() || logged.is_some_and(|logged| logged.has_more())
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        let filter = &self.topics.filter;
        if let Some(logged) = &mut self.topics.logged
            && logged.is_active()
        {
            return logged.would_receive(peers, filter);
        }
        next_is(&mut self.queue, peers, |message| {
            message
                .first()
                .is_some_and(|topic| M::is_wanted(filter, topic))
        })
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if let Some(logged) = self.by_logs() {
            return logged.readable(peers, id);
        }
        self.queue.push(id);
        Ok(())
    }

    fn connects_once(&self) -> bool {
        !M::GROUPS
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
