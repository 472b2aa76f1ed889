//! Each message to every peer that has subscribed to a prefix of its first frame: how PUB and XPUB send, and RADIO, whose peers subscribe
//! to the first frame itself.
//!
//! Subscriptions are state, held per connection; they are not messages and no high-water mark applies to
//! them. A peer without room misses the message, and both sides can see that: the publisher is told how
//! many were skipped, and counts them per peer.

use std::marker::PhantomData;

use super::matching::{Matching, Topics};
use super::subscriptions::{Inserted, Removed, Told};
use super::{Published, Subscriptions};
use crate::engine::{Outgoing, PeerId, Peers, Tried};
use crate::options::{Options, SlowSubscriber};
use crate::zmtp::ProtocolError;

/// See the module.
pub(super) struct Distributor<M = Topics> {
    matching: PhantomData<M>,
    subscriptions: Subscriptions,
    allowed: Allowed,
    /// What becomes of a message for which there is no room.
    policy: SlowSubscriber,
    /// With inverted matching: the peers that are connected, each of which gets what it has not subscribed to.
    inverted: Option<Vec<PeerId>>,
    /// Peers that a message waits for, reused.
    full: Vec<PeerId>,
    /// Messages that all peers have room for, whatever becomes of them.
    granted: usize,
    /// All messages go through a log, and none this way.
    logged: bool,
}

/// What a peer may subscribe to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    max_length: usize,
    max_count: usize,
}

impl Allowed {
    pub(super) fn new(options: &Options) -> Self {
        Allowed {
            max_length: options.max_subscription_length,
            max_count: options.max_subscriptions,
        }
    }

    /// Whether a peer may subscribe to one more.
    pub(super) fn check(
        self,
        held: &Subscriptions,
        id: PeerId,
        topic: &[u8],
    ) -> Result<(), ProtocolError> {
        if topic.len() > self.max_length {
            return Err(ProtocolError::TopicTooLong {
                limit: self.max_length,
            });
        }
        if held.count(id) >= self.max_count {
            return Err(ProtocolError::TooManySubscriptions {
                limit: self.max_count,
            });
        }
        Ok(())
    }
}

fn policy(options: &Options) -> SlowSubscriber {
    match options.pub_block || options.log.is_some() {
        true => SlowSubscriber::Wait,
        false => options.slow_subscriber,
    }
}

impl<M: Matching> Distributor<M> {
    pub(super) fn new(options: &Options) -> Self {
        Distributor {
            matching: PhantomData,
            subscriptions: Subscriptions::new(),
            allowed: Allowed::new(options),
            policy: policy(options),
            inverted: (options.invert_matching && !M::GROUPS).then(Vec::new),
            full: Vec::new(),
            granted: 0,
            logged: options.log.is_some(),
        }
    }

    /// The options are these from now on, but for the limits of subscriptions.
    pub(super) fn reconfigure(&mut self, peers: &mut Peers, options: &Options) {
        self.policy = policy(options);
        self.granted = 0;
        let inverted = options.invert_matching && !M::GROUPS;
        if inverted != self.inverted.is_some() {
            self.inverted = inverted.then(|| peers.connected());
        }
    }

