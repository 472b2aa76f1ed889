//! Long messages, from the caller's memory straight into the kernel.
//!
//! A queue is for what the kernel does not take yet. Below [`DIRECT`] a message is queued all the same, so that several
//! share one write. A longer one is worth a write of its own, and copying it first would cost as much as that: it is
//! offered to the kernel at once, behind what is queued already, and only if a part of it is left is it
//! queued, whole, with that part to be written.
//!
//! [`Peers`] does no I/O, and cannot keep what is only lent to it. So it *sets aside* for which peers such a message is, and
//! [`Net::pace`], which follows each attempt to send, writes it for them. Nothing happens to these peers in between.

use super::net::Net;
use super::peers::Peers;
use super::state::{Link, PeerId};

/// Messages of one frame are offered to the kernel from this length on.
pub(crate) const DIRECT: usize = 32 * 1024;

/// What does not wait until more has gathered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due(u8);

/// Bytes that are queued.
const WRITE: u8 = 1;

/// A message that has been set aside.
const DIRECTLY: u8 = 2;

/// Peers that are to go, as they do not read.
const SEND_AWAY: u8 = 4;

impl Due {
    /// In one comparison: this is asked with each message.
    #[inline]
    pub(super) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Whether bytes that are queued have to be written now.
    pub(super) fn is_write(self) -> bool {
        self.0 & WRITE != 0
    }

    pub(super) fn write(&mut self) {
        self.0 |= WRITE;
    }

    /// All that was queued is written, or somebody sees to it.
    pub(super) fn written(&mut self) {
        debug_assert!(!self.is_directly(), "what was set aside is written first");
        self.0 &= !WRITE;
    }

    pub(super) fn is_send_away(self) -> bool {
        self.0 & SEND_AWAY != 0
    }

    pub(super) fn send_away(&mut self) {
        self.0 |= SEND_AWAY;
    }

    pub(super) fn sent_away(&mut self) {
        self.0 &= !SEND_AWAY;
    }

    fn is_directly(self) -> bool {
        self.0 & DIRECTLY != 0
    }
}

impl Peers {
    /// Sets a message aside that is to be written from the caller's memory. `false`: it is for somebody else to write,
    /// and has to be queued as any other.
    #[cold]
    pub(super) fn set_aside(&mut self, id: PeerId, body: &[u8]) -> bool {
        let Some(peer) = self.slab.get(id) else {
            return false;
        };
        let Link::Up(up) = &peer.link else {
            return false;
        };
        let takes = up.may_take_more(peer.outbound.unwritten() + body.len());
        if peer.being_written || !takes {
            return false;
        }
        self.aside.push(id);
        self.due.0 |= DIRECTLY;
        true
    }
}

impl Net {
    /// Writes the message that has been set aside; `false` if none has. It is the one whose sending was just attempted.
    #[inline]
    pub(super) fn write_aside(&mut self, slice: Option<&[u8]>) -> bool {
        let is_aside = self.peers.due.is_directly();
        if is_aside {
            debug_assert!(slice.is_some(), "only a slice is set aside");
            self.write_directly(slice.unwrap_or_default());
        }
        is_aside
    }

    #[cold]
    fn write_directly(&mut self, body: &[u8]) {
        self.peers.due.0 &= !DIRECTLY;
        let mut aside = std::mem::take(&mut self.peers.aside);
        for id in aside.drain(..) {
            self.write_directly_to(id, body);
        }
        self.peers.aside = aside;
    }

    /// Offers a message to the kernel, and queues it if a part of it is left.
    fn write_directly_to(&mut self, id: PeerId, body: &[u8]) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        let Some(writer) = &mut up.writer else {
            return;
        };
        let messages = peer.outbound.messages();
        let (outbound, pool) = (&mut peer.outbound, &mut self.peers.pool);
        let written = writer.write_with_tail(&up.stream, outbound, body, pool);
        let whole = outbound.is_empty();
        up.carried |= whole || outbound.messages() <= messages;
        peer.counters.bytes_out += written as u64;
        peer.counters.messages_out += 1;
        peer.review_room();
        if whole {
            self.peers.written_directly += 1;
            return self.peers.send_held_pong(id);
        }
        self.peers.gathered += 1;
        // The next write will be refused, and have the kernel say when there is room.
        self.peers.due.write();
        if !peer.dirty {
            self.peers.mark_dirty(id);
        }
    }
}

#[cfg(test)]
mod tests;
