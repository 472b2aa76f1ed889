//! A proxy whose two sides both receive and send.
//!
//! Each direction has its thread. One that ends shuts both sockets down, which ends the other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use zerohop::{Context, Message, Pub, RecvError, RecvSocket, SendErrorKind, SendSocket};

use super::{Args, close_capture, open};
use crate::failure::{Failure, Outcome};
use crate::send::{insist, send_failure};
use crate::session::Session;
use crate::sockets::Sending;
use crate::stop::Stop;

/// What both directions share.
#[derive(Default)]
struct Course {
    /// Messages that have come, from either side.
    came: AtomicU64,
    /// Copies of messages that somebody missed for whom they were.
    missed: AtomicUsize,
}

/// Passes messages on until the stop, or until none came in time.
pub(super) fn run<F, B>(args: &Args) -> Outcome
where
    F: Sending + RecvSocket,
    B: Sending + RecvSocket,
{
    let context = Context::new();
    let stop = Stop::listen(&context, args.socket.linger.0, args.socket.quiet)?;
    let backend: Session<B> = open(&context, &stop, &args.backends(), &args.socket)?;
    let capture = args.open_capture(&context, &stop)?;
    let frontend: Session<F> = open(&context, &stop, &args.frontends(), &args.quietly())?;
    let course = Course::default();
    let both = || {
        frontend.socket.shutdown();
        backend.socket.shutdown();
    };
    let outcome = thread::scope(|scope| {
        let back = scope.spawn(|| {
            let outcome = pass_on(&backend, &frontend, capture.as_ref(), &course);
            both();
            outcome
        });
        let outcome = pass_on(&frontend, &backend, capture.as_ref(), &course);
        both();
        let back = back
            .join()
            .unwrap_or_else(|_| Err(Failure::of("a thread died")));
        outcome.and(back)
    });
    match course.missed.load(Ordering::Relaxed) {
        0 => {}
        missed => backend.note(&format!(
            "peers that were gone or too slow missed {missed} messages; --hwm lets more wait"
        )),
    }
    close_capture(capture, backend.close(frontend.close(outcome)))
}

/// Passes on what comes from one side.
fn pass_on<F: RecvSocket, T: Sending>(
    from: &Session<F>,
    to: &Session<T>,
    capture: Option<&Session<Pub>>,
    course: &Course,
) -> Outcome {
    let mut came = 0;
    loop {
        let message = match from.socket.recv() {
            Ok(message) => message,
            // The other direction has brought something meanwhile.
            Err(RecvError::TimedOut) if came != course.came.load(Ordering::Relaxed) => {
                came = course.came.load(Ordering::Relaxed);
                continue;
            }
            Err(RecvError::TimedOut) => {
                let trouble = from.trouble();
                return Err(Failure::TimedOut(format!(
                    "no message came in time{trouble}"
                )));
            }
            Err(RecvError::Closed | RecvError::ContextClosed) => return Ok(()),
            Err(error) => return Err(Failure::of(error)),
        };
        course.came.fetch_add(1, Ordering::Relaxed);
        if let Some(capture) = capture {
            copy(capture, &message)?;
        }
        let sent = to.socket.send(message);
        match sent.or_else(|error| insist(to, error)) {
            Ok(sent) => {
                course.missed.fetch_add(T::missed(&sent), Ordering::Relaxed);
            }
            Err(error) => match error.kind() {
                SendErrorKind::Closed | SendErrorKind::ContextClosed => {
                    to.note("1 message was not passed on: nobody took it before the end");
                    to.stop.cut_short();
                    return Ok(());
                }
                // Nothing was to be sent, or nobody takes it: that is no reason to end.
                SendErrorKind::NoBody
                | SendErrorKind::TooLarge { .. }
                | SendErrorKind::TooManyParts { .. } => {
                    course.missed.fetch_add(1, Ordering::Relaxed);
                }
                _ => return Err(send_failure(to, &error)),
            },
        }
    }
}

fn copy(capture: &Session<Pub>, message: &Message) -> Outcome {
    match SendSocket::send(&*capture.socket, message) {
        Err(error) if error.kind() != SendErrorKind::ContextClosed => {
            Err(send_failure(capture, &error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
