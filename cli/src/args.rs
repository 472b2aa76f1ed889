//! The command line's shape: the commands, and the groups of arguments that several of them share.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueHint};
use zerohop::{Allow, KeyError, KeyPair, Options, PublicKey, SubscribeError};

use crate::failure::{Failure, Outcome};
use crate::format::Format;
use crate::value::{
    Linger, Rate, Separator, Setting, Speed, bind_endpoint, connect_endpoint, duration,
};
use crate::{
    bench, completions, dealer, keygen, man, pair, perf, probe, proxy, publish, pull, push, rep,
    req, router, spool, subscribe, xpub, xsub,
};

/// Brokerless messaging from the shell: build pipelines between processes without writing a program.
///
/// Every command is one socket. Messages are lines of text unless told otherwise, and any program that speaks ZMTP, such as
/// one with libzmq or pyzmq, may be at the other end.
#[derive(Debug, Parser)]
#[command(
    name = "zerohop",
    version,
    max_term_width = 100,
    after_long_help = "\
Example, in three shells:
  zerohop pull --connect tcp://localhost:5555
  zerohop pull --connect tcp://localhost:5555
  seq 10 | zerohop push --bind 'tcp://127.0.0.1:5555' --wait-peers 2

Endpoints: tcp://host:port, ipc://path, ipc://@name (Linux). To bind, host and port may be *. In short: host:port, :port \
(every interface, or to connect this machine), /path, ./path, @name. Where a command has neither --bind nor --connect, \
the environment's ZEROHOP_BIND and ZEROHOP_CONNECT hold, each one endpoint or several with spaces between.

Exit codes: 0 done, or terminated with nothing left undone; 1 failure, 2 wrong usage, 3 timed out, 130 Ctrl-C, \
143 terminated with something left undone."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command line. Where it should name endpoints and names none, those of the environment are added.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let parsed = Cli::try_parse_from(&arguments);
    match &parsed {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
        _ => return parsed,
    }
    let given = arguments.len();
    // Behind this, all are files.
    let end = arguments.iter().position(|argument| argument == "--");
    let mut behind = arguments.split_off(end.unwrap_or(given));
    for (option, name) in [("--bind", "ZEROHOP_BIND"), ("--connect", "ZEROHOP_CONNECT")] {
        let endpoints = std::env::var(name).unwrap_or_default();
        let options = endpoints.split_whitespace();
        arguments.extend(options.map(|endpoint| format!("{option}={endpoint}").into()));
    }
    arguments.append(&mut behind);
    if arguments.len() == given {
        return parsed;
    }
    match Cli::try_parse_from(&arguments) {
        // It was something else that is missing.
        Err(error) if error.kind() == ErrorKind::UnknownArgument => parsed,
        again => again,
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send lines of input, each to one of the peers in turn
    Push(push::Args),
    /// Receive messages and print them, or run a command for each
    Pull(pull::Args),
    /// Publish lines of input to every subscriber
    Pub(publish::Args),
    /// Subscribe and print what is published
    Sub(subscribe::Args),
    /// Send lines of input as requests and print the replies
    Req(req::Args),
    /// Answer requests
    Rep(rep::Args),
    /// Send lines of input in turn, and print what comes back
    Dealer(dealer::Args),
    /// Print who says what, and send to whom a line names
    Router(router::Args),
    /// Send lines of input to one peer, and print what comes back
    Pair(pair::Args),
    /// Publish lines of input, and tell who subscribes
    Xpub(xpub::Args),
    /// Subscribe as a proxy does, and print what is published
    Xsub(xsub::Args),
    /// Pass messages on from one socket to another
    Proxy(proxy::Args),
    /// Find out what is listening at an endpoint
    Probe(probe::Args),
    /// Measure throughput and latency, as libzmq's perf tools do
    Perf(perf::Args),
    /// Measure what this machine makes of zerohop, beside bare sockets
    Bench(bench::Args),
    /// Look into a spool, check it, and send what is in it
    Spool(spool::Args),
    /// Make a pair of keys for CURVE
    Keygen(keygen::Args),
    /// Print a script that completes zerohop's arguments in a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

/// What every socket is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArgs {
    /// Let at most N messages wait per peer, 0 for no limit [default: 1000]
    #[arg(long, value_name = "N", help_heading = SOCKET)]
    pub(crate) hwm: Option<usize>,
    /// Give messages so long to leave in the end, e.g. 500ms, 10s, 2m or forever
    #[arg(long, value_name = "DURATION", default_value = "30s", help_heading = SOCKET)]
    pub(crate) linger: Linger,
    /// Let * and host names mean IPv6 as well as IPv4
    #[arg(long, help_heading = SOCKET)]
    pub(crate) ipv6: bool,
    /// Exit with 3 when nothing has happened for so long
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = SOCKET)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// Set an option of the library by its name, as send_hwm=5000 or heartbeat_interval=2s (repeatable)
    #[arg(short, long = "option", value_name = "NAME=VALUE", help_heading = SOCKET)]
    pub(crate) option: Vec<Setting>,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = REPORTING)]
    pub(crate) quiet: bool,
    /// Tell on standard error what happens
    #[arg(short, long, help_heading = REPORTING)]
    pub(crate) verbose: bool,
    /// Print events on standard error, as lines of JSON
    #[arg(long, help_heading = REPORTING)]
    pub(crate) monitor: bool,
    /// Print totals on standard error in the end; on a terminal also a live line
    #[arg(long, help_heading = REPORTING)]
    pub(crate) stats: bool,
}

