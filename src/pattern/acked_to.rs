//! Messages that are to be settled, each by the one peer that it is for: how a ROUTER sends where that is asked for.
//!
//! ```text
//!             established                 detached
//!  (nobody) ─────────────▶ with its peer ─────────▶ away: messages are held for the same peer
//!                              ▲                      │      │ grace, or another peer of the name
//!                              └──── established ─────┘      └─▶ (nobody): they are dead letters
//! ```
//!
//! Each name has an [`AckedOut`] of its own, all with numbers of one stream: a message has one number, whoever it is for.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use slab::Slab;

use super::acked_out::{AckedOut, DeadLetter, JobId, Receipts, Settled, receiver_of, sender_of};
use super::router::Unroutable;
use super::routes::Name;
use crate::Delivery;
use crate::engine::{Outgoing, PeerId, Peers, Unsent};
use crate::stats::DeliveryStats;
use crate::zmtp::ProtocolError;
use crate::zmtp::delivery::{Id, Notice, Party};

/// See the module. Its methods are those of a [`Pattern`](super::Pattern) of the same names.
pub(super) struct AckedTo<N> {
    delivery: Delivery,
    send_hwm: usize,
    stream: Id,
    /// The last number that was given.
    numbers: Arc<AtomicU64>,
    addresses: Slab<Address<N>>,
    by_name: HashMap<N, usize>,
    by_peer: HashMap<PeerId, usize>,
    /// When addresses have something to do.
    due: BTreeSet<(Instant, usize)>,
    dead: VecDeque<DeadLetter>,
    dead_dropped: u64,
    /// Of messages for any name, also for those that nobody has any more.
    receipts: Receipts,
    /// What was counted for names that nobody has any more.
    past: DeliveryStats,
}

/// What there is for one name.
struct Address<N> {
    name: N,
    out: AckedOut,
    /// `None`: it is away.
    peer: Option<PeerId>,
    /// Whose messages these are: the last one of this name. `None`: one that settles nothing.
    receiver: Option<Party>,
    /// Then the peer has been away for too long.
    over: Option<Instant>,
    /// What it is in the list of those that are due.
    due: Option<Instant>,
}

impl<N: Name> AckedTo<N> {
    pub(super) fn new(delivery: &Delivery, send_hwm: usize, stream: Id) -> Self {
        AckedTo {
            delivery: delivery.clone(),
            send_hwm,
            stream,
            numbers: Arc::new(AtomicU64::new(0)),
            addresses: Slab::new(),
            by_name: HashMap::new(),
            by_peer: HashMap::new(),
            due: BTreeSet::new(),
            dead: VecDeque::new(),
            dead_dropped: 0,
            receipts: Receipts::default(),
            past: DeliveryStats::default(),
        }
    }

    /// So many messages may be unsettled for each peer.
    pub(super) fn set_send_hwm(&mut self, send_hwm: usize) {
        self.send_hwm = send_hwm;
        for (_, address) in &mut self.addresses {
            address.out.set_send_hwm(send_hwm);
        }
    }

    /// Whether there is a peer of this name, or one may be back.
    pub(super) fn knows(&self, name: &N::Key) -> bool {
        self.by_name.contains_key(name)
    }

    /// The name that a peer had which is away, if this one is it.
    pub(super) fn name_before(&self, peers: &Peers, id: PeerId) -> Option<N> {
        let receiver = sender_of(peers, id).ok().flatten()?;
        let mut addresses = self.addresses.iter().map(|(_, address)| address);
        let address = addresses.find(|address| {
            address.peer.is_none() && address.receiver.as_ref() == Some(&receiver)
        })?;
        Some(address.name.clone())
    }

