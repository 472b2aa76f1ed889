//! Whether the runtime of a task has other tasks to run.
//!
//! A task in a dialogue may poll for its answer, as a thread does ([`busy_poll`](super::busy_poll)), instead of leaving that to the reactor: on tokio a
//! round trip takes half the time so. But its thread runs no other task meanwhile, and a task that always finds its answer never gives way to the others.
//! So it gives way before it polls, and again after a while: it wakes itself, and is run again when the others have been that were ready. How long that
//! takes says whether there are any; only if there are none it polls. Now and then it sleeps all the same, so that the runtime looks who else has something to do.

use std::time::{Duration, Instant};

/// For so long a task polls that was alone when it gave way.
const SPELL: Duration = Duration::from_micros(100);

/// Waits that sleep at once where it was not, until it gives way again.
const APART: u32 = 16;

/// A task that has given way and runs again within this time was alone: it is what a runtime takes by itself.
const ALONE: Duration = Duration::from_micros(10);

/// Spells in a row, until it sleeps once: a runtime looks what the kernel has for other tasks, and which timers are due, when it has none to run, or has run
/// many, and one that wakes itself is run before that.
const SPELLS: u32 = 16;

/// One wait polls for so long at the most, whatever the option says.
const AT_MOST: Duration = Duration::from_micros(50);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RuntimeLoad {
    /// There was nobody else: until then it polls.
    polls_until: Option<Instant>,
    /// Spells since it has slept.
    spells: u32,
    /// There were others: waits until it gives way again.
    left: u32,
    /// When it gave way, unless it has been run since, and for how long it was to poll.
    gave_way: Option<(Instant, Duration)>,
}

/// How a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskWait {
    /// It polls the kernel for so long first.
    Poll(Duration),
    /// It wakes itself, and is asked again when others have run.
    GiveWay,
    /// It leaves all to whoever wakes it.
    Sleep,
}

impl RuntimeLoad {
    /// How a task is to wait that may poll for as long as `span` gives, which is not asked again after it has given way: it may be one try of many.
    pub(crate) fn next(&mut self, now: Instant, span: impl FnOnce() -> Duration) -> TaskWait {
        if let Some((since, span)) = self.gave_way.take() {
            if now.saturating_duration_since(since) < ALONE {
                self.polls_until = Some(now + SPELL);
                self.spells += 1;
                return TaskWait::Poll(span);
            }
            self.left = APART;
        }
        let span = span().min(AT_MOST);
        if span.is_zero() {
            return TaskWait::Sleep;
        }
        if self.polls_until.is_some_and(|until| now < until) {
            return TaskWait::Poll(span);
        }
        self.polls_until = None;
        if self.left > 0 || self.spells >= SPELLS {
            self.left = self.left.saturating_sub(1);
            self.spells = 0;
            return TaskWait::Sleep;
        }
        self.gave_way = Some((now, span));
        TaskWait::GiveWay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How so many calls wait, one every 10 µs, in a runtime that takes so long to run a task again that has given way: how many poll, give way, sleep.
    fn waits(load: &mut RuntimeLoad, calls: u32, runs_again_after: Duration) -> [u32; 3] {
        let mut now = Instant::now();
        let mut counts = [0; 3];
        for _ in 0..calls {
            now += SPELL / 10;
            let mut wait = load.next(now, || AT_MOST);
            if wait == TaskWait::GiveWay {
                counts[1] += 1;
                now += runs_again_after;
                wait = load.next(now, || AT_MOST);
            }
            match wait {
                TaskWait::Poll(_) => counts[0] += 1,
                TaskWait::Sleep => counts[2] += 1,
                TaskWait::GiveWay => panic!("twice"),
            }
        }
        counts
    }

    #[test]
    fn a_task_polls_only_where_no_other_is_ready_and_gives_way_again_and_again() {
        let mut load = RuntimeLoad::default();
        // Each spell is 10 calls, and after so many of them there is one that sleeps.
        assert_eq!(waits(&mut load, 805, ALONE / 2), [800, 80, 5]);
        let mut load = RuntimeLoad::default();
        let calls = 100 * APART;
        let [polls, ways, sleeps] = waits(&mut load, calls, ALONE * 2);
        assert_eq!((polls, ways), (0, 100));
        assert_eq!(sleeps, calls);
        let [polls, _, sleeps] = waits(&mut load, 805, ALONE / 2);
        assert_eq!(polls + sleeps, 805);
        assert!(sleeps < APART + 5, "{sleeps}");
    }

    #[test]
    fn a_task_that_gives_way_and_is_not_run_for_long_sleeps() {
        let mut load = RuntimeLoad::default();
        let now = Instant::now();
        let mut next = |now| load.next(now, || AT_MOST);
        assert_eq!(next(now), TaskWait::GiveWay);
        assert_eq!(next(now + Duration::from_secs(1)), TaskWait::Sleep);
    }

    #[test]
    fn a_try_of_many_is_not_used_up_by_giving_way() {
        let mut load = RuntimeLoad::default();
        let now = Instant::now();
        let mut tries = [2 * AT_MOST, Duration::ZERO].into_iter();
        let mut next = |now| load.next(now, || tries.next().unwrap_or_default());
        assert_eq!(next(now), TaskWait::GiveWay);
        assert_eq!(next(now + ALONE / 2), TaskWait::Poll(AT_MOST));
        assert_eq!(next(now + ALONE), TaskWait::Sleep);
    }
}
