//! Throughput: PUSH to PULL.

use std::time::{Duration, Instant};

use zerohop::{Context, Message, Pull, Push};

use super::{
    Load, Remote, in_two_threads, options, payload, recv_failure, report, send_failure, wrong_size,
};
use crate::failure::{Failure, Outcome};

/// Receives and reports.
pub(super) fn local(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let pull = Pull::with_options(context, remote.options()).map_err(Failure::of)?;
    pull.bind(&remote.endpoint).map_err(Failure::of)?;
    let elapsed = receive(&pull, load)?;
    load.tell_messages()?;
    report::throughput(load, elapsed)
}

/// Sends.
pub(super) fn remote(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let push = Push::with_options(context, remote.options()).map_err(Failure::of)?;
    push.connect(&remote.endpoint).map_err(Failure::of)?;
    let sent = send(&push, load);
    remote.finish(push, sent)
}

/// Both, in two threads.
pub(super) fn inproc(context: &Context, load: Load) -> Outcome {
    const NAME: &str = "inproc://thr_test";
    let pull = Pull::with_options(context, options()).map_err(Failure::of)?;
    pull.bind(NAME).map_err(Failure::of)?;
    load.tell_messages()?;
    let push = Push::with_options(context, options()).map_err(Failure::of)?;
    push.connect(NAME).map_err(Failure::of)?;
    let elapsed = in_two_threads(context, || send(&push, load), || receive(&pull, load))?;
    report::throughput(load, elapsed)
}

/// The time from the first message to the last.
fn receive(pull: &Pull, load: Load) -> Outcome<Duration> {
    let mut message = Message::new();
    let mut expect_next = || match pull.recv_into(&mut message) {
        Ok(()) if message.size() == load.size => Ok(()),
        Ok(()) => Err(wrong_size()),
        Err(error) => Err(recv_failure(error)),
    };
    expect_next()?;
    let start = Instant::now();
    for _ in 1..load.count {
        expect_next()?;
    }
    Ok(start.elapsed())
}

fn send(push: &Push, load: Load) -> Outcome {
    let payload = payload(load);
    for _ in 0..load.count {
        push.send(&payload).map_err(|error| send_failure(&error))?;
    }
    Ok(())
}
