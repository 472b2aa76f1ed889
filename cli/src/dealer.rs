//! `zerohop dealer`.

use zerohop::{Dealer, Options};

use crate::args::TalkArgs;
use crate::failure::Outcome;
use crate::session::Session;
use crate::talk;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Input is sent while replies come, and the end of the input is not the end: the command goes on until it has --count replies, \
or nothing has happened for --timeout.

A REP finds a request behind an empty frame, and so does a ROUTER that serves REQ: use --parts, and begin with it. What \
stands before the empty frame comes back with the reply.

Examples:
  seq 4 | zerohop dealer --connect tcp://localhost:5558 --count 4
  zerohop dealer --connect tcp://localhost:5557 --parts '|' --message '7||price of 42?' --count 1
  zerohop dealer --connect ipc:///tmp/hub --identity worker-1")]
pub(crate) struct Args {
    /// Be known to a router by this name
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    #[command(flatten)]
    talk: TalkArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let talk = &args.talk;
    let mut options = Options::new();
    if let Some(name) = &args.identity {
        // A router is to know of it before there is anything to send.
        options = options.routing_id(name).probe_router(true);
    }
    let opened = Session::<Dealer>::open_with(&talk.endpoints, &talk.socket, options, |_| Ok(()));
    talk::run(opened?, talk)
}
