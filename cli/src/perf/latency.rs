//! Latency: REQ to REP and back.

use std::time::{Duration, Instant};

use zerohop::{Context, Rep, Req};

use super::{Load, Remote, UNTIL_SENT, in_two_threads, options, payload, report, wrong_size};
use crate::failure::{Failure, Outcome};

const NAME: &str = "inproc://lat_test";

/// Room is made at once for so many round trips; more are possible.
const FORESEEN: u64 = 10_000_000;

/// Sends requests back.
pub(super) fn local(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let rep = Rep::with_options(context, remote.options()).map_err(Failure::of)?;
    rep.bind(&remote.endpoint).map_err(Failure::of)?;
    echo(&rep, load)?;
    rep.close(UNTIL_SENT).map_err(Failure::of)
}

/// Asks and reports.
pub(super) fn remote(context: &Context, remote: &Remote) -> Outcome {
    let load = remote.load;
    let req = Req::with_options(context, remote.options()).map_err(Failure::of)?;
    req.connect(&remote.endpoint).map_err(Failure::of)?;
    let (elapsed, roundtrips) = ask(&req, load)?;
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
    let (elapsed, roundtrips) = in_two_threads(context, || echo(&rep, load), || ask(&req, load))?;
    report::latency(load, elapsed, roundtrips)
}

fn echo(rep: &Rep, load: Load) -> Outcome {
    for _ in 0..load.count {
        let mut request = rep.recv().map_err(Failure::of)?;
        let message = request.take_message();
        expect_size(message.size(), load)?;
        request.reply(message).map_err(Failure::of)?;
    }
    Ok(())
}

/// How long all round trips took, and each of them in nanoseconds.
fn ask(req: &Req, load: Load) -> Outcome<(Duration, Vec<u64>)> {
    let payload = payload(load);
    let mut roundtrips = Vec::with_capacity(load.count.min(FORESEEN) as usize);
    // The making of the connection is no part of the latency.
    req.wait_for_peers(1, Duration::MAX).map_err(Failure::of)?;
    let start = Instant::now();
    let mut asked = start;
    for _ in 0..load.count {
        let reply = req.request(&payload).map_err(Failure::of)?;
        expect_size(reply.size(), load)?;
        let now = Instant::now();
        roundtrips.push((now - asked).as_nanos() as u64);
        asked = now;
    }
    Ok((start.elapsed(), roundtrips))
}

#[inline]
fn expect_size(size: usize, load: Load) -> Outcome {
    if size == load.size {
        return Ok(());
    }
    Err(wrong_size())
}
