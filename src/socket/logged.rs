//! What a SUB receives from publishers with a log.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Sub, futures, recv_error};
use crate::engine::{Net, Wait};
use crate::error::{RecvError, SubscribeError};
use crate::message::Message;
use crate::pattern::{LostRange, Source, SubPattern};
use crate::zmtp::replay::wire::Start;

/// Where [`Sub::subscribe_from`] begins in the log of each publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayFrom {
    /// With what is published from now on, as [`Sub::subscribe`] does.
    Now,
    /// With the last so many messages of the topic, or as many as there are: `u64::MAX` for all.
    Last(u64),
    /// With the message that has this offset, or would be next if there is none yet. Those that are gone are told as a gap.
    Offset(u64),
    /// With what was published since then, by the publisher's clock.
    Time(SystemTime),
    /// Where a subscriber was that has kept that in this file, the *cursor*; with all that there is in a log that the file does not know, or if there is no file.
    ///
    /// The socket writes the file from time to time, with a thread of its own. Whatever is received counts as done once the next message is asked for, or the topic
    /// unsubscribed, or the socket dropped, or [`save_cursors`](Sub::save_cursors) called. So after the process has died, the messages of the last tenth of a second are received again, at least the last one. What must not be
    /// done twice keeps [`Source::offset`](crate::Source::offset) in its own transaction. A file is for one topic of one socket; where several threads receive, it may be ahead of
    /// those that are not done.
    Resume(PathBuf),
}

impl ReplayFrom {
    fn start(&self) -> Start {
        match *self {
            // The file says more.
            ReplayFrom::Resume(_) => Start::Last(u64::MAX),
            ReplayFrom::Now => Start::Now,
            ReplayFrom::Last(count) => Start::Last(count),
            ReplayFrom::Offset(offset) => Start::Offset(offset),
            ReplayFrom::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                Start::Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// What [`Sub::recv_logged`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logged {
    /// A message.
    Message {
        /// The message.
        message: Message,
        /// Where it is in the log of its publisher. `None` if that has none, or is reached over inproc.
        source: Option<Source>,
    },
    /// Messages that are missing before the next one of this log.
    Gap(Gap),
}

/// Messages that are gone from the log of a publisher, or larger than this subscriber takes. Which of them were of a topic that it wants nobody knows any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Gap {
    /// Which log it is.
    pub log: [u8; 16],
    /// The first offset.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

fn take(
    message: &mut Message,
    pattern: &mut SubPattern,
    net: &mut Net,
) -> Option<Result<Option<Source>, LostRange>> {
    pattern.recv_logged(&mut net.peers, message)
}

fn logged(taken: Result<Option<Source>, LostRange>, message: Message) -> Logged {
    match taken {
        Ok(source) => Logged::Message { message, source },
        Err((log, first, last)) => Logged::Gap(Gap { log, first, last }),
    }
}

impl Sub {
    /// Subscribes to a topic from some place in the publishers' [logs](crate::Log) on. When a connection is lost and comes back, it goes on where it was: what
    /// has been received is not received again, as long as this socket is there.
    ///
    /// Of a publisher without a log, or over inproc, comes what it publishes from now on, and a monitor is told ([`Event::NoLog`](crate::Event::NoLog)).
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Subscribed`], [`SubscribeError::NoReplay`], [`SubscribeError::Cursor`]; or the socket is closed, or the context shut down.
    pub fn subscribe_from(
        &self,
        topic: impl AsRef<[u8]>,
        from: ReplayFrom,
    ) -> Result<(), SubscribeError> {
        let topic = topic.as_ref();
        if let ReplayFrom::Resume(path) = &from {
            return self.resume(topic, path);
        }
        let core = self.socket.core();
        let start = from.start();
        let subscribed =
            core.change(|pattern, net| pattern.subscribe_from(&mut net.peers, topic, start));
        subscribed?
    }

    /// Receives the next message with its place in the log of its publisher, or learns which messages are missing before it; waits for one, at most for
    /// [`recv_timeout`](crate::Options::recv_timeout). All other forms of receiving pass gaps over; a monitor is told of each
    /// ([`Event::Gap`](crate::Event::Gap)).
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    ///
    /// ```
    /// use zerohop::{Context, Log, Logged, Options, Pub, ReplayFrom, Sub};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("zerohop-logged-doc-{}", std::process::id()));
    /// # let context = Context::new();
    /// let prices = Pub::with_options(&context, Options::new().log(Log::at(&folder)))?;
    /// prices.send(["eur", "1.08"])?;
    ///
    /// let sub = Sub::new(&context)?;
    /// sub.subscribe_from("eur", ReplayFrom::Offset(1))?;
    /// sub.connect(prices.bind("tcp://127.0.0.1:*")?)?;
    /// match sub.recv_logged()? {
    ///     Logged::Message { message, source } => {
    ///         assert_eq!(message, ["eur", "1.08"]);
    ///         assert_eq!(source.map(|source| source.offset), Some(1)); // to be stored with what was done
    ///     }
    ///     Logged::Gap(gap) => panic!("{} to {} are gone", gap.first, gap.last),
    ///     _ => {}
    /// }
    /// # drop(prices);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_logged(&self) -> Result<Logged, RecvError> {
        self.logged(self.socket.recv_wait())
    }

    /// The same, if there is something now.
    ///
    /// # Errors
    ///
    /// There is nothing, or closed.
    pub fn try_recv_logged(&self) -> Result<Logged, RecvError> {
        self.logged(Wait::Not)
    }

    /// The same, waiting for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Timed out, or closed.
    pub fn recv_logged_timeout(&self, timeout: Duration) -> Result<Logged, RecvError> {
        self.logged(Wait::AtMost(timeout))
    }

    /// The same, in a task: see [`recv_async`](Sub::recv_async).
    ///
    /// # Errors
    ///
    /// Closed, or the context is shut down.
    pub fn recv_logged_async(&self) -> impl Future<Output = Result<Logged, RecvError>> {
        let take = |pattern: &mut SubPattern, net: &mut Net| {
            let mut message = Message::new();
            take(&mut message, pattern, net).map(|taken| (taken, message))
        };
        let made = |(taken, message)| logged(taken, message);
        futures::receive_as(self.socket.core(), take, made)
    }

    fn logged(&self, wait: Wait) -> Result<Logged, RecvError> {
        let core = self.socket.core();
        let mut message = Message::new();
        let mut attempt =
            |pattern: &mut SubPattern, net: &mut Net| take(&mut message, pattern, net);
        let taken = match core.at_once(&mut attempt) {
            Some(taken) => taken,
            None => core.until(wait, attempt).map_err(recv_error)?,
        };
        Ok(logged(taken, message))
    }
}
