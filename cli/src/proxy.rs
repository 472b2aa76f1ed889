//! `zerohop proxy`: so far the streamer, from PULL to PUSH.

use std::str::FromStr;

use zerohop::{
    AnySocket, Context, Options, Pub, Pull, Push, RecvError, RecvSocket, SendErrorKind, SendSocket,
};

use crate::args::{EndpointArgs, SocketArgs};
use crate::failure::{Failure, Outcome};
use crate::receive::recv_failure;
use crate::send::{insist, send_failure};
use crate::session::Session;
use crate::stop::Stop;
use crate::value::{Setting, endpoint};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Producers connect with PUSH to the frontend, workers with PULL to the backend, and neither needs to know the other. \
The capture is a PUB: whoever subscribes there sees a copy of every message.

Example:
  zerohop proxy --frontend 'pull:bind:tcp://*:5555' --backend 'push:bind:tcp://*:5556' \\
      --capture 'tcp://*:5557'")]
pub(crate) struct Args {
    /// Where messages come from, such as pull:bind:tcp://*:5555 (repeatable)
    #[arg(long, value_name = "TYPE:bind:ENDPOINT", required = true)]
    frontend: Vec<Frontend>,
    /// Where they go, such as push:bind:tcp://*:5556 (repeatable)
    #[arg(long, value_name = "TYPE:bind:ENDPOINT", required = true)]
    backend: Vec<Backend>,
    /// Publish a copy of every message here
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint)]
    capture: Option<String>,
    #[command(flatten)]
    socket: SocketArgs,
}

/// One side's endpoint, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Bind(String),
    Connect(String),
}

#[derive(Clone, Debug)]
struct Frontend(Side);

#[derive(Clone, Debug)]
struct Backend(Side);

impl FromStr for Frontend {
    type Err = String;

    fn from_str(text: &str) -> Result<Frontend, String> {
        side(text, "pull").map(Frontend)
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        side(text, "push").map(Backend)
    }
}

/// Parses `TYPE:bind:ENDPOINT` or `TYPE:connect:ENDPOINT` of this type.
fn side(text: &str, expected: &str) -> Result<Side, String> {
    let shape = || format!("write {expected}:bind:ENDPOINT or {expected}:connect:ENDPOINT");
    let (socket_type, rest) = text.split_once(':').ok_or_else(shape)?;
    let (how, address) = rest.split_once(':').ok_or_else(shape)?;
    if socket_type != expected {
        return Err(format!("{socket_type:?} can't be here; {}", shape()));
    }
    match how {
        "bind" => endpoint(address).map(Side::Bind),
        "connect" => endpoint(address).map(Side::Connect),
        _ => Err(shape()),
    }
}

fn endpoints<'a>(sides: impl Iterator<Item = &'a Side>) -> EndpointArgs {
    let mut endpoints = EndpointArgs::default();
    for side in sides {
        match side {
            Side::Bind(endpoint) => endpoints.bind.push(endpoint.clone()),
            Side::Connect(endpoint) => endpoints.connect.push(endpoint.clone()),
        }
    }
    endpoints
}

pub(crate) fn run(args: &Args) -> Outcome {
    // Two contexts, because a stop ends the receiving at once and the sending only when all is sent.
    let (receiving, sending) = (Context::new(), Context::new());
    let stop = Stop::listen(&sending, args.socket.linger.0, args.socket.quiet)?;
    stop.hold_what_comes_from(&receiving);
    let frontends = endpoints(args.frontend.iter().map(|frontend| &frontend.0));
    let backends = endpoints(args.backend.iter().map(|backend| &backend.0));
    // What goes out has come in: the counters of one side are enough.
    let quietly = SocketArgs {
        stats: false,
        ..args.socket.clone()
    };
    // Each option is for the sides that know it.
    for Setting { name, value } in &args.socket.option {
        let for_one = Options::new().set_for(Pull::TYPE, name, value);
        for_one
            .or_else(|_| Options::new().set_for(Push::TYPE, name, value))
            .map_err(Failure::usage)?;
    }
    let backend: Session<Push> = open(&sending, &stop, &backends, &args.socket)?;
    let capture = match &args.capture {
        None => None,
        Some(endpoint) => {
            let endpoints = EndpointArgs {
                bind: vec![endpoint.clone()],
                connect: Vec::new(),
            };
            Some(open::<Pub>(
                &sending,
                &stop,
                &endpoints,
                &SocketArgs {
                    timeout: None,
                    ..quietly.clone()
                },
            )?)
        }
    };
    let frontend: Session<Pull> = open(&receiving, &stop, &frontends, &quietly)?;
    let outcome = pass_on(&frontend, &backend, capture.as_ref());
    // Each tells what it could not send, and passes on what was wrong before.
    let outcome = backend.close(frontend.close(outcome));
    match capture {
        Some(capture) => capture.close(outcome),
        None => outcome,
    }
}

fn open<S: AnySocket>(
    context: &Context,
    stop: &Stop,
    endpoints: &EndpointArgs,
    args: &SocketArgs,
) -> Outcome<Session<S>> {
    let mut args = args.clone();
    let applies = |setting: &Setting| {
        let set = Options::new().set_for(S::TYPE, &setting.name, &setting.value);
        set.is_ok()
    };
    args.option.retain(applies);
    Session::assemble(
        context,
        stop.clone(),
        endpoints,
        &args,
        Options::new(),
        |_| Ok(()),
    )
}

/// Passes messages on until the stop, or until none has come nor left for as long as `--timeout` allows.
fn pass_on(
    frontend: &Session<Pull>,
    backend: &Session<Push>,
    capture: Option<&Session<Pub>>,
) -> Outcome {
    loop {
        let received = match backend.slice() {
            None => RecvSocket::recv(&*frontend.socket),
            Some(slice) => backend.insist(
                |error| *error == RecvError::TimedOut,
                || RecvSocket::recv_timeout(&*frontend.socket, slice),
            ),
        };
        let message = received.map_err(|error| recv_failure(frontend, error))?;
        if let Some(capture) = capture
            && let Err(error) = SendSocket::send(&*capture.socket, &message)
            && error.kind() != SendErrorKind::ContextClosed
        {
            return Err(send_failure(capture, &error));
        }
        let sent = SendSocket::send(&*backend.socket, message);
        let sent = sent.or_else(|error| insist(backend, error));
        sent.map_err(|error| send_failure(backend, &error))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_have_a_type_a_verb_and_an_endpoint() {
        let bound = Side::Bind("tcp://*:5555".to_owned());
        assert_eq!(side("pull:bind:tcp://*:5555", "pull"), Ok(bound));
        let connected = Side::Connect("ipc://@work".to_owned());
        assert_eq!(side("push:connect:ipc://@work", "push"), Ok(connected));
        for text in [
            "pull",
            "pull:tcp://*:1",
            "pull:listen:tcp://*:1",
            "push:bind:tcp://*:1",
            "pull:bind:tcp",
        ] {
            assert!(side(text, "pull").is_err(), "{text}");
        }
    }
}
