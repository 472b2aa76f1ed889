//! Who writes what has gathered: a caller that goes on sending, or the caretaker.
//!
//! The caretaker may not lock the socket just to find out: that would take the lock's bias away from the very caller that is
//! busy. So callers leave it a hint in a [`Rhythm`], and only if that does not say that they write by themselves, the caretaker looks
//! closer, under the lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::gathers::Gathers;
use super::{AT_LEAST, Tempo};

/// If a caller's own writes are due within this time anyway, the caretaker leaves a stream to it.
const SOON: Duration = Duration::from_micros(200);

/// A caller that queues so many messages in that time looks at the clock soon enough, however high its high-water mark.
const MANY: usize = 1_000;

/// How callers write in a stream: what the caretaker may know without the lock. A hint: each word is true by itself. Changed
/// under the socket's lock only.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// Counts writes of what had gathered.
    writes: AtomicU64,
    /// For how long messages gather, in nanoseconds.
    gathers_for: AtomicU64,
    gathers: Gathers,
    /// Connections that the kernel takes no bytes for at the moment.
    unwritable: AtomicUsize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Rhythm {
            writes: AtomicU64::new(0),
            gathers_for: AtomicU64::new(AT_LEAST),
            gathers: Gathers::new(),
            unwritable: AtomicUsize::new(0),
        }
    }
}

/// What a [`Rhythm`] says at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The callers' writes of what had gathered so far.
    pub(crate) writes: u64,
    /// For how long messages gather between them.
    pub(crate) gathers_for: Duration,
}

/// What the caretaker knows of a stream from before: the callers' count of writes …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// … when messages began to gather.
    Started(u64),
    /// … when it last looked, so long ago.
    Since(u64, Duration),
}

/// What has gathered, and with how much of it a caller writes without a look at the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gathered {
    pub(crate) messages: usize,
    /// Of the peer that most bytes wait for.
    pub(crate) bytes: usize,
    pub(crate) full_at_messages: usize,
    pub(crate) full_at_bytes: usize,
}

/// Who is to write what has gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenBy {
    /// Nothing has.
    Nobody,
    /// A caller, which will do so soon.
    Caller,
    Caretaker,
}

impl Rhythm {
    pub(super) fn wrote(&self, gathers_for: u64) {
        self.gathers_for.store(gathers_for, Ordering::Relaxed);
        // Only ever counted under the socket's lock.
        let writes = self.writes.load(Ordering::Relaxed);
        self.writes.store(writes + 1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        Reading {
            writes: self.writes.load(Ordering::Relaxed),
            gathers_for: Duration::from_nanos(self.gathers_for()),
        }
    }

    pub(super) fn gathers_for(&self) -> u64 {
        self.gathers_for.load(Ordering::Relaxed)
    }

    pub(crate) fn gathers(&self) -> &Gathers {
        &self.gathers
    }

    /// A connection that was `writable` or not now is, or not.
    pub(crate) fn writable(&self, was: bool, is: bool) {
        let unwritable = self.unwritable.load(Ordering::Relaxed);
        let unwritable = unwritable + usize::from(was) - usize::from(is);
        self.unwritable.store(unwritable, Ordering::Relaxed);
    }

    /// Whether the kernel takes no bytes for some connection.
    pub(crate) fn is_held_up(&self) -> bool {
        self.unwritable.load(Ordering::Relaxed) > 0
    }
}

impl Reading {
    /// Whether callers have written so often since then that they can be left to it.
    pub(crate) fn shows_writes_since(self, seen: Seen) -> bool {
        match seen {
            Seen::Started(before) => self.writes != before,
            Seen::Since(before, ago) => {
                let writes = self.writes.saturating_sub(before);
                let writes = u32::try_from(writes).unwrap_or(u32::MAX);
                self.interval().saturating_mul(writes) >= ago
            }
        }
    }

    /// A caller that sends on and on has written again by then.
    fn interval(self) -> Duration {
        SOON.max(self.gathers_for * 2)
    }
}

impl Tempo {
    /// Who is to write what has gathered, for a caretaker that has seen no writes of callers.
    pub(crate) fn who_writes(&self, seen: Seen, gathered: Gathered, now: Instant) -> WrittenBy {
        let Some(gathering) = self.gathering else {
            return WrittenBy::Nobody;
        };
        let waited = now.saturating_duration_since(gathering.since);
        let caller = match seen {
            Seen::Started(_) => gathered.is_full_within(SOON, waited),
            Seen::Since(..) => {
                let interval = self.rhythm.read().interval();
                interval > SOON && waited < interval
            }
        };
        match caller {
            true => WrittenBy::Caller,
            false => WrittenBy::Caretaker,
        }
    }
}

impl Gathered {
    /// Whether so much has gathered in a time that at this rate, `soon` is enough for a write.
    fn is_full_within(self, soon: Duration, waited: Duration) -> bool {
        let at_this_rate =
            |so_far: usize| so_far as u128 * soon.as_nanos() / waited.as_nanos().max(1);
        at_this_rate(self.messages) >= self.full_at_messages.min(MANY) as u128
            || at_this_rate(self.bytes) >= self.full_at_bytes as u128
    }
}
