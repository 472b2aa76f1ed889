//! PUB: each message to every peer that has subscribed to a prefix of its first frame. And RADIO: to those that are in the group that its first
//! frame names.

use super::distributor::Distributor;
use super::logged_out::{Done, LoggedOut, Work};
use super::matching::{Groups, Matching, Topics};
use super::{Pattern, Sending};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::options::Options;
use crate::zmtp::replay::LogNotice;
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
    /// Older messages that were dropped to make room for it, with [`SlowSubscriber::DropOldest`](crate::SlowSubscriber::DropOldest).
    pub displaced: usize,
    /// Subscribers that wanted it and take nothing that large, as they have announced: they miss it.
    pub refused: usize,
    /// Subscribers that are behind, and read it from the [log](crate::Log) later.
    pub behind: usize,
}

/// See the module.
pub(crate) struct PubOf<M> {
    distributor: Distributor<M>,
    /// Where there is a log, all messages go through it.
    log: Option<Box<LoggedOut>>,
}

/// PUB.
pub(crate) type PubPattern = PubOf<Topics>;

/// RADIO.
pub(crate) type RadioPattern = PubOf<Groups>;

impl<M: Matching> PubOf<M> {
    pub(crate) fn new(options: &Options) -> Self {
        PubOf {
            distributor: Distributor::new(options),
            log: None,
        }
    }

    /// From now on messages go through a log; the options have asked for one.
    pub(crate) fn set_log(&mut self, log: LoggedOut) {
        self.log = Some(Box::new(log));
    }

    pub(crate) fn log(&mut self) -> Option<&mut LoggedOut> {
        self.log.as_deref_mut()
    }

    /// Takes back what the log's thread has done, and says what it is to do next.
    pub(crate) fn log_work(&mut self, peers: &mut Peers, done: Option<Done>) -> Option<Work> {
        self.log.as_mut()?.work(&mut self.distributor, peers, done)
    }

    #[cold]
    fn send_by_log(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        let log = self.log.as_mut()?;
        log.send(&mut self.distributor, peers, outgoing)
    }

    /// How many peers would get a message with this topic.
    pub(crate) fn subscribers(&mut self, topic: &[u8]) -> usize {
        self.distributor.subscribers(topic)
    }

    /// How many different topics peers have subscribed to.
    pub(crate) fn topics(&self) -> usize {
        self.distributor.topics()
    }

    /// How many peers have subscribed to anything.
    pub(crate) fn any_subscribers(&self) -> usize {
        self.distributor.any_subscribers()
    }

    /// A peer wants, or no longer wants, messages.
    fn wants(&mut self, id: PeerId, topic: &[u8], wanted: bool) -> Result<(), ProtocolError> {
        if wanted {
            self.distributor.check(id, topic)?;
        }
        self.own_topic(id, topic, wanted);
        Ok(())
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

impl<M: Matching> Sending for PubOf<M> {
    type Sent = Published;

    /// Gives the message to all who want it. `None`: one of them has no room, and is to be waited for.
    #[inline]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        match self.distributor.send(peers, outgoing) {
            Some(published) => Some(published),
            None => self.send_by_log(peers, outgoing),
        }
    }

    fn failure(&self) -> Option<SendErrorKind> {
        self.log.as_ref()?.failure()
    }

    /// What one subscriber does not take is no error: it goes to the others.
    fn excess(&self, _peers: &Peers, _outgoing: Outgoing<'_>) -> Option<Excess> {
        None
    }
}

impl<M: Matching> Pattern for PubOf<M> {
    fn socket_type(&self) -> SocketType {
        M::PUBLISHER
    }

    fn reconfigure(&mut self, peers: &mut Peers, options: &Options) {
        self.distributor.reconfigure(peers, options);
        if let Some(log) = &mut self.log {
            log.reconfigure(options);
        }
    }

    fn receives(&self) -> bool {
        false
    }

    fn may_conflate(&self) -> bool {
        !M::GROUPS
    }

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {
        self.distributor.attached();
    }

    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        self.distributor.established(id);
        if let Some(log) = &mut self.log {
            log.established(peers, id);
        }
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.distributor.lost(id, None);
        if let Some(log) = &mut self.log {
            log.lost(id);
        }
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.lost(peers, id);
    }

    fn log_property(&self) -> Option<Vec<u8>> {
        Some(self.log.as_ref()?.property())
    }

    fn log(&mut self, id: PeerId, notice: LogNotice<'_>) -> Result<(), ProtocolError> {
        match &mut self.log {
            Some(log) => log.replay(&mut self.distributor, id, notice),
            None => Ok(()),
        }
    }

    fn settled(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(log) = &mut self.log {
            log.answer(&mut self.distributor, peers, id);
        }
    }

    fn writable(&mut self, _peers: &mut Peers, id: PeerId) {
        if let Some(log) = &mut self.log {
            log.go_on(id);
        }
    }

    /// The log is closed by its thread, which has the only other handle of it.
    fn closing(&mut self, _peers: &mut Peers) {
        self.log = None;
    }

    fn forget(&mut self, id: PeerId) {
        self.distributor.forget(id, None);
    }

    fn remembers(&self, id: PeerId) -> bool {
        self.distributor.remembers(id)
    }

    fn forget_more(&mut self, over: &dyn Fn() -> bool) -> Option<PeerId> {
        self.distributor.forget_more(over, None)
    }

    fn is_forgetting(&self) -> bool {
        self.distributor.is_forgetting()
    }

    fn holds_subscriptions(&self) -> bool {
        true
    }

    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        if M::GROUPS {
            peers.discard_inbound(id);
            return Ok(());
        }
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
        match M::GROUPS {
            true => Ok(()),
            false => self.wants(id, topic, subscribe),
        }
    }

    fn group(&mut self, id: PeerId, group: &[u8], join: bool) -> Result<(), ProtocolError> {
        match M::GROUPS {
            true => self.wants(id, group, join),
            false => Ok(()),
        }
    }

    fn own_topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        if subscribe {
            self.distributor.subscribe(id, topic);
        } else {
            self.distributor.unsubscribe(id, topic);
        }
        if let Some(log) = &mut self.log {
            log.topic(id, topic, subscribe);
        }
    }

    fn connects_once(&self) -> bool {
        !M::GROUPS
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        if let Some(log) = &self.log {
            return log.would_send();
        }
        self.distributor.would_send(peers)
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
