//! `zerohop completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::failure::Outcome;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  zerohop completions bash > ~/.local/share/bash-completion/completions/zerohop")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Outcome {
    // First into memory: the generator panics when it can't write.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "zerohop", &mut script);
    output::print(&script)
}
