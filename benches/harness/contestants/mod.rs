//! The contestants that take part by default.

mod libzmq;
mod ours;
mod raw;

use std::process::ExitCode;

use super::child::{self, Task};

/// Does a task as the contestant that it names.
pub(crate) fn run(task: &Task) -> ExitCode {
    match task.contestant.as_str() {
        "zerohop" => child::run(task, ours::Ours::open),
        "libzmq" => child::run(task, libzmq::Libzmq::open),
        "raw" => child::run(task, || raw::Raw::open(task.size)),
        other => {
            eprintln!("{other} is not known here");
            ExitCode::FAILURE
        }
    }
}
