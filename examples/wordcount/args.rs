//! The command line: what a person says, and what the sink says to the processes it starts.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Result;

pub(crate) const HELP: &str = "\
Counts the words of a text in several processes.

Usage: wordcount [OPTIONS]

  --file FILE      the text; without it, a short one that is built in
  --workers N      processes that count (default: 2)
  --top N          print the N most frequent words (default: 10)
  --all            print all words
  --check          compare with `sort | uniq -c`, and fail if there is a difference
  --generate MB    write a text of so many megabytes to FILE first, which must not exist yet
";

/// What a process is to do.
pub(crate) enum Role {
    /// What people start: the sink.
    Count(Args),
    Ventilator {
        results: String,
        workers: usize,
        file: Option<PathBuf>,
    },
    Worker {
        number: u32,
        text: String,
        results: String,
        control: String,
    },
    Help,
}

pub(crate) struct Args {
    pub(crate) file: Option<PathBuf>,
    pub(crate) workers: usize,
    pub(crate) top: usize,
    pub(crate) check: bool,
    pub(crate) generate: Option<u64>,
}

pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Role> {
    let mut parsed = Args {
        file: None,
        workers: 2,
        top: 10,
        check: false,
        generate: None,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--file" => parsed.file = Some(value(&arg, &mut args)?),
            "--workers" => parsed.workers = value::<NonZeroUsize>(&arg, &mut args)?.get(),
            "--top" => parsed.top = value(&arg, &mut args)?,
            "--all" => parsed.top = usize::MAX,
            "--check" => parsed.check = true,
            "--generate" => parsed.generate = Some(value(&arg, &mut args)?),
            "--help" | "-h" => return Ok(Role::Help),
            "ventilator" => {
                return Ok(Role::Ventilator {
                    results: value("results", &mut args)?,
                    workers: value("workers", &mut args)?,
                    file: args.next().map(PathBuf::from),
                });
            }
            "worker" => {
                return Ok(Role::Worker {
                    number: value("number", &mut args)?,
                    text: value("text", &mut args)?,
                    results: value("results", &mut args)?,
                    control: value("control", &mut args)?,
                });
            }
            _ => return Err(format!("unknown argument {arg}; --help lists what there is").into()),
        }
    }
    if parsed.generate.is_some() && parsed.file.is_none() {
        return Err("--generate needs --file, to know where to write".into());
    }
    Ok(Role::Count(parsed))
}

fn value<T: FromStr>(name: &str, args: &mut impl Iterator<Item = String>) -> Result<T> {
    let text = args.next().ok_or_else(|| format!("{name} needs a value"))?;
    text.parse()
        .map_err(|_| format!("{name} can't be {text:?}").into())
}
