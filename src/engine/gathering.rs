//! Messages that gather: since when, for how long, and what the caretaker may know of it.
//!
//! In a stream messages gather until the buffer is worth a write, the clock says that the oldest has waited long enough,
//! or the caretaker comes by. How long is enough depends on what the calling thread has to write in that time,
//! for *all* of its peers and sockets: writing is not to take most of its time. A thread that serves one peer can
//! write every 50 µs, one that serves hundreds would do nothing else.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Messages gather for this long, should the caretaker not have come by. Where writing takes a large part of the thread's
/// time, it is four times what writing has taken meanwhile …
const AT_MOST: Duration = Duration::from_micros(50);

/// … up to this, …
const FOR_SOME: Duration = Duration::from_micros(2_000);

/// … or for a thousand peers as long as it has taken, but no longer than this.
const AT_MOST_EVER: Duration = Duration::from_millis(20);

/// If a caller's own writes are due within this time anyway, the caretaker leaves a stream to it.
pub(crate) const SOON: Duration = Duration::from_micros(200);

thread_local! {
    /// The time that this thread has spent on writing, for whichever socket.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Notes that the calling thread has spent time on writing.
pub(crate) fn spent(took: Duration) {
    SPENT.set(SPENT.get() + took);
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    on: Option<Begun>,
    rhythm: Arc<Rhythm>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    /// What the thread had spent on writing by then.
    spent: Duration,
}

impl Gathering {
    pub(crate) fn rhythm(&self) -> &Arc<Rhythm> {
        &self.rhythm
    }

    /// The caretaker has been told of messages that gather, and watches over them.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// When the oldest of them began to wait, if the caretaker watches over any.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.on.map(|begun| begun.at)
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        let spent = SPENT.get();
        self.on = Some(Begun { at: now, spent });
    }

    pub(crate) fn end(&mut self) {
        self.on = None;
    }

    /// Whether the oldest message has waited long enough.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let waited = self.on.map(|begun| now.saturating_duration_since(begun.at));
        waited.is_some_and(|waited| waited > self.rhythm.at_most())
    }

    /// The caller has written what had gathered. It goes on watched: one wake-up of the caretaker serves a whole stream.
    pub(crate) fn wrote(&mut self, took: Duration, now: Instant) {
        let spent = SPENT.get();
        let meanwhile = self.on.map(|begun| spent.saturating_sub(begun.spent));
        let meanwhile = meanwhile.unwrap_or(took);
        self.rhythm.wrote(gathers_for(meanwhile));
        if self.is_on() {
            self.on = Some(Begun { at: now, spent });
        }
    }
}

/// How long messages gather where writing takes so much of that time.
fn gathers_for(writing_takes: Duration) -> Duration {
    let while_few = (writing_takes * 4).min(FOR_SOME);
    while_few.max(writing_takes).clamp(AT_MOST, AT_MOST_EVER)
}

/// How a caller writes in a stream: what the caretaker may know without the lock, which would take the bias away from the
/// very caller that is busy. A hint: each word is true by itself.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// Counts writes of what had gathered.
    writes: AtomicU64,
    /// For how long messages gather, in nanoseconds.
    at_most: AtomicU64,
    /// Connections that the kernel takes no bytes for at the moment. Changed under the socket's lock only.
    unwritable: AtomicUsize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Rhythm {
            writes: AtomicU64::new(0),
            at_most: AtomicU64::new(nanos(AT_MOST)),
            unwritable: AtomicUsize::new(0),
        }
    }
}

impl Rhythm {
    fn wrote(&self, at_most: Duration) {
        self.at_most.store(nanos(at_most), Ordering::Relaxed);
        // Only ever counted under the socket's lock.
        let writes = self.writes.load(Ordering::Relaxed);
        self.writes.store(writes + 1, Ordering::Relaxed);
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
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

    /// For how long messages gather.
    pub(crate) fn at_most(&self) -> Duration {
        Duration::from_nanos(self.at_most.load(Ordering::Relaxed))
    }

    /// A caller that sends on and on has written again by then.
    pub(crate) fn interval(&self) -> Duration {
        SOON.max(self.at_most() * 2)
    }

    /// Whether such a caller would not have written yet what gathers since then.
    pub(crate) fn is_too_early(&self, since: Instant) -> bool {
        self.at_most() > AT_MOST && since.elapsed() < self.at_most() * 2
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_gather_longer_where_writing_takes_longer() {
        let gathers_for = |micros| gathers_for(Duration::from_micros(micros)).as_micros();
        assert_eq!(gathers_for(5), 50);
        assert_eq!(gathers_for(40), 160);
        assert_eq!(gathers_for(500), 2_000);
        assert_eq!(gathers_for(1_000), 2_000);
        assert_eq!(gathers_for(5_000), 5_000);
        assert_eq!(gathers_for(50_000), 20_000);
    }

    #[test]
    fn what_a_thread_writes_for_other_sockets_counts() {
        let now = Instant::now();
        let us = Duration::from_micros;
        let mut gathering = Gathering::default();
        gathering.begin(now);
        (0..16).for_each(|_| spent(us(5)));
        gathering.wrote(us(5), now + us(60));
        assert_eq!(gathering.rhythm.at_most(), us(320));
        assert!(!gathering.is_over(now + us(370)) && gathering.is_over(now + us(390)));
        spent(us(5));
        gathering.wrote(us(5), now + us(390));
        assert_eq!(gathering.rhythm.at_most(), AT_MOST, "the others are silent");
        gathering.end();
        assert!(!gathering.is_over(now + us(1_000)));
    }
}
