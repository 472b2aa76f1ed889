//! How long a call may wait, and why it ended without what it waited for.

use std::time::{Duration, Instant};

/// How long a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Not at all.
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// Whether there is no time left.
    pub(crate) fn has_passed(self, now: Instant) -> bool {
        match self {
            Deadline::Now => true,
            Deadline::At(at) => at <= now,
            Deadline::Never => false,
        }
    }

    pub(crate) fn after(timeout: Duration) -> Self {
        Deadline::counted_from(Instant::now(), timeout)
    }

    fn counted_from(start: Instant, timeout: Duration) -> Self {
        start
            .checked_add(timeout)
            .map_or(Deadline::Never, Deadline::At)
    }
}

/// How long a call may wait, before it is known whether it has to: most need not, and do not look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Not,
    AtMost(Duration),
    Forever,
}

impl Wait {
    /// As the options mean it: `None` is for ever, and no time at all is not to wait.
    #[inline]
    pub(crate) fn from_option(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Wait::Forever,
            Some(Duration::ZERO) => Wait::Not,
            Some(timeout) => Wait::AtMost(timeout),
        }
    }

    /// When it ends if it starts then.
    pub(crate) fn starting_at(self, start: Instant) -> Deadline {
        match self {
            Wait::Not => Deadline::Now,
            Wait::AtMost(timeout) => Deadline::counted_from(start, timeout),
            Wait::Forever => Deadline::Never,
        }
    }
}

impl From<Wait> for Deadline {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Not => Deadline::Now,
            Wait::AtMost(timeout) => Deadline::after(timeout),
            Wait::Forever => Deadline::Never,
        }
    }
}

/// Why a call could not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    WouldBlock,
    TimedOut,
    Shut(Shut),
}

/// Why no call does anything any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    Socket,
    Context,
    /// This is a forked child, and the socket is its parent's.
    Forked,
}

impl From<Shut> for Stop {
    fn from(shut: Shut) -> Self {
        Stop::Shut(shut)
    }
}
