//! `zerohop spool ls`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use zerohop::spool::{OpenSpool, Stored};

use super::{FolderArgs, count, damage_to_json, damage_to_text, failed, name, time};
use crate::failure::Outcome;
use crate::output::{self, hex};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let spool = args.folder.look()?;
    let range = spool.range();
    let read = |seq: Option<u64>| match seq {
        Some(seq) => spool.read(seq).map(Some),
        None => Ok(None),
    };
    let ends = [
        range.as_ref().map(|range| *range.start()),
        range.as_ref().map(|range| *range.end()),
    ];
    let [oldest, newest] = ends.map(read);
    let (oldest, newest) = (oldest.map_err(failed)?, newest.map_err(failed)?);
    let text = if args.json {
        let line = to_json(&spool, oldest.as_ref(), newest.as_ref());
        format!("{line}\n")
    } else {
        to_screen(&spool, oldest.as_ref(), newest.as_ref())
    };
    output::print(text.as_bytes())
}

fn to_json(spool: &OpenSpool, oldest: Option<&Stored>, newest: Option<&Stored>) -> Value {
    let end = |stored: Option<&Stored>| {
        stored.map(|stored| json!({ "seq": stored.seq, "time": time(stored.time) }))
    };
    let segments = spool.segments();
    let segments = segments.iter().map(|segment| {
        json!({
            "file": name(&segment.file),
            "size": segment.size,
            "used": segment.used,
            "unsettled": segment.unsettled,
        })
    });
    json!({
        "folder": spool.path().display().to_string(),
        "stream": hex(&spool.stream_id()),
        "incarnation": spool.incarnation(),
        "closed": spool.recovery().clean,
        "unsettled": spool.len(),
        "dead": spool.dead_count(),
        "oldest": end(oldest),
        "newest": end(newest),
        "size": spool.size(),
        "segments": segments.collect::<Value>(),
        "damage": damage_to_json(&spool.recovery().damage),
    })
}

fn to_screen(spool: &OpenSpool, oldest: Option<&Stored>, newest: Option<&Stored>) -> String {
    let mut screen = format!("{}\n", spool.path().display());
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(screen, "  {name:<12} {value}");
    };
    let unsettled = count(spool.len(), "message");
    match spool.dead_count() {
        0 => row("unsettled", &unsettled),
        dead => row("unsettled", &format!("{unsettled}, {dead} of them dead")),
    }
    for (title, stored) in [("oldest", oldest), ("newest", newest)] {
        if let Some(stored) = stored {
            row(title, &format!("{}, {}", stored.seq, time(stored.time)));
        }
    }
    row("stream", &hex(&spool.stream_id()));
    let closed = match spool.recovery().clean {
        true => "in good order",
        false => "not in good order",
    };
    let opened = count(spool.incarnation(), "time");
    row("closed", &format!("{closed}, opened {opened}"));
    row("size", &count(spool.size(), "byte"));
    for segment in spool.segments() {
        let (used, unsettled) = (segment.used, segment.unsettled);
        let text = format!(
            "{}, {used} of {} bytes used, {unsettled} unsettled",
            name(&segment.file),
            segment.size
        );
        row("segment", &text);
    }
    for damage in &spool.recovery().damage {
        row("damage", &damage_to_text(damage));
    }
    screen
}
