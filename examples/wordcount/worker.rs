//! Counts the pieces it gets, until it is told that all is done.

use std::collections::HashMap;
use std::io::Write;
use std::thread;

use zerohop::{Context, Frame, Options, Pull, Push, Sub};

use crate::messages::{DONE, News, Piece};
use crate::ventilator::PIECES_AHEAD;
use crate::{Result, process, text};

pub(crate) fn run(number: u32, text: &str, results: &str, control: &str) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    end_when_done(&context, control)?;
    let counted = Push::with_options(&context, Options::new().linger(None))?;
    counted.connect(results)?;
    let work = Pull::with_options(&context, Options::new().recv_hwm(PIECES_AHEAD))?;
    work.connect(text)?;

    // Ends when `end_when_done` shuts the context down.
    for message in &work {
        let piece = Piece::parse(message)?;
        let news = News::Counted {
            worker: number,
            number: piece.number,
            counts: count(&piece.text),
        };
        counted.send(news.into_message())?;
    }
    Ok(())
}

/// The words of a piece, as lines of `count word`. The counts go out with every piece, and none are kept
/// here: then no count dies with a worker unnoticed.
fn count(text: &[u8]) -> Frame {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for word in text::words(text) {
        *counts.entry(word).or_default() += 1;
    }
    let mut lines = Vec::with_capacity(counts.len() * 12);
    for (word, count) in counts {
        // Writing to a vector does not fail.
        let _ = write!(lines, "{count} ");
        lines.extend_from_slice(word);
        lines.push(b'\n');
    }
    Frame::from(lines)
}

/// Shuts the context down, and so ends every call that waits on it, when the sink says so. Nothing is
/// under way by then.
fn end_when_done(context: &Context, control: &str) -> Result<()> {
    let done = Sub::new(context)?;
    done.subscribe(DONE)?;
    done.connect(control)?;
    let context = context.clone();
    thread::spawn(move || {
        if done.recv().is_ok() {
            context.shutdown();
        }
    });
    Ok(())
}
