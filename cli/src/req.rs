//! `zerohop req`.

use std::time::Duration;

use zerohop::{Bytes, Message, Payload, Req, RequestError, SendErrorKind};

use crate::args::{EndpointArgs, FramingArgs, InputArgs, OutputArgs, SocketArgs};
use crate::failure::{Failure, Outcome};
use crate::input::{self, Sink};
use crate::output::{self, Output};
use crate::send::split;
use crate::session::Session;
use crate::stop::Cause;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop req --connect tcp://localhost:5557 --message 'price of 42?' --timeout 2s
  zerohop req --connect tcp://localhost:5557 < questions.txt > answers.txt")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
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
    let session = Session::<Req>::open(&args.endpoints, &args.socket)?;
    let outcome = Output::open(&args.output, &args.framing, &session.stop).and_then(|output| {
        output::watch_reader(&session.stop);
        let mut asker = Asker {
            session: &session,
            separator: args
                .framing
                .parts
                .as_ref()
                .map(|separator| separator.0.as_slice()),
            output: Some(output),
        };
        input::feed(&args.input, &args.framing, &session, &mut asker)
    });
    // Whoever asked has got the reply, or does not wait for it any more.
    session.close_at_once(outcome)
}

struct Asker<'a> {
    session: &'a Session<Req>,
    separator: Option<&'a [u8]>,
    /// `None` once nobody reads it; requests that have been read are still made.
    output: Option<Output>,
}

impl Sink for Asker<'_> {
    fn line(&mut self, line: &[u8]) -> Outcome {
        let (req, timeout) = (&self.session.socket, self.session.timeout);
        let reply = match self.separator {
            None => ask(req, line, timeout),
            Some(separator) => ask(req, split(line, separator), timeout),
        };
        self.take(reply)
    }

    fn message(&mut self, message: Message) -> Outcome {
        let reply = ask(&self.session.socket, message, self.session.timeout);
        self.take(reply)
    }

    fn whole(&mut self, message: Bytes) -> Outcome {
        if self.separator.is_some() {
            return self.line(&message);
        }
        let reply = ask(&self.session.socket, message, self.session.timeout);
        self.take(reply)
    }
}

/// The time is for the whole exchange.
fn ask(
    req: &Req,
    message: impl Payload,
    timeout: Option<Duration>,
) -> Result<Message, RequestError> {
    match timeout {
        None => req.request(message),
        Some(timeout) => req.request_timeout(message, timeout),
    }
}

impl Asker<'_> {
    fn take(&mut self, reply: Result<Message, RequestError>) -> Outcome {
        let reply = reply.map_err(|error| self.failure(&error))?;
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        match output.write(&reply).and_then(|()| output.flush()) {
            Err(Failure::OutputClosed) => {
                self.session.stop.trigger(Cause::OutputClosed);
                self.output = None;
                Ok(())
            }
            written => written,
        }
    }

    fn failure(&self, error: &RequestError) -> Failure {
        let trouble = self.session.trouble();
        let sent = match error {
            RequestError::Send(unsent) => match unsent.kind() {
                SendErrorKind::TimedOut => return Failure::TimedOut(format!("{error}{trouble}")),
                SendErrorKind::ContextClosed => false,
                _ => return Failure::of(error),
            },
            RequestError::TimedOut => {
                return Failure::TimedOut(format!("no reply came in time{trouble}"));
            }
            RequestError::ContextClosed => true,
            _ => return Failure::of(error),
        };
        let stop = &self.session.stop;
        if stop.cause().is_some() && !sent {
            self.session
                .note(&format!("a request was not made{trouble}"));
        }
        // Sent or not, it has no reply.
        stop.cut_short();
        stop.ending().unwrap_or_else(|| Failure::of(error))
    }
}
