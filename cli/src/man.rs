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
    /// Print the page of this command, as push or spool ls, instead of the one of zerohop itself
    command: Vec<String>,
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
    let mut command = whole;
    for name in &args.command {
        let found = titled(&command).into_iter().find(|(of, _)| of == name);
        let found = found.ok_or_else(|| Failure::Usage(format!("there is no command {name:?}")))?;
        command = found.1;
    }
    output::print(&page(command)?)
}

/// Into files that are named as `man` looks for them.
fn write_all(whole: &Command, folder: &Path) -> Outcome {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Failure::Failed(format!("cannot write {path}: {error}"))
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut commands = vec![whole.clone()];
    while let Some(command) = commands.pop() {
        commands.extend(titled(&command).into_iter().map(|(_, command)| command));
        let name = command.get_display_name().unwrap_or("zerohop");
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(command)?).map_err(failed(&path))?;
    }
    Ok(())
}

/// The commands of a command, by name, each titled as its page is.
fn titled(of: &Command) -> Vec<(String, Command)> {
    let before = of.get_display_name().unwrap_or("zerohop");
    let commands = of.get_subcommands().map(|command| {
        let title = format!("{before}-{}", command.get_name());
        (
            command.get_name().to_owned(),
            command.clone().display_name(title),
        )
    });
    commands.collect()
}

fn page(command: Command) -> Outcome<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(Failure::of)?;
    Ok(page)
}
