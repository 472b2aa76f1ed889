//! PUB: each message to every peer that has subscribed to a prefix of its first frame.
//!
//! Subscriptions are state, held per connection; they are not messages and no high-water mark applies to
//! them. A peer without room misses the message, and both sides can see that: the publisher is told how
//! many were skipped, and counts them per peer.

use super::{Pattern, Sending, Subscriptions};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Tried, Unsent};
use crate::message::Message;
use crate::zmtp::{Command, ProtocolError, SocketType};

/// What became of a published message.
///
/// ```
/// use zerohop::{Context, Pub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = Pub::new(&Context::new())?;
/// let published = publisher.send("nobody listens")?;
/// assert_eq!((published.sent, published.skipped), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Published {
    /// Subscribers that the message was queued for.
    pub sent: usize,
    /// Subscribers that wanted it and were at their high-water mark: they miss it.
    pub skipped: usize,
    /// Subscribers that wanted it and take nothing that large, as they have announced: they miss it.
    pub refused: usize,
}

/// See the module.
pub(crate) struct PubPattern {
    subscriptions: Subscriptions,
    max_length: usize,
    max_count: usize,
    /// Wait for room instead of skipping.
    block: bool,
    /// Peers that a message waits for, reused.
    full: Vec<PeerId>,
    /// Messages that all peers have room for, whatever becomes of them.
    granted: usize,
}

impl PubPattern {
    pub(crate) fn new(max_length: usize, max_count: usize, block: bool) -> Self {
        PubPattern {
            subscriptions: Subscriptions::new(),
            max_length,
            max_count,
            block,
            full: Vec::new(),
            granted: 0,
        }
    }

    /// Whether everybody who wants a message with this topic has room for it. Asking them all each time would cost
    /// as much as sending, so what the fullest of all peers can take is granted in advance.
    #[inline]
    fn may_send(&mut self, peers: &mut Peers, topic: &[u8]) -> bool {
        if self.granted == 0 {
            self.granted = peers.least_room();
        }
        if self.granted > 0 {
            self.granted -= 1;
            return true;
        }
        self.all_have_room(peers, topic)
    }

    #[cold]
    fn all_have_room(&mut self, peers: &mut Peers, topic: &[u8]) -> bool {
        self.full.clear();
        let full = &mut self.full;
        self.subscriptions.for_each_match(topic, |id| {
            if !peers.has_room(id) && peers.await_room(id) {
                full.push(id);
            }
        });
        self.full.is_empty()
    }

    /// How many peers would get a message with this topic.
    pub(crate) fn subscribers(&mut self, topic: &[u8]) -> usize {
        self.subscriptions.matching(topic)
    }

    /// How many peers have subscribed to anything.
    pub(crate) fn any_subscribers(&self) -> usize {
        self.subscriptions.peers()
    }

    /// Subscriptions of peers that speak ZMTP 3.0 or older come as messages.
    fn legacy(&mut self, id: PeerId, message: &Message) -> Result<(), ProtocolError> {
        for frame in message.frames() {
            match Command::parse_legacy(frame) {
                Some(Command::Subscribe(topic)) => self.topic(id, topic, true)?,
                Some(Command::Cancel(topic)) => self.topic(id, topic, false)?,
                // A message to the publisher, which does not read any.
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

impl Sending for PubPattern {
    type Sent = Published;

    /// Gives the message to all who want it. `None`: one of them has no room, and is to be waited for.
    #[inline]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        if self.block && !self.may_send(peers, outgoing.first_frame()) {
            return None;
        }
        let mut published = Published::default();
        self.subscriptions
            .for_each_match(outgoing.first_frame(), |id| {
                if peers.send_single(id, outgoing) {
                    published.sent += 1;
                    return;
                }
                match peers.try_send(id, outgoing) {
                    Tried::Queued => published.sent += 1,
                    Tried::NoRoom => {
                        published.skipped += usize::from(peers.count_drop(id));
                    }
                    Tried::Refused => {
                        peers.skip_refused(id, outgoing);
                        published.refused += 1;
                    }
                }
            });
        Some(published)
    }

    /// What one subscriber does not take is no error: it goes to the others.
    fn excess(&self, _peers: &Peers, _outgoing: Outgoing<'_>) -> Option<Excess> {
        None
    }
}

impl Pattern for PubPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Pub
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        true
    }

    /// A new peer may have less room than the others had.
    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {
        self.granted = 0;
    }

    /// What a peer wanted was said on its connection, and goes with it.
    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.subscriptions.begin_removing(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.subscriptions.begin_removing(id);
    }

    fn forget(&mut self, id: PeerId) {
        self.subscriptions.remove_peer(id, |_| {});
    }

    fn remembers(&self, id: PeerId) -> bool {
        self.subscriptions.is_removing(id)
    }

    fn forget_more(&mut self, over: &dyn Fn() -> bool) -> Option<PeerId> {
        self.subscriptions.remove_more(over)
    }

    fn is_forgetting(&self) -> bool {
        self.subscriptions.is_removing_any()
    }

    fn holds_subscriptions(&self) -> bool {
        true
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        let mut message = Message::new();
        while peers.take(id, &mut message).is_some() {
            if let Err(error) = self.legacy(id, &message) {
                // Nobody else takes the rest, for which its place would be kept.
                peers.discard_inbound(id);
                peers.discard(message);
                return Err(error);
            }
        }
        peers.discard(message);
        Ok(())
    }

    fn topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) -> Result<(), ProtocolError> {
        if subscribe && topic.len() > self.max_length {
            return Err(ProtocolError::TopicTooLong {
                limit: self.max_length,
            });
        }
        if subscribe && self.subscriptions.count(id) >= self.max_count {
            return Err(ProtocolError::TooManySubscriptions {
                limit: self.max_count,
            });
        }
        self.own_topic(id, topic, subscribe);
        Ok(())
    }

    fn own_topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        if subscribe {
            self.subscriptions.insert(id, topic);
        } else {
            self.subscriptions.remove(id, topic);
        }
    }

    fn connects_once(&self) -> bool {
        true
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
