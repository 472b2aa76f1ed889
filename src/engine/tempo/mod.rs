//! When to write: at once, or once more messages have gathered.
//!
//! A write costs some microseconds whatever its size; encoding a message costs some nanoseconds. Writing every message at
//! once gives the best latency as long as there is time for it. A sender that produces faster than that is *streaming*, and its
//! messages gather until the buffer is worth a write, the oldest has waited long enough, or the caretaker comes by.
//!
//! [`Tempo`] decides that for one socket. It does no I/O and reads no clock: it is told what was queued, what a write took and
//! what time it is, and answers with a [`Step`], which `peer/writing.rs` takes. What it has to know of the calling thread is in
//! [`Thread`], and what it lets the caretaker know in [`Rhythm`](rhythm::Rhythm).
//!
//! - **Write at once, as long as that is affordable.** Pauses between sends earn credit, a write spends what it took. So a sender may
//!   spend half of its time on writing each message by itself, bursts included, before it counts as streaming. A pause is time
//!   in which the calling thread sent nothing on any socket, and could have: a thread that serves sixteen sockets in turn does not
//!   pause on each of them while it serves the others, nor does one that waits for room. Nor is it a pause when a thread has left messages on one
//!   socket and queues the first on another: it has queued more on the first, without a look at the clock. But what is longer than a write is.
//! - **Gather for as long as a write takes**, so that a thread with one peer spends half of its time on writing at the most. It
//!   is what the thread writes in that time *for all of its peers and sockets* that counts: one that serves hundreds would do
//!   nothing else, so there it is a fifth.
//! - **A task writes what has gathered before it waits for an answer** (`driving/core/task.rs`): with many tasks at one socket, one takes all answers that have come,
//!   and asks again with each; so what gathers is as much as the peer has answered, and the peer gets it when there is nothing else to do.
//! - **A thread that waits between its messages writes them before it does** or goes on to another socket: it does not stream, and is there. Which it
//!   does is known from the last time that messages gathered: whether the thread has waited since.
//! - **Read the clock once in many messages**, as often as befits their rate.
//!
//! What is added up is counted in nanoseconds: a sender that writes each message by itself decides with each of them, and sums and parts of a
//! `Duration` take several times as many instructions.
//!
//! | file | what |
//! |---|---|
//! | `mod` | what a caller does with a message that it has queued |
//! | `rhythm` | who writes what has gathered, a caller or the caretaker |
//! | `gathers` | hand-over: whether any does |

pub(super) mod gathers;
pub(super) mod rhythm;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rhythm::Rhythm;

/// In nanoseconds.
const MICROSECOND: u64 = 1_000;

/// What a pause of any length is worth: so many writes of a single message in a row, …
const BURST: u64 = 8;

/// … or as many as take this long, but four in any case, where there are many peers to write to. A sender that has
/// lost its core looks as if it paused, and the more that is worth, the more small writes a stream suffers for it.
const CREDIT_CAP: u64 = 100 * MICROSECOND;

/// First guess of what a write costs, until one has been measured.
const FIRST_COST: u64 = 5 * MICROSECOND;

/// A write that seems to have taken longer for each peer counts as this: the sender may have lost its core meanwhile, and has
/// then learnt nothing about what writing takes.
const COST_CAP: u64 = 40 * MICROSECOND;

/// Messages gather for this long at the least. It is as long as the last write took, and four times as long as what else the
/// thread has written meanwhile …
const AT_LEAST: u64 = 10 * MICROSECOND;

/// … but no longer than this, which only a thread with hundreds of peers gets to, and only while it does not rest.
const AT_MOST: u64 = 10_000 * MICROSECOND;

/// A fast stream of very short messages fills this so soon that it is waited for …
const WORTH: usize = 16 * 1024;

/// … up to so long.
const FOR_FEW: u64 = 50 * MICROSECOND;

/// A thread that has so often in a row written by itself what it had left will do so again.
const TRUSTED: u32 = 8;

/// The clock is read every so many messages at the most …
const MAX_STRIDE: usize = 64;

/// … and so often that about this much time goes by in between.
const LOOK_AFTER: u64 = 5 * MICROSECOND;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tempo {
    /// The time that pauses have earned, and that may be spent on writes of single messages.
    credit: u64,
    /// What such a write takes, on average.
    cost: u64,
    /// The last send had to wait for room.
    held_up: bool,
    /// Messages gather, and the caretaker has been told.
    gathering: Option<Gathering>,
    /// How often the thread had waited when messages last began to gather.
    begun_after: Option<u32>,
    /// The clock is read every so many messages: a power of two.
    stride: usize,
    rhythm: Arc<Rhythm>,
}

