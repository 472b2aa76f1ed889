//! How long a caller polls the kernel again and again before it sleeps.
//!
//! Where requests and replies go back and forth, the next one is often a few microseconds away, and to sleep and
//! be woken takes longer than that; on a virtual machine whose cores fall asleep, several times longer. So the
//! caller polls for a while first ([`Options::busy_poll`](crate::Options::busy_poll)), as long as something has come that way
//! lately, and hardly ever if not: a peer that answers slowly is not waited for like this. Which sockets that are, says
//! [`in_dialogue`](crate::pattern::Pattern::in_dialogue): REQ and REP, and those that send and receive as they like, once they have sent.
//! In a stream this would halve the latency, too, but keep a core busy: there it is done only if the option says so.
//!
//! Where both sides share a core, whoever polls takes the very core that the peer needs: answers still come, but a tenth of them
//! when the scheduler interferes. On which cores the two are is the scheduler's choice, which changes. So, unless the option is set, both
//! ways of waiting are measured, and the one that takes less time is used: see [`Choice`].

use std::time::{Duration, Instant};

/// After so many attempts in a row that were in vain, the caller sleeps at once. A power of two.
const ATTEMPTS: u32 = 4;

/// Of so many waits that sleep at once, one polls again, in case that has changed.
const TRY_EVERY: u32 = 64;

/// How long a caller in a dialogue polls, if the option is not set.
const IN_DIALOGUE: Duration = Duration::from_micros(50);

/// After so many rounds, and after four and sixteen times as many, a trial of the other way of waiting is looked at. It ends where it has not been
/// better so far, which few rounds tell if it is much worse. Few do not tell that it is better: one round in some takes several times as
/// long as most, so that the mean of four is mostly below that of many.
const TRIAL: u32 = 4;

/// Rounds of a trial that is better each time.
const WHOLE_TRIAL: u32 = 16 * TRIAL;

/// Rounds between two trials, at the least; twice as many after each that changes nothing.
const TRIALS_APART: u32 = 256;

/// And at the most.
const TRIALS_APART_AT_MOST: u32 = 8192;

/// After so many rounds there may be a trial, if rounds have become longer by half.
const TRIALS_APART_AT_CHANGE: u32 = 64;

/// A round is not taken for longer than this: what takes so long does not depend on the way of waiting.
const LONGEST: Duration = Duration::from_micros(200);

/// See the module.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    limit: Duration,
    /// Polls because the option says so, not only in a dialogue.
    always: bool,
    /// Attempts in vain before it sleeps at once.
    attempts: u32,
    /// Waits since that slept at once.
    slept: u32,
    choice: Choice,
    /// The end of the last wait in a dialogue.
    woken: Option<Instant>,
}

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Poll,
    Sleep,
}

/// With which way of waiting a round takes less time. Now and then the other way is tried for some rounds.
#[derive(Debug)]
struct Choice {
    way: Way,
    /// Nanoseconds that a round takes this way: a mean of the last ones. 0: nothing is known.
    usual: u64,
    /// What it was when this way was last found to be the better one.
    settled: u64,
    /// Rounds since the last trial.
    rounds: u32,
    /// Rounds from one trial to the next.
    apart: u32,
    /// The trial that is under way: how many rounds it has had, and their nanoseconds.
    trial: Option<(u32, u64)>,
}

impl BusyPoll {
    /// As the option says. If it is not set, for a default time, and only in a dialogue.
    pub(crate) fn new(busy_poll: Option<Duration>) -> Self {
        BusyPoll {
            limit: busy_poll.unwrap_or(IN_DIALOGUE),
            always: busy_poll.is_some(),
            attempts: ATTEMPTS,
            slept: 0,
            choice: Choice::new(),
            woken: None,
        }
    }

    /// How long to poll before sleeping this time.
    pub(crate) fn duration(&mut self, dialogue: bool) -> Duration {
        if !self.always {
            if !dialogue || self.choice.way() == Way::Sleep {
                return Duration::ZERO;
            }
            if self.choice.trial.is_some() {
                return self.limit;
            }
        }
        if self.attempts > 0 {
            return self.limit;
        }
        self.slept += 1;
        if self.slept < TRY_EVERY {
            return Duration::ZERO;
        }
        self.slept = 0;
        self.limit
    }

    /// Notes whether something has come within that time.
    pub(crate) fn record(&mut self, came: bool) {
        self.attempts = match came {
            true => ATTEMPTS,
            false => self.attempts.saturating_sub(1),
        };
    }

