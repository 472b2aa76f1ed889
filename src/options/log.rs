//! The option for the log of a publisher.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Options;
use super::value::{LONGEST, OptionValue};
use crate::error::OptionError;
use crate::spool::{OpenSpool, Spool, SpoolError, Sync};

/// The log in which a PUB keeps what it publishes: the value of [`Options::log`].
///
/// A subscriber that is a zerohop [`Sub`](crate::Sub) loses nothing over tcp and ipc as long as the log has it: one that falls behind, or was away, reads on
/// where it was, and one that comes late gets what it [asks for](crate::Sub::subscribe_from). Others are served as without a log.
/// `docs/delivery.md` has what is guaranteed, and what travels on the wire; `docs/spool-format.md` has what is in the folder.
///
/// ```
/// use zerohop::{Context, Log, Options, Pub, ReplayFrom, Sub};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("zerohop-log-doc-{}", std::process::id()));
/// # let context = Context::new();
/// let log = Log::at(&folder).keep(10 << 30);
/// let prices = Pub::with_options(&context, Options::new().log(log))?;
/// prices.send(["eur", "1.08"])?;
/// prices.send(["gbp", "0.84"])?;
/// prices.send(["eur", "1.09"])?;
///
/// let late = Sub::new(&context)?;
/// late.subscribe_from("eur", ReplayFrom::Last(2))?;
/// late.connect(prices.bind("tcp://127.0.0.1:*")?)?;
/// assert_eq!(late.recv()?, ["eur", "1.08"]);
/// assert_eq!(late.recv()?, ["eur", "1.09"]);
/// # drop(prices);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    path: PathBuf,
    pub(crate) keep: Option<u64>,
    pub(crate) keep_for: Option<Duration>,
    keep_last: Option<u64>,
    sync: Sync,
}

/// Stands for a log that has no folder.
const IN_MEMORY: &str = ":memory:";

/// The most bytes of a segment, and the least where little is kept.
const SEGMENTS: (u64, u64) = (64 * 1024, 16 << 20);

/// The bytes of a segment where how much is kept hangs on the topics alone.
const SEGMENT_OF_TOPICS: u64 = 4 << 20;

impl Log {
    /// A log in this folder, which is made if it is not there. It is for one log alone, and for one socket at a time. `:memory:` is no folder, but a log
    /// [in memory](Log::memory).
    pub fn at(path: impl AsRef<Path>) -> Log {
        Log {
            path: path.as_ref().to_owned(),
            keep: None,
            keep_for: None,
            keep_last: None,
            sync: Sync::Os,
        }
    }

    /// A log in memory, of so many bytes of messages at least ([`keep`](Log::keep)): for subscribers that come late, were away or are slow. It ends with the
    /// socket, and takes up to three eighths more than that, and 192 KiB. Subscribers that come back to a publisher that was made again find another log.
    ///
    /// ```
    /// use zerohop::{Context, Log, Options, Pub, ReplayFrom, Sub};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// let prices = Pub::with_options(&context, Options::new().log(Log::memory(1 << 20)))?;
    /// prices.send(["eur", "1.08"])?;
    /// prices.send(["gbp", "0.84"])?;
    /// prices.send(["eur", "1.09"])?;
    ///
    /// // Whoever comes late gets the last value at once.
    /// let late = Sub::new(&context)?;
    /// late.subscribe_from("eur", ReplayFrom::Last(1))?;
    /// late.connect(prices.bind("tcp://127.0.0.1:*")?)?;
    /// assert_eq!(late.recv()?, ["eur", "1.09"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory(keep: u64) -> Log {
        Log::at(IN_MEMORY).keep(keep)
    }

    /// How many bytes of messages are kept, at least; the oldest go when there are more. They go in pieces of an eighth of this, of 64 KiB at least
    /// and 16 MiB at the most. All unless set.
    #[must_use]
    pub fn keep(self, bytes: u64) -> Log {
        Log {
            keep: Some(bytes),
            ..self
        }
    }

    /// For how long messages are kept, at least; older ones go, in the same pieces, once newer ones have begun another piece. 1 s to 365 days; without end
    /// unless set. With [`keep`](Log::keep), what is over either of them goes.
    #[must_use]
    pub fn keep_for(self, time: Duration) -> Log {
        Log {
            keep_for: Some(time),
            ..self
        }
    }

    /// Keeps the last so many messages of each topic alone, 1 at least: `1` makes it a cache of last values. All unless set. Here a topic is the first frame of a
    /// message, the *whole* of it, whatever subscribers have subscribed to.
    ///
    /// A new message takes the place of the oldest of its topic at once. Whoever reads the log, because it comes late, was away or is slow, gets the messages that are kept then, in the order in
    /// which they were published, and goes on with live ones. It is not told of those that others have taken the place of: a [`Gap`](crate::Gap) is what went by
    /// [`keep`](Log::keep) or [`keep_for`](Log::keep_for), which hold for what is left, message by message, or was lost when the publisher died.
    /// A subscriber that keeps up gets each message, as ever.
    ///
    /// The log takes twice the bytes of what is kept, 24 bytes for each message included, and eight pieces; without [`keep`](Log::keep), pieces have 4 MiB. The publisher remembers each
    /// topic in memory: its bytes, and up to 300 more for each message that is kept.
    ///
    /// ```
    /// use zerohop::{Context, Log, Options, Pub, ReplayFrom, Sub};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// let last_values = Log::memory(1 << 20).keep_last(1);
    /// let prices = Pub::with_options(&context, Options::new().log(last_values))?;
    /// prices.send(["eur", "1.08"])?;
    /// prices.send(["gbp", "0.84"])?;
    /// prices.send(["eur", "1.09"])?;
    ///
    /// let late = Sub::new(&context)?;
    /// late.subscribe_from("", ReplayFrom::Last(u64::MAX))?;
    /// late.connect(prices.bind("tcp://127.0.0.1:*")?)?;
    /// assert_eq!(late.recv()?, ["gbp", "0.84"]);
    /// assert_eq!(late.recv()?, ["eur", "1.09"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn keep_last(self, count: u64) -> Log {
        Log {
            keep_last: Some(count),
            ..self
        }
    }

    /// What messages that were published survive: the process ([`Sync::Os`], unless set), or a power failure, too. A background thread sees to it at
    /// once, and `send` does not wait for that: [`Pub::commit`](crate::Pub::commit) does.
    #[must_use]
    pub fn sync(self, sync: Sync) -> Log {
        Log { sync, ..self }
    }

    /// The folder; `:memory:` where there is none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> Result<OpenSpool, SpoolError> {
        match self.is_in_memory() {
            true => self.spool().open_in_memory(),
            false => self.spool().open(),
        }
    }

    fn is_in_memory(&self) -> bool {
        self.path.as_os_str() == IN_MEMORY
    }

    fn spool(&self) -> Spool {
        let (least, most) = SEGMENTS;
        let size = match (self.keep, self.keep_last) {
            (Some(keep), _) => (keep / 8).clamp(least, most),
            (None, Some(_)) => SEGMENT_OF_TOPICS,
            (None, None) => most,
        };
        Spool::at(&self.path)
            .sync(self.sync)
            .segment_size(size)
            .keep_last(self.keep_last)
    }

    pub(super) fn is_allowed(&self) -> bool {
        let times = Duration::from_secs(1)..=LONGEST;
        let bounded = !self.is_in_memory() || self.keep.is_some();
        bounded
            && !self.path.as_os_str().is_empty()
            && self.keep_for.is_none_or(|time| times.contains(&time))
            && self.keep_last != Some(0)
    }
}