#[derive(Debug, Clone, Copy)]
struct Gathering {
    /// When the oldest of the messages began to wait.
    since: Instant,
    /// What the thread had spent on writing by then.
    spent: u64,
}

/// What a decision has to know of the calling thread, whichever socket it is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Thread {
    /// When it last sent, on any socket, as far as the clock was read.
    last_sent: Option<Instant>,
    /// The time that it has spent on writing, for all sockets.
    spent: u64,
    /// How often it has waited for something else than room.
    waits: u32,
    /// That count when it last left messages to gather, to go on with others.
    left_after: Option<u32>,
    /// How often in a row it has itself written what it had left to gather, before it waited or went on to another socket.
    finished: u32,
    /// Tells it from all others that there are or have been. `None`: nobody has asked yet.
    number: Option<u64>,
}

/// The threads that have a number.
static NUMBERED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: Cell<Thread> = const {
        Cell::new(Thread {
            last_sent: None,
            spent: 0,
            waits: 0,
            left_after: None,
            finished: 0,
            number: None,
        })
    };
}

/// What waits to be written when a message has been queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// A peer's buffer is full, or worth a write.
    pub(crate) due: bool,
    /// The bytes that wait for the first of the peers.
    pub(crate) bytes: usize,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: the messages go on gathering.
    Gather,
    /// The messages begin to gather: tell the caretaker, with this count of the callers' writes.
    TellCaretaker { writes: u64 },
    /// The same, and the thread is to write them before it does something else. Where it is trusted to, the caretaker need not make haste, and is to
    /// know its number.
    Leave { writes: u64, trusted: Option<u64> },
    /// Write to all peers, and then report it by [`Tempo::wrote`].
    Write(Write),
}

/// A write that has been decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Write {
    begun: Instant,
    /// It is not of a single message.
    gathered: bool,
}

impl Thread {
    /// Lets a decision read and change what is known of the calling thread.
    pub(crate) fn current<T>(decide: impl FnOnce(&mut Thread) -> T) -> T {
        let mut thread = THREAD.get();
        let decided = decide(&mut thread);
        THREAD.set(thread);
        decided
    }

    /// It waits for something else than room.
    fn waits(&mut self) {
        self.waits = self.waits.wrapping_add(1);
    }

    /// It has left messages to gather somewhere, and has not waited since: it is in the middle of sending.
    fn goes_on(&self) -> bool {
        self.left_after == Some(self.waits)
    }

    /// It has written by itself what it had left, or somebody else has.
    pub(crate) fn finished(&mut self, by_itself: bool) {
        self.finished = match by_itself {
            true => self.finished.saturating_add(1),
            false => 0,
        };
    }

