//! A shell command per message, several at once: what `pull --exec` and `rep --exec` do.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Message, RecvError};

use crate::args::FramingArgs;
use crate::console;

/// How many commands run at once.
pub(crate) type Jobs = NonZeroUsize;

/// The command was writing to somebody who has gone: no failure of its own.
const SIGPIPE: i32 = 13;

/// A command for the shell.
#[derive(Clone, Debug)]
pub(crate) struct Shell(String);

impl FromStr for Shell {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Shell, Infallible> {
        Ok(Shell(text.to_owned()))
    }
}

impl Shell {
    /// Runs the command with the message; its output is ours. The error is a sentence about what went wrong.
    pub(crate) fn run(&self, message: &Message, framing: &FramingArgs) -> Result<(), String> {
        let mut child = self.start(message, Stdio::inherit())?;
        if let Some(stdin) = child.stdin.take() {
            write_frames(stdin, message, framing);
        }
        match child.wait() {
            Ok(status) => self.judge(status),
            Err(error) => Err(self.complaint(&error.to_string())),
        }
    }

    /// Runs the command with the message and gives what it printed, also when it failed.
    pub(crate) fn answer(
        &self,
        message: &Message,
        framing: &FramingArgs,
    ) -> (Vec<u8>, Result<(), String>) {
        let mut child = match self.start(message, Stdio::piped()) {
            Ok(child) => child,
            Err(complaint) => return (Vec::new(), Err(complaint)),
        };
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            // Both at once: a command may print much before it has read everything.
            if let Some(stdin) = stdin {
                scope.spawn(move || write_frames(stdin, message, framing));
            }
            child.wait_with_output()
        });
        match output {
            Ok(output) => (output.stdout, self.judge(output.status)),
            Err(error) => (Vec::new(), Err(self.complaint(&error.to_string()))),
        }
    }

    fn start(&self, message: &Message, stdout: Stdio) -> Result<Child, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.0, "zerohop"]);
        if self.mentions_arguments() {
            command.args(message.frames().map(|frame| OsStr::from_bytes(frame)));
        }
        let started = command.stdin(Stdio::piped()).stdout(stdout).spawn();
        started.map_err(|error| self.complaint(&error.to_string()))
    }

    /// Whether the frames are wanted as arguments: they can't be when they hold a NUL byte or are very long, which
    /// must not trouble commands that read their input.
    fn mentions_arguments(&self) -> bool {
        ["$1", "${1", "$@", "${@", "$*"]
            .iter()
            .any(|word| self.0.contains(word))
    }

    fn judge(&self, status: ExitStatus) -> Result<(), String> {
        match (status.code(), status.signal()) {
            (Some(0), _) | (_, Some(SIGPIPE)) => Ok(()),
            (Some(code), _) => Err(self.complaint(&format!("exit code {code}"))),
            (None, Some(signal)) => Err(self.complaint(&format!("killed by signal {signal}"))),
            (None, None) => Err(self.complaint("ended in an unknown way")),
        }
    }

    fn complaint(&self, what: &str) -> String {
        format!("command failed: {what}: {}", self.0)
    }
}

/// Gives a command its input. It need not read it.
fn write_frames(mut stdin: ChildStdin, message: &Message, framing: &FramingArgs) {
    let separator = framing
        .parts
        .as_ref()
        .map_or(&b"\t"[..], |separator| &separator.0);
    for (index, frame) in message.frames().enumerate() {
        if index > 0 && stdin.write_all(separator).is_err() {
            return;
        }
        if stdin.write_all(frame).is_err() {
            return;
        }
    }
}

/// Messages being worked on in several threads.
pub(crate) struct Work {
    /// How many messages may still be asked for.
    left: AtomicU64,
    /// How many commands run now.
    busy: AtomicUsize,
    failed: AtomicU64,
    /// When the last command ended.
    last: Mutex<Instant>,
}

