//! `zerohop`: message pipelines between processes, from the shell.
//!
//! A command is a module here, with its arguments and its `run`; `args` holds the groups of arguments that several
//! commands share. To add a command, add a module, a variant of [`args::Command`] and an arm in [`run`].

mod args;
mod failure;
mod perf;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Perf(args) => perf::run(args),
    }
}
