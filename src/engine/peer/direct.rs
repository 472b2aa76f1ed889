//! Long messages, from the caller's memory straight into the kernel.
//!
//! A queue is for what the kernel does not take yet. Below [`DIRECT`] a message is queued all the same, so that several
//! share one write. A longer one is worth a write of its own, and copying it first would cost as much as that: it is
//! offered to the kernel at once, behind what is queued already, and only if a part of it is left is it
//! queued, whole, with that part to be written.

use std::io::IoSlice;

use super::out_buffer::MAX_SLICES;
use super::outgoing::Outgoing;
use super::peers::Peers;
use super::state::{Link, PeerId};
use crate::transport::SEGMENT;
use crate::zmtp::{FrameKind, encode_header};

/// Messages of one frame are offered to the kernel from this length on.
pub(crate) const DIRECT: usize = 32 * 1024;

/// A longer message is offered in pieces: while the kernel copies, it does not go on with what it has copied already.
const PIECE: usize = 4 * SEGMENT;

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
        let (header, header_len) = encode_header(FrameKind::Last, body.len());
        let queued = peer.outbound.unwritten();
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = peer.outbound.slices(&mut slices, usize::MAX);
        let room = PIECE.saturating_sub(queued + header_len);
        let (first_piece, rest) = body.split_at(body.len().min(room));
        // If the queue is too long, a part of it is all that is offered.
        if let Some([first, second, ..]) = slices.get_mut(count..) {
            *first = IoSlice::new(&header[..header_len]);
            *second = IoSlice::new(first_piece);
            count += 2;
        }
        // Why it fails the next write will find out, too.
        let mut written = up.stream.write_vectored(&slices[..count]).unwrap_or(0);
        let mut offered = queued + header_len + first_piece.len();
        for piece in rest.chunks(PIECE) {
            if written < offered {
                break;
            }
            written += up.stream.write(piece).unwrap_or(0);
            offered += piece.len();
        }
        let of_queued = written.min(queued);
        peer.counters.bytes_out += written as u64;
        let messages = peer.outbound.messages();
        peer.outbound.advance(of_queued, &mut self.pool);
        let whole = written == queued + header_len + body.len();
        up.carried |= whole || peer.outbound.messages() < messages;
        if whole {
            peer.counters.messages_out += 1;
            self.written_directly += 1;
            self.send_held_pong(id);
            return true;
        }
        self.send_with(id, |buffer, pool| buffer.push(Outgoing::Slice(body), pool));
        if let Some(peer) = self.slab.get_mut(id) {
            peer.outbound.advance(written - of_queued, &mut self.pool);
        }
        // The next write will be refused, and have the kernel say when there is room.
        self.due = true;
        true
    }
}
