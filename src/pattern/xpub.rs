//! XPUB: sends as PUB does, and receives what its peers have to say: their subscriptions, and messages.
//!
//! What has come waits in one queue until the application takes it. It counts as not received, so that a peer at its mark is
//! not read from, and a peer that has gone keeps its place until the last of it has been taken: see
//! [`Pattern::waiting`].

mod inbox;

pub(crate) use inbox::Subscriber;
use inbox::{Inbox, Waiting};
pub use inbox::{Subscription, Upstream};

use super::distributor::{Allowed, Distributor};
use super::subscriptions::{Inserted, Removed, Told};
use super::{FairQueue, Pattern, Published, Receiving, Sending, Subscriptions};
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent, unlimited};
use crate::message::Message;
use crate::options::Options;
use crate::zmtp::{Command, ProtocolError, SocketType};

/// Which subscriptions the application is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    /// The first and the last of a topic.
    Changes,
    /// All that are made, and the last end.
    Subscriptions,
    /// All that are made, and all ends.
    All,
}

impl Verbosity {
    fn of(options: &Options) -> Verbosity {
        match (options.xpub_verbose, options.xpub_verboser) {
            (_, true) => Verbosity::All,
            (true, false) => Verbosity::Subscriptions,
            (false, false) => Verbosity::Changes,
        }
    }
}

fn welcome(options: &Options) -> Option<Message> {
    let welcome = &options.xpub_welcome_message;
    (!welcome.is_empty()).then(|| Message::from(welcome.clone()))
}

/// See the module.
pub(crate) struct XpubPattern {
    distributor: Distributor,
    /// In manual mode: what peers have asked for, whereas the distributor has what they were granted.
    asked: Option<Asked>,
    verbosity: Verbosity,
    /// Sent first on each connection, unless it is empty.
    welcome: Option<Message>,
    /// In manual mode: the next message goes to the subscriber that was received last, and to nobody else.
    last_only: bool,
    /// The subscriber that was received last.
    last: Option<Subscriber>,
    inbox: Inbox,
    /// Peers of this process of which not all messages have been taken in.
    held_up: FairQueue,
    recv_hwm: usize,
}

struct Asked {
    subscriptions: Subscriptions,
    allowed: Allowed,
}

impl XpubPattern {
    pub(crate) fn new(options: &Options) -> Self {
        let manual = options.xpub_manual || options.xpub_manual_last_value;
        XpubPattern {
            distributor: Distributor::new(options),
            asked: manual.then(|| Asked {
                subscriptions: Subscriptions::new(),
                allowed: Allowed::new(options),
            }),
            verbosity: Verbosity::of(options),
            welcome: welcome(options),
            last_only: options.xpub_manual_last_value,
            last: None,
            inbox: Inbox::default(),
            held_up: FairQueue::new(),
            recv_hwm: unlimited(options.recv_hwm),
        }
    }

    /// How many peers would get a message with this topic.
    pub(crate) fn subscribers(&mut self, topic: &[u8]) -> usize {
        self.distributor.subscribers(topic)
    }

    /// How many different topics peers have subscribed to, or in manual mode have been granted.
    pub(crate) fn topics(&self) -> usize {
        self.distributor.topics()
    }

    /// How many peers have subscribed to anything, or in manual mode have been granted something.
    pub(crate) fn any_subscribers(&self) -> usize {
        self.distributor.any_subscribers()
    }

    /// What has come, one after the other.
    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<Upstream> {
        self.next_from(peers).map(|(_, what)| what)
    }

    /// The same, with the peer it is of, if that is still known.
    pub(crate) fn next_from(&mut self, peers: &mut Peers) -> Option<(Option<PeerId>, Upstream)> {
        let Waiting { from, what } = self.inbox.pop()?;
        if let Upstream::Subscribe(subscription) | Upstream::Unsubscribe(subscription) = &what {
            self.last = subscription.subscriber();
        }
        if let Some(id) = from {
            if self.held_up.contains(id) {
                // The limits are for strangers; a peer in this process has the same ones.
                let _ = self.take_in(peers, id, self.recv_hwm);
            }
            peers.handed_on(id, self.inbox.count(id));
        }
        Some((from, what))
    }

    /// The subscriber that was received last.
    pub(crate) fn last(&self) -> Option<Subscriber> {
        self.last
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.asked.is_some()
    }

    /// Manual mode: sends the subscriber what has this topic from now on, or no longer. `false`: it has gone.
    pub(crate) fn grant(&mut self, to: Subscriber, topic: &[u8], subscribe: bool) -> bool {
        if self.inbox.ends(to.id) != to.ends {
            return false;
        }
        match subscribe {
            true => drop(self.distributor.subscribe(to.id, topic)),
            false => drop(self.distributor.unsubscribe(to.id, topic)),
        }
        true
    }

