//! `zerohop pull --reliable`: messages are settled when something has become of them.

use std::time::{Duration, Instant};

use zerohop::{Delivery, Job, Options, Origin, Pull, RecvError, SettleError};

use crate::console;
use crate::exec::{Shell, Work};
use crate::failure::Outcome;
use crate::format::Printed;
use crate::output::{self, Output};
use crate::receive::{ReceiverArgs, recv_failure, work_outcome};
use crate::session::Session;
use crate::stop::Stop;
use crate::tee::Tee;

/// The exit code of a command to which a message makes no sense: EX_DATAERR of sysexits.h.
const DATA_ERROR: i32 = 65;

/// Messages that may be unsettled per peer where they are printed.
const WINDOW: u32 = 1024;

/// As many are settled at once while more is waiting: a part of the window, so that a peer need not wait.
const BATCH: usize = 256;

/// How often a worker that waits looks whether it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Deals with messages until there are enough.
pub(crate) fn run(args: &ReceiverArgs) -> Outcome {
    let tee = args.tee.as_deref().map(Tee::open).transpose()?;
    match &args.exec {
        Some(command) => execute(args, command, tee.as_ref()),
        None => print_all(args, tee),
    }
}

/// Here a message takes as long as it takes: a command that others wait for is not to be run twice at once.
fn open(args: &ReceiverArgs, window: u32) -> Outcome<Session<Pull>> {
    let delivery = Delivery::at_least_once().window(window).job_timeout(None);
    let options = Options::new().delivery(delivery);
    Session::open_with(&args.endpoints, &args.socket, options, |_| Ok(()))
}

fn print_all(args: &ReceiverArgs, tee: Option<Tee>) -> Outcome {
    let session = open(args, WINDOW)?;
    let opened = Output::open(&args.output, &args.framing, &session.stop);
    let outcome = opened.and_then(|mut output| {
        output.tee = tee;
        output::watch_reader(&session.stop);
        let count = args.count.count;
        let printed = print(&session, &mut output, count.unwrap_or(u64::MAX));
        if printed.is_err() && count.is_some() {
            session.stop.cut_short();
        }
        printed
    });
    session.close(outcome)
}

fn print(session: &Session<Pull>, output: &mut Output, count: u64) -> Outcome {
    let tells_origin = output.tells_origin();
    let mut unsettled: Vec<Job> = Vec::new();
    for _ in 0..count {
        let received = match receive(&session.socket, tells_origin, Wait::Not) {
            Err(RecvError::WouldBlock) => {
                write_out(output, &mut unsettled)?;
                receive(&session.socket, tells_origin, Wait::Usual)
            }
            received => received,
        };
        match received {
            Ok((job, origin)) => {
                match origin {
                    Some(origin) => output.write_with_origin(job.message(), &origin)?,
                    None => output.write(job.message())?,
                }
                unsettled.push(job);
            }
            Err(error) => {
                write_out(output, &mut unsettled)?;
                return Err(recv_failure(session, error));
            }
        }
        if unsettled.len() >= BATCH {
            write_out(output, &mut unsettled)?;
        }
    }
    write_out(output, &mut unsettled)
}

#[derive(Clone, Copy)]
enum Wait {
    Not,
    Usual,
}

/// The next job, and who it comes from if that is to be told.
fn receive(
    pull: &Pull,
    tells_origin: bool,
    wait: Wait,
) -> Result<(Job, Option<Origin>), RecvError> {
    let plain = |job| (job, None);
    let known = |(job, origin)| (job, Some(origin));
    match (wait, tells_origin) {
        (Wait::Not, false) => pull.try_recv_job().map(plain),
        (Wait::Not, true) => pull.try_recv_job_from().map(known),
        (Wait::Usual, false) => pull.recv_job().map(plain),
        (Wait::Usual, true) => pull.recv_job_from().map(known),
    }
}

/// Writes out what was printed, and settles it then.
fn write_out(output: &mut Output, unsettled: &mut Vec<Job>) -> Outcome {
    output.flush()?;
    let settled = unsettled.drain(..).map(Job::settle);
    let late: Vec<SettleError> = settled.filter_map(come_again).collect();
    match late.as_slice() {
        [] => {}
        [error] => tell(&format!("a message may come again: {error}")),
        [error, ..] => tell(&format!("{} messages may come again: {error}", late.len())),
    }
    Ok(())
}

/// Why a message that was done may be delivered again, to whoever cannot know that.
fn come_again(settled: Result<(), SettleError>) -> Option<SettleError> {
    // A lost connection's message that comes to this socket again is settled there.
    settled
        .err()
        .filter(|error| !matches!(error, SettleError::Lost | SettleError::Unacknowledged))
}

fn tell(text: &str) {
    console::say(&format!("zerohop: {text}"));
}

fn execute(args: &ReceiverArgs, command: &Shell, tee: Option<&Tee>) -> Outcome {
    let jobs = args.jobs.jobs;
    let window = u32::try_from(jobs.get()).map_or(65_536, |jobs| jobs.min(65_536));
    let session = open(args, window)?;
    // A stop is not to end the socket while commands run: what they have done is still to be settled.
    session.stop.hold_input();
    output::watch_reader(&session.stop);
    let work = Work::new(args.count.count);
    let ended = work.run(
        jobs,
        session.timeout,
        || next(&session.socket, session.timeout, &session.stop),
        |(job, origin)| carry_out(job, &origin, command, args, tee),
    );
    let outcome = work_outcome(&session, &work, ended);
    session.close(outcome)
}

/// Waits for a message, or for the stop.
fn next(pull: &Pull, timeout: Option<Duration>, stop: &Stop) -> Result<(Job, Origin), RecvError> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if stop.is_over() {
            return Err(RecvError::ContextClosed);
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let wait = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
        match pull.recv_job_from_timeout(wait) {
            Err(RecvError::TimedOut) if left.is_none_or(|left| left > wait) => {}
            received => return received,
        }
    }
}

/// Runs the command for a message, and says what has become of it.
fn carry_out(
    job: Job,
    origin: &Origin,
    command: &Shell,
    args: &ReceiverArgs,
    tee: Option<&Tee>,
) -> Result<(), String> {
    // What could not be recorded is not begun: it is given back with the job.
    if let Some(tee) = tee {
        tee.record(Printed::of(job.message(), origin))?;
    }
    let (ended, code) = command.run_for_code(job.message(), origin, &args.framing);
    let settled = match code {
        Some(0) => job.settle(),
        Some(DATA_ERROR) => job.reject(format!("exit code {DATA_ERROR}")),
        _ => {
            drop(job);
            return ended;
        }
    };
    if let Some(error) = come_again(settled) {
        tell(&format!("a message may come again: {error}"));
    }
    ended
}
