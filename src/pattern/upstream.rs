//! What publishers are told of the topics that are wanted: how SUB and XSUB subscribe, and DISH joins groups.

use std::marker::PhantomData;

use super::TopicFilter;
use super::logged_in::LoggedIn;
use super::matching::{Matching, Topics};
use super::publisher::{Publisher, Tell};
use crate::engine::{PeerId, Peers};

/// What a publisher may leave unread besides twice what all topics take: some ten thousand subscriptions that come and go at once.
const SPARE: usize = 4 << 20;

/// What a topic takes beside its own bytes, in whatever form a publisher is told of it.
const FORM: usize = 32;

/// The topics, and what each publisher has been told of them. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
pub(super) struct Upstreams<M = Topics> {
    matching: PhantomData<M>,
    pub(super) filter: TopicFilter,
    /// What those are told that have been connected at some time.
    publishers: Vec<(PeerId, Publisher)>,
    /// How many connections of a publisher may end over one topic.
    most: Option<u32>,
    /// Where there are, or are to be, publishers with a log.
    pub(super) logged: Option<Box<LoggedIn>>,
}

impl<M: Matching> Upstreams<M> {
    /// A publisher may end so many connections over one topic.
    pub(super) fn new(most: Option<u32>, filter: TopicFilter) -> Self {
        Upstreams {
            matching: PhantomData,
            filter,
            publishers: Vec::new(),
            most,
            logged: None,
        }
    }

    /// Another number of connections.
    pub(super) fn set_most(&mut self, most: Option<u32>) {
        self.most = most;
        for (_, publisher) in &mut self.publishers {
            publisher.set_most(most);
        }
    }

    /// Adds a reference, and tells of the first one.
    pub(super) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) -> bool {
        let first = self.filter.subscribe(topic);
        if first {
            let logged = &mut self.logged;
            for (id, publisher) in &mut self.publishers {
                publisher.subscribe(topic, &mut |what| tell::<M>(peers, logged, *id, what));
                hold_to_reading(peers, *id, publisher, &self.filter);
            }
        }
        first
    }

    /// Tells again of a topic that is wanted already.
    pub(super) fn repeat(&mut self, peers: &mut Peers, topic: &[u8]) {
        let logged = &mut self.logged;
        for (id, publisher) in &mut self.publishers {
            publisher.repeat(topic, &mut |what| tell::<M>(peers, logged, *id, what));
            hold_to_reading(peers, *id, publisher, &self.filter);
        }
    }

    /// Takes a reference back, and tells of the last one.
    pub(super) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) -> bool {
        let last = self.filter.unsubscribe(topic);
        if last {
            let logged = &mut self.logged;
            if let Some(logged) = logged {
                logged.cancel(topic);
            }
            for (id, publisher) in &mut self.publishers {
                publisher.unsubscribe(topic, &mut |what| tell::<M>(peers, logged, *id, what));
                hold_to_reading(peers, *id, publisher, &self.filter);
            }
        }
        last
    }

    /// Tells of the end of a subscription that was not the last to its topic, or of none.
    pub(super) fn repeat_end(&mut self, peers: &mut Peers, topic: &[u8]) {
        let logged = &mut self.logged;
        for (id, publisher) in &mut self.publishers {
            publisher.repeat_end(topic, &mut |what| tell::<M>(peers, logged, *id, what));
            hold_to_reading(peers, *id, publisher, &self.filter);
        }
    }

    /// How many publishers are connected.
    pub(super) fn connected(&self) -> usize {
        let publishers = self.publishers.iter();
        publishers
            .filter(|(_, publisher)| publisher.is_connected())
            .count()
    }

    /// The publisher holds subscriptions per connection, so each connection is told all of them.
    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId) {
        if self.publisher(id).is_none() {
            self.publishers.push((id, Publisher::new(self.most)));
        }
        let limits = peers.topic_limits(id);
        let logged = &mut self.logged;
        let mut publishers = self.publishers.iter_mut();
        if let Some((_, publisher)) = publishers.find(|(of, _)| *of == id) {
            publisher.established(limits, self.filter.iter(), &mut |what| {
                tell::<M>(peers, logged, id, what);
            });
        }
    }

    pub(super) fn ended_in_doubt(&mut self, id: PeerId) {
        if let Some(publisher) = self.publisher(id) {
            publisher.ended_in_doubt();
        }
    }

    pub(super) fn answered(&mut self, id: PeerId) -> bool {
        let publisher = self.publisher(id);
        publisher.is_some_and(|publisher| publisher.answered())
    }

    pub(super) fn go_on(&mut self, peers: &mut Peers, id: PeerId) {
        let logged = &mut self.logged;
        let mut publishers = self.publishers.iter_mut();
        if let Some((_, publisher)) = publishers.find(|(of, _)| *of == id) {
            publisher.go_on(&mut |what| tell::<M>(peers, logged, id, what));
        }
    }

    pub(super) fn awaits_answer(&self, id: PeerId) -> bool {
        let mut publishers = self.publishers.iter();
        publishers.any(|(of, publisher)| *of == id && publisher.waits())
    }

    pub(super) fn lost(&mut self, id: PeerId) {
        if let Some(publisher) = self.publisher(id) {
            publisher.lost();
        }
    }

    pub(super) fn forget(&mut self, id: PeerId) {
        self.publishers.retain(|(of, _)| *of != id);
    }

    fn publisher(&mut self, id: PeerId) -> Option<&mut Publisher> {
        let mut publishers = self.publishers.iter_mut();
        publishers
            .find(|(of, _)| *of == id)
            .map(|(_, publisher)| publisher)
    }
}

/// Has the connection closed of a publisher that leaves far more unread than it would be told on a new one.
fn hold_to_reading(peers: &mut Peers, id: PeerId, publisher: &mut Publisher, filter: &TopicFilter) {
    let unread = peers.waiting_commands(id);
    let all = filter.bytes() + filter.len() * FORM;
    if publisher.lags(unread, all, SPARE) {
        peers.send_away_slow(id);
    }
}

/// Says it to the publisher, or of it.
fn tell<M: Matching>(
    peers: &mut Peers,
    logged: &mut Option<Box<LoggedIn>>,
    id: PeerId,
    what: Tell<'_>,
) {
    match what {
        Tell::Subscribe(topic)
            if logged
                .as_mut()
                .is_some_and(|logged| logged.ask(peers, id, topic)) => {}
        Tell::Subscribe(topic) => M::tell(peers, id, topic, true),
        Tell::Cancel(topic) => M::tell(peers, id, topic, false),
        Tell::Ping(number) => peers.ping(id, number),
        Tell::Withheld(topic, cause) => peers.topic_withheld(id, topic.len(), cause),
    }
}
