//! `zerohop probe`: tells what is listening at an endpoint, and takes nothing away from it.

mod wire;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use zerohop::__cli::check_connect;
use zerohop::{Endpoint, Options};

use crate::args::curve_keys;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::value::{duration, endpoint};
use wire::Facts;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A probe shakes only half of the peer's hand, and so never takes a message away from anybody.

What is behind CURVE shows only to a client with a key that is let in. The probe then comes as one of the types to which
nobody hands out messages (PUSH, SUB, PUB, REQ), one after the other, until the peer tells its type or has refused all.

Examples:
  zerohop probe tcp://localhost:5555
  zerohop probe tcp://host:5555 --curve-key alice.secret --server-key server.public")]
pub(crate) struct Args {
    /// Endpoint to connect to
    #[arg(value_parser = endpoint)]
    endpoint: String,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Let a host name mean its IPv6 addresses as well as those of IPv4
    #[arg(long)]
    ipv6: bool,
    /// Give up after so long, and exit with 3
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    timeout: Duration,
    /// Look behind CURVE, with the secret key in this file
    #[arg(long, value_name = "FILE", requires = "server_key")]
    curve_key: Option<PathBuf>,
    /// The public key of the server, or a file with it: whether the peer has the secret key to it
    #[arg(long, value_name = "KEY-or-FILE", requires = "curve_key")]
    server_key: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let endpoint: Endpoint = args.endpoint.parse().map_err(Failure::usage)?;
    check_connect(&endpoint).map_err(Failure::usage)?;
    let options = Options::new().ipv6(args.ipv6);
    let keys = match (&args.curve_key, &args.server_key) {
        (Some(own), Some(server)) => Some(curve_keys(own, server)?),
        _ => None,
    };
    match wire::shake_hands(&endpoint, &options, keys, args.timeout) {
        Ok(facts) if args.json => print(&to_json(&facts, &args.endpoint).to_string()),
        Ok(facts) => print(to_screen(&facts, &args.endpoint).trim_end()),
        Err(obstacle) => {
            if args.json {
                let told = json!({ "endpoint": args.endpoint, "ok": false, "error": obstacle.to_string() });
                print(&told.to_string())?;
            }
            let text = format!("{}: {obstacle}", args.endpoint);
            Err(if obstacle.is_timeout() {
                Failure::TimedOut(text)
            } else {
                Failure::Failed(text)
            })
        }
    }
}

fn to_json(facts: &Facts, endpoint: &str) -> Value {
    let metadata: Map<String, Value> = facts
        .metadata
        .iter()
        .map(|(name, value)| (name.clone(), json!(String::from_utf8_lossy(value))))
        .collect();
    json!({
        "endpoint": endpoint,
        "ok": true,
        "version": version(facts),
        "socket_type": facts.socket_type,
        "mechanism": facts.mechanism,
        "server_proven": facts.server_proven,
        "metadata": metadata,
        "rtt_us": facts.round_trip.as_nanos() as f64 / 1000.0,
    })
}

fn to_screen(facts: &Facts, endpoint: &str) -> String {
    let mut screen = format!("{endpoint}\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(screen, "  {name:<12} {value}");
    };
    row("protocol", &format!("ZMTP {}", version(facts)));
    let socket_type = facts.socket_type.as_deref();
    row(
        "socket type",
        socket_type.unwrap_or(match facts.server_proven {
            true => {
                "not told to a PUSH, SUB, PUB or REQ: it may hand out messages, and is left alone"
            }
            false => "not told before the peer has seen credentials",
        }),
    );
    row("mechanism", &facts.mechanism);
    if facts.server_proven {
        let let_in = socket_type.map_or("", |_| "; our key is let in");
        row("server key", &format!("the one that was given{let_in}"));
    }
    for (name, value) in &facts.metadata {
        row("metadata", &format!("{name} = {}", value.escape_ascii()));
    }
    row(
        "round trip",
        &format!("{:.0} µs", facts.round_trip.as_secs_f64() * 1e6),
    );
    if let Some(command) = socket_type.and_then(counterpart) {
        let keys = match facts.server_proven {
            true => " --curve-key FILE --server-key KEY-or-FILE",
            false => "",
        };
        row(
            "talk to it",
            &format!("zerohop {command} --connect {endpoint}{keys}"),
        );
    }
    screen
}

fn version(facts: &Facts) -> String {
    format!("{}.{}", facts.version.0, facts.version.1)
}

/// The command that talks to a socket of this type.
fn counterpart(theirs: &str) -> Option<&'static str> {
    match theirs {
        "PUSH" => Some("pull"),
        "PULL" => Some("push"),
        "PUB" | "XPUB" => Some("sub"),
        "SUB" | "XSUB" => Some("pub"),
        "REQ" | "DEALER" => Some("rep --echo"),
        "REP" | "ROUTER" => Some("req"),
        _ => None,
    }
}

fn print(text: &str) -> Outcome {
    output::print(format!("{text}\n").as_bytes())
}
