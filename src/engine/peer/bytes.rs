//! Limits in bytes for what waits to be sent to a peer, and for what it has sent: those of the socket, and the budget of the context.
//!
//! Only peers with such limits have a [`ByteLimits`], so that they cost nobody else anything. Sending then goes the general way, which asks for
//! room before it queues a message: one that does not fit makes the peer *full*, which shows as a mark of no messages at all, until
//! enough has been written. Reading asks before each read.
//!
//! With a budget, each peer may have [`SEND_FREE`] and [`READ_FREE`] in any case, so that short messages go on, and who has some of
//! the budget gives it back in time. For more it has to get a [`Share`] before the memory is used; for a long frame that is its whole length, so that
//! not many get a part of it each and none gets all, and until then it has nothing of the budget. Who gets none asks again when it needs less, or after
//! [`RETRY`].
//!
//! So memory comes back by itself from all but messages of several frames that are not whole: each may have some and need more. If such a message, or a
//! long frame, gets none, it gets the budget's reserve, which one at a time can have; of the peers of a socket that is the one that has
//! waited longest. Whoever has all that it needs and does not go on is in the way of others no longer than `handshake_timeout`: a message
//! that does not become whole within that while memory is scarce costs its connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pool::CHUNK;
use super::state::{Link, NOT_SENT_TO, Peer, PeerId, WRITE_AT};
use super::turn::Turn;
use super::wire::Reader;
use crate::engine::Outgoing;
use crate::engine::driving::budget::{Budget, Share};
use crate::engine::driving::timers::Timer;
use crate::monitor::DisconnectCause;
use crate::options::Options;
use crate::zmtp::MAX_HEADER;

/// What may be queued for a peer whatever is left of the budget: a chunk is used for it.
const SEND_FREE: usize = CHUNK;

/// What a peer may have sent whatever is left of the budget: a few short messages.
const READ_FREE: usize = 32 * 1024;

/// What is read at once from a peer for which nothing is left of the budget.
const SMALL_READ: usize = 4 * 1024;

/// After this time peers ask again for what they did not get of the budget.
const RETRY: Duration = Duration::from_millis(20);

/// So often messages that do not become whole are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct ByteLimits {
    /// How many bytes may wait to be sent.
    send: usize,
    /// How many bytes may wait to be received.
    recv: usize,
    /// Bytes taken out by a write that is under way without the lock.
    pub(super) in_flight: usize,
    /// Reading is paused because of these limits, and not of the number of messages.
    paused: bool,
    full: Option<Full>,
    /// With CURVE: a frame is sealed in memory of its own when its turn has come. So long is one at most of what is queued.
    longest: Option<usize>,
    shares: Option<Shares>,
}

/// What a peer has of the budget.
#[derive(Debug)]
struct Shares {
    sending: Share,
    receiving: Share,
    /// It was refused some to send.
    short: bool,
    /// Since when it is not read from, for want of some.
    waits: Option<Instant>,
    /// Since when a message holds some of it that is not whole, with none before it that is.
    unfinished: Option<Instant>,
}

/// A message has found no room.
#[derive(Debug, Clone, Copy)]
struct Full {
    /// Bytes of that message.
    wanted: usize,
    /// The mark in messages that holds when there is room again.
    send_hwm: usize,
}

/// How much may be read from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayRead {
    Any,
    Little,
    Nothing,
}

impl MayRead {
    /// At most so many bytes.
    pub(super) fn most(self) -> usize {
        match self {
            MayRead::Any => usize::MAX,
            MayRead::Little => SMALL_READ,
            MayRead::Nothing => 0,
        }
    }
}

impl ByteLimits {
    /// The limits for a peer behind a wire; `None`: there are none.
    pub(super) fn new(options: &Options, budget: Option<&Arc<Budget>>) -> Option<Box<Self>> {
        ByteLimits::with(options, budget.map(Shares::new))
    }

    /// By other options, with the same shares of the budget, which are taken from these.
    pub(super) fn renewed(&mut self, options: &Options) -> Option<Box<Self>> {
        let mut limits = ByteLimits::with(options, self.shares.take())?;
        limits.longest = limits.longest.max(self.longest);
        Some(limits)
    }

    fn with(options: &Options, shares: Option<Shares>) -> Option<Box<Self>> {
        let (send, recv) = (options.send_hwm_bytes, options.recv_hwm_bytes);
        (send != 0 || recv != 0 || shares.is_some()).then(|| {
            Box::new(ByteLimits {
                send: super::link::unlimited(send),
                recv: super::link::unlimited(recv),
                in_flight: 0,
                paused: false,
                full: None,
                longest: options.is_curve().then_some(0),
                shares,
            })
        })
    }

