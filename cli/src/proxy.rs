//! `zerohop proxy`: the streamer from PULL to PUSH, the queue between ROUTER and DEALER, and the forwarder between XSUB and XPUB.

use std::str::FromStr;

use zerohop::{
    AnySocket, Context, Dealer, Options, Proxy, ProxyEndCause, Pub, Pull, Push, RecvError,
    RecvSocket, Router, SendSocket, Xpub, Xsub,
};

use crate::args::{EndpointArgs, SocketArgs};
use crate::failure::{Failure, Outcome};
use crate::receive::recv_failure;
use crate::send::cut_short;
use crate::session::Session;
use crate::stop::Stop;
use crate::value::{Setting, endpoint};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A streamer has a pull frontend, to which producers connect with PUSH, and a push backend, to which workers connect with PULL. A \
queue has a router frontend for clients, REQ or DEALER, and a dealer backend for servers, REP or DEALER; replies go back to who asked. A \
forwarder has an xsub frontend for publishers and an xpub backend for subscribers; what nobody has subscribed to is not sent to it. In each, \
neither side needs to know the other. The capture is a PUB: whoever subscribes there sees a copy of every message, in both \
directions.

Examples:
  zerohop proxy --frontend 'pull:bind:tcp://127.0.0.1:5555' --backend 'push:bind:tcp://127.0.0.1:5556' \\
      --capture 'tcp://127.0.0.1:5557'
  zerohop proxy --frontend 'router:bind:tcp://127.0.0.1:5557' --backend 'dealer:bind:tcp://127.0.0.1:5558'
  zerohop proxy --frontend 'xsub:bind:tcp://127.0.0.1:5559' --backend 'xpub:bind:tcp://127.0.0.1:5560'")]
pub(crate) struct Args {
    /// Where messages come from, such as pull:bind:tcp://127.0.0.1:5555 (repeatable)
    #[arg(long, value_name = "TYPE:bind:ENDPOINT", required = true)]
    frontend: Vec<Frontend>,
    /// Where they go, such as push:bind:tcp://127.0.0.1:5556 (repeatable)
    #[arg(long, value_name = "TYPE:bind:ENDPOINT", required = true)]
    backend: Vec<Backend>,
    /// Publish a copy of every message here
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint)]
    capture: Option<String>,
    #[command(flatten)]
    socket: SocketArgs,
}

/// What a proxy is, by the types of its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Streamer,
    Queue,
    Forwarder,
}

const KINDS: [Kind; 3] = [Kind::Streamer, Kind::Queue, Kind::Forwarder];

impl Kind {
    fn frontend(self) -> &'static str {
        match self {
            Kind::Streamer => "pull",
            Kind::Queue => "router",
            Kind::Forwarder => "xsub",
        }
    }

    fn backend(self) -> &'static str {
        match self {
            Kind::Streamer => "push",
            Kind::Queue => "dealer",
            Kind::Forwarder => "xpub",
        }
    }
}

/// One side's endpoint, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Bind(String),
    Connect(String),
}

#[derive(Clone, Debug)]
struct Frontend {
    kind: Kind,
    side: Side,
}

#[derive(Clone, Debug)]
struct Backend {
    kind: Kind,
    side: Side,
}

impl FromStr for Frontend {
    type Err = String;

    fn from_str(text: &str) -> Result<Frontend, String> {
        let (kind, side) = side(text, Kind::frontend)?;
        Ok(Frontend { kind, side })
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        let (kind, side) = side(text, Kind::backend)?;
        Ok(Backend { kind, side })
    }
}

