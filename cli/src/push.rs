//! `zerohop push`.

use std::time::Duration;

use zerohop::{AnySocket, Push, WaitError};

use crate::failure::{Failure, Outcome};
use crate::send::{self, SenderArgs};
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop push --connect tcp://localhost:5555 < orders.txt
  seq 100 | zerohop push --bind 'tcp://127.0.0.1:5555' --wait-peers 4
  zerohop push --connect ipc:///tmp/work --message 'hello' --repeat 10 --rate 2/s")]
pub(crate) struct Args {
    /// Wait for so many peers before the first message
    #[arg(long, value_name = "N")]
    wait_peers: Option<usize>,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let session = args.sender.open::<Push>()?;
    let wait = session.timeout.unwrap_or(Duration::MAX);
    if let Some(peers) = args.wait_peers
        && let Err(error) = session.socket.wait_for_peers(peers, wait)
    {
        let failure = wait_failure(&session, "peers", error);
        return session.close(Err(failure));
    }
    send::run(session, &args.sender)
}

/// What it means that not enough of those waited for came.
pub(crate) fn wait_failure<S: AnySocket>(
    session: &Session<S>,
    what: &str,
    error: WaitError,
) -> Failure {
    match (error, session.stop.ending()) {
        (WaitError::TimedOut { have, wanted }, _) => Failure::TimedOut(format!(
            "only {have} of {wanted} {what} came in time{}",
            session.trouble()
        )),
        (WaitError::ContextClosed, Some(ending)) => ending,
        _ => Failure::of(error),
    }
}
