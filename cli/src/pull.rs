//! `zerohop pull`.

use zerohop::Pull;

use crate::failure::Outcome;
use crate::receive::{self, ReceiverArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the message is the command's standard input, and its frames are its arguments $1, $2, ... as well. A \
message that cannot be arguments (a frame with a NUL byte, or of 128 KiB and more) is input only: the command then runs \
with sh -u, so that it fails if it uses $1. At most --jobs messages per peer are read ahead, beside what the system's buffers hold. A command that \
fails is told of on standard error, the rest goes on, and the exit code is 1 in the end.

Examples:
  zerohop pull --bind 'tcp://127.0.0.1:5555' | jq .total
  zerohop pull --connect tcp://localhost:5555 --exec 'convert \"$1\" \"$1.png\"' --jobs 4")]
pub(crate) struct Args {
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    receive::run::<Pull>(&args.receiver, |_| Ok(()))
}
