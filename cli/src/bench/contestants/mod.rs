//! The contestants that every program with this module can play.

pub(crate) mod ours;
mod ours_else;
mod raw;

use super::child::{self, Fallible, Fault, Task, Types};
use ours_else::{Dealing, OursElse, OursXpub, Routing, Talking};
use zerohop::Pair;

/// Does a task as the contestant that it names.
pub(crate) fn play(task: &Task) -> Fallible<()> {
    match task.contestant.as_str() {
        "zerohop" => match task.types {
            Types::Usual => child::run(task, ours::Ours::open),
            Types::DealerRouter => child::run(task, OursElse::<Routing, Dealing>::open),
            Types::DealerDealer => child::run(task, OursElse::<Dealing, Dealing>::open),
            Types::PairPair => child::run(task, OursElse::<Talking<Pair>, Talking<Pair>>::open),
            Types::XpubSub => child::run(task, OursXpub::open),
        },
        "zerohop-curve" => child::run(task, ours::Ours::open_sealed),
        "raw" => child::run(task, || raw::Raw::open(task.size)),
        other => Err(Fault::from(format!("{other} is not known here"))),
    }
}
