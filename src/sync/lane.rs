//! Hand-over: the short messages of a stream, past the lock of a channel.
//!
//! A ring of words that one side writes and the other reads, each for itself: a message costs its sender plain
//! stores, of which the last one publishes it.
//!
//! ```text
//!        start                         end
//!          v                            v
//!  [ free  | len | body .. | len | body |  free ]     in words of 8 bytes; both only grow
//! ```
//!
//! Messages that are too long for the lane, and all that do not come in a stream, go through the channel, under its lock. The reader
//! opens the lane, and shuts it before it sleeps, both under that lock. While the lane is open, its *gate* holds the number of
//! appends to the channel that the reader has taken. The sender may push only if it has made no more than these.
//!
//! Invariants:
//! - **Order**: the sender pushes only when the reader has taken all that the sender has appended to the channel. So what is in
//!   the lane is older than all that is in the channel.
//! - **Wake-up**: a reader that shuts the lane and then finds it empty may sleep. A sender that pushed at that moment finds
//!   the gate shut *after* the push, and then has to find out whether the reader must be notified. The two barriers ensure
//!   that one of the two happens.

use super::{AtomicU64, AtomicUsize, LANE_BODY, LANE_WORDS, Ordering, barrier, prefetch_to_write};

/// The gate when it is shut. Nobody appends so often.
const SHUT: usize = usize::MAX;

const WORD: usize = size_of::<u64>();

/// Words in a line of the cache.
const LINE: usize = 8;

/// A line is prefetched when the sender is so many words before it. The reader's core still has the line, from the last time round the
/// ring; and since stores reach the cache in order, a line that has to be fetched holds up all stores behind it.
const AHEAD: usize = 8 * LINE;

/// Bytes that a reader takes at a time.
pub(crate) const BLOCK: usize = 4 * WORD;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    words: Box<[AtomicU64; LANE_WORDS]>,
    /// Words ever written; only the sender changes it.
    end: Padded,
    /// Words ever read; only the reader changes it.
    start: Padded,
    /// Only the reader changes it, under the lock.
    gate: Padded,
}

/// A number in a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Padded(AtomicUsize);

/// The sender's side: where it is, and what it last saw of the reader.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    end: usize,
    start: usize,
    /// Appends to the channel, ever.
    appends: usize,
}

impl Writer {
    /// Counts an append to the channel. Until the reader has taken it, nothing can be pushed to the lane.
    #[inline]
    pub(crate) fn appended(&mut self) {
        self.appends += 1;
    }
}

/// The bytes of a body, in blocks. The last one may reach into what follows the body, and shows what it finds there.
pub(crate) struct Blocks<'a> {
    lane: &'a Lane,
    at: usize,
    end: usize,
}

impl Iterator for Blocks<'_> {
    type Item = [u8; BLOCK];

    #[inline]
    fn next(&mut self) -> Option<[u8; BLOCK]> {
        if self.at >= self.end {
            return None;
        }
        let mut block = [0; BLOCK];
        for word in block.chunks_exact_mut(WORD) {
            let bytes = self.lane.word(self.at).load(Ordering::Relaxed);
            word.copy_from_slice(&bytes.to_le_bytes());
            self.at += 1;
        }
        Some(block)
    }
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in, and the reader will see it.
    Yes,
    /// It is in, but the gate is shut by now: the reader may have looked before.
    MaybeUnseen,
    /// It is not in, and has to go through the channel.
    No,
}

impl Lane {
    pub(crate) fn new() -> Self {
        let padded = |number| Padded(AtomicUsize::new(number));
        Lane {
            words: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
            end: padded(0),
            start: padded(0),
            gate: padded(SHUT),
        }
    }

    /// Whether lanes can be used: they need the barriers.
    pub(crate) fn available() -> bool {
        barrier::available()
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at % LANE_WORDS]
    }

    /// Sends a message of one frame, if the lane is open and has room. For the one sender.
    #[inline]
    pub(crate) fn push(&self, writer: &mut Writer, body: &[u8]) -> Pushed {
        if !self.is_open_to(writer) || !self.has_room(writer, body.len()) {
            return Pushed::No;
        }
        let mut at = writer.end;
        let mut put = |word: u64| {
            self.word(at).store(word, Ordering::Relaxed);
            at += 1;
        };
        put(body.len() as u64);
        let (words, rest) = body.as_chunks();
        words.iter().for_each(|word| put(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; WORD];
            last[..rest.len()].copy_from_slice(rest);
            put(u64::from_le_bytes(last));
        }
        for line in (writer.end..at).step_by(LINE) {
            prefetch_to_write(self.word(line + AHEAD));
        }
        writer.end = at;
        self.end.0.store(at, Ordering::Release);
        barrier::light();
        match self.is_open_to(writer) {
            true => Pushed::Yes,
            false => Pushed::MaybeUnseen,
        }
    }

    #[inline]
    fn is_open_to(&self, writer: &Writer) -> bool {
        self.gate.0.load(Ordering::Acquire) == writer.appends
    }

    #[inline]
    fn has_room(&self, writer: &mut Writer, len: usize) -> bool {
        let need = 1 + len.div_ceil(WORD);
        if len > LANE_BODY {
            return false;
        }
        if writer.end - writer.start + need > LANE_WORDS {
            writer.start = self.start.0.load(Ordering::Acquire);
        }
        writer.end - writer.start + need <= LANE_WORDS
    }

    /// Takes all messages: `each` is given the length of a body and its bytes. Only under the lock.
    #[inline]
    pub(crate) fn take(&self, each: impl FnMut(usize, Blocks<'_>)) {
        let end = self.walk(each);
        self.start.0.store(end, Ordering::Release);
    }

    /// Messages not yet taken. Only under the lock.
    pub(crate) fn messages(&self) -> usize {
        let mut messages = 0;
        self.walk(|_, _| messages += 1);
        messages
    }

    /// Looks at all messages; returns where they end.
    #[inline]
    fn walk(&self, mut each: impl FnMut(usize, Blocks<'_>)) -> usize {
        let end = self.end.0.load(Ordering::Acquire);
        let mut at = self.start.0.load(Ordering::Relaxed);
        while at != end {
            let len = self.word(at).load(Ordering::Relaxed) as usize;
            let next = at + 1 + len.div_ceil(WORD);
            let body = Blocks {
                lane: self,
                at: at + 1,
                end: next,
            };
            each(len, body);
            at = next;
        }
        end
    }

    /// Whether there is nothing in it. May be late.
    pub(crate) fn is_empty(&self) -> bool {
        self.start.0.load(Ordering::Relaxed) == self.end.0.load(Ordering::Relaxed)
            && self.gate.0.load(Ordering::Relaxed) != SHUT
    }

    /// Opens the lane to a sender that has made so many appends to the channel. Only for the reader, under the lock, when it has
    /// taken all of these and will read again.
    pub(crate) fn open(&self, appends: usize) {
        self.gate.0.store(appends, Ordering::Release);
    }

    /// Shuts the gate: the reader will be notified of messages that it does not find in the lane after this. Only under the lock.
    pub(crate) fn shut(&self) {
        if self.gate.0.load(Ordering::Relaxed) != SHUT {
            self.gate.0.store(SHUT, Ordering::Relaxed);
            barrier::heavy();
        }
    }
}