    /// How much of the budget it takes to queue so many bytes.
    fn share_of(&self, queued: usize) -> usize {
        let sealed = self.longest.unwrap_or(0).saturating_sub(CHUNK);
        queued.saturating_add(sealed).saturating_sub(SEND_FREE)
    }

    /// Up to how many bytes messages are gathered the short way, which does not look at these limits.
    pub(super) fn gathered_at_most(limits: Option<&Self>) -> usize {
        limits.map_or(WRITE_AT, |limits| {
            let free = limits.shares.as_ref().map_or(usize::MAX, |_| SEND_FREE);
            limits.send.min(free).min(WRITE_AT)
        })
    }
}

impl Shares {
    fn new(budget: &Arc<Budget>) -> Self {
        Shares {
            sending: Share::new(Arc::clone(budget)),
            receiving: Share::new(Arc::clone(budget)),
            short: false,
            waits: None,
            unfinished: None,
        }
    }

    /// Whether so many bytes may be queued beyond what is free; then there is a share for them.
    fn may_queue(&mut self, beyond: usize) -> bool {
        let granted = beyond <= self.sending.bytes() || self.sending.set(beyond);
        self.short |= !granted;
        granted
    }
}

impl Peer {
    /// Whether messages are queued for it at all, if it has room.
    #[inline]
    pub(super) fn is_sent_to(&self) -> bool {
        self.send_hwm != NOT_SENT_TO || self.is_full_of_bytes()
    }

    #[cold]
    pub(super) fn is_full_of_bytes(&self) -> bool {
        let limits = self.bytes.as_deref();
        limits.is_some_and(|limits| limits.full.is_some())
    }

    /// Sets the mark for messages, whatever the one for bytes is.
    pub(super) fn set_send_hwm(&mut self, hwm: usize) {
        if let Some(limits) = &mut self.bytes {
            limits.full = None;
        }
        self.send_hwm = hwm;
    }

    /// Sets the mark for messages. If it is full by bytes, it stays so.
    pub(super) fn set_normal_hwm(&mut self, hwm: usize) {
        match self
            .bytes
            .as_deref_mut()
            .and_then(|limits| limits.full.as_mut())
        {
            Some(full) => full.send_hwm = hwm,
            None => self.send_hwm = hwm,
        }
    }

    /// The mark for messages, whatever the one for bytes is.
    pub(super) fn normal_hwm(&self) -> usize {
        let full = self.bytes.as_deref().and_then(|limits| limits.full);
        full.map_or(self.send_hwm, |full| full.send_hwm)
    }

    /// Whether a message of so many bytes fits beside what is queued. One that is longer than the limit does if nothing is.
    fn fits(&mut self, len: usize) -> bool {
        let Some(limits) = &mut self.bytes else {
            return true;
        };
        let queued = self.outbound.bytes() + limits.in_flight;
        let sum = queued.saturating_add(len);
        let alone = self.outbound.messages() + self.in_flight == 0;
        if !alone && sum > limits.send {
            return false;
        }
        let longest = limits.longest;
        limits.longest = longest.map(|longest| longest.max(len));
        let needed = limits.share_of(sum);
        let shares = limits.shares.as_mut();
        let granted = shares.is_none_or(|shares| shares.may_queue(needed));
        if !granted {
            limits.longest = longest;
        }
        granted
    }

    /// What was queued has become less: there may be room again.
    #[inline]
    pub(super) fn review_room(&mut self) {
        if self.bytes.is_some() {
            self.review_bytes();
        }
    }

    #[cold]
    fn review_bytes(&mut self) {
        let Some(limits) = &mut self.bytes else {
            return;
        };
        let queued = self.outbound.bytes() + limits.in_flight;
        if queued == 0 {
            limits.longest = limits.longest.map(|_| 0);
        }
        let needed = limits.share_of(queued);
        if let Some(shares) = &mut limits.shares {
            shares.sending.shrink(needed);
        }
        if let Some(full) = limits.full
            && self.fits(full.wanted)
        {
            self.set_send_hwm(full.send_hwm);
        }
    }

    /// Whether there is room for a message beside what is queued, by the limits in bytes. If not, the peer is full from now on.
    #[cold]
    pub(super) fn has_room_for(&mut self, outgoing: Outgoing<'_>) -> bool {
        let (size, parts) = outgoing.extent();
        let wanted = size.saturating_add(parts.saturating_mul(MAX_HEADER));
        if self.fits(wanted) {
            return true;
        }
        let send_hwm = self.send_hwm;
        if let Some(limits) = &mut self.bytes {
            limits.full = Some(Full { wanted, send_hwm });
            self.send_hwm = NOT_SENT_TO;
        }
        false
    }

