//! `zerohop probe`: shakes hands with whatever is at an endpoint, and tells what it said of itself.
//!
//! A probe must not do harm, so it joins only sockets that don't notice: a PULL that is connected to a PUSH would take
//! a share of its messages with it when it goes. It first tries a SUB without subscriptions. Any other peer is
//! refused by the handshake, which names the peer's type, and where a harmless counterpart exists the probe
//! comes back as that.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use serde_json::json;
use zerohop::{
    Context, DisconnectCause, Event, Monitor, Options, PeerFacts, ProtocolError, Pub, Push,
    RecvError, Req, SocketType, Sub,
};

use crate::events::{facts_to_json, trouble_of};
use crate::failure::{Failure, Outcome};
use crate::sockets::AnySocket;
use crate::value::{duration, endpoint};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  zerohop probe tcp://localhost:5555")]
pub(crate) struct Args {
    /// Endpoint to connect to
    #[arg(value_parser = endpoint)]
    endpoint: String,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    timeout: Duration,
}

/// What a handshake told.
enum Finding {
    /// It was completed.
    Joined {
        facts: Box<PeerFacts>,
        took: Duration,
    },
    /// It was not, because the types don't fit; this is the peer's.
    Other(SocketType),
}

pub(crate) fn run(args: &Args) -> Outcome {
    match explore(args) {
        Ok(finding) => print(&finding, args),
        Err(failure) => {
            if args.json {
                let (Failure::Failed(text) | Failure::TimedOut(text) | Failure::Usage(text)) =
                    &failure
                else {
                    return Err(failure);
                };
                print_line(
                    &json!({ "endpoint": args.endpoint, "ok": false, "error": text }).to_string(),
                )?;
            }
            Err(failure)
        }
    }
}

fn explore(args: &Args) -> Outcome<Finding> {
    let theirs = match shake_hands::<Sub>(args)? {
        Finding::Other(theirs) => theirs,
        joined @ Finding::Joined { .. } => return Ok(joined),
    };
    match theirs {
        SocketType::Pull => shake_hands::<Push>(args),
        SocketType::Rep | SocketType::Router => shake_hands::<Req>(args),
        SocketType::Sub | SocketType::Xsub => shake_hands::<Pub>(args),
        SocketType::Push
        | SocketType::Req
        | SocketType::Dealer
        | SocketType::Pair
        | SocketType::Pub
        | SocketType::Xpub => Ok(Finding::Other(theirs)),
    }
}

/// One connection, as a socket of this type.
fn shake_hands<S: AnySocket>(args: &Args) -> Outcome<Finding> {
    let context = Context::new();
    let options = Options::new()
        .linger(Duration::ZERO)
        .reconnect_interval(None)
        .handshake_timeout(None);
    let socket = S::open(&context, options).map_err(Failure::of)?;
    let monitor = socket.monitor();
    socket
        .connect(&args.endpoint)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    await_facts(&monitor, args)
}

fn await_facts(monitor: &Monitor, args: &Args) -> Outcome<Finding> {
    let start = Instant::now();
    let mut connected = None;
    loop {
        let left = args.timeout.saturating_sub(start.elapsed());
        let event = match monitor.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvError::TimedOut) => return Err(silence(connected.is_some(), args)),
            Err(error) => return Err(Failure::of(error)),
        };
        match event {
            Event::Connected { .. } => connected = Some(Instant::now()),
            Event::HandshakeSucceeded { facts, .. } => {
                let took = connected.map_or(start.elapsed(), |connected| connected.elapsed());
                return Ok(Finding::Joined {
                    facts: Box::new(facts),
                    took,
                });
            }
            Event::HandshakeFailed {
                cause:
                    DisconnectCause::Protocol(ProtocolError::IncompatibleSocketType { theirs, .. }),
                ..
            } => return Ok(Finding::Other(theirs)),
            event => {
                if let Some(trouble) = trouble_of(&event) {
                    return Err(Failure::Failed(trouble));
                }
            }
        }
    }
}

fn silence(connected: bool, args: &Args) -> Failure {
    let Args {
        endpoint, timeout, ..
    } = args;
    Failure::TimedOut(if connected {
        format!(
            "{endpoint}: accepts connections, but has not shaken hands within {timeout:?}; is it a ZMTP socket?"
        )
    } else {
        format!(
            "{endpoint}: no answer within {timeout:?}; is the address right, or a firewall in between?"
        )
    })
}

fn print(finding: &Finding, args: &Args) -> Outcome {
    if args.json {
        return print_line(&to_json(finding, &args.endpoint).to_string());
    }
    print_line(to_screen(finding, &args.endpoint).trim_end())
}

fn to_json(finding: &Finding, endpoint: &str) -> serde_json::Value {
    let mut object = json!({ "endpoint": endpoint, "ok": true });
    let more = match finding {
        Finding::Joined { facts, took } => {
            let mut facts = facts_to_json(facts);
            facts["rtt_us"] = json!(took.as_nanos() as f64 / 1000.0);
            facts
        }
        Finding::Other(theirs) => json!({ "socket_type": theirs.name(), "joined": false }),
    };
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}

fn to_screen(finding: &Finding, endpoint: &str) -> String {
    let mut screen = format!("{endpoint}\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(screen, "  {name:<12} {value}");
    };
    match finding {
        Finding::Joined { facts, took } => {
            row("protocol", &format!("ZMTP {}", facts.version()));
            row(
                "socket type",
                facts
                    .socket_type()
                    .map_or("not told", |theirs| theirs.name()),
            );
            row("mechanism", facts.mechanism());
            for (name, value) in facts.properties() {
                row("metadata", &format!("{name} = {}", value.escape_ascii()));
            }
            row(
                "round trip",
                &format!("{:.0} µs, shaking hands", took.as_secs_f64() * 1e6),
            );
            if let Some(command) = facts.socket_type().and_then(counterpart) {
                row(
                    "talk to it",
                    &format!("zerohop {command} --connect {endpoint}"),
                );
            }
        }
        Finding::Other(theirs) => {
            row("protocol", "ZMTP");
            row("socket type", theirs.name());
            row(
                "not joined",
                "a probe would take messages that are meant for others",
            );
            if let Some(command) = counterpart(*theirs) {
                row(
                    "talk to it",
                    &format!("zerohop {command} --connect {endpoint}"),
                );
            }
        }
    }
    screen
}

/// The command that talks to a socket of this type.
fn counterpart(theirs: SocketType) -> Option<&'static str> {
    match theirs {
        SocketType::Push => Some("pull"),
        SocketType::Pull => Some("push"),
        SocketType::Pub | SocketType::Xpub => Some("sub"),
        SocketType::Sub | SocketType::Xsub => Some("pub"),
        SocketType::Req | SocketType::Dealer => Some("rep --echo"),
        SocketType::Rep | SocketType::Router => Some("req"),
        SocketType::Pair => None,
    }
}

fn print_line(text: &str) -> Outcome {
    writeln!(stdout(), "{text}").map_err(|error| Failure::of_output(&error))
}
