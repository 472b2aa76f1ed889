//! Merges the counts, and accounts for every piece.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use zerohop::{Context, Pub, Pull, RecvError};

use crate::messages::{self, DONE, News};
use crate::process::Process;
use crate::{Counts, Result};

/// How often to look after the other processes when nothing arrives.
const LOOK: Duration = Duration::from_millis(200);

/// Once a process has failed: how long nothing may arrive before what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(2);

/// What came out.
pub(crate) struct Report {
    pub(crate) counts: Counts,
    pieces: u64,
    duplicates: u64,
    by_worker: BTreeMap<u32, u64>,
    elapsed: Duration,
}

/// Starts the other processes, and collects what they count.
pub(crate) fn run(workers: usize, file: Option<&Path>) -> Result<Report> {
    let context = Context::new();
    let results = Pull::new(&context)?;
    let results_at = results.bind("tcp://127.0.0.1:*")?.to_string();
    let control = Pub::new(&context)?;
    let control_at = control.bind("tcp://127.0.0.1:*")?.to_string();

    let mut sink = Sink::default();
    let count = workers.to_string();
    let mut args = vec!["ventilator", &results_at, &count];
    if let Some(file) = file {
        args.push(file.to_str().ok_or("the name of the file is not Unicode")?);
    }
    let mut others = vec![Process::start("ventilator".to_owned(), &args)?];

    let started = Instant::now();
    let mut last_news = Instant::now();
    while !sink.is_complete() {
        match results.recv_timeout(LOOK) {
            Ok(message) => {
                last_news = Instant::now();
                if let News::At(text_at) = sink.hear(News::parse(message)?)? {
                    for number in 1..=workers {
                        let name = number.to_string();
                        let args = ["worker", &name, &text_at, &results_at, &control_at];
                        others.push(Process::start(format!("worker {name}"), &args)?);
                    }
                }
            }
            Err(RecvError::TimedOut) => {
                let failed = complaints(&mut others)?;
                if !failed.is_empty() && last_news.elapsed() > SILENCE {
                    return Err(sink.complaint(&failed).into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let elapsed = started.elapsed();
    // Nothing is under way any more. Whoever has not subscribed yet would miss it: wait.
    let alive = workers.saturating_sub(complaints(&mut others)?.len());
    control.wait_for_subscribers(DONE, alive, Duration::from_secs(20))?;
    control.send(DONE)?;
    for other in others {
        other.wait()?;
    }
    Ok(sink.report(elapsed))
}

/// Which processes have failed, and how.
fn complaints(others: &mut [Process]) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for other in others {
        failed.extend(other.complaint()?);
    }
    Ok(failed)
}

/// What has been heard so far.
#[derive(Default)]
struct Sink {
    counts: Counts,
    /// Whether the piece of this number has been counted.
    seen: Vec<bool>,
    counted: u64,
    duplicates: u64,
    total: Option<u64>,
    by_worker: BTreeMap<u32, u64>,
}

impl Sink {
    fn is_complete(&self) -> bool {
        self.total == Some(self.counted)
    }

    /// Takes news in, and gives them back.
    fn hear(&mut self, news: News) -> Result<News> {
        match &news {
            News::At(_) => {}
            News::Total(total) => self.total = Some(*total),
            News::Counted {
                worker,
                number,
                counts,
            } => {
                let place = usize::try_from(*number)?;
                if self.seen.len() <= place {
                    self.seen.resize(place + 1, false);
                }
                if std::mem::replace(&mut self.seen[place], true) {
                    self.duplicates += 1;
                } else {
                    self.counted += 1;
                    *self.by_worker.entry(*worker).or_default() += 1;
                    messages::add_lines(&mut self.counts, counts)?;
                }
            }
        }
        Ok(news)
    }

    /// What is missing, and whose fault it may be.
    fn complaint(&self, failed: &[String]) -> String {
        let failed = failed.join(", ");
        let Some(total) = self.total else {
            return format!("the text was not sent to its end; failed: {failed}");
        };
        let seen = |number: &u64| self.seen.get(*number as usize).copied().unwrap_or(false);
        let missing: Vec<String> = (0..total)
            .filter(|number| !seen(number))
            .map(|number| number.to_string())
            .collect();
        let missing = missing.join(", ");
        format!("of {total} pieces these were lost: {missing}; failed: {failed}")
    }

    fn report(self, elapsed: Duration) -> Report {
        Report {
            counts: self.counts,
            pieces: self.counted,
            duplicates: self.duplicates,
            by_worker: self.by_worker,
            elapsed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: u64 = self.counts.values().sum();
        writeln!(
            f,
            "{words} words, {} different, in {:.2?}",
            self.counts.len(),
            self.elapsed
        )?;
        write!(f, "{} pieces", self.pieces)?;
        for (worker, pieces) in &self.by_worker {
            write!(f, ", {pieces} by worker {worker}")?;
        }
        writeln!(f, "; none lost, {} twice", self.duplicates)
    }
}
