//! `zerohop sub`.

use zerohop::Sub;

use crate::args::TopicArgs;
use crate::failure::Outcome;
use crate::receive::{self, ReceiverArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the message is the command's standard input, and its frames are its arguments $1, $2, ... as for pull. While commands \
run, publishers skip this subscriber as soon as --jobs messages and the system's buffers are full.

Examples:
  zerohop sub --connect tcp://localhost:5556
  zerohop sub --connect tcp://localhost:5556 --topic weather --topic news --format json | jq '.[1]'
  zerohop sub --connect ipc:///tmp/news --count 1 --timeout 10s
  zerohop sub --connect tcp://localhost:5556 --topic alarm --parts ' ' --exec 'mail -s \"$2\" me'")]
pub(crate) struct Args {
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let subscribe = |sub: &Sub| args.topics.subscribe(|topic| sub.subscribe(topic));
    receive::run(&args.receiver, subscribe)
}
