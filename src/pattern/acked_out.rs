//! Messages that are to be settled, on the side of a PUSH or a DEALER: the [`Sender`] of acknowledged delivery, over peers.

mod fates;
mod notes;
mod outcomes;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use fates::{DeadLetter, DeadReason, JobId, Settled};
use notes::Orders;
pub(super) use notes::Receipts;

use crate::Delivery;
use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent, unlimited};
use crate::message::{COPY_MAX, Message};
use crate::monitor::PeerRefusal;
use crate::options::Share;
use crate::pattern::Admission;
use crate::pattern::acked_in::HeldJob;
use crate::pattern::stored::{Resumed, SpoolNote, Stored};
use crate::spool::{Notes, OpenSpool};
use crate::stats::DeliveryStats;
use crate::zmtp::ProtocolError;
use crate::zmtp::delivery::{
    Content, DeliveryError, Held, Hello, Id, Notice, PROPERTY, Party, Policy, Room, Run, Sender,
    Terms, put_revoke, put_run,
};

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
pub(crate) struct AckedOut {
    hello: Hello,
    required: bool,
    /// As many messages are held at the most.
    send_hwm: usize,
    /// For so long messages may be unsettled.
    ttl: Option<Duration>,
    orders: Option<Orders>,
    sender: Sender<Message>,
    dead: VecDeque<DeadLetter>,
    most_dead: usize,
    dead_dropped: u64,
    receipts: Receipts,
    /// Messages that were passed on, by their numbers: what they are where they came from, and who has passed them on.
    relayed: HashMap<u64, (RelayId, HeldJob)>,
    /// Those that are finished.
    relayed_ends: VecDeque<(RelayId, HeldJob, Settled)>,
    /// Messages are also on disk.
    stored: Option<Stored>,
    /// For when somebody was last asked to come.
    armed: Option<Instant>,
    /// All messages are for one peer.
    addressed: Option<Addressed>,
    /// Reused.
    frame: Vec<u8>,
}

/// What there is besides where all messages are for one peer, whose connection is number 0.
struct Addressed {
    /// The last one that there was.
    peer: PeerId,
    /// The last number of the stream that was given, to whichever peer.
    numbers: Arc<AtomicU64>,
}

/// A name for a stream, or a receiver, that no other has.
pub(super) fn new_id() -> Id {
    // The system's randomness, which each of these has its share of; and the process, since a child of a fork has the same.
    let half = || RandomState::new().hash_one((std::process::id(), Instant::now()));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half().to_le_bytes());
    id[8..].copy_from_slice(&half().to_le_bytes());
    id
}

/// Names somebody who passes messages on, and what has become of them back.
pub(crate) type RelayId = u64;

/// What a peer has said of acknowledged delivery.
fn hello_of(peers: &Peers, id: PeerId) -> Result<Option<Hello>, PeerRefusal> {
    let value = match peers.facts(id) {
        Some(facts) if !peers.is_within(id) && facts.version().has_commands() => {
            facts.property(PROPERTY)
        }
        Some(_) | None => None,
    };
    let Some(value) = value else {
        return Ok(None);
    };
    match Hello::parse(value) {
        Some(hello) => Ok(Some(hello)),
        None => Err(PeerRefusal::MalformedDelivery),
    }
}

/// The peer as a receiver that settles, and its window, if it is one.
pub(super) fn receiver_of(peers: &Peers, id: PeerId) -> Result<Option<(Party, u64)>, PeerRefusal> {
    let hello = hello_of(peers, id)?;
    let receiver = hello.filter(|hello| hello.window > 0);
    Ok(receiver.map(|hello| (party(peers, id, &hello), hello.window)))
}

/// The peer as one that numbers what it sends, if it does.
pub(super) fn sender_of(peers: &Peers, id: PeerId) -> Result<Option<Party>, PeerRefusal> {
    let hello = hello_of(peers, id)?;
    Ok(hello.map(|hello| party(peers, id, &hello)))
}

fn party(peers: &Peers, id: PeerId, hello: &Hello) -> Party {
    let facts = peers.facts(id);
    Party {
        id: hello.id,
        principal: facts.and_then(|facts| facts.principal().cloned()),
    }
}

