//! `zerohop keygen`.

use std::path::PathBuf;

use zerohop::KeyPair;

use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zerohop keygen server     server.secret is for the server alone, server.public for its clients
  zerohop keygen alice      and so on for each of them
  zerohop pull --bind tcp://*:5555 --curve-server server.secret
  zerohop push --connect tcp://host:5555 --curve-key alice.secret --server-key server.public

pyzmq reads these files (zmq.auth.load_certificate), and zerohop reads those of pyzmq.")]
pub(crate) struct Args {
    /// Write NAME.secret, which only its owner may read, and NAME.public; files that are there are left alone
    #[arg(required_unless_present = "z85")]
    name: Option<PathBuf>,
    /// Print the public key and the secret key instead, in Z85, a line each
    #[arg(long, conflicts_with = "name")]
    z85: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let keys = KeyPair::generate().map_err(failed)?;
    let Some(name) = &args.name else {
        let text = format!("{}\n{}\n", keys.public(), keys.secret().to_z85());
        return output::print(text.as_bytes());
    };
    let [secret, public] = ["secret", "public"].map(|ending| {
        let mut path = name.clone().into_os_string();
        path.push(".");
        path.push(ending);
        PathBuf::from(path)
    });
    // If one of them is there, nothing is written.
    if public.exists() {
        let text = format!("{}: there is such a file already", public.display());
        return Err(Failure::Failed(text));
    }
    keys.write(&secret).map_err(failed)?;
    keys.public().write(&public).map_err(failed)?;
    output::print(format!("{}\n", keys.public()).as_bytes())
}

fn failed(error: zerohop::KeyError) -> Failure {
    Failure::Failed(error.to_string())
}
