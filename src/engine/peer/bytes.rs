//! Limits in bytes for what waits to be sent to a peer, and for what it has sent.
//!
//! Only peers with such limits have a [`ByteLimits`], so that they cost nobody else anything. Sending then goes the general way, which asks for
//! room before it queues a message: one that does not fit makes the peer *full*, which shows as a mark of no messages at all, until
//! enough has been written. Reading asks before each read.

use super::state::{NOT_SENT_TO, Peer, WRITE_AT};
use crate::engine::Outgoing;
use crate::options::Options;
use crate::zmtp::MAX_HEADER;

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
}

/// A message has found no room.
#[derive(Debug, Clone, Copy)]
struct Full {
    /// Bytes of that message.
    wanted: usize,
    /// The mark in messages that holds when there is room again.
    send_hwm: usize,
}

impl ByteLimits {
    /// The limits for a peer behind a wire; `None`: there are none.
    pub(super) fn new(options: &Options) -> Option<Box<Self>> {
        let (send, recv) = (options.send_hwm_bytes, options.recv_hwm_bytes);
        (send != 0 || recv != 0).then(|| {
            Box::new(ByteLimits {
                send: super::link::unlimited(send),
                recv: super::link::unlimited(recv),
                in_flight: 0,
                paused: false,
                full: None,
            })
        })
    }

    /// Up to how many bytes messages are gathered the short way, which does not look at these limits.
    pub(super) fn gathered_at_most(limits: Option<&Self>) -> usize {
        limits.map_or(WRITE_AT, |limits| limits.send.min(WRITE_AT))
    }
}

impl Peer {
    /// Whether messages are queued for it at all, if it has room.
    #[inline]
    pub(super) fn is_sent_to(&self) -> bool {
        self.send_hwm != NOT_SENT_TO || self.is_full_of_bytes()
    }

    #[cold]
    fn is_full_of_bytes(&self) -> bool {
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
    fn fits(&self, len: usize) -> bool {
        let Some(limits) = self.bytes.as_deref() else {
            return true;
        };
        let queued = self.outbound.bytes() + limits.in_flight;
        self.outbound.messages() + self.in_flight == 0 || queued.saturating_add(len) <= limits.send
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
        let full = self.bytes.as_deref().and_then(|limits| limits.full);
        if let Some(full) = full
            && self.fits(full.wanted)
        {
            self.set_send_hwm(full.send_hwm);
        }
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

    /// Stops reading, because of the number of messages or of bytes.
    pub(super) fn pause_at_limit(&mut self, whole: usize) {
        let by_bytes = whole < self.recv_hwm;
        self.pause();
        if let Some(limits) = &mut self.bytes {
            limits.paused = by_bytes;
            if by_bytes {
                // Messages differ in length: with each that is taken, there may be few enough bytes.
                self.notice_at = usize::MAX;
            }
        }
    }

    /// The mark is another one: when it is to be looked at whether reading goes on.
    pub(super) fn mark_pause(&mut self) {
        let by_bytes = self.bytes.as_deref().is_some_and(|limits| limits.paused);
        if !by_bytes {
            self.notice_at = self.resume_at() + 1;
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
}
