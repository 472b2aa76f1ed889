//! Being asked to stop: by Ctrl-C and its like, or by the reader of our output going away.
//!
//! ```text
//!            trigger                    linger over
//!  running ──────────► stopping ──────────────────────► given up
//!                         │  second signal: exit at once     (blocking calls end: the context is shut down)
//! ```
//!
//! A command that holds input it has read goes on sending it while *stopping*: only its reading ends, by the
//! descriptor that [`Stop::wait_for`] watches. A command that holds none is ended at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use zerohop::Context;

use crate::console;
use crate::failure::{Failure, Outcome};
use crate::inherited;

/// So long a stopping command may take before it says what it is still doing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// The signal of this number.
    Signal(u8),
    /// Nobody reads our standard output any more.
    OutputClosed,
}

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Readable,
    TimedOut,
    Stopped,
}

/// See the module. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Stop {
    shared: Arc<Shared>,
}

struct Shared {
    context: Context,
    linger: Option<Duration>,
    quiet: bool,
    holds_input: AtomicBool,
    /// Whether the stop has kept something from being done.
    cut_short: AtomicBool,
    /// Whether a write to standard output goes on, which nothing but its reader can end.
    writes: AtomicBool,
    /// A context of sockets that only receive, to be shut down at once.
    receiving: OnceLock<Context>,
    triggered: OnceLock<(Cause, Instant)>,
    /// Whether there is nothing more to wait for.
    over: AtomicBool,
    /// Readable, by its end, once triggered.
    ear: UnixStream,
    mouth: Mutex<Option<UnixStream>>,
}

