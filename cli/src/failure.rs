//! How a command ends when it does not end well: the exit code, and the line on standard error.

use std::fmt::Display;
use std::io;

use crate::console;

/// How a command ended.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong; the text says what, and what to do.
    Failed(String),
    /// The command line asks for what can't be.
    Usage(String),
    /// Nothing happened for as long as `--timeout` allows; the text says what was waited for.
    TimedOut(String),
    /// A signal of this number asked us to stop, and what was read has been flushed as far as that was possible.
    Interrupted(u8),
    /// SIGTERM asked us to stop, and nothing was left undone.
    Terminated,
    /// Whoever read our standard output has gone: nothing to complain about.
    OutputClosed,
}

impl Failure {
    /// A failure around what an operation said.
    pub(crate) fn of(what: impl Display) -> Failure {
        Failure::Failed(what.to_string())
    }

    /// A command line that asks for what can't be, as an operation said.
    pub(crate) fn usage(what: impl Display) -> Failure {
        Failure::Usage(what.to_string())
    }

    /// The exit code: a shell's convention for signals, and the command line's own for the rest.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::OutputClosed | Failure::Terminated => 0,
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::TimedOut(_) => 3,
            Failure::Interrupted(signal) => 128 + signal,
        }
    }

    /// Prints the line that explains the failure, where there is something to explain.
    pub(crate) fn tell(&self) {
        match self {
            Failure::Failed(text) | Failure::TimedOut(text) | Failure::Usage(text) => {
                console::say(&format!("zerohop: {text}"));
            }
            Failure::Interrupted(_) | Failure::Terminated | Failure::OutputClosed => {}
        }
    }

    /// Sorts what writing to standard output said.
    pub(crate) fn of_output(error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Failed(format!("cannot write to standard output: {error}"))
        }
    }
}
