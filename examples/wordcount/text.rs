//! The text, and what a word is.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// What is counted when no file is given.
const SAMPLE: &str = include_str!("sample.txt");

/// The text to count, as a stream.
pub(crate) fn open(file: Option<&Path>) -> io::Result<Box<dyn BufRead>> {
    let Some(path) = file else {
        return Ok(Box::new(SAMPLE.as_bytes()));
    };
    let file = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufReader::with_capacity(1024 * 1024, file)))
}

/// The words of a text: whatever stands between white space, byte for byte. It is what `tr '[:space:]' '\n'`
/// makes of it in the C locale, so that `sort | uniq -c` can be asked for the truth.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r'))
        .filter(|word| !word.is_empty())
}
