//! The command line.

use std::path::{Path, PathBuf};

use super::child::{Fallible, Fault, Task};
use super::workload::Scale;

pub(crate) const HELP: &str = "\
cargo bench --bench compare -- [OPTIONS]

  --full           all workloads at all sizes (about an hour); without it a choice (about ten minutes)
  --smoke          a few messages of everything: checks counts and contents, measures nothing
  --filter TEXT    only workloads whose name contains TEXT; may be given again
  --only NAME      only this contestant; may be given again
  --peers          build benches/peers and let its contestants take part
  --rounds N       rounds per workload [5]
  --seconds S      measured time of each run
  --list           name the workloads
  --out DIR        where results.json and report.html go [target/bench]
  --picture FILE   write the picture of the README there (SVG)
  --show           measure nothing: show the results in DIR again
";

/// What is wanted.
pub(crate) enum Command {
    Measure(Arguments),
    Show(Arguments),
    Child(Box<Task>),
    Help,
}

pub(crate) struct Arguments {
    pub(crate) scale: Scale,
    pub(crate) filters: Vec<String>,
    pub(crate) only: Vec<String>,
    pub(crate) peers: bool,
    pub(crate) rounds: usize,
    pub(crate) seconds: Option<f64>,
    pub(crate) list: bool,
    pub(crate) out: PathBuf,
    pub(crate) picture: Option<PathBuf>,
}

pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Fallible<Command> {
    let mut wanted = Arguments {
        scale: Scale::Quick,
        filters: Vec::new(),
        only: Vec::new(),
        peers: false,
        rounds: 5,
        seconds: None,
        list: false,
        out: default_out(),
        picture: None,
    };
    let mut show = false;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.ok_or_else(|| Fault::from(format!("{argument} needs a value")))
        };
        match argument.as_str() {
            "child" => return Ok(Command::Child(serde_json::from_str(&value()?)?)),
            "--help" | "-h" => return Ok(Command::Help),
            "--full" => wanted.scale = Scale::Full,
            "--smoke" => {
                wanted.scale = Scale::Smoke;
                wanted.rounds = 1;
            }
            "--filter" => wanted.filters.push(value()?),
            "--only" => wanted.only.push(value()?),
            "--peers" => wanted.peers = true,
            "--rounds" => wanted.rounds = value()?.parse::<usize>()?.max(1),
            "--seconds" => wanted.seconds = Some(value()?.parse()?),
            "--list" => wanted.list = true,
            "--out" => wanted.out = PathBuf::from(value()?),
            "--picture" => wanted.picture = Some(PathBuf::from(value()?)),
            "--show" => show = true,
            "--bench" => {} // Added by cargo.
            other => return Err(format!("{other} is not an option; see --help").into()),
        }
    }
    Ok(match show {
        true => Command::Show(wanted),
        false => Command::Measure(wanted),
    })
}

/// `bench` in the target directory, from `target/release/deps/compare-…`.
fn default_out() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(3);
    target.unwrap_or(Path::new("target")).join("bench")
}