    /// Notes that something has come, and ended a wait in a dialogue. What counts is the whole round, from the end of one wait to that of the
    /// next: where both sides share a core, a call that sends may last until the answer is there, and the wait behind it takes no time.
    pub(crate) fn woken(&mut self, now: Instant) {
        if self.always {
            return;
        }
        if let Some(before) = self.woken.replace(now) {
            let round = now.saturating_duration_since(before).min(LONGEST);
            self.choice
                .took(u64::try_from(round.as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

impl Way {
    fn other(self) -> Way {
        match self {
            Way::Poll => Way::Sleep,
            Way::Sleep => Way::Poll,
        }
    }
}

impl Choice {
    fn new() -> Choice {
        Choice {
            way: Way::Poll,
            usual: 0,
            settled: 0,
            rounds: 0,
            apart: TRIALS_APART,
            trial: None,
        }
    }

    /// How to wait this time.
    fn way(&self) -> Way {
        match self.trial {
            Some(_) => self.way.other(),
            None => self.way,
        }
    }

    fn took(&mut self, time: u64) {
        let Some((rounds, sum)) = self.trial else {
            return self.took_as_usual(time);
        };
        let (rounds, sum) = (rounds + 1, sum + self.no_longer(time));
        self.trial = Some((rounds, sum));
        if ![TRIAL, 4 * TRIAL, WHOLE_TRIAL].contains(&rounds) {
            return;
        }
        let mean = sum / u64::from(rounds);
        // By an eighth at least, so that it does not go back and forth where it matters little.
        let better = mean < self.usual - self.usual / 8;
        if better && rounds < WHOLE_TRIAL {
            return;
        }
        self.trial = None;
        if better {
            self.way = self.way.other();
            self.usual = mean;
            self.apart = TRIALS_APART;
        } else {
            self.apart = (2 * self.apart).min(TRIALS_APART_AT_MOST);
        }
        self.settled = self.usual;
        self.rounds = 0;
    }

    /// A round that took very long does not count for more than several that took a little longer.
    fn no_longer(&self, time: u64) -> u64 {
        time.min(4 * self.usual)
    }

    fn took_as_usual(&mut self, time: u64) {
        self.usual = match self.usual {
            0 => time,
            usual => usual - usual / 32 + self.no_longer(time) / 32,
        };
        self.rounds += 1;
        let changed = self.usual > self.settled + self.settled / 2;
        if self.rounds >= self.apart || changed && self.rounds >= TRIALS_APART_AT_CHANGE {
            if changed {
                self.apart = TRIALS_APART;
            }
            self.trial = Some((0, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(10);

    #[test]
    fn polling_ends_soon_and_comes_back_when_it_pays() {
        let mut busy_poll = BusyPoll::new(Some(LIMIT));
        let polled = |busy_poll: &mut BusyPoll, waits: u32| {
            let mut polled = 0;
            for _ in 0..waits {
                if !busy_poll.duration(true).is_zero() {
                    busy_poll.record(false);
                    polled += 1;
                }
            }
            polled
        };
        assert_eq!(polled(&mut busy_poll, ATTEMPTS + TRY_EVERY - 1), ATTEMPTS);
        assert_eq!(polled(&mut busy_poll, 100 * TRY_EVERY), 100);
        busy_poll.record(true);
        assert_eq!(busy_poll.duration(true), LIMIT);
    }

    /// Some rounds that take so long if the caller polls, and so long if it sleeps; says how many were of which kind.
    fn run(choice: &mut Choice, rounds: u32, (poll, sleep): (u64, u64)) -> [u32; 2] {
        let mut counts = [0; 2];
        for _ in 0..rounds {
            match choice.way() {
                Way::Poll => {
                    counts[0] += 1;
                    choice.took(poll);
                }
                Way::Sleep => {
                    counts[1] += 1;
                    choice.took(sleep);
                }
            }
        }
        counts
    }

    #[test]
    fn the_way_that_takes_less_time_is_found_soon_and_kept() {
        const ON_TWO_CORES: (u64, u64) = (5_500, 27_000);
        const ON_ONE_CORE: (u64, u64) = (13_900, 9_200);
        let mut choice = Choice::new();
        for (costs, better) in [
            (ON_TWO_CORES, Way::Poll),
            (ON_ONE_CORE, Way::Sleep),
            (ON_TWO_CORES, Way::Poll),
        ] {
            run(&mut choice, 400, costs);
            assert_eq!(choice.way, better, "{costs:?}");
            let [polls, sleeps] = run(&mut choice, 100_000, costs);
            assert_eq!(choice.way, better, "{costs:?}");
            let (of_it, others) = match better {
                Way::Poll => (polls, sleeps),
                Way::Sleep => (sleeps, polls),
            };
            assert!(others * 500 < of_it, "{polls} polls, {sleeps} sleeps");
        }
    }

    /// Where some rounds take four times as long as most, whichever way.
    #[test]
    fn noise_hardly_changes_the_way() {
        let mut choice = Choice::new();
        let (mut way, mut changes) = (choice.way, 0);
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let long = random >> 62 == 0;
            choice.took(if long { 20_000 } else { 5_000 });
            changes += u32::from(way != choice.way);
            way = choice.way;
        }
        assert!(changes <= 5, "{changes}");
    }

    #[test]
    fn a_small_difference_and_a_round_that_takes_long_change_nothing() {
        let mut choice = Choice::new();
        run(&mut choice, 10_000, (10_000, 9_500));
        assert_eq!(choice.way, Way::Poll);
        choice.took(1_000_000_000);
        assert_eq!(choice.trial, None);
        let [_, sleeps] = run(&mut choice, 200, (10_000, 9_500));
        assert_eq!(sleeps, 0);
    }

    #[test]
    fn nothing_is_measured_where_the_option_is_set() {
        let mut busy_poll = BusyPoll::new(Some(LIMIT));
        for _ in 0..10_000 {
            assert_eq!(busy_poll.duration(true), LIMIT);
            busy_poll.record(true);
            busy_poll.woken(Instant::now());
        }
    }

    #[test]
    fn a_trial_polls_also_where_that_was_in_vain() {
        let mut busy_poll = BusyPoll::new(None);
        busy_poll.choice.way = Way::Sleep;
        busy_poll.attempts = 0;
        assert_eq!(busy_poll.duration(true), Duration::ZERO);
        busy_poll.choice.trial = Some((0, 0));
        assert_eq!(busy_poll.duration(true), IN_DIALOGUE);
    }

    #[test]
    fn outside_of_a_dialogue_only_the_option_makes_it_poll() {
        let duration = |busy_poll, dialogue| BusyPoll::new(busy_poll).duration(dialogue);
        assert_eq!(duration(None, false), Duration::ZERO);
        assert_eq!(duration(None, true), IN_DIALOGUE);
        assert_eq!(duration(Some(LIMIT), false), LIMIT);
        assert_eq!(duration(Some(Duration::ZERO), true), Duration::ZERO);
    }
}