    /// Takes messages of this peer in, until so much of it waits.
    fn take_in(&mut self, peers: &mut Peers, id: PeerId, most: usize) -> Result<(), ProtocolError> {
        let mut message = Message::new();
        while self.inbox.count(id) < most {
            if peers.take(id, &mut message).is_none() {
                self.held_up.remove(id);
                return Ok(());
            }
            let message = std::mem::take(&mut message);
            if Command::parse_legacy(message.first()).is_none() {
                self.inbox.push(id, Upstream::Message(message));
                continue;
            }
            let taken = self.legacy(id, &message);
            peers.discard(message);
            if let Err(error) = taken {
                // Nobody else takes the rest, for which its place would be kept.
                peers.discard_inbound(id);
                self.held_up.remove(id);
                return Err(error);
            }
        }
        self.held_up.push(id);
        Ok(())
    }

    /// A message that begins with a subscription is one or several of them, as peers below ZMTP 3.1 send them; what else is in it
    /// is a message.
    fn legacy(&mut self, id: PeerId, message: &Message) -> Result<(), ProtocolError> {
        let mut others = Vec::new();
        for frame in message.frames() {
            match Command::parse_legacy(frame) {
                Some(Command::Subscribe(topic)) => self.topic(id, topic, true)?,
                Some(Command::Cancel(topic)) => self.topic(id, topic, false)?,
                Some(_) | None => others.push(frame.clone()),
            }
        }
        if !others.is_empty() {
            let others = Message::from_frames(others);
            self.inbox.push(id, Upstream::Message(others));
        }
        Ok(())
    }

    /// The connection of a peer has ended, and with it all that the peer wanted.
    fn ended(&mut self, id: PeerId) {
        self.inbox.ended(id);
        let XpubPattern {
            distributor,
            asked,
            verbosity,
            inbox,
            ..
        } = self;
        match asked {
            Some(asked) => {
                asked
                    .subscriptions
                    .begin_removing(id, told_of_all(inbox, id).as_told());
                distributor.lost(id, None);
            }
            None => distributor.lost(id, told(inbox, id, *verbosity).as_told()),
        }
    }
}

/// Tells the application that topics are no longer wanted by a peer that has gone.
struct Teller<F>(F);

impl<F: FnMut(&[u8], Removed)> Teller<F> {
    fn as_told(&mut self) -> Told<'_> {
        Some(&mut self.0)
    }
}

fn told(inbox: &mut Inbox, id: PeerId, verbosity: Verbosity) -> Teller<impl FnMut(&[u8], Removed)> {
    Teller(move |topic: &[u8], removed| {
        if removed == Removed::Last || verbosity == Verbosity::All {
            inbox.push_end(id, topic);
        }
    })
}

fn told_of_all(inbox: &mut Inbox, id: PeerId) -> Teller<impl FnMut(&[u8], Removed)> {
    told(inbox, id, Verbosity::All)
}

impl Sending for XpubPattern {
    type Sent = Published;

    /// Gives the message to all who want it. `None`: one of them has no room, and is to be waited for.
    #[inline]
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Published> {
        if self.last_only
            && let Some(last) = self.last
        {
            return self.send_to_last(peers, last, outgoing);
        }
        self.distributor.send(peers, outgoing)
    }

    /// What one subscriber does not take is no error: it goes to the others.
    fn excess(&self, _peers: &Peers, _outgoing: Outgoing<'_>) -> Option<Excess> {
        None
    }
}

impl XpubPattern {
    #[cold]
    fn send_to_last(
        &mut self,
        peers: &mut Peers,
        last: Subscriber,
        outgoing: Outgoing<'_>,
    ) -> Option<Published> {
        if self.inbox.ends(last.id) != last.ends {
            self.last = None;
            return Some(Published::default());
        }
        let published = self.distributor.send_to(peers, last.id, outgoing)?;
        self.last = None;
        Some(published)
    }
}

impl Receiving for XpubPattern {
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()> {
        *message = self.next(peers)?.into_message();
        Some(())
    }

    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>> {
        let (from, what) = self.next_from(peers)?;
        *message = what.into_message();
        Some(from)
    }
}

impl Pattern for XpubPattern {
    fn socket_type(&self) -> SocketType {
        SocketType::Xpub
    }

