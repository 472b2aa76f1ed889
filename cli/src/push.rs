//! `zerohop push`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zerohop::spool::{Spool, Sync};
use zerohop::{AnySocket, Delivery, Message, Options, Push, WaitError};

use crate::console;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::send::{self, SenderArgs};
use crate::session::{Quiet, Session};
use crate::value::duration;

/// Of so many messages that were not done it is said why.
const MOST_TOLD: usize = 10;

/// Of a message so many characters are shown.
const MOST_SHOWN: usize = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --reliable the command ends when all messages are settled, --linger after the end of the input at the latest. Messages that workers have rejected, or have \
not settled in twenty deliveries, are told of on standard error, and the exit code is 1; as it is when some are not settled in the end, whose number is told. At most --hwm are \
unsettled at a time. A message may be delivered more than once. What is not settled is lost if this process dies, unless there is a --spool: a folder in which it is kept, and \
from which it is sent first when this command is run again. Dead letters stay there, too; 'zerohop spool' looks at them, and sends them again.

Examples:
  zerohop push --connect tcp://localhost:5555 orders.txt
  zerohop push --connect tcp://localhost:5555 --whole scans/*.png
  seq 100 | zerohop push --bind 'tcp://127.0.0.1:5555' --wait-peers 4
  zerohop push --bind 'tcp://127.0.0.1:5555' --reliable --linger forever < orders.txt
  zerohop push --bind 'tcp://127.0.0.1:5555' --reliable --spool orders.spool < orders.txt
  zerohop push --connect ipc:///tmp/work --message 'hello' --repeat 10 --rate 2/s")]
pub(crate) struct Args {
    /// Hold each message until a worker has settled it (pull --reliable), and deliver it again when one dies
    #[arg(long)]
    reliable: bool,
    /// Let no worker in that does not settle messages
    #[arg(long, requires = "reliable")]
    required: bool,
    /// Give up a message that is not settled within this time
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "reliable")]
    ttl: Option<Duration>,
    /// Keep what is not settled in this folder, and begin with what is there
    #[arg(long, value_name = "DIR", requires = "reliable")]
    spool: Option<PathBuf>,
    /// What the messages of a spool survive: the end of this process, or the loss of power, for which each waits for the disk
    #[arg(long, value_name = "WHEN", requires = "spool", default_value = "os")]
    sync: SyncArg,
    /// Wait for so many peers before the first message
    #[arg(long, value_name = "N")]
    wait_peers: Option<usize>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SyncArg {
    /// The end of this process
    Os,
    /// The loss of power
    Disk,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let sync = match args.sync {
        SyncArg::Os => Sync::Os,
        SyncArg::Disk => Sync::Disk,
    };
    let spool = args
        .spool
        .as_ref()
        .map(|folder| Spool::at(folder).sync(sync));
    let delivery = Delivery::at_least_once().spool(spool).ttl(args.ttl);
    let delivery = match (args.reliable, args.required) {
        (false, _) => None,
        (true, false) => Some(delivery),
        (true, true) => Some(delivery.required()),
    };
    let options = Options::new().delivery(delivery);
    let mut session = args.sender.open_with::<Push>(options)?;
    let wait = session.timeout.unwrap_or(Duration::MAX);
    if let Some(peers) = args.wait_peers
        && let Err(error) = session.socket.wait_for_peers(peers, wait)
    {
        let failure = wait_failure(&session, "peers", error);
        return session.close(Err(failure));
    }
    if args.reliable {
        session.await_settlement(tell_dead_letters);
    }
    let quiet = session.quiet();
    let outcome = send::run(session, &args.sender);
    if let Some(folder) = args.spool.as_deref().filter(|_| outcome.is_err() && !quiet) {
        tell_what_stays(folder);
    }
    outcome
}

/// Says what of the messages can be sent again.
fn tell_what_stays(folder: &Path) {
    let Ok(spool) = Spool::at(folder).read_only(true).open() else {
        // It is told of where it matters, which is when the spool is next used.
        return;
    };
    let stay = match spool.len() {
        0 => return,
        1 => "1 message stays".to_owned(),
        count => format!("{count} messages stay"),
    };
    let dead = match spool.dead_count() {
        0 => String::new(),
        dead => format!(", {dead} of them to be replayed or removed"),
    };
    let folder = output::in_a_line(folder.display().to_string().as_bytes());
    console::say(&format!("zerohop: {stay} in {folder}{dead}"));
}

/// Says which messages no worker has done.
fn tell_dead_letters(push: &Push, quiet: Quiet) -> Outcome {
    let dead = push.dead_letters();
    for letter in dead.iter().take(MOST_TOLD).filter(|_| !quiet) {
        // Both are others' texts.
        let reason = output::in_a_line(letter.reason.to_string().as_bytes());
        let message = in_short(&letter.message);
        console::say(&format!("zerohop: not done: {message}: {reason}"));
    }
    match dead.len() as u64 + push.stats().delivery.dead_dropped {
        0 => Ok(()),
        1 => Err(Failure::of("1 message was not done")),
        count => Err(Failure::Failed(format!("{count} messages were not done"))),
    }
}

/// As much of a message as fits into a line, with tabs between its frames.
fn in_short(message: &Message) -> String {
    let mut start = Vec::new();
    for (index, frame) in message.frames().enumerate() {
        if index > 0 {
            start.push(b'\t');
        }
        // One byte more than is shown tells that there is more.
        start.extend_from_slice(&frame[..frame.len().min(4 * MOST_SHOWN + 1)]);
        if start.len() > 4 * MOST_SHOWN {
            break;
        }
    }
    let text = output::in_a_line(&start);
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
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
