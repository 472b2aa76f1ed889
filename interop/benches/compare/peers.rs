//! The libraries in benches/peers, a package of its own so that nobody else compiles them.

use std::process::Command;

use serde::Deserialize;

use crate::bench::cast::Entrant;
use crate::bench::child::Fallible;
use crate::bench::workload::{Transport, Work};
use crate::root;

/// What the peers' program says of itself, in JSON.
#[derive(Deserialize)]
struct Peer {
    name: String,
    transports: Vec<Transport>,
    works: Vec<Work>,
    #[serde(default)]
    left_out: Vec<(Work, String)>,
}

/// Builds the package and asks it who is in it.
pub(crate) fn entrants() -> Fallible<Vec<Entrant>> {
    let package = root().join("benches/peers");
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
    let entrants = peers.into_iter().map(|peer| Entrant {
        name: peer.name,
        command: vec![program.clone().into(), "child".into()],
        transports: peer.transports,
        works: peer.works,
        left_out: peer.left_out,
        most_peers: usize::MAX,
        has_curve: false,
    });
    Ok(entrants.collect())
}