    fn reconfigure(&mut self, peers: &mut Peers, options: &Options) {
        self.distributor.reconfigure(peers, options);
        self.verbosity = Verbosity::of(options);
        self.welcome = welcome(options);
        self.recv_hwm = unlimited(options.recv_hwm);
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {
        self.distributor.attached();
    }

    /// Nothing can have been sent before: the peer was not connected.
    fn established(&mut self, peers: &mut Peers, id: PeerId) {
        self.distributor.established(id);
        if let Some(welcome) = &self.welcome {
            self.distributor
                .send_unasked(peers, id, Outgoing::Message(welcome));
        }
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        self.ended(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        self.ended(id);
    }

    fn forget(&mut self, id: PeerId) {
        let XpubPattern {
            distributor,
            asked,
            verbosity,
            inbox,
            ..
        } = self;
        match asked {
            Some(asked) => {
                asked
                    .subscriptions
                    .remove_peer(id, told_of_all(inbox, id).as_told());
                distributor.forget(id, None);
            }
            None => distributor.forget(id, told(inbox, id, *verbosity).as_told()),
        }
        self.inbox.forget(id);
        self.held_up.remove(id);
    }

    fn remembers(&self, id: PeerId) -> bool {
        let asked = self.asked.as_ref();
        self.distributor.remembers(id)
            || asked.is_some_and(|asked| asked.subscriptions.is_removing(id))
    }

    fn forget_more(&mut self, over: &dyn Fn() -> bool) -> Option<PeerId> {
        loop {
            let XpubPattern {
                distributor,
                asked,
                verbosity,
                inbox,
                ..
            } = self;
            let asked = asked.as_mut().map(|asked| &mut asked.subscriptions);
            let id = match asked.filter(|asked| asked.is_removing_any()) {
                Some(asked) => {
                    let id = asked.removing()?;
                    asked.remove_more(over, told_of_all(inbox, id).as_told())
                }
                None => {
                    let manual = self.asked.is_some();
                    let id = distributor.forgetting()?;
                    let mut teller = told(inbox, id, *verbosity);
                    let told = if manual { None } else { teller.as_told() };
                    distributor.forget_more(over, told)
                }
            }?;
            if !self.remembers(id) {
                return Some(id);
            }
        }
    }

    fn is_forgetting(&self) -> bool {
        let asked = self.asked.as_ref();
        self.distributor.is_forgetting()
            || asked.is_some_and(|asked| asked.subscriptions.is_removing_any())
    }

    fn holds_subscriptions(&self) -> bool {
        true
    }

    fn waiting(&self, id: PeerId) -> usize {
        self.inbox.count(id)
    }

    fn has_more(&self) -> bool {
        !self.inbox.queue.is_empty()
    }

    /// What strangers send is taken at once, as it may be subscriptions, and has its limit where it is read. Peers of this process
    /// are held back by what is not taken.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        let most = match peers.is_within(id) {
            true => self.recv_hwm,
            false => usize::MAX,
        };
        self.take_in(peers, id, most)
    }

    fn topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) -> Result<(), ProtocolError> {
        if subscribe {
            match &self.asked {
                Some(asked) => asked.allowed.check(&asked.subscriptions, id, topic)?,
                None => self.distributor.check(id, topic)?,
            }
        }
        self.own_topic(id, topic, subscribe);
        Ok(())
    }

    fn own_topic(&mut self, id: PeerId, topic: &[u8], subscribe: bool) {
        let told = match (&mut self.asked, subscribe) {
            (Some(asked), true) => {
                asked.subscriptions.insert(id, topic);
                true
            }
            (Some(asked), false) => {
                asked.subscriptions.remove(id, topic);
                true
            }
            (None, true) => match self.distributor.subscribe(id, topic) {
                Inserted::First => true,
                Inserted::Added | Inserted::Duplicate => self.verbosity != Verbosity::Changes,
            },
            // libzmq tells of the end of a subscription that was never made: behind a proxy, that would end another's.
            (None, false) => match self.distributor.unsubscribe(id, topic) {
                Removed::Last => true,
                Removed::NotLast => self.verbosity == Verbosity::All,
                Removed::NotThere => false,
            },
        };
        if told {
            self.inbox.push_subscription(id, topic, subscribe);
        }
    }

    fn clear(&mut self, peers: &mut Peers) {
        self.inbox.closed = true;
        for Waiting { what, .. } in self.inbox.queue.drain(..) {
            if let Upstream::Message(message) = what {
                peers.discard(message);
            }
        }
        self.inbox.counts.clear();
    }

    fn would_send(&mut self, peers: &mut Peers) -> bool {
        self.distributor.would_send(peers)
    }

    fn keeps_unsent(&self) -> bool {
        false
    }
}
