//! A socket onto standard output: what `pull` and `sub` do.

use zerohop::{AnySocket, RecvError, RecvSocket};

use crate::args::{CountArgs, FramingArgs, OutputArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};
use crate::session::Session;

/// Prints messages until there are enough, and ends the session.
pub(crate) fn run<S: RecvSocket>(
    session: Session<S>,
    output: &OutputArgs,
    framing: &FramingArgs,
    count: &CountArgs,
) -> Outcome {
    let outcome = Output::open(output, framing, &session.stop).and_then(|mut output| {
        output::watch_reader(&session.stop);
        let printed = print(&session, &mut output, count.count.unwrap_or(u64::MAX));
        if printed.is_err() && count.count.is_some() {
            session.stop.cut_short();
        }
        // Also what came before a failure is to be seen.
        printed.and(output.flush())
    });
    session.close(outcome)
}

fn print<S: RecvSocket>(session: &Session<S>, output: &mut Output, count: u64) -> Outcome {
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
