//! `cargo bench --bench compare`: `zerohop bench` with libzmq and, on request, other libraries.
//!
//! `-- --help` tells what can be asked for; docs/performance.md tells how it is measured.

#[path = "../../../cli/src/bench/mod.rs"]
mod bench;
mod libzmq;
mod peers;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use bench::Cast;
use bench::cast::{Entrant, TRANSPORTS, WORKS};
use bench::child::{self, Fallible, Task};
use clap::Parser;

/// Measures zerohop beside bare sockets, libzmq and, on request, other libraries.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo bench --bench compare --",
    max_term_width = 100,
    mut_arg("out", |out| out.help("Keep results.json and report.html in DIR [default: bench in the target directory]"))
)]
struct Cli {
    #[command(flatten)]
    args: bench::Args,
    /// Build benches/peers, and let the libraries in it take part
    #[arg(long)]
    peers: bool,
    /// Added by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Fallible<()> {
    if cli.bench {
        // Cargo starts a benchmark in the folder of its package; paths in arguments are meant from the root.
        env::set_current_dir(root())?;
    }
    bench::run(&cli.args, cast(cli.peers))
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// zerohop, libzmq, bare sockets, and the others if they are wanted.
fn cast(with_peers: bool) -> Fallible<Cast> {
    let mut cast = Cast::own(&[])?;
    let libzmq = Entrant {
        name: String::from("libzmq"),
        command: cast.entrants[0].command.clone(),
        transports: TRANSPORTS.to_vec(),
        works: WORKS.to_vec(),
        left_out: Vec::new(),
        most_peers: usize::MAX,
        // It may have been built without.
        has_curve: zmq::has("curve") == Some(true),
    };
    cast.entrants.insert(1, libzmq);
    let (major, minor, patch) = zmq::version();
    cast.libraries
        .push(format!("libzmq {major}.{minor}.{patch}"));
    cast.play = play;
    // `bench` in the target directory, from `target/release/deps/compare-…`.
    if let Some(target) = env::current_exe()?.ancestors().nth(3) {
        cast.out = target.join("bench");
    }
    if with_peers {
        cast.entrants.extend(peers::entrants()?);
    }
    Ok(cast)
}

fn play(task: &Task) -> Fallible<()> {
    match task.contestant.as_str() {
        "libzmq" => child::run(task, || libzmq::Libzmq::open_as(task.types)),
        "libzmq-curve" => child::run(task, libzmq::Libzmq::open_sealed),
        _ => bench::play(task),
    }
}
