//! `zerohop pub`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueHint;
use zerohop::spool::SpoolError;
use zerohop::{Log, Options, Pub};

use crate::failure::{Failure, Outcome};
use crate::push::wait_failure;
use crate::send::{self, SenderArgs};
use crate::value;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Subscribers choose messages by how they begin: by their first frame, if --parts makes several. A subscriber that is too \
slow misses messages; --hwm says how many may wait for it.

Examples:
  tail -f access.log | zerohop pub --bind 'tcp://127.0.0.1:5556'
  zerohop pub --bind ipc:///tmp/news --wait-subscribers 1 --parts ': ' --message 'weather: sunny'
  zerohop pub --bind ipc:///tmp/news --log news.log --keep 100M --keep-for 24h < news.txt")]
pub(crate) struct Args {
    /// Wait for so many peers that have subscribed to something before the first message
    #[arg(long, value_name = "N")]
    wait_subscribers: Option<usize>,
    /// Keep what is published in DIR, so that zerohop's subscribers can read what they have missed (sub --from)
    ///
    /// They lose nothing that is there, however slow they are. The command ends when all is written, and does not wait for those who still read.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    log: Option<PathBuf>,
    /// Keep at least SIZE bytes of messages, such as 500K, 100M or 2G [default: all]
    #[arg(long, value_name = "SIZE", requires = "log", value_parser = value::size)]
    keep: Option<u64>,
    /// Keep messages for at least AGE, such as 90s or 24h [default: for ever]
    #[arg(long, value_name = "AGE", requires = "log", value_parser = value::duration)]
    keep_for: Option<Duration>,
    /// Keep the last N messages of each topic alone: with 1, whoever comes late gets the last value of each
    ///
    /// The topic is the whole of the first frame: --parts says where that ends.
    #[arg(long, value_name = "N", requires = "log", value_parser = clap::value_parser!(u64).range(1..))]
    keep_last: Option<u64>,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let log = args.log.as_ref().map(|folder| {
        let log = Log::at(folder);
        let log = match args.keep {
            Some(bytes) => log.keep(bytes),
            None => log,
        };
        let log = match args.keep_for {
            Some(time) => log.keep_for(time),
            None => log,
        };
        match args.keep_last {
            Some(count) => log.keep_last(count),
            None => log,
        }
    });
    let options = Options::new().log(log);
    let session = args.sender.open_with::<Pub>(options)?;
    let wait = session.timeout.unwrap_or(Duration::MAX);
    if let Some(subscribers) = args.wait_subscribers
        && let Err(error) = session.socket.wait_for_any_subscribers(subscribers, wait)
    {
        let failure = wait_failure(&session, "subscribers", error);
        return session.close(Err(failure));
    }
    let socket = Arc::clone(&session.socket);
    let sent = send::send_all(&session, &args.sender);
    let written = match socket.commit() {
        // It was asked to stop: what is left is written when the socket is dropped.
        Ok(()) | Err(SpoolError::Closed) => Ok(()),
        Err(error) => Err(Failure::of(error)),
    };
    drop(socket);
    let (mut tally, outcome) = sent;
    if args.log.is_some() {
        tally.keep_unwanted();
    }
    tally.close(session, outcome.and(written))
}
