//! Long messages, from the caller's memory straight into the kernel.
//!
//! A queue is for what the kernel does not take yet. Below [`DIRECT`] a message is queued all the same, so that several
//! share one write. A longer one is worth a write of its own, and copying it first would cost as much as that: it is
//! offered to the kernel at once, behind what is queued already, and only if a part of it is left is it
//! queued, whole, with that part to be written.

use super::peers::Peers;
use super::state::{Link, PeerId};

/// Messages of one frame are offered to the kernel from this length on.
pub(crate) const DIRECT: usize = 32 * 1024;

impl Peers {
    /// Offers a message to the kernel, and queues it if a part of it is left. `false`: it is for somebody else to write,
    /// and has to be queued as any other.
    #[cold]
    pub(super) fn send_directly(&mut self, id: PeerId, body: &[u8]) -> bool {
        let Some(peer) = self.slab.get_mut(id) else {
            return false;
        };
        let Link::Up(up) = &mut peer.link else {
            return false;
        };
        if peer.being_written || !up.may_take_more(peer.outbound.unwritten() + body.len()) {
            return false;
        }
        let Some(writer) = &mut up.writer else {
            return false;
        };
        let messages = peer.outbound.messages();
        let (outbound, pool) = (&mut peer.outbound, &mut self.pool);
        let written = writer.write_with_tail(&up.stream, outbound, body, pool);
        let whole = outbound.is_empty();
        up.carried |= whole || outbound.messages() <= messages;
        peer.counters.bytes_out += written as u64;
        peer.counters.messages_out += 1;
        if whole {
            self.written_directly += 1;
            self.send_held_pong(id);
            return true;
        }
        self.gathered += 1;
        // The next write will be refused, and have the kernel say when there is room.
        self.due = true;
        if !peer.dirty {
            self.mark_dirty(id);
        }
        true
    }
}
