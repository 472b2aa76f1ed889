//! `cargo bench --features bench-internals --bench instructions`: instructions per message on the hot paths.
//!
//! A count of instructions hardly depends on what else the machine does, so a regression shows where a clock would
//! only show noise. Each path runs under callgrind twice, the second time with more messages; the difference, divided
//! by the messages between, leaves start and end out. Neither the kernel's part nor the background thread's is counted.
//!
//! How often a stream looks at the clock and writes is a matter of time, and valgrind's is not the processor's. So these
//! looks and writes are left out of the streams' counts, and counted where every message is written by itself. What the
//! scheduler lets the background thread do in the middle of a batch costs a stream up to a quarter more. So its batches
//! are counted one by one, and the cheapest of several runs stands for what is undisturbed: nothing makes a batch cheaper
//! than it is. The lower quartile, which was its count before, lay between 385 and 444 for the same code, by the machine and its load.
//!
//! `-- --save` makes what is counted now the baseline; without it, a path that costs a tenth more than the baseline
//! says fails the run.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path as FilePath;
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::task::{self, Poll, Waker};

use serde::{Deserialize, Serialize};
use zerohop::__bench::{Subscriptions, decode, encode};
use zerohop::{Context, Pull, Push};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A path and what runs it for so many messages.
type Path = (&'static str, fn(usize) -> Fallible<()>);

const PATHS: [Path; 7] = [
    ("inproc send and recv, 64 B", inproc),
    (STREAM, tcp),
    (STREAM_OF_TASKS, tcp_in_tasks),
    ("tcp send and recv one by one, 64 B", tcp_one_by_one),
    ("encode, 64 B", encoding),
    ("decode, 64 B", decoding),
    ("match among 100,000 subscriptions", matching),
];

const STREAM: &str = "tcp send and recv, 64 B";

/// The same by futures, polled without a runtime.
const STREAM_OF_TASKS: &str = "tcp send_async and recv_async, 64 B";

/// The function of a stream that looks at the clock and writes, as callgrind's patterns name it.
const BY_THE_CLOCK: &str = "*pace_slowly*";

/// The functions that send and receive one batch, likewise.
const ONE_BATCH: &str = "*one_batch*";

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.baseline.json");

/// More than this, in relation to the baseline, is a regression.
const TOLERANCE: f64 = 1.10;

const FEW: usize = 20_480;
const MANY: usize = 5 * FEW;

/// Runs of each count. The least counts: what clocks decide can only add to it.
const RUNS: usize = 3;

/// Messages under way at once: below the high-water mark, so that nothing waits.
const BATCH: usize = 512;

#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    /// Other processors have other instructions.
    architecture: String,
    instructions_per_message: BTreeMap<String, f64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", path, count] => run(path, count).map(|()| true),
        _ if arguments.iter().any(|argument| argument == "--save") => save().map(|()| true),
        _ => compare(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts all paths and keeps the counts.
fn save() -> Fallible<()> {
    let mut instructions_per_message = BTreeMap::new();
    for (path, _) in PATHS {
        let count = count(path)?;
        println!("{path:<36} {count:>9.1}");
        instructions_per_message.insert(path.to_owned(), (count * 10.0).round() / 10.0);
    }
    let baseline = Baseline {
        architecture: std::env::consts::ARCH.to_owned(),
        instructions_per_message,
    };
    let text = serde_json::to_string_pretty(&baseline)?;
    fs::write(BASELINE, text + "\n")?;
    Ok(())
}

/// Counts all paths; whether none has become a regression.
fn compare() -> Fallible<bool> {
    let text = fs::read_to_string(BASELINE).map_err(|error| format!("{BASELINE}: {error}"))?;
    let baseline: Baseline = serde_json::from_str(&text)?;
    if baseline.architecture != std::env::consts::ARCH {
        println!(
            "the baseline is for {}; nothing to compare",
            baseline.architecture
        );
        return Ok(true);
    }
    let mut passed = true;
    println!(
        "{:<36} {:>9} {:>9}",
        "instructions per message", "now", "baseline"
    );
    for (path, _) in PATHS {
        let count = count(path)?;
        let Some(&expected) = baseline.instructions_per_message.get(path) else {
            return Err(format!("no baseline for {path}; see --save").into());
        };
        let verdict = match count / expected {
            ratio if ratio > TOLERANCE => {
                passed = false;
                "REGRESSION: find the cause, or save a new baseline and say why"
            }
            ratio if ratio < 1.0 / TOLERANCE => "better; save a new baseline",
            _ => "",
        };
        println!("{path:<36} {count:>9.1} {expected:>9.1} {verdict}");
    }
    Ok(passed)
}

/// Instructions per message of a path.
fn count(path: &str) -> Fallible<f64> {
    if path == STREAM || path == STREAM_OF_TASKS {
        let counts = (0..RUNS).map(|_| count_stream(path));
        let counts: Vec<f64> = counts.collect::<Fallible<_>>()?;
        return Ok(counts.into_iter().fold(f64::MAX, f64::min));
    }
    let least = |messages| -> Fallible<u64> {
        let mut least = u64::MAX;
        for _ in 0..RUNS {
            let counts = count_parts(path, messages, &[])?;
            let [count] = counts[..] else {
                return Err(format!("callgrind told {} totals of {path}", counts.len()).into());
            };
            least = least.min(count);
        }
        Ok(least)
    };
    let (few, many) = (least(FEW)?, least(MANY)?);
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

/// The same of a stream: see the top of this file.
fn count_stream(path: &str) -> Fallible<f64> {
    let left_out = format!("--toggle-collect={BY_THE_CLOCK}");
    let apart = format!("--dump-after={ONE_BATCH}");
    // In this order: the first by itself means to count nothing but these functions.
    let mut batches = count_parts(path, MANY, &[&left_out, "--collect-atstart=yes", &apart])?;
    // What comes after the last batch.
    batches.pop();
    if batches.len() != MANY / BATCH {
        return Err(format!("callgrind told of {} batches", batches.len()).into());
    }
    let least = batches.into_iter().min().unwrap_or_default();
    Ok(least as f64 / BATCH as f64)
}

/// The instructions of a process's main thread that runs a path for so many messages, one count for each part that
/// callgrind has written out. The background thread's would make the count depend on its luck with the scheduler.
fn count_parts(path: &str, messages: usize, arguments: &[&str]) -> Fallible<Vec<u64>> {
    let folder = std::env::temp_dir().join(format!("zerohop-callgrind-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let counts = count_parts_in(&folder, path, messages, arguments);
    fs::remove_dir_all(&folder)?;
    counts
}

fn count_parts_in(
    folder: &FilePath,
    path: &str,
    messages: usize,
    arguments: &[&str],
) -> Fallible<Vec<u64>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .args(arguments)
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("out").display()
        ))
        .arg(std::env::current_exe()?)
        .args(["run", path, &messages.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{path} under valgrind: {said}").into());
    }
    // `out-01`, or `out.1-01`, `out.2-01` and so on. The thread's number comes last; 01 is the main thread's.
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some(part) = name.strip_suffix("-01") else {
            continue;
        };
        let number = part
            .rsplit('.')
            .next()
            .and_then(|number| number.parse().ok());
        let text = fs::read_to_string(&file)?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals:"));
        let count = totals.ok_or("callgrind told no total")?.trim().parse()?;
        parts.push((number.unwrap_or(u64::MAX), count));
    }
    parts.sort_unstable();
    Ok(parts.into_iter().map(|(_, count)| count).collect())
}

fn run(path: &str, messages: &str) -> Fallible<()> {
    let found = PATHS.iter().find(|(name, _)| *name == path);
    let (_, run) = found.ok_or("no such path")?;
    run(messages.parse()?)
}

fn inproc(messages: usize) -> Fallible<()> {
    send_and_recv("inproc://instructions", messages, BATCH, one_batch)
}

fn tcp(messages: usize) -> Fallible<()> {
    send_and_recv("tcp://127.0.0.1:*", messages, BATCH, one_batch)
}

fn tcp_in_tasks(messages: usize) -> Fallible<()> {
    send_and_recv("tcp://127.0.0.1:*", messages, BATCH, one_batch_in_tasks)
}

fn tcp_one_by_one(messages: usize) -> Fallible<()> {
    send_and_recv("tcp://127.0.0.1:*", messages, 1, one_batch)
}

/// One thread sends a batch and receives it, again and again.
fn send_and_recv(
    endpoint: &str,
    messages: usize,
    batch: usize,
    one_batch: fn(&Push, &Pull, usize) -> Fallible<()>,
) -> Fallible<()> {
    let context = Context::new();
    let pull = Pull::new(&context)?;
    let bound = pull.bind(endpoint)?;
    let push = Push::new(&context)?;
    push.connect(&bound)?;
    for _ in 0..messages / batch {
        one_batch(&push, &pull, batch)?;
    }
    Ok(())
}

#[inline(never)]
fn one_batch(push: &Push, pull: &Pull, batch: usize) -> Fallible<()> {
    for _ in 0..batch {
        // Not as an array: a length that the compiler knows may get as far as the copy into the buffer, or not, by what else is in the program.
        push.send(black_box([7; 64].as_slice()))?;
    }
    for _ in 0..batch {
        black_box(pull.recv()?);
    }
    Ok(())
}

#[inline(never)]
fn one_batch_in_tasks(push: &Push, pull: &Pull, batch: usize) -> Fallible<()> {
    for _ in 0..batch {
        poll_until_ready(push.send_async(black_box([7; 64].as_slice())))?;
    }
    for _ in 0..batch {
        black_box(poll_until_ready(pull.recv_async())?);
    }
    Ok(())
}

fn poll_until_ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = task::Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn encoding(messages: usize) -> Fallible<()> {
    let mut out = Vec::with_capacity(BATCH * 128);
    for _ in 0..messages / BATCH {
        out.clear();
        for _ in 0..BATCH {
            encode(&mut out, black_box([7; 64].as_slice()));
        }
        black_box(&out);
    }
    Ok(())
}

fn decoding(messages: usize) -> Fallible<()> {
    let mut traffic = Vec::new();
    for _ in 0..BATCH {
        encode(&mut traffic, &[7; 64]);
    }
    for _ in 0..messages / BATCH {
        black_box(decode(black_box(&traffic)));
    }
    Ok(())
}

fn matching(messages: usize) -> Fallible<()> {
    const TOPICS: usize = 100_000;

    let topic = |number: usize| format!("t{number:07}").into_bytes();
    let mut subscriptions = Subscriptions::new();
    for number in 0..TOPICS {
        subscriptions.insert(number % 8, &topic(number));
    }
    // Made before, in every run alike, so that making them is no part of the difference.
    let wanted: Vec<Vec<u8>> = (0..BATCH).map(|index| topic(index * 191)).collect();
    for _ in 0..messages / BATCH {
        for topic in &wanted {
            black_box(subscriptions.matching(black_box(topic)));
        }
    }
    Ok(())
}
