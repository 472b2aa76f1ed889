//! Hand-over: messages between two sockets of one process.
//!
//! A [`Channel`] is one direction of an inproc pair: the same encoded frames that would go to the kernel,
//! in the same segments, only that the reader takes the segments themselves. The sender appends under the
//! channel's lock, the reader takes everything at once; a message costs a copy in and a copy out, and no
//! allocation.
//!
//! Invariants:
//! - **Readable**: while the channel holds messages or commands that the reader has not been told of,
//!   `idle` is false. The append that finds `idle` set clears it and tells the reader; the reader sets it
//!   only under the lock, when it has found nothing.
//! - **Writable**: a sender that finds no room sets `starved` under the lock; the reader looks at it after
//!   each step of `released`, and tells the sender once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::out_buffer::{OutBuffer, Segment};
use super::pool::ChunkPool;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};

/// One direction of an inproc pair. See the module.
pub(crate) struct Channel {
    queue: Mutex<Queue>,
    /// Messages that the reading application has taken, ever.
    released: AtomicUsize,
    /// The sender waits for room.
    starved: AtomicBool,
}

#[derive(Default)]
struct Queue {
    buffer: OutBuffer,
    pool: ChunkPool,
    /// Topics for the publisher at the other end, `(topic, subscribe)`.
    topics: Vec<(Vec<u8>, bool)>,
    /// The reader found nothing and wants to be told.
    idle: bool,
    closed: bool,
}

/// What an append came to.
pub(crate) struct Appended {
    pub(crate) bytes: usize,
    /// Messages whose place was taken.
    pub(crate) replaced: usize,
    /// The reader has to be told.
    pub(crate) tell: bool,
}

/// What the reader found.
pub(crate) struct Received {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// There are topics to take, or the sender has gone and there will be nothing more.
    pub(crate) attention: bool,
}

/// Topics for a publisher, `(topic, subscribe)`, and whether the sender has gone for good.
pub(crate) struct News {
    pub(crate) topics: Vec<(Vec<u8>, bool)>,
    pub(crate) closed: bool,
}

impl Channel {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Channel {
            queue: Mutex::new(Queue {
                idle: true,
                ..Queue::default()
            }),
            released: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        })
    }

    /// Appends what `write` writes, in place of what is there if only the newest counts.
    #[must_use]
    #[inline]
    pub(crate) fn append(
        &self,
        conflate: bool,
        write: impl FnOnce(&mut OutBuffer, &mut ChunkPool),
    ) -> Appended {
        let mut queue = lock(&self.queue);
        let queue = &mut *queue;
        let replaced = match conflate {
            true => queue.buffer.drop_unstarted(&mut queue.pool),
            false => 0,
        };
        let before = queue.buffer.unwritten();
        write(&mut queue.buffer, &mut queue.pool);
        Appended {
            bytes: queue.buffer.unwritten() - before,
            replaced,
            tell: std::mem::take(&mut queue.idle),
        }
    }

    /// Adds a topic for the publisher at the other end. The reader has to be told in any case: it may be
    /// sitting on messages that its application does not take.
    pub(crate) fn append_topic(&self, topic: &[u8], subscribe: bool) {
        let mut queue = lock(&self.queue);
        queue.topics.push((topic.to_vec(), subscribe));
        queue.idle = false;
    }

    /// There will be nothing more. The reader has to be told, as of a topic.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.idle = false;
    }

    /// Takes all segments; `spare` chunks go the other way. When there is nothing at all, the next append
    /// will tell the reader.
    pub(crate) fn receive(
        &self,
        segments: &mut VecDeque<Segment>,
        spare: &mut ChunkPool,
    ) -> Received {
        let mut queue = lock(&self.queue);
        let queue = &mut *queue;
        let bytes = queue.buffer.unwritten();
        let messages = queue.buffer.take_segments(segments, &mut queue.pool);
        spare.refill(&mut queue.pool);
        let attention = queue.closed || !queue.topics.is_empty();
        queue.idle = messages == 0 && !attention;
        Received {
            messages,
            bytes,
            attention,
        }
    }

    /// Takes what [`Received::attention`] announced; the next append will tell the reader.
    pub(crate) fn news(&self) -> News {
        let mut queue = lock(&self.queue);
        let topics = std::mem::take(&mut queue.topics);
        queue.idle = queue.buffer.is_empty();
        News {
            topics,
            closed: queue.closed && queue.idle,
        }
    }

    /// Messages that the reading application has taken, ever.
    #[inline]
    pub(crate) fn released(&self) -> usize {
        self.released.load(Ordering::Acquire)
    }

    /// Notes that the application has taken `total` messages by now. `true`: the sender waits for that
    /// and has to be told.
    #[must_use]
    pub(crate) fn release(&self, total: usize) -> bool {
        self.released.store(total, Ordering::Release);
        // Between this store and that load, as between those of `starve`: one side sees the other's.
        fence(Ordering::SeqCst);
        self.starved.load(Ordering::Relaxed) && self.starved.swap(false, Ordering::AcqRel)
    }

    /// The sender finds `released` too low to go on: it wants to be told of the next release. Returns
    /// the count as it is now, after which nothing can be missed.
    pub(crate) fn starve(&self) -> usize {
        self.starved.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.released.load(Ordering::Acquire)
    }

    /// Takes the messages back that nobody has received: the other end has gone.
    pub(crate) fn reclaim(&self, pool: &mut ChunkPool) -> Vec<crate::Message> {
        lock(&self.queue).buffer.drain(pool)
    }

    /// Messages not yet received.
    pub(crate) fn queued(&self) -> usize {
        lock(&self.queue).buffer.messages()
    }
}
