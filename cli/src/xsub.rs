//! `zerohop xsub`.

use zerohop::Xsub;

use crate::args::TopicArgs;
use crate::failure::Outcome;
use crate::receive::{self, ReceiverArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
As sub, but what comes is not filtered once more on arrival.

Example:
  zerohop xsub --connect tcp://localhost:5556 --topic weather --count 1")]
pub(crate) struct Args {
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let subscribe = |xsub: &Xsub| args.topics.subscribe(|topic| xsub.subscribe(topic));
    receive::run(&args.receiver, subscribe)
}
