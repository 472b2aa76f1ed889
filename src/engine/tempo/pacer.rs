//! When to write: at once, or once more has gathered.
//!
//! A write costs some microseconds whatever its size; encoding a message costs some nanoseconds. Writing
//! every message at once gives the best latency as long as there is time for it; a sender that produces
//! faster than that is *streaming*, and its messages gather until the buffer is worth a write or the
//! caretaker gets to it.
//!
//! The judgement is by cost: pauses between sends earn credit, a write spends what it took.
//! So a sender may spend half of its time writing inline, bursts included, before it counts as streaming.
//! The clock is read once per batch, not per message.
//!
//! A pause is time in which the calling thread sent nothing on any socket, and could have: one that serves sixteen sockets
//! in turn does not pause on each of them while it serves the others, nor does one that waits for room.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// When this thread last sent, on any socket, as far as the clock was read.
    static LAST_SENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What a pause of any length is worth: so many inline writes in a row, …
const BURST: u32 = 8;

/// … or as many as take this long, but four in any case, where there are many peers to write to. A sender that has
/// lost its core looks as if it paused, and the more that is worth, the more small writes a stream suffers for it.
const CREDIT_CAP: Duration = Duration::from_micros(100);

/// First guess of what a write costs, until one has been measured.
const FIRST_COST: Duration = Duration::from_micros(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pacer {
    credit: Duration,
    cost: Duration,
    /// The last send had to wait for room.
    held_up: bool,
}

impl Default for Pacer {
    fn default() -> Self {
        Pacer {
            credit: CREDIT_CAP,
            cost: FIRST_COST,
            held_up: false,
        }
    }
}

impl Pacer {
    /// The first message after an empty buffer: write it now?
    pub(crate) fn write_now(&mut self, now: Instant) -> bool {
        if self.held_up {
            self.sending(now);
        }
        if let Some(last) = LAST_SENT.replace(Some(now)) {
            let pause = now.saturating_duration_since(last);
            self.credit = (self.credit + pause).min(self.cap());
        }
        self.credit >= self.cost
    }

    fn cap(&self) -> Duration {
        let burst = (self.cost * BURST).min(CREDIT_CAP);
        burst.max(self.cost * 4)
    }

    /// An inline write is done.
    pub(crate) fn wrote(&mut self, took: Duration, now: Instant) {
        self.cost = (self.cost * 7 + took) / 8;
        self.credit = self.credit.saturating_sub(took);
        self.sending(now);
    }

    /// The caller is in the middle of a stream, or has just written what had gathered: pauses count from here. Returns how
    /// long ago that last was so.
    pub(crate) fn sending(&mut self, now: Instant) -> Duration {
        self.held_up = false;
        let last = LAST_SENT.replace(Some(now));
        last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last))
    }

    /// A send has to wait for room. That is no pause of the sender's: it would go on if it could.
    #[cold]
    pub(crate) fn held_up(&mut self) {
        self.held_up = true;
    }

    /// The application did something else meanwhile, such as receiving the answer: no stream.
    #[inline]
    pub(crate) fn pause(&mut self) {
        self.credit = self.cap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn run(gap: Duration, write: Duration, sends: u32) -> u32 {
        let mut pacer = Pacer::default();
        let mut now = Instant::now();
        let mut inline = 0;
        for _ in 0..sends {
            now += gap;
            if pacer.write_now(now) {
                inline += 1;
                now += write;
                pacer.wrote(write, now);
            } else {
                pacer.sending(now);
            }
        }
        inline
    }

    #[test]
    fn slow_senders_always_write_at_once() {
        assert_eq!(run(20 * US, 5 * US, 1_000), 1_000);
    }

    #[test]
    fn a_burst_after_a_pause_is_written_at_once() {
        assert!(run(Duration::ZERO, 5 * US, 8) == 8);
    }

    #[test]
    fn a_stream_gathers() {
        let inline = run(Duration::from_nanos(30), 5 * US, 10_000);
        assert!(inline < 100, "{inline} inline writes in a stream");
    }

    /// What it takes to encode for a thousand peers is no pause.
    #[test]
    fn a_stream_to_many_gathers_too() {
        let (encode, write) = (60 * US, 5_000 * US);
        let mut pacer = Pacer::default();
        let mut now = Instant::now();
        let mut inline = 0;
        for _ in 0..1_000 {
            now += encode;
            if pacer.write_now(now) {
                inline += 1;
                now += write;
                pacer.wrote(write, now);
            }
        }
        assert!(inline < 50, "{inline} inline writes in a stream");
    }

    #[test]
    fn waiting_for_room_is_no_pause() {
        let mut pacer = Pacer::default();
        let mut now = Instant::now();
        let mut inline = 0;
        for _ in 0..1_000 {
            now += 50 * US;
            pacer.held_up();
            if pacer.write_now(now) {
                inline += 1;
                pacer.wrote(5 * US, now + 5 * US);
            }
        }
        assert!(inline < 20, "{inline} inline writes in a stream");
        assert!(pacer.write_now(now + 50 * US), "it was, once");
    }

    #[test]
    fn a_pause_restores_the_credit() {
        let mut pacer = Pacer::default();
        let now = Instant::now();
        for _ in 0..100 {
            pacer.wrote(20 * US, now + 20 * US);
        }
        assert!(!pacer.write_now(now + 20 * US));
        pacer.pause();
        assert!(pacer.write_now(now + 20 * US));
    }
}
