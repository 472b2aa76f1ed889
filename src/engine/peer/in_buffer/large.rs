//! Large frames: their bodies are read straight into memory of their own.

use std::io;

use bytes::Bytes;

use super::{InBuffer, ReadOutcome};
use crate::engine::peer::out_buffer::Segment;
use crate::engine::peer::pool::{CHUNK, ChunkPool};
use crate::engine::peer::wire::Reader;
use crate::transport::Stream;
use crate::zmtp::{Command, FrameKind, Header, ProtocolError, Scanner};

/// With the end of a large frame only this much is fetched of what follows: enough for the header of the next one, so
/// that most of its body can again be read into place.
pub(super) const PEEK: usize = 2 * 1024;

/// First allocation for a large body, of which the system provides only what is written to; from there it doubles with
/// what really arrives, so that an announced length by itself costs nothing.
const LARGE_START: usize = 1024 * 1024;

/// A frame whose body is read straight into place.
#[derive(Debug)]
pub(super) struct LargeFrame {
    header: Header,
    body: Vec<u8>,
    exact: bool,
}

impl LargeFrame {
    /// A frame of which so much of the body has come.
    pub(super) fn begin(header: Header, have: &[u8], pool: &mut ChunkPool, exact: bool) -> Self {
        let mut body = match exact {
            true => Vec::with_capacity(have.len()),
            false => pool.take_body(large_capacity(have.len(), header.body_len)),
        };
        body.extend_from_slice(have);
        LargeFrame {
            header,
            body,
            exact,
        }
    }

    /// How much of the body has come.
    pub(super) fn received(&self) -> usize {
        self.body.len()
    }

    /// How long the body is going to be.
    pub(super) fn whole(&self) -> usize {
        usize::try_from(self.header.body_len).unwrap_or(usize::MAX)
    }

    /// How much memory there is for it: all that it needs, or none that counts.
    pub(super) fn reserved(&self) -> usize {
        match self.body.capacity() >= self.whole() {
            true => self.whole(),
            false => 0,
        }
    }

    /// Sees to it that there is room for some more of the body; returns how much of it is still to come.
    /// An error if the system has no memory for it.
    fn make_room(&mut self) -> io::Result<usize> {
        let have = self.body.len();
        if have == self.body.capacity() {
            let capacity = match self.exact {
                true => self.whole(),
                false => large_capacity(have, self.header.body_len),
            };
            let reserved = self.body.try_reserve_exact(capacity - have);
            reserved.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        }
        Ok(usize::try_from(self.header.body_len).unwrap_or(usize::MAX) - have)
    }
}

impl InBuffer {
    /// Reads on in a large frame, and at its end in the same go the beginning of what follows it. A chunk's worth at a time: during
    /// a longer read the kernel takes in nothing of what the peer sends meanwhile.
    pub(super) fn read_large(
        &mut self,
        reader: &mut Reader,
        stream: &Stream,
        scanner: &mut Scanner,
        pool: &mut ChunkPool,
        on_command: &mut dyn FnMut(Command<'_>) -> Result<(), ProtocolError>,
    ) -> io::Result<ReadOutcome> {
        let Some(large) = self.large.as_mut() else {
            return Ok(ReadOutcome::default());
        };
        let missing = large.make_room()?;
        let room = large.body.capacity() - large.body.len();
        let room = room.min(missing).min(CHUNK);
        let peek = if room == missing { PEEK } else { 0 };
        let mut next = pool.take();
        let behind = (&mut next, peek);
        let mut outcome = match reader.read_two(stream, &mut large.body, room, behind, pool) {
            Ok(came) => ReadOutcome::from(came),
            Err(error) => {
                pool.give(next);
                return Err(error);
            }
        };
        if (large.body.len() as u64) < large.header.body_len {
            pool.give(next);
            outcome.then(reader);
            return Ok(outcome);
        }
        if let Some(large) = self.large.take() {
            scanner.body_received(&large.header);
            outcome.messages = usize::from(large.header.kind == FrameKind::Last);
            self.queued += large.body.len();
            self.memory += large.body.len();
            self.segments
                .push_back(Segment::Body(Bytes::from(large.body)));
            self.messages += outcome.messages;
        }
        self.expect_large = true;
        if next.is_empty() {
            pool.give(next);
        } else {
            outcome.add(self.accept(next, scanner, pool, on_command));
        }
        outcome.then(reader);
        Ok(outcome)
    }
}

/// Capacity for a large body of which `have` bytes are here.
fn large_capacity(have: usize, body_len: u64) -> usize {
    let total = usize::try_from(body_len).unwrap_or(usize::MAX);
    total.min(LARGE_START.max(have.saturating_mul(2)))
}
