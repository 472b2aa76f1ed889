//! Reused memory for bytes on their way in and out.
//!
//! A peer holds a chunk only while it has bytes that nobody has taken or written yet, so ten thousand
//! idle peers hold none. Chunks return here instead of to the allocator, which keeps the hot paths free
//! of allocations.

use bytes::Bytes;

use super::out_buffer::Segment;
use crate::engine::driving::later::Later;

/// Size of a chunk. 64 KiB stays inside the second-level cache while it is filled by the kernel and
/// emptied by the application; 256 KiB measured no faster in either direction.
pub(crate) const CHUNK: usize = 64 * 1024;

/// The size of what a socket takes first after it was idle: enough for a handshake, or a short message now and then. Whole chunks for
/// that, given back between what stays allocated, would leave each connection's share of the heap mostly empty.
const FIRST: usize = 2 * 1024;

/// How many of those before a chunk: one for each direction.
const FIRSTS: u8 = 2;

/// How many spare chunks a pool keeps at the least: 4 MiB; all are let go when the socket falls idle.
const SPARE: usize = 64;

/// And at the most: two, for both directions, for each peer that has events at once. Where there are so many, each uses little of its own.
const MOST_SPARE: usize = 512;

/// The longest body whose memory is kept for a next one.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// How many of them: what a sealed message is read to, and what it is opened to.
const BODIES: usize = 2;

/// A stack of empty chunks, last in, first out: the next chunk handed out is the one still in the cache.
#[derive(Debug, Default)]
pub(crate) struct ChunkPool {
    spare: Vec<Vec<u8>>,
    /// How many of [`FIRST`] bytes were handed out since the socket was idle.
    firsts: u8,
    /// So many more than [`SPARE`] are kept.
    more: usize,
    /// What held the bodies of long messages that the application is done with. The allocator would give memory of such
    /// a size back to the system, which takes longer to provide it anew than a message takes to be read.
    bodies: [Vec<u8>; BODIES],
    /// What is to be dropped when no lock is held any more.
    pub(crate) later: Later,
}

impl ChunkPool {
    /// An empty chunk with room for at least [`CHUNK`] bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    /// The same for who has had none yet, with room for `need` bytes: of a socket that was idle a short one.
    pub(crate) fn take_first(&mut self, need: usize) -> Vec<u8> {
        if need > FIRST || self.firsts == FIRSTS || !self.spare.is_empty() {
            return self.take();
        }
        self.firsts += 1;
        Vec::with_capacity(FIRST)
    }

