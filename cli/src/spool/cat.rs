//! `zerohop spool cat`.

use std::time::Duration;

use zerohop::Context;
use zerohop::spool::{SpoolError, Stored};

use super::{FolderArgs, failed, message_to_json};
use crate::args::{CountArgs, FramingArgs, OutputArgs};
use crate::failure::Outcome;
use crate::output::{self, Output};
use crate::stop::Stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The time of a message, in an envelope or a template, is when it was appended.

Examples:
  zerohop spool cat orders.spool --count 10
  zerohop spool cat orders.spool --json | jq .seq
  zerohop spool cat orders.spool --format envelope | zerohop push --connect tcp://localhost:5555 --json")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// Begin with this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// Print an object of JSON per line, with "seq", "time", "deliveries", "due" if there is one, and "frames"
    #[arg(long, conflicts_with_all = ["format", "parts", "null"])]
    json: bool,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    framing: FramingArgs,
}

pub(super) fn run(args: &Args) -> Outcome {
    let spool = args.folder.look()?;
    let stored = spool.unsettled_from(args.from);
    print(
        stored,
        args.count.count,
        &args.output,
        &args.framing,
        |output, stored| match args.json {
            true => output.write_json(&message_to_json(stored)),
            false => output.write_of(&stored.message, stored.time),
        },
    )
}

/// Prints messages until there are enough.
pub(super) fn print(
    stored: impl Iterator<Item = Result<Stored, SpoolError>>,
    count: Option<u64>,
    output: &OutputArgs,
    framing: &FramingArgs,
    mut print: impl FnMut(&mut Output, &Stored) -> Outcome,
) -> Outcome {
    let stop = Stop::listen(&Context::new(), Some(Duration::ZERO), true)?;
    let mut output = Output::open(output, framing, &stop)?;
    output::watch_reader(&stop);
    let mut printed = Ok(());
    for (stored, _) in stored.zip(0..count.unwrap_or(u64::MAX)) {
        if stop.is_over() {
            stop.cut_short();
        }
        printed = match (stop.ending(), stored) {
            (Some(ending), _) => Err(ending),
            (None, Ok(stored)) => print(&mut output, &stored),
            (None, Err(error)) => Err(failed(error)),
        };
        if printed.is_err() {
            break;
        }
    }
    // Also what came before a failure is to be seen.
    printed.and(output.flush())
}
