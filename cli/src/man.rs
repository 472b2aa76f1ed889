//! `zerohop man`.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop man | man -l -
  zerohop man push > zerohop-push.1")]
pub(crate) struct Args {
    /// Print the page of this command instead of the one of zerohop itself
    command: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).cloned();
            let found =
                found.ok_or_else(|| Failure::Usage(format!("there is no command {name:?}")))?;
            let title = format!("zerohop-{name}");
            found.display_name(title)
        }
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(Failure::of)?;
    output::print(&page)
}