    /// Gives the message to all who want it. `None`: one of them has no room, and is to be waited for.
    #[inline]
    pub(super) fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        if self.waits() && !self.may_send(peers, outgoing) {
            return None;
        }
        let mut published = Published::default();
        let policy = self.policy;
        if self.inverted.is_some() {
            self.for_each_recipient(outgoing.first_frame(), |id| {
                deliver(peers, id, outgoing, policy, &mut published);
            });
            return Some(published);
        }
        M::for_each(&mut self.subscriptions, outgoing.first_frame(), |id| {
            deliver(peers, id, outgoing, policy, &mut published);
        });
        Some(published)
    }

    /// Calls `f` once with each peer that a message with this topic goes to.
    #[inline(never)]
    pub(super) fn for_each_recipient(&mut self, topic: &[u8], f: impl FnMut(PeerId)) {
        match &self.inverted {
            Some(connected) => self.subscriptions.for_each_other(connected, topic, f),
            None => M::for_each(&mut self.subscriptions, topic, f),
        }
    }

    /// The same to one peer alone, if it wants the message.
    pub(super) fn send_to(
        &mut self,
        peers: &mut Peers,
        id: PeerId,
        outgoing: Outgoing<'_>,
    ) -> Option<Published> {
        let mut published = Published::default();
        let subscribed = self.subscriptions.is_wanted_by(id, outgoing.first_frame());
        if subscribed != self.inverted.is_some() {
            if self.waits() && peers.awaits_room(id, outgoing) {
                return None;
            }
            deliver(peers, id, outgoing, self.policy, &mut published);
        }
        Some(published)
    }

    /// The same to one peer, whether it wants the message or not.
    pub(super) fn send_unasked(&mut self, peers: &mut Peers, id: PeerId, outgoing: Outgoing<'_>) {
        self.granted = 0;
        let policy = SlowSubscriber::DropNewest;
        deliver(peers, id, outgoing, policy, &mut Published::default());
    }

    fn waits(&self) -> bool {
        self.policy == SlowSubscriber::Wait
    }

    /// Whether everybody who wants a message with this topic has room for it. Asking them all each time would cost
    /// as much as sending, so what the fullest of all peers can take is granted in advance.
    #[inline]
    fn may_send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> bool {
        if self.granted == 0 {
            if self.logged {
                return false;
            }
            self.granted = peers.least_room();
        }
        if self.granted > 0 {
            self.granted -= 1;
            return true;
        }
        self.all_have_room(peers, outgoing)
    }

    #[cold]
    fn all_have_room(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> bool {
        let mut full = std::mem::take(&mut self.full);
        full.clear();
        self.for_each_recipient(outgoing.first_frame(), |id| {
            if peers.awaits_room(id, outgoing) {
                peers.tell_slow(id, SlowSubscriber::Wait);
                full.push(id);
            }
        });
        self.full = full;
        self.full.is_empty()
    }

    /// Whether a message would be taken by all, whatever its topic.
    pub(super) fn would_send(&self, peers: &mut Peers) -> bool {
        !self.waits() || peers.all_have_room()
    }

    /// A new peer may have less room than the others had.
    pub(super) fn attached(&mut self) {
        self.granted = 0;
    }

    /// A peer is connected, for the first time or again.
    pub(super) fn established(&mut self, id: PeerId) {
        if let Some(connected) = &mut self.inverted {
            connected.push(id);
        }
    }

    fn disconnected(&mut self, id: PeerId) {
        if let Some(connected) = &mut self.inverted {
            connected.retain(|connected| *connected != id);
        }
    }

    /// Whether a peer may subscribe to this topic, too.
    pub(super) fn check(&self, id: PeerId, topic: &[u8]) -> Result<(), ProtocolError> {
        self.allowed.check(&self.subscriptions, id, topic)
    }

    pub(super) fn subscribe(&mut self, id: PeerId, topic: &[u8]) -> Inserted {
        self.subscriptions.insert(id, topic)
    }

    pub(super) fn unsubscribe(&mut self, id: PeerId, topic: &[u8]) -> Removed {
        self.subscriptions.remove(id, topic)
    }

    /// What a peer wanted was said on its connection, and goes with it: at once, or with [`forget_more`](Self::forget_more).
    pub(super) fn lost(&mut self, id: PeerId, told: Told<'_>) {
        self.disconnected(id);
        self.subscriptions.begin_removing(id, told);
    }

    pub(super) fn forget(&mut self, id: PeerId, told: Told<'_>) {
        self.disconnected(id);
        self.subscriptions.remove_peer(id, told);
    }

    pub(super) fn remembers(&self, id: PeerId) -> bool {
        self.subscriptions.is_removing(id)
    }

    pub(super) fn forget_more(
        &mut self,
        over: &dyn Fn() -> bool,
        told: Told<'_>,
    ) -> Option<PeerId> {
        self.subscriptions.remove_more(over, told)
    }

    /// The peer that is forgotten next.
    pub(super) fn forgetting(&self) -> Option<PeerId> {
        self.subscriptions.removing()
    }

    pub(super) fn is_forgetting(&self) -> bool {
        self.subscriptions.is_removing_any()
    }

    /// How many peers would get a message with this topic.
    pub(super) fn subscribers(&mut self, topic: &[u8]) -> usize {
        match &self.inverted {
            Some(connected) => {
                let mut count = 0;
                self.subscriptions
                    .for_each_other(connected, topic, |_| count += 1);
                count
            }
            None => self.subscriptions.matching::<M>(topic),
        }
    }

    /// How many different topics peers have subscribed to.
    pub(super) fn topics(&self) -> usize {
        self.subscriptions.topics()
    }

    /// How many peers have subscribed to anything.
    pub(super) fn any_subscribers(&self) -> usize {
        self.subscriptions.peers()
    }
}

#[inline]
pub(super) fn deliver(
    peers: &mut Peers,
    id: PeerId,
    outgoing: Outgoing<'_>,
    policy: SlowSubscriber,
    published: &mut Published,
) {
    if peers.send_single(id, outgoing) {
        published.sent += 1;
        return;
    }
    match peers.try_send(id, outgoing) {
        Tried::Queued => published.sent += 1,
        Tried::NoRoom => no_room(peers, id, outgoing, policy, published),
        Tried::Refused => {
            peers.skip_refused(id, outgoing);
            published.refused += 1;
        }
    }
}

/// A subscriber has no room.
#[cold]
fn no_room(
    peers: &mut Peers,
    id: PeerId,
    outgoing: Outgoing<'_>,
    policy: SlowSubscriber,
    published: &mut Published,
) {
    if policy == SlowSubscriber::DropOldest
        && let Some(displaced) = peers.send_in_place_of_older(id, outgoing)
    {
        published.sent += 1;
        published.displaced += displaced;
        return;
    }
    if !peers.count_drop(id) {
        return;
    }
    published.skipped += 1;
    peers.tell_slow(id, policy);
    if policy == SlowSubscriber::Disconnect {
        peers.send_away_slow(id);
    }
}
