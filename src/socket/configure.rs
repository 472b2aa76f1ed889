//! Options of a socket that is in use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Socket;
use crate::engine::{Turn, Wait};
use crate::error::ReconfigureError;
use crate::options::Options;
use crate::pattern::Pattern;

impl<P: Pattern + 'static> Socket<P> {
    /// Changes options. What others change meanwhile stays changed.
    #[inline(never)]
    pub(super) fn reconfigure(
        &self,
        change: impl FnOnce(Options) -> Options,
    ) -> Result<(), ReconfigureError> {
        let before = self.options();
        let after = change(Options::clone(&before));
        let replaced = self.core().change(|pattern, net| {
            let replaced = Turn::begin(net, pattern).reconfigure(&before, &after)?;
            self.send_timeout.set(net.options().send_timeout);
            self.recv_timeout.set(net.options().recv_timeout);
            self.linger.set(net.options().linger);
            Ok::<_, ReconfigureError>(replaced)
        })?;
        // What is dropped may be the application's own: no lock is held here.
        replaced.map(drop)
    }

    /// The same for one option, by name.
    pub(super) fn set(&self, name: &str, value: &str) -> Result<(), ReconfigureError> {
        let socket_type = self.core().inspect(|pattern, _| pattern.socket_type())?;
        let mut set = Ok(());
        self.reconfigure(|mut options| {
            set = options.set_for(socket_type, name, value);
            options
        })?;
        Ok(set?)
    }
}

/// A time limit of calls, which may be changed while they are made.
#[derive(Debug)]
pub(super) struct TimeLimit(AtomicU64);

impl TimeLimit {
    const NONE: u64 = u64::MAX;

    pub(super) fn new(limit: Option<Duration>) -> TimeLimit {
        TimeLimit(AtomicU64::new(TimeLimit::encoded(limit)))
    }

    fn set(&self, limit: Option<Duration>) {
        self.0.store(TimeLimit::encoded(limit), Ordering::Relaxed);
    }

    /// In nanoseconds, of which 365 days, the longest that an option takes, are far less than [`NONE`](Self::NONE).
    fn encoded(limit: Option<Duration>) -> u64 {
        let nanos = limit.map(|limit| u64::try_from(limit.as_nanos()));
        nanos.map_or(TimeLimit::NONE, |nanos| nanos.unwrap_or(TimeLimit::NONE))
    }

    #[inline]
    pub(super) fn get(&self) -> Wait {
        match self.0.load(Ordering::Relaxed) {
            TimeLimit::NONE => Wait::Forever,
            0 => Wait::Not,
            nanos => Wait::AtMost(Duration::from_nanos(nanos)),
        }
    }
}