    fn number(&mut self) -> u64 {
        *self
            .number
            .get_or_insert_with(|| NUMBERED.fetch_add(1, Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) fn times_finished(&self) -> u32 {
        self.finished
    }

    /// The thread is in the middle of sending, or has just written: pauses count from here. Returns the time since the
    /// last call.
    fn sends(&mut self, now: Instant) -> u64 {
        let last = self.last_sent.replace(now);
        last.map_or(0, |last| nanos_between(last, now))
    }
}

impl Default for Tempo {
    fn default() -> Self {
        Tempo {
            credit: CREDIT_CAP,
            cost: FIRST_COST,
            held_up: false,
            gathering: None,
            begun_after: None,
            stride: MAX_STRIDE,
            rhythm: Arc::default(),
        }
    }
}

impl Tempo {
    pub(crate) fn rhythm(&self) -> &Arc<Rhythm> {
        &self.rhythm
    }

    /// The caretaker has been told of messages that gather, and watches over them.
    #[inline]
    pub(crate) fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }

    /// A message has been queued, and so many have gathered with it, of which none is due: whether that is all there is to do, and
    /// the clock need not be read for [`queued`](Self::queued).
    #[inline]
    pub(crate) fn just_gathers(&self, messages: usize) -> bool {
        self.is_gathering() && messages & (self.stride - 1) != 0
    }

    /// A message has been queued.
    pub(crate) fn queued(&mut self, waiting: Waiting, thread: &mut Thread, now: Instant) -> Step {
        let gathered = Step::Write(Write {
            begun: now,
            gathered: true,
        });
        if waiting.due {
            return gathered;
        }
        if let Some(Gathering { since, .. }) = self.gathering {
            self.held_up = false;
            self.looked(thread.sends(now));
            let waited = nanos_between(since, now);
            return match self.is_long_enough(waited, waiting.bytes) {
                true => gathered,
                false => Step::Gather,
            };
        }
        let since_last = thread.sends(now);
        // The thread may have queued more on the socket before, without a look at the clock.
        let goes_on = thread.goes_on() && since_last < self.cost;
        let pause = match std::mem::take(&mut self.held_up) || goes_on {
            true => 0,
            false => since_last,
        };
        self.credit = self.credit.saturating_add(pause).min(self.credit_cap());
        if self.credit >= self.cost {
            return Step::Write(Write {
                begun: now,
                gathered: false,
            });
        }
        self.gathering = Some(Gathering {
            since: now,
            spent: thread.spent,
        });
        self.rhythm.gathers().set(true);
        let writes = self.rhythm.read().writes;
        match self.begun_after.replace(thread.waits) {
            Some(waits) if waits != thread.waits => {
                thread.left_after = Some(thread.waits);
                Step::Leave {
                    writes,
                    trusted: (thread.finished >= TRUSTED).then(|| thread.number()),
                }
            }
            // The first time, or in a stream.
            _ => Step::TellCaretaker { writes },
        }
    }

    /// A send has to wait for room. That is no pause of the sender's: it would go on if it could.
    #[cold]
    pub(crate) fn held_up(&mut self) {
        self.held_up = true;
    }

    /// The calling thread waits for something, which is room if it has just been held up.
    pub(crate) fn waits(&self, thread: &mut Thread) {
        if !self.held_up {
            thread.waits();
        }
    }

    /// The application did something else meanwhile, such as receiving the answer: the next message is worth a write of its own.
    #[inline]
    pub(crate) fn paused(&mut self) {
        self.credit = self.credit_cap();
    }

    /// A write is done, to so many peers.
    pub(crate) fn wrote(&mut self, write: Write, peers: usize, thread: &mut Thread, now: Instant) {
        let peers = peers as u64;
        let took = nanos_between(write.begun, now).min(COST_CAP.saturating_mul(peers));
        thread.spent += took;
        if write.gathered {
            self.wrote_gathered(took, peers, thread.spent, now);
        } else {
            self.cost = (self.cost * 7 + took) / 8;
            self.credit = self.credit.saturating_sub(took);
        }
        self.held_up = false;
        thread.sends(now);
    }

    /// All that had gathered has been written, and the stream is watched no longer.
    pub(crate) fn ended(&mut self) {
        self.gathering = None;
        self.rhythm.gathers().set(false);
    }

    /// What had gathered has been written. The stream goes on being watched: one wake-up of the caretaker serves a whole
    /// one. Not so if messages are far between: the next may be worth a write of its own.
    fn wrote_gathered(&mut self, took: u64, peers: u64, spent: u64, now: Instant) {
        let meanwhile = self
            .gathering
            .map_or(took, |gathering| spent.saturating_sub(gathering.spent));
        self.rhythm
            .wrote(gathers_for(took / peers.max(1), meanwhile));
        let goes_on = self.is_gathering() && self.stride > 1;
        self.gathering = goes_on.then_some(Gathering { since: now, spent });
        self.rhythm.gathers().set(goes_on);
    }

    /// The clock has been read, so long after the calling thread's last look.
    fn looked(&mut self, after: u64) {
        if after > LOOK_AFTER * 2 {
            self.stride = (self.stride / 2).max(1);
        } else if after < LOOK_AFTER {
            self.stride = (self.stride * 2).min(MAX_STRIDE);
        }
    }

    /// Whether the oldest of so many bytes has waited long enough.
    fn is_long_enough(&self, waited: u64, bytes: usize) -> bool {
        let few = self.stride == MAX_STRIDE && bytes < WORTH;
        waited > self.rhythm.gathers_for() && (!few || waited > FOR_FEW)
    }

    fn credit_cap(&self) -> u64 {
        let burst = (self.cost * BURST).min(CREDIT_CAP);
        burst.max(self.cost * 4)
    }
}

/// How long messages gather where one write takes so long, and all writing of the thread in the same time so much.
fn gathers_for(one: u64, all: u64) -> u64 {
    (one + all.saturating_sub(one) * 4).clamp(AT_LEAST, AT_MOST)
}

/// How many nanoseconds later `now` is.
fn nanos_between(earlier: Instant, now: Instant) -> u64 {
    nanos(now.saturating_duration_since(earlier))
}

fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}
