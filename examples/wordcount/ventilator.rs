//! Deals the text out.

use std::io::{BufRead, Read};
use std::path::Path;
use std::time::Duration;

use zerohop::{Context, Frame, Options, Push};

use crate::messages::{News, Piece};
use crate::{Result, process, text};

/// A piece is whole lines of about this size. A message for each line would do, and cost a hundred
/// messages where one will serve; a few large pieces would leave workers idle at the end.
const PIECE: u64 = 256 * 1024;

/// The built-in text is shorter than one such piece, and there is to be something for every worker.
const SAMPLE_PIECE: u64 = 100;

/// The most that a worker's socket accepts in one message, by default.
const LONGEST_LINE: usize = 200 * 1024 * 1024;

/// The high-water mark counts messages, and these are large: a few are enough to keep a worker busy, and
/// more would only be memory, and less even a distribution.
pub(crate) const PIECES_AHEAD: usize = 4;

pub(crate) fn run(results: &str, workers: usize, file: Option<&Path>) -> Result<()> {
    process::end_with_parent();
    // Whatever was accepted is to arrive, however long the workers take.
    let patient = Options::new().linger(None);
    let context = Context::new();
    let news = Push::with_options(&context, patient.clone())?;
    news.connect(results)?;
    let work = Push::with_options(&context, patient.send_hwm(PIECES_AHEAD))?;
    let endpoint = work.bind("tcp://127.0.0.1:*")?;
    news.send(News::At(endpoint.to_string()).into_message())?;

    let mut text = text::open(file)?;
    // Else whoever is first would get it all.
    work.wait_for_peers(workers, Duration::from_secs(30))?;
    let mut total = 0;
    let size = if file.is_some() { PIECE } else { SAMPLE_PIECE };
    while let Some(lines) = next_lines(&mut text, size)? {
        let piece = Piece {
            number: total,
            text: Frame::from(lines),
        };
        work.send(piece.into_message())?;
        total += 1;
    }
    news.send(News::Total(total).into_message())?;
    Ok(())
}

/// The next whole lines of the text, `size` bytes of them or a little more.
fn next_lines(text: &mut dyn BufRead, size: u64) -> Result<Option<Vec<u8>>> {
    let mut lines = Vec::with_capacity(size as usize + 256);
    text.take(size).read_to_end(&mut lines)?;
    if lines.is_empty() {
        return Ok(None);
    }
    if !lines.ends_with(b"\n") {
        text.read_until(b'\n', &mut lines)?;
    }
    if lines.len() > LONGEST_LINE {
        return Err("a line is too long to be sent in one message".into());
    }
    Ok(Some(lines))
}
