//! `cargo bench --features bench-internals --bench delivery`: messages of 100 B that are to be settled, from one PUSH to one PULL in a process of its
//! own, over tcp on this machine.
//!
//! What is compared takes turns, and has the same window; printed is the median of the rounds. Each message is checked: it comes once, in the
//! order of its thread, and all of them are settled. `-- --smoke` is a short run that shows that it works. The names of parts (`speed`,
//! `latency`, `memory`) run those alone. Of `speed`, only contestants run that have in their names what `ZEROHOP_BENCH_ONLY` says, or one of several, as in `plain|recv`. A server of NATS with JetStream takes part in `speed`, if `ZEROHOP_BENCH_NATS` has its address, and one of
//! RabbitMQ, if `ZEROHOP_BENCH_RABBITMQ` has; there the user is `guest`. A broker of Kafka does, if `ZEROHOP_BENCH_KAFKA` has its address. Spools lie in a folder below `target`, or in the one that `ZEROHOP_BENCH_FOLDER` names.

#[path = "../bare.rs"]
mod bare;
mod brokers;
mod latency;
mod memory;
mod speed;
mod worker;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zerohop::{Delivery, Options};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const LEN: usize = 100;

/// So many messages may be unsettled, or where nothing is settled, wait on either side.
const WINDOW: u32 = 10_000;

/// How long a wait may take that takes no time unless something is wrong.
const LONG: Duration = Duration::from_secs(60);

/// Measures a part, in a folder, and prints what has come out.
type Measure = fn(&Path, &Scale) -> Fallible<()>;

/// How much is measured.
struct Scale {
    rounds: usize,
    /// Of a stream: for so long, and so many messages of each thread at most.
    time: Duration,
    most: u64,
    /// Before that with a spool, so many messages of all threads together: a spool that has been in use for a while has files to use again, as bare writes have.
    warm: u64,
    /// Of bare writes, for so long.
    bare: Duration,
    /// At a fixed rate.
    paced: u64,
    receipts: usize,
    unsettled: u64,
}

const WHOLE: Scale = Scale {
    rounds: 7,
    time: Duration::from_secs(1),
    most: u64::MAX,
    // Three segments.
    warm: 3 << 19,
    bare: Duration::from_secs(1),
    paced: 500,
    receipts: 100,
    unsettled: 500_000,
};

const SMOKE: Scale = Scale {
    rounds: 1,
    time: Duration::from_secs(60),
    most: 5000,
    warm: 5000,
    bare: Duration::from_millis(20),
    paced: 50,
    receipts: 5,
    unsettled: 70_000,
};

fn main() -> Fallible<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if let [name, takes] = &arguments[..]
        && name == worker::ARGUMENT
    {
        return worker::run(takes);
    }
    if let [name, messages] = &arguments[..]
        && name == memory::ARGUMENT
    {
        return memory::hold(messages.parse()?);
    }
    let scale = if given("--smoke") { SMOKE } else { WHOLE };
    let below = env::var_os("ZEROHOP_BENCH_FOLDER").map(PathBuf::from);
    let below = below.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let folder = below.join(format!("delivery-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let parts: [(&str, Measure); 3] = [
        ("speed", speed::measure),
        ("latency", latency::measure),
        ("memory", memory::measure),
    ];
    let all = !parts.iter().any(|(name, _)| given(name));
    let measured = parts
        .into_iter()
        .filter(|(name, _)| all || given(name))
        .try_for_each(|(_, measure)| measure(&folder, &scale));
    fs::remove_dir_all(&folder)?;
    measured
}

/// Of either side.
fn options(delivery: Option<Delivery>) -> Options {
    let options = Options::new()
        .send_hwm(WINDOW as usize)
        .recv_hwm(WINDOW as usize);
    match delivery {
        Some(delivery) => options.delivery(delivery.window(WINDOW).required()),
        None => options,
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
