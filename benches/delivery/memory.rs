//! What messages take in memory that are not settled, beyond their own bytes.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Delivery, Options, Pull, Push};

use crate::worker::{Takes, Worker};
use crate::{Fallible, LEN, LONG, Scale, median};

/// Makes a process of this program one that holds so many messages.
pub(crate) const ARGUMENT: &str = "--hold";

/// The largest one.
pub(crate) const WINDOW: u32 = 65_536;

pub(crate) fn measure(_: &Path, scale: &Scale) -> Fallible<()> {
    let (mut sender, mut worker) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        // In processes that have done nothing else.
        let output = Command::new(env::current_exe()?)
            .args([ARGUMENT, &scale.unsettled.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let Some((of_sender, of_worker)) = text.trim_end().split_once(' ') else {
            return Err(format!("who holds messages says {text}").into());
        };
        sender.push(of_sender.parse()?);
        worker.push(of_worker.parse()?);
    }
    println!("\nresident memory per unsettled message beyond its {LEN} B, in B");
    println!("{:<28} {:>10} {:>9}", "", "median", "most");
    let holders = [
        (format!("sender of {}", scale.unsettled), &mut sender),
        (format!("worker with {WINDOW} of them"), &mut worker),
    ];
    for (name, values) in holders {
        let most = values.iter().copied().fold(f64::NAN, f64::max);
        println!("{name:<28} {:>10.1} {most:>9.1}", median(values));
    }
    Ok(())
}

/// What the process does that holds messages: as many as the window are with a worker, and the others wait.
pub(crate) fn hold(messages: u64) -> Fallible<()> {
    let mut worker = Worker::start(Takes::Nothing)?;
    let options = Options::new()
        .send_hwm(0)
        .linger(Duration::ZERO)
        .delivery(Delivery::at_least_once());
    let push = Push::with_options(&Context::new(), options)?;
    push.connect(worker.endpoint())?;
    push.send([7; LEN])?;
    worker.line()?;
    let before = resident()?;
    for _ in 0..messages {
        push.send([7; LEN])?;
    }
    let of_worker = worker.line()?;
    let unsettled = push.stats().delivery.unsettled as u64;
    if unsettled != messages + 1 {
        return Err(format!("{unsettled} of {messages} are unsettled").into());
    }
    println!("{} {of_worker}", per_message(before, messages)?);
    Ok(())
}

/// What the worker does, which says when it has the first message, and when it has its whole window.
pub(crate) fn take_nothing(pull: &Pull) -> Fallible<()> {
    let has = |messages: u64| -> Fallible<()> {
        let begun = Instant::now();
        while pull.stats().messages_in < messages {
            if begun.elapsed() > LONG {
                return Err(format!("{messages} messages have not come").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    has(1)?;
    // What comes next comes when this has been said.
    let before = resident()?;
    println!("begun");
    has(WINDOW.into())?;
    println!("{}", per_message(before, u64::from(WINDOW) - 1)?);
    loop {
        thread::park();
    }
}

fn per_message(before: u64, messages: u64) -> Fallible<f64> {
    let grown = resident()? as f64 - before as f64;
    Ok(grown / messages as f64 - LEN as f64)
}

/// The anonymous memory of this process that is resident, in bytes.
fn resident() -> Fallible<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("the system does not tell")?.parse::<u64>()? << 10)
}
