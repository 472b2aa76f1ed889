//! A shell command per message, several at once: what `pull`, `sub` and `rep` do with `--exec`.
//!
//! A command always has the message on its standard input, and its frames as `$1`, `$2` and so on. What the system can't
//! pass as arguments (a NUL byte, or more than it has room for: on Linux 128 KiB per frame and about 2 MiB in all) leaves the
//! command without any. That must not be guessed from the command's text, nor pass unnoticed by a command that uses them.
//! Who the message comes from is in its environment.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Message, Origin, RecvError};

use crate::args::FramingArgs;
use crate::console;

/// How many commands run at once.
pub(crate) type Jobs = NonZeroUsize;

/// How commands are run. The command itself is an argument `--exec` of whoever takes this.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// Run at most N commands at once
    #[arg(short, long, value_name = "N", default_value = "1", requires = "exec")]
    pub(crate) jobs: Jobs,
}

/// The command was writing to somebody who has gone: no failure of its own.
const SIGPIPE: i32 = 13;

/// So long a command may wait for room to be started in.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether there is room: little beside what it takes to run a command.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// In the environment of a command: the address of the peer that its message comes from. It is not there if nobody knows.
const PEER: &str = "ZEROHOP_PEER";

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
    pub(crate) fn run(
        &self,
        message: &Message,
        origin: &Origin,
        framing: &FramingArgs,
    ) -> Result<(), String> {
        self.run_for_code(message, origin, framing).0
    }

    /// The same, and the exit code, if the command has ended with one. Without a code it may have failed unnoticed: what it
    /// printed went to a reader that has gone.
    pub(crate) fn run_for_code(
        &self,
        message: &Message,
        origin: &Origin,
        framing: &FramingArgs,
    ) -> (Result<(), String>, Option<i32>) {
        let Started { mut child, unfit } = match self.start(message, origin, Stdio::inherit) {
            Ok(started) => started,
            Err(complaint) => return (Err(complaint), None),
        };
        if let Some(stdin) = child.stdin.take() {
            write_frames(stdin, message, framing);
        }
        match child.wait() {
            Ok(status) => (self.judge(status, unfit), status.code()),
            Err(error) => (Err(self.complaint(&error.to_string())), None),
        }
    }

    /// Runs the command with the message and gives what it printed, also when it failed.
    pub(crate) fn answer(
        &self,
        message: &Message,
        origin: &Origin,
        framing: &FramingArgs,
    ) -> (Vec<u8>, Result<(), String>) {
        let Started { mut child, unfit } = match self.start(message, origin, Stdio::piped) {
            Ok(started) => started,
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
            Ok(output) => (output.stdout, self.judge(output.status, unfit)),
            Err(error) => (Vec::new(), Err(self.complaint(&error.to_string()))),
        }
    }

    /// Starts the shell. The message is to be written to its standard input; its frames are its arguments as well,
    /// whatever the command's text, unless the system can't pass them on.
    fn start(
        &self,
        message: &Message,
        origin: &Origin,
        stdout: fn() -> Stdio,
    ) -> Result<Started, String> {
        if message.frames().any(|frame| frame.contains(&0)) {
            return self.start_without_arguments(origin, stdout, "a frame holds a NUL byte");
        }
        let mut command = self.command(&["-c"], origin, stdout);
        command.args(message.frames().map(|frame| OsStr::from_bytes(frame)));
        match spawn(command) {
            Ok(child) => Ok(Started { child, unfit: None }),
            Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                let why = "the message is too long for arguments";
                self.start_without_arguments(origin, stdout, why)
            }
            Err(error) => Err(self.complaint(&error.to_string())),
        }
    }

    /// With `-u` a command that uses an argument fails: to act on an empty one in place of the message would be worse.
    fn start_without_arguments(
        &self,
        origin: &Origin,
        stdout: fn() -> Stdio,
        why: &'static str,
    ) -> Result<Started, String> {
        let started = spawn(self.command(&["-u", "-c"], origin, stdout));
        let child = started.map_err(|error| self.complaint(&error.to_string()))?;
        Ok(Started {
            child,
            unfit: Some(why),
        })
    }

    fn command(&self, flags: &[&str], origin: &Origin, stdout: fn() -> Stdio) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(flags).args([&self.0, "zerohop"]);
        match origin.address() {
            // What this program has itself is of another message.
            "" => command.env_remove(PEER),
            address => command.env(PEER, address),
        };
        command.stdin(Stdio::piped()).stdout(stdout());
        command
    }

    fn judge(&self, status: ExitStatus, unfit: Option<&str>) -> Result<(), String> {
        let what = match (status.code(), status.signal()) {
            (Some(0), _) | (_, Some(SIGPIPE)) => return Ok(()),
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        };
        Err(self.complaint(&match unfit {
            Some(why) => format!("{what} (it had no arguments, because {why})"),
            None => what,
        }))
    }

    fn complaint(&self, what: &str) -> String {
        format!("command failed: {what}: {}", self.0)
    }
}

