//! Standard error: what we tell the person at the terminal, beside the live line of `--stats`.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use indicatif::ProgressBar;
use log::{LevelFilter, Log, Metadata, Record};

use crate::descriptor;

/// The live line, once there is one.
static LIVE: OnceLock<ProgressBar> = OnceLock::new();

/// Draws a live line on standard error from now on.
pub(crate) fn set_live(bar: &ProgressBar) {
    // There is one session per process, and so one live line.
    let _ = LIVE.set(bar.clone());
}

/// Runs what writes to the terminal with the live line out of the way.
pub(crate) fn beside_live<T>(write: impl FnOnce() -> T) -> T {
    match LIVE.get() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Prints a line on standard error. Where nobody can read it, it is lost: there is no other place.
pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    beside_live(|| {
        // Locked, so that what others write through it does not come in between.
        let _ = descriptor::write_all(stderr().lock(), line.as_bytes());
    });
}

/// Whether a person reads along.
pub(crate) fn is_interactive() -> bool {
    stderr().is_terminal()
}

/// Sends the library's log to standard error.
pub(crate) fn log_verbosely() {
    static LOGGER: Logger = Logger;
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zerohop")
    }

    fn log(&self, record: &Record<'_>) {
        // `--verbose` prints all events as they are, where the log leaves some out.
        let is_event = record.module_path() == Some("zerohop::monitor");
        if self.enabled(record.metadata()) && !is_event {
            let level = record.level().as_str().to_ascii_lowercase();
            say(&format!("zerohop: {level}: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
