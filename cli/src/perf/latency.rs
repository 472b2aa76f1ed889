//! Latency: REQ to REP and back.

use std::time::{Duration, Instant};

use zerohop::{Context, Rep, Req, RequestError, WaitError};

use super::{Load, Remote, in_two_threads, options, payload, recv_failure, report, wrong_size};
use crate::failure::{Failure, Outcome};

const NAME: &str = "inproc://lat_test";

/// Room is made at once for so many round trips; more are possible.
const FORESEEN: u64 = 10_000_000;

/// Sends requests back.
pub(super) fn local(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let rep = Rep::with_options(context, remote.options()).map_err(Failure::of)?;
    rep.bind(&remote.endpoint).map_err(Failure::of)?;
    let echoed = echo(&rep, load);
    remote.finish(rep, echoed)
}

/// Asks and reports.
pub(super) fn remote(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let req = Req::with_options(context, remote.options()).map_err(Failure::of)?;
    req.connect(&remote.endpoint).map_err(Failure::of)?;
    let (elapsed, roundtrips) = ask(&req, load, remote.timeout)?;
    load.tell_roundtrips()?;
    report::latency(load, elapsed, roundtrips)
}

/// Both, in two threads.
pub(super) fn inproc(context: &Context, load: Load) -> Outcome {
    let req = Req::with_options(context, options()).map_err(Failure::of)?;
    req.bind(NAME).map_err(Failure::of)?;
    load.tell_roundtrips()?;
    let rep = Rep::with_options(context, options()).map_err(Failure::of)?;
    rep.connect(NAME).map_err(Failure::of)?;
    let (elapsed, roundtrips) =
        in_two_threads(context, || echo(&rep, load), || ask(&req, load, None))?;
    report::latency(load, elapsed, roundtrips)
}

fn echo(rep: &Rep, load: Load) -> Outcome {
    for _ in 0..load.count {
        let mut request = rep.recv().map_err(recv_failure)?;
        let message = request.take_message();
        expect_size(message.size(), load)?;
        request.reply(message).map_err(Failure::of)?;
    }
    Ok(())
}

/// How long all round trips took, and each of them in nanoseconds.
fn ask(req: &Req, load: Load, timeout: Option<Duration>) -> Outcome<(Duration, Vec<u64>)> {
    let payload = payload(load);
    let mut roundtrips = Vec::with_capacity(load.count.min(FORESEEN) as usize);
    // The making of the connection is no part of the latency.
    let peer = req.wait_for_peers(1, timeout.unwrap_or(Duration::MAX));
    peer.map_err(|error| match error {
        WaitError::TimedOut { .. } => Failure::TimedOut("no peer was connected in time".to_owned()),
        _ => Failure::of(error),
    })?;
    let start = Instant::now();
    let mut asked = start;
    for _ in 0..load.count {
        let reply = req
            .request(&payload)
            .map_err(|error| request_failure(&error))?;
        expect_size(reply.size(), load)?;
        let now = Instant::now();
        roundtrips.push((now - asked).as_nanos() as u64);
        asked = now;
    }
    Ok((start.elapsed(), roundtrips))
}

fn request_failure(error: &RequestError) -> Failure {
    match error.is_timed_out() {
        true => Failure::TimedOut(error.to_string()),
        false => Failure::of(error),
    }
}

#[inline]
fn expect_size(size: usize, load: Load) -> Outcome {
    if size == load.size {
        return Ok(());
    }
    Err(wrong_size())
}
