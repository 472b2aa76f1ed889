//! Reused memory for bytes on their way in and out.
//!
//! A peer holds a chunk only while it has bytes that nobody has taken or written yet, so ten thousand
//! idle peers hold none. Chunks return here instead of to the allocator, which keeps the hot paths free
//! of allocations.

/// Size of a chunk. 64 KiB stays inside the second-level cache while it is filled by the kernel and
/// emptied by the application; 256 KiB measured no faster in either direction.
pub(crate) const CHUNK: usize = 64 * 1024;

/// How many spare chunks a pool keeps: 4 MiB, enough for the peers that one batch touches on a busy
/// socket; all are let go when the socket falls idle.
const SPARE: usize = 64;

/// A stack of empty chunks, last in, first out: the next chunk handed out is the one still in the cache.
#[derive(Debug, Default)]
pub(crate) struct ChunkPool {
    spare: Vec<Vec<u8>>,
}

impl ChunkPool {
    /// An empty chunk with room for at least [`CHUNK`] bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    /// Takes a chunk back. Odd sizes go to the allocator, so that one giant cannot hide in the pool.
    pub(crate) fn give(&mut self, mut chunk: Vec<u8>) {
        if chunk.capacity() == CHUNK && self.spare.len() < SPARE {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// Moves spare chunks to `other`, as far as it has none. Keeps an inproc pair, in which one side
    /// only fills chunks and the other only empties them, from allocating one after the other.
    pub(crate) fn refill(&mut self, other: &mut ChunkPool) {
        while other.spare.len() < 2 {
            match self.spare.pop() {
                Some(chunk) => other.spare.push(chunk),
                None => return,
            }
        }
    }

    /// Takes all spare chunks of another pool over, as far as there is room.
    pub(crate) fn absorb(&mut self, other: ChunkPool) {
        for chunk in other.spare {
            self.give(chunk);
        }
    }

    /// Lets go of all spare chunks: the socket has fallen idle.
    pub(crate) fn release(&mut self) {
        self.spare = Vec::new();
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
    fn keeps_neither_odd_sizes_nor_more_than_its_share() {
        let mut pool = ChunkPool::default();
        pool.give(Vec::with_capacity(CHUNK * 2));
        assert!(pool.spare.is_empty());
        for _ in 0..SPARE + 5 {
            pool.give(Vec::with_capacity(CHUNK));
        }
        assert_eq!(pool.spare.len(), SPARE);
    }
}
