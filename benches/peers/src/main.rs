//! Other messaging libraries as contestants: `list` names them, `child TASK` plays one.
//!
//! Each is used as its own documentation recommends. Where that leaves a choice, each choice is a contestant of its own,
//! and the best counts.

#[allow(dead_code)] // The other contestants use more of it.
#[path = "../../../cli/src/bench/child/mod.rs"]
mod child;
mod nng;
mod omq;
mod omq_blocking;
mod omq_exclusive;
mod runtime;
mod rzmq;
mod shared;
mod zenoh;
mod zerohop_tokio;
mod zeromq;

use std::process::ExitCode;

use child::{Fallible, Task};
use runtime::{many_threads, one_thread};
use rzmq::Way;
use serde_json::json;
use zerohop_tokio::ZerohopTokio;
use zeromq::Zeromq;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            println!("{}", list());
            ExitCode::SUCCESS
        }
        ["child", task] => match serde_json::from_str(task) {
            Ok(task) => finish(play(&task)),
            Err(error) => complain(&error.to_string()),
        },
        _ => complain("usage: list | child TASK"),
    }
}

fn finish(outcome: Fallible<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => complain(&fault.to_string()),
    }
}

/// Who is here, what each can do, and why it is left out of the rest. What is one way of several to use a library takes part
/// where it is meant for, without a reason.
fn list() -> serde_json::Value {
    let streams = [
        "push-pull",
        "shared",
        "latency",
        "open-loop",
        "fan-in",
        "memory",
        "churn",
    ];
    let all = [&streams[..], &["fan-out"]].concat();
    let everywhere = ["tcp", "ipc", "inproc"];
    let with_tasks = |works: &[&'static str]| [works, &["tasks"]].concat();
    let drops = json!([["fan-out", "its PUB drops messages, and cannot wait"]]);
    json!([
        {"name": "zerohop-tokio", "transports": everywhere, "works": with_tasks(&all)},
        {"name": "zerohop-tokio-1-thread", "transports": everywhere, "works": with_tasks(&all)},
        {"name": "omq", "transports": everywhere, "works": with_tasks(&all)},
        {"name": "omq-blocking", "transports": everywhere, "works": all},
        {"name": "omq-exclusive", "transports": ["tcp"], "works": ["latency"]},
        {"name": "zeromq", "transports": everywhere[..2], "works": with_tasks(&streams), "left_out": drops},
        {"name": "zeromq-1-thread", "transports": everywhere[..2], "works": with_tasks(&streams), "left_out": drops},
        {"name": "rzmq", "transports": everywhere, "works": all},
        {"name": "rzmq-cork", "transports": ["tcp"], "works": ["push-pull", "shared", "fan-in"]},
        {"name": "rzmq-uring", "transports": ["tcp"], "works": all},
        {"name": "rzmq-1-thread", "transports": everywhere, "works": all},
        {"name": "nng", "transports": everywhere, "works": streams, "left_out": drops},
        {"name": "zenoh", "transports": everywhere[..2], "works": ["fan-out", "latency"]},
    ])
}

fn play(task: &Task) -> Fallible<()> {
    match task.contestant.as_str() {
        "zerohop-tokio" => child::run(task, || ZerohopTokio::new(many_threads()?, task.types)),
        "zerohop-tokio-1-thread" => {
            child::run(task, || ZerohopTokio::new(one_thread()?, task.types))
        }
        "omq" => child::run(task, || Ok(omq::Omq(task.types))),
        "omq-blocking" => child::run(task, || Ok(omq_blocking::OmqBlocking::new())),
        "omq-exclusive" => child::run(task, || Ok(omq_exclusive::OmqExclusive::new(one_thread()?))),
        "zeromq" => child::run(task, || Ok(Zeromq::new(many_threads()?, task.types))),
        "zeromq-1-thread" => child::run(task, || Ok(Zeromq::new(one_thread()?, task.types))),
        "rzmq" => child::run(task, || rzmq::Rzmq::new(many_threads()?, Way::Standard)),
        "rzmq-cork" => child::run(task, || rzmq::Rzmq::new(many_threads()?, Way::Corked)),
        "rzmq-uring" => child::run(task, || rzmq::Rzmq::new(many_threads()?, Way::Uring)),
        "rzmq-1-thread" => child::run(task, || rzmq::Rzmq::new(one_thread()?, Way::Standard)),
        "nng" => child::run(task, || -> Fallible<_> { Ok(nng::Nng) }),
        "zenoh" => child::run(task, zenoh::Zenoh::new),
        other => Err(format!("{other} is not known here").into()),
    }
}

fn complain(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
