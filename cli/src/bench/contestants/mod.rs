//! The contestants that every program with this module can play.

pub(crate) mod ours;
mod raw;

use super::child::{self, Fallible, Fault, Task};

/// Does a task as the contestant that it names.
pub(crate) fn play(task: &Task) -> Fallible<()> {
    match task.contestant.as_str() {
        "zerohop" => child::run(task, ours::Ours::open),
        "zerohop-curve" => child::run(task, ours::Ours::open_sealed),
        "raw" => child::run(task, || raw::Raw::open(task.size)),
        other => Err(Fault::from(format!("{other} is not known here"))),
    }
}
