//! `zerohop pub`.

use std::time::Duration;

use zerohop::Pub;

use crate::failure::Outcome;
use crate::push::wait_failure;
use crate::send::{self, SenderArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Subscribers choose messages by how they begin: by their first frame, if --parts makes several. A subscriber that is too \
slow misses messages; --hwm says how many may wait for it.

Examples:
  tail -f access.log | zerohop pub --bind 'tcp://127.0.0.1:5556'
  zerohop pub --bind ipc:///tmp/news --wait-subscribers 1 --parts ': ' --message 'weather: sunny'")]
pub(crate) struct Args {
    /// Wait for so many peers that have subscribed to something before the first message
    #[arg(long, value_name = "N")]
    wait_subscribers: Option<usize>,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let session = args.sender.open::<Pub>()?;
    let wait = session.timeout.unwrap_or(Duration::MAX);
    if let Some(subscribers) = args.wait_subscribers
        && let Err(error) = session.socket.wait_for_any_subscribers(subscribers, wait)
    {
        let failure = wait_failure(&session, "subscribers", error);
        return session.close(Err(failure));
    }
    send::run(session, &args.sender)
}
