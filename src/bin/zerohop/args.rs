//! The command line's shape: the commands, and the groups of arguments that several of them share.

use clap::{Parser, Subcommand};

use crate::perf;

/// Brokerless messaging from the shell: build pipelines between processes without writing a program.
#[derive(Debug, Parser)]
#[command(name = "zerohop", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure throughput and latency, as libzmq's perf tools do
    Perf(perf::Args),
}

/// An endpoint that another process can reach.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let endpoint: zerohop::Endpoint = text
        .parse()
        .map_err(|error: zerohop::EndpointError| error.to_string())?;
    let text = endpoint.to_string();
    if text.starts_with("inproc:") {
        return Err("inproc reaches only sockets of the same process: use ipc://path".to_owned());
    }
    Ok(text)
}
