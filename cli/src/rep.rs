//! `zerohop rep`.

use zerohop::{RecvError, Rep, ReplyErrorKind, Request};

use crate::args::{CountArgs, EndpointArgs, FramingArgs, SocketArgs};
use crate::exec::{ExecArgs, Shell, Work};
use crate::failure::Outcome;
use crate::receive::work_outcome;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the request is the command's standard input, and its frames are its arguments $1, $2, ... as well. A \
request that cannot be arguments (a frame with a NUL byte, or of 128 KiB and more) is input only: the command then runs \
with sh -u, so that it fails if it uses $1. What the command prints is the reply, byte for byte, also when it fails; that is told on standard \
error, and the exit code is 1 in the end.

Examples:
  zerohop rep --bind 'tcp://127.0.0.1:5557' --echo
  zerohop rep --bind 'tcp://127.0.0.1:5557' --exec 'grep -m1 \"^$1 \" prices.txt' --jobs 4
  zerohop rep --bind ipc:///tmp/health --reply ok")]
pub(crate) struct Args {
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    jobs: ExecArgs,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    framing: FramingArgs,
    #[command(flatten)]
    endpoints: EndpointArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// What to answer: exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Answer {
    /// Send every request back
    #[arg(long)]
    echo: bool,
    /// Run COMMAND with the shell for each request; what it prints is the reply
    #[arg(long, value_name = "COMMAND")]
    exec: Option<Shell>,
    /// Reply TEXT to every request
    #[arg(long, value_name = "TEXT")]
    reply: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let session = Session::<Rep>::open(&args.endpoints, &args.socket)?;
    let work = Work::new(args.count.count);
    let ended = work.run(
        args.jobs.jobs,
        session.timeout,
        // Replies that leave are something that happens, too.
        || match session.slice() {
            None => session.socket.recv(),
            Some(slice) => session.insist(
                |error| *error == RecvError::TimedOut,
                || session.socket.recv_timeout(slice),
            ),
        },
        |request| answer(&args.answer, &args.framing, request),
    );
    let outcome = work_outcome(&session, &work, ended);
    session.close(outcome)
}

/// Answers one request. The error is a sentence about what went wrong.
fn answer(answer: &Answer, framing: &FramingArgs, mut request: Request) -> Result<(), String> {
    let (replied, judged) = if let Some(command) = &answer.exec {
        let origin = request.origin().unwrap_or_default();
        let (output, judged) = command.answer(request.message(), &origin, framing);
        (request.reply(output), judged)
    } else if let Some(text) = &answer.reply {
        (request.reply(text), Ok(()))
    } else {
        let message = request.take_message();
        (request.reply(message), Ok(()))
    };
    match replied.map_err(|error| error.kind()) {
        // Whoever asked has gone, or is not to be served any more: no fault of this side.
        Ok(()) | Err(ReplyErrorKind::PeerGone | ReplyErrorKind::ContextClosed) => judged,
        Err(kind) => judged.and(Err(format!("a reply was not sent: {kind}"))),
    }
}