/// The folder, and behind it what differs from the defaults: `prices.log, keep=1000000, keep_for=24 h, keep_last=1, sync=disk`.
impl OptionValue for Log {
    fn render(&self) -> String {
        let mut text = self.path.to_string_lossy().into_owned();
        if let Some(keep) = self.keep {
            text.push_str(&format!(", keep={keep}"));
        }
        if let Some(time) = self.keep_for {
            text.push_str(&format!(", keep_for={}", time.render()));
        }
        if let Some(count) = self.keep_last {
            text.push_str(&format!(", keep_last={count}"));
        }
        if self.sync == Sync::Disk {
            text.push_str(", sync=disk");
        }
        text
    }

    fn parse(text: &str) -> Option<Log> {
        let mut settings = Log::at("");
        let mut path = text;
        // From the end, so that a folder may have a comma in its name.
        while let Some((before, setting)) = path.rsplit_once(',')
            && let Some((name, value)) = setting.split_once('=')
        {
            let value = value.trim();
            match name.trim() {
                "keep" => settings.keep = Some(value.parse().ok()?),
                "keep_for" => settings.keep_for = Some(OptionValue::parse(value)?),
                "keep_last" => settings.keep_last = Some(value.parse().ok()?),
                "sync" => {
                    settings.sync = match value {
                        "os" => Sync::Os,
                        "disk" => Sync::Disk,
                        _ => return None,
                    }
                }
                _ => break,
            }
            path = before;
        }
        Some(Log {
            path: path.trim().into(),
            ..settings
        })
    }
}

impl Options {
    /// What a log cannot go with: nobody who reads it waits, or is waited for.
    pub(super) fn check_log(&self) -> Result<(), OptionError> {
        if self.log.is_none() {
            return Ok(());
        }
        let contradicts = [
            ("conflate", self.conflate),
            ("invert_matching", self.invert_matching),
            ("pub_block", self.pub_block),
        ];
        if let Some((option, _)) = contradicts.into_iter().find(|(_, set)| *set) {
            let expected = "false where log is set";
            return Err(OptionError::new(option, "true".into(), expected));
        }
        if self.slow_subscriber == super::SlowSubscriber::Wait {
            let expected = "another one where log is set: whoever is slow reads the log";
            return Err(OptionError::new("slow_subscriber", "wait".into(), expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SlowSubscriber;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let without_end = Log::at(IN_MEMORY);
        for log in [
            Log::at(""),
            without_end,
            Log::at("a").keep_for(Duration::ZERO),
            Log::at("a").keep_last(0),
        ] {
            let error = Options::new().log(log).validate();
            assert_eq!(error.expect_err("no log").option(), "log");
        }
        let logged = || Options::new().log(Log::at("a"));
        assert!(logged().validate().is_ok());
        for (options, option) in [
            (logged().conflate(true), "conflate"),
            (logged().invert_matching(true), "invert_matching"),
            (logged().pub_block(true), "pub_block"),
            (
                logged().slow_subscriber(SlowSubscriber::Wait),
                "slow_subscriber",
            ),
        ] {
            let error = options.validate().expect_err("they contradict");
            assert_eq!(error.option(), option);
        }
    }

    #[test]
    fn it_has_names() {
        let mut options = Options::new();
        for name in [
            "prices",
            "/var/lib/a, b.log, keep=1000, keep_for=30 s, keep_last=2, sync=disk",
            ":memory:, keep=1000",
            "none",
        ] {
            options.set("log", name).expect("a log");
            assert_eq!(options.get("log").as_deref(), Some(name));
        }
        assert_eq!(options, Options::new());
        let wrong = ["", "a, keep=many", "a, sync=never", "a, keep_for=0 s"];
        for wrong in wrong.into_iter().chain(["a, keep_last=0"]) {
            assert!(options.set("log", wrong).is_err(), "{wrong}");
        }
    }
}
