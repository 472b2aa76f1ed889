//! Input into a socket, and what comes back onto standard output, both at once: what `dealer` and `router` do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use zerohop::RecvError;

use crate::args::TalkArgs;
use crate::failure::{Failure, Outcome};
use crate::input;
use crate::output::{self, Output};
use crate::receive::recv_failure;
use crate::send::{Sender, Tally};
use crate::session::Session;
use crate::sockets::Talking;

/// Sends the input and prints messages until there are enough, and ends the session. The end of the input is not the end: answers may
/// still come.
pub(crate) fn run<S: Talking>(mut session: Session<S>, args: &TalkArgs) -> Outcome {
    session.input_may_wait = true;
    // Enough has been received, or it has failed: the input does not matter any more.
    let received = AtomicBool::new(false);
    let (tally, outcome) = thread::scope(|scope| {
        let sending = scope.spawn(|| feed(&session, args, &received));
        let TalkArgs {
            output, framing, ..
        } = args;
        let printed = Output::open(output, framing, &session.stop).and_then(|mut output| {
            output::watch_reader(&session.stop);
            let printed = print(&session, &mut output, args);
            // Also what came before a failure is to be seen.
            printed.and(output.flush())
        });
        received.store(true, Ordering::SeqCst);
        session.stop.finish();
        session.socket.shutdown();
        let (tally, fed) = sending.join().unwrap_or_else(|_| {
            let died = Err(Failure::of("a thread died"));
            (Tally::default(), died)
        });
        (tally, printed.and(fed))
    });
    tally.close(session, outcome)
}

/// Sends the input. If that fails, or is not to go on, nor is the receiving.
fn feed<S: Talking>(
    session: &Session<S>,
    args: &TalkArgs,
    received: &AtomicBool,
) -> (Tally, Outcome) {
    let TalkArgs { input, framing, .. } = args;
    let mut sender = Sender::new(session, framing);
    let fed = input::feed(input, framing, session, &mut sender);
    if fed.is_ok() {
        // As long as there is somebody to stop it.
        session.stop.sleep(Duration::MAX);
    }
    let received = received.load(Ordering::SeqCst);
    session.socket.shutdown();
    (sender.tally, if received { Ok(()) } else { fed })
}

/// Prints messages until there are enough. Whoever has shut the socket down says why.
fn print<S: Talking>(session: &Session<S>, output: &mut Output, args: &TalkArgs) -> Outcome {
    let count = args.count.count.unwrap_or(u64::MAX);
    let mut printed = 0;
    while printed < count {
        let received = match session.socket.try_recv() {
            Err(RecvError::WouldBlock) => {
                output.flush()?;
                let is_timeout = |error: &RecvError| *error == RecvError::TimedOut;
                session.insist(is_timeout, || match session.slice() {
                    Some(slice) => session.socket.recv_timeout(slice),
                    None => session.socket.recv(),
                })
            }
            received => received,
        };
        match received {
            Ok(message) => {
                S::print(output, &message)?;
                printed += 1;
            }
            Err(RecvError::TimedOut) => return Err(recv_failure(session, RecvError::TimedOut)),
            Err(RecvError::Closed | RecvError::ContextClosed) => {
                if args.count.count.is_some() {
                    session.stop.cut_short();
                }
                return Ok(());
            }
            Err(error) => return Err(Failure::of(error)),
        }
    }
    Ok(())
}
