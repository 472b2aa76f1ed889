//! Messages per second, at full speed.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::{Spool, Sync};
use zerohop::{Context, Delivery, Push};

use crate::bare::Bare;
use crate::brokers::Broker;
use crate::worker::{Head, Takes, Worker};
use crate::{Fallible, LEN, LONG, Scale, WINDOW, median, options};

/// Only contestants run whose names have this in them.
const ONLY: &str = "ZEROHOP_BENCH_ONLY";

/// Where messages are that are not settled.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// Nothing is settled.
    Not,
    Memory,
    Spool(Sync),
}

impl Kept {
    pub(crate) fn delivery(self, spool: &Path) -> Option<Delivery> {
        let delivery = Delivery::at_least_once();
        match self {
            Kept::Not => None,
            Kept::Memory => Some(delivery),
            Kept::Spool(sync) => Some(delivery.spool(Spool::at(spool).sync(sync))),
        }
    }
}

struct Contestant {
    name: &'static str,
    kept: Kept,
    takes: Takes,
    /// So many messages are written and then sent; with a spool they are a batch.
    group: usize,
    threads: u16,
    /// With which system's calls it is compared.
    bare: Option<(Sync, usize)>,
}

const CONTESTANTS: [Contestant; 8] = [
    Contestant {
        name: "plain PUSH/PULL",
        kept: Kept::Not,
        takes: Takes::Plain,
        group: 16,
        threads: 1,
        bare: None,
    },
    Contestant {
        name: "memory, recv",
        kept: Kept::Memory,
        takes: Takes::Received,
        group: 16,
        threads: 1,
        bare: None,
    },
    Contestant {
        name: "memory, recv_job",
        kept: Kept::Memory,
        takes: Takes::Jobs,
        group: 16,
        threads: 1,
        bare: None,
    },
    Contestant {
        name: "Sync::Os, batches of 256",
        kept: Kept::Spool(Sync::Os),
        takes: Takes::Received,
        group: 256,
        threads: 1,
        bare: Some((Sync::Os, 256)),
    },
    Contestant {
        name: "Sync::Os, recv_job",
        kept: Kept::Spool(Sync::Os),
        takes: Takes::Jobs,
        group: 256,
        threads: 1,
        bare: Some((Sync::Os, 256)),
    },
    Contestant {
        name: "Sync::Disk, batches of 256",
        kept: Kept::Spool(Sync::Disk),
        takes: Takes::Received,
        group: 256,
        threads: 1,
        bare: Some((Sync::Disk, 256)),
    },
    Contestant {
        name: "the same from 4 threads",
        kept: Kept::Spool(Sync::Disk),
        takes: Takes::Received,
        group: 256,
        threads: 4,
        bare: Some((Sync::Disk, 1024)),
    },
    Contestant {
        name: "Sync::Disk, batches of 4096",
        kept: Kept::Spool(Sync::Disk),
        takes: Takes::Received,
        group: 4096,
        threads: 1,
        bare: Some((Sync::Disk, 4096)),
    },
];

pub(crate) fn measure(folder: &Path, scale: &Scale) -> Fallible<()> {
    let mut rates = CONTESTANTS.map(|_| Vec::new());
    let mut bare = CONTESTANTS.map(|_| Vec::new());
    let only = env::var(ONLY).unwrap_or_default();
    let runs = |contestant: &Contestant| {
        let mut parts = only.split('|');
        parts.any(|part| contestant.name.contains(part))
    };
    let mut brokers = Broker::ALL.map(|broker| (broker, broker.address(), Vec::new()));
    let mut file = Bare::new(&folder.join("bare"))?;
    for _ in 0..scale.rounds {
        let contestants = CONTESTANTS.iter().enumerate();
        for (at, contestant) in contestants.filter(|(_, contestant)| runs(contestant)) {
            if let Some((sync, group)) = contestant.bare {
                bare[at].push(file.append(sync, group, scale.bare)?);
            }
            rates[at].push(run(contestant, &folder.join("spool"), scale)?);
        }
        for (broker, address, rates) in &mut brokers {
            if let Some(address) = address {
                rates.push(broker.run(address, scale)?);
            }
        }
    }
    file.remove()?;
    println!("messages of {LEN} B settled per second, window of {WINDOW}");
    println!(
        "{:<28} {:>10} {:>9} {:>12} {:>8}",
        "", "thousand/s", "of plain", "bare, th./s", "of bare"
    );
    let mut plain = None;
    for ((contestant, rates), bare) in CONTESTANTS.iter().zip(&mut rates).zip(&mut bare) {
        if !runs(contestant) {
            continue;
        }
        let rate = median(rates);
        let plain = *plain.get_or_insert(rate);
        print!(
            "{:<28} {:>10.1} {:>9.2}",
            contestant.name,
            rate / 1e3,
            rate / plain
        );
        match contestant.bare {
            Some(_) => {
                let bare = median(bare);
                println!(" {:>12.1} {:>8.2}", bare / 1e3, rate / bare);
            }
            None => println!(),
        }
    }
    for (broker, address, mut rates) in brokers {
        let name = broker.name();
        match (address, plain) {
            (Some(_), Some(plain)) => {
                let rate = median(&mut rates);
                println!("{name:<28} {:>10.1} {:>9.2}", rate / 1e3, rate / plain);
            }
            _ => println!("{name} is left out: {} has no address", broker.variable()),
        }
    }
    Ok(())
}

