//! Hand-over: messages between two sockets of one process.
//!
//! A [`Channel`] is one direction of an inproc pair. It holds the same encoded frames that would be written to the kernel, in the same
//! segments, and the reader takes these segments as they are. The sender appends under the
//! channel's lock, and the reader takes everything at once. A message costs a copy in and a copy out, and no
//! allocation.
//!
//! In a stream of messages the lock is what costs most. Short ones then bypass it by a [`Lane`], which the
//! reader opens. What is in the lane is older than what is in the queue.
//!
//! Invariants:
//! - **Readable**: while the channel holds messages or topics that the reader has not been notified of,
//!   `idle` is false. The append that finds `idle` set clears it and notifies the reader. The reader sets it
//!   only under the lock, when it has found nothing in the queue, has shut the lane, and has found nothing there either.
//! - **Writable**: a sender that finds no room writes to `wanted` how much must be released. The reader checks `wanted` after
//!   each step of `released`, and notifies the sender once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::peer::out_buffer::{OutBuffer, Segment, Unsent, frame_len};
use crate::engine::peer::outgoing::Outgoing;
use crate::engine::peer::pool::ChunkPool;
use crate::engine::peer::withdraw::Found;
use crate::sync::{AtomicUsize, Lane, Mutex, OnceLock, Ordering, Pushed, Writer, fence, lock};

/// In `wanted`: the sender waits for nothing.
const NOTHING: usize = usize::MAX;

/// One direction of an inproc pair. See the module.
pub(crate) struct Channel {
    queue: Mutex<Queue>,
    /// Bypasses the lock; there once messages have come in a stream.
    lane: OnceLock<Lane>,
    /// Messages that the reading application has taken, ever.
    released: AtomicUsize,
    /// What the sender waits for `released` to become, or [`NOTHING`].
    wanted: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    buffer: OutBuffer,
    pool: ChunkPool,
    /// Messages appended here, ever.
    appends: usize,
    /// Topics for the publisher at the other end, `(topic, subscribe)`.
    topics: Vec<(Vec<u8>, bool)>,
    /// The reader found nothing, and the next append has to notify it.
    idle: bool,
    closed: bool,
}

/// The result of an append.
pub(crate) struct Appended {
    pub(crate) bytes: usize,
    /// Older messages that it has replaced, where only the newest counts.
    pub(crate) replaced: usize,
    /// The reader has to be told.
    pub(crate) tell: bool,
}

/// What nobody has received.
pub(crate) struct Reclaimed {
    pub(crate) messages: Vec<Unsent>,
    /// How many there were besides that were for this connection alone.
    pub(crate) unwanted: usize,
}

/// What the reader found.
pub(crate) struct Received {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// There are topics to take, or the sender has closed the channel: see [`Channel::news`].
    pub(crate) has_news: bool,
}

/// Topics for a publisher, `(topic, subscribe)`, and whether the sender has gone for good.
pub(crate) struct News {
    pub(crate) topics: Vec<(Vec<u8>, bool)>,
    pub(crate) closed: bool,
}

impl Queue {
    #[inline]
    fn append(
        &mut self,
        writer: &mut Writer,
        conflate: bool,
        write: impl FnOnce(&mut OutBuffer, &mut ChunkPool),
    ) -> Appended {
        let replaced = match conflate {
            true => self.buffer.drop_unstarted(&mut self.pool),
            false => 0,
        };
        self.appends += 1;
        writer.appended();
        let before = self.buffer.unwritten();
        write(&mut self.buffer, &mut self.pool);
        Appended {
            bytes: self.buffer.unwritten() - before,
            replaced,
            tell: self.tell(),
        }
    }

    /// Whether the reader has to be notified of a message. From then on it is not idle.
    fn tell(&mut self) -> bool {
        std::mem::take(&mut self.idle)
    }
}

