//! `zerohop sub`.

use zerohop::Sub;

use crate::failure::{Failure, Outcome};
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
    /// Receive messages that begin with PREFIX (repeatable) [default: all]
    #[arg(short, long, value_name = "PREFIX")]
    topic: Vec<String>,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let subscribe = |sub: &Sub| -> Outcome {
        if args.topic.is_empty() {
            return sub.subscribe("").map_err(Failure::of);
        }
        for topic in &args.topic {
            sub.subscribe(topic).map_err(Failure::of)?;
        }
        Ok(())
    };
    receive::run(&args.receiver, subscribe)
}