fn run(contestant: &Contestant, spool: &Path, scale: &Scale) -> Fallible<f64> {
    let mut worker = Worker::start(contestant.takes)?;
    let delivery = contestant.kept.delivery(spool);
    let push = Push::with_options(&Context::new(), options(delivery))?;
    push.connect(worker.endpoint())?;
    begin(&push, &mut worker)?;

    let warm = match contestant.kept {
        Kept::Spool(_) => scale.warm / u64::from(contestant.threads),
        Kept::Not | Kept::Memory => 0,
    };
    let before = send_all(&push, contestant, 0, &|next, _| next < warm)?;
    wait_until_settled(&push, 1, before)?;

    let begun = Instant::now();
    let sent = send_all(&push, contestant, before, &|next, first| {
        next - first < scale.most && begun.elapsed() < scale.time
    })?;
    // Where nothing is settled, the end is when the worker has all.
    let received = end(&push, &mut worker, before + sent)?;
    let elapsed = begun.elapsed();
    if received != before + sent {
        return Err(format!("{received} of {} messages have come", before + sent).into());
    }
    push.close(LONG)?;
    if let Kept::Spool(_) = contestant.kept {
        fs::remove_dir_all(spool)?;
    }
    Ok(sent as f64 / elapsed.as_secs_f64())
}

/// Sends from all threads while `more` says so of a thread's next number and its first, where `before` were sent by all together. Gives how many were sent.
fn send_all(
    push: &Push,
    contestant: &Contestant,
    before: u64,
    more: &(dyn Fn(u64, u64) -> bool + std::marker::Sync),
) -> Fallible<u64> {
    let first = before / u64::from(contestant.threads);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..contestant.threads)
            .map(|lane| scope.spawn(move || send(push, lane, contestant, first, more)))
            .collect();
        let sent = threads.into_iter().map(|thread| match thread.join() {
            Ok(sent) => sent,
            Err(_) => Err("a sender has panicked".into()),
        });
        sent.sum::<Fallible<u64>>()
    })
}

/// Sends the first message, which is not counted, and waits for it to come.
pub(crate) fn begin(push: &Push, worker: &mut Worker) -> Fallible<()> {
    begin_by(|message| Ok(push.send(message)?), worker)
}

pub(crate) fn begin_by(
    mut send: impl FnMut(&[u8]) -> Fallible<()>,
    worker: &mut Worker,
) -> Fallible<()> {
    let mut message = [0; LEN];
    Head {
        lane: Head::BEGIN,
        number: 0,
        sent: 0,
    }
    .write(&mut message);
    send(&message)?;
    match &worker.line()?[..] {
        "begun" => Ok(()),
        line => Err(format!("a worker says {line}").into()),
    }
}

/// Waits until all messages have come, and where that is asked for, have been settled, each at its first delivery. Gives how many the worker has counted.
fn end(push: &Push, worker: &mut Worker, sent: u64) -> Fallible<u64> {
    send_end(push)?;
    let (received, _, _) = worker.told()?;
    wait_until_settled(push, 2, sent)?;
    Ok(received)
}

pub(crate) fn send_end(push: &Push) -> Fallible<()> {
    send_end_by(|message| Ok(push.send(message)?))
}

pub(crate) fn send_end_by(mut send: impl FnMut(&[u8]) -> Fallible<()>) -> Fallible<()> {
    let mut message = [0; LEN];
    Head {
        lane: Head::END,
        number: 0,
        sent: 0,
    }
    .write(&mut message);
    send(&message)
}

/// Besides those that were sent, the first message is settled, and the last if it was sent: so many `others`.
pub(crate) fn wait_until_settled(push: &Push, others: u64, sent: u64) -> Fallible<()> {
    let begun = Instant::now();
    loop {
        let stats = push.stats().delivery;
        if stats.unsettled == 0 {
            let expected = match stats.settled {
                0 => 0,
                _ => sent + others,
            };
            if stats.settled != expected || stats.retried + stats.dead > 0 {
                return Err(format!("of {sent} messages, {stats:?}").into());
            }
            return Ok(());
        }
        if begun.elapsed() > LONG {
            return Err(format!("{} messages are not settled", stats.unsettled).into());
        }
        thread::sleep(Duration::from_micros(100));
    }
}

/// What one thread does: gives how many messages it has sent, of which `first` is the number of the first.
fn send(
    push: &Push,
    lane: u16,
    contestant: &Contestant,
    first: u64,
    more: &(dyn Fn(u64, u64) -> bool + std::marker::Sync),
) -> Fallible<u64> {
    let mut messages = vec![[7; LEN]; contestant.group];
    let mut next = first;
    while more(next, first) {
        for message in &mut messages {
            Head {
                lane,
                number: next,
                sent: 0,
            }
            .write(message);
            next += 1;
        }
        match contestant.kept {
            Kept::Spool(_) => {
                push.send_batch(messages.iter().map(|message| &message[..]))?;
            }
            Kept::Not | Kept::Memory => {
                for message in &messages {
                    push.send(&message[..])?;
                }
            }
        }
    }
    Ok(next - first)
}