impl Channel {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Channel {
            queue: Mutex::new(Queue {
                idle: true,
                ..Queue::default()
            }),
            lane: OnceLock::new(),
            released: AtomicUsize::new(0),
            wanted: AtomicUsize::new(NOTHING),
        })
    }

    /// Appends what `write` writes, in place of what is there if only the newest counts.
    #[must_use]
    #[inline]
    pub(crate) fn append(
        &self,
        writer: &mut Writer,
        conflate: bool,
        write: impl FnOnce(&mut OutBuffer, &mut ChunkPool),
    ) -> Appended {
        lock(&self.queue).append(writer, conflate, write)
    }

    /// Appends a message of one frame: to the lane, if it is open and has room.
    #[must_use]
    #[inline]
    pub(crate) fn append_frame(&self, writer: &mut Writer, body: &[u8]) -> Appended {
        let appended = |tell| Appended {
            bytes: frame_len(body.len()),
            replaced: 0,
            tell,
        };
        match self.push(writer, body) {
            Pushed::Yes => return appended(false),
            Pushed::MaybeUnseen => return appended(lock(&self.queue).tell()),
            Pushed::No => {}
        }
        let mut queue = lock(&self.queue);
        // This may have waited for the reader, which may have opened the lane meanwhile.
        match self.push(writer, body) {
            Pushed::Yes | Pushed::MaybeUnseen => appended(queue.tell()),
            Pushed::No => queue.append(writer, false, |buffer, pool| {
                buffer.push(Outgoing::Slice(body), pool);
            }),
        }
    }

    #[inline]
    fn push(&self, writer: &mut Writer, body: &[u8]) -> Pushed {
        match self.lane.get() {
            Some(lane) => lane.push(writer, body),
            None => Pushed::No,
        }
    }

    /// Adds a topic for the publisher at the other end. The reader has to be notified in any case: it may have
    /// messages that its application does not take, and so not be idle.
    pub(crate) fn append_topic(&self, topic: &[u8], subscribe: bool) {
        let mut queue = lock(&self.queue);
        queue.topics.push((topic.to_vec(), subscribe));
        queue.idle = false;
    }

    /// There will be nothing more. The reader has to be notified in any case, as of a topic.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.idle = false;
    }

    /// Takes all segments, and gives `spare` chunks in return. If there is nothing at all, the next append
    /// will notify the reader. If messages come in a `stream`, the lane is opened, until a read finds nothing.
    pub(crate) fn receive(
        &self,
        segments: &mut VecDeque<Segment>,
        spare: &mut ChunkPool,
        stream: bool,
    ) -> Received {
        let mut queue = lock(&self.queue);
        let queue = &mut *queue;
        let mut received = Received {
            messages: 0,
            bytes: 0,
            has_news: queue.closed || !queue.topics.is_empty(),
        };
        self.take_lane(&mut received, segments, spare);
        received.bytes += queue.buffer.unwritten();
        received.messages += queue.buffer.take_segments(segments, &mut queue.pool);
        spare.refill(&mut queue.pool);
        if received.messages == 0 && !received.has_news {
            self.shut_lane();
            self.take_lane(&mut received, segments, spare);
        } else if stream && Lane::available() {
            self.lane.get_or_init(Lane::new).open(queue.appends);
        }
        queue.idle = received.messages == 0 && !received.has_news;
        received
    }

    /// Takes what is in the lane, which is older than what is in the queue.
    fn take_lane(
        &self,
        received: &mut Received,
        segments: &mut VecDeque<Segment>,
        spare: &mut ChunkPool,
    ) {
        let Some(lane) = self.lane.get() else {
            return;
        };
        let mut taken = OutBuffer::default();
        lane.take(|len, body| taken.push_blocks(len, body, spare));
        if !taken.is_empty() {
            received.bytes += taken.unwritten();
            received.messages += taken.take_segments(segments, spare);
            taken.clear(spare);
        }
    }

    /// Whether the lane is open and empty. May be late.
    pub(crate) fn lane_is_empty(&self) -> bool {
        self.lane.get().is_some_and(Lane::is_empty)
    }

    fn shut_lane(&self) {
        if let Some(lane) = self.lane.get() {
            lane.shut();
        }
    }

    /// Takes what [`Received::has_news`] announced; the next append will notify the reader.
    pub(crate) fn news(&self) -> News {
        let mut queue = lock(&self.queue);
        let topics = std::mem::take(&mut queue.topics);
        self.shut_lane();
        queue.idle = queue.buffer.is_empty() && self.in_lane() == 0;
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
    /// and has to be notified.
    #[must_use]
    pub(crate) fn release(&self, total: usize) -> bool {
        self.released.store(total, Ordering::Release);
        // Between this store and that load, as between those of `await_released`: one side sees the other's.
        fence(Ordering::SeqCst);
        let wanted = self.wanted.load(Ordering::Relaxed);
        // Only this one is answered: if the sender has written another value by now, it has seen `total`.
        wanted <= total
            && self
                .wanted
                .compare_exchange(wanted, NOTHING, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// The sender finds no room, and wants to be notified when so many messages are `released`. Returns how many are now: only if these
    /// are too few, the reader will notify.
    pub(crate) fn await_released(&self, wanted: usize) -> usize {
        self.wanted.store(wanted, Ordering::Release);
        fence(Ordering::SeqCst);
        self.released.load(Ordering::Acquire)
    }

    /// Takes out a message that the reader has not received. Looks in the queue only: messages that may be withdrawn never go to the
    /// lane.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&[u8]) -> bool) -> Found {
        let mut queue = lock(&self.queue);
        let Queue { buffer, pool, .. } = &mut *queue;
        buffer.withdraw(wanted, pool)
    }

    /// Takes the messages back that nobody has received: the other end has gone.
    pub(crate) fn reclaim(&self, pool: &mut ChunkPool) -> Reclaimed {
        let mut queue = lock(&self.queue);
        let mut oldest = OutBuffer::default();
        if let Some(lane) = self.lane.get() {
            lane.take(|len, body| oldest.push_blocks(len, body, pool));
        }
        let unwanted = queue.buffer.unwanted();
        let mut messages = oldest.drain(pool);
        messages.append(&mut queue.buffer.drain(pool));
        Reclaimed { messages, unwanted }
    }

    /// Messages not yet received.
    pub(crate) fn queued(&self) -> usize {
        let queue = lock(&self.queue);
        queue.buffer.messages() + self.in_lane()
    }

    /// Messages in the lane. Only under the lock.
    fn in_lane(&self) -> usize {
        self.lane.get().map_or(0, Lane::messages)
    }
}
