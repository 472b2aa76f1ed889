//! `zerohop perf`: libzmq's perf tools, with the same arguments, roles and printed lines, so that either side can be
//! libzmq's own program.
//!
//! | tool | socket | does |
//! |---|---|---|
//! | `local-thr` | PULL, binds | receives, measures, reports |
//! | `remote-thr` | PUSH, connects | sends |
//! | `local-lat` | REP, binds | sends every request back |
//! | `remote-lat` | REQ, connects | asks, measures, reports |
//! | `inproc-thr`, `inproc-lat` | the same two in threads of one process | |
//!
//! The loops that are measured do nothing but send and receive: no signal handling, and no timeouts but those of the socket.

mod latency;
mod report;
mod throughput;

use std::thread;
use std::time::Duration;

use clap::Subcommand;
use zerohop::{AnySocket, Bytes, Context, Options, RecvError, SendError, SendErrorKind};

use crate::console;
use crate::failure::{Failure, Outcome};
use crate::session::{Waiting, wait_until_sent};
use crate::value::{duration, endpoint};

/// For closing: until everything has left, however long it takes, as libzmq's tools do.
const UNTIL_SENT: Duration = Duration::MAX;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, in two shells:
  zerohop perf local-thr tcp://127.0.0.1:5555 100 1000000
  zerohop perf remote-thr tcp://127.0.0.1:5555 100 1000000")]
pub(crate) struct Args {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Bind a PULL, receive COUNT messages and report the throughput
    LocalThr(Remote),
    /// Connect a PUSH and send COUNT messages
    RemoteThr(Remote),
    /// Bind a REP and send COUNT requests back
    LocalLat(Remote),
    /// Connect a REQ, make COUNT round trips and report the latency of one way
    RemoteLat(Remote),
    /// Send COUNT messages from one thread to another and report the throughput
    InprocThr(Load),
    /// Make COUNT round trips between two threads and report the latency of one way
    InprocLat(Load),
}

/// Where to, and what.
#[derive(Debug, clap::Args)]
struct Remote {
    /// Endpoint to bind (local) or to connect (remote)
    #[arg(value_parser = endpoint)]
    endpoint: String,
    #[command(flatten)]
    load: Load,
    /// Let * and host names mean IPv6 as well as IPv4
    #[arg(long)]
    ipv6: bool,
    /// Exit with 3 when nothing has happened for so long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

impl Remote {
    fn options(&self) -> Options {
        // To measure between machines, as libzmq's tools do: what comes is counted and thrown away.
        let options = options().ipv6(self.ipv6).insecure();
        options
            .send_timeout(self.timeout)
            .recv_timeout(self.timeout)
    }

    /// Waits until all has left, as libzmq's tools do; with a timeout, as long as something leaves.
    fn close<S: AnySocket>(&self, socket: S) -> Outcome {
        match wait_until_sent(&socket, None, self.timeout) {
            Waiting::Over => socket.close(self.timeout.unwrap_or(UNTIL_SENT)),
            Waiting::InVain => socket.close(Duration::ZERO),
        }
        .map_err(|error| {
            Failure::TimedOut(format!("{} messages were not sent in time", error.unsent()))
        })
    }

    /// Sends and ends; in case of a time-out without waiting for what is left.
    fn finish<S: AnySocket>(&self, socket: S, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(()) => self.close(socket),
            Err(failure) => {
                if let Err(error) = socket.close(Duration::ZERO) {
                    console::say(&format!(
                        "zerohop: {} messages were not sent",
                        error.unsent()
                    ));
                }
                Err(failure)
            }
        }
    }
}

fn send_failure(error: &SendError) -> Failure {
    match error.kind() {
        SendErrorKind::TimedOut => Failure::TimedOut(error.to_string()),
        _ => Failure::of(error),
    }
}

fn recv_failure(error: RecvError) -> Failure {
    match error {
        RecvError::TimedOut => Failure::TimedOut(error.to_string()),
        _ => Failure::of(error),
    }
}

/// What travels.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Load {
    /// Bytes per message
    size: usize,
    /// Messages, or round trips
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Print one line of JSON instead of libzmq's lines: size, count, and msgs_per_s and mb_per_s (megabytes), or
    /// latency_us_mean, latency_us_p50 and latency_us_p99
    #[arg(long)]
    json: bool,
}

/// Runs one of the tools.
pub(crate) fn run(args: &Args) -> Outcome {
    let context = Context::new();
    match &args.tool {
        Tool::LocalThr(remote) => throughput::local(&context, remote),
        Tool::RemoteThr(remote) => throughput::remote(&context, remote),
        Tool::LocalLat(remote) => latency::local(&context, remote),
        Tool::RemoteLat(remote) => latency::remote(&context, remote),
        Tool::InprocThr(load) => throughput::inproc(&context, *load),
        Tool::InprocLat(load) => latency::inproc(&context, *load),
    }
}

/// Runs `other` in a thread of its own and `main` in this one, and gives what `main` did. When one fails, neither waits for
/// the other.
fn in_two_threads<T>(
    context: &Context,
    other: impl FnOnce() -> Outcome + Send,
    main: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    thread::scope(|scope| {
        let other = scope.spawn(|| other().inspect_err(|_| context.shutdown()));
        let done = main().inspect_err(|_| context.shutdown());
        other.join().map_err(|_| Failure::of("a thread died"))??;
        done
    })
}

/// The options of every socket here: those of the library, and no limit on what libzmq's tools don't limit.
fn options() -> Options {
    Options::new().linger(None).max_message_size(None)
}

/// The message that is sent over and over.
fn payload(load: Load) -> Bytes {
    Bytes::from(vec![0; load.size])
}

/// A message of another size than both sides were told, in libzmq's words.
#[cold]
fn wrong_size() -> Failure {
    Failure::of("message of incorrect size received")
}
