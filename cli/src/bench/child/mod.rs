//! The measured processes: what a child is told, does and reports. benches/peers uses this module, too.
//!
//! ```text
//! runner                                   child
//!   │── argv: … '{"role":"pull", …}' ──────▶│
//!   │◀── "ready" ───────────────────────────│  bound, or all subscriptions have arrived
//!   │── "go" (some roles wait for it) ─────▶│
//!   │◀── {"messages":…, "nanos":…, …} ──────│  the report, the last line
//! ```
//!
//! A child that sees a message lost, repeated or damaged ends with that, and so does the run.

pub(crate) mod contestant;
mod meter;
pub(crate) mod payload;
mod roles;
pub(crate) mod system;

use std::error::Error;
use std::io::Write;

use serde::{Deserialize, Serialize};

pub(crate) use contestant::Contestant;

/// What went wrong: for people to read, since the run is void anyway.
pub(crate) type Fault = Box<dyn Error + Send + Sync>;

pub(crate) type Fallible<T> = Result<T, Fault>;

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Pull,
    Push,
    /// PULL and PUSH in two threads of one process.
    Pair,
    Pub,
    Sub,
    /// PUB and its subscribers in two threads of one process.
    PubSub,
    Req,
    Rep,
    /// PULL that weighs its idle connections.
    Accept,
    /// PUSH sockets that hold idle connections.
    Hold,
    /// REQ sockets that come, ask once and go.
    Churn,
    /// DEALERs that ask many at a time.
    Crowd,
    /// Tasks that share a DEALER.
    Tasks,
    /// PULL and PUSH, and what is between them.
    Proxy,
}

/// Which types of sockets play a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Types {
    /// PUSH and PULL, PUB and SUB, REQ and REP.
    #[default]
    Usual,
    /// ROUTER for who binds, DEALER for who connects.
    DealerRouter,
    DealerDealer,
    PairPair,
    /// XPUB in the place of PUB.
    XpubSub,
}

/// What a child is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) contestant: String,
    pub(crate) role: Role,
    pub(crate) endpoint: String,
    /// The bytes of a message, topic included.
    pub(crate) size: usize,
    /// How long to measure, after a warm-up.
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    /// Stop after so many messages, however much time is left.
    pub(crate) max_messages: u64,
    /// Sockets of this process.
    pub(crate) sockets: usize,
    /// The number of this process's first socket among all senders.
    pub(crate) first_source: usize,
    /// Senders, in all processes, whose end a receiver waits for.
    pub(crate) senders: usize,
    /// Topics that each subscriber subscribes to, and the publisher uses in turn; 0 where there are none.
    pub(crate) topics: usize,
    /// Mean messages per second of an open loop; `None` sends as fast as it goes.
    pub(crate) rate: Option<f64>,
    /// Send shared buffers instead of copies of the caller's.
    pub(crate) shared: bool,
    #[serde(default)]
    pub(crate) types: Types,
    /// Where a proxy sends to.
    #[serde(default)]
    pub(crate) onward: Option<String>,
}

/// What a child reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Messages between the end of the warm-up and the end.
    pub(crate) messages: u64,
    /// The time between the two.
    pub(crate) nanos: u64,
    /// Processor time of all threads between the two.
    pub(crate) cpu_nanos: u64,
    pub(crate) latency: Option<Quantiles>,
    pub(crate) bytes_per_connection: Option<f64>,
}

/// One-way latency in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    /// Missing from children of an earlier version.
    #[serde(default)]
    pub mean: u64,
}

/// The length of a topic.
pub(crate) const TOPIC_LEN: usize = 8;

impl Task {
    /// The topics, each as long as the others, no one a prefix of another.
    pub(crate) fn topic_list(&self) -> Vec<[u8; TOPIC_LEN]> {
        let mut topics = vec![*b"t0000000"; self.topics];
        for (number, topic) in topics.iter_mut().enumerate() {
            let mut left = number;
            for digit in topic[1..].iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
        topics
    }

    pub(crate) fn topic_len(&self) -> usize {
        if self.topics == 0 { 0 } else { TOPIC_LEN }
    }
}

/// Does the task with a contestant, and prints the report.
pub(crate) fn run<C: Contestant>(task: &Task, open: impl FnOnce() -> Fallible<C>) -> Fallible<()> {
    system::raise_file_limit();
    system::sharpen_timers();
    let outcome = open().and_then(|contestant| roles::play(&contestant, task));
    let report = outcome.and_then(|report| Ok(serde_json::to_string(&report)?));
    report.and_then(|line| say(&line)).map_err(|fault| {
        let Task {
            contestant, role, ..
        } = task;
        Fault::from(format!("{contestant} as {role:?}: {fault}"))
    })
}

/// Says a line to the runner.
fn say(line: &str) -> Fallible<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}