    /// Whether so much of what the peer has sent waits to be received that it is not to be read from. Its messages come first: one that
    /// is not whole could not be received.
    #[inline]
    pub(super) fn holds_enough_bytes(&self, whole: usize) -> bool {
        let Some(limits) = self.bytes.as_deref() else {
            return false;
        };
        whole > 0 && self.inbound.bytes() >= limits.recv
    }

    /// How much may be read by the budget; then there is a share for that.
    #[inline]
    pub(super) fn may_read(&mut self, now: Instant) -> MayRead {
        match self.bytes.as_deref() {
            Some(ByteLimits {
                shares: Some(_), ..
            }) => self.may_read_by_budget(now),
            Some(_) | None => MayRead::Any,
        }
    }

    /// The same beyond a mark, for which there is no share: up to as much as every peer may have.
    #[inline]
    pub(super) fn may_read_beyond(&self) -> MayRead {
        match self.is_in_budget() && self.awaits_memory() {
            true => MayRead::Nothing,
            false => MayRead::Any,
        }
    }

    /// Whether it shares the budget of a context.
    #[inline]
    pub(super) fn is_in_budget(&self) -> bool {
        let limits = self.bytes.as_deref();
        limits.is_some_and(|limits| limits.shares.is_some())
    }

    /// Whether a long frame is coming that there is no memory for yet.
    fn awaits_memory(&self) -> bool {
        let reader = match self.reader() {
            Some(reader) => reader.awaits_memory(),
            None => false,
        };
        reader || self.inbound.awaits_memory()
    }

    /// How much memory that takes which has come.
    fn memory_held(&self) -> usize {
        self.inbound.memory() + self.reader().map_or(0, Reader::memory)
    }

    /// How much it will take when it has been read once more.
    fn memory_to_read(&self) -> usize {
        let reader = self.reader().map_or(0, Reader::memory_to_read);
        self.inbound.memory_to_read().saturating_add(reader)
    }

    fn reader(&self) -> Option<&Reader> {
        match &self.link {
            Link::Up(up) => Some(&up.reader),
            Link::Down
            | Link::Connecting(_)
            | Link::Handshaking(_)
            | Link::Inproc(_)
            | Link::Gone => None,
        }
    }

    #[cold]
    fn may_read_by_budget(&mut self, now: Instant) -> MayRead {
        let needed = self.memory_to_read().saturating_sub(READ_FREE);
        let free = !self.awaits_memory() && self.memory_held() < READ_FREE;
        let Some(Shares {
            receiving, waits, ..
        }) = self
            .bytes
            .as_mut()
            .and_then(|limits| limits.shares.as_mut())
        else {
            return MayRead::Any;
        };
        let mut granted = receiving.set(needed);
        self.inbound.keeps_exactly = !granted;
        if !granted && free {
            return MayRead::Little;
        }
        if !granted && self.inbound.messages() == 0 {
            granted = receiving.set_from_reserve(needed);
        }
        match granted {
            true => *waits = None,
            false => *waits = waits.or(Some(now)),
        }
        match granted {
            true => MayRead::Any,
            false => MayRead::Nothing,
        }
    }

    /// Some of what the peer has sent has been taken: gives back what is no longer needed.
    #[inline]
    pub(super) fn give_back(&mut self) {
        if !self.is_in_budget() {
            return;
        }
        let held = self.memory_held();
        let Some(shares) = self
            .bytes
            .as_mut()
            .and_then(|limits| limits.shares.as_mut())
        else {
            return;
        };
        shares.receiving.shrink(held.saturating_sub(READ_FREE));
        if !self.paused {
            self.inbound
                .set_notice_below((self.inbound.messages() / 2).max(1));
        }
    }

    /// Something has come. What was granted for it and not needed goes back.
    #[cold]
    pub(super) fn has_read(&mut self, now: Instant) {
        self.give_back();
        let unfinished = self.inbound.messages() == 0;
        if let Some(shares) = self
            .bytes
            .as_mut()
            .and_then(|limits| limits.shares.as_mut())
        {
            let holds = unfinished && shares.receiving.bytes() > 0;
            if !holds {
                shares.receiving.leave_reserve();
            }
            shares.unfinished = match holds {
                true => shares.unfinished.or(Some(now)),
                false => None,
            };
        }
    }

