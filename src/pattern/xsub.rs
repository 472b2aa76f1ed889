//! XSUB: receives as SUB does, but without a filter of its own; and sends subscriptions, and messages, to all publishers.

use super::fair_turns::{next_is, take_fairly};
use super::upstream::Upstreams;
use super::{FairQueue, Pattern, Published, Receiving, Sending, TopicFilter};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Tried, Unsent};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::zmtp::{Command, ProtocolError, SocketType};

/// See the module.
pub(crate) struct XsubPattern {
    topics: Upstreams,
    queue: FairQueue,
    /// Peers that messages go to, connected or not.
    attached: Vec<PeerId>,
    /// Publishers are told of the end of each subscription, and not only of the last to a topic.
    tells_all_ends: bool,
}

impl XsubPattern {
    /// A publisher may end so many connections over one topic.
    pub(crate) fn new(most: Option<u32>, tells_all_ends: bool) -> Self {
        XsubPattern {
            topics: Upstreams::new(most, TopicFilter::new()),
            queue: FairQueue::new(),
            attached: Vec::new(),
            tells_all_ends,
        }
    }

    /// A topic that is wanted already is sent again, for publishers that want to hear of every one; for others that changes nothing.
    pub(crate) fn subscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if !self.topics.subscribe(peers, topic) {
            self.topics.repeat(peers, topic);
        }
    }

    /// How many different topics it has subscribed to.
    pub(crate) fn topics(&self) -> usize {
        self.topics.filter.len()
    }

    pub(crate) fn unsubscribe(&mut self, peers: &mut Peers, topic: &[u8]) {
        if !self.topics.unsubscribe(peers, topic) && self.tells_all_ends {
            self.topics.repeat_end(peers, topic);
        }
    }

    /// Subscriptions in the form of a message; what else is in it goes on as a message.
    fn send_subscriptions<'a>(
        &mut self,
        peers: &mut Peers,
        frames: impl Iterator<Item = &'a Frame>,
    ) -> Published {
        let mut others = Vec::new();
        for frame in frames {
            match Command::parse_legacy(frame) {
                Some(Command::Subscribe(topic)) => self.subscribe(peers, topic),
                Some(Command::Cancel(topic)) => self.unsubscribe(peers, topic),
                Some(_) | None => others.push(frame.clone()),
            }
        }
        if !others.is_empty() {
            let others = Message::from_frames(others);
            return self.send_to_all(peers, Outgoing::Message(&others));
        }
        self.told()
    }

    /// Topics reach all publishers that are connected.
    fn told(&self) -> Published {
        Published {
            sent: self.topics.connected(),
            ..Published::default()
        }
    }

    fn send_to_all(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Published {
        let mut published = Published::default();
        for &id in &self.attached {
            match peers.try_send(id, outgoing) {
                Tried::Queued => published.sent += 1,
                Tried::NoRoom => published.skipped += usize::from(peers.count_drop(id)),
                Tried::Refused => {
                    peers.skip_refused(id, outgoing);
                    published.refused += 1;
                }
            }
        }
        published
    }
}

impl Sending for XsubPattern {
    type Sent = Published;

    /// Never waits.
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        let published = match (Command::parse_legacy(outgoing.first_frame()), outgoing) {
            (Some(Command::Subscribe(topic)), Outgoing::Slice(_)) => {
                self.subscribe(peers, topic);
                self.told()
            }
            (Some(Command::Cancel(topic)), Outgoing::Slice(_)) => {
                self.unsubscribe(peers, topic);
                self.told()
            }
            (Some(_), Outgoing::Message(message)) => {
                self.send_subscriptions(peers, message.frames())
            }
            (Some(_) | None, _) => self.send_to_all(peers, outgoing),
        };
        Some(published)
    }

    /// What one publisher does not take is no error: it goes to the others.
    fn excess(&self, _peers: &Peers, _outgoing: Outgoing<'_>) -> Option<Excess> {
        None
    }
}

impl Receiving for XsubPattern {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        take_fairly(&mut self.queue, peers, message).map(drop)
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        take_fairly(&mut self.queue, peers, message).map(Some)
    }
}

impl Pattern for XsubPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Xsub
    }

    fn reconfigure(&mut self, _peers: &mut Peers, options: &Options) {
        self.topics.set_most(options.max_delivery_attempts);
        self.tells_all_ends = options.xsub_verbose_unsubscribe;
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn attached(&mut self, _peers: &mut Peers, id: PeerId) {
        self.attached.push(id);
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
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
        self.attached.retain(|attached| *attached != id);
        self.topics.lost(id);
    }

    fn forget(&mut self, id: PeerId) {
        self.topics.forget(id);
        self.queue.remove(id);
    }

    fn has_more(&self) -> bool {
        self.queue.front().is_some()
    }

    fn would_receive(&mut self, peers: &mut Peers) -> bool {
        next_is(&mut self.queue, peers, |_| true)
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
