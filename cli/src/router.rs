//! `zerohop router`.

use zerohop::{Options, RecvSocket, Router, SendErrorKind, SendSocket};

use crate::args::TalkArgs;
use crate::failure::Outcome;
use crate::receive::recv_failure;
use crate::send::send_failure;
use crate::session::Session;
use crate::talk;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each message is printed as ID<TAB>MESSAGE, and each line of input is to be of that form: it goes to the peer with this ID. An ID that is no \
text is written in hexadecimal digits, as 0x0001ff. A line for a peer that is not there is told of, the others are sent, and the exit \
code is 1 in the end.

A REQ has an empty frame before its request, and wants all up to that frame back before its reply, as --echo gives it; by hand, use --parts \
to see and write frames. With --format json the ID is the first frame.

Examples:
  zerohop router --bind 'tcp://127.0.0.1:5558' --echo
  zerohop router --bind ipc:///tmp/hub | tee log.txt")]
pub(crate) struct Args {
    /// Send each message back to who sent it, and print nothing
    #[arg(long, conflicts_with_all = ["files", "message", "whole", "repeat", "rate"])]
    echo: bool,
    #[command(flatten)]
    talk: TalkArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let talk = &args.talk;
    let options = Options::new().router_mandatory(true);
    let opened = Session::<Router>::open_with(&talk.endpoints, &talk.socket, options, |_| Ok(()));
    let session = opened?;
    if !args.echo {
        return talk::run(session, talk);
    }
    let outcome = echo(&session, talk.count.count.unwrap_or(u64::MAX));
    session.close(outcome)
}

fn echo(session: &Session<Router>, count: u64) -> Outcome {
    for _ in 0..count {
        let received = RecvSocket::recv(&*session.socket);
        let message = received.map_err(|error| recv_failure(session, error))?;
        match SendSocket::send(&*session.socket, message) {
            Ok(_) => {}
            // Whoever asked has gone: no fault of this side.
            Err(error) if error.kind() == SendErrorKind::Unroutable => {}
            Err(error) => return Err(send_failure(session, &error)),
        }
    }
    Ok(())
}