    /// Whether some of a message has come, and not all of it.
    fn has_part_of_message(&self) -> bool {
        let within = match &self.link {
            Link::Up(up) => up.scanner.is_within_message(),
            Link::Down
            | Link::Connecting(_)
            | Link::Handshaking(_)
            | Link::Inproc(_)
            | Link::Gone => false,
        };
        within || self.inbound.has_part_of_frame()
    }

    /// Stops reading, because of the number of messages or of bytes.
    pub(super) fn pause_at_limit(&mut self, whole: usize) {
        let by_bytes = whole < self.recv_hwm;
        self.pause();
        if let Some(limits) = &mut self.bytes {
            limits.paused = by_bytes;
            if by_bytes {
                // Messages differ in length: with each that is taken, there may be few enough bytes.
                self.inbound.set_notice_below(usize::MAX);
            }
        }
    }

    /// The mark is another one: when it is to be looked at whether reading goes on.
    pub(super) fn mark_pause(&mut self) {
        let by_bytes = self.bytes.as_deref().is_some_and(|limits| limits.paused);
        if !by_bytes {
            self.inbound.set_notice_below(self.resume_at() + 1);
        }
    }

    /// Whether reading goes on with so many messages left.
    pub(super) fn may_resume(&self, remaining: usize) -> bool {
        match self.bytes.as_deref() {
            Some(limits) if limits.paused => {
                remaining == 0 || self.inbound.bytes() <= limits.recv / 2
            }
            Some(_) | None => remaining <= self.resume_at(),
        }
    }

    /// Whether it waits for some of the budget, or holds some for a message that is not whole.
    fn awaits_budget(&self) -> Option<Duration> {
        let shares = self.bytes.as_deref()?.shares.as_ref()?;
        // Behind whole messages it holds up nobody before those have been taken, and that is not told here.
        let holds = shares.receiving.bytes() > 0 && self.has_part_of_message();
        match (shares.short || shares.waits.is_some(), holds) {
            (true, _) => Some(RETRY),
            (false, true) => Some(LOOK),
            (false, false) => None,
        }
    }
}

impl Turn<'_> {
    /// Sees to it that a peer is looked after that waits for some of the budget.
    #[cold]
    pub(super) fn watch_budget(&mut self, id: PeerId) {
        if let Some(peer) = self.net.peers.slab.get(id)
            && let Some(delay) = peer.awaits_budget()
        {
            self.watch_budget_in(delay);
        }
    }

    fn watch_budget_in(&mut self, delay: Duration) {
        let at = self.now + delay;
        if self.net.budget_due.is_none_or(|due| at < due) {
            self.net.budget_due = Some(at);
            self.net.timers.arm(at, Timer::Budget);
        }
    }

    /// Peers that were refused some of the budget ask again, and those go that are in the way of others.
    pub(super) fn retry_budget(&mut self) {
        if self.net.budget_due.is_none_or(|due| due > self.now) {
            return;
        }
        self.net.budget_due = None;
        let patience = self.net.options.handshake_timeout;
        let waits = |peer: &Peer| peer.bytes.as_deref()?.shares.as_ref()?.waits;
        let peers = self.net.peers.slab.iter();
        let mut ids: Vec<(Option<Instant>, PeerId)> =
            peers.map(|(id, peer)| (waits(peer), id)).collect();
        // The last one asks first.
        ids.sort_unstable_by(|one, other| other.cmp(one));
        for (_, id) in ids {
            let Some(peer) = self.net.peers.slab.get_mut(id) else {
                continue;
            };
            let connected = matches!(peer.link, Link::Up(_));
            let Some(limits) = &mut peer.bytes else {
                continue;
            };
            let Some(shares) = &mut limits.shares else {
                continue;
            };
            let scarce = shares.receiving.budget().is_scarce();
            if peer.inbound.messages() == 0 && shares.receiving.bytes() > 0 {
                shares.unfinished = shares.unfinished.or(Some(self.now));
            }
            let late = shares.unfinished.is_some_and(|since| {
                let waited = self.now.saturating_duration_since(since);
                patience.is_some_and(|patience| waited >= patience)
            });
            if connected && scarce && late {
                self.connection_lost(id, DisconnectCause::MemoryBudget);
                continue;
            }
            let short = std::mem::take(&mut shares.short);
            if connected && shares.waits.is_some() && peer.paused && limits.paused {
                peer.resume();
                self.net.peers.resumable.push(id);
            } else {
                shares.waits = None;
            }
            if short {
                self.has_room_again(id);
            }
            self.watch_budget(id);
        }
    }

    /// Tells the pattern if a peer is no longer full.
    fn has_room_again(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        if !peer.is_full_of_bytes() {
            return;
        }
        peer.review_room();
        if peer.has_room() {
            self.announce_room(id);
        }
    }
}
