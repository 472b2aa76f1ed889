//! `zerohop spool`: looks into the folder of a spool, checks it, and sends what is in it.

mod cat;
mod dead;
mod ls;
mod replay;
mod verify;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use zerohop::spool::{Damage, OpenSpool, Spool, SpoolError, Stored};

use crate::failure::{Failure, Outcome};
use crate::format::to_json;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A spool is open once: while a program has it, these commands end with 1 and say so. ls, cat, verify and plain dead change nothing.

Examples:
  zerohop spool ls orders.spool
  zerohop spool verify orders.spool && cp -a orders.spool backup/
  zerohop spool dead orders.spool --requeue all
  zerohop spool replay orders.spool --connect tcp://localhost:5555 --settle")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell how many messages there are, how old they are, and what room they take
    Ls(ls::Args),
    /// Print the messages that are not settled, dead letters left out, from the oldest on
    Cat(cat::Args),
    /// Print the dead letters and why they are some, make them messages again, or give them up
    Dead(dead::Args),
    /// Send the messages that are not settled, dead letters left out, from the oldest on
    Replay(replay::Args),
    /// Check every record that is needed, and exit with 1 if anything cannot be read
    Verify(verify::Args),
}

/// Which spool.
#[derive(Clone, Debug, clap::Args)]
struct FolderArgs {
    /// The folder of the spool
    #[arg(value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Ls(args) => ls::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Dead(args) => dead::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Verify(args) => verify::run(args),
    }
}

impl FolderArgs {
    /// Opens the spool to look at it.
    fn look(&self) -> Outcome<OpenSpool> {
        Spool::at(&self.folder)
            .read_only(true)
            .open()
            .map_err(failed)
    }

    /// Opens the spool to change it. One that is not there is not made.
    fn change(&self) -> Outcome<OpenSpool> {
        // It says what is amiss, and leaves a folder that is none alone.
        drop(self.look()?);
        Spool::at(&self.folder).open().map_err(failed)
    }
}

fn failed(error: SpoolError) -> Failure {
    match error {
        // The library's words are about its own calls.
        SpoolError::Corrupt { file, offset, what } => Failure::Failed(format!(
            "{} is damaged at byte {offset}: {what}; nothing was changed, zerohop spool verify tells more",
            file.display()
        )),
        error => Failure::of(error),
    }
}

/// The time in UTC, as RFC 3339 has it, to the millisecond, which is what a spool keeps.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// A message with all that is known of it. `zerohop push --json` reads it.
fn message_to_json(stored: &Stored) -> Value {
    let mut value = json!({
        "seq": stored.seq,
        "time": time(stored.time),
        "deliveries": stored.deliveries,
    });
    if let Some(due) = stored.due {
        value["due"] = json!(time(due));
    }
    if let Some(reason) = &stored.reason {
        value["reason"] = json!(reason);
    }
    value["frames"] = to_json(&stored.message);
    value
}

fn damage_to_json(damage: &[Damage]) -> Value {
    let places = damage.iter().map(|damage| {
        json!({
            "file": damage.file.display().to_string(),
            "from": damage.from,
            "to": damage.to,
        })
    });
    places.collect()
}

/// A place that cannot be read, in words.
fn damage_to_text(damage: &Damage) -> String {
    format!(
        "{}: bytes {} to {} are no valid record",
        name(&damage.file),
        damage.from,
        damage.to
    )
}

/// The name of a file in the folder.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A number of things, with the word for one of them.
fn count(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}
