//! Measures zerohop, libzmq, bare sockets and, on request, other libraries on the same work.
//!
//! [`runner`] starts the processes of each [`workload`], contestants in turn, and gathers what the
//! [`child`] processes report; [`statistics`] condenses that, and [`table`], [`html`] and [`charts`] show it.

mod arguments;
mod charts;
pub(crate) mod child;
mod contestants;
mod html;
mod machine;
mod results;
mod runner;
mod statistics;
mod table;
mod workload;

use std::process::ExitCode;

use arguments::{Arguments, Command};

/// Runs the benchmark, or the part of it that this process is.
pub(crate) fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Child(task)) => contestants::run(&task),
        Ok(Command::Help) => {
            print!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Measure(arguments)) => finish(measure(&arguments)),
        Ok(Command::Show(arguments)) => finish(show_saved(&arguments)),
        Err(fault) => finish(Err(fault)),
    }
}

fn measure(arguments: &Arguments) -> child::Fallible<bool> {
    let outcome = runner::run(arguments)?;
    // A smoke run measures nothing that deserves to be shown, and neither does a list.
    if arguments.scale != workload::Scale::Smoke && !arguments.list {
        table::print(&outcome.results);
        results::save(&outcome.results, &arguments.out)?;
        html::save(&outcome.results, &arguments.out)?;
    }
    if let Some(picture) = &arguments.picture {
        charts::save_picture(&outcome.results, picture)?;
    }
    for failure in &outcome.failures {
        eprintln!("FAILED: {failure}");
    }
    Ok(outcome.failures.is_empty())
}

/// Shows what an earlier run has saved.
fn show_saved(arguments: &Arguments) -> child::Fallible<bool> {
    let results = results::load(&arguments.out)?;
    table::print(&results);
    html::save(&results, &arguments.out)?;
    if let Some(picture) = &arguments.picture {
        charts::save_picture(&results, picture)?;
    }
    Ok(true)
}

fn finish(outcome: child::Fallible<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