/// Who is let in, and who this socket is for others.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SecurityArgs {
    /// Let everyone in who can reach the socket over the network
    #[arg(long, help_heading = SECURITY)]
    pub(crate) insecure: bool,
    /// Let in whom this file, or the files of this folder, list: lines such as "user NAME PASSWORD" or "uid 1000"
    #[arg(long, value_name = "PATH", help_heading = SECURITY)]
    pub(crate) allow: Option<PathBuf>,
    /// Ask peers for a name and a password, in clear (PLAIN); --allow says which are good
    #[arg(long, requires = "allow", conflicts_with = "plain_user", help_heading = SECURITY)]
    pub(crate) plain_server: bool,
    /// Show this name, in clear (PLAIN)
    #[arg(long, value_name = "NAME", requires = "plain_password_file", help_heading = SECURITY)]
    pub(crate) plain_user: Option<String>,
    /// Show the password that is the first line of this file
    #[arg(long, value_name = "FILE", requires = "plain_user", help_heading = SECURITY)]
    pub(crate) plain_password_file: Option<PathBuf>,
    /// Encrypt, and prove with the secret key in this file who this server is (CURVE); without --allow everyone is let in who knows
    /// its public key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["curve_key", "plain_server", "plain_user"], help_heading = SECURITY)]
    pub(crate) curve_server: Option<PathBuf>,
    /// Encrypt, and prove with the secret key in this file who this client is
    #[arg(long, value_name = "FILE", requires = "server_key", conflicts_with_all = ["plain_server", "plain_user"], help_heading = SECURITY)]
    pub(crate) curve_key: Option<PathBuf>,
    /// The public key of the server, or a file with it: this client talks to no other
    #[arg(long, value_name = "KEY-or-FILE", requires = "curve_key", help_heading = SECURITY)]
    pub(crate) server_key: Option<String>,
}

impl SecurityArgs {
    /// Sets what is asked for.
    pub(crate) fn apply(&self, mut options: Options) -> Outcome<Options> {
        if self.insecure {
            options = options.insecure();
        }
        if let Some(path) = &self.allow {
            options = options.allow(Allow::path(path));
        }
        if self.plain_server {
            options = options.plain_server(true);
        }
        if let (Some(name), Some(path)) = (&self.plain_user, &self.plain_password_file) {
            options = options.plain_client(name, first_line(path)?);
        }
        if let Some(path) = &self.curve_server {
            options = options.curve_server(KeyPair::read(path).map_err(failed)?);
        }
        if let (Some(path), Some(server)) = (&self.curve_key, &self.server_key) {
            let (keys, server) = curve_keys(path, server)?;
            options = options.curve_client(&keys, server);
        }
        Ok(options)
    }
}

/// A client's own keys, and the server's.
pub(crate) fn curve_keys(own: &Path, server: &str) -> Outcome<(KeyPair, PublicKey)> {
    Ok((KeyPair::read(own).map_err(failed)?, public_key(server)?))
}

/// The key in a file of this name, or one that is written out.
///
/// The file comes first: a path of 40 characters may well be a key in Z85, too, but no key is by chance the name of a file.
fn public_key(text: &str) -> Outcome<PublicKey> {
    match PublicKey::read(text) {
        Err(error) if !Path::new(text).exists() => text.parse().map_err(|_| failed(error)),
        read => read.map_err(failed),
    }
}

fn failed(error: KeyError) -> Failure {
    Failure::Failed(error.to_string())
}

