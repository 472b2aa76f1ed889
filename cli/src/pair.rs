//! `zerohop pair`.

use zerohop::Pair;

use crate::args::TalkArgs;
use crate::failure::Outcome;
use crate::session::Session;
use crate::talk;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Two of them are a line in both directions. A third is turned away. The end of the input is not the end: the command goes on until it has \
--count messages, or nothing has happened for --timeout.

Examples, in two shells:
  zerohop pair --bind 'tcp://127.0.0.1:5561'
  zerohop pair --connect tcp://localhost:5561 --message hello --count 1")]
pub(crate) struct Args {
    #[command(flatten)]
    talk: TalkArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let talk = &args.talk;
    let session = Session::<Pair>::open(&talk.endpoints, &talk.socket)?;
    talk::run(session, talk)
}
