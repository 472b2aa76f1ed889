//! `cargo bench --features bench-internals --bench spool`: messages of 100 B into a spool and out of it, beside bare writes and syncs.
//!
//! Both write to the same disk in turns, the same bytes in the same groups, and into files that were filled with zeros before; printed is the
//! median of the rounds. `-- --smoke` is a short run that shows that it works. The files lie in a folder below `target`, or in the one that
//! `ZEROHOP_BENCH_FOLDER` names.

mod bare;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bare::Bare;
use zerohop::spool::{Spool, Sync};

type Fallible<T> = Result<T, Box<dyn Error>>;

const MESSAGE: [u8; 100] = [7; 100];

/// How long each measurement lasts, how many there are of each, and how many messages are opened and read.
struct Scale {
    time: Duration,
    rounds: usize,
    messages: u64,
}

fn main() -> Fallible<()> {
    let scale = if env::args().any(|argument| argument == "--smoke") {
        Scale {
            time: Duration::from_millis(20),
            rounds: 1,
            messages: 10_000,
        }
    } else {
        Scale {
            time: Duration::from_secs(1),
            rounds: 5,
            messages: 1_000_000,
        }
    };
    let below = env::var_os("ZEROHOP_BENCH_FOLDER").map(PathBuf::from);
    let below = below.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let folder = below.join(format!("spool-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder, &scale);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &Path, scale: &Scale) -> Fallible<()> {
    println!("append and commit, thousand messages per second");
    println!(
        "{:<8} {:>6} {:>10} {:>10} {:>7}",
        "sync", "group", "bare", "spool", "ratio"
    );
    for sync in [Sync::Os, Sync::Disk] {
        for group in [1, 16, 256, 4096] {
            let (mut bare, mut spooled) = (Vec::new(), Vec::new());
            for _ in 0..scale.rounds {
                let mut file = Bare::new(&folder.join("bare"))?;
                bare.push(file.append(sync, group, scale.time)?);
                file.remove()?;
                spooled.push(append(&folder.join("spool"), sync, group, scale.time)?);
            }
            let (bare, spooled) = (median(bare), median(spooled));
            println!(
                "{:<8} {group:>6} {:>10.1} {:>10.1} {:>7.2}",
                format!("{sync:?}"),
                bare / 1e3,
                spooled / 1e3,
                spooled / bare
            );
        }
    }

    let messages = scale.messages;
    let path = folder.join("full");
    let spool = Spool::at(&path).sync(Sync::Os).open()?;
    for _ in 0..messages {
        spool.append(&MESSAGE[..])?;
    }
    spool.close()?;
    let (mut opened, mut read) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let begun = Instant::now();
        let spool = Spool::at(&path).sync(Sync::Os).open()?;
        opened.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let mut found = 0;
        for stored in spool.unsettled() {
            stored?;
            found += 1;
        }
        if found != messages {
            return Err(format!("{found} of {messages} messages are there").into());
        }
        read.push(messages as f64 / begun.elapsed().as_secs_f64());
        spool.close()?;
    }
    println!(
        "open with {messages} messages: {:.0} ms",
        median(opened) * 1e3
    );
    println!("read them back: {:.2} M/s", median(read) / 1e6);
    Ok(())
}

/// Messages per second.
fn append(path: &Path, sync: Sync, group: usize, time: Duration) -> Fallible<f64> {
    let spool = Spool::at(path).sync(sync).open()?;
    // The first segment is made.
    spool.commit(spool.append(&MESSAGE[..])?)?;
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let mut last = 0;
        for _ in 0..group {
            last = spool.append(&MESSAGE[..])?;
        }
        spool.commit(last)?;
        // As a sender does whose messages are taken; otherwise the disk fills.
        spool.settle([0..=last])?;
        sent += group;
    }
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    spool.close()?;
    fs::remove_dir_all(path)?;
    Ok(rate)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
