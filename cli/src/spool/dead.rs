//! `zerohop spool dead`.

use std::str::FromStr;

use zerohop::spool::{OpenSpool, Stored};

use super::{FolderArgs, cat, count, failed, message_to_json};
use crate::args::{CountArgs, FramingArgs, OutputArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, in_a_line};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
In front of each message stand its number, how often it was delivered, and why it is dead, with tabs between.

Examples:
  zerohop spool dead orders.spool
  zerohop spool dead orders.spool --json | jq 'select(.reason == \"no such item\") | .seq'
  zerohop spool dead orders.spool --requeue 17..19")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print an object of JSON per line, with \"seq\", \"time\", \"deliveries\", \"reason\" and \"frames\"
    #[arg(long, conflicts_with_all = ["format", "parts", "null"])]
    json: bool,
    /// Make these dead letters messages again that were never delivered: SEQ, FIRST..LAST or all (repeatable)
    #[arg(long, value_name = "WHICH", conflicts_with_all = ["format", "json", "count"])]
    requeue: Vec<Which>,
    /// Give these dead letters up: SEQ, FIRST..LAST or all (repeatable)
    #[arg(long, value_name = "WHICH", conflicts_with_all = ["format", "json", "count", "requeue"])]
    discard: Vec<Which>,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    framing: FramingArgs,
}

/// Numbers of messages, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Which(u64, u64);

impl FromStr for Which {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Which, &'static str> {
        const EXPECTED: &str = "write a number, FIRST..LAST or all";
        let number = |text: &str| text.parse().map_err(|_| EXPECTED);
        let which = match text.split_once("..") {
            None if text == "all" => Which(0, u64::MAX),
            None => Which(number(text)?, number(text)?),
            Some((first, last)) => Which(number(first)?, number(last)?),
        };
        (which.0 <= which.1).then_some(which).ok_or(EXPECTED)
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    if !args.requeue.is_empty() {
        return change(args, &args.requeue, "requeued", |spool, seq| {
            spool.replay(seq).map_err(failed)
        });
    }
    if !args.discard.is_empty() {
        return change(args, &args.discard, "discarded", |spool, seq| {
            spool.settle([seq..=seq]).map(drop).map_err(failed)
        });
    }
    let spool = args.folder.look()?;
    cat::print(
        spool.dead_letters(),
        args.count.count,
        &args.output,
        &args.framing,
        |output, stored| match args.json {
            true => output.write_json(&message_to_json(stored)),
            false => output.write_after(&about(stored), &stored.message, stored.time),
        },
    )
}

/// What stands in front of a message.
fn about(stored: &Stored) -> String {
    let reason = stored.reason.as_deref().unwrap_or_default();
    let reason = in_a_line(reason.as_bytes()).replace('\t', "\\t");
    format!("{}\t{}\t{reason}\t", stored.seq, stored.deliveries)
}

/// Does something to the dead letters that were chosen, and tells how many those were.
fn change(
    args: &Args,
    chosen: &[Which],
    done: &str,
    change: impl Fn(&OpenSpool, u64) -> Outcome,
) -> Outcome {
    let spool = args.folder.change()?;
    let mut seqs = Vec::new();
    for letter in spool.dead_letters() {
        let seq = letter.map_err(failed)?.seq;
        if chosen
            .iter()
            .any(|which| (which.0..=which.1).contains(&seq))
        {
            seqs.push(seq);
        }
    }
    // A number that was written out is meant.
    let missing = chosen.iter().filter(|which| which.0 == which.1);
    if let Some(missing) = missing.map(|which| which.0).find(|seq| !seqs.contains(seq)) {
        return Err(Failure::Failed(format!(
            "{missing} is no dead letter; nothing was {done}"
        )));
    }
    for seq in &seqs {
        change(&spool, *seq)?;
    }
    spool.close().map_err(failed)?;
    let letters = count(seqs.len() as u64, "dead letter");
    output::print(format!("{letters} {done}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_is_a_number_or_a_range() {
        for (text, which) in [
            ("17", Ok(Which(17, 17))),
            ("17..19", Ok(Which(17, 19))),
            ("all", Ok(Which(0, u64::MAX))),
        ] {
            assert_eq!(text.parse(), which, "{text}");
        }
        for text in ["", "x", "-1", "3..", "..3", "3..2", "1..2..3"] {
            assert!(text.parse::<Which>().is_err(), "{text}");
        }
    }
}
