//! Counts the words of a file in as many processes as you like.
//!
//! ```text
//!                        ┌─▶ worker 1 ─┐
//!  ventilator ── text ───┼─▶ worker 2 ─┼── counts ──▶ sink
//!    PUSH                └─▶ worker N ─┘               PULL
//!      │                  PULL   PUSH                    ▲
//!      └──────── where it listens, and the total ────────┘
//!
//!  sink PUB ───────────── "done" ────────────▶ SUB of every worker
//! ```
//!
//! The process you start is the sink; it starts the ventilator and the workers, which are this program
//! again with other arguments (`ps` shows them).
//!
//! **How does a worker know that there is no more?** It cannot know by itself: a PUSH deals its messages
//! out to whoever has room, so neither "the ventilator has gone" nor an end mark in the stream would tell
//! a worker that nothing is under way to *another* one, whose death it might have to make good. Only
//! who sees every result can tell. So the ventilator numbers the pieces of text and reports how many there
//! were; the sink ticks the numbers off; and when none is missing it publishes "done" to all workers. A
//! piece counted twice is noticed and left out, a piece that was lost is named.
//!
//! **What if a process dies?** A worker that is killed takes with it what it had taken in. The sink sees
//! that its child has died and that pieces are missing, says which, and fails. And if the sink dies, the
//! others see their standard input end, and end too.

mod args;
mod check;
mod generate;
mod messages;
#[path = "../common/process.rs"]
mod process;
mod sink;
mod text;
mod ventilator;
mod worker;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use args::{Args, Role};

/// How often each word occurs.
pub(crate) type Counts = HashMap<Vec<u8>, u64>;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args = match args::parse(std::env::args().skip(1))? {
        Role::Count(args) => args,
        Role::Ventilator {
            results,
            workers,
            file,
        } => return ventilator::run(&results, workers, file.as_deref()),
        Role::Worker {
            number,
            text,
            results,
            control,
        } => return worker::run(number, &text, &results, &control),
        Role::Help => {
            print!("{}", args::HELP);
            return Ok(());
        }
    };
    if let (Some(megabytes), Some(file)) = (args.generate, &args.file) {
        generate::write(file, megabytes)?;
    }
    // A file that can't be read is better complained of here than by a process that nobody looks at.
    text::open(args.file.as_deref())?;
    let report = sink::run(args.workers, args.file.as_deref())?;
    eprint!("{report}");
    let printed = print_words(&report.counts, &args);
    if args.check {
        check::against_sort(args.file.as_deref(), &report.counts)?;
        eprintln!("sort | uniq -c says the same");
    }
    match printed {
        // The reader has seen enough: `| head` is a fine way to use this program.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// Prints the most frequent words first; equally frequent ones in the order of their bytes.
fn print_words(counts: &Counts, args: &Args) -> io::Result<()> {
    let mut words: Vec<(&Vec<u8>, &u64)> = counts.iter().collect();
    words.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut out = BufWriter::new(io::stdout().lock());
    for (word, count) in words.into_iter().take(args.top) {
        write!(out, "{count:7} ")?;
        out.write_all(word)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