fn first_line(path: &Path) -> Outcome<String> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Where the peers are. At least one of the two, any number of times.
#[derive(Clone, Debug, Default, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct EndpointArgs {
    /// Listen at this endpoint (repeatable)
    #[arg(short, long, value_name = "ENDPOINT", value_parser = bind_endpoint, help_heading = SOCKET)]
    pub(crate) bind: Vec<String>,
    /// Connect to this endpoint (repeatable)
    #[arg(short, long, value_name = "ENDPOINT", value_parser = connect_endpoint, help_heading = SOCKET)]
    pub(crate) connect: Vec<String>,
    /// Listen at the sockets that systemd has opened and hands down (LISTEN_FDS)
    #[arg(long, help_heading = SOCKET)]
    pub(crate) listen_fds: bool,
}

const SOCKET: &str = "Socket";
const SECURITY: &str = "Security";
const REPORTING: &str = "Reporting";

/// How messages lie in a stream of bytes.
#[derive(Clone, Debug, Args)]
pub(crate) struct FramingArgs {
    /// End messages with a NUL byte instead of a newline
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Frames of a message are separated by SEP; \t, \n, \0, \\ and \xNN are understood
    #[arg(long, value_name = "SEP")]
    pub(crate) parts: Option<Separator>,
}

impl FramingArgs {
    /// The byte that ends a message.
    pub(crate) fn delimiter(&self) -> u8 {
        if self.null { 0 } else { b'\n' }
    }
}

/// What to send.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArgs {
    /// Read these files, one after the other, instead of standard input, which is - among them
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "message")]
    pub(crate) files: Vec<PathBuf>,
    /// Send all of the input as one message, or each file as one
    #[arg(long, conflicts_with_all = ["null", "message"])]
    pub(crate) whole: bool,
    /// Read messages in JSON, as --format json and envelope print them
    #[arg(long, conflicts_with_all = ["whole", "message", "parts", "repeat"])]
    pub(crate) json: bool,
    /// Read messages that --format envelope has printed, and send them at the times they tell, or SPEED times as fast
    #[arg(long, value_name = "SPEED", num_args = 0..=1, default_missing_value = "1", require_equals = true,
          conflicts_with_all = ["whole", "message", "parts", "repeat", "rate", "json"])]
    pub(crate) replay: Option<Speed>,
    /// Send TEXT instead of input (repeatable)
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Vec<String>,
    /// Send everything N times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) repeat: u64,
    /// Send at most so many messages, e.g. 100/s or 6/m
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<Rate>,
}

/// How to print what was received.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print messages as text, hex, json, envelope or raw, or by a template such as '%t %1 %2\n'
    ///
    /// text: the bytes as they are, one message per line (on a terminal, control characters are escaped).
    /// hex: hexadecimal digits, one message per line.
    /// json: a JSON array of the frames, one per line; a frame that is not UTF-8 is {"hex": "..."}.
    /// envelope: a JSON object per line with "time", when the message was received, "frames", in which one
    /// that is not UTF-8 is {"base64": "..."}, and (pull, sub, xsub) "peer": its "address", "mechanism", and its "routing_id",
    /// "principal" and "pid" if they are known.
    /// raw: the bytes as they are, and nothing between messages.
    ///
    /// In a template, %1 to %9 are frames, %* all of them, %t is the time, %n the number of the message, %s its size in bytes,
    /// %f the number of its frames, %p the address of the peer (pull, sub, xsub), and %% a percent sign; \n, \t, \0, \\ and \xNN are understood.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// When a receiver is done.
#[derive(Clone, Debug, Args)]
pub(crate) struct CountArgs {
    /// Stop after N messages
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// What a command takes that sends its input and prints what comes back.
#[derive(Clone, Debug, Args)]
pub(crate) struct TalkArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) count: CountArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    #[command(flatten)]
    pub(crate) endpoints: EndpointArgs,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
}

/// Which topics to subscribe to.
#[derive(Clone, Debug, Args)]
pub(crate) struct TopicArgs {
    /// Receive messages that begin with PREFIX (repeatable) [default: all]
    #[arg(short, long, value_name = "PREFIX")]
    topic: Vec<String>,
}

impl TopicArgs {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.topic.len().max(1)
    }

    /// Subscribes to them.
    pub(crate) fn subscribe(
        &self,
        subscribe: impl Fn(&str) -> Result<(), SubscribeError>,
    ) -> Outcome {
        if self.topic.is_empty() {
            return subscribe("").map_err(Failure::of);
        }
        let mut topics = self.topic.iter();
        topics.try_for_each(|topic| subscribe(topic).map_err(Failure::of))
    }
}