/// Parses `TYPE:bind:ENDPOINT` or `TYPE:connect:ENDPOINT` with one of these types.
fn side(text: &str, name: fn(Kind) -> &'static str) -> Result<(Kind, Side), String> {
    let shape = || {
        let names = KINDS.map(name).join(", ");
        format!("write TYPE:bind:ENDPOINT or TYPE:connect:ENDPOINT, where TYPE is one of {names}")
    };
    let (socket_type, rest) = text.split_once(':').ok_or_else(shape)?;
    let (how, address) = rest.split_once(':').ok_or_else(shape)?;
    let Some(kind) = KINDS.into_iter().find(|kind| name(*kind) == socket_type) else {
        return Err(format!("{socket_type:?} can't be here; {}", shape()));
    };
    let side = match how {
        "bind" => endpoint(address).map(Side::Bind)?,
        "connect" => endpoint(address).map(Side::Connect)?,
        _ => return Err(shape()),
    };
    Ok((kind, side))
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

impl Args {
    /// What all sides together make.
    fn kind(&self) -> Outcome<Kind> {
        let kinds = self.frontend.iter().map(|frontend| frontend.kind);
        let mut kinds = kinds.chain(self.backend.iter().map(|backend| backend.kind));
        // There are some: both arguments are required.
        let kind = kinds.next().unwrap_or(Kind::Streamer);
        if kinds.all(|other| other == kind) {
            return Ok(kind);
        }
        let pairs = KINDS.map(|kind| format!("{} with {}", kind.frontend(), kind.backend()));
        let pairs = pairs.join(", ");
        Err(Failure::usage(format_args!(
            "these types do not go together; they do as {pairs}"
        )))
    }

    /// Each option is for the sides that know it.
    fn check_options(&self, kind: Kind) -> Outcome {
        let types = match kind {
            Kind::Streamer => [Pull::TYPE, Push::TYPE],
            Kind::Queue => [Router::TYPE, Dealer::TYPE],
            Kind::Forwarder => [Xsub::TYPE, Xpub::TYPE],
        };
        for Setting { name, value } in &self.socket.option {
            let [one, other] = types.map(|it| Options::new().set_for(it, name, value));
            one.or(other).map_err(Failure::usage)?;
        }
        Ok(())
    }

    fn frontends(&self) -> EndpointArgs {
        endpoints(self.frontend.iter().map(|frontend| &frontend.side))
    }

    fn backends(&self) -> EndpointArgs {
        endpoints(self.backend.iter().map(|backend| &backend.side))
    }

    /// Opens the socket that publishes copies, if there is to be one.
    fn open_capture(&self, context: &Context, stop: &Stop) -> Outcome<Option<Session<Pub>>> {
        let Some(endpoint) = &self.capture else {
            return Ok(None);
        };
        let endpoints = EndpointArgs {
            bind: vec![endpoint.clone()],
            ..EndpointArgs::default()
        };
        let quietly = SocketArgs {
            timeout: None,
            ..self.quietly()
        };
        open(context, stop, &endpoints, &quietly).map(Some)
    }

    fn prepare<'a>(&self, proxy: Proxy<'a>, capture: Option<&'a Session<Pub>>) -> Proxy<'a> {
        let proxy = proxy.idle_timeout(self.socket.timeout);
        match capture {
            Some(capture) => proxy.capture(&*capture.socket),
            None => proxy,
        }
    }

    /// What goes out has come in: the counters of one side are enough.
    fn quietly(&self) -> SocketArgs {
        SocketArgs {
            stats: false,
            ..self.socket.clone()
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let kind = args.kind()?;
    args.check_options(kind)?;
    match kind {
        Kind::Streamer => stream(args),
        Kind::Queue => both_ways::<Router, Dealer>(args),
        Kind::Forwarder => both_ways::<Xsub, Xpub>(args),
    }
}

/// From the frontend to the backend.
fn stream(args: &Args) -> Outcome {
    // Two contexts, because a stop ends the receiving at once and the sending only when all is sent.
    let (receiving, sending) = (Context::new(), Context::new());
    let stop = Stop::listen(&sending, args.socket.linger.0, args.socket.quiet)?;
    stop.hold_what_comes_from(&receiving);
    let backend: Session<Push> = open(&sending, &stop, &args.backends(), &args.socket)?;
    let capture = args.open_capture(&sending, &stop)?;
    let frontend: Session<Pull> = open(&receiving, &stop, &args.frontends(), &args.quietly())?;
    let proxy = Proxy::one_way(&*frontend.socket, &*backend.socket);
    let end = args.prepare(proxy, capture.as_ref()).run();
    let lost = end.for_backend.is_some();
    let outcome = match end.cause {
        ProxyEndCause::ContextClosed if lost => Err(cut_short(&backend, "stopped")),
        ProxyEndCause::ContextClosed => Err(recv_failure(&frontend, RecvError::ContextClosed)),
        cause => Err(failure(cause, lost.then_some(&backend), &frontend)),
    };
    // Each tells what it could not send, and passes on what was wrong before.
    close_capture(capture, backend.close(frontend.close(outcome)))
}

/// Both ways.
fn both_ways<F, B>(args: &Args) -> Outcome
where
    F: SendSocket + RecvSocket,
    B: SendSocket + RecvSocket,
{
    let context = Context::new();
    let stop = Stop::listen(&context, args.socket.linger.0, args.socket.quiet)?;
    let backend: Session<B> = open(&context, &stop, &args.backends(), &args.socket)?;
    let capture = args.open_capture(&context, &stop)?;
    let frontend: Session<F> = open(&context, &stop, &args.frontends(), &args.quietly())?;
    let proxy = args.prepare(
        Proxy::new(&*frontend.socket, &*backend.socket),
        capture.as_ref(),
    );
    let control = proxy.control();
    let end = proxy.run();
    drop(proxy);
    let held = [&end.for_backend, &end.for_frontend];
    let held = held.into_iter().flatten().count();
    let outcome = match end.cause {
        ProxyEndCause::Closed | ProxyEndCause::ContextClosed => {
            if held > 0 {
                let messages = if held == 1 {
                    "1 message was"
                } else {
                    "2 messages were"
                };
                backend.note(&format!(
                    "{messages} not passed on: nobody took it before the end"
                ));
                stop.cut_short();
            }
            Ok(())
        }
        cause => Err(failure(cause, (held > 0).then_some(&backend), &frontend)),
    };
    let statistics = control.statistics();
    let refused = statistics.frontend.refused + statistics.backend.refused;
    match refused + missed(&*frontend.socket) + missed(&*backend.socket) {
        0 => {}
        missed => backend.note(&format!(
            "peers that were gone or too slow missed {missed} messages; --hwm lets more wait"
        )),
    }
    close_capture(capture, backend.close(frontend.close(outcome)))
}

/// Messages that somebody missed for whom they were.
fn missed(socket: &impl AnySocket) -> u64 {
    let dropped = socket.stats().dropped;
    dropped.high_water_mark + dropped.unroutable + dropped.refused
}

/// What it means that a proxy has ended by itself. It may hold a message that the one side did not take, and otherwise nothing came.
fn failure<F: AnySocket, T: AnySocket>(
    cause: ProxyEndCause,
    held_for: Option<&Session<T>>,
    from: &Session<F>,
) -> Failure {
    match (cause, held_for) {
        (ProxyEndCause::Idle, Some(to)) => Failure::TimedOut(format!(
            "a message was not sent: no peer could take it in time{}",
            to.trouble()
        )),
        (ProxyEndCause::Idle, None) => recv_failure(from, RecvError::TimedOut),
        (ProxyEndCause::NoThread, _) => Failure::of("the system refused a thread"),
        (cause, _) => Failure::of(format!("the proxy has ended: {cause:?}")),
    }
}

fn close_capture(capture: Option<Session<Pub>>, outcome: Outcome) -> Outcome {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_have_a_type_a_verb_and_an_endpoint() {
        let bound = Side::Bind("tcp://*:5555".to_owned());
        let frontend: Frontend = "pull:bind:tcp://*:5555".parse().expect("a side");
        assert_eq!((frontend.kind, frontend.side), (Kind::Streamer, bound));
        let connected = Side::Connect("ipc://@work".to_owned());
        let backend: Backend = "dealer:connect:ipc://@work".parse().expect("a side");
        assert_eq!((backend.kind, backend.side), (Kind::Queue, connected));
        for text in [
            "pull",
            "pull:tcp://*:1",
            "pull:listen:tcp://*:1",
            "push:bind:tcp://*:1",
            "dealer:bind:tcp://*:1",
            "pull:bind:tcp",
        ] {
            assert!(text.parse::<Frontend>().is_err(), "{text}");
        }
    }
}
