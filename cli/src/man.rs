//! `zerohop man`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, ValueHint};
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop man | man -l -
  zerohop man push > zerohop-push.1
  zerohop man --all ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Print the page of this command instead of the one of zerohop itself
    command: Option<String>,
    /// Write the pages of zerohop and all its commands into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "command")]
    all: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    if let Some(folder) = &args.all {
        return write_all(&whole, folder);
    }
    let command = match &args.command {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name);
            let found =
                found.ok_or_else(|| Failure::Usage(format!("there is no command {name:?}")))?;
            titled(found)
        }
    };
    output::print(&page(command)?)
}

/// Into files that are named as `man` looks for them.
fn write_all(whole: &Command, folder: &Path) -> Outcome {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Failure::Failed(format!("cannot write {path}: {error}"))
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let commands = whole.get_subcommands().map(titled);
    for command in std::iter::once(whole.clone()).chain(commands) {
        let name = command.get_display_name().unwrap_or("zerohop");
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(command)?).map_err(failed(&path))?;
    }
    Ok(())
}

/// A command under the name of its page.
fn titled(command: &Command) -> Command {
    let title = format!("zerohop-{}", command.get_name());
    command.clone().display_name(title)
}

fn page(command: Command) -> Outcome<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(Failure::of)?;
    Ok(page)
}
