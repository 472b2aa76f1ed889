//! `zerohop spool replay`.

use std::ops::RangeInclusive;

use zerohop::Push;
use zerohop::spool::OpenSpool;

use super::{FolderArgs, count, failed};
use crate::args::{CountArgs, EndpointArgs, FramingArgs, SocketArgs};
use crate::failure::Outcome;
use crate::input::Sink;
use crate::send::Sender;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message has been sent when the peer's system has taken it. That is no word from the program there: if it may lose messages, keep them in the \
spool until you know better, and settle them then.

With --settle, all is settled in the end that was sent, if all of it was; otherwise nothing, so that messages may come twice.

Examples:
  zerohop spool replay orders.spool --connect tcp://localhost:5555
  zerohop spool replay orders.spool --connect tcp://localhost:5555 --settle")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// Settle the messages that were sent: they are not in the spool any more
    #[arg(long)]
    settle: bool,
    /// Begin with this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    endpoints: EndpointArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

pub(super) fn run(args: &Args) -> Outcome {
    let spool = match args.settle {
        true => args.folder.change()?,
        false => args.folder.look()?,
    };
    let session = Session::<Push>::open(&args.endpoints, &args.socket)?;
    // Frames are sent as they are.
    let framing = FramingArgs {
        null: false,
        parts: None,
    };
    let mut sender = Sender::new(&session, &framing);
    let mut sent = Ranges::default();
    let outcome = send(&spool, args, &session, &mut sender, &mut sent);
    let tally = sender.tally;
    let quiet = args.socket.quiet;
    tally.close(session, outcome)?;
    if args.settle {
        spool.settle(sent.0).map_err(failed)?;
        spool.close().map_err(failed)?;
    }
    if !quiet {
        let done = if args.settle {
            "sent and settled"
        } else {
            "sent"
        };
        crate::console::say(&format!("zerohop: {} {done}", count(sent.1, "message")));
    }
    Ok(())
}

fn send(
    spool: &OpenSpool,
    args: &Args,
    session: &Session<Push>,
    sender: &mut Sender<'_, Push>,
    sent: &mut Ranges,
) -> Outcome {
    let most = args.count.count.unwrap_or(u64::MAX);
    for (stored, _) in spool.unsettled_from(args.from).zip(0..most) {
        if let Some(ending) = session.stop.ending() {
            session.stop.cut_short();
            return Err(ending);
        }
        let stored = stored.map_err(failed)?;
        sender.message(stored.message)?;
        sent.push(stored.seq);
    }
    Ok(())
}

/// Numbers in rising order, and how many they are.
#[derive(Debug, Default)]
struct Ranges(Vec<RangeInclusive<u64>>, u64);

impl Ranges {
    fn push(&mut self, seq: u64) {
        self.1 += 1;
        match self.0.last_mut() {
            Some(last) if *last.end() == seq - 1 => *last = *last.start()..=seq,
            _ => self.0.push(seq..=seq),
        }
    }
}
