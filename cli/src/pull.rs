//! `zerohop pull`.

use zerohop::{AnySocket, Options, Pull, RecvError};

use crate::args::{CountArgs, EndpointArgs, FramingArgs, OutputArgs, SocketArgs};
use crate::exec::{Jobs, Shell, Work};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::receive::{self, recv_failure};
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the message is the command's standard input, and its frames are its arguments $1, $2, ... as well. A \
message that cannot be arguments (a frame with a NUL byte, or of 128 KiB and more) is input only: the command then runs \
with sh -u, so that it fails if it uses $1. At most --jobs messages per peer are read ahead, beside what the system's buffers hold. A command that \
fails is told of on standard error, the rest goes on, and the exit code is 1 in the end.

Examples:
  zerohop pull --bind 'tcp://*:5555' | jq .total
  zerohop pull --connect tcp://localhost:5555 --exec 'convert \"$1\" \"$1.png\"' --jobs 4")]
pub(crate) struct Args {
    /// Run COMMAND with the shell for each message instead of printing it
    #[arg(long, value_name = "COMMAND")]
    exec: Option<Shell>,
    /// Run at most N commands at once
    #[arg(short, long, value_name = "N", default_value = "1", requires = "exec")]
    jobs: Jobs,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    framing: FramingArgs,
    #[command(flatten)]
    endpoints: EndpointArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Some(command) = &args.exec else {
        let session = Session::<Pull>::open(&args.endpoints, &args.socket)?;
        return receive::run(session, &args.output, &args.framing, &args.count);
    };
    let options = Options::new().recv_hwm(args.jobs.get());
    let session = Session::<Pull>::open_with(&args.endpoints, &args.socket, options, |_| Ok(()))?;
    output::watch_reader(&session.stop);
    let work = Work::new(args.count.count);
    let ended = work.run(
        args.jobs,
        session.timeout,
        || session.socket.recv(),
        |message| command.run(&message, &args.framing),
    );
    let outcome = exec_outcome(&session, &work, ended);
    session.close(outcome)
}

/// What it means that work on messages has ended.
pub(crate) fn exec_outcome<S: AnySocket>(
    session: &Session<S>,
    work: &Work,
    ended: Result<(), RecvError>,
) -> Outcome {
    let ended = ended.map_err(|error| {
        if work.is_counted() {
            session.stop.cut_short();
        }
        recv_failure(session, error)
    });
    match (ended, work.failed()) {
        (ended, 0) => ended,
        (Err(failure @ Failure::Interrupted(_)), _) => Err(failure),
        (_, 1) => Err(Failure::Failed("1 command failed".to_owned())),
        (_, failed) => Err(Failure::Failed(format!("{failed} commands failed"))),
    }
}