    pub(super) fn send(
        &mut self,
        peers: &mut Peers,
        name: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Unroutable> {
        let (at, address) = self.address(name)?;
        let sent = address.out.send(peers, outgoing);
        self.sent(peers, at, outgoing, sent)
    }

    /// The same; what becomes of the message is [told](Self::settled_as).
    pub(super) fn send_later(
        &mut self,
        peers: &mut Peers,
        name: &N::Key,
        outgoing: Outgoing<'_>,
    ) -> Result<JobId, Unroutable> {
        let (at, address) = self.address(name)?;
        let sent = address.out.send_later(peers, outgoing);
        if let Some(id) = sent {
            self.receipts.add(id.number);
        }
        self.sent(peers, at, outgoing, sent)
    }

    fn address(&mut self, name: &N::Key) -> Result<(usize, &mut Address<N>), Unroutable> {
        let at = *self.by_name.get(name).ok_or(Unroutable::NoSuchPeer)?;
        let address = self.addresses.get_mut(at).ok_or(Unroutable::NoSuchPeer)?;
        Ok((at, address))
    }

    /// A message has been sent to an address, or there was no room.
    fn sent<T>(
        &mut self,
        peers: &mut Peers,
        at: usize,
        outgoing: Outgoing<'_>,
        sent: Option<T>,
    ) -> Result<T, Unroutable> {
        let sent = sent.ok_or_else(|| {
            let address = self.addresses.get(at);
            let excess = address.and_then(|address| address.out.excess(peers, outgoing));
            excess.map_or(Unroutable::NoRoom, Unroutable::TooLarge)
        });
        self.look_after(peers, at);
        sent
    }

    /// What has become of a message with a receipt, if that is known.
    pub(super) fn settled_as(&self, number: u64) -> Option<Settled> {
        self.receipts.fate(number)
    }

    /// The messages with receipts that have been settled since this was last asked.
    pub(super) fn take_settled(&mut self) -> Vec<u64> {
        self.receipts.take_told()
    }

    pub(super) fn forget_receipt(&mut self, number: u64) {
        self.receipts.forget(number);
    }

    /// A peer of this name is there.
    pub(super) fn established(&mut self, peers: &mut Peers, id: PeerId, name: &N) {
        let receiver = receiver_of(peers, id).ok().flatten();
        let receiver = receiver.map(|(receiver, _)| receiver);
        let at = match self.by_name.get(name.borrow()) {
            Some(&at) => at,
            None => {
                let numbers = Arc::clone(&self.numbers);
                let out = AckedOut::for_one(&self.delivery, self.send_hwm, self.stream, numbers);
                let at = self.addresses.insert(Address {
                    name: name.clone(),
                    out,
                    peer: None,
                    receiver: receiver.clone(),
                    over: None,
                    due: None,
                });
                self.by_name.insert(name.clone(), at);
                at
            }
        };
        let Some(address) = self.addresses.get_mut(at) else {
            return;
        };
        if let Some(before) = address.peer.replace(id) {
            self.by_peer.remove(&before);
            address.out.detached(peers, before, Vec::new());
        }
        if receiver.is_none() || receiver != address.receiver {
            address.out.abandon(peers);
        }
        address.receiver = receiver;
        address.over = None;
        self.by_peer.insert(id, at);
        address.out.established(peers, id);
        self.look_after(peers, at);
    }

    pub(super) fn detached(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        let Some(at) = self.by_peer.remove(&id) else {
            return unsent
                .into_iter()
                .for_each(|unsent| peers.discard(unsent.message));
        };
        let Some(address) = self.addresses.get_mut(at) else {
            return;
        };
        address.out.detached(peers, id, unsent);
        address.peer = None;
        let grace = match address.receiver {
            Some(_) => self.delivery.grace,
            None => Duration::ZERO,
        };
        let now = Instant::now();
        address.over = Some(now.checked_add(grace).unwrap_or(now));
        if grace.is_zero() {
            return self.give_up(peers, at);
        }
        self.look_after(peers, at);
    }

    /// Nobody has the name any more.
    fn give_up(&mut self, peers: &mut Peers, at: usize) {
        if let Some(address) = self.addresses.get_mut(at) {
            address.out.abandon(peers);
        }
        self.look_after(peers, at);
        let Some(address) = self.addresses.try_remove(at) else {
            return;
        };
        self.by_name.remove(address.name.borrow());
        if let Some(due) = address.due {
            self.due.remove(&(due, at));
        }
        self.past.add(address.out.stats());
    }

    /// Sees to what has become of the messages for one name, and to when there is more to do.
    fn look_after(&mut self, peers: &mut Peers, at: usize) {
        let Some(address) = self.addresses.get_mut(at) else {
            return;
        };
        for (number, settled) in address.out.take_fates() {
            self.receipts.tell(number, &settled);
        }
        for mut dead in address.out.take_dead() {
            dead.peer = address.name.routing_id();
            self.dead.push_back(dead);
        }
        let deadline = address.out.deadline().into_iter().chain(address.over).min();
        let before = std::mem::replace(&mut address.due, deadline);
        if before != deadline {
            if let Some(before) = before {
                self.due.remove(&(before, at));
            }
            if let Some(deadline) = deadline {
                self.due.insert((deadline, at));
                peers.prompt();
            }
        }
        while self.dead.len() > self.delivery.dead_letters {
            self.dead_dropped += 1;
            if let Some(dropped) = self.dead.pop_front() {
                peers.discard(dropped.message);
            }
        }
    }

    /// The messages that are delivered no more, since this was last asked.
    pub(super) fn take_dead(&mut self) -> Vec<DeadLetter> {
        self.dead.drain(..).collect()
    }

    /// A peer has settled messages, or has room again.
    pub(super) fn dispatch(&mut self, peers: &mut Peers, id: PeerId) {
        let Some(&at) = self.by_peer.get(&id) else {
            return;
        };
        if let Some(address) = self.addresses.get_mut(at) {
            address.out.dispatch(peers);
        }
        self.look_after(peers, at);
    }

    pub(super) fn delivery(
        &mut self,
        id: PeerId,
        notice: Notice<'_>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let at = self.by_peer.get(&id);
        match at.and_then(|&at| self.addresses.get_mut(at)) {
            Some(address) => address.out.delivery(id, notice, now),
            None => Ok(()),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        while let Some(&(due, at)) = self.due.first()
            && due <= now
        {
            let Some(address) = self.addresses.get_mut(at) else {
                self.due.pop_first();
                continue;
            };
            if address.over.is_some_and(|over| over <= now) {
                self.give_up(peers, at);
                continue;
            }
            address.out.handle_timeout(peers, now);
            // What is not done by now is not due again before the next turn.
            self.due.remove(&(due, at));
            if let Some(address) = self.addresses.get_mut(at) {
                address.due = None;
            }
            self.look_after(peers, at);
            if self
                .addresses
                .get(at)
                .is_some_and(|address| address.due.is_some_and(|due| due <= now))
            {
                break;
            }
        }
    }

    pub(super) fn clear(&mut self, peers: &mut Peers) {
        for (_, address) in &mut self.addresses {
            address.out.clear(peers);
        }
        for dead in self.dead.drain(..) {
            peers.discard(dead.message);
        }
        self.due.clear();
    }

    pub(super) fn unsettled(&self) -> usize {
        let addresses = self.addresses.iter();
        addresses.map(|(_, address)| address.out.unsettled()).sum()
    }

    pub(super) fn stats(&self) -> DeliveryStats {
        let mut all = self.past;
        for (_, address) in &self.addresses {
            all.add(address.out.stats());
        }
        all.dead_dropped += self.dead_dropped;
        all
    }
}
