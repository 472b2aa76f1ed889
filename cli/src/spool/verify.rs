//! `zerohop spool verify`.

use serde_json::json;
use zerohop::spool::{OpenSpool, Spool, SpoolError};

use super::{FolderArgs, count, damage_to_json, damage_to_text};
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The exit code is 0 if all is as it was written, and 1 if anything is not, whatever may have been the cause. A machine that loses power may leave a part \
of the log unwritten that nobody had been told is safe; opening the spool goes on without it, and says so. What was safe and cannot be read is damage of \
the disk: a spool with such a place is not opened, unless with Spool::salvage.

Example:
  zerohop spool verify orders.spool && cp -a orders.spool backup/")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Findings {
    /// Why the spool cannot be opened as it is.
    refused: Option<SpoolError>,
    /// The spool as far as it can be read.
    spool: Option<OpenSpool>,
    /// Messages that cannot be read although their records are whole, or the records are no longer there.
    unreadable: Vec<SpoolError>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let settings = Spool::at(&args.folder.folder).read_only(true);
    let (spool, refused) = match settings.open() {
        Ok(spool) => (Some(spool), None),
        // What else is damaged is of interest, too.
        Err(error @ SpoolError::Corrupt { .. }) => {
            (settings.salvage(true).open().ok(), Some(error))
        }
        Err(error) => (None, Some(error)),
    };
    let unreadable = match &spool {
        Some(spool) => {
            let all = spool.unsettled().chain(spool.dead_letters());
            all.filter_map(Result::err).collect()
        }
        None => Vec::new(),
    };
    let findings = Findings {
        refused,
        spool,
        unreadable,
    };
    let verdict = verdict(&findings);
    if args.json {
        output::print(format!("{}\n", to_json(args, &findings, &verdict)).as_bytes())?;
    } else {
        output::print(to_text(args, &findings).as_bytes())?;
    }
    verdict.map_or(Ok(()), |text| Err(Failure::Failed(text)))
}

/// What is amiss, if anything is.
fn verdict(findings: &Findings) -> Option<String> {
    if let Some(refused) = &findings.refused {
        return Some(refused.to_string());
    }
    if let Some(first) = findings.unreadable.first() {
        return Some(first.to_string());
    }
    let spool = findings.spool.as_ref()?;
    let damage = &spool.recovery().damage;
    if damage.is_empty() {
        return None;
    }
    let places = count(damage.len() as u64, "place");
    Some(format!(
        "{}: {places} without a valid record, as a crash may leave; the next to open the spool goes on without",
        spool.path().display()
    ))
}

fn to_json(args: &Args, findings: &Findings, verdict: &Option<String>) -> serde_json::Value {
    let mut value = json!({
        "folder": args.folder.folder.display().to_string(),
        "ok": verdict.is_none(),
    });
    if let Some(text) = verdict {
        value["error"] = json!(text);
    }
    if let Some(spool) = &findings.spool {
        let recovery = spool.recovery();
        value["opens"] = json!(findings.refused.is_none());
        value["closed"] = json!(recovery.clean);
        value["segments"] = json!(recovery.segments);
        value["records"] = json!(recovery.records);
        value["unsettled"] = json!(recovery.unsettled);
        value["dead"] = json!(recovery.dead);
        value["unreadable"] = json!(findings.unreadable.len());
        value["damage"] = damage_to_json(&recovery.damage);
    }
    value
}

fn to_text(args: &Args, findings: &Findings) -> String {
    let Some(spool) = &findings.spool else {
        return String::new();
    };
    let recovery = spool.recovery();
    let mut text = format!(
        "{}: {}, {}, {}\n",
        args.folder.folder.display(),
        count(recovery.segments as u64, "segment"),
        count(recovery.records, "record"),
        count(recovery.unsettled, "unsettled message"),
    );
    for damage in &recovery.damage {
        text.push_str(&format!("{}\n", damage_to_text(damage)));
    }
    for error in &findings.unreadable {
        text.push_str(&format!("{error}\n"));
    }
    text
}
