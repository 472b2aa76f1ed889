//! `zerohop sub`.

use zerohop::{Options, Sub};

use crate::args::{CountArgs, EndpointArgs, FramingArgs, OutputArgs, SocketArgs};
use crate::failure::{Failure, Outcome};
use crate::receive;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop sub --connect tcp://localhost:5556
  zerohop sub --connect tcp://localhost:5556 --topic weather --topic news --format json | jq '.[1]'
  zerohop sub --connect ipc:///tmp/news --count 1 --timeout 10s")]
pub(crate) struct Args {
    /// Receive messages that begin with PREFIX (repeatable) [default: all]
    #[arg(short, long, value_name = "PREFIX")]
    topic: Vec<String>,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    framing: FramingArgs,
    #[command(flatten)]
    endpoints: EndpointArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let subscribe = |sub: &Sub| -> Outcome {
        if args.topic.is_empty() {
            return sub.subscribe("").map_err(Failure::of);
        }
        for topic in &args.topic {
            sub.subscribe(topic).map_err(Failure::of)?;
        }
        Ok(())
    };
    let session = Session::open_with(&args.endpoints, &args.socket, Options::new(), subscribe)?;
    receive::run(session, &args.output, &args.framing, &args.count)
}
