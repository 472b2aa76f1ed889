//! Messages that gather: since when, for how long, and what the caretaker may know of it.
//!
//! In a stream messages gather until the buffer is worth a write, the clock says that the oldest has waited long enough,
//! or the caretaker comes by. How long is enough depends on what the calling thread has to write in that time,
//! for *all* of its peers and sockets. With one peer that is about what a write takes, so that writing has half of the thread's time
//! at the most. A thread that serves hundreds would do nothing else: there it is a fifth.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Messages gather for this long at the least. It is as long as the last write took, and four times as long as what else the
/// thread has written meanwhile …
const AT_LEAST: Duration = Duration::from_micros(10);

/// … but no longer than this, which only a thread with hundreds of peers gets to, and only while it does not rest.
const AT_MOST: Duration = Duration::from_millis(10);

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

/// A fast stream of very short messages fills this so soon that it is waited for …
const WORTH: usize = 16 * 1024;

/// … up to so long.
const FOR_FEW: Duration = Duration::from_micros(50);

/// The clock is read every so many messages at the most …
const MAX_STRIDE: usize = 64;

/// … and so often that about this much time goes by in between.
const LOOK_AFTER: Duration = Duration::from_micros(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Gathering {
    on: Option<Begun>,
    /// The clock is read every so many messages: a power of two.
    stride: usize,
    rhythm: Arc<Rhythm>,
}

impl Default for Gathering {
    fn default() -> Self {
        Gathering {
            on: None,
            stride: MAX_STRIDE,
            rhythm: Arc::default(),
        }
    }
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

    /// Whether to look at the clock after so many messages.
    #[inline]
    pub(crate) fn is_time_to_look(&self, messages: usize) -> bool {
        messages & (self.stride - 1) == 0
    }

    /// The clock has been looked at, so long after the calling thread's last look.
    pub(crate) fn looked(&mut self, after: Duration) {
        if after > LOOK_AFTER * 2 {
            self.stride = (self.stride / 2).max(1);
        } else if after < LOOK_AFTER {
            self.stride = (self.stride * 2).min(MAX_STRIDE);
        }
    }

    /// Whether the oldest of so many bytes has waited long enough.
    pub(crate) fn is_over(&self, now: Instant, bytes: usize) -> bool {
        let Some(begun) = self.on else {
            return false;
        };
        let waited = now.saturating_duration_since(begun.at);
        let few = self.stride == MAX_STRIDE && bytes < WORTH;
        waited > self.rhythm.at_most() && (!few || waited > FOR_FEW)
    }

    /// The caller has written what had gathered, to so many peers. It goes on watched: one wake-up of the caretaker serves a
    /// whole stream. Not so if messages are far between: the next may be worth a write of its own.
    pub(crate) fn wrote(&mut self, took: Duration, peers: u32, now: Instant) {
        let spent = SPENT.get();
        let meanwhile = self.on.map(|begun| spent.saturating_sub(begun.spent));
        let meanwhile = meanwhile.unwrap_or(took);
        self.rhythm
            .wrote(gathers_for(took / peers.max(1), meanwhile));
        let goes_on = self.is_on() && self.stride > 1;
        self.on = goes_on.then_some(Begun { at: now, spent });
    }
}

/// How long messages gather where one write takes so long, and all writing of the thread in the same time so much.
fn gathers_for(one: Duration, all: Duration) -> Duration {
    (one + all.saturating_sub(one) * 4).clamp(AT_LEAST, AT_MOST)
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
            at_most: AtomicU64::new(nanos(AT_LEAST)),
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
        let interval = self.interval();
        interval > SOON && since.elapsed() < interval
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// One peer, to whom a write takes 5 µs.
    fn streaming(now: Instant) -> Gathering {
        let mut gathering = Gathering::default();
        gathering.begin(now);
        gathering.wrote(us(5), 1, now);
        gathering
    }

    #[test]
    fn messages_gather_longer_where_writing_takes_longer() {
        assert_eq!(gathers_for(us(5), us(5)), us(10));
        assert_eq!(
            gathers_for(us(25), us(25)),
            us(25),
            "one peer, and it sleeps"
        );
        assert_eq!(
            gathers_for(us(5), us(80)),
            us(305),
            "sixteen peers or sockets"
        );
        assert_eq!(gathers_for(us(5), us(1_000)), us(3_985), "two hundred");
        assert_eq!(gathers_for(us(5), us(50_000)), us(10_000), "thousands");
    }

    #[test]
    fn what_a_thread_writes_for_other_sockets_counts() {
        let now = Instant::now();
        let mut gathering = Gathering::default();
        gathering.begin(now);
        (0..16).for_each(|_| spent(us(5)));
        gathering.wrote(us(5), 1, now + us(60));
        assert_eq!(gathering.rhythm.at_most(), us(305));
        assert!(!gathering.is_over(now + us(360), WORTH));
        assert!(gathering.is_over(now + us(370), WORTH));
        spent(us(5));
        gathering.wrote(us(5), 1, now + us(390));
        assert_eq!(
            gathering.rhythm.at_most(),
            AT_LEAST,
            "the others are silent"
        );
        gathering.end();
        assert!(!gathering.is_over(now + us(1_000), WORTH));
    }

    #[test]
    fn the_clock_is_read_as_often_as_befits_the_rate() {
        let mut gathering = Gathering::default();
        let mut looks = |gap: Duration| {
            let mut since = Duration::ZERO;
            let mut looks = 0;
            for message in 1..=10_000 {
                since += gap;
                if gathering.is_time_to_look(message) {
                    gathering.looked(since);
                    since = Duration::ZERO;
                    looks += 1;
                }
            }
            looks
        };
        assert!(looks(Duration::from_nanos(30)) < 200);
        let looks_at_a_million_a_second = looks(us(1));
        assert!((1_000..3_000).contains(&looks_at_a_million_a_second));
        assert!(looks(us(20)) > 9_000);
    }

    #[test]
    fn a_fast_stream_of_short_messages_fills_a_write_first() {
        let now = Instant::now();
        let mut gathering = streaming(now);
        assert!(gathering.is_over(now + us(11), WORTH));
        assert!(!gathering.is_over(now + us(11), WORTH - 1));
        assert!(gathering.is_over(now + us(51), 1));
        gathering.looked(us(30));
        assert!(gathering.is_over(now + us(11), 1), "not so fast");
    }

    #[test]
    fn what_is_far_between_is_not_watched_over() {
        let now = Instant::now();
        let mut gathering = streaming(now);
        assert!(gathering.is_on(), "a stream");
        (0..10).for_each(|_| gathering.looked(us(30)));
        gathering.wrote(us(5), 1, now);
        assert!(!gathering.is_on());
    }
}