    /// Takes a chunk back. Odd sizes go to the allocator, so that one giant cannot hide in the pool.
    pub(crate) fn give(&mut self, mut chunk: Vec<u8>) {
        if chunk.capacity() == CHUNK && self.spare.len() < SPARE + self.more {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// So many peers are served at once: keeps enough chunks for them, until the socket falls idle.
    pub(crate) fn serves(&mut self, peers: usize) {
        let most = (2 * peers).min(MOST_SPARE);
        self.more = self.more.max(most.saturating_sub(SPARE));
    }

    /// Takes back what held frames.
    pub(crate) fn give_segment(&mut self, segment: Segment) {
        match segment {
            Segment::Frames(chunk) => self.give(chunk),
            Segment::Body(body) => self.give_bytes(body),
        }
    }

    /// Takes back a body that was kept by reference. Its owner may run code of the application when it is dropped.
    pub(crate) fn give_bytes(&mut self, bytes: Bytes) {
        self.later.drop_bytes(bytes);
    }

    /// Memory for a long body, with room for at least so many bytes. If the system has no such memory, there is room for none, and
    /// the next read into it fails.
    pub(crate) fn take_body(&mut self, capacity: usize) -> Vec<u8> {
        let fits = |body: &&mut Vec<u8>| (capacity..=2 * capacity).contains(&body.capacity());
        if let Some(body) = self.bodies.iter_mut().find(fits) {
            return std::mem::take(body);
        }
        let mut body = Vec::new();
        let _ = body.try_reserve_exact(capacity);
        body
    }

    /// Takes the memory of a long body back.
    pub(crate) fn give_body(&mut self, mut body: Vec<u8>) {
        if (CHUNK..=BODY_MAX).contains(&body.capacity()) {
            body.clear();
            if self.bodies[0].capacity() > 0 {
                // Where all places are taken, the one is dropped that was given first.
                self.bodies.rotate_right(1);
            }
            self.bodies[0] = body;
        }
    }

    /// Gives `other` a spare chunk in place of one that has come from there, with what is in it.
    pub(crate) fn give_one_to(&mut self, other: &mut ChunkPool) {
        if let Some(chunk) = self.spare.pop() {
            other.give(chunk);
        }
    }

    /// Moves spare chunks to `other`, as far as it has none. Keeps an inproc pair, in which one side
    /// only fills chunks and the other only empties them, from allocating one after the other.
    pub(crate) fn refill(&mut self, other: &mut ChunkPool) {
        self.later.append(&mut other.later);
        while other.spare.len() < 2 {
            match self.spare.pop() {
                Some(chunk) => other.spare.push(chunk),
                None => return,
            }
        }
    }

    /// Takes all spare chunks of another pool over, as far as there is room.
    pub(crate) fn absorb(&mut self, mut other: ChunkPool) {
        self.later.append(&mut other.later);
        for chunk in other.spare {
            self.give(chunk);
        }
    }

    /// Lets go of all spare chunks: the socket has fallen idle.
    pub(crate) fn release(&mut self) {
        self.spare = Vec::new();
        self.firsts = 0;
        self.more = 0;
        self.bodies = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_the_chunk_last_returned() {
        let mut pool = ChunkPool::default();
        let mut chunk = pool.take();
        chunk.push(7);
        let address = chunk.as_ptr();
        pool.give(chunk);
        let again = pool.take();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn begins_with_less_until_it_is_busy() {
        let mut pool = ChunkPool::default();
        let mut sizes = |needs: &[usize]| -> Vec<usize> {
            pool.release();
            let chunks: Vec<_> = needs.iter().map(|need| pool.take_first(*need)).collect();
            let sizes = chunks.iter().map(Vec::capacity).collect();
            chunks.into_iter().for_each(|chunk| pool.give(chunk));
            sizes
        };
        assert_eq!(sizes(&[1, FIRST, 1]), [FIRST, FIRST, CHUNK]);
        assert_eq!(sizes(&[FIRST + 1, 1]), [CHUNK, FIRST]);
        assert_eq!(pool.take_first(1).capacity(), CHUNK, "there is a spare one");
    }

    #[test]
    fn keeps_neither_odd_sizes_nor_more_than_its_share() {
        let mut pool = ChunkPool::default();
        pool.give(Vec::with_capacity(CHUNK * 2));
        assert!(pool.spare.is_empty());
        for _ in 0..SPARE + 5 {
            pool.give(Vec::with_capacity(CHUNK));
        }
        assert_eq!(pool.spare.len(), SPARE);
    }

    #[test]
    fn keeps_more_where_many_are_served_until_it_is_idle() {
        let mut pool = ChunkPool::default();
        let mut kept = |peers: Option<usize>| {
            match peers {
                Some(peers) => pool.serves(peers),
                None => pool.release(),
            }
            (0..2 * MOST_SPARE).for_each(|_| pool.give(Vec::with_capacity(CHUNK)));
            pool.spare.len()
        };
        assert_eq!(kept(Some(1)), SPARE);
        assert_eq!(kept(Some(100)), 200);
        assert_eq!(kept(Some(2)), 200);
        assert_eq!(kept(Some(10_000)), MOST_SPARE);
        assert_eq!(kept(None), SPARE);
    }

    #[test]
    fn keeps_the_memory_of_bodies_that_fit() {
        let mut pool = ChunkPool::default();
        pool.give_body(vec![7; 3 * CHUNK]);
        let fitting = pool.take_body(2 * CHUNK);
        assert!(fitting.is_empty());
        assert_eq!(fitting.capacity(), 3 * CHUNK);
        pool.give_body(fitting);
        assert_eq!(pool.take_body(CHUNK).capacity(), CHUNK, "wasteful");
        assert_eq!(pool.take_body(4 * CHUNK).capacity(), 4 * CHUNK);
        pool.give_body(Vec::with_capacity(BODY_MAX + 1));
        let kept = |pool: &ChunkPool| pool.bodies.each_ref().map(Vec::capacity);
        assert_eq!(kept(&pool), [3 * CHUNK, 0]);
        for chunks in [5, 7] {
            pool.give_body(Vec::with_capacity(chunks * CHUNK));
        }
        assert_eq!(kept(&pool), [7 * CHUNK, 5 * CHUNK]);
        pool.release();
        assert_eq!(kept(&pool), [0, 0]);
    }
}
