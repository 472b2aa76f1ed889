//! What comes in, onto standard output or into commands: what `pull`, `sub` and `xsub` do.

use std::path::PathBuf;

use clap::ValueHint;
use zerohop::{AnySocket, Options, RecvError, RecvSocket};

use crate::args::{CountArgs, EndpointArgs, FramingArgs, OutputArgs, SocketArgs};
use crate::exec::{ExecArgs, Shell, Work};
use crate::failure::{Failure, Outcome};
use crate::format::Printed;
use crate::output::{self, Output};
use crate::session::Session;
use crate::tee::Tee;

/// The arguments of a command that receives messages one after the other. A command adds its own beside them.
#[derive(Debug, clap::Args)]
pub(crate) struct ReceiverArgs {
    /// Run COMMAND with the shell for each message instead of printing it
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<Shell>,
    #[command(flatten)]
    pub(crate) jobs: ExecArgs,
    #[command(flatten)]
    pub(crate) count: CountArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Also append every message to FILE, as --format envelope prints it and --replay reads it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) tee: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    #[command(flatten)]
    pub(crate) endpoints: EndpointArgs,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
}

/// Opens the socket, which `before` prepares before it has any peer, and deals with messages until there are enough.
pub(crate) fn run<S: RecvSocket>(
    args: &ReceiverArgs,
    before: impl FnOnce(&S) -> Outcome,
) -> Outcome {
    let tee = args.tee.as_deref().map(Tee::open).transpose()?;
    match &args.exec {
        Some(command) => execute(args, command, tee, before),
        None => {
            let session =
                Session::open_with(&args.endpoints, &args.socket, Options::new(), before)?;
            print_all(session, args, tee)
        }
    }
}

fn print_all<S: RecvSocket>(session: Session<S>, args: &ReceiverArgs, tee: Option<Tee>) -> Outcome {
    let opened = Output::open(&args.output, &args.framing, &session.stop);
    let outcome = opened.and_then(|mut output| {
        output.tee = tee;
        output::watch_reader(&session.stop);
        let count = args.count.count;
        let printed = print(&session, &mut output, count.unwrap_or(u64::MAX));
        if printed.is_err() && count.is_some() {
            session.stop.cut_short();
        }
        // Also what came before a failure is to be seen.
        printed.and(output.flush())
    });
    session.close(outcome)
}

/// Runs the command for each message. No more are read ahead than can be worked on at once.
fn execute<S: RecvSocket>(
    args: &ReceiverArgs,
    command: &Shell,
    tee: Option<Tee>,
    before: impl FnOnce(&S) -> Outcome,
) -> Outcome {
    let options = Options::new().recv_hwm(args.jobs.jobs.get());
    let session = Session::<S>::open_with(&args.endpoints, &args.socket, options, before)?;
    output::watch_reader(&session.stop);
    let work = Work::new(args.count.count);
    let ended = work.run(
        args.jobs.jobs,
        session.timeout,
        || RecvSocket::recv_from(&*session.socket),
        |(message, origin)| {
            let recorded = match &tee {
                Some(tee) => tee.record(Printed::of(&message, &origin)),
                None => Ok(()),
            };
            // What could not be recorded is still worked on.
            command.run(&message, &origin, &args.framing).and(recorded)
        },
    );
    let outcome = work_outcome(&session, &work, ended);
    session.close(outcome)
}

/// What it means that work on messages has ended.
pub(crate) fn work_outcome<S: AnySocket>(
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

fn print<S: RecvSocket>(session: &Session<S>, output: &mut Output, count: u64) -> Outcome {
    if output.tells_origin() {
        return print_with_origin(session, output, count);
    }
    for _ in 0..count {
        // Matched, not mapped: moving a message from result to result is copying that shows in the throughput.
        match session.socket.try_recv() {
            Ok(message) => output.write(&message)?,
            Err(RecvError::WouldBlock) => {
                output.flush()?;
                match session.socket.recv() {
                    Ok(message) => output.write(&message)?,
                    Err(error) => return Err(recv_failure(session, error)),
                }
            }
            Err(error) => return Err(recv_failure(session, error)),
        }
    }
    Ok(())
}

fn print_with_origin<S: RecvSocket>(
    session: &Session<S>,
    output: &mut Output,
    count: u64,
) -> Outcome {
    for _ in 0..count {
        let received = match session.socket.try_recv_from() {
            Err(RecvError::WouldBlock) => {
                output.flush()?;
                session.socket.recv_from()
            }
            received => received,
        };
        match received {
            Ok((message, origin)) => output.write_with_origin(&message, &origin)?,
            Err(error) => return Err(recv_failure(session, error)),
        }
    }
    Ok(())
}

/// What a failed receive means for the command.
pub(crate) fn recv_failure<S: AnySocket>(session: &Session<S>, error: RecvError) -> Failure {
    match (error, session.stop.ending()) {
        (RecvError::TimedOut, _) => {
            Failure::TimedOut(format!("no message came in time{}", session.trouble()))
        }
        (RecvError::ContextClosed, Some(ending)) => ending,
        _ => Failure::of(error),
    }
}