impl Stop {
    /// Listens for signals from now on, but for those that whoever started us wants ignored. When one comes, blocking calls on the context's sockets end: at once, or after
    /// the linger time if input is held.
    pub(crate) fn listen(
        context: &Context,
        linger: Option<Duration>,
        quiet: bool,
    ) -> Outcome<Stop> {
        let (ear, mouth) = UnixStream::pair().map_err(Failure::of)?;
        let stop = Stop {
            shared: Arc::new(Shared {
                context: context.clone(),
                linger,
                quiet,
                holds_input: AtomicBool::new(false),
                cut_short: AtomicBool::new(false),
                writes: AtomicBool::new(false),
                receiving: OnceLock::new(),
                triggered: OnceLock::new(),
                over: AtomicBool::new(false),
                ear,
                mouth: Mutex::new(Some(mouth)),
            }),
        };
        let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let heeded = heeded.filter(|&signal| !inherited::is_ignored(signal));
        let mut signals = Signals::new(heeded).map_err(Failure::of)?;
        let listener = stop.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                let number = u8::try_from(signal).unwrap_or(0);
                if !listener.trigger(Cause::Signal(number)) {
                    std::process::exit(128 + i32::from(number));
                }
            }
        });
        Ok(stop)
    }

    /// From now on there may be input that has been read and not been sent.
    pub(crate) fn hold_input(&self) {
        self.shared.holds_input.store(true, Ordering::SeqCst);
    }

    /// Whether there may be input that has been read and not been sent.
    pub(crate) fn holds_input(&self) -> bool {
        self.shared.holds_input.load(Ordering::SeqCst)
    }

    /// The stop has kept something from being done: a message from being sent, a count from being reached.
    pub(crate) fn cut_short(&self) {
        self.shared.cut_short.store(true, Ordering::SeqCst);
    }

    /// How the command ends that was asked to stop, if it was. Whoever terminates a service wants to know whether it has ended in good
    /// order; Ctrl-C ends a pipeline, of which the shell is to know.
    pub(crate) fn ending(&self) -> Option<Failure> {
        let cut_short = self.shared.cut_short.load(Ordering::SeqCst);
        Some(match self.cause()? {
            Cause::Signal(number) if i32::from(number) == SIGTERM && !cut_short => {
                Failure::Terminated
            }
            Cause::Signal(number) => Failure::Interrupted(number),
            Cause::OutputClosed => Failure::OutputClosed,
        })
    }

    /// What is received in this context is sent in the other: there it may be held, here the stop is to act at once.
    pub(crate) fn hold_what_comes_from(&self, receiving: &Context) {
        // Called once, by the proxy.
        let _ = self.shared.receiving.set(receiving.clone());
        self.hold_input();
    }

    /// Writes to standard output. If that lasts when the linger time of a stop is over, the program ends.
    pub(crate) fn while_writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.shared.writes.store(true, Ordering::SeqCst);
        let written = write();
        self.shared.writes.store(false, Ordering::SeqCst);
        written
    }

    /// Asks for the stop; `false` if that has been done before.
    pub(crate) fn trigger(&self, cause: Cause) -> bool {
        let shared = &self.shared;
        if shared.triggered.set((cause, Instant::now())).is_err() {
            return false;
        }
        self.end_waiting();
        let stop = self.clone();
        thread::spawn(move || stop.give_up_in_time(cause));
        true
    }

    /// The command has what it was started for: nobody is to wait any more, and no failure to be told.
    pub(crate) fn finish(&self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.end_waiting();
    }

    /// Whether a stop was asked for, or there is nothing more to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.cause().is_some() || self.shared.over.load(Ordering::SeqCst)
    }

    fn end_waiting(&self) {
        let mouth = self.shared.mouth.lock();
        drop(mouth.unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends what still blocks when the linger time is over.
    fn give_up_in_time(&self, cause: Cause) {
        let shared = &self.shared;
        if let Some(receiving) = shared.receiving.get() {
            receiving.shutdown();
        }
        if !self.holds_input() {
            shared.context.shutdown();
        }
        let told = PATIENCE.min(shared.linger.unwrap_or(PATIENCE));
        thread::sleep(told);
        if matches!(cause, Cause::Signal(_)) && !shared.quiet && console::is_interactive() {
            console::say("zerohop: still sending what was read; Ctrl-C again gives up");
        }
        if let Some(linger) = shared.linger {
            thread::sleep(linger.saturating_sub(told));
            shared.context.shutdown();
            thread::sleep(PATIENCE);
            while !shared.writes.load(Ordering::SeqCst) {
                thread::sleep(PATIENCE);
            }
            if let Cause::Signal(number) = cause {
                console::say("zerohop: output was lost: nobody read it within the linger time");
                std::process::exit(128 + i32::from(number));
            }
        }
    }

    /// Who asked for the stop, if anybody has.
    #[inline]
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.shared.triggered.get().map(|&(cause, _)| cause)
    }

    /// What is left of the linger time; `None` has no end.
    pub(crate) fn linger_left(&self) -> Option<Duration> {
        let linger = self.shared.linger?;
        let spent = self.shared.triggered.get().map(|(_, at)| at.elapsed());
        Some(linger.saturating_sub(spent.unwrap_or_default()))
    }

    /// Waits until there is something to read, or the time is up, or the stop is asked for. The stop comes first.
    pub(crate) fn wait_for(
        &self,
        fd: BorrowedFd<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Waited> {
        self.wait(
            &mut [self.ear(), PollFd::from_borrowed_fd(fd, PollFlags::IN)],
            timeout,
        )
    }

    /// Sleeps; `false` if the stop came first.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        // A sleep cut short by a failing poll is of no consequence.
        !matches!(
            self.wait(&mut [self.ear()], Some(duration)),
            Ok(Waited::Stopped)
        )
    }

    fn ear(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.shared.ear.as_fd(), PollFlags::IN)
    }

    fn wait(&self, fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<Waited> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(fds, left.as_ref()) {
                Ok(0) => return Ok(Waited::TimedOut),
                Ok(_) if self.is_over() => return Ok(Waited::Stopped),
                Ok(_) => return Ok(Waited::Readable),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