impl Work {
    /// Work on so many messages, or without end.
    pub(crate) fn new(count: Option<u64>) -> Work {
        Work {
            left: AtomicU64::new(count.unwrap_or(u64::MAX)),
            busy: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Works until all is done, or until there is nothing more to receive. `handle` gives a sentence when it failed,
    /// which is told at once.
    pub(crate) fn run<T>(
        &self,
        jobs: Jobs,
        timeout: Option<Duration>,
        recv: impl Fn() -> Result<T, RecvError> + Sync,
        handle: impl Fn(T) -> Result<(), String> + Sync,
    ) -> Result<(), RecvError> {
        let one_job = || {
            while self.claim() {
                let item = self.next(timeout, &recv)?;
                self.busy.fetch_add(1, Ordering::SeqCst);
                let handled = handle(item);
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                self.busy.fetch_sub(1, Ordering::SeqCst);
                if let Err(complaint) = handled {
                    self.failed.fetch_add(1, Ordering::SeqCst);
                    console::say(&format!("zerohop: {complaint}"));
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..jobs.get()).map(|_| scope.spawn(one_job)).collect();
            let mut result = one_job();
            for other in others {
                // A thread that died has told why; nothing more can be said of it here.
                result = result.and(other.join().unwrap_or(Ok(())));
            }
            result
        })
    }

    /// How many commands have failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    fn claim(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    }

    /// The next message. While another job is at work, or has been lately, something happens: no time-out.
    fn next<T>(
        &self,
        timeout: Option<Duration>,
        recv: &impl Fn() -> Result<T, RecvError>,
    ) -> Result<T, RecvError> {
        loop {
            let received = recv();
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let lately = timeout.is_some_and(|timeout| last.elapsed() < timeout);
            let busy = lately || self.busy.load(Ordering::SeqCst) > 0;
            match received {
                Err(RecvError::TimedOut) if busy => {}
                received => return received,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMING: FramingArgs = FramingArgs {
        null: false,
        parts: None,
    };

    fn answer(command: &str, message: impl Into<Message>) -> (String, Result<(), String>) {
        let (output, result) = Shell(command.to_owned()).answer(&message.into(), &FRAMING);
        (String::from_utf8_lossy(&output).into_owned(), result)
    }

    #[test]
    fn the_message_is_the_input() {
        assert_eq!(answer("tr a-z A-Z", "hello"), ("HELLO".to_owned(), Ok(())));
        assert_eq!(answer("cat", ["a", "b"]), ("a\tb".to_owned(), Ok(())));
    }

    #[test]
    fn the_frames_are_the_arguments_where_mentioned() {
        let (output, result) = answer("echo \"$2 $1\"", ["a b", "c"]);
        assert_eq!((output.as_str(), result), ("c a b\n", Ok(())));
        assert_eq!(answer("wc -c | tr -d ' \\n'", "\0").0, "1");
        assert!(answer("echo $1", "\0").1.is_err());
    }

    #[test]
    fn failures_are_told_and_what_was_printed_counts() {
        let (output, result) = answer("echo half; exit 3", "");
        assert_eq!(output, "half\n");
        assert!(result.is_err_and(|text| text.contains("exit code 3")));
    }

    #[test]
    fn much_goes_in_and_out() {
        let long = "x".repeat(1 << 20);
        assert_eq!(answer("cat", long.clone()), (long.clone(), Ok(())));
        assert_eq!(answer("true", long), (String::new(), Ok(())));
    }

    #[test]
    fn jobs_share_the_count() {
        let done = AtomicU64::new(0);
        let work = Work::new(Some(10));
        let jobs = Jobs::new(3).unwrap_or(Jobs::MIN);
        let result = work.run(
            jobs,
            None,
            || Ok(()),
            |()| {
                let number = done.fetch_add(1, Ordering::SeqCst);
                if number == 4 {
                    Err("the fifth fails".to_owned())
                } else {
                    Ok(())
                }
            },
        );
        assert_eq!((result, done.into_inner(), work.failed()), (Ok(()), 10, 1));
    }
}
