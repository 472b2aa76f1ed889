//! The log of a PUB: its thread, which writes what is published and reads it for subscribers that are behind.
//!
//! A `send` puts its message into the log's memory and rings. All files are touched here, without any lock of the socket: so neither a slow disk nor a
//! subscriber that reads a long history holds up anybody else; only when a megabyte waits to be written does `send` wait. Reads mostly find the page
//! cache; that they may not is why they are not made under the state lock.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Pub, Socket};
use crate::engine::Core;
use crate::error::SocketError;
use crate::options::{Log, Options};
use crate::pattern::{Done, Item, LogShared, LoggedOut, PubPattern, Work};
use crate::process::Process;
use crate::spool::{LogReader, OpenSpool, SpoolError};
use crate::sync::{Bell, Rung};
use crate::zmtp::replay::Progress;
use crate::zmtp::replay::feed::{Looked, Search};
use crate::zmtp::replay::wire::Start;

/// So many bytes of messages are read at once for one subscriber, and so many messages are looked at.
const AT_ONCE: (usize, usize) = (256 * 1024, 4096);

/// Subscribers are told this often how far they have all, while something is published.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// So often the oldest messages are let go while there is always somebody to read for.
const RETAIN_EVERY: Duration = Duration::from_millis(50);

/// And at least so often while nothing is published: when the next ones go is told by the clock of the machine, which may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The pattern of a PUB, with its log if it has one.
pub(super) fn open(options: &Options) -> Result<PubPattern, SocketError> {
    let mut pattern = PubPattern::new(options);
    if let Some(log) = &options.log {
        let shared = Arc::new(LogShared {
            spool: log.open()?,
            bell: Bell::default(),
        });
        pattern.set_log(LoggedOut::new(shared, options));
    }
    Ok(pattern)
}

/// What belongs to the socket then.
pub(super) fn beside(
    socket: &Socket<PubPattern>,
) -> Result<Option<Box<dyn Any + Send + Sync>>, SocketError> {
    let Some(log) = socket.options().log.clone() else {
        return Ok(None);
    };
    let core = socket.core();
    let shared = core.inspect(|pattern, _| pattern.log().map(|log| log.shared()));
    let Ok(Some(shared)) = shared else {
        return Ok(None);
    };
    let thread = LogThread::new(core, &shared, log);
    let name = "zerohop log".into();
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || thread.run())
        .map_err(SocketError::Io)?;
    Ok(Some(Box::new(LogHandle {
        shared: Arc::downgrade(&shared),
        thread: Some(thread),
        process: Process::current(),
    })))
}

/// The log as long as its socket is there. When it is dropped, the folder is closed.
pub(super) struct LogHandle {
    shared: Weak<LogShared>,
    thread: Option<JoinHandle<()>>,
    process: Process,
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        // In a child of a fork there is no such thread.
        if !self.process.is_current() {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.bell.stop();
        }
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}

/// See the module.
struct LogThread {
    core: Weak<Core<PubPattern>>,
    shared: Arc<LogShared>,
    log: Log,
    told: Instant,
    retained: Instant,
}

impl LogThread {
    fn new(core: &Arc<Core<PubPattern>>, shared: &Arc<LogShared>, log: Log) -> LogThread {
        LogThread {
            core: Arc::downgrade(core),
            shared: Arc::clone(shared),
            log,
            told: Instant::now(),
            retained: Instant::now(),
        }
    }

    fn run(mut self) {
        let mut again = None;
        loop {
            match self.shared.bell.wait(again) {
                Rung::Stopped => break,
                Rung::Work => self.work(),
                Rung::TimedOut => {}
            }
            again = self.retain();
        }
        // What was published last is written when the spool is closed, which is when this is dropped.
    }

