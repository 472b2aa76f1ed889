//! Asks `sort | uniq -c` for the truth.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::{Counts, Result, messages, text};

const PIPELINE: &str = "tr -s '[:space:]' '\\n' | sort | uniq -c";

/// Counts the same text with the tools every system has; an error says where the counts differ.
pub(crate) fn against_sort(file: Option<&Path>, ours: &Counts) -> Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", PIPELINE])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe to tr")?;
    let file = file.map(Path::to_path_buf);
    let feeding = thread::spawn(move || -> std::io::Result<()> {
        std::io::copy(&mut text::open(file.as_deref())?, &mut stdin)?;
        stdin.flush()
    });
    let mut lines = Vec::new();
    let mut stdout = child.stdout.take().ok_or("no pipe from uniq")?;
    stdout.read_to_end(&mut lines)?;
    feeding.join().map_err(|_| "reading the text panicked")??;
    if !child.wait()?.success() {
        return Err(format!("{PIPELINE} failed").into());
    }
    let mut theirs = Counts::new();
    messages::add_lines(&mut theirs, &lines)?;
    compare(ours, &theirs)
}

fn compare(ours: &Counts, theirs: &Counts) -> Result<()> {
    let mut differences: Vec<String> = theirs
        .iter()
        .map(|(word, count)| (word, ours.get(word).copied().unwrap_or(0), *count))
        .chain(
            ours.iter()
                .filter(|(word, _)| !theirs.contains_key(*word))
                .map(|(word, count)| (word, *count, 0)),
        )
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(word, ours, theirs)| {
            let word = String::from_utf8_lossy(word);
            format!("\n  {word}: {ours} here, {theirs} by {PIPELINE}")
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    differences.sort();
    let count = differences.len();
    differences.truncate(10);
    Err(format!("{count} words differ:{}", differences.concat()).into())
}
