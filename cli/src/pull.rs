//! `zerohop pull`.

use zerohop::Pull;

use crate::failure::Outcome;
use crate::receive::{self, ReceiverArgs};
use crate::reliable;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the message is the command's standard input, and its frames are its arguments $1, $2, ... as well. A \
message that cannot be arguments (a frame with a NUL byte, or of 128 KiB and more) is input only: the command then runs \
with sh -u, so that it fails if it uses $1. At most --jobs messages per peer are read ahead, beside what the system's buffers hold. A command that \
fails is told of on standard error, the rest goes on, and the exit code is 1 in the end. ZEROHOP_PEER in its environment is the address of the peer that the message is of.

With --reliable a message is settled when it is written out, to --tee as well; with --exec when the command exits with 0. Any other exit code gives it back, to be \
delivered again after a while, here or elsewhere; 65 rejects it for good. A command may take as long as it wants. Of each peer at most --jobs messages are \
taken at a time. --count and --tee count each delivery. A message may come more than once. \
A stop lets commands end, and settles what they have done, within --linger.

Examples:
  zerohop pull --bind 'tcp://127.0.0.1:5555' | jq .total
  zerohop pull --connect tcp://localhost:5555 --reliable --exec 'import-order'
  zerohop pull --connect tcp://localhost:5555 --exec 'convert \"$1\" \"$1.png\"' --jobs 4")]
pub(crate) struct Args {
    /// Settle each message when it is printed, or when its command exits with 0, so that push --reliable sends it again until then
    #[arg(long)]
    reliable: bool,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match args.reliable {
        true => reliable::run(&args.receiver),
        false => receive::run::<Pull>(&args.receiver, |_| Ok(())),
    }
}