/// Whether a peer is let in, for what it has said of acknowledged delivery.
pub(super) fn admit<T>(agreed: Result<Option<T>, PeerRefusal>, required: bool) -> Admission {
    match agreed {
        Err(refusal) => Admission::Refused(refusal),
        Ok(None) if required => Admission::Refused(PeerRefusal::NoDelivery),
        Ok(_) => Admission::Granted,
    }
}

/// What is sent, as it is held.
fn content(outgoing: Outgoing<'_>) -> Content<'_, Message> {
    match outgoing {
        Outgoing::Slice(slice) if slice.len() < COPY_MAX => Content::Short(slice),
        _ => Content::Whole(outgoing.to_message()),
    }
}

/// What is held, as it is sent.
fn outgoing(held: Held<'_, Message>) -> Outgoing<'_> {
    match held {
        Held::Short(slice) => Outgoing::Slice(slice),
        Held::Whole(message) => Outgoing::Message(message),
    }
}

impl AckedOut {
    /// So many messages may be unsettled, 0 for any number.
    pub(super) fn set_send_hwm(&mut self, send_hwm: usize) {
        self.send_hwm = unlimited(send_hwm);
    }

    /// Whether peers have shares, of which the next ones are told.
    pub(super) fn weighing(mut self, weighs: bool) -> Self {
        self.set_weighs(weighs);
        self
    }

    pub(super) fn set_weighs(&mut self, weighs: bool) {
        self.sender.set_weighs(weighs);
    }

    /// A peer's share is this.
    pub(super) fn set_share(&mut self, peers: &mut Peers, id: PeerId, share: Share) {
        self.sender.set_share(id, share.priority, share.weight);
        self.dispatch(peers);
    }

    pub(super) fn new(delivery: &Delivery, send_hwm: usize) -> Self {
        let id = new_id();
        let policy = Policy {
            grace: delivery.grace,
            backoff: delivery.backoff,
            limit: delivery.limit,
        };
        let seed = RandomState::new().hash_one(id);
        AckedOut {
            hello: Hello { id, window: 0 },
            required: delivery.required,
            send_hwm: unlimited(send_hwm),
            ttl: delivery.ttl,
            orders: delivery.ordered_by.map(Orders::by),
            sender: Sender::new(policy, seed),
            dead: VecDeque::new(),
            most_dead: delivery.dead_letters,
            dead_dropped: 0,
            receipts: Receipts::default(),
            relayed: HashMap::new(),
            relayed_ends: VecDeque::new(),
            stored: None,
            armed: None,
            addressed: None,
            frame: Vec::new(),
        }
    }

    /// One whose messages are all for the same peer, in a stream with others.
    pub(super) fn for_one(
        delivery: &Delivery,
        send_hwm: usize,
        stream: Id,
        numbers: Arc<AtomicU64>,
    ) -> Self {
        let mut acked = AckedOut::new(delivery, send_hwm);
        acked.hello.id = stream;
        acked.addressed = Some(Addressed { peer: 0, numbers });
        acked
    }

    /// The peer at the other end of a connection of the [`Sender`].
    fn peer(&self, connection: usize) -> PeerId {
        match &self.addressed {
            Some(addressed) => addressed.peer,
            None => connection,
        }
    }

    /// The connection to a peer.
    fn connection(&self, id: PeerId) -> usize {
        match &self.addressed {
            Some(_) => 0,
            None => id,
        }
    }

    /// Who may have the messages that are held will not be back: they are dead letters.
    pub(super) fn abandon(&mut self, peers: &mut Peers) {
        self.sender.abandon();
        self.collect(peers);
    }

    /// Messages are also in this spool from now on, of whose changes notes are made.
    pub(crate) fn store_in(&mut self, spool: &OpenSpool, notes: Arc<Notes<SpoolNote>>) {
        self.hello.id = spool.stream_id();
        let first = Stored::first_unstored(spool.incarnation());
        self.sender.number_from(first);
        let backlog = spool.len().saturating_sub(spool.dead_count());
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        self.stored = Some(Stored::new(notes, backlog));
    }

    /// Keeps a place for a message that is about to be stored: [`send_stored`](Self::send_stored) or [`release`](Self::release) follows. `None`: there is no
    /// room.
    pub(crate) fn reserve(
        &mut self,
        peers: &Peers,
        outgoing: Outgoing<'_>,
    ) -> Option<Result<(), Excess>> {
        if let Some(excess) = self.excess(peers, outgoing) {
            return Some(Err(excess));
        }
        if !self.would_send() {
            return None;
        }
        self.stored.as_mut()?.reserve(1);
        Some(Ok(()))
    }

    /// The same for up to so many messages of one frame: how many places there are, and that they are for messages shorter than this. `None`: there is no
    /// room.
    pub(crate) fn reserve_many(&mut self, peers: &Peers, most: usize) -> Option<(usize, usize)> {
        if !self.would_send() {
            return None;
        }
        let all = self.sender.connections();
        let below = all.map(|connection| peers.any_below(self.peer(connection)));
        let below = below.max().unwrap_or(COPY_MAX);
        let stored = self.stored.as_mut()?;
        let room = self.send_hwm - self.sender.len() - stored.reserved();
        let places = most.min(room);
        stored.reserve(places);
        Some((places, below))
    }

    /// Messages for which places were kept were not stored.
    pub(crate) fn release(&mut self, places: usize) {
        if let Some(stored) = &mut self.stored {
            stored.release(places);
        }
    }

    /// Sends a message that has a place, and in the spool this number; with `receipt`, what becomes of it is [told](Self::settled_as).
    pub(crate) fn send_stored(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        number: u64,
        receipt: bool,
    ) -> JobId {
        self.release(1);
        if receipt {
            self.receipts.add(number);
        }
        let slice = outgoing.slice();
        if !slice.is_some_and(|slice| self.send_now(peers, slice, Some(number))) {
            let terms = self.terms(outgoing, Duration::ZERO);
            self.sender.hold(content(outgoing), number, terms);
            self.dispatch(peers);
        }
        JobId {
            stream: self.hello.id,
            number,
        }
    }

    /// Whether the call that has sent a message is to look for what workers have said of others.
    pub(crate) fn is_look_due(&mut self) -> bool {
        let stored = self.stored.as_mut();
        stored.is_some_and(|stored| stored.is_look_due(Instant::now()))
    }

    /// For how many more messages of the spool there is room. `None`: all are here.
    pub(crate) fn wanted(&self) -> Option<usize> {
        let backlog = self.backlog();
        let room = self.send_hwm.saturating_sub(self.sender.len());
        (backlog > 0).then_some(room.min(backlog))
    }

    /// Messages that the spool holds of an earlier socket; after those, so many are there.
    pub(crate) fn resume(&mut self, peers: &mut Peers, messages: Vec<Resumed>, left: usize) {
        for resumed in messages {
            let stored = self.stored.as_ref();
            if !stored.is_some_and(|stored| stored.is_replayed(resumed.number)) {
                self.take_up(resumed);
            }
        }
        if let Some(stored) = &mut self.stored {
            stored.set_backlog(left);
        }
        self.dispatch(peers);
    }

    /// A dead letter is about to be replayed.
    pub(crate) fn note_replay(&mut self, number: u64) {
        if let Some(stored) = &mut self.stored {
            stored.note_replay(number);
        }
    }

    /// That is no dead letter any more.
    pub(crate) fn replay(&mut self, peers: &mut Peers, message: Resumed) {
        self.take_up(message);
        self.dispatch(peers);
    }

    fn take_up(&mut self, message: Resumed) {
        let Resumed {
            message,
            number,
            deliveries,
            due,
            age,
            replayed,
        } = message;
        self.take_in(message, age, |acked, content, terms| {
            let sender = &mut acked.sender;
            match replayed {
                // Receivers that have settled it take what was never delivered for another message.
                true => sender.hold(content, number, terms),
                false => sender.resume(content, number, deliveries, due, terms),
            }
        });
    }

    /// Has a message held, which is so old, by `hold`.
    fn take_in(
        &mut self,
        message: Message,
        age: Duration,
        hold: impl FnOnce(&mut Self, Content<'_, Message>, Terms),
    ) {
        let outgoing = Outgoing::of(&message);
        let terms = self.terms(outgoing, age);
        let content = match outgoing.slice() {
            Some(slice) => Content::Short(slice),
            None => Content::Whole(message),
        };
        hold(self, content, terms);
    }

    /// What there is to be observed with a message that is so old.
    #[inline]
    fn terms(&self, outgoing: Outgoing<'_>, age: Duration) -> Terms {
        let expires = |ttl: Duration| Instant::now().checked_add(ttl.saturating_sub(age));
        Terms {
            expires: self.ttl.and_then(expires),
            order: self.orders.as_ref().and_then(|orders| orders.of(outgoing)),
        }
    }

    /// Says how far the spool is safe. `None`: it is no further, and never will be.
    pub(crate) fn set_durable(&mut self, upto: Option<u64>) {
        if let Some(stored) = &mut self.stored {
            stored.set_durable(upto);
        }
    }

    /// Whether a message is safe. `None`: not yet.
    pub(crate) fn is_durable(&self, number: u64) -> Option<bool> {
        self.stored
            .as_ref()
            .map_or(Some(false), |stored| stored.is_durable(number))
    }

    pub(super) fn safety_known_below(&self) -> u64 {
        self.stored
            .as_ref()
            .map_or(u64::MAX, Stored::safety_known_below)
    }

    fn backlog(&self) -> usize {
        self.stored.as_ref().map_or(0, Stored::backlog)
    }

    pub(super) fn hello(&self) -> Hello {
        self.hello
    }

    pub(super) fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<()> {
        if let Some(slice) = outgoing.slice()
            && self.stored.is_none()
            && self.sender.len() < self.send_hwm
            && self.send_now(peers, slice, None)
        {
            return Some(());
        }
        self.offer(peers, outgoing)?;
        self.dispatch(peers);
        Some(())
    }

    /// Sends a short message, of which there is nothing to be observed, if it can be sent at once. `false`: it has not been taken.
    #[inline]
    fn send_now(&mut self, peers: &mut Peers, slice: &[u8], number: Option<u64>) -> bool {
        if self.ttl.is_some()
            || self.orders.is_some()
            || self.addressed.is_some()
            || slice.len() >= COPY_MAX
        {
            return false;
        }
        let outgoing = Outgoing::Slice(slice);
        let next = self
            .sender
            .offer_now(slice, number, |id| match peers.has_room(id) {
                true if peers.excess(id, outgoing).is_none() => Room::Free,
                _ => Room::Full,
            });
        let Some(next) = next else {
            return false;
        };
        self.say_run(peers, next.connection, next.run);
        peers.send_held(next.connection, outgoing, false);
        true
    }

    /// Says which number the next message for a peer has.
    fn say_run(&mut self, peers: &mut Peers, id: PeerId, run: Option<Run>) {
        if let Some(run) = run {
            self.frame.clear();
            put_run(&mut self.frame, run);
            peers.send_commands(id, &self.frame);
        }
    }

    /// The same; what becomes of it is [told](Self::settled_as).
    pub(crate) fn send_later(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
    ) -> Option<JobId> {
        let number = self.offer(peers, outgoing)?;
        self.receipts.add(number);
        self.dispatch(peers);
        Some(JobId {
            stream: self.hello.id,
            number,
        })
    }

    /// The same for a message that came as a job, which is taken: what has become of the message is what has become of it, and
    /// [told](Self::next_relayed) to who has passed it on. It is no dead letter here.
    pub(crate) fn relay(
        &mut self,
        peers: &mut Peers,
        outgoing: Outgoing<'_>,
        relay: RelayId,
        job: &mut Option<HeldJob>,
    ) -> Option<()> {
        let number = self.offer(peers, outgoing)?;
        if let Some(job) = job.take() {
            self.relayed.insert(number, (relay, job));
        }
        self.dispatch(peers);
        Some(())
    }

    fn offer(&mut self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<u64> {
        // What is to be stored goes another way.
        if self.stored.is_some()
            || self.sender.len() >= self.send_hwm
            || self.excess(peers, outgoing).is_some()
        {
            return None;
        }
        let terms = self.terms(outgoing, Duration::ZERO);
        Some(self.hold(content(outgoing), false, terms))
    }

    fn hold(&mut self, content: Content<'_, Message>, sent: bool, terms: Terms) -> u64 {
        let Some(Addressed { numbers, .. }) = &self.addressed else {
            return self.sender.offer(content, sent, terms);
        };
        let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
        self.sender.hold(content, number, terms);
        number
    }

    pub(crate) fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess> {
        let all = self.sender.connections();
        let all = all.map(|connection| self.peer(connection));
        let (_, excess) = peers.refused_by_all(all, outgoing)?;
        Some(excess)
    }

    pub(super) fn would_send(&self) -> bool {
        match &self.stored {
            Some(stored) => {
                stored.backlog() == 0 && self.sender.len() + stored.reserved() < self.send_hwm
            }
            None => self.sender.len() < self.send_hwm,
        }
    }

    /// Sends what can be sent.
    pub(super) fn dispatch(&mut self, peers: &mut Peers) {
        if self.ttl.is_some() {
            self.expire(peers);
        }
        let only = self.addressed.as_ref().map(|addressed| addressed.peer);
        loop {
            let next = self.sender.next(|connection, held| {
                let id = only.unwrap_or(connection);
                if peers.excess(id, outgoing(held)).is_some() {
                    return Room::Refuses;
                }
                match peers.has_room(id) || !peers.await_room(id) {
                    true => Room::Free,
                    false => Room::Full,
                }
            });
            let Some(next) = next else {
                break;
            };
            let id = only.unwrap_or(next.connection);
            self.say_run(peers, id, next.run);
            if let Some(held) = self.sender.payload(next.key) {
                peers.send_held(id, outgoing(held), next.again);
            }
            if next.plain {
                self.sender.handed_over(next.key);
            }
        }
        self.collect(peers);
    }

    /// Sees to the messages whose time is over, and to it that somebody comes when that of the next one is.
    fn expire(&mut self, peers: &mut Peers) {
        let now = Instant::now();
        self.sender.expire(now);
        for (connection, tags) in self.sender.revoked() {
            self.frame.clear();
            put_revoke(&mut self.frame, &tags);
            peers.send_commands(self.peer(connection), &self.frame);
        }
        if let Some(deadline) = self.sender.deadline()
            && self.armed.is_none_or(|at| deadline < at || at <= now)
        {
            self.armed = Some(deadline);
            peers.prompt();
        }
    }

    pub(super) fn admit(&self, peers: &Peers, id: PeerId) -> Admission {
        admit(receiver_of(peers, id), self.required)
    }

    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId) {
        // One whose property is malformed is not let in.
        let receiver = receiver_of(peers, id).ok().flatten();
        if let Some(addressed) = &mut self.addressed {
            addressed.peer = id;
        }
        let settles = receiver.is_some();
        self.sender.opened(self.connection(id), receiver);
        peers.set_held(id, settles);
        if !settles {
            peers.tell_unacknowledged(id);
        }
        self.dispatch(peers);
    }

    pub(super) fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        let connection = self.connection(id);
        let held = self.sender.is_acknowledged(connection);
        self.sender.closed(connection, unsent.len(), Instant::now());
        match held {
            true => unsent
                .into_iter()
                .for_each(|unsent| peers.discard(unsent.message)),
            false => self.offer_again(unsent),
        }
        self.dispatch(peers);
    }

    /// What a peer that settles nothing was not sent goes to another.
    pub(super) fn orphaned(&mut self, peers: &mut Peers, unsent: Vec<Unsent>) {
        self.offer_again(unsent);
        self.dispatch(peers);
    }

    fn offer_again(&mut self, unsent: Vec<Unsent>) {
        for unsent in unsent {
            self.take_in(unsent.message, Duration::ZERO, |acked, content, terms| {
                acked.hold(content, true, terms);
            });
        }
    }

    pub(super) fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let connection = self.connection(id);
        if !self.sender.is_acknowledged(connection) {
            return Ok(());
        }
        match notice {
            Notice::Settle(data) => Ok(self.sender.settle(connection, data, now)?),
            Notice::Run(_) => Err(DeliveryError::WrongSide { command: "RUN" }.into()),
            Notice::Revoke(_) => Err(DeliveryError::WrongSide { command: "REVOKE" }.into()),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sender.deadline()
    }

    pub(super) fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        self.sender.handle_timeout(now);
        self.dispatch(peers);
    }

    pub(super) fn clear(&mut self, peers: &mut Peers) {
        for message in self.sender.clear() {
            peers.discard(message);
        }
        for dead in self.dead.drain(..) {
            peers.discard(dead.message);
        }
        // What it has to say of them has been said.
        self.stored = None;
    }

    pub(super) fn unsettled(&self) -> usize {
        self.sender.len().saturating_add(self.backlog())
    }

    pub(super) fn stats(&self) -> DeliveryStats {
        let counts = self.sender.counts();
        DeliveryStats {
            unsettled: self.unsettled(),
            settled: counts.settled,
            retried: counts.retried,
            dead: counts.dead,
            dead_dropped: self.dead_dropped,
        }
    }
}
