//! Messages that go on from one socket to another as they have come: encoded, and many at once.
//!
//! What a peer has sent lies in its [`InBuffer`] as frames, and what another is to be sent lies in an [`OutBuffer`] as frames, too. So a proxy
//! need not decode a message and encode it again: a run of messages is copied in one piece, or its chunk handed over where it is all that the
//! chunk holds.
//!
//! A run are messages of one frame each, in the form that we would write ourselves: the out-buffer counts on that. What is anything else, such
//! as a message of several frames, one that is long, or one that the peer does not take, ends the run, and goes the general way.

use super::in_buffer::InBuffer;
use super::out_buffer::OutBuffer;
use super::peers::Peers;
use super::pool::{CHUNK, ChunkPool};
use super::state::{Link, PeerId};
use crate::zmtp::plain_message;

/// A chunk with so many bytes in it is handed over. With fewer, it would be mostly empty, and pinned until they have been written.
const HANDED_OVER: usize = CHUNK / 2;

/// What has been passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) messages: usize,
    /// The bytes in their frames.
    pub(crate) size: usize,
}

impl Passed {
    pub(crate) fn add(&mut self, more: Passed) {
        self.messages += more.messages;
        self.size += more.size;
    }
}

/// Which messages may be passed on.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// So many at the most …
    messages: usize,
    /// … each of which is shorter than this.
    below: usize,
}

/// Messages that lie one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    passed: Passed,
    /// The bytes of their frames, with the headers.
    len: usize,
}

impl Run {
    /// Those at the start of `input`.
    fn at(input: &[u8], wanted: Wanted) -> Run {
        let mut run = Run::default();
        let mut rest = input;
        while run.passed.messages < wanted.messages {
            let Some((size, body)) = plain_message(rest) else {
                break;
            };
            let Some(behind) = body.get(size..).filter(|_| size < wanted.below) else {
                break;
            };
            run.passed.messages += 1;
            run.passed.size += size;
            rest = behind;
        }
        run.len = input.len() - rest.len();
        run
    }
}

impl InBuffer {
    /// Moves messages to the end of `to`, as many as are wanted and lie one behind the other.
    fn pass_on(
        &mut self,
        wanted: Wanted,
        to: &mut OutBuffer,
        pool: &mut ChunkPool,
        to_pool: &mut ChunkPool,
    ) -> Passed {
        let wanted = Wanted {
            messages: wanted.messages.min(self.messages()),
            ..wanted
        };
        let run = Run::at(self.next_bytes(pool), wanted);
        if run.passed.messages == 0 {
            return run.passed;
        }
        let messages = run.passed.messages;
        let is_worth_a_chunk = run.len >= HANDED_OVER;
        let chunk = is_worth_a_chunk.then(|| self.take_front(run.len, messages));
        match chunk.flatten() {
            Some(chunk) => {
                to.push_chunk(chunk, messages, to_pool);
                to_pool.give_one_to(pool);
            }
            None => {
                let frames = self.next_bytes(pool).get(..run.len);
                to.push_run(frames.unwrap_or_default(), messages, to_pool);
                self.took(run.len, messages);
            }
        }
        run.passed
    }
}

impl Peers {
    /// Passes messages of this peer on to one of another socket, as many as lie one behind the other, but no more than `most`, and than there is
    /// room for. Says whether the peer has more. None are passed on, and nothing is changed, where it is not enough to move their bytes: within a
    /// process, without a connection, and where bytes are counted or a message replaces the one before it.
    ///
    /// The bytes are then to be written.
    pub(crate) fn pass_on(
        &mut self,
        id: PeerId,
        most: usize,
        to: &mut Peers,
        to_id: PeerId,
    ) -> Option<(Passed, bool)> {
        let (from, peer) = (self.slab.get_mut(id)?, to.slab.get_mut(to_id)?);
        let is_plain = matches!(peer.link, Link::Up(_)) && !matches!(from.link, Link::Inproc(_));
        let counts_bytes = from.bytes.is_some() || peer.bytes.is_some();
        if !is_plain || counts_bytes || self.conflate || to.conflate {
            return None;
        }
        let wanted = Wanted {
            messages: most.min(peer.room()),
            below: peer.takes.any_below,
        };
        let (inbound, outbound) = (&mut from.inbound, &mut peer.outbound);
        let passed = inbound.pass_on(wanted, outbound, &mut self.pool, &mut to.pool);
        if passed.messages == 0 {
            return None;
        }
        peer.counters.messages_out += passed.messages as u64;
        to.gathered += passed.messages;
        if !peer.dirty {
            to.mark_dirty(to_id);
        }
        let has_more =
            from.inbound.messages() >= from.inbound.notice_below() || self.after_take(id);
        Some((passed, has_more))
    }
}

#[cfg(test)]
mod tests;