    /// Writes, and reads for others, until there is nothing to do.
    fn work(&mut self) {
        let mut done = None;
        while !self.shared.bell.is_stopped() {
            if !self.write() {
                return;
            }
            let Some(core) = self.core.upgrade() else {
                return;
            };
            let work = core.change(|pattern, net| pattern.log_work(&mut net.peers, done.take()));
            drop(core);
            if self.retained.elapsed() >= RETAIN_EVERY {
                self.retain();
            }
            match work {
                Ok(Some(work)) => done = Some(self.do_work(work)),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Writes what has been published, and makes room for what is to be. `false`: the socket is closed.
    fn write(&self) -> bool {
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        let wanted = core.inspect(|pattern, _| pattern.log().map(|log| log.wanted()));
        let Ok(Some(wanted)) = wanted else {
            return false;
        };
        let spool = &self.shared.spool;
        if wanted == 0 && !spool.is_uncommitted() {
            return true;
        }
        let result = spool.make_room(wanted);
        let waits = core.inspect(|pattern, _| {
            let log = pattern.log();
            log.is_some_and(|log| log.written(&result))
        });
        if waits == Ok(true) {
            let changed = core.change(|_, net| net.note_room());
            return changed.is_ok();
        }
        true
    }

    /// Lets the oldest messages go. Gives how long to wait for the next ones.
    fn retain(&mut self) -> Option<Duration> {
        self.retained = Instant::now();
        let spool = &self.shared.spool;
        let (upto, again) = spool.outdated(self.log.keep, self.log.keep_for);
        let tells = upto.is_some() || self.told.elapsed() >= TELL_EVERY;
        if tells && let Some(core) = self.core.upgrade() {
            self.told = Instant::now();
            // If it is closed, there is nobody to tell.
            let _ = core.change(|pattern, net| {
                if let Some(log) = pattern.log() {
                    log.tell_next(&mut net.peers);
                }
            });
        }
        if let Some(upto) = upto {
            // They are gone for this process. If that could not be noted, they are there again for the next one.
            let _ = spool.settle([0..=upto - 1]);
        }
        // What fails is tried again.
        let _ = spool.clean();
        again.map(|again| again.min(LOOK_AGAIN))
    }

    fn do_work(&self, work: Work) -> Done {
        let spool = &self.shared.spool;
        match work {
            Work::Read {
                place,
                progress,
                version,
                next,
            } => Done::Read {
                place,
                version,
                items: read(spool, &progress, next),
            },
            Work::Find {
                place,
                mut search,
                next,
            } => {
                let offset = find(spool, &mut search, next);
                Done::Sought {
                    place,
                    search,
                    offset,
                }
            }
        }
    }
}

/// What a subscriber wants of what is in the log before `next`.
fn read(spool: &OpenSpool, progress: &Progress, next: u64) -> Vec<Item> {
    let mut reader = LogReader::new();
    let mut items = Vec::new();
    let mut position = progress.position();
    let (mut bytes, mut looked) = (0, 0);
    while position < next && bytes < AT_ONCE.0 && looked < AT_ONCE.1 {
        let there = spool.next_in_log(position).filter(|offset| *offset < next);
        let offset = there.unwrap_or(next);
        if offset > position {
            let lost = spool.lost_between(position, offset - 1);
            items.extend(lost.into_iter().map(|(first, last)| Item::Gap(first, last)));
            position = offset;
            continue;
        }
        looked += 1;
        match spool.read_in_log(&mut reader, offset) {
            Ok(Some(stored)) => {
                if progress.wants(offset, stored.message.first()) {
                    bytes += stored.message.size();
                    items.push(Item::Message(offset, stored.message));
                }
                position += 1;
                if position == next {
                    break;
                }
                // What follows in the file may have been superseded.
                if spool.keeps_latest() {
                    continue;
                }
                spool.read_on(&mut reader, position, &mut |offset, first, whole| {
                    looked += 1;
                    if progress.wants(offset, first) {
                        match whole() {
                            Some(message) => {
                                bytes += message.size();
                                items.push(Item::Message(offset, message));
                            }
                            None => items.push(Item::Gap(offset, offset)),
                        }
                    }
                    position += 1;
                    position < next && bytes < AT_ONCE.0 && looked < AT_ONCE.1
                });
            }
            // It has gone just now.
            Ok(None) => {}
            Err(_) => {
                items.push(Item::Gap(offset, offset));
                position += 1;
            }
        }
    }
    items.push(Item::Upto(position));
    items
}

/// Where a topic begins. `None`: it is to be called again.
fn find(spool: &OpenSpool, search: &mut Search, next: u64) -> Option<u64> {
    match search.start {
        Start::Now => Some(next),
        Start::Offset(offset) => Some(offset.min(next)),
        Start::Last(count) => find_last(spool, search, count, next),
        Start::Time(millis) => Some(find_time(spool, millis, next)),
    }
}

/// Looks through one more stretch of the log, from the end on: each is about as much as is read at once for somebody, since others wait meanwhile.
fn find_last(spool: &OpenSpool, search: &mut Search, count: u64, next: u64) -> Option<u64> {
    let Some(oldest) = spool.next_in_log(0).filter(|oldest| *oldest < next) else {
        return Some(next);
    };
    let Looked {
        from,
        missing,
        stretch,
    } = search.looked.unwrap_or(Looked {
        from: next,
        missing: count,
        stretch: 256,
    });
    if missing >= from.saturating_sub(oldest) {
        return Some(oldest);
    }
    let begin = from.saturating_sub(stretch).max(oldest);
    let mut looked = Looked {
        from,
        missing,
        stretch: (stretch / 2).max(1),
    };
    if let Some((matching, part)) = matching(spool, &search.topic, begin, from) {
        let found = matching.len() as u64;
        if found >= missing {
            let index = usize::try_from(found - missing).unwrap_or(0);
            return Some(matching.get(index).copied().unwrap_or(begin));
        }
        // Offsets are missing where a publisher was killed, and where there were newer messages of topics.
        let stretch = match part {
            Part::Little => stretch.saturating_mul(2),
            Part::Much => stretch,
        };
        looked = Looked {
            from: begin,
            missing: missing - found,
            stretch,
        };
    }
    search.looked = Some(looked);
    None
}

/// How much was looked at, of what may be at once.
enum Part {
    Little,
    Much,
}

/// The offsets of messages with this topic between these. `None`: it is too much at once.
fn matching(spool: &OpenSpool, topic: &[u8], begin: u64, end: u64) -> Option<(Vec<u64>, Part)> {
    let mut reader = LogReader::new();
    let mut found = Vec::new();
    let mut position = begin;
    let (mut bytes, mut looked) = (0, 0);
    while let Some(offset) = spool.next_in_log(position).filter(|offset| *offset < end) {
        let is_too_much = bytes >= AT_ONCE.0 || looked >= AT_ONCE.1;
        if is_too_much && end - begin > 1 {
            return None;
        }
        looked += 1;
        if let Ok(Some(stored)) = spool.read_in_log(&mut reader, offset) {
            bytes += stored.message.size();
            if stored.message.first().starts_with(topic) {
                found.push(offset);
            }
        }
        position = offset + 1;
    }
    let is_little = bytes < AT_ONCE.0 / 2 && looked < AT_ONCE.1 / 2;
    let part = match is_little {
        true => Part::Little,
        false => Part::Much,
    };
    Some((found, part))
}

/// The first message that is not older. Its clock may have been set back: then it is one of those.
fn find_time(spool: &OpenSpool, millis: u64, next: u64) -> u64 {
    let since = std::time::UNIX_EPOCH + Duration::from_millis(millis.min(1 << 52));
    let mut low = spool.next_in_log(0).unwrap_or(next).min(next);
    let mut high = next;
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(offset) = spool.next_in_log(middle).filter(|offset| *offset < high) else {
            high = middle;
            continue;
        };
        let read = spool.read_in_log(&mut LogReader::one(), offset);
        match read {
            Ok(Some(stored)) if stored.time >= since => high = middle,
            // What has gone, or can't be read, is older for all that is known.
            Ok(_) | Err(_) => low = offset + 1,
        }
    }
    low
}

impl Pub {
    /// Waits until all that has been published is as safe as [`Log::sync`](crate::Log::sync) says. Without a log it does nothing.
    ///
    /// `send` does not wait for that, and messages go to subscribers meanwhile. What is lost when the process dies before is told to them as a gap.
    ///
    /// # Errors
    ///
    /// The log cannot be written to.
    ///
    /// ```
    /// # use zerohop::{Context, Log, Options, Pub};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("zerohop-commit-doc-{}", std::process::id()));
    /// let prices = Pub::with_options(&Context::new(), Options::new().log(Log::at(&folder)))?;
    /// prices.send(["eur", "1.08"])?;
    /// prices.commit()?;
    /// # drop(prices);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit(&self) -> Result<(), SpoolError> {
        let core = self.socket.core();
        let shared = core.inspect(|pattern, _| {
            let log = pattern.log();
            log.map(|log| (log.shared(), log.wanted()))
        });
        match shared {
            Ok(Some((shared, wanted))) => shared.spool.make_room(wanted),
            Ok(None) | Err(_) if self.socket.options().log.is_some() => Err(SpoolError::Closed),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    /// The thread of a log in which the message that was just published goes after a day.
    #[test]
    fn the_clock_is_looked_at_again_within_a_minute() {
        let day = Duration::from_secs(24 * 3600);
        let log = Log::memory(1_000_000).keep_last(1).keep_for(day);
        let options = Options::new().log(log.clone());
        let source = Pub::with_options(&Context::new(), options).expect("a PUB");
        source.send("a value").expect("published");
        let core = source.socket.core();
        let shared = core.inspect(|pattern, _| pattern.log().map(|log| log.shared()));
        let shared = shared.expect("open").expect("a log");
        let (_, again) = shared.spool.outdated(None, Some(day));
        assert!(again.is_some_and(|again| again > day / 2));
        let again = LogThread::new(core, &shared, log).retain();
        assert_eq!(again, Some(LOOK_AGAIN));
    }
}
