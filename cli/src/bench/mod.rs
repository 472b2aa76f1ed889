//! `zerohop bench`: what this machine makes of zerohop, beside bare sockets on the same work.
//!
//! ```text
//!   cast      who takes part, and which program plays them      workload     what is measured
//!   runner    starts the processes of each workload, contestants in turn, and gathers what they report
//!   child     the measured processes: the loops, the same for everybody, and the check of every message
//!   contestants                                                 zerohop and bare sockets
//!   statistics, results, table, html, charts, machine           condense, keep and show it
//! ```
//!
//! `cargo bench` includes this module and adds libzmq and other libraries to the cast (interop/benches/compare); nothing here may
//! know of the rest of the program. docs/performance.md tells how it is measured.

pub(crate) mod cast;
mod charts;
pub(crate) mod child;
mod contestants;
mod html;
mod machine;
mod results;
mod runner;
mod statistics;
mod table;
pub(crate) mod workload;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) use cast::Cast;
use cast::Entrant;
use child::{Fallible, Fault, Task};
#[allow(unused_imports, reason = "for contestants of other programs")]
pub(crate) use contestants::ours::well_known_keys;
pub(crate) use contestants::play;

use machine::Machine;
use results::Results;
use runner::Outcome;
use workload::{Scale, Workload, publishing, workloads};

/// Where the installed program leaves its results unless told otherwise.
const OUT: &str = "zerohop-bench";

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Workloads run one after the other, each in processes of its own, and contestants take turns. The results go to the \
terminal, and to results.json and report.html in DIR. Measure on a machine that does nothing else.

Example:
  zerohop bench --filter push-pull/tcp --filter latency --seconds 1")]
pub(crate) struct Args {
    /// All workloads at all sizes (about a quarter of an hour); without it a choice (about five minutes). Each round
    /// says how long the rest will take
    #[arg(long, conflicts_with = "smoke")]
    full: bool,
    /// A few messages of everything: checks counts and contents, measures nothing
    #[arg(long)]
    smoke: bool,
    /// Publish/subscribe instead: by transport, size, subscribers and pace, as in arXiv 2508.07934 (about five minutes
    /// for each contestant; with --full an hour)
    #[arg(long, conflicts_with = "smoke")]
    publishing: bool,
    /// Only workloads whose name contains TEXT (repeatable)
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Only this contestant (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Let those who can take part with CURVE, too, as NAME-curve, over tcp and ipc
    #[arg(long)]
    curve: bool,
    /// Rounds per workload [default: 5; of a smoke run 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Measured time of each run [default: 0.5, with --full 1]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// Keep the cores awake where latency is measured: most of what a sleeping core adds is not the library's
    #[arg(long)]
    awake: bool,
    /// Name the workloads and the contestants of each
    #[arg(long)]
    list: bool,
    /// Keep results.json and report.html in DIR [default: zerohop-bench]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Draw throughput by size and latency against load into FILE, as SVG
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    picture: Option<PathBuf>,
    /// Measure nothing: show the results in DIR again
    #[arg(long, conflicts_with_all = ["full", "smoke", "publishing", "filter", "only", "curve", "rounds", "seconds", "awake", "list"])]
    show: bool,
    /// Compare with an earlier run: its results.json, or the directory that holds it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, conflicts_with_all = ["smoke", "list"])]
    baseline: Option<PathBuf>,
    /// Be one of the measured processes
    #[arg(long, value_name = "TASK", hide = true)]
    child: Option<String>,
}

/// Runs the benchmark with that cast, or the part of it that this process is.
pub(crate) fn run(args: &Args, cast: Fallible<Cast>) -> Fallible<()> {
    let mut cast = cast?;
    if args.curve {
        cast.add_curve();
    }
    if let Some(task) = &args.child {
        let task: Task = serde_json::from_str(task)?;
        return (cast.play)(&task);
    }
    let directory = args.out.as_ref().unwrap_or(&cast.out);
    // Read first: it may be what the new results replace.
    let baseline = args.baseline.as_deref().map(results::load_baseline);
    let baseline = baseline.transpose()?;
    if args.show {
        return present(
            &results::load(directory)?,
            baseline.as_ref(),
            directory,
            args,
        );
    }
    let chosen = choose(args)?;
    let entrants = cast.select(&args.only)?;
    if args.list {
        return list(&chosen, &entrants);
    }
    let plan = runner::Plan {
        scale: args.scale(),
        rounds: args.rounds(),
        seconds: args.seconds,
        awake: args.awake,
        patience: runner::PATIENCE,
    };
    if !args.smoke
        && let Some(warning) = Machine::look(&[]).warning()
    {
        tell(warning);
    }
    // A smoke run measures nothing that deserves to be kept and shown.
    let keep = |results: &Results| match args.smoke {
        true => Ok(()),
        false => results::save(results, directory),
    };
    let Outcome { results, failures } =
        runner::run(&plan, &chosen, &entrants, &cast.libraries, keep)?;
    if !args.smoke {
        present(&results, baseline.as_ref(), directory, args)?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Fault::from(format!("failed:\n{}", failures.join("\n"))))
}

impl Args {
    fn scale(&self) -> Scale {
        match (self.smoke, self.full) {
            (true, _) => Scale::Smoke,
            (false, true) => Scale::Full,
            (false, false) => Scale::Quick,
        }
    }

    fn rounds(&self) -> usize {
        let usual = if self.smoke { 1 } else { 5 };
        self.rounds.map_or(usual, usize::from)
    }
}

/// The workloads that the arguments ask for.
fn choose(args: &Args) -> Fallible<Vec<Workload>> {
    let mut chosen = match args.publishing {
        true => publishing(args.scale()),
        false => workloads(args.scale()),
    };
    if !args.filter.is_empty() {
        let is_meant = |name: &str| args.filter.iter().any(|text| name.contains(text.as_str()));
        chosen.retain(|workload| is_meant(&workload.name()));
    }
    if chosen.is_empty() {
        return Err(Fault::from(
            "no workload has such a name; --list names them, and --list --full all of them",
        ));
    }
    Ok(chosen)
}

fn list(workloads: &[Workload], entrants: &[&Entrant]) -> Fallible<()> {
    let mut lines = String::new();
    for workload in workloads {
        let able = entrants.iter().filter(|entrant| entrant.can(workload));
        let names: Vec<&str> = able.map(|entrant| entrant.name.as_str()).collect();
        lines += &format!("{:<40} {}\n", workload.name(), names.join(" "));
    }
    show(lines)
}

/// On the terminal, as a page, and as a picture where one is wanted.
fn present(
    results: &Results,
    baseline: Option<&Results>,
    directory: &Path,
    args: &Args,
) -> Fallible<()> {
    let mut text = table::of(results, baseline);
    text += &format!("\nresults: {}\n", results::path_in(directory).display());
    text += &format!(
        "report: {}\n",
        html::save(results, baseline, directory)?.display()
    );
    if let Some(path) = &args.picture {
        charts::save_picture(results, path)?;
        text += &format!("picture: {}\n", path.display());
    }
    show(text)
}

/// Writes to standard output. A reader that has gone has seen what it wanted.
fn show(text: impl Display) -> Fallible<()> {
    let mut stdout = io::stdout().lock();
    let written = write!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to standard error, where one can be written.
fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err(String::from("seconds are a number from 0.001 to 3600")),
    }
}
