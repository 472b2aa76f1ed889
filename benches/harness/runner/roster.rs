//! Who takes part, and in what.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::arguments::Arguments;
use super::super::child::Fallible;
use super::super::workload::{Transport, Work, Workload};

pub(crate) struct Entrant {
    pub(crate) name: String,
    /// The program that plays it.
    pub(crate) program: PathBuf,
    transports: Vec<Transport>,
    works: Vec<Work>,
    most_peers: usize,
}

impl Entrant {
    pub(crate) fn can(&self, workload: &Workload) -> bool {
        self.transports.contains(&workload.transport)
            && self.works.contains(&workload.work)
            && workload.peers <= self.most_peers
    }
}

/// What the peers' program says of itself, in JSON.
#[derive(Deserialize)]
struct Peer {
    name: String,
    transports: Vec<Transport>,
    works: Vec<Work>,
}

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Ipc, Transport::Inproc];
const WORKS: [Work; 8] = [
    Work::PushPull,
    Work::Shared,
    Work::Latency,
    Work::OpenLoop,
    Work::FanOut,
    Work::FanIn,
    Work::Memory,
    Work::Churn,
];

/// Those that the arguments let take part.
pub(crate) fn entrants(arguments: &Arguments) -> Fallible<Vec<Entrant>> {
    let program = std::env::current_exe()?;
    let of_ours = |name: &str, transports: &[Transport], works: &[Work], most_peers| Entrant {
        name: name.to_owned(),
        program: program.clone(),
        transports: transports.to_vec(),
        works: works.to_vec(),
        most_peers,
    };
    let raw_works = [Work::PushPull, Work::Shared, Work::Latency];
    let mut entrants = vec![
        of_ours("zerohop", &TRANSPORTS, &WORKS, usize::MAX),
        of_ours("libzmq", &TRANSPORTS, &WORKS, usize::MAX),
        of_ours("raw", &TRANSPORTS[..2], &raw_works, 1),
    ];
    if arguments.peers {
        entrants.extend(peers()?);
    }
    if !arguments.only.is_empty() {
        entrants.retain(|entrant| arguments.only.contains(&entrant.name));
    }
    Ok(entrants)
}

/// Builds the peers' package and asks it who is in it.
fn peers() -> Fallible<Vec<Entrant>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    // Not where our own artefacts go: its dependencies would be rebuilt there time and again.
    let target = package.join("target");
    let built = Command::new("cargo")
        .args(["build", "--release"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &target)
        .status()?;
    if !built.success() {
        return Err("benches/peers could not be built".into());
    }
    let program = target.join("release/zerohop-bench-peers");
    let listed = Command::new(&program).arg("list").output()?;
    let peers: Vec<Peer> = serde_json::from_slice(&listed.stdout)?;
    Ok(peers
        .into_iter()
        .map(|peer| Entrant {
            name: peer.name,
            program: program.clone(),
            transports: peer.transports,
            works: peer.works,
            most_peers: usize::MAX,
        })
        .collect())
}