/// Starts a command. Where there is no room for one more file or process, others may end meanwhile and make some: the message
/// would be lost with the attempt.
fn spawn(mut command: Command) -> io::Result<Child> {
    let end = Instant::now() + PATIENCE;
    loop {
        match command.spawn() {
            Err(error) if is_exhaustion(&error) && Instant::now() < end => {
                thread::sleep(LOOK_AGAIN);
            }
            spawned => return spawned,
        }
    }
}

/// Whether the system had no room for another file or process.
fn is_exhaustion(error: &io::Error) -> bool {
    let full = [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| full.contains(&code))
}

/// A command that runs.
struct Started {
    child: Child,
    /// Why the message could not be its arguments, if that is so.
    unfit: Option<&'static str>,
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
    counted: bool,
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
            counted: count.is_some(),
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

    /// Whether the work was to end with so many messages.
    pub(crate) fn is_counted(&self) -> bool {
        self.counted
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
        let shell = Shell(command.to_owned());
        let (output, result) = shell.answer(&message.into(), &Origin::default(), &FRAMING);
        (String::from_utf8_lossy(&output).into_owned(), result)
    }

    #[test]
    fn the_message_is_the_input() {
        assert_eq!(answer("tr a-z A-Z", "hello"), ("HELLO".to_owned(), Ok(())));
        assert_eq!(answer("cat", ["a", "b"]), ("a\tb".to_owned(), Ok(())));
    }

    #[test]
    fn the_frames_are_the_arguments_however_they_are_used() {
        for (command, printed) in [
            ("echo \"$2 $1\"", "c a b\n"),
            ("echo ${2}", "c\n"),
            ("echo $#", "2\n"),
            ("for x; do echo \"$x\"; done", "a b\nc\n"),
            ("shift; echo $*", "c\n"),
            ("cat", "a b\tc"),
        ] {
            let answered = answer(command, ["a b", "c"]);
            assert_eq!(answered, (printed.to_owned(), Ok(())), "{command}");
        }
    }

    #[test]
    fn what_cannot_be_an_argument_is_still_the_input() {
        // 128 KiB is Linux's limit of one argument, and 3 MB are too many even in small ones.
        let long = "x".repeat(1 << 17);
        let many: Message = Message::from(vec!["y".repeat(1000); 3000].as_slice());
        for (message, why) in [
            (Message::from("nul\0byte"), "NUL byte"),
            (Message::from(long), "too long"),
            (many, "too long"),
        ] {
            let size = message.size() + message.frames().len() - 1;
            let counted = answer("wc -c | tr -d ' \\n'; echo \",$#\"", message.clone());
            assert_eq!(counted, (format!("{size},0\n"), Ok(())));
            // Deleting "somewhere/" in place of "somewhere/NAME" is what must not happen.
            let (printed, result) = answer("echo somewhere/$1", message);
            assert_eq!(printed, "");
            assert!(result.is_err_and(|text| text.contains(why)), "{why}");
        }
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
