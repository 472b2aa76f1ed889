//! `zerohop`: message pipelines between processes, from the shell.
//!
//! ```text
//!   args, value       the command line's shape        failure           exit codes, and what is said
//!   push pull publish subscribe req rep               one module per command: its arguments and its `run`
//!   dealer router pair xpub xsub
//!   proxy probe perf bench spool keygen completions man
//!   session           a socket from its arguments to its orderly end
//!   input ─► send ─► socket ─► receive ─► output      the way of a message; exec runs commands instead
//!   talk              both at once
//!   format            how messages are printed, and read as JSON
//!   descriptor        writing that waits               progress          whether anything leaves
//!   stop, inherited   Ctrl-C and closed pipes         events, stats, console: what a person is shown
//! ```
//!
//! To add a command, add a module, a variant of [`args::Command`] and an arm in [`run`].

mod args;
mod bench;
mod completions;
mod console;
mod dealer;
mod descriptor;
mod events;
mod exec;
mod failure;
mod format;
mod inherited;
mod input;
mod keygen;
mod man;
mod output;
mod pair;
mod perf;
mod probe;
mod progress;
mod proxy;
mod publish;
mod pull;
mod push;
mod receive;
mod reliable;
mod rep;
mod req;
mod router;
mod send;
mod session;
mod sockets;
mod spool;
mod stats;
mod stop;
mod subscribe;
mod talk;
mod tee;
mod value;
mod xpub;
mod xsub;

use std::process::ExitCode;

use args::Command;
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let outcome = match args::parse() {
        Ok(cli) => run(&cli.command),
        Err(error) if error.use_stderr() => error.exit(),
        // Help was asked for, or the version, which somebody may count on having got.
        Err(help) => help.print().map_err(|error| Failure::of_output(&error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: &Command) -> Outcome {
    match command {
        Command::Push(args) => push::run(args),
        Command::Pull(args) => pull::run(args),
        Command::Pub(args) => publish::run(args),
        Command::Sub(args) => subscribe::run(args),
        Command::Req(args) => req::run(args),
        Command::Rep(args) => rep::run(args),
        Command::Dealer(args) => dealer::run(args),
        Command::Router(args) => router::run(args),
        Command::Pair(args) => pair::run(args),
        Command::Xpub(args) => xpub::run(args),
        Command::Xsub(args) => xsub::run(args),
        Command::Proxy(args) => proxy::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Perf(args) => perf::run(args),
        Command::Bench(args) => bench::run(args, bench::Cast::own(&["bench"])).map_err(Failure::of),
        Command::Spool(args) => spool::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
